-- execution.lua: a further process in a container that runs.
--
-- The process that luabox clones for it joins the container step by step, in the order that trust dictates, and starts the command last, as an
-- init does: it stands outside of the container's pid namespace, unseen by the container, reaps the command and passes signals on.
--
--   as the host      cgroups (by clone), the container's namespaces and "/" as descriptors, the user, label and limits, all by the host's /proc
--   joined           user namespace, terminal, the other namespaces: from here on no path of /proc is used
--   confined         limits, keyring, no_new_privs, ids, capabilities, the filter, the working directory
--   seen from inside the command's own process: confined, not dumpable, without luabox's memory, with descriptors 0 to 2
local sys = require "luabox.sys"
local confinement = require "luabox.confinement"
local errors = require "luabox.errors"
local program = require "luabox.program"
local schema = require "luabox.schema"
local users = require "luabox.users"

---@class luabox.Execution
local Execution = {}
Execution.__index = Execution

-- What stands behind each: it is not within the reach of a script, which policies may govern. It leads to the container as the host has it.
local behind = setmetatable({}, { __mode = "k" })

function Execution:__tostring()
  local this = behind[self]
  local status = this.child:status()
  local how = status and (status.signal and "ended by signal " .. status.signal or "ended with " .. status.code) or "running"
  return ("<execution %s, process %d, %s>"):format(this.config.command[1], this.child:pid(), how)
end

--- Whether it has the terminal of who started it: nothing of it is to be read later.
function Execution:at_terminal()
  local this = behind[self]
  return this.terminal ~= nil and this.terminal ~= false and this.reader == nil
end

local execution = {}

function execution.is(value) return value ~= nil and behind[value] ~= nil end

--- Whether `value` is a process in a container whose streams are those of who started it: nothing of it is to be read later.
function execution.has_streams(value)
  local this = value ~= nil and behind[value]
  return this and this.reader == nil and not this.detach or false
end

local FIELDS = {
  env = schema.environment, cwd = schema.absolute, user = schema.either(schema.string, schema.integer), terminal = schema.boolean,
  stdin = schema.is "string", capture = schema.either(schema.boolean, schema.word "all"), detach = schema.boolean, output = schema.string,
}

local function command_of(options, where)
  local command = {}
  for i = 1, table.maxn(options) do
    local word = options[i]
    if word == nil then errors.raise_at(where, "exec: expected a list without holes; item %d is nil", i) end
    if type(word) ~= "string" or word:find "%z" then errors.raise_at(where, "exec: expected strings as the command, got %s", tostring(word)) end
    command[i] = word
  end
  if #command == 0 or command[1] == "" then errors.raise_at(where, "exec: expected a command, such as { \"ps\" }") end
  return command
end

--- One that stays has nobody's streams: what would be held open, or stand still, when who started it goes.
local function check_together(options, where)
  local function refuse(key, message) errors.raise_at(schema.line_of_key(where, key), message) end
  if options.output and options.capture then refuse("output", "exec: output = FILE and capture can't both be meant") end
  if not options.detach then return end
  if options.terminal then refuse("terminal", "exec: what is detached has no terminal") end
  if options.capture then refuse("capture", "exec: what is detached can't be read from; output = FILE keeps what it writes") end
end

--- The container's configuration with what is asked for this one process.
local function configuration(container, options)
  local config = {}
  for key, value in pairs(container.config) do config[key] = value end
  config.env = {}
  for _, values in ipairs { container.config.env or {}, options.env or {} } do
    for name, value in pairs(values) do config.env[name] = value end
  end
  config.user, config.cwd = options.user or config.user, options.cwd or config.cwd or "/"
  config.terminal = options.terminal
  if options.stdin or options.capture or options.output or options.detach then config.terminal = options.terminal or false end
  return config
end

-- ---- inside

local function redirect(this)
  if this.stdin then sys.redirect(this.stdin, 0) end
  if this.writer then
    sys.redirect(this.writer, 1)
    if this.capture == "all" then sys.redirect(this.writer, 2) end
  end
