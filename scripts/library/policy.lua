-- policy.lua: a container as a site's rules see it, and what they make of it.
--
-- A request has the shape of container { ... }, completed and without aliases, so that a rule reads what a script could have written and what a
-- rule changes is checked as a script is. Only loaded where a site has policies.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local limit_names = require "luabox.limit_names"
local mounts = require "luabox.mounts"
local schema = require "luabox.schema"
local users = require "luabox.users"

local policy = {}

--- Whether nothing is started, and the rules only tell what they would do: see plan.lua.
policy.explaining = false

local explained = {}  -- name -> facts of a container that was only explained

--- What the record of the container `name` has for the rules.
function policy.facts(name)
  if policy.explaining then return explained[name] or {} end
  local found = require("luabox.state").find(name)
  return found and found.record.facts or {}
end

local DEEPEST = 20

--- A copy that shares no table, without functions and metatables: what a script did to its own can't reach it.
local function plain(value, depth)
  local kind = type(value)
  if kind == "function" or kind == "userdata" or kind == "thread" then return nil end
  if kind ~= "table" then return value end
  if depth > DEEPEST then errors.raise "container: the table is nested too deeply" end
  local copy = {}
  for key, each in next, value do copy[key] = plain(each, depth + 1) end
  return copy
end
function policy.plain(value) return plain(value, 0) end

-- ---- what is where

local function with_place(fields, path, places)
  local ok, place = errors.try(sys.policy.place, path)
  if ok and place then
    places[path] = place
    fields.device, fields.inode, fields.owner, fields.directory = place.device, place.inode, place.owner, place.directory
    return place.path
  end
  return path  -- nothing is there: the start itself will say so
end

--- The same for a folder that may be made only then: where it will be.
local function with_place_to_be(path, places)
  local found = with_place({}, path, places)
  local parent, name = path:match "^(.+)/([^/]+)$"
  if places[path] or not parent then return found end
  return with_place({}, parent, {}) .. "/" .. name
end

local function rootfs_of(root, where, places)
  local fields = policy.plain(root)
  fields.where = nil
  if root.kind == "image" then
    local ok, path = errors.try(require("luabox.images").path, root.name)
    fields.path = ok and with_place(fields, path, places) or nil
  else
    fields.path = with_place(fields, mounts.resolve(root.path, root.where or where), places)
  end
  for i, layer in ipairs(root.layers or {}) do fields.layers[i] = with_place({}, layer, places) end
  if root.persist then fields.persist = with_place_to_be(mounts.resolve(root.persist, root.where or where), places) end
  return fields
end

local function mount_of(mount, places)
  local fields = policy.plain(mount)
  fields.where = nil
  fields.type = mount.kind
  local function placed(path) return with_place({}, path, places) end
  if mount.kind == "bind" then fields.source = with_place(fields, mount.source, places) end
  for _, key in ipairs { "upper", "work" } do
    if mount[key] then fields[key] = placed(mounts.resolve(mount[key], mount.where)) end
  end
  for i, path in ipairs(mount.lower or {}) do fields.lower[i] = placed(mounts.resolve(path, mount.where)) end
  return fields
end

--- A namespace that is joined and is the host's own is "host", whatever path leads to it.
local function namespaces_of(this, places)
  local fields = policy.plain(this.namespaces)
  for kind, path in pairs(this.namespaces) do
    if path:sub(1, 1) == "/" then
      with_place({}, path, places)
      local own = sys.policy.place("/proc/self/ns/" .. kind)
      local joined = places[path]
      if joined and joined.device == own.device and joined.inode == own.inode then fields[kind] = "host" end
    end
  end
  return fields
end

--- The devices with what the container gets: the node that was looked at.
local function devices_of(this, places)
  local list = {}
  for i, wanted in ipairs(this.config.devices or {}) do
    local node = this.devices[i]
    list[i] = { path = with_place({}, wanted.path, places), name = wanted.name or node.name, access = wanted.access,
      type = node.type, major = node.major, minor = node.minor }
  end
  return list
