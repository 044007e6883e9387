-- Parent and children: the limits of a cgroup hold for all below it together, and containers can be put below it too.
-- Prints what two children that spin got together of the parent's 40 %, what a child sees of the parent's CPUs, and a container that ends on
-- the parent's memory. Needs root, or a delegated cgroup of version 2; and a root file system with busybox as its argument.
local sys = require "luabox.sys"

local parent = sys.cgroup.create("walk-parent", { controllers = { "cpuacct" } })
parent:write { cpu = "40%", ["cpuset.cpus"] = "0", ["cpuset.mems"] = "0", memory = "100MB", swappiness = 0, pids = 20 }

--- A process in a cgroup of its own below the parent, that has no limits itself.
local function child(name, command)
  local group = sys.cgroup.create("walk-parent/" .. name)
  local process = sys.clone({ cgroup = group }, function() sys.exec { "/bin/sh", "-c", command } end)
  process:release()
  return process, group
end

local seen = child("look", "grep Cpus_allowed_list /proc/self/status")
seen:wait()

local one, first = child("one", "while :; do :; done")
local two, second = child("two", "while :; do :; done")
local start, used = sys.monotonic(), parent:stats().cpu.usage
sys.sleep(tonumber(arg[2]) or 3)
print(("together %.1f %% of a CPU"):format((parent:stats().cpu.usage - used) / (sys.monotonic() - start) * 100))
first:kill()
second:kill()
one:wait()
two:wait()

local box = container {
  rootfs = arg[1] or "./rootfs",
  cgroup_parent = "walk-parent",
  cgroup = { memory = "1GB" },  -- more than the parent has, and so of no use
  command = { "/bin/dd", "if=/dev/zero", "of=/dev/null", "count=1", "bs=200M" },
}
print("200 MB in a container", (box:run()))
