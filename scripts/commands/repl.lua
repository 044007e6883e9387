-- luabox repl [SCRIPT [ARG...]]: a prompt with every primitive at hand.
local cli = require "luabox.cli"
local errors = require "luabox.errors"
local prompt_errors = require "luabox.prompt_errors"
local prompt_help = require "luabox.prompt_help"
local sys = require "luabox.sys"
local values = require "luabox.values"

local repl = { summary = "A prompt to try everything at.", words = { "scripts", "files" } }

local FAILED = 1
local MOST_HISTORY = 1000

local DESCRIPTION = [[
Runs what is typed, line by line, with the vocabulary of a container script and luabox.sys as `sys`. With SCRIPT, that is run first, and what it
returns is `c` (or `containers`), not started. What was started here ends with the prompt. Without a terminal the standard input is run
as a script; -e runs CODE. The exit status is 1 when something failed there.]]

local EXAMPLES = [[
luabox repl                            a prompt
luabox repl box.lua                    with the script's container as c
luabox repl --container web            with a container that runs as c
luabox -e 'sys.version()'              one line of Lua]]

function repl.parser()
  local parser = cli.parser("repl", DESCRIPTION, EXAMPLES)
  parser:argument("script", "Run this script first."):args "?":argname "SCRIPT"
  parser:argument("arguments", "Its arguments."):args "*":argname "ARG"
  parser:option("-e --execute", "Run CODE, print what it returns, and end."):argname "CODE"
  parser:option("--container", "Have the running container NAME as c."):argname "NAME"
  return parser
end

-- ---- the scope: what was set here, the vocabulary, Lua's own

local function running(name) return require("luabox.attachment").to(name) end

