-- luabox kill NAME [SIGNAL]
local cli = require "luabox.cli"

local kill = { summary = "Send a signal to a container's command.", words = { "container", "signal", "none" } }

local EXAMPLES = [[
luabox kill web                        asks it to end
luabox kill web KILL                   ends it
luabox kill web HUP                    whatever its command makes of that]]

function kill.parser()
  local parser = cli.parser("kill", "Sends SIGNAL, TERM if none is said, to the command of the container NAME. KILL ends the container.",
    EXAMPLES)
  parser:argument("name", "The container."):argname "NAME"
  parser:option("-s --signal", "The same as SIGNAL."):argname "SIGNAL"
  parser:argument("signal", "TERM, SIGTERM or 15."):argname "SIGNAL":args "?":target "signal_argument"
  return parser
end

local PATIENCE = 2  -- seconds

--- Who ends it may start another by its name next: its own luabox needs a moment to take away what it had.
local function await_end(name)
  local sys, state = require "luabox.sys", require "luabox.state"
  local last = sys.monotonic() + PATIENCE
  local function is_there()
    local ok, found = require("luabox.errors").try(state.find, name)
    return ok and found and found.alive
  end
  while is_there() and sys.monotonic() < last do sys.sleep(0.005) end
end

function kill.run(arguments)
  local options = cli.parse(kill.parser(), arguments)
  if options.signal and options.signal_argument then cli.refuse("kill", "--signal and SIGNAL can't both be meant") end
  local signal = options.signal or options.signal_argument or "TERM"
  signal = tonumber(signal) or signal
  local found = require("luabox.running").find(options.name)
  if not found:kill(signal) then
    require("luabox.errors").raise("the container '%s' has ended", options.name)
  end
  if require("luabox.lifecycle").is_kill(signal) then await_end(options.name) end
end

return kill
