-- Marks for the network: net_cls gives what a cgroup sends a class for filters, net_prio a priority on each interface. Version 1 alone.
-- Prints what the kernel has, or why it has none (version 2 hosts match the cgroup itself in their firewall); then what the command prints.
-- Needs root, a mounted net_cls and net_prio (for the interfaces of the first network namespace alone), and a command to run in the cgroup.
local sys = require "luabox.sys"

local group = sys.cgroup.create "walk-network"
for _, limit in ipairs { { "net_cls.classid", 0x100001 }, { "net_prio.ifpriomap", "lo 5" } } do
  local key, value = limit[1], limit[2]
  local written, why = pcall(group.write, group, { [key] = value })
  print(key, written and group:read(key):gsub("\n", ", ") or tostring(why))
end

if arg[1] and group:exists() then
  local process = sys.clone({ cgroup = group }, function() sys.exec { unpack(arg) } end)
  process:release()
  process:wait()
end
