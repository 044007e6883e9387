-- A cgroup for perf: what `perf stat --cgroup` counts are the processes in it. Nothing is written; to be in it is all.
-- Prints the cgroup as perf takes it, below the mount of its hierarchy, and keeps a process in it until standard input ends.
-- Needs root, and perf_event on version 1, or any version 2.
local sys = require "luabox.sys"

local group = sys.cgroup.create("walk-perf", { controllers = { "perf_event" } })
local process = sys.clone({ cgroup = group }, function()
  sys.exec { "/bin/sh", "-c", "while :; do :; done" }
end)
process:release()
print(group:paths()[1])
io.stdout:flush()
io.read "*a"

group:kill()
process:wait()
