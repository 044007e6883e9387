-- Processes: at most five. A fork beyond that fails, whoever asks; a fork bomb stays small.
-- Prints how many of ten processes could be started, and what the kernel counted.
-- Needs root, or a delegated cgroup of version 2.
local sys = require "luabox.sys"

local group = sys.cgroup.create "walk-pids"
group:write { pids = 5 }

local process = sys.clone({ cgroup = group }, function()
  sys.exec { "/bin/bash", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 30 & done 2>/dev/null; wait" }
end)
process:release()
sys.sleep(1)
local pids = group:stats().pids
print(("%d of at most %d processes"):format(pids.current, pids.limit))

group:kill()
process:wait()
