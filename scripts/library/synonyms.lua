-- synonyms.lua: what others call it. A field or command of docker's, of an OCI configuration or of another runtime, and how it is said here.
-- Only an error loads this.
local synonyms = {}

local CGROUP = { memory = '"100MB"', cpu = '"50%"', pids = "100", swap = '"100MB"', swappiness = "0", cpuset = '"0-1"', cpu_weight = "100" }

local CONTAINER = {
  mem = 'cgroup = { memory = "100MB" }', mem_limit = 'cgroup = { memory = "100MB" }', memory_limit = 'cgroup = { memory = "100MB" }',
  memory_swap = 'cgroup = { swap = "100MB" }', memswap_limit = 'cgroup = { swap = "100MB" }', cpus = "cgroup = { cpu = 0.5 }",
  cpu_shares = 'cgroup = { ["cpu.shares"] = 512 }', cpuset_cpus = 'cgroup = { cpuset = "0-1" }', pids_limit = "cgroup = { pids = 100 }",
  limits = 'cgroup = { memory = "100MB" }', resources = 'cgroup = { memory = "100MB" }', cgroups = 'cgroup = { memory = "100MB" }',
  ulimits = "rlimits = { nofile = 1024 }",
  cmd = 'command = { "/bin/sh" }', entrypoint = 'command = { "/bin/sh" }', args = 'command = { "/bin/sh" }', argv = 'command = { "/bin/sh" }',
  exec = 'command = { "/bin/sh" }', process = 'command = { "/bin/sh" }',
  image = 'rootfs = image "NAME"', root = 'rootfs = directory "FOLDER"', chroot = 'rootfs = directory "FOLDER"',
  directory = 'rootfs = directory "FOLDER"', layers = 'rootfs = directory { "FOLDER", layers = { "FOLDER" } }',
  overlay = 'rootfs = directory { "FOLDER", overlay = true }', readonly = 'rootfs = directory { "FOLDER", readonly = true }',
  read_only = 'rootfs = directory { "FOLDER", readonly = true }', persist = 'rootfs = image { "NAME", persist = "FOLDER" }',

   volumes = 'mounts = { bind { "./data", "/data" } }', volume = 'mounts = { bind { "./data", "/data" } }',
  mount = 'mounts = { bind { "./data", "/data" } }',
  binds = 'mounts = { bind { "./data", "/data" } }', bind = 'mounts = { bind { "./data", "/data" } }',
  tmpfs = 'mounts = { tmpfs "/tmp" }', net = 'network = "host", or veth { ... }', network_mode = 'network = "host", or veth { ... }',
  networks = 'network = bridge { "NAME", ... }', veth = "network = veth { ... }", bridge = 'network = bridge { "NAME", ... }',
  ports = 'network = veth { publish = { "8080:80" }, ... }', publish = 'network = veth { publish = { "8080:80" }, ... }',
  expose = 'network = veth { publish = { "8080:80" }, ... }', ip = 'network = veth { guest = "10.9.8.2/24", ... }',
  environment = 'env = { NAME = "value" }', environ = 'env = { NAME = "value" }', envs = 'env = { NAME = "value" }',
  workdir = 'cwd = "/"', working_dir = 'cwd = "/"', workingdir = 'cwd = "/"', dir = 'cwd = "/"', pwd = 'cwd = "/"',
  uid = 'user = "1000:1000"', gid = 'user = "1000:1000"', username = 'user = "NAME"',
  userns = 'users = "auto"', userns_mode = 'users = "auto"', uid_map = 'users = { uid = "0 100000 65536" }',
  gid_map = 'users = { gid = "0 100000 65536" }', uidmap = 'users = { uid = "0 100000 65536" }', gidmap = 'users = { gid = "0 100000 65536" }',
  uid_mappings = 'users = { uid = "0 100000 65536" }', gid_mappings = 'users = { gid = "0 100000 65536" }', user_namespace = 'users = "auto"',
  cap_add = "capabilities = { add = { ... } }", cap_drop = "capabilities = { drop = { ... } }", caps = "capabilities = { add = { ... } }",
  cap = "capabilities = { add = { ... } }", capability = "capabilities = { add = { ... } }",
  privileged = 'capabilities = "all", seccomp = "unconfined", masked = {}, readonly_paths = {}',
  security_opt = 'seccomp = "unconfined", apparmor = "PROFILE"', no_new_privileges = "no_new_privs = true", apparmor_profile = 'apparmor = "PROFILE"',
  device = 'devices = { "/dev/fuse" }', tty = "terminal = true", pty = "terminal = true", interactive = "terminal = true",
  domain = 'domainname = "NAME"', host = 'hostname = "NAME"', namespace = 'namespaces = { net = "host" }',
  unshare = 'namespaces = { net = "host" }', pid = 'namespaces = { pid = "host" }', ipc = 'namespaces = { ipc = "host" }',
  uts = 'namespaces = { uts = "host" }', sysctls = "sysctl = { ... }", extra_hosts = 'hosts = { "10.0.0.1 NAME" }',
  oom_score = "oom_score_adj = 500", masked_paths = "masked = { ... }", title = 'name = "NAME"',
  id = 'name = "NAME"', restart = "a loop in the script: repeat local status = c:run() until status == 0",
}
for key, value in pairs(CGROUP) do CONTAINER[key] = CONTAINER[key] or ("cgroup = { %s = %s }"):format(key, value) end

