-- Every control of the engine's table (sys.cgroup.keys), by each of its names, in a cgroup of its own on this host's own version: written, seen
-- in the kernel's file and read back, or refused with the reason. A control that is added to the table is added to WRITES, or its test fails; one
-- that can only be read needs no line. And the other way round: each control file of this kernel is in the table.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"

local PARENT = "luabox-test-keys-" .. sys.pid()
local WRITTEN, REFUSED = "(written)", "(refused)"

--- A whole disk, as "MAJOR:MINOR"; of what the kernel only wants to know that it is one.
local function disk()
  for line in sys.file.read("/proc/partitions"):gmatch "[^\n]+" do
    local major, minor, name = line:match "^%s*(%d+)%s+(%d+)%s+%d+%s+(%a+)$"
    if name and name ~= "ram" then return major .. ":" .. minor end
  end
end
local DISK = disk() or "8:0"

--- What is written by each name, and what the kernel then has in its files on each version: "FILE=FIRST LINE", several after "; ", or WRITTEN where
--- no file tells. A version that isn't said refuses. `reads`: what g:read gives, where that isn't the first file's text. `before` is written first.
--- `hardware`: the kernel refuses as there is no such device here; `deprecated`: some kernels take nothing any more.
local WRITES = {}
local function writes(names, row)
  for name in names:gmatch "%S+" do WRITES[name] = row end
end
local function same(name, value, version, more)  -- one file of that name, with the value as it is
  local row = { value, [version] = name .. "=" .. value }
  for key, what in pairs(more or {}) do row[key] = what end
  writes(name, row)
end

writes("cpuset.mems mems", { "0", v1 = "cpuset.mems=0", v2 = "cpuset.mems=0" })
writes("cpuset.cpus cpuset cpus", { "0", v1 = "cpuset.cpus=0", v2 = "cpuset.cpus=0" })
for _, name in ipairs { "cpu_exclusive", "mem_exclusive", "sched_load_balance" } do same("cpuset." .. name, "0", "v1") end
for _, name in ipairs { "mem_hardwall", "memory_migrate", "memory_spread_page", "memory_spread_slab" } do same("cpuset." .. name, "1", "v1") end
same("cpuset.sched_relax_domain_level", "0", "v1")
same("cpuset.cpus.exclusive", "0", "v2")
same("cpuset.cpus.partition", "member", "v2")

writes("cpu.shares", { 512, v1 = "cpu.shares=512", v2 = "cpu.weight=59", reads = { v1 = "512", v2 = "521" } })
writes("cpu.weight cpu_weight weight", { 50, v1 = "cpu.shares=421", v2 = "cpu.weight=50", reads = "50" })
writes("cpu.cfs_period_us cpu_period", { 50000, v1 = "cpu.cfs_period_us=50000", v2 = "cpu.max=max 50000", reads = "50000" })
writes("cpu.cfs_quota_us cpu_quota", { 20000, v1 = "cpu.cfs_quota_us=20000", v2 = "cpu.max=20000 100000", reads = "20000" })
writes("cpu.max", { "20000 50000", v1 = "cpu.cfs_quota_us=20000; cpu.cfs_period_us=50000", v2 = "cpu.max=20000 50000", reads = "20000 50000" })
writes("cpu", { "20%", v1 = "cpu.cfs_quota_us=20000; cpu.cfs_period_us=100000", v2 = "cpu.max=20000 100000", reads = "0.2" })
writes("cpu.cfs_burst_us cpu.max.burst cpu_burst", { 1000, v1 = "cpu.cfs_burst_us=1000", v2 = "cpu.max.burst=1000", before = { cpu = "20%" } })
writes("cpu.idle cpu_idle", { true, v1 = "cpu.idle=1", v2 = "cpu.idle=1" })
writes("cpu.uclamp.min", { "10.00", v1 = "cpu.uclamp.min=10.00", v2 = "cpu.uclamp.min=10.00" })
writes("cpu.uclamp.max", { "50.00", v1 = "cpu.uclamp.max=50.00", v2 = "cpu.uclamp.max=50.00" })
same("cpu.rt_period_us", "500000", "v1")
same("cpu.rt_runtime_us", "0", "v1")
same("cpu.weight.nice", "5", "v2")
same("cpuacct.usage", "0", "v1")

