-- no_new_privs: no exec gives more than one had before, whatever set-uid bits and capabilities the file has; and there is no way back.
-- Prints who a set-uid program of root's runs as when user 1000 starts it, without and with it; and after an exec in between.
-- Needs root, and a /tmp without nosuid; or, as an ordinary user, a set-uid copy of id as its argument.
local sys = require "luabox.sys"

local root = sys.uid() == 0
assert(root or arg[1], "this walk needs root, or a set-uid copy of id as its argument")
local folder = not arg[1] and sys.file.temporary "/tmp/walk-suid-"
local id = arg[1] or folder .. "/id"
if folder then os.execute(("cp $(command -v id) %s && chmod 755 %s && chmod 4755 %s"):format(id, folder, id)) end

local function run(who, prepare, command)
  local process = sys.clone({}, function()
    if root then sys.user.set_ids { uid = 1000, gid = 1000, groups = {} } end
    prepare()
    sys.exec { "/bin/sh", "-c", ('echo "$0: $(%s)"'):format(command), who }
  end)
  process:release()
  process:wait()
end

run("without", function() end, id .. " -u")
run("with", sys.security.no_new_privs, id .. " -u")
run("with, later", sys.security.no_new_privs, ("sh -c 'exec sh -c \"%s -u; grep NoNewPrivs /proc/self/status\"' | xargs"):format(id))
if folder then sys.mount.remove_tree(folder) end
