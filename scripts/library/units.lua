-- units.lua: quantities. Numbers are base units (bytes, seconds, CPUs); strings carry a unit.
local errors = require "luabox.errors"

local units = {}

local SIZES = {
  [""] = 1, B = 1,
  kB = 1e3, KB = 1e3, MB = 1e6, GB = 1e9, TB = 1e12,
  K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30, T = 2 ^ 40, k = 2 ^ 10, m = 2 ^ 20, g = 2 ^ 30, t = 2 ^ 40,
  KiB = 2 ^ 10, MiB = 2 ^ 20, GiB = 2 ^ 30, TiB = 2 ^ 40,
}
local SIZE_EXAMPLES = "100MB, 64MiB or a number of bytes"
local TIMES = { [""] = 1, s = 1, ms = 1e-3, us = 1e-6, m = 60, min = 60, h = 3600, d = 86400 }

local RATES = { [""] = 1, bit = 1, kbit = 1e3, mbit = 1e6, gbit = 1e9 }

local function quantity(value, scale, what, examples)
  if type(value) == "number" and value >= 0 and value < math.huge then return value end
  local number, unit = tostring(value):match("^%s*(%d+%.?%d*)%s*(%a*)%s*$")
  if type(value) ~= "string" or not number or not scale[unit] then
    errors.raise("%s is no %s; write %s", type(value) == "string" and "'" .. value .. "'" or tostring(value), what, examples)
  end
  return tonumber(number) * scale[unit]
end

--- Bytes: 100000000, "100MB" (10^6), "64MiB" (2^20), "64M" and "64m" as the kernel means them (2^20); the units of engine/cgroup_values.cpp.
---@return integer
function units.size(value)
  local bytes = quantity(value, SIZES, "size", SIZE_EXAMPLES)
  if bytes % 1 ~= 0 and (type(value) == "number" or value:find "^[%s%d.]+B?%s*$") then
    errors.raise("%s is no size, which is whole bytes; write %s", type(value) == "string" and "'" .. value .. "'" or tostring(value), SIZE_EXAMPLES)
  end
  return math.floor(bytes)
end

--- Seconds: 1.5, "1.5s", "200ms", "5m".
---@return number
function units.duration(value)
  return quantity(value, TIMES, "duration", "1.5s, 200ms, 5m or a number of seconds")
end

--- Bits per second: 10000000, "10mbit".
---@return integer
function units.bit_rate(value)
  return math.floor(quantity(value, RATES, "rate", "500kbit, 10mbit, 1gbit or a number of bits per second"))
end

--- Bytes as a person reads them: "100 MB", "64 MiB".
function units.show_size(bytes)
  for _, scale in ipairs { { 2 ^ 30, "GiB" }, { 2 ^ 20, "MiB" }, { 1e9, "GB" }, { 1e6, "MB" }, { 2 ^ 10, "KiB" }, { 1e3, "kB" } } do
    if bytes >= scale[1] and bytes % scale[1] == 0 then return ("%d %s"):format(bytes / scale[1], scale[2]) end
  end
  if bytes >= 1e6 then return ("%.1f MB"):format(bytes / 1e6) end
  return ("%d bytes"):format(bytes)
end

return units
