-- Causes: each is provoked for real, and told.
local harness = require "harness"
local test, check = harness.test, harness.check
local rootfs = require "rootfs"
local sys = require "luabox.sys"
local causes = require "luabox.causes"
local container = require("luabox.container").new

local known = { unpack(causes.list) }  -- luabox's own

local folder = sys.file.temporary "/tmp/luabox-test-"
local seen = {}

--- What is known of an error; that cause counts as provoked.
local function cause_of(problem)
  local cause = causes.find(problem)
  return cause or "no cause for: " .. tostring(problem.message or problem)
end

--- Calls `body` in a child, where it fails; the cause is looked for there, where the failure's world is.
local function inside(options, body, attach)
  local child = sys.clone(options, function(parent)
    local ok, result = pcall(body)
    parent:send(ok and (result or "nothing failed") or cause_of(result))
    sys.exit(0)
  end)
  if attach then attach(child) end
  pcall(child.release, child)  -- it ends without an exec
  local said = child:message()
  child:wait()
  return said
end

--- A child that lives on after `body`; and what that returned.
local function waiting_child(options, body)
  local answer = io.open(folder .. "/answer", "w+")
  options.released = true
  local child = sys.clone(options, function()
    answer:write(body(), "\n")
    answer:flush()
    sys.sleep(30)
    sys.exit(0)
  end)
  local said
  for _ = 1, 2000 do
    answer:seek "set"
    said = answer:read "*l"
    if said then break end
    sys.sleep(0.002)
  end
  answer:close()
  return child, said
end

local function as_nobody(body)
  return inside({}, function()
    sys.user.set_ids { uid = 65534, gid = 65534, groups = {} }
    body()
  end)
end

local RANGE = { uid = { "0 100000 65536" }, gid = { "0 100000 65536" } }
local function as_mapped_root(body, namespaces)
  return inside({ namespaces = "user mount " .. (namespaces or "") }, function()
    sys.user.set_ids { uid = 0, gid = 0, groups = {}, keep_capabilities = true }
    body()
  end, function(child) sys.user.write_id_maps(child:pid(), RANGE) end)
end

local function with_mounts(body)
  return inside({ namespaces = "mount" }, function()
    sys.mount.private "/"
    return body()
  end)
end

local function in_network(body)
  return inside({ namespaces = "net" }, body)
end

local function executing(arguments, options)
  return inside({}, function() sys.exec(arguments, options) end)
end

local function file(name, text, mode)
  sys.file.write(folder .. "/" .. name, text, { mode = mode or 493 })
  return folder .. "/" .. name
end

local function directory(name)
  sys.file.make_directories(folder .. "/" .. name)
  return folder .. "/" .. name
end

--- case(part of the cause, what provokes it): one test.
local function case(wanted, provoke)
  test("told: " .. wanted, function()
    local said = provoke()
    seen[said] = true
    check.contains(said, wanted)
  end)
end

-- ---- exec

case("no such file in the container's root", function() return executing { "/no/such/program" } end)
case("no folder of the container's PATH", function() return executing { "nosuchprogram" } end)
case("the first word of the command has a blank in it", function() return executing { "ls -l" } end)
case("names an interpreter that the image does not have", function() return executing { file("script", "#!/no/such/interpreter\n") } end)
case("is a script too, whose interpreter is one", function()
  local path = file("circle", "")
  return executing { file("circle", "#!" .. path .. "\n") }
end)
case("needs a dynamic loader", function()
  local text = sys.file.read "/bin/true"
  return executing { file("dynamic", (text:gsub("/lib64/ld%-linux%-x86%-64%.so%.2", "/lib64/ld-absnt-x86-64.so.2"))) }
end)
case("built for another processor", function()
  return executing { file("foreign", "\127ELF\2\1\1" .. ("\0"):rep(9) .. "\2\0\183\0" .. ("\0"):rep(100)) }
end)
case("without a first line that names its interpreter", function() return executing { file("bare", "echo hello\n") } end)
case("does not know the program's format", function()
  local head = sys.file.read("/bin/true"):sub(1, 20)  -- this machine's, with nothing in it
  return executing { file("hollow", head .. ("\0"):rep(100)) }
end)
case("or not executable for the user", function() return executing { file("plain", "#!/bin/sh\n", 420) } end)
case("it is a folder, or not executable", function() return executing { directory "command" } end)
case("written on Windows", function() return executing { file("windows", "#!/bin/sh\r\nexit\r\n") } end)
case("still open for writing", function()
  local path = file("busy", sys.file.read "/bin/true")
  local open = io.open(path, "a")
  local said = executing { path }
  open:close()
  return said
end)
case("arguments and environment together are too large", function() return executing { "/bin/true", ("x"):rep(300000) } end)

