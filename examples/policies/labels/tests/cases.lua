local function box(labels) return { rootfs = "/", command = { "sh" }, labels = labels } end

case "both" { container = box { team = "web", tier = "staging" }, allowed = true }
case "none" { container = box(nil), refused_by = "labels", reason = "team" }
case "an odd team" { container = box { team = "../web", tier = "toy" }, refused_by = "labels", reason = "team" }
case "no tier" { container = box { team = "web" }, refused_by = "labels", reason = "tier" }
case "a toy" { container = box { team = "web", tier = "toy" }, changed = function(c) return c.cgroup.cpu_weight == 10 end }
