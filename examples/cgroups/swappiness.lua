-- Swap: a cgroup whose memory is never swapped out; on version 1 by its swappiness, on version 2, which has none, by a limit of its swap.
-- Prints what is written where, what the kernel then has, and what it says to a swappiness of 60.
-- Needs root, or a delegated cgroup of version 2.
local sys = require "luabox.sys"

local group = sys.cgroup.create "walk-swappiness"
for _, write in ipairs(group:plan { ["memory.swappiness"] = 0 }) do print(write.file, write.value) end
group:write { ["memory.swappiness"] = 0 }

local read, value = pcall(group.read, group, "swap")
print("the kernel has", pcall(group.read, group, "memory.swappiness") and "swappiness " .. group:read "memory.swappiness"
  or read and "swap " .. value)

local written, why = pcall(group.write, group, { swappiness = 60 })
print(written and "60 is taken: version 1" or tostring(why))
