-- A system call filter of the script's own, on top of the default one: by the call, and by its arguments.
-- Prints what mkdir, a TERM and a KILL signal, and a sethostname that kills its caller, come to.
-- Needs root, and a root file system with busybox as its argument.
local rootfs = require("luabox.sys").file.absolute(arg[1] or "rootfs")

return container {
  rootfs = directory { rootfs, overlay = true },
  seccomp = {
    rules = {  -- the first that holds decides
      { names = { "mkdir", "mkdirat" }, action = "errno:EROFS" },
      -- The kernel takes a signal as an int: without the mask whatever stands in the upper half would decide.
      { name = "kill", action = "errno:EPERM", args = { { index = 1, op = "==", value = 9, mask = 0xffffffff } } },
      { name = "sync", action = "kill" },
    },
  },
  command = { "/bin/sh", "-c", [[
    mkdir /tmp/folder 2>&1
    sleep 60 & kill -KILL $! 2>&1 || kill -0 $! && echo "it lives"
    kill -TERM $!; wait $!; echo "TERM: $?"
    sync; echo "sync: $?" ]] },
}