same("memory.use_hierarchy", "1", "v1")
writes("memory.limit_in_bytes memory.max memory", { 1e8, v1 = "memory.limit_in_bytes=99999744", v2 = "memory.max=99999744" })
writes("memory.memsw.limit_in_bytes", { 2e8, v1 = "memory.memsw.limit_in_bytes=199999488", v2 = "memory.swap.max=99999744", reads = "199999488",
  before = { memory = "100MB" } })
writes("memory.swap.max swap", { 5e7, v1 = "memory.memsw.limit_in_bytes=149999616", v2 = "memory.swap.max=49999872", reads = "49999872",
  before = { memory = "100MB" } })
writes("memory.swappiness swappiness", { 0, v1 = "memory.swappiness=0", v2 = "memory.swap.max=0", reads = { v1 = "0", v2 = REFUSED } })
writes("memory.soft_limit_in_bytes memory.low memory_low memory_reservation",
  { 5e7, v1 = "memory.soft_limit_in_bytes=49999872", v2 = "memory.low=49999872" })
writes("memory.min memory_min", { 5e7, v2 = "memory.min=49999872" })
writes("memory.high memory_high", { 5e7, v2 = "memory.high=49999872" })
writes("memory.kmem.limit_in_bytes", { 5e7, v1 = "memory.kmem.limit_in_bytes=49999872", deprecated = true })
writes("memory.kmem.tcp.limit_in_bytes", { 5e7, v1 = "memory.kmem.tcp.limit_in_bytes=49999872", deprecated = true })
writes("memory.oom_control", { 1, v1 = "memory.oom_control=oom_kill_disable 1", deprecated = true })
writes("memory.oom.group oom_group", { true, v2 = "memory.oom.group=1" })
writes("memory.force_empty", { "0", v1 = WRITTEN })
writes("memory.reclaim", { "0", v2 = WRITTEN })
same("memory.move_charge_at_immigrate", "0", "v1")
writes("memory.swap.high", { 5e7, v2 = "memory.swap.high=49999872" })
writes("memory.zswap.max", { 5e7, v2 = "memory.zswap.max=49999872" })
same("memory.zswap.writeback", "0", "v2")
writes("memory.max_usage_in_bytes memory.peak", { 0, v1 = "memory.max_usage_in_bytes=0", v2 = "memory.peak=0" })
for _, name in ipairs { "failcnt", "memsw.failcnt", "kmem.failcnt", "kmem.tcp.failcnt", "memsw.max_usage_in_bytes", "kmem.max_usage_in_bytes",
    "kmem.tcp.max_usage_in_bytes" } do same("memory." .. name, "0", "v1") end
same("memory.swap.peak", "0", "v2")

writes("pids.max pids", { 50, v1 = "pids.max=50", v2 = "pids.max=50" })

writes("blkio.weight", { 500, v1 = "blkio.weight=500", v2 = "io.weight=default 4950", reads = "500" })
writes("io.weight io_weight", { 500, v1 = "blkio.weight=54", v2 = "io.weight=default 500", reads = { v1 = "500", v2 = "default 500" } })
writes("blkio.weight_device", { DISK .. " 500", v1 = "blkio.weight_device=" .. DISK .. " 500", v2 = "io.weight=default 100",
  hardware = true, reads = { v2 = REFUSED } })
writes("blkio.bfq.weight io.bfq.weight", { "500", v1 = "blkio.bfq.weight=500", v2 = "io.bfq.weight=default 500" })
-- Takes a disk with that scheduler.
writes("blkio.bfq.weight_device", { DISK .. " 500", v1 = "blkio.bfq.weight_device=" .. DISK .. " 500", hardware = true })
writes("blkio.leaf_weight", { "500", v1 = "blkio.leaf_weight=500" })
writes("blkio.leaf_weight_device", { DISK .. " 500", v1 = "blkio.leaf_weight_device=" .. DISK .. " 500" })
for word, name in pairs { io_read_bps = "read_bps", io_write_bps = "write_bps", io_read_iops = "read_iops", io_write_iops = "write_iops" } do
  local parameter = name:gsub("(%a)%a+_(%a)(%a+)", "%1%2%3")  -- read_bps is rbps
  local rates = ("rbps=max wbps=max riops=max wiops=max"):gsub(parameter .. "=max", parameter .. "=1000")
  name = "blkio.throttle." .. name .. "_device"
  writes(name .. " " .. word, { DISK .. " 1000", v1 = name .. "=" .. DISK .. " 1000", v2 = "io.max=" .. DISK .. " " .. rates,
    reads = DISK .. " 1000" })
