-- lifecycle.lua: the order of steps, on both sides of clone.
--
-- A step is a table of hooks, all optional, each called with the running container:
--   namespaces  "mount net": what its enter needs
--   resources   what it will make outside the container, as a list for the record (state.lua); nothing is made yet
--   prepare     makes it; on the host, before there is a process
--   attach      on the host, while the process waits: id maps, network
--   ahead       true: its attach needs nothing of the process but its network namespace (lifecycle.network_of)
--   enter       inside; the last of them ends in exec
--   copied      whether enter needs a process that is a copy of this one: it may change what it finds in memory, or be stopped at any instruction
--   undo        for what is no resource: called in reverse order, always, if resources or prepare was about to be called
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"
local state = require "luabox.state"

local lifecycle = {}

-- Started and not yet destroyed, by their names: what a script forgot is ended with it.
local alive = {}

-- Counts the starts.
local starts = 0

--- Whether signals are held back while containers start, for their commands. Who starts them so sets it.
lifecycle.signals_wait = false

local gethook, sethook = debug.gethook, debug.sethook

--- What a script does in a step of its own may take any time: a signal that means to end luabox ends it. A hook that it sets stays.
local function interruptibly(f, ...)
  local interrupts = sys.terminal.interrupts(1)
  local ok, result = errors.try(f, ...)
  local hook, mask, count = gethook()
  local signal = interrupts:clear()
  interrupts:release()
  if type(hook) == "function" then sethook(hook, mask, count) end
  if signal then error(errors.new { op = "start", path = "SIG" .. signal, code = "EINTR" }, 0) end
  if not ok then error(result, 0) end
  return result
end

--- Calls a step's hook; `key` is the field of the container that the step stands for, false for none: the library's own steps say so.
local function call(this, step, hook)
  local site = errors.site
  local start, own = site.start, step.key == nil
  site.where, site.key = this.where, step.key
  if own then site.start = nil end
  local result
  if own and lifecycle.signals_wait and hook ~= "enter" then result = interruptibly(step[hook], this) else result = step[hook](this) end
  site.start = start
  return result
end

local function each(this, hook)
  for _, step in ipairs(this.steps) do
    if step[hook] then call(this, step, hook) end
  end
end

