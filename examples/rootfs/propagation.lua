-- Propagation: whether what is mounted later in a volume, by the host or by the container, comes up on the other side.
-- Prints for private, slave and shared who sees the other's mount.
-- Needs root, and a root file system with busybox as its argument; the volume must lie on a shared mount, as all do under systemd.
local sys = require "luabox.sys"
local rootfs = sys.file.absolute(arg[1] or "rootfs")

assert(sys.uid() == 0, "this walk needs root")
-- A host of the walk's own, so that nothing is left on the real one. With a second argument that folder is the volume, on the real host.
local volume = arg[2] or sys.file.temporary "/tmp/walk-propagation-"
if not arg[2] then
  sys.unshare "mount"
  sys.mount.private "/"
  sys.mount.tmpfs(volume)
  sys.mount.propagation(volume, "shared")
end
for _, name in ipairs { "by-host", "by-container" } do sys.file.make_directories(volume .. "/" .. name) end

for _, word in ipairs { "private", "slave", "shared" } do
  local box = container {
    rootfs = rootfs,
    mounts = { bind { volume, "/volume", propagation = word } },
    command = { "/bin/sh", "-c", [[
      until [ -e /volume/go ]; do sleep 0.02; done
      seen=$(grep -c " /volume/by-host " /proc/self/mountinfo)
      [ $seen = 1 ] && echo "$0: the container sees the host's mount" || echo "$0: the container doesn't" ]], word },
    function(this) sys.mount.make_tmpfs():attach(this.root, "/volume/by-container") end,
  }
  box:start()
  sys.mount.tmpfs(volume .. "/by-host")
  sys.file.write(volume .. "/go", "")
  box:wait()
  local seen = sys.file.read("/proc/self/mountinfo"):find(volume .. "/by-container", 1, true)
  print(word .. ": " .. (seen and "the host sees the container's mount" or "the host doesn't"))
  io.stdout:flush()
  box:destroy()
  if seen then sys.mount.umount(volume .. "/by-container") end
  sys.mount.umount(volume .. "/by-host")
  sys.file.remove(volume .. "/go")
end

if not arg[2] then
  sys.mount.umount(volume)
  sys.mount.remove_tree(volume)
end
