local box = { rootfs = "/", command = { "sh" }, cgroup = { memory = "3GiB" } }
local function running(count, gib)
  local list = {}
  for i = 1, count do list[i] = { name = "c" .. i, labels = {}, memory = gib * 2 ^ 30 } end
  return list
end

case "the first" { container = box, allowed = true }
case "one too many" { container = box, running = running(4, 0.5), refused_by = "containers", reason = "4 containers" }
case "too much memory" { container = box, running = running(2, 3), refused_by = "quota", reason = "9.0 GiB" }
case "too much by an update" {
  on = "update", request = { name = "c1", cgroup = { memory = "4GiB" } }, running = running(2, 3), refused_by = "quota", reason = "10.0 GiB",
}
case "an update has the ceiling" {
  on = "update", request = { name = "c1", cgroup = { memory = "40GiB" } }, running = running(1, 1),
  changed = function(u) return u.cgroup.memory == 4 * 2 ^ 30 end,
}
case "just enough" { container = box, running = running(2, 2.5), allowed = true }
case "no limit becomes one" { container = { rootfs = "/", command = { "sh" } }, changed = function(c) return c.cgroup.memory == 2 ^ 30 end }