end

--- Whether it can write the kernel's own settings, which are root's of the host: core_pattern names a program that the kernel starts.
local function writes_settings(this, placed)
  if this.config.users then return false end
  local paths = this.config.readonly_paths or mounts.READ_ONLY
  for _, path in ipairs(mounts.READ_ONLY) do
    local found = false
    for _, each in ipairs(paths) do found = found or each == path end
    if not found then return true end
  end
  for _, mount in ipairs(placed) do
    local top = mount.type == "bind" and (mount.source:match "^/[^/]*" or mount.source)
    if not mount.readonly and (top == "/" or top == "/proc" or top == "/sys") then return true end
    if mount.type == "sysfs" and mount.readonly == false then return true end
    if mount.type == "proc" and mount.target ~= "/proc" and this.config.readonly_paths then return true end
  end
  return false
end

--- Whether it could do on the host what root can. In a user namespace of its own it could not open the host's files by their handles, nor change
--- the host's network by the other end of its interface, whose namespace it has a number for, nor read the kernel's memory by its own programs
--- in it or by what it counts.
local function is_privileged(this, placed)
  local config = this.config
  if writes_settings(this, placed) then return true end
  local on_host = { dac_read_search = not config.users, bpf = not config.users, perfmon = not config.users,
    net_admin = not config.users and (type(config.network) == "table" or this.namespaces.net ~= "new") }
  if config.capabilities == "all" then return true end
  for _, name in ipairs(this.granted) do
    if name == "sys_admin" or name == "sys_module" or name == "sys_rawio" or name == "sys_ptrace" or on_host[name] then return true end
  end
  -- A filter that lets everything pass but what it names is as good as none.
  local filter = type(config.seccomp) == "table" and tostring(config.seccomp.default) or ""
  return config.seccomp == "unconfined" or filter == "allow" or filter == "log" or filter:match "^trace" ~= nil
end

local function limits_of(this)
  local ok, result = errors.try(limit_names.values, this.config.cgroup or {})
  if ok then return result end
  result.where = schema.line_of_key(this.where, "cgroup")
  error(result, 0)
end

--- The request for the container `this`, whose table was checked.
function policy.request(this, name)
  local config = this.config
  local request = policy.plain(config)
  request.device_rules, request.auto_users = nil, nil
  if config.auto_users then request.users = "auto" end
  if type(request.users) == "table" then request.users.setgroups = nil end  -- follows from the maps
  request.name, request.hostname = name, this.named_host and config.hostname or nil
  this.agreed = {}  -- path -> what was found there
  request.rootfs = rootfs_of(config.rootfs, this.where, this.agreed)
  request.image = config.rootfs.kind == "image" and config.rootfs.name or nil
  request.mounts = {}
  for i, mount in ipairs(this.all_mounts) do request.mounts[i] = mount_of(mount, this.agreed) end
  request.namespaces = namespaces_of(this, this.agreed)
  request.namespaces.user = config.users and "new" or "host"
  request.network = policy.plain(config.network) or "none"
  if request.network == "none" and request.namespaces.net == "host" then request.network = "host" end  -- by a path to it, too
  if type(request.network) == "table" then request.network.where = nil end
  request.cgroup = limits_of(this)
  if request.cgroup.pids == nil and not (config.cgroup and (config.cgroup.pids or config.cgroup["pids.max"])) then
    request.cgroup.pids = require("luabox.limits").PIDS
  end
  request.capabilities = policy.plain(this.granted)
  request.ambient = sys.security.capability_names(type(config.capabilities) == "table" and config.capabilities.ambient or {})
  request.user = tostring(config.user or "root")
  request.seccomp = request.seccomp or "default"
  request.no_new_privs = config.no_new_privs ~= false
  request.labels, request.env = request.labels or {}, request.env or {}
  request.devices, request.rlimits, request.sysctl = devices_of(this, this.agreed), request.rlimits or {}, request.sysctl or {}
  request.privileged = is_privileged(this, request.mounts)
  request.steps = #this.own_steps
  return request
