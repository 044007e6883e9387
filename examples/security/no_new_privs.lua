-- no_new_privs: no exec gives more than one had before, whatever set-uid bits and capabilities the file has; and there is no way back.
-- Prints who a set-uid program of root's runs as when user 1000 starts it, without and with it; and after an exec in between.
-- Needs root, and a /tmp without nosuid.
local sys = require "luabox.sys"

assert(sys.uid() == 0, "this walk needs root")
local folder = sys.file.temporary "/tmp/walk-suid-"
local id = folder .. "/id"
os.execute(("cp $(command -v id) %s && chmod 755 %s && chmod 4755 %s"):format(id, folder, id))

local function run(who, prepare, command)
  local process = sys.clone({}, function()
    sys.user.set_ids { uid = 1000, gid = 1000, groups = {} }
    prepare()
    sys.exec { "/bin/sh", "-c", ('echo "$0: $(%s)"'):format(command), who }
  end)
  process:release()
  process:wait()
end

run("without", function() end, id .. " -u")
run("with", sys.security.no_new_privs, id .. " -u")
run("with, later", sys.security.no_new_privs, ("sh -c 'exec sh -c \"%s -u; grep NoNewPrivs /proc/self/status\"' | xargs"):format(id))
sys.mount.remove_tree(folder)
