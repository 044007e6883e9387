-- What a container has used: CPU time, memory, processes, bytes read and written, and how long it had to wait for them (version 2).
-- Prints each in base units: seconds and bytes.
-- Needs root, or a delegated cgroup of version 2; and a root file system with busybox as its argument.
local box = container {
  rootfs = arg[1] or "./rootfs",
  cgroup = { memory = "100MB", pids = 50 },
  accounting = true,  -- what has no limit is counted too
  command = { "/bin/sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 30" },
}
box:start()
require("luabox.sys").sleep(2)

for _, what in ipairs { "cpu", "memory", "pids", "io", "pressure" } do
  local line = {}
  for name, value in pairs(box:stats()[what] or {}) do line[#line + 1] = name .. "=" .. value end
  table.sort(line)
  print(what, #line > 0 and table.concat(line, " ") or "not counted here")
end
box:stop(1)
box:destroy()