end

--- Files are written with luabox's rights, which under policies may be more than the caller's: one that the command line or a script names takes the
--- word that a script's own writing takes.
function policy.require_files(what, where)
  if not sys.policy.active() or sys.policy.allowed().files then return end
  errors.raise_at(where, "this site's policies don't allow %s: a rule would have to say allow { \"files\" }", what)
end

-- ---- asking

--- The containers that this user has now, for quotas, but for the one that the request is about.
local function running(uid, login, asked)
  local list = {}
  for _, each in ipairs(require("luabox.state").list()) do
    local record = each.record.facts or {}
    if each.alive and each.name ~= asked and (record.login and record.login == login or not record.login and record.uid == uid) then
      list[#list + 1] = { name = each.name, labels = record.labels or {}, image = record.image, memory = record.memory }
    end
  end
  return list
end

--- "the policy 'ceiling' (10-site.lua:4)": those that changed the request.
local function changers(report)
  local names = {}
  for _, entry in ipairs(report) do
    if entry.verdict == "changed" then names[#names + 1] = ("the policy '%s' (%s)"):format(entry.rule, entry.file) end
  end
  return table.concat(names, " and ")
end

--- What `decide` makes of the request. Where rules changed it, `revised` makes of that what a script would have got, and the checks are about
--- what comes out. Raises what is wrong with a change, with the names of the rules.
---@param decide fun(kind: string, request: table, report?: table[]): table
---@param revised fun(changed: table): table
function policy.decided(decide, kind, request, revised)
  local answer = decide(kind, request)
  if not answer.again then return answer end
  local ok, result = errors.try(revised, answer.request)
  if not ok then
    result.message = ("%s (with what %s made of it)"):format(result.message, changers(answer.report))
    error(result, 0)
  end
  for _, key in ipairs { "caller", "script", "time", "pid", "running" } do result[key] = request[key] end
  local checked = decide(kind, result, answer.report)
  checked.request = result
  return checked
end

--- Asks about something whole. Returns the answer; raises the refusal, at the line that made the container.
---@return { request?: table, report?: table[] }
function policy.ask(kind, request, where, revised)
  errors.site.where, errors.site.key = where, nil
  if sys.policy.needs "running" then
    local caller = sys.policy.caller()
    request.running = running(caller.uid, caller.login, request.name)
  end
  local ok, answer = errors.try(policy.decided, sys.policy.decide, kind, request, revised)
  if ok then return answer end
  answer.where = where
  error(answer, 0)
end

--- `methods` of `object`, and no others.
local function narrowed(object, methods)
  local result = {}
  for _, name in ipairs(object and methods or {}) do result[name] = function(_, ...) return object[name](object, ...) end end
  return object and result
end

-- No device nodes: what devices it has is for the rules to say.
local ROOT = { "kind", "list", "read", "write", "make_directory", "symlink", "chown", "chmod", "remove", "ensure_target" }
local PROCESS = { "pid", "kill", "status", "wait" }

--- The first process of the container `this` as its script has it.
function policy.process_view(this) return this.narrow and narrowed(this.process, PROCESS) or this.process end

--- Texts cross to the parent, no descriptors: one that luabox holds is not the script's to be given, as a terminal or anything else.
local function sender(parent)
  return parent and { send = function(_, text) parent:send("step: " .. tostring(text)) end }
end

--- What a step of the script's own is given: nothing of the library's, and of the primitives what a container's command could do as well.
local function view(this)
  local all = not this.narrow
  return { config = policy.plain(this.config), name = this.name, id = this.id, cgroup = this.cgroup,
    root = all and this.root or narrowed(this.root, ROOT), process = policy.process_view(this),
    parent = all and this.parent or sender(this.parent) }
end

local function own_steps(steps)
  local result = {}
  for i, step in next, type(steps) == "table" and steps or {} do
    local own = { namespaces = type(step.namespaces) == "string" and step.namespaces or nil }
    for _, hook in ipairs { "prepare", "attach", "enter", "undo" } do
      local f = step[hook]
      if type(f) == "function" then own[hook] = function(this) f(view(this)) end end
    end
    result[i] = own
  end
  return result
end

--- What the record keeps of it, for quotas and updates.
local function facts_of(request)
  local caller = sys.policy.caller()
  return { uid = caller.uid, login = caller.login, labels = request.labels, image = request.image, memory = request.cgroup.memory,
    limits = request.cgroup }
end

--- The container that a changed request stands for; `asked` is the request as it was.
function policy.revised(this, asked, changed, remade, begin)
  local config = require("luabox.revision").config(changed, asked, this)
  local result = remade(config, { where = this.where, own_steps = this.own_steps, named_host = changed.hostname ~= nil })
  begin(result)
  result.name, result.id = this.name, this.id
  if not this.named_host and not changed.hostname then result.config.hostname = this.name end
  return result
end

--- The container that is to be started in the place of `self`: a copy, as the rules agreed to it, `narrow` where its script has no primitives. Raises
--- what they refuse.
---@param remade fun(config: table, self: table): table
---@param begin fun(container: table)
function policy.admit(self, remade, begin)
  local copy = remade(policy.plain(self.config), self)
  copy.own_steps = own_steps(copy.own_steps)
  local narrow = not sys.policy.allowed().primitives
  begin(copy)
  local asked = policy.request(copy, copy.name)
  local agreed = copy
  local answer = policy.ask("run", asked, copy.where, function(changed)
    agreed = policy.revised(copy, asked, changed, remade, begin)
    return policy.request(agreed, copy.name)
  end)
  local request = answer.request or asked
  copy = agreed
  copy.facts, copy.narrow, copy.told_persist = facts_of(request), narrow, request.rootfs.persist
  if policy.explaining then explained[copy.name] = copy.facts end
  if copy.config.rootfs.kind == "directory" and request.rootfs.inode then  -- a symlink on the way decides nothing any more
    copy.agreed[request.rootfs.path] = copy.agreed[copy.config.rootfs.path]
    copy.config.rootfs.path = request.rootfs.path
  end
  return copy
end

local EXEC = {
  command = schema.list(schema.string), env = schema.environment, cwd = schema.absolute, terminal = schema.boolean, user = users.check_user,
  capabilities = schema.list(schema.string),
}

local function revised_exec(changed)
  local fields = {}
  for key in pairs(EXEC) do fields[key] = changed[key] end
  for key, value in pairs(schema.check(fields, EXEC, { what = "exec", where = "exec" })) do changed[key] = value end
  changed.user, changed.capabilities = tostring(changed.user), sys.security.capability_names(changed.capabilities)
  if #changed.command == 0 then errors.raise "exec.command: expected a command" end
  return changed
end

--- A further process in a container: the container as its record has it, whatever the script made of the object, and the options as the
--- rules agreed to them. Raises what they refuse.
function policy.admit_exec(container, options, where)
  local found = policy.explaining and container or require("luabox.running").find(container.name)
  local facts = policy.facts(found.name)
  local request = { name = found.name, command = { unpack(options) }, env = policy.plain(options.env or {}), cwd = options.cwd,
    user = tostring(options.user or found.config.user or "root"), terminal = options.terminal, labels = facts.labels or {}, image = facts.image,
    capabilities = policy.plain(found.config.granted) }
  local changed = policy.ask("exec", request, where, revised_exec).request
  if not changed then return found, options end
  local result = { env = changed.env, cwd = changed.cwd, user = changed.user, terminal = changed.terminal, stdin = options.stdin,
    capture = options.capture, detach = options.detach, output = options.output, unpack(changed.command) }
  found.config.granted = changed.capabilities
  return found, result
end

local function revised_update(changed)
  if type(changed.cgroup) ~= "table" then errors.raise("update.cgroup: expected a table, got %s", type(changed.cgroup)) end
  changed.cgroup = limit_names.values(changed.cgroup)
  return changed
end

--- New limits of a container that runs, { name =, facts = }; the `facts` are made those that hold then. Returns what is to be written.
--- The request has the limits as they would be: those of the start, or of the last update, and the new ones. Raises what the rules refuse.
---@return table<string, any> limits
function policy.admit_update(container, limits, where)
  local facts, asked, wanted = container.facts or {}, limit_names.values(limits), {}
  local before = facts.limits or {}
  local now = policy.plain(before)
  for key in pairs(limits) do wanted[limit_names.of(key)] = true end
  for name in pairs(wanted) do now[name] = asked[name] end
  local request = { name = container.name, labels = facts.labels or {}, image = facts.image, cgroup = now }
  local changed = policy.ask("update", request, where, revised_update).request
  local agreed, writes = changed and changed.cgroup or now, limits
  if changed then
    writes = {}
    for name in pairs(wanted) do writes[name] = agreed[name] == nil and "max" or agreed[name] end
    for name, value in pairs(agreed) do
      if value ~= before[name] then writes[name] = value end
    end
    for name in pairs(before) do
      if agreed[name] == nil then writes[name] = "max" end
    end
  end
  facts.limits, facts.memory = agreed, agreed.memory
  return writes
end

local IMPORT = { devices = schema.word("keep", "skip", "refuse"), owner = schema.word("keep", "own"), max_bytes = schema.size }

local function revised_import(changed)
  local fields = { devices = changed.devices, owner = changed.owner, max_bytes = changed.max_bytes }
  for key, value in pairs(schema.check(fields, IMPORT, { what = "import", where = "import" })) do changed[key] = value end
  return changed
end

--- An image that is to be imported. Raises what the rules refuse; `held` then leads to the archive that they were told of.
function policy.admit_import(import)
  local request, agreed = policy.plain(import), {}
  request.signals, request.progress = nil, nil
  if import.source ~= "-" then
    local facts = {}
    request.source = with_place(facts, import.source, agreed)
    request.device, request.inode, request.source_owner = facts.device, facts.inode, facts.owner
  end
  local changed = policy.ask("import", request, "image import", revised_import).request
  if changed then import.devices, import.owner, import.max_bytes = changed.devices, changed.owner, changed.max_bytes end
  if import.source ~= "-" then import.held = policy.held(import, import.source, agreed) end
end

--- Starts under a quota follow each other: two at once would each see the other not yet.
function policy.lock()
  local folder = require("luabox.state").folder()
  sys.file.make_directories(folder, { mode = 457 })
  return sys.file.lock(folder, { wait = true })
end

--- A folder that was made since: raises when it is not where the rules were told that it would be.
function policy.made(this, path, told)
  if policy.explaining or this.agreed[path] then return end
  local place = sys.policy.place(path)
  if place.path ~= told then errors.raise("%s is %s by now, and the policies were told of %s", path, place.path, told) end
  this.agreed[path] = place
end

local held_names = {}

--- An error of what was held speaks of the path that was asked for.
function policy.by_name(problem)
  for descriptor, path in pairs(held_names) do
    local pattern = descriptor .. "%f[%D]"
    rawset(problem, "message", (problem.message:gsub(pattern, function() return path end)))
    if problem.path then rawset(problem, "path", (problem.path:gsub(pattern, function() return path end))) end
  end
  return problem
end

--- What was checked is what is used: raises when `path` leads to another file by now than the one that the rules were told of.
---@return string path  that leads to this file and to nothing else
function policy.held(this, path, agreed)
  if policy.explaining then return path end  -- nothing is used
  local facts = (agreed or this.agreed)[path]
  if not facts then errors.raise("%s was not there when the policies were asked about the container", path) end
  local descriptor = sys.policy.hold(path, facts.device, facts.inode)
  this.descriptors = this.descriptors or {}
  this.descriptors[#this.descriptors + 1] = descriptor  -- as long as it is used
  local held = "/proc/self/fd/" .. descriptor:number()
  held_names[held] = path
  return held
end

return policy
