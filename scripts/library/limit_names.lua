-- limit_names.lua: a cgroup's limits under one name each, in base units, for the rules of a site's policies.
--
-- Whatever the script calls a limit ("memory.max", "memory.limit_in_bytes"), a rule finds it by its short name. The kernel's files are the
-- engine's matter (engine/cgroup_keys).
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local units = require "luabox.units"

local limit_names = {}

local function bytes(value)
  if value == "max" or value == "unlimited" or value == -1 or value == "-1" then return nil end
  return units.size(value)
end
local function number(value)
  if value == "max" or value == "unlimited" then return nil end
  return tonumber(value) or value
end
local function cpus(value)
  if type(value) == "string" and value:match "^[%d.]+%%$" then return tonumber(value:sub(1, -2)) / 100 end
  return number(value)
end

local function switch(value)
  if value == 1 or value == "1" or value == "FROZEN" then return true end
  if value == 0 or value == "0" or value == "THAWED" then return false end
  return value
end

--- "8:0 10MB" or a list of them, with bytes for units.
local function rates(value)
  if type(value) ~= "table" then
    return (tostring(value):gsub("(%s)([%d.]+%a+)%s*$", function(blank, size) return blank .. ("%.0f"):format(units.size(size)) end))
  end
  local list = {}
  for i, each in ipairs(value) do list[i] = rates(each) end
  return list
end
local function same(value) return value end

-- Each short name with what makes base units of its value, and its other names; those whose scale differs stand below.
local NAMES = {
  memory = { bytes, "memory.limit_in_bytes", "memory.max" },
  memory_low = { bytes, "memory_reservation", "memory.soft_limit_in_bytes", "memory.low" },
  memory_high = { bytes, "memory.high" }, memory_min = { bytes, "memory.min" },
  swap = { bytes, "memory.swap.max" }, swappiness = { number, "memory.swappiness" }, oom_group = { switch, "memory.oom.group" },
  cpu = { cpus }, cpu_weight = { number, "weight", "cpu.weight" }, cpu_burst = { number, "cpu.cfs_burst_us", "cpu.max.burst" },
  cpu_idle = { switch, "cpu.idle" },
  pids = { number, "pids.max" },
  cpuset = { tostring, "cpus", "cpuset.cpus" }, mems = { tostring, "cpuset.mems" },
  io_weight = { number, "io.weight" },
  io_read_bps = { rates, "blkio.throttle.read_bps_device" }, io_write_bps = { rates, "blkio.throttle.write_bps_device" },
  io_read_iops = { same, "blkio.throttle.read_iops_device" }, io_write_iops = { same, "blkio.throttle.write_iops_device" },
  freezer = { switch, "freezer.state", "cgroup.freeze" }, rdma = { same, "rdma.max" }, misc = { same, "misc.max" }, dmem = { same, "dmem.max" },
}
local SHORT = {}
for name, definition in pairs(NAMES) do
  SHORT[name] = name
  for i = 2, #definition do SHORT[definition[i]] = name end
end

local CONVERTED = { ["cpu.shares"] = "cpu_weight", ["blkio.weight"] = "io_weight" }

--- On the scale of version 2. What is no weight stays: the start says so.
local function weight(key, value)
  local given = tonumber(value)
  return given and given >= 0 and given == math.floor(given) and sys.cgroup.v2_weight(key, given) or value
end

local QUOTA = { ["cpu_quota"] = true, ["cpu.cfs_quota_us"] = true }
local PERIOD = { ["cpu_period"] = true, ["cpu.cfs_period_us"] = true }

local function quota(text)
  local limit, period = tostring(text):match "^(%w+)%s*(%d*)$"
  return tonumber(limit) and tonumber(limit) / (tonumber(period) or 100000) or nil
end

--- The name that a request has for a key of the script's.
function limit_names.of(key)
  if key == "cpu.max" or QUOTA[key] or PERIOD[key] then return "cpu" end
  if CONVERTED[key] then return CONVERTED[key] end
  local page = key:match "^hugetlb%.([^.]+)%.max$" or key:match "^hugetlb%.([^.]+)%.limit_in_bytes$"
  return page and "hugetlb." .. page or key == "memory.memsw.limit_in_bytes" and "swap" or SHORT[key] or key
end

--- What the key's value is under its short name; nil for no limit.
local function in_base_units(key, value, keys)
  if key == "cpu.max" then return quota(value) end
  if QUOTA[key] then
    local period = tonumber(keys.cpu_period or keys["cpu.cfs_period_us"]) or 100000
    return tonumber(value) and tonumber(value) > 0 and tonumber(value) / period or nil
  end
  if key == "memory.memsw.limit_in_bytes" then
    local memory, both = bytes(keys.memory or keys["memory.limit_in_bytes"] or keys["memory.max"] or 0), bytes(value)
    return both and math.max(0, both - (memory or 0)) or nil
  end
  if CONVERTED[key] then return weight(key, value) end
  if key:find "^hugetlb%." then return bytes(value) end
  local name = SHORT[key]
  if name then return NAMES[name][1](value) end
  return value
end

--- { ["memory.max"] = "1GiB" } -> { memory = 1073741824 }. No limit is no key. What has no short name keeps its own.
function limit_names.values(keys)
  local result, seen = {}, {}
  for key, value in pairs(keys) do
    if not PERIOD[key] then
      local name = limit_names.of(key)
      if seen[name] then errors.raise("cgroup: '%s' and '%s' are the same", seen[name], key) end
      result[name], seen[name] = in_base_units(key, value, keys), key
    end
  end
  return result
end

return limit_names
