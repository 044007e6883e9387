-- A mount namespace: what is mounted inside isn't seen outside. Alone it is no jail: all files are still there.
-- Prints what a folder holds inside, where a tmpfs is mounted on it, and outside; then a file that was written from inside.
-- Needs nothing. A folder for the tmpfs can be its argument.
local sys = require "luabox.sys"
local anyone = require "anyone"

local folder = arg[1] or sys.file.temporary "/tmp/mytmp-"

local function look(who) os.execute(("echo '%s:' $(ls '%s'), $(grep -c ' %s ' /proc/self/mountinfo) mounts on it"):format(who, folder, folder)) end

anyone.clone("mount", function()
  sys.mount.private "/"  -- systemd makes "/" shared: then what is mounted here would come up on the host too
  sys.mount.tmpfs(folder)
  io.open(folder .. "/secret", "w"):close()
  look "inside"
  -- No jail: the host's root is the same root, by the same rights.
  sys.mount.umount(folder)
  io.open(folder .. "/from-inside", "w"):close()
  sys.exec { "/bin/sh", "-c", 'echo "inside: the root is $(stat -c %d:%i /)"' }
end):wait()

look "outside"
os.execute 'echo "outside: the root is $(stat -c %d:%i /)"'
if not arg[1] then sys.mount.remove_tree(folder) end
