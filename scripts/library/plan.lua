-- plan.lua: what a script would do, found by running it in a pretence: each primitive is noted, none reaches the engine.
--
-- A plan is a list of steps: { side = "host" | "inside", process =, primitive =, arguments = { ... }, result =, where =, writes = }. An
-- object of the engine's is { object = "mount1" } in arguments and result. What only reads answers from the kernel and is no step.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local plan_lines = require "luabox.plan_lines"
local schema = require "luabox.schema"

local plan = {}

-- Bookkeeping that changes nothing for the container: left out of a plan unless all is asked for.
local NOISE = {
  ["helper:wait"] = true, ["helper:output"] = true, ["lock:identity"] = true,
  ["file.lock"] = true, ["lock:release"] = true, ["terminal.forward_signals"] = true, ["terminal.supervise"] = true, ["relay"] = true,
  ["relay:enter"] = true, ["relay:finish"] = true, ["mount:root"] = true,
  ["process:settle"] = true, ["process:message"] = true, ["process:status"] = true, ["process:pid"] = true, ["process:pidfd"] = true,
  ["descriptor:number"] = true, ["descriptor:close"] = true, ["cgroup:hierarchies"] = true, ["cgroup:keep"] = true, ["cgroup:frozen"] = true,
  ["mount:is_directory"] = true, ["network_ahead"] = true, ["open_up_pipes"] = true, ["refuse_foreign_sockets"] = true,
  ["take_network"] = true, ["net.local_device"] = true,
  ["filter:size"] = true, ["root:pin"] = true,
}

local MOST_STEPS = 100000  -- a script that waits for what only a real run brings

-- What there is only in a real run: to ask one of these is to know nothing.
local LOOKS = { process = true, cgroup = true, helper = true, descriptor = true }

