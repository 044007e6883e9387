-- A time namespace: how long the machine has been up, as processes in it are told. The time of day is the same everywhere.
-- Prints the seconds since boot and the time of day, outside and inside, where ten days were added.
-- Needs Linux 5.6.
local sys = require "luabox.sys"
local anyone = require "anyone"

--- A process tells what it sees. Not by os.execute: that shares its parent's memory for a moment, and with it the parent's clocks.
local function show(who)
  local process = sys.clone({}, function()
    sys.exec { "/bin/sh", "-c", 'echo "$0: up $(cut -d. -f1 /proc/uptime) s at $(date +%s)"', who }
  end)
  process:release()
  process:wait()
end

show "outside"
anyone.clone("", function()
  sys.unshare "time"  -- only the children to come are in it: offsets can be set until the first one is
  sys.security.dumpable "yes"  -- luabox isn't, and the /proc files of such a process are root's: nobody else could write them
  sys.time_offsets { boottime = 864000, monotonic = 864000 }
  show "inside"
  -- And `show` has just made one.
  local changed, why = pcall(sys.time_offsets, { boottime = 0 })
  print(changed and "changed again" or tostring(why))
  io.stdout:flush()
  sys.exec { "true" }
end):wait()
