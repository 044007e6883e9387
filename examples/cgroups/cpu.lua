-- A fifth of a CPU: a process that spins is held to 20 %, however idle the machine is.
-- Prints the share of one CPU that it got in three seconds, or as many as its argument says.
-- Needs root, or a delegated cgroup of version 2.
local sys = require "luabox.sys"

local group = sys.cgroup.create("walk-cpu", { controllers = { "cpuacct" } })
group:write { cpu = "20%" }

local spinning = sys.clone({ cgroup = group }, function()
  sys.exec { "/bin/sh", "-c", "while :; do :; done" }
end)
spinning:release()

local start, used = sys.monotonic(), group:stats().cpu.usage
sys.sleep(tonumber(arg[1]) or 3)
print(("%.1f %% of a CPU"):format((group:stats().cpu.usage - used) / (sys.monotonic() - start) * 100))

group:kill()
spinning:wait()
