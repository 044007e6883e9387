-- luabox run [OPTIONS] SCRIPT [ARG...] [-- COMMAND...]
local cli = require "luabox.cli"
local errors = require "luabox.errors"
local vocabulary = require "luabox.stdlib"

local run = { summary = "Run a container script.", options_first = true, words = { "scripts", "files" } }

local VALUED = { ["--name"] = "name", ["--trace"] = "trace", ["--output"] = "output", ["-o"] = "output" }
local SHORT_LIFE = 0.2  -- seconds: what runs longer is left to a monitor
local MOST_ARGUMENTS = 7000  -- what one call in LuaJIT can take, with room for what calls it

local DESCRIPTION = [[
Runs SCRIPT, a Lua script, and the container or list of containers that it returns. ARGs reach the script as ... and arg; COMMAND
replaces the container's command. The exit status is the command's, 128 + N if signal N ended it; 125 when luabox itself fails, 126 when
the command can't be executed, 127 when it isn't found.]]

local EXAMPLES = [[
luabox run box.lua                     the container that the script returns
luabox run box.lua -- /bin/sh -c id    with another command in it
luabox run -v --name web box.lua 8080  each primitive told; 8080 is the script's
luabox run -d -o web.log web.lua       in the background; what it writes goes to web.log]]

function run.parser()
  local parser = cli.parser("run", DESCRIPTION, EXAMPLES)
  parser:usage "Usage: luabox run [OPTIONS] SCRIPT [ARG...] [-- COMMAND...]"
  parser:option("--name", "Call the container NAME."):argname "NAME"
  parser:flag("-d --detach", "Return when its containers run, and print their names. They go on in the background, without input.")
  parser:option("-o --output", "Append what they write, errors too, to FILE; for --detach, which else throws it away."):argname "FILE"
  parser:flag("--seccomp", "Tell the system calls that the container's filter refuses, by name.")
  parser:option("--trace", "Write what each primitive did, and when, to FILE: see 'luabox trace'."):argname "FILE"
  local refuse = parser.error
  parser.error = function(self, message)
    local option, fields = message:match "^unknown option '([^']+)'", {}
    local reference = require "luabox.reference"
    for _, field in ipairs(option and reference.fields_of(reference.options_of "container") or {}) do fields[#fields + 1] = field.name end
    local said = option and require("luabox.synonyms").of_option(option, fields)
    refuse(self, said and ("unknown option '%s'%s"):format(option, said) or message)
  end
  return parser
end

--- The script's `arg`.
local function words_of(script, arguments)
  local words = { [0] = script }
  for i, word in ipairs(arguments) do words[i] = word end
  return words
end

--- A word of the vocabulary's, as a global that the script has not set itself.
local function word(_, name)
  local value = vocabulary[name]
  if value == nil then value = require("luabox.deprecations").word(name, vocabulary) end
  if value ~= nil then return value end
  local known = {}
  for each in pairs(vocabulary) do known[#known + 1] = each end
  errors.raise("there is no global '%s'%s", tostring(name), errors.suggestion(tostring(name), known))
end

--- Lua's own would leave what the script made: os.exit(child:wait()) ends everything, as the end of the script does.
local function exit(status)
  local sys = require "luabox.sys"
  if status ~= nil and type(status) ~= "boolean" and not tonumber(status) then
    errors.raise("os.exit: expected a number, true or false, got %s", require("luabox.schema").show(status))
  end
  if not sys.in_child() and package.loaded["luabox.lifecycle"] then require("luabox.lifecycle").destroy_all() end
  if not sys.in_child() and package.loaded["luabox.trace"] then require("luabox.trace").finish() end
  sys.exit(status == false and 1 or tonumber(status) or 0)
end

--- The vocabulary becomes global, and reading a global that is not there an error. Under policies the script gets a scope of its own
--- instead, which is returned.
function run.set_scope(script, arguments)
  setmetatable(_G, { __index = word })
  os.exit = exit
  local folder = run.name_of(script):match "^(.*/)[^/]*$" or "./"
  local sys = require "luabox.sys"
  if sys.policy.active() then
    local scope = require("luabox.sandbox").scope(vocabulary, folder, sys.policy.allowed())
    scope.arg = words_of(script, arguments)
    return scope
  end
  _G.arg = words_of(script, arguments)
  package.path = folder .. "?.lua;" .. folder .. "?/init.lua;" .. package.path
end

--- A file's text. Who knows docker names an image first.
local function text_of(script, read)
  local ok, text = errors.try(read, script)
  if ok then return text end
  if text.code == "ENOENT" and pcall(require("luabox.images").path, script) then
    text.message = ("%s (there is an image '%s': a script says rootfs = image \"%s\")"):format(text.message, script, script)
  end
  error(text, 0)
end

--- The text of a script; raises when it can be none. A first line "#!/usr/bin/env luabox run" is no Lua; the line stays, empty, so that the
--- others keep their numbers.
function run.read(script, read)
  local sys = require "luabox.sys"
  if script == "" then errors.raise "expected the name of a script, got ''" end
  if script ~= "-" and sys.file.kind(script .. "/.") == "directory" then errors.raise("%s is a folder, not a script", script) end
  local text = script == "-" and (io.read "*a" or "") or script ~= "-" and text_of(script, read)
  if text:match "^%s*$" then errors.raise("%s is empty, expected a script", script) end
  if text:sub(1, 1) == "\27" then errors.raise("%s is bytecode, expected a script in text", script) end
  return (text:gsub("^\239\187\191", ""):gsub("^#[^\n]*", ""))
end

--- What a script is called, and where its relative paths start: a pipe that a shell made of <(...) lies in no folder.
function run.name_of(script)
  local stream = script == "/dev/stdin" or script:match "^/dev/fd/%d+$" or script:match "^/proc/self/fd/%d+$"
  return stream and "-" or script
end

--- The script as a function; raises at the line where it is no Lua. Under policies it becomes the script that they are told of, unless `read`
--- is given.
---@param read? fun(path: string): string
function run.load(script, read)
  local sys = require "luabox.sys"
  local text = run.read(script, read or sys.policy.active() and sys.policy.read_script or sys.file.read)
  script = run.name_of(script)
  errors.script = { name = script, text = text }
  local chunk, problem = loadstring(text, "@" .. script)
  if chunk then return chunk end
  if text:find("\0", 1, true) then errors.raise("%s is a binary file, expected a script in text", script) end
  local where, message = problem:match "^(.-:%d+): (.*)$"
  errors.raise_at(where, "%s", message)
end

local function containers_of(script, result, second)
  local container = require "luabox.container"
  if container.is(result) and container.is(second) then
    errors.raise_at(script, "the script returned more than one container; expected a list of them: return { a, b }")
  end
  if result == nil then return {} end
  if container.is(result) then return { result } end
  if type(result) == "table" then
    for i, each in ipairs(result) do
      if not container.is(each) then errors.raise_at(script, "item %d of the list that the script returned is no container", i) end
    end
    if #result > 0 then return result end
  end
  errors.raise_at(script, "the script returned %s; expected a container, a list of containers, or nothing", type(result))
end

--- A script that forgets its `return` does nothing.
local function warn_of_unused()
  local container = package.loaded["luabox.container"]
  local where = container and container.unused()
  if where then
    require("luabox.sys").log.warning(where .. ": this container was made, and nothing started it: return container { ... } has it run")
  end
  return 0
end

--- There is one terminal, and nobody to say whose it is.
local function refuse_terminals(containers)
  for _, each in ipairs(#containers > 1 and containers or {}) do
    if each.config.terminal then
      errors.raise_at(require("luabox.schema").line_of_key(each.where, "terminal"),
        "container.terminal: of a list of several containers none has a terminal; one that is returned alone may")
    end
  end
end

--- A signal waits for the command that it is for. One that means to end it ends a start that goes on and on.
local function start_all(containers, signals)
  local lifecycle = require "luabox.lifecycle"
  refuse_terminals(containers)
  for _, each in ipairs(containers) do
    if #containers > 1 then each.config.terminal = false end
    lifecycle.signals_wait = true
    local ok, problem = errors.try(each.start, each)
    lifecycle.signals_wait = false
    local signal = not ok and errors.signal_of(problem)
    if signal then
      signals:pending()
      problem.message, problem.status = "interrupted by SIG" .. signal .. " while it was being started", errors.SIGNALLED[signal]
    end
    if not ok then error(problem, 0) end
  end
end

--- What a command was ended by, for `luabox why`.
local function keep(problem)
  local cause, remedy = require("luabox.causes").find(problem)
  require("luabox.failure").keep(problem, "run", cause, remedy)
end

--- They go on, and luabox with them; who called it does not wait any more.
local function leave_caller(containers)
  local sys = require "luabox.sys"
  local names = {}
  for i, each in ipairs(containers) do names[i] = each.name .. "\n" end
  sys.monitor.ready(table.concat(names))
  require("luabox.container").started(containers[1]).streams:use()  -- what luabox says later goes where its output does
end

--- Until all have ended. What stands by for long is luabox itself only where it must be.
local function stand_by(containers, signals, patience)
  local sys, processes = require "luabox.sys", {}
  local started = require("luabox.container").started  -- what was started, whatever a script made of the object
  for i, each in ipairs(containers) do processes[i] = started(each).process end
  local master = started(containers[1]).master
  if master then return sys.terminal.supervise(processes, signals, master:number()) end
  if sys.terminal.supervise(processes, signals, nil, patience) then return end
  if patience then require("luabox.monitor").become(containers, signals) end
  sys.terminal.supervise(processes, signals)
end

--- Takes away what have ended; returns the first exit status that is not 0.
function run.finish(containers)
  local sys = require "luabox.sys"
  local result = 0
  for _, each in ipairs(containers) do
    local status, reason, problem = each:wait()
    if reason then sys.log.error("killed: " .. reason) end
    if problem then pcall(keep, problem) end
    each:destroy()
    if result == 0 then result = status end
  end
  return result
end

--- Starts them, stands by until all have ended; returns the first exit status that is not 0. `patience`: after so many seconds they may be left to
--- a monitor.
local function run_all(containers, patience, detach)
  local sys = require "luabox.sys"
  local signals = sys.terminal.forward_signals()
  start_all(containers, signals)
  if detach then leave_caller(containers) end
  stand_by(containers, signals, patience)
  return run.finish(containers)
end

--- Runs them, and tells what their filters have refused.
local function run_observed(containers)
  local sys, refusals = require "luabox.sys", require "luabox.refusals"
  for _, each in ipairs(containers) do each.log_refused = true end
  local began, mark = os.time(), refusals.mark()
  local status = run_all(containers)
  local container, filters = require "luabox.container", {}
  for _, each in ipairs(containers) do filters[#filters + 1] = require("luabox.confinement").rules_of(container.started(each)) end
  local lines = refusals.report(began, mark, filters)
  if not lines then sys.log.warning "what was refused is in the kernel's log, which only root may read (kernel.dmesg_restrict)" end
  if lines and #lines == 0 then sys.log.warning "the kernel's log has no system call that was refused" end
  for _, line in ipairs(lines or {}) do sys.log.warning("refused " .. line) end
  return status
end

--- What the script returns. A signal that means to end luabox meanwhile ends the script: what it started is removed then.
local function run_script(chunk, arguments)
  local interrupts = require("luabox.sys").terminal.interrupts(1)
  local ok, result, second = errors.try(chunk, unpack(arguments))
  local signal = interrupts:clear()
  interrupts:release()
  if ok then return result, second end
  if signal and result.code == "EINTR" then result.message, result.status = "interrupted by SIG" .. signal, errors.SIGNALLED[signal] end
  error(result, 0)
end

--- What was said of a container that goes on in the background.
local function check_detached(chosen)
  if chosen.output and not chosen.detach then cli.refuse("run", "--output is for --detach; a shell's '> FILE' does it else") end
  if not chosen.detach then return end
  if chosen.trace then cli.refuse("run", "--detach and --trace can't both be meant") end
  if chosen.seccomp then cli.refuse("run", "--detach and --seccomp can't both be meant") end
  if chosen.output == "" then cli.refuse("run", "--output: expected the name of a file") end
  if chosen.output and require("luabox.sys").policy.active() then require("luabox.policy").require_files "--output" end
end

--- `last`: nothing comes behind it but luabox's end.
function run.run(arguments, last)
  local options, rest, command = cli.split(arguments, VALUED)
  local script = table.remove(rest, 1)
  local chosen = cli.plain(options, VALUED) or cli.parse(run.parser(), options)
  if not script then cli.refuse("run", "expected a script") end
  if command and #command == 0 then cli.refuse("run", "expected a command after --") end
  if #rest > MOST_ARGUMENTS then cli.refuse("run", "a script takes at most %d arguments, got %d", MOST_ARGUMENTS, #rest) end
  check_detached(chosen)
  if chosen.detach and not last then cli.refuse("run", "--detach is for the command line: what calls 'run' goes on behind it") end
  local sys = require "luabox.sys"
  if chosen.detach and not sys.monitor.in_background() then return sys.monitor.run_in_background() end
  if chosen.detach then require("luabox.program").detach(chosen.output) end
  if chosen.trace and sys.policy.active() then require("luabox.policy").require_files "--trace" end
  if chosen.trace then require("luabox.trace").begin(chosen.trace) end
  local chunk = run.load(script)
  local scope = run.set_scope(script, rest)
  if scope then setfenv(chunk, scope) end
  cli.collect_garbage()
  local containers = containers_of(script, run_script(chunk, rest))
  if (command or chosen.name) and #containers ~= 1 then cli.refuse("run", "a command or a name needs a script that returns one container") end
  if command then containers[1].config.command = command end
  if chosen.name then require("luabox.container").rename(containers[1], chosen.name) end
  if #containers == 0 then return warn_of_unused() end
  if chosen.seccomp then return run_observed(containers) end
  return run_all(containers, last and (chosen.detach and 0 or SHORT_LIFE), chosen.detach)
end

return run