--- Luabox's own records, and what is there already.
local function is_noise(self, primitive, object, path)
  if NOISE[primitive] then return true end
  if primitive:find "^file%." or primitive == "mount.remove_tree" then
    return type(object) == "string" and (object .. "/"):sub(1, #self.folder + 1) == self.folder .. "/"
  end
  if primitive ~= "root:ensure_target" then return false end
  local ok, kind = pcall(object.kind, object, path, { follow = true })
  return ok and type(kind) == "string" and kind ~= ""
end

---@class luabox.Recorder
local Recorder = {}
Recorder.__index = Recorder

-- ---- naming objects

local function class_of(object)
  local meta = debug.getmetatable(object)
  return type(meta) == "table" and type(meta.__metatable) == "string" and meta.__metatable or "object"
end

function Recorder:name(object, name)
  if not self.names[object] then
    local class = class_of(object)
    self.counts[class] = (self.counts[class] or 0) + 1
    self.names[object] = name or class .. self.counts[class]
  end
  return self.names[object]
end

--- `value` as a step holds it: tables are copied, for the script may change its own later.
function Recorder:kept(value, depth)
  local kind = type(value)
  if kind == "userdata" then return { object = self:name(value), path = self.paths[value] } end
  if self.pids[value] then return { object = self.pids[value] } end
  if kind == "function" or kind == "thread" then return { object = kind } end
  if kind ~= "table" then return value end
  if depth > 6 then return { object = "..." } end
  local copy = {}
  for key, each in pairs(value) do
    if type(key) == "number" or type(key) == "string" then copy[key] = self:kept(each, depth + 1) end
  end
  return copy
end

-- ---- what some primitives answer: the pretence's own idea of what would follow

local answers = {}

-- What was pretended to be made: true for a folder, its text for a file. Of luabox's own state nothing else is there.
local made = {}
-- Interfaces and tables of the firewall that the plan has made, or false for those that it has taken away.
local links, tables = {}, {}

answers["file.make_directories"] = function(_, _, path)
  while path and path ~= "" do
    made[path] = made[path] or true
    path = path:match "^(.*)/[^/]+$"
  end
end
answers["file.make_directory"] = function(_, _, path) made[path] = true end
answers["file.write"] = function(_, _, path, text) made[path] = tostring(text) end
answers["file.remove"] = function(_, _, path)
  made[path] = nil
  return true
end
answers["mount.remove_tree"] = function(_, _, path)
  for each in pairs(made) do
    if each == path or each:sub(1, #path + 1) == path .. "/" then made[each] = nil end
  end
end
answers["file.temporary"] = function(self, _, prefix)
  self.counts.temporary = (self.counts.temporary or 0) + 1
  local path = ("%sexplain%d"):format(prefix, self.counts.temporary)
  made[path] = true
  self.unknown = "the folder that file.temporary makes is not there"
  return path
end

local BEYOND = 4194304  -- no kernel gives a process such a number

--- Runs `body` as the child would, up to its exec; what it raises is raised here, as it would be.
local function run_child(self, process, body)
  local outer = self.into
  self.into = { side = "inside", process = process }
  self.pending[process] = self.into
  local parent = { send = function() end }
  local thread = coroutine.create(body)
  local ok, problem = coroutine.resume(thread, parent)
  self.into = outer
  if not ok then
    problem = errors.from(problem)
    problem.traceback = problem.traceback or debug.traceback(thread)
    error(problem, 0)
  end
  if coroutine.status(thread) == "dead" then errors.raise "clone: the function returned; it must end in exec" end
end

function answers.clone(self, stand_in, _, body)
  local process = self:name(stand_in)
  if type(body) ~= "function" then errors.raise "clone: argument 2: expected a function" end
  self.after = function() run_child(self, process, body) end
  return stand_in
end

answers["process:wait"] = function() return 0 end
answers["process:kill"] = function() return true end

--- A program with a file for its number is ready when it is written, and stays; another has done its work.
function answers.helper(self, stand_in, list)
  for i, word in ipairs(list) do
    if word == "--pid" and list[i + 1] then made[list[i + 1]], self.serving[stand_in] = "1\n", true end
  end
  return stand_in
end
answers["helper:wait"] = function(self, _, helper) return not self.serving[helper] and 0 or nil end
answers["helper:kill"] = function(self, _, helper)
  self.serving[helper] = nil
  return true
end
answers["helper:output"] = function() return "" end
answers["process:message"] = function() return nil end
answers["process:pid"] = function(self, _, process)
  local number = BEYOND + tonumber(self:name(process):match "%d+$")
  self.pids[number], self.pids[tostring(number)] = self:name(process), self:name(process)
  return number
end
answers["terminal.open"] = function(_, stand_in) return stand_in, stand_in end
answers["lock:identity"] = function(self, _, lock) return self:name(lock) end
answers["net.local_device"] = function() return nil end  -- where the kernel could not say: an interface was going at that moment

answers["net.add"] = function(_, _, link) links[link.name] = { name = link.name, kind = link.kind, up = link.up or false, mac = link.mac } end
answers["net.remove"] = function(_, _, name) links[name] = false end
answers["net.firewall"] = function(_, _, options) tables[options.name] = true end
answers["net.remove_firewall"] = function(_, _, name) tables[name] = false end

answers["cgroup.create"] = function(self, stand_in, name, options)
  local paths = options and #(options.controllers or {}) > 0 and sys.cgroup.planned_paths(name, {}, options) or {}
  self.cgroups[stand_in] = { name = name, parent = options and options.parent, paths = paths }
  self:name(stand_in, "cgroup(\"" .. tostring(name) .. "\")")
  return stand_in
end

--- The files behind the keys.
answers["cgroup:write"] = function(self, _, cgroup, values)
  local known = self.cgroups[cgroup]
  local writes = sys.cgroup.plan(values, { name = known and known.name, parent = known and known.parent })
  for _, write in ipairs(writes) do
    if known then known.paths[#known.paths + 1] = write.path end
  end
  self.step.writes = writes
end

--- Those that a planned file lies in, as the real object says.
answers["cgroup:hierarchies"] = function(self, stand_in, cgroup)
  local found = {}
  for _, hierarchy in ipairs(sys.cgroup.host()) do
    for _, path in ipairs(self.cgroups[cgroup] and self.cgroups[cgroup].paths or {}) do
      if path:sub(1, #hierarchy.mount + 1) == hierarchy.mount .. "/" then
        found[#found + 1] = hierarchy
        break
      end
    end
  end
  return found or stand_in
end

answers["mount:root"] = function(self, stand_in, tree)
  self:name(stand_in, self:name(tree) .. ":root()")
  return stand_in
end

--- Whether a tree is a folder is what its source is.
answers["mount:is_directory"] = function(self, _, tree) return self.folders[tree] ~= false end
answers["mount.copy_of"] = function(self, stand_in, source)
  self.folders[stand_in] = sys.file.kind(tostring(source) .. "/.") == "directory"
  return stand_in
end

-- ---- recording

local ENDS = { exec = true, init = true, exit = true }
local RELEASES = { ["process:go"] = true, ["process:release"] = true, ["process:settle"] = true, ["process:wait"] = true, ["process:kill"] = true }

--- What runs inside stands where the process is let go.
function Recorder:flush(process)
  local inside = self.pending[process]
  if not inside then return end
  self.pending[process] = nil
  for _, step in ipairs(inside) do self.into[#self.into + 1] = step end
end

--- The line that asks: the script's own, or what the library works on.
function Recorder:place()
  local line = errors.users_line(3)
  local site = errors.site
  if line or not site.where then return line end
  if not site.key then return site.where end
  local name = site.where .. "\0" .. site.key
  self.lines[name] = self.lines[name] or schema.line_of_key(site.where, site.key)
  return self.lines[name]
end

--- Adds the step of a call. `hidden`: it is bookkeeping, as noise is.
function Recorder:note(hidden, primitive, ...)
  local arguments = {}
  for i = 1, select("#", ...) do arguments[i] = self:kept((select(i, ...)), 0) end
  local step = { side = self.into.side, process = self.into.process, primitive = primitive, arguments = arguments, where = self:place() }
  self.step = step
  self.count = self.count + 1
  if self.count > MOST_STEPS then errors.raise("the script goes on and on: more than %d steps, of which the last are %s", MOST_STEPS, primitive) end
  step.noise = hidden or is_noise(self, primitive, ...) or nil
  if self.all or not step.noise then self.into[#self.into + 1] = step end
  return step
end

function Recorder:add(...) return self:note(false, ...) end

--- A script that asks an object of the engine's goes on by an answer that isn't known here: it is a step that is seen only where that matters.
function Recorder:looked(primitive, ...)
  self.busy = true
  local step = self:note(true, primitive, ...)
  self.busy = false
  step.looks = true
  self.unknown = ("what %s%s answers is known only in a real run"):format(primitive, step.where and " at " .. step.where or "")
end

function Recorder:called(primitive, reads, stand_in, ...)
  if self.busy then return stand_in end
  local object = ...
  if primitive == "mount.root" then
    self:name(stand_in, "root(" .. plan_lines.show(tostring(object)) .. ")")
    self.paths[stand_in] = tostring(object)
    return stand_in
  end
  if reads and not answers[primitive] then
    if LOOKS[primitive:match "^(%a+):" or ""] and not NOISE[primitive] then self:looked(primitive, ...) end
    return stand_in
  end
  self.busy = true
  local step, result = self:add(primitive, ...), { stand_in }
  local answer, ok, problem = answers[primitive], true, nil
  if answer then
    local arguments = { ... }
    ok, problem = pcall(function() result = { answer(self, stand_in, unpack(arguments)) } end)
  end
  self.busy = false
  if not ok then error(problem, 0) end
  if type(result[1]) == "userdata" then step.result = { object = self:name(result[1]) } end
  if type(result[1]) == "string" then step.result = result[1] end
  if RELEASES[primitive] then self:flush(self:name(object)) end
  local after = self.after
  self.after = nil
  if after then after() end
  if ENDS[primitive] then return self.stop end
  return unpack(result)
end

-- ---- a site's policies

local recorder  -- the one that records now

--- What the rules made of a request is a step of its own, before what it is about.
function Recorder:decided(kind, answer)
  if self.busy then return end
  for _, entry in ipairs(answer.report or {}) do
    if entry.verdict ~= "passed" then
      self.into[#self.into + 1] = { side = self.into.side, process = self.into.process, primitive = "policy", arguments = {}, kind = kind,
        policy = entry, where = self:place() }
    end
  end
end

--- From here on the policies only tell what they would do. `told` hears of each answer: kind, request, answer.
local function ask_policies(told)
  require("luabox.policy").explaining = true
  sys.policy.explain(function(kind, request, answer)
    if recorder then recorder:decided(kind, answer) end
    if told then told(kind, request, answer) end
  end)
end

-- What the library does in the order of a table's names, which differs from one run to the next.
local UNORDERED = { ["root:mknod"] = true, ["root:symlink"] = true, ["user.rlimit"] = true }

--- Steps that follow one another and whose order means nothing, in the order of their text.
local function in_order(steps)
  local first = 1
  while first <= #steps do
    local last = first
    local name = steps[first].primitive
    while UNORDERED[name] and steps[last + 1] and steps[last + 1].primitive == name do last = last + 1 end
    local run = {}
    for i = first, last do run[#run + 1] = steps[i] end
    table.sort(run, function(a, b) return plan_lines.line(a) < plan_lines.line(b) end)
    for i = first, last do steps[i] = run[i - first + 1] end
    first = last + 1
  end
  return steps
end

--- Runs `body` in a pretence. Returns the steps, and what it raised. `options.all`: bookkeeping too.
---@return table[] steps, luabox.Error? problem
function plan.record(body, options)
  made, links, tables = {}, {}, {}
  local weak = { __mode = "k" }
  local self = setmetatable({
    all = options and options.all, folder = require("luabox.state").folder(), counts = {}, count = 0, pids = {},
    names = setmetatable({}, weak), paths = setmetatable({}, weak), serving = setmetatable({}, weak), cgroups = setmetatable({}, weak),
    folders = setmetatable({}, weak), pending = {}, lines = {}, into = { side = "host" },
  }, Recorder)
  local reopen = require("luabox.exits").close(function(...) self:add(...) end)
  recorder = self
  self.stop = sys.gate.pretend(function(...) return self:called(...) end)
  local steps, thread = self.into, coroutine.create(body)
  local ok, problem = coroutine.resume(thread)
  sys.gate.pretend(nil)
  recorder = nil
  reopen()
  self.into = steps
  for process in pairs(self.pending) do self:flush(process) end
  steps.side = nil
  in_order(steps)
  if ok then return steps end
  problem = errors.from(problem)
  problem.traceback = problem.traceback or debug.traceback(thread)
  if self.unknown then problem.message = ("%s (explain runs nothing: %s)"):format(problem.message, self.unknown) end
  return steps, problem
end

-- ---- a script's plan

--- What there is as if the plan had been carried out so far. Returns a function that puts all back.
local function settle_network()
  local find, firewalls = sys.net.find, sys.net.firewalls
  sys.net.find = function(name)
    if links[name] == nil then return find(name) end
    return links[name] or nil
  end
  sys.net.firewalls = function(wanted)
    local list = {}
    for _, name in ipairs(firewalls(wanted)) do
      if tables[name] == nil then list[#list + 1] = name end
    end
    for name, is_there in pairs(tables) do
      if is_there and (wanted == nil or name == wanted) then list[#list + 1] = name end
    end
    return list
  end
  return function() sys.net.find, sys.net.firewalls = find, firewalls end
end

--- The pair of a container that runs, or has just ended, stands in no plan's way: nothing is waited for, or removed.
local function ignore_others()
  local host_ends, local_device = require "luabox.host_ends", sys.net.local_device
  local function is_pair(device) return device ~= nil and device:find "^lb%x%x%x%x%x%x%x%x$" ~= nil end
  host_ends.alias = function() end  -- of what is made by hand there is no record
  host_ends.remove = is_pair
  sys.net.local_device = function(...)
    local device = local_device(...)
    return not is_pair(device) and device or nil
  end
  return function() sys.net.local_device = local_device end
end

--- The same of files. `folder` is luabox's state, in which nothing else is there.
local function settle_files(folder)
  local kind, read, list = sys.file.kind, sys.file.read, sys.file.list
  local function is_own(path) return type(path) == "string" and path:sub(1, #folder + 1) == folder .. "/" end
  sys.file.kind = function(path, ...)
    if made[path] then return made[path] == true and "directory" or "file" end
    if is_own(path) then return nil end
    return kind(path, ...)
  end
  sys.file.read = function(path, ...)
    if type(made[path]) == "string" then return made[path] end
    return read(path, ...)
  end
  sys.file.list = function(path, ...)
    if not made[path] and not is_own(path) then return list(path, ...) end
    local names = {}
    for each in pairs(made) do
      local name = each:sub(1, #path + 1) == path .. "/" and each:sub(#path + 2)
      if name and name ~= "" and not name:find "/" then names[#names + 1] = name end
    end
    table.sort(names)
    return names
  end
  return function() sys.file.kind, sys.file.read, sys.file.list = kind, read, list end
end

--- What differs from one start to the next, and what another luabox does at this moment, is no part of a plan.
local function settle_world(as_root)
  local state, count = require "luabox.state", 0
  local random, start_time, uid, gid, sleep = sys.random, sys.running.start_time, sys.uid, sys.gid, sys.sleep
  sys.sleep = function(seconds) recorder:add("sleep", seconds) end
  if as_root then
    sys.uid, sys.gid = function() return 0 end, function() return 0 end
  end
  sys.gate.pretend(function(_, _, stand_in) return stand_in end)  -- an ordinary user's folder may have to be made
  local found, folder = pcall(state.folder)
  sys.gate.pretend(nil)
  if not found then folder = "/run/user/" .. sys.uid() .. "/luabox" end
  state.folder = function() return folder end
  state.collect_some = function() end
  sys.running.start_time = function(pid) return pid > BEYOND and 0 or start_time(pid) end
  sys.random = function(bytes)
    count = count + 1
    return ("%0" .. 2 * bytes .. "x"):format(count)
  end
  local files_back, network_back, others_back = settle_files(folder), settle_network(), ignore_others()
  return function()
    sys.random, sys.running.start_time, sys.uid, sys.gid, sys.sleep = random, start_time, uid, gid, sleep
    files_back()
    network_back()
    others_back()
  end
end

--- The containers that a script returned, one after another: started, waited for, taken away.
local function run_containers(result, options)
  local container = require "luabox.container"
  local list = container.is(result) and { result } or type(result) == "table" and result or {}
  if (options.command or options.name) and not (#list == 1 and container.is(list[1])) then
    errors.raise "a command or a name needs a script that returns one container"
  end
  if options.command then list[1].config.command = options.command end
  if options.name then list[1].config.name = options.name end
  local started = {}
  for _, each in ipairs(list) do
    if container.is(each) then
      each:start()
      started[#started + 1] = container.started(each)
    end
  end
  for _, each in ipairs(list) do
    if container.is(each) then
      each:wait()
      each:destroy()
    end
  end
  return started
end

local function exit(status) sys.exit(tonumber(status) or 0) end

--- The plan of a script: steps, what was raised, and the containers as they were started. `run` knows how scripts are loaded:
--- { set_scope =, load = }. Where a site has policies, `options.policies` hears of each of their answers: kind, request, answer.
function plan.of(run, script, arguments, options)
  local heard = {}
  if sys.policy.active() then
    ask_policies(function(...) heard[#heard + 1] = { ... } end)  -- told behind the plan: what is printed in it is a step
  end
  local back, containers = settle_world(options and options.root), {}
  local before, path, loaded = {}, package.path, {}
  for name in pairs(_G) do before[name] = true end
  for name in pairs(package.loaded) do loaded[name] = true end
  local steps, problem = plan.record(function()
    local chunk = run.load(script)
    local scope = run.set_scope(script, arguments)
    _G.os.exit = exit
    if scope then
      setfenv(chunk, scope)
      rawset(scope.os, "exit", exit)
    end
    containers = run_containers(chunk(unpack(arguments)), options or {})
    if package.loaded["luabox.lifecycle"] then require("luabox.lifecycle").destroy_all() end
  end, options)
  back()
  for _, each in ipairs(options and options.policies and heard or {}) do options.policies(unpack(each, 1, 3)) end
  package.path = path
  setmetatable(_G, nil)
  for name in pairs(_G) do
    if not before[name] then _G[name] = nil end
  end
  for name in pairs(package.loaded) do
    if not loaded[name] and not name:find "^luabox" then package.loaded[name] = nil end
  end
  return steps, problem, containers
end

return plan
