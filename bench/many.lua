-- One script that starts many. Arguments: how many one after another, how many to keep alive meanwhile, the shape, the root file system.
-- Prints the median and the 10th percentile of start + wait + destroy, in microseconds.
local sys = require "luabox.sys"
local count, alive, shape, root = tonumber((...)), tonumber((select(2, ...))), select(3, ...)
local build = assert(loadfile((arg[0]:gsub("[^/]*$", "") .. "shape.lua")))

local kept = {}
for i = 1, alive do kept[i] = build(shape, root, "/bin/sleep", "1000"):start() end

local times = {}
for i = 1, count do
  local start = sys.monotonic()
  local status = build(shape, root, "/bin/true"):run()
  times[i] = (sys.monotonic() - start) * 1e6
  if status ~= 0 then error("exit status " .. status) end
end
table.sort(times)
print(("%.0f %.0f"):format(times[math.ceil(count / 2)], times[math.ceil(count / 10)]))
for _, each in ipairs(kept) do each:destroy() end