end

local PATIENCE = 1  -- seconds

--- An ordinary user's are open to him once its init has become the small one, a moment after its command has begun.
local function namespaces_of(process)
  local last = sys.monotonic() + PATIENCE
  while true do
    local ok, found = errors.try(process.namespaces, process)
    if ok then return found end
    if sys.uid() == 0 or found.code ~= "EACCES" or sys.monotonic() > last then error(found, 0) end
    sys.sleep(0.001)
  end
end

local function join(this)
  local process = this.process
  local namespaces = namespaces_of(process)
  this.root = process:root()
  process:raise_limits()
  confinement.label(this)
  if not this.terminal then redirect(this) end
  sys.seal_streams(this.root)
  for _, namespace in ipairs(namespaces) do
    if namespace.kind == "user" then
      sys.setns(namespace.descriptor, { namespaces = "user" })
      users.step_of(this.config).enter(this)
    end
  end
  this.user = users.lookup(this)
  if this.terminal then
    program.open_terminal(this)  -- takes all three
    redirect(this)
  end
  for _, namespace in ipairs(namespaces) do
    if namespace.kind ~= "user" then sys.setns(namespace.descriptor, { namespaces = namespace.kind }) end
  end
  process:adopt_limits()
end

--- The first process of a pid namespace ends only when all others there have: until then it is there, without namespaces, and nobody can join.
local function has_ended(process)
  if not process:alive() then return true end
  local ok, problem = errors.try(process.namespaces, process)
  return not ok and problem.code == "ESRCH"
end

local function inside(this, parent)
  this.parent = parent
  local ok, problem = errors.try(join, this)
  if not ok and has_ended(this.process) then
    errors.raise_at(this.where, "the container '%s' has ended", this.container.name)
  end
  if not ok then error(problem, 0) end
  confinement.narrow(this)
  program.enter_folder(this)
  if this.relay then this.relay:enter() end
  sys.refuse_foreign_sockets()
  sys.init(this.config.command, { environment = program.environment(this), session = true, terminal = this.terminal, filter = this.own_filter,
    joined = true, until_end = this.detach and this.process:pidfd() or nil, carried_from = this.carried_from, carried_to = this.carried_to })
end

-- ---- on the host

local OUTPUTS = { 1, 2 }

--- What both of its outputs go to. A regular file is not for what is in the container: it has a pipe, and what comes out is carried by luabox, or by
--- what stands in for the command where luabox goes.
local function open_output(this, path)
  this.writer, this.capture = sys.output_file(path), "all"
  if sys.file.kind(path) ~= "file" then return end
  if not this.detach then
    this.file, this.relay = this.writer, sys.relay(OUTPUTS, this.writer)
    return
  end
  this.carried_to = this.writer
  this.carried_from, this.writer = sys.pipe()
end

local function prepare(container, options, where)
  local config = configuration(container, options)
  config.command = command_of(options, where)
  local this = { container = container, config = config, where = where, granted = config.granted, process = container.process,
    capture = options.capture, detach = options.detach }
  this.terminal = program.wants_terminal(config)
  users.are_mapped(config)  -- to be known where /proc is the container's
  confinement.step.prepare(this)
  if options.stdin then this.stdin = sys.text_file(options.stdin) end
  if options.detach and not options.stdin then this.stdin = sys.text_file "" end
  if options.capture then this.reader, this.writer = sys.pipe() end
  if options.output or options.detach then
    open_output(this, options.output and require("luabox.mounts").resolve(options.output, where) or "/dev/null")
  end
  if not this.terminal and not options.detach then sys.open_up_pipes() end
  if not this.terminal and not options.detach and not options.output and options.capture ~= "all" then
    this.relay = sys.relay(options.capture and { 2 } or OUTPUTS)
  end
  return this
end

--- The descriptors that it has by these names, but the file that a relay leads to.
local function close(this, ...)
  for _, name in ipairs { ... } do
    local descriptor = this[name]
    this[name] = nil
    if descriptor and descriptor ~= this.file then descriptor:close() end
  end
