-- unshare: the process that calls it goes into the new namespaces itself; but into those of pid and time only the children that it makes then.
-- Prints hostname and pid of the process itself, of its first child, and what becomes of a second one when the first has ended.
-- Needs nothing.
local sys = require "luabox.sys"
local anyone = require "anyone"

anyone.clone("", function()
  local before = sys.pid()
  sys.unshare "uts pid"
  sys.sethostname "unshared"
  print("itself: on " .. sys.file.read("/proc/sys/kernel/hostname"):gsub("\n", "") .. ", pid " .. (sys.pid() == before and "as before" or "new"))
  io.stdout:flush()
  os.execute 'echo "first child: on $(uname -n), pid $$"'
  -- That one was process 1 of the namespace, and with it the namespace has ended.
  local child = pcall(sys.clone, {}, function() sys.exec { "true" } end)
  print("second child: " .. (child and "made" or "none can be made any more"))
  io.stdout:flush()
  sys.exec { "true" }
end):wait()