-- ---- processes and namespaces

case("only inside a user namespace", function() return as_nobody(function() sys.unshare "uts" end) end)
case("as many namespaces of this kind", function()
  return as_mapped_root(function()
    sys.file.set("/proc/sys/user/max_uts_namespaces", "0")
    sys.clone({ namespaces = "uts" }, function() end)
  end)
end)
case("no more processes are allowed", function()
  return as_nobody(function()
    sys.user.rlimit("nproc", { soft = 0, hard = 0 })
    sys.clone({}, function() sys.exit(0) end)
  end)
end)
case("joining a namespace takes CAP_SYS_ADMIN", function() return as_nobody(function() sys.setns "/proc/1/ns/uts" end) end)
case("the process of that namespace has ended", function() return inside({}, function() sys.namespace(4194303, "uts") end) end)
case("the process has ended", function() return inside({}, function() sys.setns(4194303, { namespaces = "uts" }) end) end)
case("not the container's own", function() return as_nobody(function() sys.sethostname "x" end) end)

-- ---- ids and capabilities

case("has no number in the container's user namespace", function()
  return as_mapped_root(function() sys.user.set_ids { uid = 70000, gid = 0, groups = {} } end)
end)
case("only CAP_SYS_RESOURCE may raise", function()
  return as_nobody(function() sys.user.rlimit("nofile", { soft = 1, hard = 4000000 }) end)
end)
case("takes CAP_SETPCAP", function() return as_nobody(function() sys.security.limit_bounding { "chown" } end) end)
case("does not hold a capability", function()
  return as_nobody(function()
    local all = sys.security.capabilities()
    local more = { "sys_admin" }
    sys.security.set_capabilities { effective = more, permitted = more, inheritable = {}, bounding = all.bounding, ambient = {} }
  end)
end)
case("only the own id", function()
  return as_nobody(function()
    local child = sys.clone({ namespaces = "user" }, function() sys.exit(0) end)
    sys.file.set(("/proc/%d/uid_map"):format(child:pid()), "0 100000 65536\n")
  end)
end)
case("a filter can be loaded only after no_new_privs", function() return as_nobody(function() sys.security.seccomp "default" end) end)
case("a system call filter (Seccomp: 2), which refuses 'sethostname'", function()
  return inside({ namespaces = "uts" }, function()
    sys.security.no_new_privs()
    sys.security.seccomp { default = "allow", rules = { { name = "sethostname", action = "errno:EPERM" } } }
    sys.sethostname "x"
  end)
end)
case("which refuses 'fsopen'", function()
  return inside({}, function()
    sys.security.no_new_privs()
    sys.security.seccomp { default = "allow", rules = { { name = "fsopen", action = "errno:ENOSYS" } } }
    sys.mount.make_tmpfs {}
  end)
end)
case("no AppArmor, or not this profile", function() return inside({}, function() sys.security.exec_label "luabox-nosuch" end) end)
case("32768 instructions together", function()
  return inside({}, function()
    sys.security.no_new_privs()
    local filter = sys.security.filter "default"
    for _ = 1, 100 do filter:load() end
  end)
end)

-- ---- what is general

