-- own_cgroup.lua: the cgroup of a container that runs, as its script and a prompt have it: the methods of sys.cgroup, and each key as a field.
--
--   c.cgroup.memory            asks the kernel
--   c.cgroup.memory = "1GiB"   tells it, as c:update { memory = "1GiB" } and c.cgroup:write { memory = "1GiB" } do
local sys = require "luabox.sys"
local errors = require "luabox.errors"

local own_cgroup = {}

--- The names of keys that a person writes, for completion.
local function names_of_keys()
  local reference, names = require "luabox.reference", {}
  for _, field in ipairs(reference.fields_of(reference.find "CgroupLimits")) do
    if field.name:match "^%a" then names[#names + 1] = field.name end
  end
  return names
end

-- What writes nothing: under a site's policies there is no more, and what is written is for the rules to say.
local GOVERNED = { "hierarchies", "read", "plan", "paths", "exists", "processes", "oom_event", "oom_kills", "stats", "freeze", "thaw", "frozen",
  "kill" }

local function methods_of(group)
  local methods = {}
  local names = sys.policy.active() and GOVERNED or {}
  if not sys.policy.active() then
    for name in pairs(debug.getmetatable(group).__index) do names[#names + 1] = name end
  end
  for _, name in ipairs(names) do methods[name] = function(_, ...) return group[name](group, ...) end end
  return methods
end

--- A cgroup made only now would hold none of its processes: it must have a part in what limits it.
function own_cgroup.check_part(name, group, limits)
  local has = {}
  for _, path in ipairs(group:paths()) do has[path] = true end
  local ok, writes = errors.try(group.plan, group, limits)
  if not ok then
    writes.message = require("luabox.synonyms").in_limits(writes.message)
    error(writes, 0)
  end
  for _, write in ipairs(writes) do
    if not has[write.path:match "^(.*)/" or ""] and not has[write.path] then
      errors.raise("the container '%s' has no part in %s: its script must give it a limit there, or accounting = true", name, write.controller)
    end
  end
end

--- `group` as a script has it; `update(limits)` is what a write does.
function own_cgroup.of(group, update)
  local methods = methods_of(group)
  function methods.write(_, limits) update(limits) end
  return setmetatable({}, {
    __index = function(_, key)
      if methods[key] then return methods[key] end
      local value = group:read(key)
      return tonumber(value) or value
    end,
    __newindex = function(_, key, value) update { [key] = value } end,
    __tostring = function() return "<cgroup " .. table.concat(group:paths(), " ") .. ">" end,
    __metatable = "cgroup", methods = methods, names = names_of_keys, class = "luabox.OwnCgroup",
  })
end

return own_cgroup