end

local function bring_up(this)
  local cgroup = this.container:cgroup()
  -- What is born there stands still before it can tell of itself.
  if cgroup and cgroup:frozen() then errors.raise_at(this.where, "the container '%s' is frozen: nothing can join it", this.container.name) end
  this.child = sys.clone({ cgroup = cgroup, released = true }, function(parent) inside(this, parent) end)
  close(this, "writer", "carried_from", "carried_to")
  this.child:settle()
  if this.detach then this.child:detach() end
  local message, master = this.child:message()
  if message == "terminal" then this.master = master end
end

--- What it wrote is in the caller's files.
local function settled(this, status)
  local relay = this.relay
  this.relay = status and nil or relay
  if status and relay then
    this.file = nil
    relay:finish()
  end
  return status
end

--- What could not be started ends. Where its cgroup was frozen meanwhile it does so when that is thawed, and nobody waits for it.
local function abandon(this)
  errors.try(settled, this, true)
  if not this.child then return end
  this.child:kill "KILL"
  local ok, frozen = errors.try(function()
    local cgroup = this.container:cgroup()
    return cgroup and cgroup:frozen()
  end)
  if ok and frozen then this.child:detach() end
end

--- Starts a process in `container`, a luabox.RunningContainer. `options`: the command as a list; env, cwd, user, terminal; stdin = "text";
--- capture = true (its output, "all": its errors too) for output(); output = a file that both are appended to; detach = true: it stays when
--- luabox ends, up to the end of the container. Raises when it can't be started; then nothing is left of it.
---@return luabox.Execution
function execution.start(container, options)
  local where = errors.users_line(2, "exec") or "exec"
  if type(options) ~= "table" then errors.raise_at(where, "exec: expected a table, got %s", type(options)) end
  local checked = schema.check(options, FIELDS, { what = "exec", where = where })
  for i, word in ipairs(command_of(options, where)) do checked[i] = word end
  check_together(checked, where)
  if sys.policy.active() then
    local policy = require "luabox.policy"
    if checked.output then policy.require_files("output = FILE", where) end
    container, checked = policy.admit_exec(container, checked, where)
  end
  local this = prepare(container, checked, where)
  local ok, problem = errors.try(bring_up, this)
  if ok then
    local started = setmetatable({}, Execution)
    behind[started] = this
    return started
  end
  abandon(this)
  if has_ended(this.process) then errors.raise_at(where, "the container '%s' has ended", container.name) end
  error(problem, 0)
end

--- Passes signals on, and carries its terminal, until it has ended. Returns its exit status, 128 + N for a signal.
function Execution:stand_by()
  local this, signals = behind[self], sys.terminal.forward_signals()
  local ok, problem = errors.try(sys.terminal.supervise, { this.child }, signals, this.master and this.master:number())
  signals:release()  -- a script that goes on hears of its own signals again
  if not ok then error(problem, 0) end
  return settled(this, this.child:wait())
end

--- Waits for its end, at most `timeout` seconds. Returns the exit status, 128 + N for a signal; nil when the time is over.
function Execution:wait(timeout)
  local this = behind[self]
  return settled(this, this.child:wait(timeout))
end

--- The pid of the process that stands for it on the host: a signal to it reaches the command, and it ends with the command.
function Execution:pid()
  local this = behind[self]
  return this.child:pid()
end

--- Sends a signal to its command. Returns whether it was there.
function Execution:kill(signal)
  local this = behind[self]
  return this.child:kill(signal or "TERM")
end

--- What it wrote, up to its end, and its exit status. With capture only; once.
function Execution:output()
  local this = behind[self]
  if not this.reader then errors.raise "there is no output to read: exec { ..., capture = true }, and once" end
  local reader = this.reader
  this.reader = nil
  local text = reader:read(nil, this.child)  -- another process in there may keep the pipe open
  reader:close()
  return text, settled(this, this.child:wait())
end

return execution
