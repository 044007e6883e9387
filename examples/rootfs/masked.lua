-- Masked paths: what tells of the host, or reaches it, is covered by nothing; other paths are read-only.
-- Prints what can be read and written of some paths by default, with a mask of the script's own, and with none.
-- Needs root, and a root file system with busybox as its argument.
local rootfs = require("luabox.sys").file.absolute(arg[1] or "rootfs")

local LOOK = [[
  for path in /proc/keys /proc/kcore /sys/firmware /etc/passwd; do
    [ -e $path ] && echo "$0: $path $([ -d $path ] && ls $path | wc -l || head -c 100 $path | wc -c)"
  done
  (echo 1 > /proc/sys/vm/drop_caches) 2>&1 | grep -o "Read-only.*" | sed "s,^,$0: /proc/sys ,"
  true ]]

local function run(who, options)
  options.rootfs, options.command = rootfs, { "/bin/sh", "-c", LOOK, who }
  container(options):run()
end

run("default", {})
run("own", { masked = { "/etc/passwd", "/proc/keys" }, readonly_paths = { "/etc" } })
run("none", { masked = {} })
