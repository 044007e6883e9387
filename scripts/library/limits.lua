-- limits.lua: the container's cgroup.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"
local units = require "luabox.units"

local limits = {}

limits.PIDS = 4096

-- What a container with CAP_MKNOD may open, and what it may merely make: as docker's.
local DEVICES = {
  "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm",
}

--- Whether the container has a cgroup of its own.
function limits.wanted(config, keys)
  return next(keys) ~= nil or config.cgroup_parent ~= nil or config.accounting == true
end

--- The keys to write: the script's own, and the defaults that it does not set.
function limits.keys(config)
  local keys = {}
  for key, value in pairs(config.cgroup or {}) do keys[key] = value end
  if keys["pids.max"] == nil and keys.pids == nil then keys.pids = limits.PIDS end
  if keys.pids == "max" then keys.pids = nil end  -- no limit takes no cgroup
  if config.device_rules and not keys.devices then
    keys.devices = {}
    for i, rule in ipairs(DEVICES) do keys.devices[i] = rule end
    for _, rule in ipairs(config.device_rules) do keys.devices[#keys.devices + 1] = rule end
  end
  return keys
end

--- Calls `f` with what follows; an error that speaks of one of the script's keys carries the line of that key.
local function at_line_of_key(this, f, ...)
  local ok, result = errors.try(f, ...)
  if ok then return result end
  result.message = require("luabox.synonyms").in_limits((result.message:gsub("^planned_paths: argument 2: ", "cgroup: ")))
  local parent = this.config.cgroup_parent
  result.where = parent and result.message:find(parent, 1, true) and schema.line_of_key(this.where, "cgroup_parent") or this.where
  local named = ""  -- the longest: "memory" is found in "memory.limit_in_bytes" too
  for key in pairs(this.config.cgroup or {}) do
    if #key > #named and result.message:find(key, 1, true) then named = key end
  end
  if named ~= "" then result.where = schema.line_of_key(this.where, named) end
  if named == "" and result.code == "EOPNOTSUPP" and result.path == "pids" then
    result.message = ("%s; it is the default limit of %d processes that takes it: cgroup = { pids = \"max\" } goes without"):format(
      result.message, limits.PIDS)
  end
  error(result, 0)
end

limits.step = { namespaces = "cgroup", key = "cgroup" }

-- What c:stats() reads; "cgroup" stands for the core files of version 2, with the pressure. The cpuset of version 1 counts nothing, but Java sees
-- none of its limits where one of memory, cpu, cpuacct and cpuset is not there.
local COUNTED = { "cpu", "cpuacct", "memory", "pids", "io", "blkio", "cgroup", "cpuset" }

--- Those of COUNTED that this host has.
local function counted()
  local offered, found = {}, {}
  for _, hierarchy in ipairs(sys.cgroup.host()) do
    if hierarchy.version == 2 then offered.cgroup = true end
    for _, controller in ipairs(hierarchy.controllers) do offered[controller] = controller ~= "cpuset" or hierarchy.version == 1 end
  end
  for _, controller in ipairs(COUNTED) do
    if offered[controller] then found[#found + 1] = controller end
  end
  return found
end

--- How the container's own cgroup is made: in luabox's folder or in a cgroup of the script's, with a part in what it asks for alone or
--- in all that count.
local function options_of(this)
  local parent = this.config.cgroup_parent
  return { parent = parent and "luabox/" .. parent or "luabox", controllers = this.config.accounting and counted() or {} }
end

--- Plans the cgroup as `name`. Returns whether nothing of that name is there.
local function plan(this, name)
  local resource = this.cgroup_resource
  this.cgroup_name = name
  resource.paths = at_line_of_key(this, sys.cgroup.planned_paths, name, this.cgroup_keys, options_of(this))
  for _, path in ipairs(resource.paths) do
    if sys.file.kind(path) then return false end
  end
  return true
end

--- What is there and in no record of ours is of a container that has its state in another folder: ours carries its id too.
local function plan_beside(this) plan(this, ("%s.%s"):format(this.name, this.id)) end

function limits.step.resources(this)
  this.cgroup_resource = { kind = "cgroup", parent = options_of(this).parent }
  if not plan(this, this.name) then plan_beside(this) end
  return { this.cgroup_resource }
end

local FREEZER = { "freezer", "freezer.state", "cgroup.freeze" }

--- A process that is frozen before its exec could never be told from one that is being started, and SIGKILL would wait for the thaw.
--- What the script asks for is told without a cgroup, as a plan has none.
local function refuse_frozen(this)
  for _, key in ipairs(FREEZER) do
    local value = this.cgroup_keys[key]
    local write = value ~= nil and sys.cgroup.plan({ [key] = value }, { name = this.cgroup_name })[1]
    if write and (write.value == "FROZEN" or write.value == "1") then
      errors.raise("cgroup.%s: nothing starts in a frozen cgroup; freeze it when it runs, by c:update or luabox update", key)
    end
  end
  if this.group:frozen() == true then
    errors.raise("the cgroup %s is frozen: nothing starts in it until it is thawed", options_of(this).parent)
  end
end

local function make(this)
  this.group = nil
  this.group = sys.cgroup.create(this.cgroup_name, options_of(this))
  this.group:keep()  -- the record removes it, in whatever way this process ends
  this.group:write(this.cgroup_keys)
  refuse_frozen(this)
end

function limits.step.prepare(this)
  local resource = this.cgroup_resource
  local ok, problem = errors.try(at_line_of_key, this, make, this)
  -- What was not made may be another's by now.
  if not ok then resource.paths = this.group and this.group:paths() or {} end
  if not ok and problem.code == "EEXIST" then  -- it was quicker
    for _, path in ipairs(resource.paths) do sys.cgroup.remove_path(path, resource.parent) end
    plan_beside(this)
    this.record:write()
    ok, problem = errors.try(at_line_of_key, this, make, this)
  end
  if not ok then error(problem, 0) end
  resource.made = {}
  for _, path in ipairs(resource.paths) do resource.made[path] = sys.file.kind(path) and sys.file.identity(path) or nil end
end

--- Whether its cgroup lies in one that may have limits of its own: the script's, or one that was delegated.
local function is_below_others(this)
  if this.config.cgroup_parent then return true end
  for _, hierarchy in ipairs(sys.cgroup.host()) do
    if hierarchy.base ~= hierarchy.mount then return true end
  end
  return false
end

local MEMORY = { "memory", "memory.limit_in_bytes", "memory.max", "memory_high", "memory.high", "memory.memsw.limit_in_bytes",
  "memory.kmem.limit_in_bytes" }
local SCARCE = 32 * 2 ^ 20  -- bytes; a set-up takes less than one MiB

--- The end of its memory comes to a process at whatever instruction it comes; a freezer of version 1 holds SIGKILL back, too.
function limits.step.copied(this)
  local keys = this.cgroup_keys
  for _, key in ipairs(FREEZER) do
    if keys[key] ~= nil then return true end
  end
  for _, key in ipairs(MEMORY) do
    local bytes = keys[key] and schema.size(keys[key])
    if bytes and bytes < SCARCE then return true end
  end
  return this.config.cgroup_parent ~= nil
end

--- Which limit was reached. A kill is counted where the process was, whichever limit was the cause: if the cgroup's own was never nearly
--- reached, it was another.
local function memory_limit(this)
  local ok, text = pcall(this.group.read, this.group, "memory.limit_in_bytes")
  local bytes = ok and tonumber(text)
  local memory = this.group:stats().memory
  if not bytes or bytes >= 2 ^ 60 or memory and memory.peak and memory.peak < 0.9 * bytes then
    return is_below_others(this) and "of a cgroup above" or "of the host"
  end
  -- The kernel keeps whole pages: of 100000000 it makes 99999744.
  local asked = math.ceil(bytes / 1e6) * 1e6
  if bytes % 2 ^ 20 ~= 0 and asked - bytes < 4096 then bytes = asked end
  return units.show_size(bytes)
end

--- "memory limit 100 MB reached" when the OOM killer took a process of the container; nil otherwise.
function limits.verdict(this)
  if not this.group then return nil end
  local ok, kills = pcall(this.group.oom_kills, this.group)
  if not ok or not kills or kills == 0 then return nil end
  return ("memory limit %s reached"):format(memory_limit(this))
end

--- A process that dies while it is set up, in a cgroup that ran out of memory, had too little to start.
function limits.step.failed(this, problem)
  local verdict = (problem.code == "ECHILD" or problem.code == "ENOMEM") and limits.verdict(this)
  if not verdict then return nil end
  return errors.new {
    op = "start", code = "ENOMEM", where = schema.line_of_key(this.where, "cgroup"),
    message = ("the container could not be started: %s, which is too small to start in"):format(verdict),
  }
end

return limits
