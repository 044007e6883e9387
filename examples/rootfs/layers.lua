-- A union: several read-only folders as one root file system, with one folder on top that takes all changes.
-- Prints what the container sees of each layer, and what its changes left in the folders: a deleted file is a whiteout, a device 0:0.
-- Needs root, and a root file system with busybox as its argument.
local sys = require "luabox.sys"
local rootfs = sys.file.absolute(arg[1] or "rootfs")

local work = sys.file.temporary "/tmp/walk-layers-"
local function write(path, text) sys.mount.root(work):write(path, text) end
write("middle/srv/name", "middle\n")
write("middle/srv/doomed", "still here\n")
write("top/srv/name", "top\n")  -- hides that of the layer below

local function run(who, command)
  container {
    rootfs = directory { rootfs, layers = { work .. "/top", work .. "/middle" }, persist = work .. "/changes" },
    command = { "/bin/sh", "-c", command, who },
  }:run()
end

run("first", [[
  echo "$0: name is $(cat /srv/name), doomed is $(cat /srv/doomed)"
  rm /srv/doomed; echo changed > /srv/name; echo new > /srv/added ]])
run("second", [[ echo "$0: $(cd /srv && grep . * | xargs)" ]])  -- with the same changes

os.execute(([[cd '%s' && for layer in top middle changes/upper; do
  echo "$layer: $(cd $layer/srv && stat -c '%%n %%F' * | sed 's/regular file/file/' | xargs)"; done;
  echo "whiteout: $(stat -c 'device %%t:%%T' changes/upper/srv/doomed)"; grep -H . top/srv/name middle/srv/*]]):format(work))
sys.mount.remove_tree(work)
