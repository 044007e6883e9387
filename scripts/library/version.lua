-- version.lua: which luabox a script was written for, and names that are on their way out.
--
-- What a script of 0.1 uses stays, or is told with its replacement, until the first number changes.
local sys = require "luabox.sys"
local errors = require "luabox.errors"

local version = {}

local function numbers(text)
  local major, rest = text:match "^(%d+)([%d.]*)$"
  local list = { tonumber(major) }
  for number in (rest or ""):gmatch "%.(%d+)" do list[#list + 1] = tonumber(number) end
  return list
end

--- Whether `running` serves a script that was written for `wanted`: the first number is the same, and it is no older.
function version.serves(running, wanted)
  local have, need = numbers(running), numbers(wanted)
  if have[1] ~= need[1] then return false end
  for i = 2, math.max(#have, #need) do
    local a, b = have[i] or 0, need[i] or 0
    if a ~= b then return a > b end
  end
  return true
end

--- require_version "0.1": raises unless this luabox serves a script that was written for that version.
---@param wanted string
function version.require(wanted)
  if type(wanted) ~= "string" or not wanted:match "^%d+[%d.]*$" or wanted:find "%.%." or wanted:find "%.$" then
    errors.raise("require_version: expected a version such as \"0.1\", got %s", type(wanted) == "string" and "'" .. wanted .. "'" or tostring(wanted))
  end
  if version.serves(sys.version(), wanted) then return end
  errors.raise("this script was written for luabox %s, this is %s", wanted, sys.version())
end

local told = {}

--- Tells once for each line of the user's that `old` is deprecated, and what replaces it. `where` is "file:line", found unless it is given.
function version.deprecated(old, new, where)
  where = where or errors.users_line(2) or "luabox"
  local key = where .. "\0" .. old
  if told[key] then return end
  told[key] = true
  sys.log.warning(("%s: '%s' is deprecated, use '%s'"):format(where, old, new))
end

--- A function under its old name: version.renamed("old", "new", f) tells, and calls `f`.
function version.renamed(old, new, f)
  return function(...)
    version.deprecated(old, new, errors.users_line(2, old))
    return f(...)
  end
end

return version
