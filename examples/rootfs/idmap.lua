-- An id-mapped volume: its files have other owners inside than on the disk, and nothing is chowned. What 1000 owns out here is root's in there.
-- Prints the owner of a file inside, and of what the container wrote outside; the same for a container in a user namespace; or why not.
-- Needs root, a root file system with busybox as its argument, and a file system that can (ext4, xfs, btrfs; tmpfs since Linux 6.3).
local sys = require "luabox.sys"
local rootfs = sys.file.absolute(arg[1] or "rootfs")

local work = arg[2] or sys.file.temporary "/tmp/walk-idmap-"
local function on_disk(name) os.execute(("stat -c 'on the disk: %%n is of %%u:%%g' '%s/%s'"):format(work, name)) end

local function run(name, options)
  options.rootfs = rootfs
  options.command = { "/bin/sh", "-c", ("stat -c 'inside: %%n is of %%u:%%g' /data/given; echo word > /data/%s"):format(name) }
  local ok, why = pcall(function() container(options):run() end)
  if ok then on_disk(name) else print(tostring(why)) end
end

local owner = sys.uid() == 0 and 1000 or sys.uid()
sys.mount.root(work):write("given", "")
sys.mount.root(work):chmod("/", "755")
for _, name in ipairs { "given", "/" } do sys.mount.root(work):chown(name, { uid = owner, gid = sys.uid() == 0 and owner or sys.gid() }) end
on_disk "given"

-- On the disk, in the container, how many.
run("by-root", { mounts = { bind { work, "/data", idmap = { uid = owner .. " 0 1" } } } })
-- A user namespace: 0 in there is 100000 out here, and on the disk it is to be 1000.
run("by-users", { users = { uid = "0 100000 65536" }, mounts = { bind { work, "/data", idmap = { uid = owner .. " 0 1" } } } })
-- The ids of the user namespace as they are: a volume that several containers with other ranges can have.
run("by-range", { users = { uid = "0 200000 65536" }, mounts = { bind { work, "/data", idmap = true } } })
if not arg[2] then sys.mount.remove_tree(work) end