case("takes a privilege that an ordinary user does not have", function() return as_nobody(function() sys.mount.make_tmpfs {} end) end)
case("has no power over what is not the namespace's own", function() return as_mapped_root(function() sys.net.up "lo" end) end)
case("a quota is used up", function()
  local children, said = {}, nil
  for i = 1, 300 do  -- kernel.keys.maxkeys is 200 for each user
    children[i], said = waiting_child({}, function()
      sys.user.set_ids { uid = 65433, gid = 65433, groups = {} }
      sys.security.session_keyring()  -- the first of a process is beside the quota
      local ok, problem = pcall(sys.security.session_keyring)
      return ok and "made" or cause_of(problem)
    end)
    if said ~= "made" then break end
  end
  for _, child in ipairs(children) do
    child:kill "KILL"
    child:wait()
  end
  return said
end)
case("there is no memory left", function()
  return inside({}, function()
    sys.user.rlimit("as", { soft = 1000000, hard = 1000000 })
    sys.gate.trace()
  end)
end)
case("does not have the system call", function()
  return as_nobody(function()
    sys.security.no_new_privs()
    sys.security.seccomp { default = "allow", rules = { { name = "fsopen", action = "errno:ENOSYS" } } }
    sys.mount.make_tmpfs {}
  end)
end)
case("system call filter hides 'clone3'", function()
  return as_nobody(function()
    sys.security.no_new_privs()
    sys.security.seccomp { default = "allow", rules = { { name = "clone3", action = "errno:ENOSYS" } } }
    sys.clone({}, function() end)
  end)
end)
case("the container may not have them", function()
  local path = file("capable", sys.file.read "/bin/true")
  if os.execute("setcap cap_net_raw+ep " .. path) ~= 0 then harness.skip "no setcap (package libcap2-bin), or no file capabilities here" end
  return inside({}, function()
    sys.security.limit_bounding { "chown" }
    sys.exec { path }
  end)
end)
case("user namespaces are not allowed here", function()
  local root = directory "chroot"
  local script = file("try.lua", [[
    local ok, problem = pcall(require("luabox.sys").unshare, "user")
    io.write(ok and "nothing failed" or require("luabox.causes").find(problem) or tostring(problem))]])
  return with_mounts(function()
    sys.mount.bind("/", root, { recursive = true })
    local pipe = io.popen(("chroot %s %s run %s 2>&1"):format(root, os.getenv "LUABOX", script))
    local said = pipe:read "*a"
    pipe:close()
    return said
  end)
end)
case("the pid namespace's init has ended", function()
  return inside({}, function()
    sys.unshare "pid"
    local first = sys.clone({}, function() sys.exit(0) end)
    first:go()
    first:wait()
    sys.clone({}, function() sys.exit(0) end)
  end)
end)
case("overlay takes root", function()
  return as_nobody(function() sys.mount.make_overlay { lower = { "/usr" }, upper = "/tmp", work = "/tmp" } end)
end)
case("no netlink of this kind", function()
  return in_network(function()
    sys.security.no_new_privs()
    sys.security.seccomp { default = "allow", rules = { { name = "socket", action = "errno:EAFNOSUPPORT" } } }
    sys.net.firewall { name = "luabox-cause", interface = "lo", addresses = { "10.96.0.2" } }
  end)
end)

-- ---- mounts

