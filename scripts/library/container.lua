-- container.lua: container { ... }: checks the table, and turns it into steps.
local sys = require "luabox.sys"
local confinement = require "luabox.confinement"
local errors = require "luabox.errors"
local etc = require "luabox.etc"
local lifecycle = require "luabox.lifecycle"
local limits = require "luabox.limits"
local mounts = require "luabox.mounts"
local network = require "luabox.network"
local program = require "luabox.program"
local rootfs = require "luabox.rootfs"
local schema = require "luabox.schema"
local users = require "luabox.users"

---@class luabox.Container
local Container = {}

-- What is made when it is asked for: its cgroup as a script has it, and what is mounted in it while it runs. These functions are not within a
-- script's reach: they are given what policies keep from it.
local views = {}
Container.views = { cgroup = true, mounts = true }  -- for completion

local HIDDEN = { views = true, __index = true }

function Container:__index(key)
  local view = views[key]
  if view then return view(self) end
  return not HIDDEN[key] and Container[key] or nil
end

local function name_like(pattern, expected)
  return function(value)
    if type(value) == "string" and value:match(pattern) and #value <= 64 then return value end
    return nil, expected
  end
end

--- A limit of a process: numbers as `one` takes them, for both bounds or for each.
local function rlimit(one, expected)
  local function amount(limit) return limit == "unlimited" and math.huge or limit end
  return function(value)
    local both = one(value)
    if both then return both end
    local soft, hard = type(value) == "table" and one(value.soft), type(value) == "table" and one(value.hard)
    if not soft or not hard then return nil, expected .. ", \"unlimited\" or { soft =, hard = }" end
    if amount(soft) > amount(hard) then return nil, "a soft limit that is not above the hard one" end
    return { soft = soft, hard = hard }
  end
end

local function count_of(limit) return (limit == "unlimited" or type(limit) == "number" and limit >= 0) and limit end
local function bytes_of(limit) return limit == "unlimited" and limit or (schema.size(limit)) end

-- prlimit(1) and getrlimit(2) have the same names.
local RLIMITS = {}
for name in ("cpu locks nice nofile nproc rtprio rttime sigpending"):gmatch "%l+" do RLIMITS[name] = rlimit(count_of, "a number") end
for name in ("as core data fsize memlock msgqueue rss stack"):gmatch "%l+" do
  RLIMITS[name] = rlimit(bytes_of, "a size such as 64MiB, a number of bytes")
end

--- Sysctls that belong to a namespace of the container's own; any other would change the host.
local function sysctl(value)
  local checked, expected, complete = schema.map(schema.either(schema.string, schema.integer))(value, "sysctl")
  if expected then return nil, expected, complete end
  for name in pairs(checked) do
    if not (name:match "^net%.[%w_.-]+$" or name:match "^kernel%.msg[%w_]+$" or name:match "^kernel%.shm[%w_]*$" or name == "kernel.sem"
        or name:match "^fs%.mqueue%.[%w_]+$") then
      return nil, "only names below net., kernel.msg*, kernel.shm*, kernel.sem and fs.mqueue. ('" .. name .. "' is the host's)", true
    end
  end
  return checked
end

--- A device's place in the container's /dev: "fuse", "dri/card0".
local function device_name(value)
  local inside = type(value) == "string" and not value:find "%z" and "/" .. value .. "/"
  if inside and not inside:find("//", 1, true) and not inside:find "/%.%.?/" then return value end
  return nil, "a name in /dev such as \"fuse\""
end

local function device(value)
  if type(value) == "string" and device_name(value:match "^/dev/(.*)$") then return { path = value } end
  if type(value) == "table" and value[1] == nil then
    local checked = schema.check(value, { path = schema.absolute, name = device_name, access = name_like("^[rwm]+$", "some of the letters rwm") },
      { what = "device" })
    if checked.path then return checked end
  end
  return nil, "a device of the host such as \"/dev/fuse\""
