-- Which CPUs and which memory nodes a process may use: only the first of each.
-- Prints what the process itself sees, and that it can't take itself another CPU.
-- Needs root, or a delegated cgroup of version 2 with cpuset.
local sys = require "luabox.sys"

local group = sys.cgroup.create "walk-cpuset"
group:write { ["cpuset.cpus"] = "0", ["cpuset.mems"] = "0" }

local process = sys.clone({ cgroup = group }, function()
  sys.exec { "/bin/sh", "-c", [[
    grep -E '(Cpus|Mems)_allowed_list' /proc/self/status
    [ "$(getconf _NPROCESSORS_CONF)" = 1 ] || taskset 2 true 2>/dev/null && echo "took CPU 1" || echo "CPU 1 is out of reach"
  ]] }
end)
process:release()
process:wait()
