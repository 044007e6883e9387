-- A read-only root: nothing of it can be changed, not even by the container's root. What must be written has a tmpfs, of a size and gone at the end.
-- Prints for each folder whether a file could be written there, and what happens when a tmpfs is full.
-- Needs root, and a root file system with busybox as its argument.
local rootfs = require("luabox.sys").file.absolute(arg[1] or "rootfs")

return container {
  rootfs = directory { rootfs, readonly = true },
  mounts = { tmpfs { "/tmp", size = "1MiB" }, tmpfs { "/var/lib/app", mode = "0755" } },
  command = { "/bin/sh", "-c", [[
    for folder in / /etc /bin /root /tmp /var/lib/app; do
      (echo word > $folder/file) 2> /dev/null && echo "$folder: written" || echo "$folder: refused"
    done
    mount -o remount,rw / 2>&1
    dd if=/dev/zero of=/tmp/large bs=1M count=2 2>&1 | grep -o "No space left on device" ]] },
}
