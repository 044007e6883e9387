-- rootfs.lua: a folder with busybox in it, and what tests of containers look at.
local sys = require "luabox.sys"

local rootfs = {}

local APPLETS = "sh cat echo ls sleep true false env hostname id mkdir kill seq dd head grep test"

--- Calls `body` with the path of a rootfs, which is removed at the end in whatever way that comes.
function rootfs.with(body)
  local path = sys.file.temporary "/tmp/luabox-test-"
  os.execute(([[cd %s && mkdir bin proc sys dev tmp etc root && cp "$(command -v busybox)" bin/busybox &&
    for name in %s; do ln -s busybox bin/$name; done]]):format(path, APPLETS))
  local ok, problem = xpcall(function() body(path) end, function(raised)
    return type(raised) == "table" and raised or debug.traceback(tostring(raised), 2)
  end)
  os.execute("rm -rf " .. path)
  if not ok then error(problem, 0) end
end

function rootfs.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

--- The folders in which the host keeps the cgroup `name`.
function rootfs.cgroups(name)
  local pipe = io.popen("find /sys/fs/cgroup -maxdepth 4 -name '" .. name .. "' 2> /dev/null")
  local text = pipe:read "*a"
  pipe:close()
  return text
end

return rootfs
