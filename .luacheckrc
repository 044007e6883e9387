std = "luajit"
max_line_length = 150
self = false
exclude_files = { "scripts/meta" }  -- documents, not code
-- What a container script has in scope (stdlib.lua).
local vocabulary = {
  "arg", "container", "image", "bind", "proc", "sysfs", "tmpfs", "dev", "devpts", "mqueue", "overlay", "cgroupfs",
  "veth", "bridge", "pasta", "directory", "luabox", "require_version",
}
files["examples"] = { read_globals = vocabulary }
files["bench"] = { read_globals = vocabulary }
files["scripts/commands/run.lua"] = { globals = { "os" } }  -- its exit
files["scripts/library/interruptible.lua"] = { globals = { "string", "table", "os" } }
files["tests/lua/interruptible_test.lua"] = { globals = { "string", "table", "os" } }
files["tests"] = { read_globals = vocabulary, globals = { "test", "check" } }
files["examples/policies"] = { read_globals = { "rule", "deny", "allow", "audit", "log", "under", "reaches", "has", "KiB", "MiB", "GiB", "case",
  unpack(vocabulary) } }