end

local function umask(value)
  local mode = type(value) == "string" and value:match "^[0-7]+$" and tonumber(value, 8)
  if mode and mode <= 511 then return value end
  return nil, "an octal mode up to \"777\", such as \"022\""
end

--- What a cgroup's key may hold; what the key makes of it is the engine's affair.
local function limit(value)
  local kind = type(value)
  if kind == "string" or kind == "number" or kind == "boolean" then return value end
  if kind == "table" then
    local checked, expected = schema.list(schema.either(schema.string, schema.is "number"))(value, "cgroup")
    if not expected then return checked end
  end
  return nil, "a number, a string, true or false, or a list of these"
end

local NAMESPACE = schema.either(schema.word("new", "host"), schema.absolute)

local FIELDS = {
  name = name_like("^[%w][%w_.-]*$", "letters, digits, '_', '.' and '-', at most 64"),
  hostname = name_like("^[%w][%w.-]*$", "letters, digits, '.' and '-', at most 64"),
  domainname = name_like("^[%w][%w.-]*$", "letters, digits, '.' and '-', at most 64"),
  rootfs = rootfs.check,
  mounts = schema.list(mounts.is_mount), default_mounts = schema.boolean,
  masked = rootfs.check_covered "masked", readonly_paths = rootfs.check_covered "readonly_paths",
  etc = schema.boolean, hosts = schema.list(etc.host), dns = schema.list(etc.address),
  cgroup = schema.map(limit),
  cgroup_parent = name_like("^[%w][%w_./-]*$", "the name of a cgroup that sys.cgroup.create made"),
  accounting = schema.boolean,
  network = network.check,
  namespaces = schema.fields { net = NAMESPACE, ipc = NAMESPACE, uts = NAMESPACE, pid = schema.word("new", "host"),
    cgroup = schema.word("new", "host") },
  users = users.check, user = users.check_user,
  command = schema.list(schema.string), env = schema.environment, cwd = schema.absolute,
  init = schema.boolean, terminal = schema.boolean,
  capabilities = confinement.check_capabilities, seccomp = schema.either(schema.word("default", "unconfined"), schema.table),
  no_new_privs = schema.boolean, apparmor = schema.string, keyring = schema.boolean,
  devices = schema.list(device), rlimits = schema.fields(RLIMITS), sysctl = sysctl,
  umask = umask, nice = schema.between(-20, 19),
  oom_score_adj = schema.between(-1000, 1000), personality = confinement.check_personality,
  labels = schema.map(schema.string),
}

--- What a script's function changes inside is not changed here.
local function copied() return true end

--- A step of the script's own: a table of hooks, or a function that runs inside.
local function own_step(step, where, number)
  if type(step) == "function" then return { enter = step, copied = copied } end
  if type(step) ~= "table" then
    errors.raise_at(where, "container: expected a function or a step as item %d of its list, got %s", number, schema.show(step))
  end
  local hooks = { namespaces = schema.string, prepare = schema.func, attach = schema.func, enter = schema.func, undo = schema.func }
  local checked = schema.check(step, hooks, { what = "step", where = where })
  checked.copied = copied
  return checked
end

--- Raises at the line that wrote the field `key`.
local function refuse(where, key, ...) errors.raise_at(schema.line_of_key(where, key), ...) end

