-- Memory: 64 KiB are too little to start in, and the error says so; a limit of 100 MB ends what takes more.
-- Prints the reason of the first, and of two commands that want 50 MB and 200 MB how they ended.
-- Needs root, or a delegated cgroup of version 2; and a root file system with busybox as its argument.
local rootfs = arg[1] or "./rootfs"

local small = container { rootfs = rootfs, cgroup = { memory = "64k" }, command = { "/bin/true" } }
local started, why = pcall(small.start, small)
print(started and "64k was enough" or tostring(why))

for _, size in ipairs { "50M", "200M" } do
  local box = container {
    rootfs = rootfs,
    cgroup = { ["memory.limit_in_bytes"] = 100000000, swappiness = 0 },
    command = { "/bin/dd", "if=/dev/zero", "of=/dev/null", "count=1", "bs=" .. size },  -- a buffer of that size
  }
  local status, reason = box:run()
  print(size, status, reason)
end
