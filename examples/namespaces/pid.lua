-- A pid namespace: the first process in it is 1, it sees no others, and all end with it.
-- Prints the pid inside; what ps sees before and after /proc is mounted anew; how many processes are left when 1 has died.
-- Needs procps (ps, pgrep).
local sys = require "luabox.sys"
local anyone = require "anyone"

local SHOW = 'echo "$0: I am $$, ps sees $(ps -e -o pid= | wc -l) processes, 1 is $(ps -o comm= 1)"'

-- A pid namespace changes what a number means, not what /proc shows: this one is still the host's.
anyone.clone("pid", function() sys.exec { "/bin/sh", "-c", SHOW, "old proc" } end):wait()

anyone.clone("pid mount", function()
  sys.mount.private "/"  -- or the host would get the new /proc as well
  sys.mount.proc "/proc"
  sys.exec { "/bin/sh", "-c", SHOW, "new proc" }
end):wait()

local SLEEP = "sleep 86399." .. sys.random(2):gsub("%a", "0")  -- told apart from all others
local function left() return io.popen(("pgrep -cxf '%s'"):format(SLEEP)):read "*n" end

local first = anyone.clone("pid", function()
  sys.exec { "/bin/sh", "-c", ("trap : TERM; %s & %s & %s & wait; wait"):format(SLEEP, SLEEP, SLEEP) }
end)
while left() < 3 do sys.sleep(0.05) end
print("while 1 lives: " .. left())
first:kill "KILL"
first:wait()
print("after its death: " .. left())