case("what is to be bound is not there", function() return with_mounts(function() sys.mount.copy_of "/no/such/source" end) end)
case("no such file system", function() return with_mounts(function() sys.mount.make "nosuchfs" end) end)
case("can't be mounted in a user namespace", function()
  return as_mapped_root(function() sys.mount.make("ext4", { source = "/dev/null" }) end)
end)
case("mount too revealing", function()
  return with_mounts(function()
    for line in sys.file.read("/proc/self/mountinfo"):gmatch "[^\n]+" do  -- locked for whoever gets a copy of these mounts
      local point = line:match "^%S+ %S+ %S+ %S+ (%S+).* %- proc "
      if point then sys.mount.bind("/dev/null", point .. "/cmdline") end
    end
    return as_mapped_root(function() sys.mount.make_proc {} end, "pid")
  end)
end)
case("a new /sys takes a network namespace", function() return as_mapped_root(function() sys.mount.make_sysfs {} end) end)
case("upper and work must lie on one file system", function()
  return with_mounts(function() sys.mount.make_overlay { lower = { directory "lower" }, upper = "/proc", work = "/proc" } end)
end)
case("must be a mount point of its own", function() return with_mounts(function() sys.mount.pivot_root(directory "root") end) end)
case("nothing is mounted there", function() return with_mounts(function() sys.mount.umount(directory "unmounted") end) end)
case("has its working directory or an open file there", function()
  return with_mounts(function()
    sys.mount.tmpfs(directory "busy-mount")
    sys.chdir(folder .. "/busy-mount")
    sys.mount.umount(folder .. "/busy-mount")
  end)
end)
case("a folder can only be mounted on a folder", function()
  return with_mounts(function() sys.mount.bind(file("a-file", "x"), directory "a-folder") end)
end)
case("devices can't be made in a user namespace", function()
  return as_mapped_root(function()
    sys.mount.make_tmpfs({}):root():mknod("null", { type = "char", major = 1, minor = 3, mode = "666" })
  end)
end)
case("the file system is full", function()
  return with_mounts(function() sys.mount.make_tmpfs({ size = "4k" }):root():write("x", ("x"):rep(100000)) end)
end)
case("no file of that size", function()
  return inside({}, function()
    sys.user.rlimit("fsize", { soft = 0, hard = 0 })
    sys.file.write(folder .. "/large", "x", { create = true })
  end)
end)
case("mounted read-only", function() return with_mounts(function() sys.mount.make_tmpfs({ read_only = true }):root():write("x", "x") end) end)
case("as many descriptors open", function()
  return inside({}, function()
    sys.user.rlimit("nofile", { soft = 3, hard = 3 })
    sys.mount.root "/tmp"
  end)
end)
case("this user may not reach it", function() return as_nobody(function() sys.mount.root "/root/.luabox-nosuch/x" end) end)
case("more than 255 bytes", function() return inside({}, function() sys.mount.root("/tmp"):write(("x"):rep(300), "x") end) end)
case("a symlink that is not followed", function()
  return inside({}, function()
    local root = sys.mount.root(folder)
    root:symlink("loop", "loop")
    root:enter "loop"
  end)
end)

-- ---- cgroups

local name = "causes-" .. sys.random(4)

