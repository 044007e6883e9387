-- version.lua: which luabox a script was written for. What a script of 0.1 uses stays until the first number changes, or is told with its
-- replacement (deprecations.lua).
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

return version
