-- confinement.lua: what the command may do: capabilities, seccomp, no_new_privs, keyring, AppArmor, limits of its process.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"
local users = require "luabox.users"

local confinement = {}

-- ---- capabilities

confinement.check_capabilities = schema.either(schema.word("none", "all"),
  schema.fields { add = schema.list(schema.string), drop = schema.list(schema.string), only = schema.list(schema.string),
    ambient = schema.list(schema.string) })

local PERSONALITIES = { linux = true, linux32 = true, uname26 = true, no_randomize = true }

--- The check for container.personality.
function confinement.check_personality(value)
  local expected = "words of 'linux', 'linux32', 'uname26', 'no_randomize'"
  if type(value) ~= "string" or not value:find "%S" then return nil, expected end
  for word in value:gmatch "%S+" do
    if not PERSONALITIES[word] then return nil, expected end
  end
  return value
end

local function granted_names(config, wanted)
  if wanted == "all" then  -- what luabox itself holds, or gets in a user namespace
    return config.users and sys.security.capability_names { "all" } or sys.security.capabilities().permitted
  end
  local granted = {}
  for _, name in ipairs(sys.security.capability_names(wanted and wanted.only or sys.security.default_capabilities())) do
    granted[name] = true
  end
  for _, name in ipairs(wanted and wanted.drop or {}) do
    for _, each in ipairs(sys.security.capability_names { name }) do granted[each] = nil end
  end
  for _, name in ipairs(wanted and wanted.add or {}) do
    for _, each in ipairs(sys.security.capability_names { name }) do granted[each] = true end
  end
  for _, name in ipairs(wanted and wanted.ambient or {}) do
    for _, each in ipairs(sys.security.capability_names { name }) do
      if not granted[each] then errors.raise("capabilities.ambient: '%s' must be granted as well, by 'add' or 'only'", each) end
    end
  end
  local list = {}
  for name in pairs(granted) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- The names granted, lower case without "cap_", sorted out of the defaults, add, drop and only.
function confinement.capabilities(config, where)
  local wanted = config.capabilities
  if wanted == "none" then return {} end
  local ok, names = errors.try(granted_names, config, wanted)
  if ok then return names end
  names.where = schema.line_of_key(where, "capabilities")
  error(names, 0)
end

function confinement.has(granted, name)
  for _, each in ipairs(granted) do
    if each == name then return true end
  end
  return false
end

-- ---- the step

confinement.step = { key = "capabilities" }

--- The filter that a script describes; raises where there is no such filter.
function confinement.filter_of(wanted)
  local ok, result = errors.try(sys.security.filter, wanted)
  if ok then return result end
  result.message = result.message:gsub("^filter: argument 1: ", "container.seccomp: ")
  local unknown = result.message:match "^container%.seccomp: unknown option '([^']*)'"
  result.message = result.message .. (unknown and require("luabox.synonyms").of_field("container.seccomp", unknown) or "")
  error(result, 0)
end

--- The rules of a container's filter as lines, "mkdir: errno:EPERM"; nil where it has none.
---@return string[]?
function confinement.rules_of(this)
  local wanted = this.config.seccomp
  if wanted == "unconfined" then return nil end
  if type(wanted) == "table" then return sys.security.describe(wanted) end
  return sys.security.describe { base = "default", capabilities = this.granted or confinement.capabilities(this.config, this.where) }
end

--- One that answers an exec with an error by default answers so also what would tell of it.
local function refuse_closed(wanted)
  for _, line in ipairs(sys.security.describe(wanted)) do
    if line:match "^execve: " then return end
    if line:match "^default: errno" or line:match "^default: trace" then
      errors.raise "container.seccomp: no rule allows 'execve', without which no command begins (write extend = { allow = { 'execve', ... } })"
    end
  end
end

local function make_filter(this, wanted)
  if type(wanted) ~= "table" then
    this.filter = sys.security.profile_for(this.granted)
    return
  end
  this.own_filter = confinement.filter_of(wanted)
  refuse_closed(wanted)
end

--- The filter is made before the clone: it is plain memory, and making a custom one is not for the child to pay.
function confinement.step.prepare(this)
  local wanted = this.config.seccomp
  if wanted == "unconfined" then return end
  local ok, problem = errors.try(make_filter, this, wanted)
  if ok then return end
  problem.where = schema.line_of_key(this.where, "seccomp")
  error(problem, 0)
end

--- Calls `f` with what follows; an error carries the line on which the script wrote `key`.
local function for_key(this, key, f, ...)
  local ok, problem = errors.try(f, ...)
  if ok then return end
  problem.where = schema.line_of_key(this.where, key)
  error(problem, 0)
end

--- What is told to the kernel through /proc: a process that joins a container does it before it sees the container's.
function confinement.label(this)
  local config = this.config
  if config.oom_score_adj then for_key(this, "oom_score_adj", sys.user.oom_score_adj, config.oom_score_adj) end
  if config.apparmor then for_key(this, "apparmor", sys.security.exec_label, config.apparmor) end
end

local function limit_process(this)
  local config = this.config
  for name, limit in pairs(config.rlimits or {}) do
    if type(limit) ~= "table" then limit = { soft = limit, hard = limit } end
    for_key(this, "rlimits", sys.user.rlimit, name, limit)
  end
  if config.nice then for_key(this, "nice", sys.user.nice, config.nice) end
  if config.personality then for_key(this, "personality", sys.user.personality, config.personality) end
  sys.user.umask(config.umask or "022")
end

local OF_MEMORY = { "as", "data", "stack" }

--- A limit of memory ends a process at whatever instruction it comes; a label for the next exec is for no init.
function confinement.step.copied(this)
  local rlimits = this.config.rlimits or {}
  for _, name in ipairs(OF_MEMORY) do
    if rlimits[name] then return true end
  end
  return this.config.apparmor ~= nil
end

--- What SIGSEGV may have been for: a program for which there is no room is ended so (execve(2)). nil where nothing limits that.
function confinement.no_room(config)
  local rlimits = config.rlimits or {}
  for _, name in ipairs(OF_MEMORY) do
    local limit = rlimits[name]
    local soft = type(limit) == "table" and limit.soft or limit
    if type(soft) == "number" then return ("SIGSEGV, perhaps because rlimits = { %s = %.0f } is too little memory for it"):format(name, soft) end
  end
end

function confinement.step.enter(this)
  confinement.label(this)
  confinement.narrow(this)
end

--- Everything else that narrows the process, in the order that each step's own needs dictate; seccomp comes last, so that its filter need not allow
--- the rest.
function confinement.narrow(this)
  local config = this.config
  limit_process(this)
  if config.keyring ~= false then sys.security.session_keyring() end
  local user = this.user
  -- Without no_new_privs only CAP_SYS_ADMIN may load a filter, and it is about to go.
  local filter = { log = this.log_refused or false }
  if config.no_new_privs == false and this.filter then this.filter:load(filter) end
  if config.no_new_privs ~= false then sys.security.no_new_privs() end
  local keep = users.keeps_groups(config)
  sys.user.set_ids { uid = user.uid, gid = user.gid, groups = not keep and user.groups or {}, keep_groups = keep, keep_capabilities = true }
  local ambient = type(config.capabilities) == "table" and config.capabilities.ambient or {}
  sys.security.apply(user.uid, this.granted, ambient)
  if config.no_new_privs ~= false and this.filter then this.filter:load(filter) end
end

return confinement
