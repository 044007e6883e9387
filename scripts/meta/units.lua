---@meta luabox.units

---Quantities: a number is in base units, a string carries a unit. `require "luabox.units"`.
---@class luabox.units
local units = {}

---Bytes: 100000000, "100MB" (10^6), "64MiB" (2^20), "64M" and "64m" as the kernel means them (2^20).
---@param value luabox.Size
---@return integer
function units.size(value) end

---Seconds: 1.5, "1.5s", "200ms", "5m", "1h", "1d".
---@param value number|string
---@return number
function units.duration(value) end

---Bits per second: 10000000, "10mbit".
---@param value number|string
---@return integer
function units.bit_rate(value) end

---Bytes as a person reads them: "100 MB", "64 MiB".
---@param bytes integer
---@return string
function units.show_size(bytes) end

return units
