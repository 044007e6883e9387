-- deprecations.lua: names that are on their way out. They go on working until the first number of the version changes; their use is told, with
-- what replaces them, once a run; `luabox check` and docs/reference.md list them from here.
local deprecations = {}

--- Fields, by what they are a field of: the new name takes the same values.
deprecations.fields = {
  container = { annotations = "labels" },
}

--- Words of the vocabulary: the new one is called in the same way.
deprecations.words = {}

--- The new name of a field, nil where it is not deprecated.
function deprecations.field(what, name)
  return deprecations.fields[what] and deprecations.fields[what][name]
end

--- What is told of a name.
function deprecations.text(old, new) return ("'%s' is deprecated, use '%s'"):format(old, new) end

local told = {}

--- Tells it, the first time in this run. `where` is "file:line", nil for who told it otherwise.
function deprecations.tell(old, new, where)
  if told[old] then return end
  told[old] = true
  if where then require("luabox.sys").log.warning(where .. ": " .. deprecations.text(old, new)) end
end

--- The value of a deprecated word of `vocabulary`; nil for any other name.
function deprecations.word(name, vocabulary)
  local new = deprecations.words[name]
  if not new then return nil end
  local errors = require "luabox.errors"
  deprecations.tell(name, new, errors.users_line(2, name) or "luabox")
  return vocabulary[new]
end

--- All of them as { old =, new = }, sorted.
function deprecations.list()
  local list = {}
  for what, fields in pairs(deprecations.fields) do
    for old, new in pairs(fields) do list[#list + 1] = { old = what .. "." .. old, new = what .. "." .. new } end
  end
  for old, new in pairs(deprecations.words) do list[#list + 1] = { old = old, new = new } end
  table.sort(list, function(a, b) return a.old < b.old end)
  return list
end

return deprecations
