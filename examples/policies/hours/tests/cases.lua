local box = { rootfs = "/", command = { "sh" } }
local function at(weekday, hour) return { weekday = weekday, hour = hour, minute = 30 } end

case "at work" { container = box, time = at("mon", 9), allowed = true }
case "early" { container = box, time = at("mon", 8), refused_by = "working hours", reason = "08:30" }
case "late" { container = box, time = at("fri", 17), refused_by = "working hours" }
case "on a Sunday" { container = box, time = at("sun", 12), refused_by = "working hours", reason = "sun" }
case "the night shift" { container = box, time = at("sun", 3), caller = { uid = 1001, name = "backup" }, allowed = true }
case "root's own timers" { container = box, time = at("sun", 3), caller = { uid = 0, name = "root" }, allowed = true }
case "a user behind sudo" {
  container = box, time = at("sun", 3), caller = { uid = 0, name = "root", login = 1000, login_name = "deploy" },
  refused_by = "working hours",
}
case "a shell in what runs" { on = "exec", request = { name = "x" }, time = at("sun", 3), refused_by = "working hours" }