end
writes("io.max", { DISK .. " rbps=1000000 wiops=100", reads = { v1 = REFUSED },
  v1 = "blkio.throttle.read_bps_device=" .. DISK .. " 1000000; blkio.throttle.write_iops_device=" .. DISK .. " 100",
  v2 = "io.max=" .. DISK .. " rbps=1000000 wbps=max riops=max wiops=100" })
writes("io.latency", { DISK .. " target=1000", v2 = "io.latency=" .. DISK .. " target=1000" })
writes("blkio.prio.class io.prio.class", { "restrict-to-be", v1 = "blkio.prio.class=restrict-to-be", v2 = "io.prio.class=restrict-to-be" })
writes("blkio.reset_stats", { "1", v1 = WRITTEN })

writes("hugetlb.2MB.limit_in_bytes hugetlb.2MB.max hugetlb.2MB",
  { "4MiB", v1 = "hugetlb.2MB.limit_in_bytes=4194304", v2 = "hugetlb.2MB.max=4194304" })
writes("hugetlb.2MB.rsvd.limit_in_bytes hugetlb.2MB.rsvd.max",
  { "4MiB", v1 = "hugetlb.2MB.rsvd.limit_in_bytes=4194304", v2 = "hugetlb.2MB.rsvd.max=4194304" })
writes("rdma.max rdma", { "mlx4_0 hca_handle=2", v1 = WRITTEN, v2 = WRITTEN, hardware = true })
writes("misc.max misc", { "sev 1", v1 = WRITTEN, v2 = WRITTEN, hardware = true })
writes("dmem.max dmem.min dmem.low dmem", { "drm/0000:03:00.0/vram0 1048576", v2 = WRITTEN, hardware = true })

same("net_cls.classid", "1048577", "v1")
writes("net_prio.ifpriomap", { "lo 5", v1 = "net_prio.ifpriomap=lo 5" })
writes("devices", { "c 1:3 rwm", v1 = "devices.list=c 1:3 rwm", v2 = WRITTEN, reads = { v2 = REFUSED } })
writes("devices.deny", { "a", v1 = "devices.list=" })
writes("devices.allow", { "c 1:3 r", v1 = "devices.list=c 1:3 r", before = { ["devices.deny"] = "a" } })

same("cgroup.max.descendants", "5", "v2")
same("cgroup.max.depth", "5", "v2")
same("cgroup.pressure", "0", "v2")
same("cgroup.type", "threaded", "v2")
writes("freezer.state", { "FROZEN", v1 = "freezer.state=FROZEN", v2 = "cgroup.freeze=1", reads = "FROZEN" })
writes("cgroup.freeze", { 1, v1 = "freezer.state=FROZEN", v2 = "cgroup.freeze=1", reads = "1" })
writes("freezer", { "frozen", v1 = "freezer.state=FROZEN", v2 = "cgroup.freeze=1", reads = "frozen" })

-- ---- this host

local CORE = { cpuacct = true, freezer = true, devices = true, cgroup = true, perf_event = true }  -- that every cgroup of version 2 can do

local function has(hierarchy, controller)
  for _, name in ipairs(hierarchy.controllers) do
    if name == controller or (hierarchy.version == 1 and name == "blkio" and controller == "io") then return true end
  end
  return hierarchy.version == 2 and CORE[controller]
end

--- Its hierarchy; version 1 goes before.
local function hierarchy_of(controller)
  local found
  for _, hierarchy in ipairs(sys.cgroup.host()) do
    if has(hierarchy, controller) and not (found and found.version == 1) then found = hierarchy end
  end
  return found
end

local function first_line(path)
  local file = io.open(path)
  if not file then return nil end
  local ok, text = pcall(file.read, file, "*a")
  file:close()
  return ok and text and text:match "^[^\n]*", ok and text
end

local function given_below(hierarchy) return (first_line(hierarchy.base .. "/cgroup.subtree_control") or ""):gmatch "%S+" end

-- What version 2's topmost cgroup gives to those below it: luabox leaves on what it turns on, and this is the machine's.
local before = {}
for _, hierarchy in ipairs(sys.cgroup.host()) do
  for name in given_below(hierarchy) do before[name] = true end
end