local TARGET = { source = true, src = true, target = true, destination = true, dst = true, path = true, where = true, from = true, to = true }

local FLAGS = { ro = "readonly = true", read_only = "readonly = true", rw = "readonly = false", exec = "noexec = false", dev = "nodev = false",
  suid = "nosuid = false", options = "readonly = true and the like" }

local VETH = { ports = 'publish = { "8080:80" }', masquerade = "nat = true", ip = 'guest = "10.9.8.2/24"', address = 'guest = "10.9.8.2/24"',
  addresses = 'guest = { "10.9.8.2/24" }', peer = 'guest = "10.9.8.2/24"', container = 'guest = "10.9.8.2/24"', gateway = 'host = "10.9.8.1/24"',
  default_route = "route = true", ifname = 'name = "eth0"', interface = 'name = "eth0"', rate = 'bandwidth = "10mbit"' }

local BRIDGE = { ports = 'publish = { "8080:80" }', masquerade = "nat = true", ip = 'address = "10.9.0.5"', name = 'bridge { "NAME", ... }',
  rate = 'bandwidth = "10mbit"' }

local NAMESPACES = { network = "net", user = 'users = "auto", a field of the container', mount = "nothing: it is always its own",
  time = "a step with namespaces = \"time\"" }
local SECCOMP = { deny = "extend = { deny = { ... } }", allow = "extend = { allow = { ... } }", syscalls = "rules = { ... }",
  default_action = 'default = "errno"' }

local FIELDS = { container = CONTAINER, veth = VETH, bridge = BRIDGE, ["container.namespaces"] = NAMESPACES, ["container.seccomp"] = SECCOMP }

local MOUNTS = { bind = '{ "./data", "/data", ... }', tmpfs = '{ "/tmp", ... }', proc = '{ "/proc", ... }', sysfs = '{ "/sys", ... }',
  overlay = '{ "/data", lower = ... }', devpts = '{ "/dev/pts", ... }', mqueue = '{ "/dev/mqueue", ... }' }

local COMMANDS = { ps = "list", containers = "list", stop = "kill", terminate = "kill", signal = "kill", images = "image ls", import = "image import",
  load = "image import", pull = "image import", rmi = "image rm", start = "run", create = "run", ["do"] = "run", shell = "exec", enter = "exec",
  attach = "exec", join = "exec", nsenter = "exec", top = "stats", stat = "stats", inspect = "list --json", rm = "kill NAME KILL",
  remove = "kill NAME KILL", delete = "kill NAME KILL", prune = "gc", clean = "gc", cleanup = "gc", info = "check-host", host = "check-host",
  doctor = "check-host", lint = "check", validate = "check", plan = "explain", dry_run = "explain", ["dry-run"] = "explain", man = "help",
  doc = "help", prompt = "repl", lua = "repl", eval = "-e", set = "update", new = "init" }

--- How `key`, a field that `what` does not have, is said; nil when nobody calls anything so.
function synonyms.of_field(what, key)
  local said = FIELDS[what] and FIELDS[what][key]
  if MOUNTS[what] then said = FLAGS[key] or TARGET[key] and what .. " " .. MOUNTS[what] end
  return said and (" (write %s)"):format(said)
end

--- The command that does what others call `name`.
function synonyms.of_command(name)
  local said = COMMANDS[name]
  return said and (" (did you mean '%s'?)"):format(said)
end

return synonyms
