-- Weights: of one CPU that two cgroups both want, the one with three times the shares gets the more of it.
-- Prints the CPU time that each got in three seconds, or as many as its argument says, and how they relate.
-- Needs root, or a delegated cgroup of version 2.
local sys = require "luabox.sys"

local both = sys.cgroup.create("walk-weight", { controllers = { "cpu", "cpuacct" } })

--- Starts a process that spins on CPU 0, in a cgroup with these shares. Version 2 has weights instead: 1024 are 100, 3072 are 243 by the
--- curve that crun and runc use too.
local function spin(name, shares)
  local group = sys.cgroup.create("walk-weight/" .. name, { controllers = { "cpuacct" } })
  group:write { ["cpu.shares"] = shares }
  local process = sys.clone({ cgroup = group }, function()
    sys.user.affinity { 0 }
    sys.exec { "/bin/sh", "-c", "while :; do :; done" }
  end)
  process:release()
  return group, process
end

local light, one = spin("light", 1024)
local heavy, other = spin("heavy", 3072)
local function used() return light:stats().cpu.usage, heavy:stats().cpu.usage end

local light_before, heavy_before = used()
sys.sleep(tonumber(arg[1]) or 3)
local light_after, heavy_after = used()
local a, b = light_after - light_before, heavy_after - heavy_before
print(("light %.2f s, heavy %.2f s: 1 to %.1f"):format(a, b, b / a))

both:kill()
one:wait()
other:wait()