--- The machine's hierarchies as they were before.
local function give_back()
  for _, hierarchy in ipairs(sys.cgroup.host()) do
    os.remove(hierarchy.base .. "/" .. PARENT)
    for name in given_below(hierarchy) do
      if not before[name] then  -- refused while another's cgroup makes use of it
        local file = assert(io.open(hierarchy.base .. "/cgroup.subtree_control", "w"))
        file:write("-" .. name)
        file:close()
      end
    end
  end
end

--- A cgroup with a part in that controller's hierarchy, gone at the end, whatever happens; and the directory of that part.
local function with_cgroup(controller, body)
  local hierarchy = hierarchy_of(controller)
  local group = sys.cgroup.create("demo", { parent = PARENT, controllers = hierarchy and { controller } or {} })
  local ok, problem = xpcall(function() body(group, hierarchy and hierarchy.base .. "/" .. PARENT .. "/demo") end, function(raised)
    return type(raised) == "table" and raised or debug.traceback(tostring(raised), 2)
  end)
  group:remove()
  give_back()
  if not ok then error(problem, 0) end
end

local counts = { written = 0, refused = 0, absent = 0, read = 0 }

--- g:write or g:read fails with this in its text.
local function refused(what, ...)
  check.raises(...)
  counts.refused = counts.refused + 1
  return what
end

--- Whether the kernel, of the files that a key stands for, lacks one; the error says so then.
local function lacks_file(directory, expected)
  for file in expected:gmatch "([%w_.]+)=" do
    if sys.file.kind(directory .. "/" .. file) == nil then return file end
  end
end

local function check_written(group, directory, name, sample, version)
  local expected = sample["v" .. version]
  if sample.before then group:write(sample.before) end
  local ok, problem = pcall(group.write, group, { [name] = sample[1] })
  if not ok then
    local missing = lacks_file(directory, expected)
    if missing then check.equal(problem.code, "ENOENT", missing .. ", which this kernel hasn't: " .. tostring(problem))
    elseif sample.hardware then check.truthy(problem.code == "EINVAL" or problem.code == "ENODEV" or problem.code == "EOPNOTSUPP", tostring(problem))
    elseif sample.deprecated then check.equal(problem.code, "EOPNOTSUPP", tostring(problem))
    elseif tostring(problem):find("this kernel's file can only be read", 1, true) then
      local file = expected:match "^[^=]+"
      check.equal(sys.file.status(directory .. "/" .. file).mode:sub(-3), "444", file)
    elseif name == "devices" and sys.uid() ~= 0 then check.contains(tostring(problem), "only the host's root may load one")
    else error(problem, 0) end
    check.truthy(tostring(problem):find("(", 1, true) or problem.code == "EINVAL", tostring(problem))  -- the reason, behind the kernel's own word
    counts.absent = counts.absent + 1
    return
  end
  counts.written = counts.written + 1
  local whole
  for file, text in (expected == WRITTEN and "" or expected):gmatch "([%w_.]+)=([^;]*)" do
    local line, all = first_line(directory .. "/" .. file)
    if file == "net_prio.ifpriomap" then line = all:match "lo %d+" end
    check.equal(line, text, file .. " after " .. name)
    whole = whole or all:gsub("%s+$", "")
  end
  return true, whole
end

local function check_read(group, name, sample, version, whole)
  local reads = sample.reads
  if type(reads) == "table" then reads = reads["v" .. version] end
  if reads == REFUSED then return refused(name, "cgroup key " .. name, group.read, group, name) end
  if reads == nil then reads = whole end
  if reads then check.equal(group:read(name), reads, "read " .. name) end
end

