-- The primitives under rules: each is called as it is, refused, changed, and under a rule that only logs; what is seen of it must tell the same.
-- Run by policy_matrix_test.sh under policies that it tells by sys.sethostname("control", { ... }) what to do. Arguments: a folder, a file with
-- the names of the primitives, an archive.
local sys = require "luabox.sys"
local WORK, NAMES, ARCHIVE = ...
local a, b, c = WORK .. "/a", WORK .. "/b", WORK .. "/c"
local v2 = sys.cgroup.host()[1].version == 2

-- ---- what is seen

local function mounted(path)
  local found = "nothing"
  for line in sys.file.read "/proc/self/mountinfo":gmatch "[^\n]+" do
    local root, point, options, rest = line:match "^%d+ %d+ %S+ (%S+) (%S+) (%S+) (.*)$"
    if point == path then found = ("%s %s %s"):format(root, options, (rest:gsub("%f[%w]%a+:%d+",
  function(tag) return tag:match "^%a+" end):gsub("/fd/%d+", "/fd/N"))) end
  end
  return found
end
local function at_a() return mounted(a) end
local function status(name) return sys.file.read "/proc/self/status":match("\n" .. name .. ":%s*([^\n]*)") end
local function stat(field)
  local list = {}
  for word in sys.file.read "/proc/self/stat":gsub("^.*%) ", ""):gmatch "%S+" do list[#list + 1] = word end
  return list[field - 2]
end
local function descriptors(t) return #sys.file.list "/proc/self/fd" - (t and t.descriptors or 0) end
local function file(path)
  local found = sys.file.status(path)
  local text = found and found.kind == "file" and sys.file.read(path) or ""
  return found and ("%s %s %d:%d %s"):format(found.kind, found.mode, found.uid, found.gid, text) or "nothing"
end
local function link(name)
  local found = sys.net.find(name)
  return found and ("%s %s mtu %d %s %s"):format(found.kind, found.up, found.mtu, name:match "^br" and found.mac or "",
    tostring(found.master)) or "nothing"
end
local function list_of(rows, field)
  local names = {}
  for i, row in ipairs(rows) do names[i] = tostring(row[field]) end
  table.sort(names)
  return table.concat(names, " ")
end
local function namespace(kind) return sys.file.identity("/proc/self/ns/" .. kind) end
local function limit(name) return sys.file.read "/proc/self/limits":match("\n" .. name .. "%s+(%S+)") end

-- ---- what is there before

local function sleeper(namespaces, before)
  local process = sys.clone({ namespaces = namespaces }, function()
    if before then before() end
    sys.exec { "/bin/sleep", "1000" }
  end)
  process:release()
  return process
end
--- In a user namespace; it waits before its exec.
local function mapped(maps)
  local process = sys.clone({ namespaces = "user" }, function() sys.exec { "/bin/sleep", "1000" } end)
  if maps then sys.user.write_id_maps(process, { uid = { "0 1000 1" }, gid = { "0 1000 1" } }) end
  return process
end
local function running(process) return sys.running.find(process:pid(), sys.running.start_time(process:pid())) end
local function bridge() sys.net.add { kind = "bridge", name = "br0" } end
local function cgroup(t)
  t.group = sys.cgroup.create("luabox-matrix-" .. sys.pid())
  t.group:write { pids = 50 }
end

-- ---- the cases: { call, seen, before =, set = (options) or value = (the field's whole value), wanted = (a part of what is seen then) }

local C = {}

-- mount
C["mount.bind"] = { function() sys.mount.bind(b, a, {}) end, at_a, set = { read_only = true }, wanted = " ro," }
C["mount.copy_of"] = { function() sys.mount.copy_of(b, { recursive = true }):attach_at(a) end, function() return mounted(a .. "/sub") end,
  before = function() sys.mount.tmpfs(b .. "/sub") end, set = { recursive = false }, wanted = "nothing" }
C["mount.copy_in"] = { function(t) sys.mount.copy_in(t.root, "b", { recursive = true }):attach_at(a) end,
  function() return mounted(a .. "/sub") end,
  before = function() sys.mount.tmpfs(b .. "/sub") end, set = { recursive = false }, wanted = "nothing" }
C["mount.make"] = { function() sys.mount.make("tmpfs", { options = { size = "1m" } }):attach_at(a) end, at_a, set = { options = { size = "2m" } },
  wanted = "size=2048k" }
local function file_system(name, options, set, wanted)
  C["mount." .. name] = { function() sys.mount[name](a, options) end, at_a, set = set, wanted = wanted }
  C["mount.make_" .. name] = { function() sys.mount["make_" .. name](options):attach_at(a) end, at_a, set = set, wanted = wanted }
end
file_system("proc", {}, { read_only = true }, " ro,")
file_system("sysfs", {}, { read_only = true }, " ro,")
file_system("mqueue", {}, { read_only = true }, " ro,")
file_system("tmpfs", { size = "1m" }, { size = "2m" }, "size=2048k")
file_system("devpts", { mode = "0620" }, { mode = "0600" }, "mode=600")
file_system("cgroup", v2 and { v2 = true } or { controllers = { "pids" } }, { read_only = true }, " ro,")
file_system("overlay", { lower = { b, c } }, { noexec = true }, "noexec")
C["mount.remount"] = { function() sys.mount.remount(a, { noexec = true }) end, at_a, before = function() sys.mount.tmpfs(a) end,
  set = { read_only = true }, wanted = " ro," }
C["mount.private"] = { function() sys.mount.private(a) end, at_a,
  before = function()
    sys.mount.tmpfs(a)
    sys.mount.propagation(a, "shared")
  end }
C["mount.propagation"] = { function() sys.mount.propagation(a, "shared", { recursive = true }) end, function() return mounted(a .. "/sub") end,
  before = function()
    sys.mount.tmpfs(a)
    sys.file.make_directory(a .. "/sub")
    sys.mount.tmpfs(a .. "/sub")
  end, set = { recursive = false }, wanted = "/ rw" }
C["mount.move"] = { function() sys.mount.move(b, a) end, at_a, before = function() sys.mount.tmpfs(b) end }
C["mount.umount"] = { function() sys.mount.umount(a, {}) end, at_a, before = function() sys.mount.tmpfs(a) end }
C["mount.pivot_root"] = { function() sys.mount.pivot_root(a) end, function() return tostring(sys.file.kind "/marker") end,
  before = function()
    sys.mount.tmpfs(a)
    sys.file.write(a .. "/marker", "", { create = true })
  end }
C["mount.chroot"] = { function() sys.mount.chroot(b) end, function() return tostring(sys.file.kind "/file") end }
C["mount.mask"] = { function(t) sys.mount.mask(t.root, { "/b/file" }) end, function() return mounted(b .. "/file") end }
C["mount.make_read_only"] = { function(t) sys.mount.make_read_only(t.root, { "/b" }) end, function() return mounted(b) end }
local function tree(t) t.tree = sys.mount.make_tmpfs() end
local function attached(t)
  t.tree:attach_at(a)
  return at_a()
end
C["mount:restrict_to"] = { function(t) t.tree:restrict_to { read_only = true } end, attached, before = tree, set = { noexec = true },
  wanted = "noexec" }
C["mount:set_flags"] = { function(t) t.tree:set_flags { read_only = true } end, attached, before = tree, set = { noexec = true },
  wanted = "noexec" }
C["mount:propagation"] = { function(t) t.tree:propagation "shared" end, attached, before = tree }
C["mount:idmap"] = { function(t) t.tree:idmap(t.descriptor) end, function(t)
  t.tree:attach_at(a)
  return file(a .. "/f")
end, before = function(t)
  tree(t)
  t.tree:root():write("f", "", { mode = "0600" })
  t.process = mapped "maps"
  t.descriptor = sys.namespace(t.process, "user")
end, host_pids = true, optional = "an idmapped tmpfs takes Linux 6.3" }
C["mount:attach"] = { function(t) t.tree:attach(t.root, "/new", { create = "directory" }) end,
  function() return mounted(WORK .. "/new") end, before = tree }
C["mount:attach_at"] = { function(t) t.tree:attach_at(a) end, at_a, before = tree }

-- files
C["mount.remove_tree"] = { function() sys.mount.remove_tree(b) end, function() return file(b .. "/file") end }
C["root:enter"] = { function(t) t.root:enter "/b" end, function() return sys.file.absolute "." end }
C["root:write"] = { function(t) t.root:write("/b/new", "x", { mode = "0600" }) end, function() return file(b .. "/new") end,
  set = { mode = "0640" },
  wanted = "640" }
C["root:make_directory"] = { function(t) t.root:make_directory("/b/new", { mode = "0700" }) end, function() return file(b .. "/new") end,
  set = { mode = "0750" }, wanted = "750" }
C["root:symlink"] = { function(t) t.root:symlink("file", "/b/new") end, function() return file(b .. "/new") end }
C["root:mknod"] = { function(t) t.root:mknod("/b/new", { type = "fifo", mode = "0600" }) end, function() return file(b .. "/new") end,
  set = { mode = "0640" }, wanted = "640" }
C["root:chown"] = { function(t) t.root:chown("/b/file", { uid = 5, gid = 6 }) end, function() return file(b .. "/file") end,
  set = { uid = 7 }, wanted = "7:6" }
C["root:chmod"] = { function(t) t.root:chmod("/b/file", "0640") end, function() return file(b .. "/file") end }
C["root:remove"] = { function(t) t.root:remove "/b/file" end, function() return file(b .. "/file") end }
C["root:ensure_target"] = { function(t) t.root:ensure_target("/b/new", { kind = "file" }) end, function() return file(b .. "/new") end,
  set = { kind = "directory" }, wanted = "directory" }
C["file.append"] = { function() sys.file.append(b .. "/file", "more") end, function() return file(b .. "/file") end }
C["file.set"] = { function() sys.file.set(b .. "/file", "else") end, function() return file(b .. "/file") end }
C["file.write"] = { function() sys.file.write(b .. "/new", "x", { mode = 384, create = true }) end, function() return file(b .. "/new") end,
  set = { mode = 416 }, wanted = "640" }
C["file.make_directory"] = { function() sys.file.make_directory(b .. "/new", { mode = 448 }) end, function() return file(b .. "/new") end,
  set = { mode = 488 }, wanted = "750" }
C["file.make_directories"] = { function() sys.file.make_directories(b .. "/new/er", { mode = 448 }) end, function() return file(b .. "/new/er") end,
  set = { mode = 488 }, wanted = "750" }
C["file.remove"] = { function() sys.file.remove(b .. "/file") end, function() return file(b .. "/file") end }
C["file.rename"] = { function() sys.file.rename(b .. "/file", b .. "/new", { replace = "no" }) end, function() return file(b .. "/new") end }
C["file.temporary"] = { function() sys.file.temporary(b .. "/new-") end, function() return #sys.file.list(b) end }
C["file.lock"] = { function(t) t.lock = sys.file.lock(b) end, descriptors }
C["archive.import"] = { function() sys.archive.import(ARCHIVE, b, { devices = "skip", owner = "keep" }) end,
  function() return file(b .. "/packed") end,
  set = { owner = "own" }, wanted = "0:0" }

-- namespaces, programs, processes
C["clone"] = { function(t) t.process = sys.clone({ namespaces = "uts" }, function() sys.exec { "/bin/sleep", "1000" } end) end, function(t)
  return t.process and (sys.file.identity(("/proc/%d/ns/uts"):format(t.process:pid())) == namespace "uts" and "the same" or "another") or "nothing"
end, set = { namespaces = "ipc" }, wanted = "the same", host_pids = true }
C["unshare"] = { function() sys.unshare "uts" end, function(t) return tostring(namespace "uts" == t.uts) end }
C["setns"] = { function(t) sys.setns(t.process, { namespaces = "uts" }) end, function(t) return tostring(namespace "uts" == t.uts) end,
  before = function(t) t.process = sleeper "uts ipc" end, set = { namespaces = "ipc" }, wanted = "true" }
C["namespace"] = { function(t) t.descriptor = sys.namespace(0, "uts") end, descriptors }
local SEVEN, NINE = { "/bin/sh", "-c", "exit 7" }, { "/bin/sh", "-c", "exit 9" }
C["exec"] = { function() sys.exec(SEVEN) end, function() return "not another program" end, field = "command", value = NINE, wanted = "exit 9" }
C["init"] = { function() sys.init(SEVEN) end, function() return "not another program" end, field = "command", value = NINE, wanted = "exit 9" }
C["chdir"] = { function() sys.chdir(b) end, function() return sys.file.absolute "." end }
C["sethostname"] = { function() sys.sethostname "inner" end, function() return sys.file.read "/proc/sys/kernel/hostname" end }
C["setdomainname"] = { function() sys.setdomainname "inner" end, function() return sys.file.read "/proc/sys/kernel/domainname" end }
C["setsid"] = { function() sys.setsid() end, function() return tostring(stat(6) == stat(5) and stat(6) ~= "0" or stat(6)) end }
C["pipe"] = { function(t) t.reader, t.writer = sys.pipe() end, descriptors }
C["text_file"] = { function(t) t.text = sys.text_file "x" end, descriptors }
C["output_file"] = { function(t) t.output = sys.output_file(b .. "/new") end, function() return file(b .. "/new") end }
C["redirect"] = { function(t) sys.redirect(t.output, 1) end, function(t) return tostring(sys.file.identity "/proc/self/fd/1" == t.identity) end,
  before = function(t)
    t.output = sys.output_file(b .. "/new")
    t.identity = sys.file.identity(b .. "/new")
  end }
C["time_offsets"] = { function() sys.time_offsets { boottime = 3600 } end, function() return sys.file.read "/proc/self/timens_offsets" end,
  before = function() sys.unshare "time" end, set = { boottime = 7200 }, wanted = "7200" }
C["helper"] = { function(t) t.helper = sys.helper { "sh" } end, function(t) return tostring(t.helper ~= nil) end }
C["helper:kill"] = { function(t) t.helper:kill "KILL" end, function(t) return tostring(t.helper:wait(0.1)) end,
  before = function(t) t.helper = sys.helper { "sleep", "1000" } end }
C["process:kill"] = { function(t) t.process:kill "KILL" end, function(t) return tostring(t.process:wait(0.1)) end,
  before = function(t) t.process = sleeper "" end }
local function joined(t)
  t.process = sleeper("", function() sys.user.rlimit("nofile", { soft = 5000, hard = 6000 }) end)
  t.running = running(t.process)
end
C["running.find"] = { function(t) t.running = running(t.process) end, descriptors, before = function(t) t.process = sleeper "" end,
  host_pids = true }
C["running process:kill"] = { function(t) t.running:kill "KILL" end, function(t) return tostring(t.process:wait(0.1)) end,
  before = joined, host_pids = true }
C["running process:namespaces"] = { function(t) t.list = t.running:namespaces() end, function(t) return tostring(t.list ~= nil) end,
  before = joined,
  host_pids = true }
C["running process:root"] = { function(t) t.found = t.running:root() end, descriptors, before = joined, host_pids = true }
C["running process:adopt_limits"] = { function(t) t.running:adopt_limits() end, function() return limit "Max open files" end, host_pids = true,
  before = function(t)
    joined(t)
    t.running:raise_limits()
  end }
C["running process:raise_limits"] = { function(t) t.running:raise_limits() end, function() return sys.file.read "/proc/self/oom_score_adj" end,
  host_pids = true, before = function(t)
    t.process = sleeper("", function() sys.user.oom_score_adj(200) end)
    t.running = running(t.process)
  end }

-- what a process may
local SETS = { effective = { "chown", "kill" }, permitted = { "chown", "kill" } }
C["security.set_capabilities"] = { function() sys.security.set_capabilities(SETS) end, function() return status "CapEff" end,
  set = { effective = { "chown" }, permitted = { "chown" } }, wanted = "0000000000000001" }
C["security.apply"] = { function() sys.security.apply(0, { "chown", "kill" }) end, function() return status "CapPrm" end, field = "capabilities",
  value = { "chown" }, wanted = "0000000000000001" }
C["security.limit_bounding"] = { function() sys.security.limit_bounding { "chown", "kill" } end, function() return status "CapBnd" end,
  field = "capabilities",
  value = { "chown" }, wanted = "0000000000000001" }
C["security.seccomp"] = { function() sys.security.seccomp "default" end, function() return status "Seccomp" end }
C["security.filter"] = { function(t) t.filter = sys.security.filter "default" end, function(t) return tostring(t.filter ~= nil) end }
C["security.profile_for"] = { function(t) t.filter = sys.security.profile_for { "chown" } end, function(t) return tostring(t.filter ~= nil) end }
C["filter:load"] = { function(t) t.filter:load {} end, function() return status "Seccomp" end,
  before = function(t) t.filter = sys.security.filter "default" end }
C["security.no_new_privs"] = { function() sys.security.no_new_privs() end, function() return status "NoNewPrivs" end }
C["user.write_id_maps"] = { function(t) sys.user.write_id_maps(t.process, { uid = { "0 1000 1" }, gid = { "0 1000 1" } }) end,
  function(t) return sys.file.read(("/proc/%d/uid_map"):format(t.process:pid())) end, before = function(t) t.process = mapped() end,
  set = { uid = { "0 2000 1" } }, wanted = "2000", host_pids = true }
C["user.set_ids"] = { function() sys.user.set_ids { uid = 1000, gid = 1000, groups = {} } end, function() return status "Uid" end,
  set = { uid = 1001 },
  wanted = "1001" }
C["user.rlimit"] = { function() sys.user.rlimit("nofile", { soft = 5000, hard = 6000 }) end, function() return limit "Max open files" end,
  set = { soft = 4000 }, wanted = "4000" }
C["user.nice"] = { function() sys.user.nice(5) end, function() return stat(19) end }
C["user.oom_score_adj"] = { function() sys.user.oom_score_adj(100) end, function() return sys.file.read "/proc/self/oom_score_adj" end }
C["user.umask"] = { function() sys.user.umask "0027" end, function() return status "Umask" end }
C["user.personality"] = { function() sys.user.personality "no_randomize" end, function() return sys.file.read "/proc/self/personality" end }
C["user.scheduling"] = { function() sys.user.scheduling { policy = "batch" } end, function() return stat(41) end,
  set = { policy = "idle" }, wanted = "5" }
C["user.affinity"] = { function() sys.user.affinity { 0 } end, function() return status "Cpus_allowed_list" end, field = "options",
  value = { 1 }, wanted = "1" }

-- cgroups
C["cgroup.create"] = { function(t)
  t.group = sys.cgroup.create("luabox-matrix-" .. sys.pid())
  t.group:write { pids = 50 }
end, function(t) return t.group and t.group:read "pids" or "nothing" end }
C["cgroup:write"] = { function(t) t.group:write { pids = 40 } end, function(t) return t.group:read "pids" end, before = cgroup, set = { pids = 30 },
  wanted = "30" }
C["cgroup:add"] = { function(t) t.group:add(t.process) end, function(t) return #t.group:processes() end, host_pids = true,
  before = function(t)
    cgroup(t)
    t.process = sleeper ""
  end }
C["cgroup:kill"] = { function(t) t.group:kill() end, function(t) return tostring(t.process:wait(0.1)) end,
  before = C["cgroup:add"].before, host_pids = true }
do
  local before = C["cgroup:kill"].before
  C["cgroup:kill"].before = function(t)
    before(t)
    t.group:add(t.process)
  end
end
C["cgroup:remove"] = { function(t) t.group:remove() end, function(t) return tostring(sys.file.kind(t.paths[1])) end, before = function(t)
  cgroup(t)
  t.paths = t.group:paths()
end }
C["cgroup.remove_path"] = { function(t) sys.cgroup.remove_path(t.paths[1], "luabox") end,
  function(t) return tostring(sys.file.kind(t.paths[1])) end,
  before = C["cgroup:remove"].before }
C["cgroup.open"] = { function(t) t.other = sys.cgroup.open(t.paths, "luabox") end, function(t) return tostring(t.other ~= nil) end,
  before = C["cgroup:remove"].before }

-- the network
C["net.add"] = { function() sys.net.add { kind = "bridge", name = "br0" } end, function() return list_of(sys.net.links(), "name") end,
  set = { name = "br1" }, wanted = "br1" }
C["net.remove"] = { function() sys.net.remove "br0" end, function() return link "br0":match "^%a+" end, before = bridge }
C["net.up"] = { function() sys.net.up "lo" end, function() return link "lo" end }
C["net.down"] = { function() sys.net.down "lo" end, function() return link "lo" end, before = function() sys.net.up "lo" end }
C["net.rename"] = { function() sys.net.rename("br0", "br1") end, function() return list_of(sys.net.links(), "name") end, before = bridge }
C["net.move"] = { function(t) sys.net.move("v0", t.process) end, function() return list_of(sys.net.links(), "name") end, before = function(t)
  t.process = sleeper "net"
  sys.net.veth { host = "v0", guest = "v1", netns = t.process }
end }
C["net.set_master"] = { function() sys.net.set_master("v0", "br0") end,
  function() return tostring((sys.net.find "v0".master or 0) ~= 0) end, before = function(t)
  bridge()
  t.process = sleeper "net"
  sys.net.veth { host = "v0", guest = "v1", netns = t.process }
end }
C["net.set_mtu"] = { function() sys.net.set_mtu("lo", 1400) end, function() return link "lo" end }
C["net.set_mac"] = { function() sys.net.set_mac("br0", "02:00:00:00:00:01") end,
  function() return tostring(link "br0":find("02:00:00:00:00:01", 1, true)) end,
  before = bridge }
C["net.add_address"] = { function() sys.net.add_address("lo", "10.1.1.1/32") end, function() return list_of(sys.net.addresses "lo", "address") end }
C["net.remove_address"] = { function() sys.net.remove_address("lo", "10.1.1.1/32") end,
  function() return list_of(sys.net.addresses "lo", "address") end,
  before = function() sys.net.add_address("lo", "10.1.1.1/32") end }
C["net.add_route"] = { function() sys.net.add_route { to = "10.2.0.0/16", dev = "lo" } end, function() return list_of(sys.net.routes(), "to") end,
  before = function() sys.net.up "lo" end, set = { to = "10.3.0.0/16" }, wanted = "10.3.0.0/16" }
C["net.remove_route"] = { function() sys.net.remove_route { to = "10.2.0.0/16", dev = "lo" } end,
  function() return list_of(sys.net.routes(), "to") end,
  before = function()
    sys.net.up "lo"
    sys.net.add_route { to = "10.2.0.0/16", dev = "lo" }
  end }
C["net.veth"] = { function(t) sys.net.veth { host = "v0", guest = "v1", netns = t.process } end,
  function() return list_of(sys.net.links(), "name") end,
  before = function(t) t.process = sleeper "net" end, set = { host = "w0" }, wanted = "w0" }
C["net.configure"] = { function() sys.net.configure { loopback = true } end, function() return link "lo" end, set = { loopback = false },
  wanted = "false" }
C["net.set_forwarding"] = { function() sys.net.set_forwarding(false, { family = "ip" }) end, function()
  return ("%s %s"):format(sys.net.forwarding { family = "ip" }, sys.net.forwarding { family = "ip6" })
end, before = function() for _, family in ipairs { "ip", "ip6" } do sys.net.set_forwarding(true, { family = family }) end end,
  set = { family = "ip6" },
  wanted = "true false" }
C["net.limit_rate"] = { function() sys.net.limit_rate("br0", 1e6) end, function() return tostring(sys.net.rate "br0") end, before = bridge }
local function firewall() sys.net.firewall { name = "luabox-matrix", interface = "lo", addresses = { "10.1.1.1" } } end
C["net.firewall"] = { firewall, function() return table.concat(sys.net.firewalls(), " ") end, set = { name = "luabox-other" },
  wanted = "luabox-other" }
C["net.remove_firewall"] = { function() sys.net.remove_firewall "luabox-matrix" end,
  function() return table.concat(sys.net.firewalls(), " ") end, before = firewall }

-- terminals
local function terminal(t) t.master, t.slave = sys.terminal.open() end
C["terminal.open"] = { terminal, descriptors }
C["terminal.use"] = { function(t) sys.terminal.use(t.slave, { all = true }) end, function(t)
  return tostring(sys.file.identity "/proc/self/fd/1" == sys.file.identity("/proc/self/fd/" .. t.slave:number()))
end, before = function(t)
  sys.setsid()
  terminal(t)
end }
C["terminal.set_owner"] = { function(t) sys.terminal.set_owner(t.slave, 5, 6) end,
  function(t) return file(sys.file.absolute("/proc/self/fd/" .. t.slave:number())):match "%d+:%d+" end, before = terminal }
C["terminal.set_size"] = { function(t) sys.terminal.set_size(t.master:number(), { rows = 10, columns = 20 }) end, function(t)
  local size = sys.terminal.size(t.master:number())
  return size and size.rows .. "x" .. size.columns or "none"
end, before = terminal, set = { rows = 11 }, wanted = "11x20" }

-- What nothing can be seen of from here: that it is refused is all that there is to see. `call` is what they are called with.
local UNSEEN = {
  end_helpers = { sys.end_helpers, "no-such-helper" },
  ["security.session_keyring"] = { sys.security.session_keyring }, ["security.exec_label"] = { sys.security.exec_label, "x" },
  ["security.kernel_log"] = { sys.security.kernel_log },
  ["security.dumpable"] = { sys.security.dumpable, "no" }, ["security.parent_death_signal"] = { sys.security.parent_death_signal, "KILL" },
  ["security.child_subreaper"] = { sys.security.child_subreaper, "no" }, ["user.io_priority"] = { sys.user.io_priority, { class = "idle" } },
}
for name, call in pairs(UNSEEN) do
  C[name] = { function(t)
    if not t.ruled then return end
    call[1](unpack(call, 2))
  end, function() return "" end, unseen = true }
end
for _, name in ipairs { "freeze", "thaw" } do
  C["cgroup:" .. name] = { function(t) if t.ruled then t.group[name](t.group) end end, function() return "" end, before = cgroup, unseen = true }
end

-- ---- one call in a process of its own

--- Tells the rules what to do with `primitive` from now on.
local function control(order) pcall(sys.sethostname, "control", order) end

local function prepare(t)
  sys.mount.private "/"
  sys.mount.tmpfs(WORK)
  for _, folder in ipairs { a, b, c, b .. "/sub" } do sys.file.make_directory(folder) end
  sys.file.write(b .. "/file", "text", { create = true })
  t.root, t.uts = sys.mount.root(WORK), namespace "uts"
end

local function inside(case, name, mode, t)
  prepare(t)
  if case.before then case.before(t) end
  t.descriptors = descriptors()
  t.ruled = mode ~= "plain" and mode ~= "none"
  control { primitive = name, mode = mode, set = case.set, field = case.field, value = case.value }
  local ok, problem = true, nil
  if mode ~= "none" then ok, problem = pcall(case[1], t) end
  control {}
  local text = case[2](t)
  if t.group then pcall(t.group.kill, t.group) end
  if t.process then pcall(t.process.kill, t.process, "KILL") pcall(t.process.wait, t.process) end
  if t.group then pcall(t.group.remove, t.group) end
  return sys.json.encode { ok = ok, problem = not ok and tostring(problem) or "", seen = tostring(text) }
end

local function run(name, mode)
  local case, t = C[name], {}
  local process = sys.clone({ namespaces = "mount uts ipc net" .. (case.host_pids and "" or " pid") }, function(parent)
    local ok, text = pcall(inside, case, name, mode, t)
    parent:send(ok and text or sys.json.encode { ok = false, problem = "the case failed: " .. tostring(text), seen = "" })
    sys.exit(0)
  end)
  process:go()
  local released, problem = pcall(process.settle, process)
  local text = process:message()
  local code = process:wait()
  control {}
  if text then return sys.json.decode(text) end
  if not released then return { ok = false, problem = tostring(problem), seen = "" } end
  return { ok = true, problem = "", seen = "exit " .. tostring(code) }
end

-- ---- the matrix

local failed, skipped, count = 0, 0, 0
local function expect(holds, name, what, got)
  count = count + 1
  if holds then return end
  failed = failed + 1
  print(("FAILED - %s: %s: %s"):format(name, what, got.problem ~= "" and got.problem .. " | " .. got.seen or "seen: " .. got.seen))
end
local function has(text, part) return text:find(part, 1, true) ~= nil end

local function examine(name, case)
  local none, plain = run(name, "none"), run(name, "plain")
  if not plain.ok and case.optional then
    skipped = skipped + 1
    return print(("skipped - %s: %s: %s"):format(name, case.optional, plain.problem))
  end
  expect(none.ok and plain.ok, name, "it works without a rule", plain.ok and none or plain)
  if not (none.ok and plain.ok) then return end
  if not case.unseen then expect(plain.seen ~= none.seen, name, "what it does is seen", plain) end
  local denied = run(name, "deny")
  expect(not denied.ok and has(denied.problem, "refused by the policy 'deny' (10-matrix.lua:") and has(denied.problem, "by the matrix"), name,
    "a refusal says the rule and the reason", denied)
  expect(denied.seen == none.seen, name, "a refusal comes before the kernel", denied)
  local illegal = run(name, "illegal")
  expect(not illegal.ok and has(illegal.problem, "refused by the policy 'illegal'") and has(illegal.problem, "'arguments"), name,
    "a change that can't be made is refused", illegal)
  expect(illegal.seen == none.seen, name, "and nothing is done", illegal)
  if not case.unseen then
    local shadow = run(name, "shadow")
    expect(shadow.ok and shadow.seen == plain.seen, name, "a rule that only logs changes nothing", shadow)
  end
  if not case.wanted then return end
  local changed = run(name, "change")
  expect(changed.ok and changed.seen ~= plain.seen and has(changed.seen, case.wanted), name, "a change takes effect", changed)
end

local only = select(4, ...)
for name in sys.file.read(NAMES):gmatch "[^\n]+" do
  if not only or has(name, only) then
    if C[name] then examine(name, C[name]) else expect(false, name, "there is a case for it", { problem = "",
  seen = "a new primitive? add a case" }) end
    C[name] = nil
  end
end
if not only then
  for name in pairs(C) do expect(false, name, "the case is about a primitive", { problem = "", seen = "there is none of this name" }) end
end
print(("%d checks, %d failed, %d skipped"):format(count, failed, skipped))
os.exit(failed == 0 and 0 or 1)
