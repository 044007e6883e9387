-- Each control by its name of version 1, its name of version 2 and its short name: on any host all of them work, or the error says why not.
-- Prints for each name the file and what the kernel then has in it, or the error.
-- Needs root, or a delegated cgroup of version 2. With names as arguments (`KEY=VALUE`), only these.
local sys = require "luabox.sys"

local KEYS = {
  "cpu.cfs_quota_us=20000", "cpu.max=20000 100000", "cpu=20%",
  "cpu.shares=512", "cpu.weight=50", "cpu_weight=50",
  "cpuset.cpus=0", "cpuset=0", "cpuset.mems=0", "mems=0",
  "memory.limit_in_bytes=100000000", "memory.max=100000000", "memory=100MB",
  "memory.soft_limit_in_bytes=50000000", "memory.low=50000000", "memory_low=50MB",
  "memory.swappiness=0", "swappiness=0", "memory.swap.max=0", "swap=0", "memory.high=50000000", "memory_high=50MB", "oom_group=1",
  "pids.max=50", "pids=50",
  "blkio.weight=500", "io.weight=500", "io_weight=500",
  "devices.allow=c 1:3 rwm", "devices=c 1:3 rwm",
  "freezer.state=THAWED", "cgroup.freeze=0", "freezer=thawed",
  "net_cls.classid=1048577", "net_prio.ifpriomap=lo 5",
  "hugetlb.2MB.limit_in_bytes=4194304", "hugetlb.2MB.max=4194304", "hugetlb.2MB=4MiB",
  "rdma.max=mlx4_0 hca_handle=2", "misc.max=sev 1", "cpuacct.usage=0",
}

--- Writes one key to a cgroup of its own, after the memory that a limit of swap is relative to.
local function written(group, key, value)
  if key:find "swap" and key ~= "memory.swappiness" then group:write { memory = "100MB" } end
  local plan, words = group:plan { [key] = value }, {}
  group:write { [key] = value }
  for i, write in ipairs(plan) do
    local file = io.open(write.path)
    words[i] = write.file .. " = " .. (file and file:read "*l" or "written: " .. write.value:gsub("\n", ""))
    if file then file:close() end
  end
  return table.concat(words, ", ")
end

for _, line in ipairs(#arg > 0 and arg or KEYS) do
  local key, value = line:match "^([^=]+)=(.*)$"
  local group = sys.cgroup.create "walk-names"
  local ok, result = pcall(written, group, key, value)
  group:remove()
  print(key, ok and result or "refused: " .. tostring(result))
end