--- One control by one of its names.
local function by_name(key, name)
  local hierarchy = hierarchy_of(key.controller)
  local sample = WRITES[name]
  local writable, readable = key.access:find "write", key.access:find "read"
  check.truthy(sample or not writable, name .. " is new in the table: give it a line in WRITES")
  with_cgroup(key.controller, function(group, directory)
    local value = sample and sample[1] or "1"
    if not hierarchy then
      local reason = key.controller == "cgroup" and "of version 2" or "controller '" .. key.controller .. "'"
      return refused(name, reason, group.write, group, { [name] = value })
    end
    local version = hierarchy.version
    local own = version == 1 and key.v1 or key.v2
    if writable and not sample["v" .. version] then
      refused(name, "the controller '" .. key.controller .. "' is cgroup v" .. version .. " here", group.write, group, { [name] = value })
      return refused(name, key.note ~= "" and key.note or "here", group.write, group, { [name] = value })
    end
    if key.access == "none" then
      refused(name, own == "" and key.note or "only in the topmost cgroup", group.write, group, { [name] = value })
      return refused(name, own == "" and key.note or "only in the topmost cgroup", group.read, group, name)
    end
    local whole, written
    if writable then
      written, whole = check_written(group, directory, name, sample, version)
      if not readable then return refused(name, "can only be written", group.read, group, name) end
      if written then check_read(group, name, sample, version, whole) end
      return
    end
    if own == "" then return refused(name, key.note, group.read, group, name) end
    refused(name, "can only be read", group.write, group, { [name] = value })
    local line, all = first_line(directory .. "/" .. own:gsub("%*", "2MB"))
    if line then
      -- What counts on meanwhile agrees in its words.
      check.equal(group:read(name):gsub("%d+", "0"), (all:gsub("%s+$", ""):gsub("%d+", "0")), "read " .. name)
      counts.read = counts.read + 1
    else
      local ok, problem = pcall(group.read, group, name)
      check.equal(ok, false, "reading " .. name .. ", which this kernel doesn't let be read")
      check.truthy(problem.code == "ENOENT" or problem.code == "EINVAL" or problem.code == "EOPNOTSUPP", tostring(problem))
      counts.absent = counts.absent + 1
    end
  end)
end

local function names_of(key)
  local names = {}
  local function add(name)
    if name == "" or name:find " " then return end  -- "io.max rbps" is a part of a file
    name = name:gsub("%*", "2MB")
    for _, known in ipairs(names) do if known == name then return end end
    names[#names + 1] = name
  end
  add(key.v1)
  add(key.v2)
  for _, word in ipairs(key.words) do add(word) end
  return names
end

local hierarchies = sys.cgroup.host()
local writable = #hierarchies > 0
for _, hierarchy in ipairs(hierarchies) do writable = writable and hierarchy.writable end
if not writable then
  test("every control by each of its names", function() harness.skip "no cgroup is delegated to this user" end)
  harness.finish()
end

for _, key in ipairs(sys.cgroup.keys()) do
  local names = names_of(key)
  test("written and read back, or refused with the reason: " .. table.concat(names, ", "), function()
    for _, name in ipairs(names) do by_name(key, name) end
  end)
end

test("what is tried here is in the table", function()
  local known = {}
  for _, key in ipairs(sys.cgroup.keys()) do
    for _, name in ipairs(names_of(key)) do known[name] = true end
  end
  for name in pairs(WRITES) do check.truthy(known[name], name .. " in the table") end
end)

--- Files for processes, for the hierarchy itself and for events: methods of a cgroup do what they are for.
local OTHERS = {}
for name in ([[cgroup.procs cgroup.threads cgroup.controllers cgroup.subtree_control cgroup.kill cgroup.clone_children cgroup.event_control tasks
    notify_on_release memory.shown_ram_in_bytes]]):gmatch "%S+" do OTHERS[name] = true end

test("each control file of this kernel is in the table", function()
  local known, files = {}, 0
  for _, key in ipairs(sys.cgroup.keys()) do known[key.v1], known[(key.v2:gsub(" .*", ""))] = true, true end
  local controllers = {}
  for _, hierarchy in ipairs(hierarchies) do
    for _, name in ipairs(hierarchy.controllers) do controllers[#controllers + 1] = name end
  end
  local group = sys.cgroup.create("demo", { parent = PARENT, controllers = controllers })
  local unknown = {}
  for _, path in ipairs(group:paths()) do
    for _, entry in ipairs(sys.file.list(path)) do
      local name = type(entry) == "table" and entry.name or entry
      local pattern = name:gsub("^hugetlb%.%w+%.", "hugetlb.*."):gsub("%.%d+%a+%.", ".*.")
      files = files + 1
      if not (known[pattern] or known[name] or OTHERS[name]) then unknown[#unknown + 1] = name end
    end
  end
  group:remove()
  give_back()
  check.equal(table.concat(unknown, " "), "")
  check.truthy(files > 20, "files were looked at")
end)

print(("# %d written, %d read, %d refused, %d that this kernel hasn't"):format(counts.written, counts.read, counts.refused, counts.absent))
test("most that this host can is tried", function() check.truthy(counts.written >= 20 and counts.read >= 10 and counts.refused >= 40) end)
harness.finish()