--- The environment of what is typed: own names first; reading what is nowhere is an error that names the nearest. Under policies `base` is the
--- scope of a script (library/sandbox), and what is typed has no more than that.
local function new_scope(base)
  local scope = { vocabulary = require "luabox.stdlib", own = {}, base = base }
  scope.tools = {
    sys = sys, running = running, exit = function(status) os.exit(status) end,
    help = function(...) prompt_help.help(scope, ...) end, doc = prompt_help.doc,
  }
  if base then
    local allowed, primitives = errors.try(base.require, "luabox.sys")
    scope.tools.sys = allowed and primitives or nil
  end
  function scope.get(name)
    local value = rawget(scope.own, name)
    if value == nil then value = scope.tools[name] end
    if value == nil then value = scope.vocabulary[name] end
    if value == nil then value = rawget(base or _G, name) end
    return value
  end
  function scope.names()
    local names = {}
    for _, from in ipairs { scope.own, scope.tools, scope.vocabulary, base or _G } do
      for name in next, from do
        if type(name) == "string" then names[#names + 1] = name end
      end
    end
    return names
  end
  setmetatable(scope.own, {
    __index = function(_, name)
      local value = scope.get(name)
      if value ~= nil then return value end
      if base and name == "sys" then return base.require "luabox.sys" end  -- it says what a policy would have to allow
      if base and require("luabox.sandbox").left_out(name) then return base[name] end
      local in_sys = pcall(function() return sys[name] end)
      local near = in_sys and (" (did you mean 'sys.%s'?)"):format(name) or errors.suggestion(tostring(name), scope.names())
      errors.raise("there is no '%s' here%s", tostring(name), near)
    end,
  })
  return scope
end

-- ---- what is typed, as functions

-- By the name of its chunk, for errors that tell a line: "[3]".
local texts = {}

local function keep(...) return ... end
local function collect(...) return { n = select("#", ...), ... } end

--- Compiles `text`: an expression, so that what it gives can be shown, or statements. nil and "incomplete", or nil and an error.
--- An expression is no tail call: an error in what it calls has the line.
local function compile(text, name, scope)
  texts[name] = text
  text = text:gsub("^(%s*)=", "%1")  -- as Lua's own prompt has it
  if text:sub(1, 1) == "\27" then return nil, errors.from(name .. ":1: this is bytecode, expected Lua in text") end
  -- The bracket stands on the text's last line, which is what an error's line would otherwise be beyond, unless a comment ends it.
  local call = "local keep = ... return keep(" .. text
  local chunk = loadstring(call .. ")", "@" .. name) or loadstring(call .. "\n)", "@" .. name)
  local problem
  if not chunk then
    -- A name that is made local at the prompt would be gone with its line: it becomes the prompt's own.
    local kept = text:match "^%s*local%s+(function%s.*)$" or text:match "^%s*local%s+([%a_][%w_,%s]*=[^=].*)$"
    chunk = kept and loadstring(kept, "@" .. name)
    if not chunk then chunk, problem = loadstring(text, "@" .. name) end
  end
  if chunk then return setfenv(chunk, scope.own) end
  local as_expression = select(2, loadstring("return " .. text, "@" .. name)) or ""  -- `1 +` begins no statement
  if problem:find "near '<eof>'$" or as_expression:find "near '<eof>'$" then return nil, "incomplete" end
  return nil, errors.from(problem)
end

--- Whether `value` is a process in a container that wants the prompt's terminal, or without a prompt its streams, and that nobody keeps.
local function wants_terminal(value, scope)
  local execution = package.loaded["luabox.execution"]
  if not (execution and execution.has_streams(value)) or scope.at_terminal and not value:at_terminal() then return false end
  for _, kept in next, scope.own do
    if rawequal(kept, value) then return false end
  end
  return true
end

--- Runs a chunk; shows what it gives. Returns whether it went well, and the error. A process that a line starts in a container and nobody keeps
--- has the prompt's terminal until its end.
local function run_chunk(chunk, name, scope)
  errors.script = { name = name, text = texts[name] }
  local ok, problem = errors.try(function()
    local result = collect(chunk(keep))
    if result.n == 0 then return end
    if wants_terminal(result[1], scope) then result[1] = result[1]:stand_by() end
    scope.own._ = result[1]
    local shown = {}
    for i = 1, result.n do shown[i] = values.show(result[i]) end
    if result.n > 1 or result[1] ~= nil then print(table.concat(shown, "\t")) end
  end)
  return ok, not ok and errors.from(problem) or nil
end

--- From now on Ctrl-C, SIGTERM and SIGHUP are errors in what runs, whose undoing follows.
local function catch_interrupts()
  jit.off()  -- a compiled loop does not see an interrupt
  jit.flush()
  require("luabox.interruptible").install()
  return sys.terminal.interrupts()
end

-- ---- without a terminal: -e and piped input

--- Lines as if they were typed; ends at the first error.
local function run_lines(text, scope)
  local pending, first, number = nil, 1, 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    pending = pending and pending .. "\n" .. line or ("\n"):rep(number - 1) .. line
    local chunk, problem = compile(pending, scope.source, scope)
    if chunk then
      local ok, raised = run_chunk(chunk, scope.source, scope)
      if not ok then return false, raised end
      pending, first = nil, number + 1
    elseif problem ~= "incomplete" then
      return false, problem
    end
  end
  if pending and pending:find "%S" then
    return false, errors.from(("%s:%d: the input ends within what begins here"):format(scope.source, first))
  end
  return true
end

--- All of it as one script if it is one, else line by line. Returns the exit status.
local function run_text(text, source, scope)
  scope.source = source
  text = text:gsub("^#[^\n]*", "")
  local interrupts = catch_interrupts()
  local chunk = compile(text, source, scope)
  local ok, problem
  if chunk then ok, problem = run_chunk(chunk, source, scope) else ok, problem = run_lines(text, scope) end
  local signal = interrupts:clear()
  interrupts:ignore()
  if not ok then
    texts[source] = text
    prompt_errors.tell(problem, texts, signal)
  end
  return signal and errors.SIGNALLED[signal] or ok and 0 or FAILED
end

-- ---- at a terminal

local function history_file()
  if sys.policy.active() then return nil end  -- no file is written with luabox's rights where a caller's HOME says
  local home = os.getenv "HOME"
  local folder = os.getenv "XDG_STATE_HOME" or (home and home .. "/.local/state")
  return folder and folder:sub(1, 1) == "/" and folder .. "/luabox/history" or nil
end

--- Gives the editor the lines of earlier prompts; returns a function that adds one. A history that can't be kept is told once.
local function open_history(editor)
  local file = history_file()
  if not file then return function(line) editor:remember(line) end end
  local ok, problem = errors.try(function()
    sys.file.make_directories(file:match "^(.*)/", { mode = 448 })
    local lines = {}
    for line in (sys.file.kind(file) and sys.file.read(file) or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
    local from = math.max(1, #lines - MOST_HISTORY + 1)
    if from > 1 or #lines == 0 then
      sys.file.write(file, #lines > 0 and table.concat(lines, "\n", from) .. "\n" or "", { mode = 384 })
    end
    for i = from, #lines do editor:remember(lines[i]) end
  end)
  if not ok then io.stderr:write("no history is kept: ", tostring(problem), "\n") end
  return function(line)
    editor:remember(line)
    local kept = ok and io.open(file, "a")
    if kept then
      kept:write(line, "\n")
      kept:close()
    end
  end
end

-- Words that are no Lua without their brackets, where the prompt has no such name of its own.
local BARE = { exit = "exit()", quit = "exit()", help = "help()" }

--- Reads one input, however many lines it has. Returns the text and a chunk or an error; nil at the end; "" when it was given up.
local function read_input(prompt, name, scope)
  local text
  while true do
    local pending = text and text .. "\n" or ""
    local line = prompt.editor:read(text and "      > " or "luabox> ", function(before)
      local start, words = require("luabox.completion").of(pending .. before, scope)
      return start - #pending, words
    end)
    local signal = prompt.interrupts:clear()
    if not line then
      print(signal == "INT" and "^C" or "")
      if signal == "INT" or (text and not signal) then return "" end
      return nil
    end
    text = pending .. line
    if not text:find "%S" then return "" end
    local bare = BARE[text:match "^%s*(%a+)%s*$"]
    if bare and rawget(scope.own, text:match "%a+") == nil then text = bare end
    local chunk, problem = compile(text, name, scope)
    if problem ~= "incomplete" then
      if not text:find("--", 1, true) then text = text:gsub("%s*\n%s*", " ") end
      for each in text:gmatch "[^\n]+" do prompt.remember(each) end
      return text, chunk, problem
    end
  end
end

--- run_chunk() at the prompt. An interrupt that is raised in what load() reads leaves LuaJIT's hook switched off; an error that passes through a
--- pcall from outside switches it on again, so there is always one.
local function run_interruptibly(chunk, name, scope)
  local ok, problem
  pcall(function()
    ok, problem = run_chunk(chunk, name, scope)
    error "done"
  end)
  return ok, problem
end

--- Until Ctrl-D. Returns the exit status.
local function converse(prompt, scope)
  scope.at_terminal = true
  prompt.remember = open_history(prompt.editor)
  print(("luabox %s: help() tells what is at hand, Ctrl-D ends."):format(sys.version()))
  local count = 1
  while true do
    local name = ("[%d]"):format(count)
    local text, chunk, problem = read_input(prompt, name, scope)
    if not text then return 0 end
    if text ~= "" then
      count = count + 1
      local ok = chunk ~= nil
      if ok then ok, problem = run_interruptibly(chunk, name, scope) end
      local signal = prompt.interrupts:clear()
      if not ok then
        prompt_errors.tell(problem, texts, signal)
      end
      if signal and signal ~= "INT" then return errors.SIGNALLED[signal] end
    end
  end
end

-- ---- the command

--- Runs the script; its containers are `c` and `containers`.
local function run_script(script, arguments, scope)
  -- Under policies it is no more than what is typed: what follows is not the script's, and no rule may take it for that.
  local chunk = require("luabox.commands.run").load(script, scope.base and sys.file.read)
  if scope.base then setfenv(chunk, scope.base) end
  local result = chunk(unpack(arguments))
  local container = require "luabox.container"
  if container.is(result) then scope.own.c = result end
  if type(result) == "table" and container.is(result[1]) then scope.own.c, scope.own.containers = result[1], result end
end

function repl.run(arguments)
  local options = cli.parse(repl.parser(), arguments)
  local scope = new_scope(require("luabox.commands.run").set_scope(options.script or "repl", options.arguments))
  if options.container then scope.own.c = running(options.container) end
  if options.script then run_script(options.script, options.arguments, scope) end
  if options.execute then return run_text(options.execute, "-e", scope) end
  if not (sys.file.is_terminal(0) and sys.file.is_terminal(1)) then return run_text(io.read "*a" or "", "input", scope) end
  local prompt = { interrupts = catch_interrupts(), editor = sys.terminal.editor() }
  local status = converse(prompt, scope)
  prompt.interrupts:ignore()
  return status
end

return repl
