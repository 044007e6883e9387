std = "luajit"
max_line_length = 120
self = false
-- What a container script has in scope (stdlib.lua).
local vocabulary = {
  "arg", "container", "image", "bind", "proc", "sysfs", "tmpfs", "dev", "devpts", "mqueue", "overlay", "cgroupfs",
  "veth", "run", "step",
}
files["examples"] = { read_globals = vocabulary }
files["tests"] = { read_globals = vocabulary, globals = { "test", "check" } }
