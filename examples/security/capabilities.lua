-- Capabilities: what root may do, in pieces. A container has eleven of some forty; one more is given by its name, or comes with a file.
-- Prints whether a device could be made and a ping sent, with and without the capability; then what a file capability gives an ordinary user.
-- Needs root, a root file system with busybox as its argument, and setcap (libcap2-bin).
local sys = require "luabox.sys"
local rootfs = sys.file.absolute(arg[1] or "rootfs")

local function run(who, options, command)
  options.rootfs = options.rootfs or directory { rootfs, overlay = true }
  options.command = { "/bin/sh", "-c", ('(%s) > /dev/null 2>&1 && echo "$0: yes" || echo "$0: no"'):format(command), who }
  container(options):run()
end

local MKNOD, PING = "mknod /tmp/null c 1 3", "ping -c 1 -w 2 127.0.0.1"
run("mknod", {}, MKNOD)
run("mknod with mknod", { capabilities = { add = { "mknod" } } }, MKNOD)
run("ping", {}, PING)
run("ping with net_raw", { capabilities = { add = { "net_raw" } } }, PING)
run("ping of user 1000, net_raw in the bounding set", { user = 1000, capabilities = { add = { "net_raw" } } }, PING)

-- A program with a file capability: whoever runs it has it, as far as the bounding set goes and no_new_privs is not set.
local layer = sys.file.temporary "/tmp/walk-capabilities-"
os.execute(("cd %s && mkdir opt && cp '%s/bin/busybox' opt/ping && chmod -R 755 . && setcap cap_net_raw+ep opt/ping"):format(layer, rootfs))
local function run_file(who, options)
  options.rootfs, options.user = directory { rootfs, layers = { layer } }, 1000
  run(who, options, "/opt/" .. PING)
end
run_file("file capability, no_new_privs", { capabilities = { add = { "net_raw" } } })
run_file("file capability", { capabilities = { add = { "net_raw" } }, no_new_privs = false })
run_file("file capability, net_raw not in the bounding set", { no_new_privs = false })
sys.mount.remove_tree(layer)
