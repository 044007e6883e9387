-- Devices: /dev/null is allowed, everything else denied; then /dev/zero is allowed too. Version 2 does it by an eBPF program.
-- Prints which of both opens, at each step.
-- Needs root.
local sys = require "luabox.sys"

local group = sys.cgroup.create "walk-devices"

local function try()
  local process = sys.clone({ cgroup = group }, function()
    sys.exec { "/bin/sh", "-c", "for d in null zero; do true < /dev/$d && echo $d opens; done 2>&1" }
  end)
  process:release()
  process:wait()
end

print "only c 1:3:"
group:write { devices = { "c 1:3 rwm" } }
try()
print "c 1:5 as well:"
group:write { devices = { "c 1:3 rwm", "c 1:5 r" } }
try()
