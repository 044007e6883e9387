-- A network namespace: interfaces, addresses, routes and ports of its own. A new one has a loopback, and that is down.
-- Prints the interfaces inside, what a connection to 127.0.0.1 says before and after the loopback is up, and the interfaces outside.
-- Needs nothing.
local sys = require "luabox.sys"
local anyone = require "anyone"

local function show(who)
  for _, link in ipairs(sys.net.links()) do print(("%s: %s is %s"):format(who, link.name, link.up and "up" or "down")) end
  io.stdout:flush()
end

local CONNECT = "exec 2>&1; true < /dev/tcp/127.0.0.1/9"  -- nobody listens: "refused" is an answer

anyone.clone("net", function()
  show "inside"
  os.execute(("bash -c '%s'"):format(CONNECT))
  sys.net.up "lo"
  show "inside"
  sys.exec { "bash", "-c", CONNECT }
end):wait()
show "outside"