case("was not delegated to this user", function()
  return as_nobody(function() sys.cgroup.create(name):write { pids = 5 } end)
end)
case("does not take this value for this key", function()
  return inside({}, function()
    local cgroup = sys.cgroup.create(name)
    local ok, problem = pcall(cgroup.write, cgroup, { cpuset = "5000" })
    cgroup:remove()
    if not ok then error(problem, 0) end
  end)
end)
case("already uses more than the limit", function()
  local cgroup = sys.cgroup.create(name .. "-full")
  cgroup:write { memory = "64MiB" }
  if cgroup:hierarchies()[1].version == 2 then  -- a limit that is used up is met there by killing; but a cgroup with processes can't have cgroups
    cgroup:remove()
    harness.skip "version 1 of cgroups only"
  end
  local child = waiting_child({ cgroup = cgroup }, function() return "full" .. #("x"):rep(20000000) end)  -- no collector runs in a child
  local ok, problem = pcall(cgroup.write, cgroup, { memory = "2MiB" })
  child:kill "KILL"
  child:wait()
  cgroup:remove()
  return ok and "nothing failed" or cause_of(problem)
end)
case("no cgroup hierarchy that is mounted here", function()
  return inside({}, function() sys.cgroup.plan { ["rdma.max"] = "mlx4_0 hca_handle=2" } end)
end)

-- ---- network

case("there is an interface of this name", function()
  return in_network(function()
    for _ = 1, 2 do sys.net.add { kind = "veth", name = "cause0", peer = "cause1" } end
  end)
end)
case("no such kind of interface", function() return in_network(function() sys.net.add { kind = "nosuchkind", name = "cause0" } end) end)
case("has this address already", function()
  return in_network(function()
    for _ = 1, 2 do sys.net.add_address("lo", "10.96.0.1/24") end
  end)
end)
case("there is a route to this network already", function()
  return in_network(function()
    sys.net.up "lo"
    for _ = 1, 2 do sys.net.add_route { to = "10.96.0.0/16", dev = "lo" } end
  end)
end)
case("lies in no network that an interface is up in", function()
  return in_network(function() sys.net.add_route { to = "10.96.0.0/16", via = "10.95.0.1" } end)
end)
case("there is no interface of this name", function() return in_network(function() sys.net.up "nosuch0" end) end)
case("takes CAP_NET_ADMIN", function()
  return as_nobody(function() sys.net.add { kind = "veth", name = "cause0", peer = "cause1" } end)
end)
case("there is a table of this name", function()
  return in_network(function()
    for _ = 1, 2 do sys.net.firewall { name = "luabox-cause", interface = "lo", addresses = { "10.96.0.2" } } end
  end)
end)

--- What a container's start raises.
local function start(fields)
  local said
  rootfs.with(function(path)
    fields.rootfs, fields.command = path, fields.command or { "/bin/true" }
    local made = container(fields)
    local ok, problem = pcall(made.start, made)
    said = ok and "nothing failed" or cause_of(problem)
    made:destroy()
  end)
  return said
end

case("another container or interface has this address", function()
  sys.net.configure { loopback = true }
  sys.net.add_address("lo", "10.96.7.1/24")
  local said = start { network = require("luabox.network").veth { host = "10.96.7.1/24", guest = "10.96.7.2/24" } }
  sys.net.remove_address("lo", "10.96.7.1/24")
  return said
end)
case("a container of this name runs", function()
  local said
  rootfs.with(function(path)
    local first = container { rootfs = path, name = name, command = { "sleep", "100" } }
    first:start()
    said = start { name = name }
    first:destroy()
  end)
  return said
end)
local function publishing(port)
  return require("luabox.network").veth { host = "10.96.8.1/24", guest = "10.96.8.2/24", publish = { port } }
end
case("a program of the host's listens there", function()
  local program = sys.net.hold_port { protocol = "tcp", port = 8123, address = "0.0.0.0" }
  local said = start { network = publishing "8123:80" }
  program:release()
  return said
end)
case("another container that runs has this port", function()
  local said
  rootfs.with(function(path)
    local first = container { rootfs = path, command = { "sleep", "100" }, network = publishing "8124:80" }
    first:start()
    said = start { network = require("luabox.network").veth { host = "10.96.9.1/24", guest = "10.96.9.2/24", publish = { "8124:81" } } }
    first:destroy()
  end)
  return said
end)
case("no interface has that one", function() return start { network = publishing "203.0.113.1:8125:80" } end)
case("ip_unprivileged_port_start are root's", function()
  return as_nobody(function() sys.net.hold_port { protocol = "tcp", port = 80, address = "0.0.0.0" } end)
end)
case("the container's own system call filter refuses the execve", function()
  return start { seccomp = { base = "default", rules = { { name = "execve", action = "errno:EPERM" } } } }
end)
case("may have fewer descriptors open than its start takes", function() return start { rlimits = { nofile = 8 } } end)
case("takes some memory of its own cgroup", function() return start { cgroup = { memory = "64k" } } end)
case("the container's filter (seccomp) ends the program that calls 'mkdir'", function()
  if not sys.security.kernel_log() then harness.skip "the kernel's log is not for this user" end
  local said
  rootfs.with(function(path)
    for _ = 1, 5 do  -- the kernel leaves lines out of its log when others make many
      local made = container { rootfs = path, command = { "/bin/mkdir", "/tmp/made" },
        seccomp = { default = "allow", rules = { { name = "mkdir", action = "kill" } } } }
      made:start()
      local status, _, problem = made:wait()
      said = status == 159 and cause_of(problem) or "status " .. status
      made:destroy()
      if status ~= 159 or said:find "mkdir" then break end
      sys.sleep(1)
    end
  end)
  return said
end)

-- ---- what a site adds, and how all this is told

test("at least 30 causes were provoked, each another", function()
  local count = 0
  for _ in pairs(seen) do count = count + 1 end
  if not (arg and arg[1]) then check.truthy(count >= 30, count .. " causes") end
end)

-- What no case here provokes, each by the beginning of its cause, and why.
local ELSEWHERE = {
  ["whoever may read a folder can lock it"] = "tests/attacks/host_test.sh, which waits ten seconds for it",
  ["the host has as many files open"] = "fs.file-max is one for all processes of the host",
  ["this kernel has no overlay file system"] = "the kernels of the tests have it built in",
  ["this kernel lacks a part of nftables"] = "the kernels of the tests have all of it",
  ["luabox runs under the security module's profile 'NAME'"] = "tests/e2e/lsm_test.sh, where there is AppArmor: the virtual machine",
}

--- Whether `cause` was told by some case.
local function was_told(cause)
  local text = causes.text(cause, {}):gsub("'it'.*$", "")
  for said in pairs(seen) do
    if said:sub(1, #text) == text then return true end
  end
  return false
end

test("each cause was provoked, or it is known why not", function()
  if arg and arg[1] then harness.skip "not all cases ran" end
  local missing, excused = {}, {}
  for _, cause in ipairs(known) do
    local text, told = causes.text(cause, {}), was_told(cause)
    for beginning in pairs(ELSEWHERE) do
      if text:sub(1, #beginning) == beginning then
        excused[beginning] = true
        if told then missing[#missing + 1] = "provoked after all: " .. text end
        told = true
      end
    end
    if not told then missing[#missing + 1] = text end
  end
  for beginning in pairs(ELSEWHERE) do
    if not excused[beginning] then missing[#missing + 1] = "no such cause: " .. beginning end
  end
  check.equal(table.concat(missing, "\n"), "")
end)

test("what is added later is told first", function()
  causes.add { op = "exec", code = "ENOENT", path = "sitetool", cause = "it is not in this site's images", remedy = "ask the platform team" }
  check.equal(executing { "/opt/sitetool" }, "it is not in this site's images")
  check.contains(executing { "/opt/other" }, "no such file")
  check.equal(pcall(causes.add, { op = "exec" }), false)
end)

test("an error of which nothing is known has no cause", function()
  check.equal(causes.find { op = "nosuch", code = "ENOTTY", message = "x" }, nil)
  check.equal(causes.find { message = "attempt to index a nil value" }, nil)
end)

--- What `luabox run` says of a script.
local function told(text, environment)
  file("told.lua", text)
  local pipe = io.popen(("%s %s run --debug %s/told.lua 2>&1 < /dev/null"):format(environment or "", os.getenv "LUABOX", folder))
  local said = pipe:read "*a"
  pipe:close()
  return said
end

test("an error is told with its cause and what to do, one found by a file of the site's too", function()
  if not os.getenv "LUABOX" then harness.skip "LUABOX does not name the binary" end
  local script = 'require("luabox.sys").mount.copy_of "/no/such/source"'
  check.contains(told(script), "cause: what is to be bound is not there")
  check.contains(told(script), "to do: make it before")
  local pipe = io.popen(("%s run %s/told.lua 2>&1"):format(os.getenv "LUABOX", folder))
  local lines = select(2, pipe:read "*a":gsub("\n", ""))
  pipe:close()
  check.equal(lines, 1, "a program reads one line:")
  directory "config/luabox"
  file("config/luabox/causes.lua", '(...).add { op = "open_tree", cause = "the share is not mounted", remedy = "mount it" }', 420)
  check.contains(told(script, "XDG_CONFIG_HOME=" .. folder .. "/config"), "cause: the share is not mounted")
  file("config/luabox/causes.lua", "this is no Lua", 420)
  local said = told(script, "XDG_CONFIG_HOME=" .. folder .. "/config")
  check.contains(said, "causes.lua:1:")
  check.contains(said, "cause: what is to be bound is not there")
end)

os.execute("rm -rf " .. folder)
harness.finish()
