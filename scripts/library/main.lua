-- main.lua: from the command line to a command script; errors to one sentence and an exit status.
--
-- `luabox NAME ...` runs the command script NAME: an embedded one, or NAME.lua in LUABOX_PATH, ~/.config/luabox/commands or
-- /etc/luabox/commands. A command script returns { summary =, run = function(arguments) return exit_status end }.
local errors = require "luabox.errors"

local COMMANDS = {
  "run", "explain", "exec", "update", "kill", "stats", "list", "trace", "why", "image", "gc", "check-host", "repl", "check", "init", "help",
  "version",
}
local ALIASES = { ["--help"] = "help", ["-h"] = "help", ["--version"] = "version", ["-V"] = "version", ls = "list" }

-- What asks the policies of a site, or runs nothing of a script's. Where there are policies no other command is there.
local GOVERNED = {
  run = true, explain = true, exec = true, update = true, kill = true, stats = true, image = true, list = true, gc = true, policy = true,
  why = true, help = true, version = true, repl = true, check = true, trace = true, ["check-host"] = true,
}

COMMANDS[#COMMANDS + 1] = "policy"

local main = { COMMANDS = COMMANDS }

--- Under policies a command must be root's: it is part of what enforces them.
local function folders()
  if require("luabox.sys").policy.active() then return { "/etc/luabox/commands" } end
  local list = {}
  for folder in (os.getenv "LUABOX_PATH" or ""):gmatch "[^:]+" do list[#list + 1] = folder end
  local config = os.getenv "XDG_CONFIG_HOME" or (os.getenv "HOME" and os.getenv "HOME" .. "/.config")
  if config then list[#list + 1] = config .. "/luabox/commands" end
  list[#list + 1] = "/etc/luabox/commands"
  return list
end

--- The commands that a site has added: name -> file.
function main.site_commands()
  local sys, found = require "luabox.sys", {}
  for _, folder in ipairs(folders()) do
    for _, file in ipairs(sys.file.list(folder)) do
      local name = file:match "^([%w][%w_-]*)%.lua$"
      if name and not found[name] then found[name] = folder .. "/" .. file end
    end
  end
  return found
end

--- The command script called `name`; raises with the nearest known name.
function main.command(name)
  for _, known in ipairs(COMMANDS) do
    if known == name and not GOVERNED[name] and require("luabox.sys").policy.active() then
      errors.raise("under this site's policies there is no command '%s'", name)
    end
    if known == name then return require("luabox.commands." .. name) end
  end
  local site = main.site_commands()
  local policy = require("luabox.sys").policy
  if site[name] and policy.active() and not policy.trusted(site[name]) then
    errors.raise("%s: under this site's policies a command must belong to root, and others must not be able to write it", site[name])
  end
  if site[name] then
    local command = assert(loadfile(site[name]))()
    if type(command) ~= "table" or type(command.run) ~= "function" then
      errors.raise("%s: a command script returns { summary = ..., run = function(arguments) ... end }", site[name])
    end
    return command
  end
  local known = { unpack(COMMANDS) }
  for other in pairs(site) do known[#known + 1] = other end
  local said = name:find "%.lua$" and (" (did you mean 'run %s'?)"):format(name) or require("luabox.synonyms").of_command(name)
  require("luabox.cli").refuse(nil, "there is no command '%s'%s", name, said or errors.suggestion(name, known))
end

-- A command that could not be executed, as a shell tells it.
local EXEC_STATUS = { ENOENT = 127, EACCES = 126, ENOEXEC = 126, EISDIR = 126, ENOTDIR = 126, ELOOP = 126, EPERM = 126, E2BIG = 126,
  ENAMETOOLONG = 126, ETXTBSY = 126 }

--- Commands whose failures are no start's.
local NO_START = {}
for _, name in ipairs(COMMANDS) do NO_START[name] = name ~= "run" and name ~= "exec" end

--- The cause and what to do, where these are known; and what was wrong with a file of causes.
local function cause_of(problem)
  local causes = require "luabox.causes"
  local warnings = causes.load_site()
  local cause, remedy = causes.find(problem)
  return cause, remedy, warnings
end

--- A program that reads standard error gets one sentence; a person two more lines: at a terminal, with --debug, where LUABOX_HINTS is 1.
local function for_a_person()
  local cli, wanted = package.loaded["luabox.cli"], os.getenv "LUABOX_HINTS"
  if cli and cli.debug then return true end
  if wanted == "1" or wanted == "0" then return wanted == "1" end
  return require("luabox.sys").file.is_terminal(2)
end

--- Tells the error, and keeps it for `luabox why` when a start has failed. Nothing that goes wrong with what is known beyond the error may hide it.
local function tell(problem, arguments)
  local sys, cli = require "luabox.sys", package.loaded["luabox.cli"]
  local text, shown = tostring(problem):gsub("%z", "\\0"), for_a_person()
  local started = problem.op ~= "usage" and arguments[1] and not NO_START[arguments[1]]
  if shown or started then
    local ok, cause, remedy, warnings = pcall(cause_of, problem)
    if not ok then cause, remedy = nil, nil end
    for _, warning in ipairs(ok and shown and warnings or {}) do sys.log.warning(warning) end
    if shown and cause then text = ("%s\n  cause: %s\n  to do: %s"):format(text, cause, remedy) end
    if started and not sys.in_child() then pcall(function() require("luabox.failure").keep(problem, arguments[1], cause, remedy) end) end
  end
  if cli and cli.debug and problem.traceback then text = text .. "\n" .. problem.traceback end
  sys.log.error(text)
end

--- Calls `f` with what follows, which returns an exit status, and ends what is left. `arguments` are the command line that it stands for.
local function conclude(arguments, f, ...)
  local ok, status = errors.try(f, ...)
  if not ok then
    local problem = status
    local signal = not problem.status and errors.signal_of(problem)
    if signal then problem.message, problem.status = "interrupted by SIG" .. signal, errors.SIGNALLED[signal] end
    tell(problem, arguments)
    status = problem.status or (problem.op == "exec" and EXEC_STATUS[problem.code]) or 125
  end
  if package.loaded["luabox.lifecycle"] then require("luabox.lifecycle").destroy_all() end
  if package.loaded["luabox.trace"] then require("luabox.trace").finish() end
  local written, problem_of_output = io.stdout:flush()
  if written then return status end
  require("luabox.sys").log.error("standard output: " .. problem_of_output)
  return status == 0 and 125 or status
end

local function finish_resumed()
  local containers, wrong = require("luabox.monitor").resumed()
  local status = require("luabox.commands.run").finish(containers)
  if wrong then error(wrong, 0) end
  return status
end

--- Ends the containers that were left to a monitor; returns the exit status.
function main.resume() return conclude({ "run" }, finish_resumed) end

local function run_command(name, arguments)
  if name then
    local command = main.command(ALIASES[name] or name)
    -- What is the last that luabox does may be left to a monitor; a site's command goes on behind what it calls.
    if command == package.loaded["luabox.commands.run"] then return command.run(arguments, true) end
    return command.run(arguments) or 0
  end
  require("luabox.commands.help").run {}
  return 125
end

--- Runs the command line; returns the exit status.
return setmetatable(main, {
  __call = function(_, arguments)
    if arguments[1] == "-e" then table.insert(arguments, 1, "repl") end
    local name, rest = arguments[1], {}
    for i = 2, #arguments do rest[i - 1] = arguments[i] end
    return conclude(arguments, run_command, name, rest)
  end,
})
