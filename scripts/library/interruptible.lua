-- interruptible.lua: string.find, match, gmatch, gsub, table.sort and os.execute as the prompt has them: an interrupt ends them. And string.rep: a
-- slip of the hand must not end the prompt.
local sys = require "luabox.sys"

local interruptible = {}

local find, match, gmatch, gsub, rep = string.find, string.match, string.gmatch, string.gsub, string.rep
local sort, execute = table.sort, os.execute
local find_safely = sys.terminal.find

--- What takes no more steps than this, a tenth of a second, is not worth a guard.
interruptible.most_steps = 1e7

local MOST_WEIGHED = 1000

-- By pattern: how many parts of it may be of any length, and how many times one or none.
local weights, weighed = {}, 0

local function weigh(pattern)
  if weighed == MOST_WEIGHED then weights, weighed = {}, 0 end
  local _, repeated = gsub(pattern, "[*+-]", "")
  local _, optional = gsub(pattern, "%?", "")
  local weight = { power = repeated + 2, factor = 2 ^ optional }
  weights[pattern], weighed = weight, weighed + 1
  return weight
end

--- Whether a match takes no time to speak of, at worst; so does one that is wrong, which the function itself tells.
local function is_cheap(text, pattern, plain)
  if type(text) ~= "string" or type(pattern) ~= "string" then return true end
  if plain then return #text * #pattern < interruptible.most_steps end
  local weight = weights[pattern] or weigh(pattern)
  return (#text + 1) ^ weight.power * weight.factor < interruptible.most_steps
end

local function checked(first, ...)
  if first == false then error((...), 4) end
  return first, ...
end

local function seek(text, pattern, init, plain) return checked(find_safely(text, pattern, init, plain)) end

--- Of what find gives: the captures, or all that matched.
local function captured(text, from, to, ...)
  if not from then return nil end
  if select("#", ...) > 0 then return ... end
  return text:sub(from, to)
end

local function safe_find(text, pattern, init, plain)
  if is_cheap(text, pattern, plain) then return find(text, pattern, init, plain) end
  return seek(text, pattern, tonumber(init) or 1, plain)
end

local function safe_match(text, pattern, init)
  if is_cheap(text, pattern) then return match(text, pattern, init) end
  return captured(text, seek(text, pattern, tonumber(init) or 1))
end

--- `from`, `to` and captures of each match from the beginning on, one after the other; an anchor is no anchor here.
local function each_match(text, pattern)
  if pattern:sub(1, 1) == "^" then pattern = "%" .. pattern end
  local at = 1
  local function step(from, to, ...)
    if not from then
      at = #text + 2
      return nil
    end
    at = to < from and from + 1 or to + 1
    return from, to, ...
  end
  return function()
    if at > #text + 1 then return nil end
    return step(seek(text, pattern, at))
  end
end

local function safe_gmatch(text, pattern)
  if is_cheap(text, pattern) then return gmatch(text, pattern) end
  local next_match = each_match(text, pattern)
  return function() return captured(text, next_match()) end
end

--- What stands in the place of a match.
local function replaced(whole, replacement, first, ...)
  if type(replacement) == "table" or type(replacement) == "function" then
    local value
    if first == nil then first = whole end
    if type(replacement) == "table" then value = replacement[first] else value = replacement(first, ...) end
    if not value then return whole end
    if type(value) == "string" or type(value) == "number" then return tostring(value) end
    error(("invalid replacement value (a %s)"):format(type(value)), 3)
  end
  local captures = first == nil and { whole } or { first, ... }
  return (gsub(replacement, "%%(.?)", function(digit)
    if digit == "0" then return whole end
    if not match(digit, "%d") then return digit end
    if captures[tonumber(digit)] == nil then error("invalid capture index", 4) end
    return captures[tonumber(digit)]
  end))
end

local TAKEN = { string = true, number = true, table = true, ["function"] = true }

local function safe_gsub(text, pattern, replacement, most)
  if is_cheap(text, pattern) or not TAKEN[type(replacement)] then return gsub(text, pattern, replacement, most) end
  local parts, done, count = {}, 1, 0
  local anchored = pattern:sub(1, 1) == "^"
  local next_match = anchored and function() return seek(text, pattern, 1) end or each_match(text, pattern)
  local function take(from, to, ...)
    if not from then return false end
    count = count + 1
    parts[#parts + 1] = text:sub(done, from - 1)
    parts[#parts + 1] = replaced(text:sub(from, to), replacement, ...)
    done = to + 1
    return not anchored
  end
  most = tonumber(most) or math.huge
  while count < most and take(next_match()) do end
  return table.concat(parts) .. text:sub(done), count
end

--- A list of fewer items is sorted in no time to speak of.
interruptible.most_sorted = 1e5

-- Not luabox's own code, in which a second interrupt is not raised.
local less = loadstring("local a, b = ... return a < b", "=table.sort")

--- Between two comparisons in Lua an interrupt is heard.
local function safe_sort(list, before)
  if before ~= nil or type(list) ~= "table" or #list < interruptible.most_sorted then return sort(list, before) end
  local ok, problem = pcall(sort, list, less)
  if not ok then error(type(problem) == "string" and gsub(problem, "^table%.sort:1: ", "") or problem, type(problem) == "string" and 2 or 0) end
end

local SIGINT = 2

--- The shell's command hears Ctrl-C itself, and luabox does not meanwhile: that it ended so is told by its status.
local function safe_execute(...)
  local status = execute(...)
  if status == SIGINT or status == (128 + SIGINT) * 256 then error("interrupted", 2) end
  return status
end

-- Bytes: what a string may have without a question.
interruptible.most_bytes = 2 ^ 24

local LONGEST = 2 ^ 31 - 1  -- Lua's own takes what is more for none

--- Bytes that a process can have without the kernel ending one for it.
local function free_memory()
  local ok, text = pcall(sys.file.read, "/proc/meminfo")
  return (tonumber(ok and match(text, "MemAvailable:%s*(%d+)")) or math.huge) * 1024
end

local function safe_rep(text, count, ...)
  local separator = ...
  local size = (tonumber(count) or 0) * ((type(text) == "string" and #text or 0) + (type(separator) == "string" and #separator or 0))
  -- A string is made aside, and copied.
  if size > interruptible.most_bytes and (size > LONGEST or size * 2 > free_memory()) then error("not enough memory", 2) end
  return rep(text, count, ...)
end

--- In the place of Lua's own from now on, for everybody.
function interruptible.install()
  string.find, string.match, string.gmatch, string.gsub = safe_find, safe_match, safe_gmatch, safe_gsub
  string.rep = safe_rep
  table.sort, os.execute = safe_sort, safe_execute
end

return interruptible