--- What the kernel must know of a device of the host that the container gets.
local function host_devices(config, where)
  local devices, rules, named = {}, {}, {}
  for _, wanted in ipairs(config.devices or {}) do
    local node = sys.file.device(wanted.path)
    if not node then refuse(where, "devices", "%s is no device of this host", wanted.path) end
    node.path, node.name = wanted.path, wanted.name or wanted.path:match "^/dev/(.*)$" or wanted.path:match "[^/]+$"
    local own, other = mounts.own_in_dev(node.name), named[node.name]
    if own then refuse(where, "devices", "/dev/%s is the container's own, no place for %s", own, wanted.path) end
    if other and (other.type ~= node.type or other.major ~= node.major or other.minor ~= node.minor) then
      refuse(where, "devices", "two devices are called /dev/%s: %s and %s", node.name, other.path, node.path)
    end
    if not other then devices[#devices + 1], named[node.name] = node, node end
    rules[#rules + 1] = ("%s %d:%d %s"):format(node.type == "block" and "b" or "c", node.major, node.minor, wanted.access or "rwm")
  end
  return devices, rules
end

--- A namespace that is joined by its path: entered first, before anything is made in it.
local function joins(config)
  local steps = {}
  for kind, path in pairs(config.namespaces or {}) do
    if path:sub(1, 1) == "/" then
      steps[#steps + 1] = { enter = function(this)
        local ok, problem = errors.try(sys.setns, mounts.held(this, path), { namespaces = kind })
        if ok then return end
        problem.where = schema.line_of_key(this.where, kind)
        problem.message = ("namespaces.%s: %s"):format(kind, mounts.by_name(this, problem).message)
        error(problem, 0)
      end }
    end
  end
  return steps
end

local SYSCTLS = { key = "sysctl", enter = function(this) Container.write_sysctls(this) end }
local FOLDER = { key = "cwd", enter = program.enter_folder }
local CGROUP_NAMESPACE = { namespaces = "cgroup" }

local function add(steps, step)
  if step then steps[#steps + 1] = step end
end

--- What the container is made of, in order. An entry without hooks still asks for its namespaces.
local function steps_of(self)
  local config, own, steps = self.config, self.namespaces, {}
  add(steps, config.users and users.step_of(config))
  for _, step in ipairs(joins(config)) do add(steps, step) end
  add(steps, limits.wanted(config, self.cgroup_keys) and limits.step or own.cgroup == "new" and CGROUP_NAMESPACE)
  add(steps, rootfs.step)
  add(steps, etc.step)
  add(steps, type(config.network) == "table" and network.step_for(config.network) or own.net == "new" and network.loopback)
  add(steps, config.sysctl and SYSCTLS)
  -- Under policies a script's step is no way to what the kernel says by /proc, which no rule is told of.
  add(steps, self.narrow and rootfs.masking)
  for _, step in ipairs(self.own_steps) do add(steps, step) end
  for _, step in ipairs { program.opening, rootfs.closing, confinement.step, FOLDER, program.step } do add(steps, step) end
  return steps
end

--- The namespaces of the steps without those that the script shares or joins.
local function without_shared(steps, namespaces)
  local shared, result = {}, {}
  for kind, place in pairs(namespaces) do shared[kind == "mnt" and "mount" or kind] = place ~= "new" and "" or nil end
  if not next(shared) then return steps end
  for i, step in ipairs(steps) do
    local words = step.namespaces and step.namespaces:gsub("%w+", shared)
    result[i] = words == step.namespaces and step or setmetatable({ namespaces = words }, { __index = step })
  end
  return result
end

--- Whatever the script has mounted below /proc: they are the kernel's, or the start fails.
function Container.write_sysctls(this)
  for name, value in pairs(this.config.sysctl) do
    local text = type(value) == "number" and ("%.0f"):format(value) or value
    local ok, problem = errors.try(function()
      sys.mount.verify_procfs(this.root, "/proc")
      this.root:write("/proc/sys/" .. name:gsub("%.", "/"), text, { on = "/proc" })
    end)
    if not ok then
      problem.where, problem.message = schema.line_of_key(this.where, name), ("sysctl %s: %s"):format(name, problem.message)
      error(problem, 0)
    end
  end
end

--- In a namespace that is shared they would be set for everybody in it, the host among them.
local function check_sysctls(config, where)
  local namespaces = config.namespaces or {}
  local net, ipc = config.network == "host" and "host" or namespaces.net or "new", namespaces.ipc or "new"
  for name in pairs(config.sysctl or {}) do
    local kind, namespace = "net", net
    if not name:match "^net%." then kind, namespace = "ipc", ipc end
    if namespace ~= "new" then
      refuse(where, "sysctl", "sysctl %s is not the container's own to set: namespaces.%s is '%s'", name, kind, namespace)
    end
  end
end

--- What can be said of the table as a whole, beyond its single fields.
local function check_together(config, where)
  if not config.rootfs then errors.raise_at(where, "container: expected the field 'rootfs', a folder or image \"name\"") end
  if not config.command or #config.command == 0 then
    errors.raise_at(config.command and schema.line_of_key(where, "command") or where,
      "container: expected the field 'command', such as { \"/bin/sh\" }")
  end
  if config.command[1] == "" then refuse(where, "command", "container.command: expected a program as item 1, not ''") end
  local namespaces = config.namespaces or {}
  if type(config.network) == "table" and namespaces.net and namespaces.net ~= "new" then
    refuse(where, "network", "a %s needs a network namespace of the container's own, but namespaces.net is '%s'",
      config.network.kind, namespaces.net)
  end
  check_sysctls(config, where)
  if config.network == "host" and namespaces.net and namespaces.net ~= "host" then
    refuse(where, "network", "network = \"host\" and namespaces.net = '%s' can't both be meant", namespaces.net)
  end
  if config.no_new_privs == false and type(config.seccomp) == "table" then
    refuse(where, "seccomp", "a filter of its own is loaded last, which takes no_new_privs: no_new_privs = false can't be had with it")
  end
  if config.hostname and namespaces.uts and namespaces.uts ~= "new" then
    refuse(where, "hostname", "hostname would change a name that is not the container's own: namespaces.uts is '%s'", namespaces.uts)
  end
  if namespaces.pid == "host" and config.init then refuse(where, "init", "an init needs a pid namespace of the container's own") end
end

local NAMES = { "net", "ipc", "uts", "pid", "cgroup" }

--- Completes what the script left open.
local function settle(self)
  local config = self.config
  if sys.uid() ~= 0 then
    require("luabox.rootless").settle(self)
  elseif type(config.network) == "table" and config.network.kind == "pasta" then
    errors.raise_at(config.network.where, "pasta is an ordinary user's network: as root say veth { ... }")
  end
  self.namespaces = {}
  for _, kind in ipairs(NAMES) do self.namespaces[kind] = config.namespaces and config.namespaces[kind] or "new" end
  if config.network == "host" then self.namespaces.net = "host" end
  if self.namespaces.pid == "host" then config.init = false end
  config.cwd = config.cwd or "/"
  if config.users == "auto" then config.users, config.auto_users = {}, true end
  self.in_users = users.are_mapped(config)
  local root = config.rootfs
  if root.kind == "directory" and not root.where then root.path = mounts.resolve(root.path, self.where) end
  self.granted = confinement.capabilities(config, self.where)
  self.devices, config.device_rules = host_devices(config, self.where)
  -- Nodes that it can make, or was given, are governed by a devices cgroup; a container with neither has no use for one.
  if self.rootless or not confinement.has(self.granted, "mknod") and #self.devices == 0 then config.device_rules = nil end
  self.device_rules = config.device_rules
  self.cgroup_keys = limits.keys(config)
  self.all_mounts, self.mounted, self.targets = mounts.with_defaults(config.mounts, config.default_mounts), {}, {}
  for i, mount in ipairs(self.all_mounts) do
    self.mounted[mount.target], self.targets[i] = true, mounts.target_of(mount)
  end
  mounts.check(self)
  self.etc_targets = etc.targets(config, self.mounted)
  for _, target in ipairs(self.etc_targets) do self.targets[#self.targets + 1] = { path = target, kind = "file" } end
end

local LONGEST_PREFIX = 55  -- a name has 64 characters at most, of which the id takes nine

--- What differs from one start to the next: the id, the name, the terminal.
local function begin(self)
  self.id = sys.random(4)
  self.name = self.config.name or (self.where:match "(%w[%w_-]*)%.lua:%d+$" or "container"):sub(1, LONGEST_PREFIX) .. "-" .. self.id
  if not self.named_host then self.config.hostname = self.name end
  self.terminal = program.wants_terminal(self.config)
end

-- Under a site's policies: what the script has -> what was started for it.
local admitted = setmetatable({}, { __mode = "k" })

local made_at  -- where the script made its first container; false once one was started

local function started(self) return admitted[self] or self end

local function running_of(this) return require("luabox.running").of(this.described) end

local function bring_up(self)
  self.steps = without_shared(steps_of(self), self.namespaces)
  lifecycle.start(self)
  local message, master = self.process:message()
  if message == "terminal" then self.master = master end
end

local start_governed

--- Starts it; its command runs when this returns. Raises what any step raised, and leaves nothing then.
---@return luabox.Container
function Container:start()
  made_at = false
  if started(self).process then errors.raise("the container %s was started already", self.name) end
  if sys.policy.active() then return start_governed(self) end
  begin(self)
  bring_up(self)
  return self
end

--- Until its end the container has the caller's terminal, and hears of the caller's signals.
local function stand_by(self)
  local signals = sys.terminal.forward_signals()
  local ok, problem = errors.try(sys.terminal.supervise, { self.process }, signals, self.master:number())
  signals:release()
  if not ok then error(problem, 0) end
end

--- Waits for the end of its command, at most `timeout` seconds. Returns the exit status (128 + N for a signal), and why it was killed where that is
--- known ("memory limit 100 MB reached"); nil when the time is over. A container with a terminal of its own has the caller's meanwhile.
---@return integer? status, string? reason, luabox.Error? problem  what `luabox why` would tell of it
function Container:wait(timeout)
  local this = started(self)
  if not this.process then errors.raise "the container was not started" end
  if this.master and not timeout and not this.process:status() then stand_by(this) end
  local status = this.process:wait(timeout)
  if not status then return nil end
  program.step.undo(this)  -- what it wrote stands before what is said of its end
  if status == 159 and this.config.seccomp ~= "unconfined" then return status, require("luabox.refusals").verdict(this.began) end
  if status == 139 then return status, require("luabox.confinement").no_room(this.config) end
  return status, status == 137 and limits.verdict(this) or nil
end

--- Sends a signal to its command: "TERM", "SIGTERM" or a number. Returns whether it was there.
function Container:kill(signal)
  local this = started(self)
  return this.process ~= nil and lifecycle.signal(this.process, this.group, signal or "TERM")
end

--- Asks it to end (SIGTERM), and kills it after `timeout` seconds (10). Returns the exit status.
function Container:stop(timeout)
  local this = started(self)
  if not this.process then errors.raise "the container was not started" end
  Container.kill(self, "TERM")
  if not this.process:wait(timeout or 10) then Container.kill(self, "KILL") end
  return this.process:wait()
end

--- Ends whatever still runs and removes everything that the container had outside itself.
function Container:destroy()
  local this = started(self)
  if not this.process then return end
  local ok, problem = errors.try(lifecycle.destroy, this)
  admitted[self] = nil
  this.process, this.group, this.master = nil, nil, nil
  self.process, self.master = nil, nil
  if not ok then error(problem, 0) end
end

--- Starts another process in it, confined as its command is: c:exec { "ps", env = {}, cwd =, user =, terminal =, stdin = "text", capture = true }.
---@return luabox.Execution
function Container:exec(options)
  local this = started(self)
  if not this.process then errors.raise "the container is not running" end
  return running_of(this):exec(options)
end

--- CPU, memory, pids and io that it has used, in base units.
function Container:stats()
  local this = started(self)
  if not this.process then errors.raise "the container is not running" end
  if not this.group then errors.raise("the container '%s' has no cgroup that counts", this.name) end
  return this.group:stats()
end

--- Sets limits while it runs: c:update { memory = "1GiB" }, in the words of its field cgroup.
function Container:update(values)
  local this = started(self)
  if not this.process then errors.raise "the container is not running" end
  running_of(this):update(values)
end

--- Before it runs a write is a part of its start, of which there is no more in its record than the start has.
local function update_early(this, values)
  if sys.policy.active() then
    values = require("luabox.policy").admit_update({ name = this.name, facts = this.facts }, values, this.where)
  end
  require("luabox.own_cgroup").check_part(this.name, this.group, values)
  this.group:write(values)
end

function views.cgroup(self)
  local this = started(self)
  if not this.group then return nil end
  return require("luabox.own_cgroup").of(this.group, function(values)
    if this.described then running_of(this):update(values) else update_early(this, values) end
  end)
end

function views.mounts(self)
  local this = started(self)
  return this.described and this.process and running_of(this):mounts() or nil
end

--- start, wait and destroy in one. Returns what wait returns.
function Container:run()
  self:start()
  local status, reason = self:wait()
  self:destroy()
  return status, reason
end

local container = {}

--- The container that the checked table `config` stands for.
local function made_of(config, where, steps)
  local self = setmetatable({ config = config, where = where, own_steps = steps, named_host = config.hostname ~= nil }, Container)
  check_together(config, where)
  return self
end

local function settled(self)
  settle(self)
  return self
end

--- A container of its own for what the script wrote: nothing in it is within the script's reach.
local function remade(config, self)
  local where = type(self.where) == "string" and self.where or "luabox"
  config.device_rules = nil
  if not self.named_host then config.hostname = nil end
  return settled(made_of(schema.check(config, FIELDS, { what = "container", where = where }), where, self.own_steps))
end

--- Starts a copy as the policies agree to it.
function start_governed(self)
  local policy = require "luabox.policy"
  local lock = sys.policy.needs "running" and policy.lock()
  local ok, result = errors.try(function()
    local copy = policy.admit(self, remade, begin)
    copy.log_refused = self.log_refused
    bring_up(copy)
    return copy
  end)
  if lock then lock:release() end
  if not ok then error(result, 0) end
  admitted[self] = result
  for _, field in ipairs { "master", "name", "id", "terminal" } do self[field] = result[field] end
  self.process = policy.process_view(result)
  return self
end

--- Gives a container that was not started another name than its script does: `luabox run --name`.
function container.rename(self, name)
  local checked, expected = FIELDS.name(name)
  if not checked then errors.raise_at("--name", "expected %s, got '%s'", expected, name) end
  self.config.name = checked
end

--- A copy of it for a table that a site's rules changed.
container.remade = remade

--- What runs for a container that was started: a copy where there are policies.
container.started = started

--- What `this`, a container that runs, needs to be waited for and destroyed.
---@return luabox.Container
function container.of(this) return setmetatable(this, Container) end

--- Where the script made its first container, while it has started none; nil or false else.
function container.unused() return made_at end

--- Whether `value` was made by container { ... }.
function container.is(value) return getmetatable(value) == Container end

--- container { rootfs = ..., command = ... }: checks the table; raises at the line that is wrong. Nothing is started.
---@return luabox.Container
function container.new(options, ...)
  schema.alone("container", "{ rootfs = ..., command = ... }", ...)
  local where = errors.users_line(2, "container") or "luabox"
  if type(options) ~= "table" then errors.raise_at(where, "container: expected a table, got %s", type(options)) end
  local config = schema.check(options, FIELDS, { what = "container", where = where })
  local steps = {}
  for i, step in ipairs(options) do steps[i] = own_step(step, where, i) end
  if made_at == nil then made_at = where end
  local self = made_of(config, where, steps)
  -- Under policies it is started as a copy, which is completed then.
  return sys.policy.active() and self or settled(self)
end

return container