local function namespaces_of(steps)
  local words, seen = {}, {}
  for _, step in ipairs(steps) do
    for word in (step.namespaces or ""):gmatch "%S+" do
      if not seen[word] then seen[word], words[#words + 1] = true, word end
    end
  end
  return table.concat(words, " ")
end

--- From here on the step's undo is called, once, whatever happens.
local function undo_later(this, step)
  if not step.undo or this.undos[step] then return end
  this.undos[step] = true
  this.undos[#this.undos + 1] = step
end

local function resources_of(this)
  local resources = {}
  for _, step in ipairs(this.steps) do
    if step.resources then undo_later(this, step) end  -- it may hold a lock already when it raises
    for _, resource in ipairs(step.resources and call(this, step, "resources") or {}) do
      resources[#resources + 1] = resource
    end
  end
  return resources
end

--- Runs every undo, last first, then removes the resources. Returns the errors.
local function undo_all(this)
  local problems = {}
  for i = #this.undos, 1, -1 do
    local ok, problem = errors.try(this.undos[i].undo, this)
    if not ok then problems[#problems + 1] = problem end
  end
  this.undos = {}
  if this.record then
    for _, problem in ipairs(this.record:remove()) do problems[#problems + 1] = problem end
    this.record = nil
  end
  if alive[this.name] == this then alive[this.name] = nil end
  return problems
end

local function has(this, hook)
  for _, step in ipairs(this.steps) do
    if step[hook] then return true end
  end
  return false
end

--- Whether the process that is set up may share this one's memory, which stands still meanwhile: no step needs a copy, and nobody else is in its
--- pid namespace, who could look into it.
local function may_share(this, options)
  if not options.released or not (options.namespaces .. " "):find("pid ", 1, true) or sys.policy.active() then return false end
  for _, step in ipairs(this.steps) do
    if step.copied and step.copied(this) then return false end
  end
  return true
end

--- What a process that shares memory notes about the container is its own. One that fails before it has come to the command is made again, as a
--- copy, which tells what was wrong, and where; but not one that somebody has ended, or whose init could not leave the command to itself.
local function clone_sharing(this, options)
  options.vfork = true
  local process = sys.clone(options, function(parent) each(setmetatable({ parent = parent }, { __index = this }), "enter") end)
  options.vfork = nil
  local ok, problem = errors.try(process.settle, process)
  if ok then return process end
  if problem.op == "exec" or problem.op == "execveat" or problem.code == "EINTR" or (problem.path or ""):find "^signal " then error(problem, 0) end
end

--- Where a network namespace was made ahead, and nothing else is attached, that is done before there is a process, which is born in it.
local function attach_ahead(this)
  if not has(this, "attach") or sys.policy.active() then return end
  for _, step in ipairs(this.steps) do
    if step.attach and not step.ahead then return end
  end
  this.network = sys.take_network()
  if this.network then each(this, "attach") end
end

--- The container's network namespace, for sys.net.veth.
function lifecycle.network_of(this)
  return this.network and { fd = this.network:number() } or this.process:pid()
end

local function forget_network(this)
  if this.network then this.network:close() end
  this.network = nil
end

--- A process for which there is nothing to attach does not wait to be released.
local function clone(this)
  local options = { namespaces = namespaces_of(this.steps), cgroup = this.group, network = this.network,
    released = this.network ~= nil or not has(this, "attach") }
  local process = may_share(this, options) and clone_sharing(this, options)
  process = process or sys.clone(options, function(parent)
    this.parent = parent
    each(this, "enter")
  end)
  errors.site.where, errors.site.key = this.where, "command"
  forget_network(this)
  return process, options.released
end

-- What decides how a process runs in the container: for those that join it (running.lua).
local JOINED = { "user", "env", "cwd", "hostname", "capabilities", "seccomp", "no_new_privs", "apparmor", "keyring", "umask", "personality", "users",
  "command" }

--- What the record says of a container that runs: its first process, which its pid alone does not name, and its configuration.
local function description(this)
  local pid, config = this.process:pid(), { granted = this.granted }
  for _, field in ipairs(JOINED) do config[field] = this.config[field] end
  return { process = { pid = pid, started = sys.running.start_time(pid) }, config = config }
end

-- Containers of this process with a network of their own: who starts a second one may start a third.
local with_network = 0

--- Has the network namespace that the next clone wants made beside what comes before it.
local function prepare_network(this, started)
  local namespaces = namespaces_of(this.steps)
  if not namespaces:find "net" or namespaces:find "user" then return end
  if started then with_network = with_network + 1 end
  if not started or with_network > 1 then sys.network_ahead() end
end

local function bring_up(this)
  errors.site.where, errors.site.key = this.where, nil
  prepare_network(this)
  this.record = state.record(this.name)
  this.record:make(this.where)
  alive[this.name], this.began = this, os.time()
  this.record.facts = this.facts
  this.record:add(resources_of(this))
  for _, step in ipairs(this.steps) do
    undo_later(this, step)
    if step.prepare then call(this, step, "prepare") end
  end
  attach_ahead(this)
  errors.site.key = "command"
  local released
  this.process, released = clone(this)
  if not released then
    each(this, "attach")
    this.process:go()
  end
  this.described = description(this)
  this.record:describe(this.described)  -- this and the next beside the child, which has its own work
  state.collect_some()
  errors.site.key = "command"
  this.process:settle()
  this.record:publish()
  prepare_network(this, "started")
  this.steps = nil  -- what lives as long as the container is copied with each further clone
end

--- What a failed start was really about: a step may know better than the error (a memory limit, a process that died).
local function explain(this, problem)
  for _, step in ipairs(this.steps) do
    local known = step.failed and step.failed(this, problem)
    if known then return known end
  end
  require("luabox.mounts").by_name(this, problem)
  local config = this.config or {}
  if config.users then rawset(problem, "users", true) end
  if type(config.seccomp) == "table" then rawset(problem, "own_filter", true) end
  if config.rlimits and config.rlimits.nofile then rawset(problem, "own_nofile", true) end
  if problem.op == "exec" and not problem.where then problem.where = schema.line_of_key(this.where, "command") end
  -- Before there is a record it is about the state, which no line of the script's asked for.
  if this.record and this.record.lock and type(problem) == "table" and rawget(problem, "where") == nil then rawset(problem, "where", this.where) end
  return problem
end

--- Version 1 of cgroups holds SIGKILL back from what is frozen, which may be so in a cgroup that the container made below its own: all its
--- processes are ended there, or one would freeze the others again.
local function thaw(cgroup)
  for _, hierarchy in ipairs(cgroup:hierarchies()) do
    for _, controller in ipairs(hierarchy.version == 1 and hierarchy.controllers or {}) do
      if controller == "freezer" then return cgroup:kill() end
    end
  end
  if cgroup:frozen() then cgroup:thaw() end
end

--- Whether `signal`, a name or a number, is the one that nothing outlives.
function lifecycle.is_kill(signal) return signal == 9 or tostring(signal):upper():gsub("^SIG", "") == "KILL" end

--- Sends `signal` to a container's first process; returns whether it was there. SIGKILL ends also what is frozen.
function lifecycle.signal(process, cgroup, signal)
  local ok, there = errors.try(process.kill, process, signal)
  if not ok then
    there.message = there.message:gsub("^kill: argument 2: ", "kill: ")  -- as the primitive counts
    error(there, 0)
  end
  if cgroup and lifecycle.is_kill(signal) then errors.try(thaw, cgroup) end
  return there
end

--- Ends what a failed start has begun. Returns what is told of it.
local function give_up(this, problem)
  if problem.code == "EINTR" then collectgarbage() end  -- a lock that it came upon just when it was taken
  problem = explain(this, problem)
  forget_network(this)
  if this.process then
    lifecycle.signal(this.process, this.group, "KILL")
    errors.try(this.process.wait, this.process)
    this.process = nil
  end
  undo_all(this)
  return problem
end

--- Starts the container; it runs its command when this returns. Raises what any step raised, here or inside, and leaves nothing.
function lifecycle.start(this)
  this.undos, this.described = {}, nil
  starts = starts + 1
  local site = errors.site
  local around = site.start  -- a step of a script's may start another one
  site.start = starts
  local ok, problem = errors.try(bring_up, this)
  site.start = around
  if ok then return this end
  error(sys.terminal.undisturbed(give_up, this, problem), 0)
end

local function end_process(this)
  if not this.process or this.process:status() then return end
  lifecycle.signal(this.process, this.group, "KILL")
  this.process:wait()
end

--- Ends whatever still runs, and removes everything that the container had outside itself. Raises the first error, after all were tried.
function lifecycle.destroy(this)
  local ok, problem = errors.try(end_process, this)
  local problems = sys.terminal.undisturbed(undo_all, this)
  if not ok or problems[1] then error(not ok and problem or problems[1], 0) end
end

--- Whether no other containers are alive than `list`.
function lifecycle.are_all(list)
  local known = {}
  for _, this in ipairs(list) do known[this] = true end
  for _, this in pairs(alive) do
    if not known[this] then return false end
  end
  return true
end

--- Takes up a container that a luabox before this one has started: its steps are that one's.
function lifecycle.resume(this)
  this.undos = {}
  alive[this.name] = this
end

local function destroy_all()
  local names = {}
  for name in pairs(alive) do names[#names + 1] = name end
  if #names > 0 then collectgarbage() end  -- as in give_up
  for _, name in ipairs(names) do errors.try(lifecycle.destroy, alive[name]) end
end

--- Destroys what is still there. For the end of a script.
function lifecycle.destroy_all() sys.terminal.undisturbed(destroy_all) end

return lifecycle
