-- The freezer: a process that counts stands still, wherever it is in its code, and goes on as if nothing had been.
-- Prints how much CPU time it took in a second before, while it is frozen, and after.
-- Needs root, or a delegated cgroup of version 2.
local sys = require "luabox.sys"

local group = sys.cgroup.create("walk-freezer", { controllers = { "freezer", "cpuacct" } })
local process = sys.clone({ cgroup = group }, function()
  sys.exec { "/bin/sh", "-c", "while :; do :; done" }
end)
process:release()

local function used_in_a_second()
  local before = group:stats().cpu.usage
  sys.sleep(1)
  return group:stats().cpu.usage - before
end

print(("running: %.2f s of CPU"):format(used_in_a_second()))
group:freeze()
print(("frozen: %.2f s of CPU, state %s"):format(used_in_a_second(), group:read "freezer"))
group:thaw()
print(("thawed: %.2f s of CPU, state %s"):format(used_in_a_second(), group:read "freezer"))

group:kill()
process:wait()
