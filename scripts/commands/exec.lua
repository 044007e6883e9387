-- luabox exec [OPTIONS] NAME COMMAND...
local exec = { summary = "Run a command in a container that runs.", options_first = true, words = { "container", "files" } }

local DESCRIPTION = [[
Runs COMMAND in the container NAME: in all its namespaces and its cgroup, confined as its own command is. The exit status is the command's,
128 + N if signal N ended it; 125 when luabox itself fails, 126 when the command can't be executed, 127 when it isn't found. The command
ends with luabox exec, and with the container.

With --detach it goes on in the background when luabox exec has started it, up to the container's end, and a number is printed: the pid of the
process that stands for it on the host. A signal to that process ("kill NUMBER") reaches the command, and it ends when the command ends;
with --output not before all that the command has left behind has ended or closed that, too.]]

local ENV = { "env" }
local VALUED = { ["-u"] = "user", ["--user"] = "user", ["-e"] = ENV, ["--env"] = ENV, ["-w"] = "cwd", ["--cwd"] = "cwd", ["-o"] = "output",
  ["--output"] = "output" }

local EXAMPLES = [[
luabox exec web ps                     a process beside the others
luabox exec -u user -w /tmp web sh     as the image's user, in its /tmp
luabox exec -e DEBUG=1 web env | sort  its streams are this shell's]]

function exec.parser()
  local parser = require("luabox.cli").parser("exec", DESCRIPTION, EXAMPLES)
  parser:usage "Usage: luabox exec [OPTIONS] NAME COMMAND..."
  parser:option("-u --user", "Run as USER: a name or number, with :GROUP if wanted; the container's own unless said."):argname "USER"
  parser:option("-e --env", "Set NAME=VALUE beside the container's environment."):argname "NAME=VALUE":count "*"
  parser:option("-w --cwd", "Begin in FOLDER; the container's own unless said."):argname "FOLDER"
  parser:flag("-t --terminal", "Give it a terminal, wherever this one's streams lead.")
  parser:flag("-i --interactive", "Let it read this one's input, as it always does: for hands that are used to -it.")
  parser:flag("-T --no-terminal", "Give it this one's streams as they are.")
  parser:flag("-d --detach", "Let it go on in the background, without input, and print what identifies it.")
  parser:option("-o --output", "Append what it writes, errors too, to FILE; for --detach, which else throws it away."):argname "FILE"
  return parser
end

local function refuse(...) require("luabox.cli").refuse("exec", ...) end

--- Options stand before NAME; all behind it is the command's.
local function split(arguments)
  local at = 1
  while arguments[at] and arguments[at]:sub(1, 1) == "-" do at = at + (require("luabox.cli").takes_value(arguments[at], VALUED) and 2 or 1) end
  local options, command = {}, {}
  for i, word in ipairs(arguments) do
    if i < at then options[i] = word elseif i > at then command[i - at] = word end
  end
  return options, arguments[at], command
end

local function environment(pairs_given)
  local values = {}
  for _, pair in ipairs(pairs_given or {}) do
    local name, value = pair:match "^([^=]+)=(.*)$"
    if not name then refuse("--env: expected NAME=VALUE, got '%s'", pair) end
    values[name] = value
  end
  return values
end

function exec.run(arguments)
  local options, name, command = split(arguments)
  local cli = #options > 0 and require "luabox.cli"
  local chosen = cli and (cli.plain(options, VALUED) or cli.parse(exec.parser(), options)) or {}
  if not name then refuse("expected a container's name") end
  if command[1] == "--" then table.remove(command, 1) end
  if #command == 0 then refuse("expected a command behind the name") end
  if chosen.terminal and chosen.no_terminal then refuse("--terminal and --no-terminal can't both be meant") end
  if chosen.cwd and chosen.cwd:sub(1, 1) ~= "/" then refuse("--cwd: expected an absolute path, got '%s'", chosen.cwd) end
  if chosen.detach and chosen.terminal then refuse("--detach and --terminal can't both be meant") end
  if chosen.output and not chosen.detach then refuse("--output is for --detach; a shell's '> FILE' does it else") end
  command.detach, command.output = chosen.detach, chosen.output
  command.user, command.cwd, command.env = chosen.user, chosen.cwd, environment(chosen.env)
  command.terminal = chosen.terminal and true or (chosen.no_terminal and false or nil)
  local started = require("luabox.running").find(name):exec(command)
  if not chosen.detach then return started:stand_by() end
  print(started:pid())
  return 0
end

return exec
