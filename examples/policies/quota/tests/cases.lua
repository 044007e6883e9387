local box = { rootfs = "/", command = { "sh" }, cgroup = { memory = "3GiB" } }
local function running(count, gib)
  local list = {}
  for i = 1, count do list[i] = { name = "c" .. i, labels = {}, memory = gib * 2 ^ 30 } end
  return list
end

case "the first" { container = box, allowed = true }
case "one too many" { container = box, running = running(4, 0.5), refused_by = "quota", reason = "4 containers" }
case "too much memory" { container = box, running = running(2, 3), refused_by = "quota", reason = "9.0 GiB" }
case "just enough" { container = box, running = running(2, 2.5), allowed = true }
case "no limit becomes one" { container = { rootfs = "/", command = { "sh" } }, changed = function(c) return c.cgroup.memory == 2 ^ 30 end }
