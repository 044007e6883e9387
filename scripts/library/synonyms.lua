-- synonyms.lua: what others call it. A field or command of docker's, of an OCI configuration or of another runtime, and how it is said here.
-- Only an error loads this.
local synonyms = {}

-- What is always so, and takes no field.
local NEEDLESS = {
  rm = "what a container wrote to its overlay goes with it", auto_remove = "what a container wrote to its overlay goes with it",
  stdin_open = "a container reads luabox's own input", i = "in a terminal the container gets one of its own",
  t = "in a terminal the container gets one of its own", clearenv = "nothing is inherited", unshare_all = "all namespaces are its own",
  die_with_parent = "a container ends with its luabox", new_session = "the command leads a session of its own",
}

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
  shm = 'mounts = { tmpfs { "/dev/shm", size = "64MiB" } }', mem_swappiness = "cgroup = { swappiness = 0 }",
  shm_size = 'mounts = { tmpfs { "/dev/shm", size = "64MiB" } }', env_file = "env = { ... }, which a loop over io.lines can fill",
  add_host = 'hosts = { "10.0.0.1 NAME" }', ulimit = "rlimits = { nofile = 1024 }", label = 'labels = { NAME = "value" }',
  mac_address = 'network = veth { mac = "02:00:00:00:00:01", ... }',
  network_alias = 'network = bridge { "NAME", aliases = { "db" }, ... }', private_network = 'network = "none"', unshare_net = 'network = "none"',
  share_net = 'network = "host"', cgroupns = 'namespaces = { cgroup = "host" }', cgroupns_mode = 'namespaces = { cgroup = "host" }',
  group_add = 'user = "NAME": whom the image\'s /etc/group has in a group, is in it',
  groups = 'user = "NAME": whom the image\'s /etc/group has in a group, is in it',
  group = 'user = "1000:1000"', gpus = 'devices = { "/dev/dri/renderD128" }',
  detach = "nothing: luabox run --detach SCRIPT",
  stop_signal = 'c:kill "INT"', stop_timeout = "c:stop(10)",
  stop_grace_period = "c:stop(10)", healthcheck = "c:exec { ... }",
  health_cmd = "c:exec { ... }", time_limit = "c:start(), c:wait(5) and c:destroy()",
  timeout = "c:start(), c:wait(5) and c:destroy()",
  memory_reservation = 'cgroup = { memory_reservation = "32MB" }', memory_swappiness = "cgroup = { swappiness = 0 }",
  cpuset_mems = 'cgroup = { mems = "0" }', cpu_quota = "cgroup = { cpu_quota = 50000 }", cpu_period = "cgroup = { cpu_period = 100000 }",
  blkio_weight = "cgroup = { io_weight = 100 }", cgroup_mem_max = 'cgroup = { memory = "100MB" }', cgroup_pids_max = "cgroup = { pids = 100 }",
  cgroup_cpu_ms_per_sec = "cgroup = { cpu = 0.5 }",
  ro_bind = 'mounts = { bind { "./data", "/data", readonly = true } }', bind_ro = 'mounts = { bind { "./data", "/data", readonly = true } }',
  bindmount = 'mounts = { bind { "./data", "/data" } }', bindmount_ro = 'mounts = { bind { "./data", "/data", readonly = true } }',
  dev_bind = 'mounts = { bind { "/dev/snd", "/dev/snd", nodev = false } }', chdir = 'cwd = "/"', setenv = 'env = { NAME = "value" }',
  disable_proc = "default_mounts = false", nice_level = "nice = 5", machine = 'name = "NAME"',
  ephemeral = 'rootfs = directory { "FOLDER", overlay = true }',
  id = 'name = "NAME"', restart = "a loop in the script: repeat local status = c:run() until status == 0",
}
for key, value in pairs(CGROUP) do CONTAINER[key] = CONTAINER[key] or ("cgroup = { %s = %s }"):format(key, value) end

-- Keys of container.cgroup.
local LIMITS = { mem = 'memory = "100MB"', mem_limit = 'memory = "100MB"', memory_limit = 'memory = "100MB"', memory_max = 'memory = "100MB"',
  memory_swap = 'swap = "100MB", the bytes beside the memory', memswap_limit = 'swap = "100MB", the bytes beside the memory',
  memory_swap_max = 'swap = "100MB"', memory_swappiness = "swappiness = 0", pids_limit = "pids = 100", pids_max = "pids = 100",
  tasks_max = "pids = 100", cpu_shares = '["cpu.shares"] = 512', cpu_max = "cpu = 0.5", cpu_limit = "cpu = 0.5", nano_cpus = "cpu = 0.5",
  cpuset_cpus = 'cpuset = "0-1"', cpuset_mems = 'mems = "0"', blkio_weight = "io_weight = 100", device_read_bps = 'io_read_bps = "8:0 10MB"',
  device_write_bps = 'io_write_bps = "8:0 10MB"', device_read_iops = 'io_read_iops = "8:0 100"', device_write_iops = 'io_write_iops = "8:0 100"' }

-- Options of docker run's that have but a letter.
local LETTERS = { e = "environment", p = "publish", w = "workdir", u = "uid", m = "memory", c = "cpu_shares", l = "label",
  P = "publish" }

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
  if what == "container" and NEEDLESS[key] then return (" (not needed: %s)"):format(NEEDLESS[key]) end
  local rlimit = what == "container" and type(key) == "string" and key:match "^rlimit_(%l+)$"
  if rlimit then said = ("rlimits = { %s = ... }"):format(rlimit) end
  return said and (" (write %s)"):format(said)
end

--- The engine's sentence about limits, with how a key that it does not know is said.
function synonyms.in_limits(message)
  return (message:gsub("^(cgroup: unknown key '([%w_]+)').*$", function(sentence, key)
    return LIMITS[key] and ("%s (write %s)"):format(sentence, LIMITS[key])
  end))
end

--- How an option of docker run's or bwrap's stands in a script; nil when nobody calls anything so. `fields` are the names of the container's own.
function synonyms.of_option(option, fields)
  local name = option:gsub("^%-+", ""):gsub("%-", "_")
  local key = LETTERS[name] or name
  for _, field in ipairs(fields) do
    if field == key then return (" (in the script: %s = ...)"):format(key) end
  end
  if NEEDLESS[key] then return (" (not needed: %s)"):format(NEEDLESS[key]) end
  return CONTAINER[key] and (" (in the script: %s)"):format(CONTAINER[key])
end

--- The command that does what others call `name`.
function synonyms.of_command(name)
  local said = COMMANDS[name]
  return said and (" (did you mean '%s'?)"):format(said)
end

return synonyms
