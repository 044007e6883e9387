---@meta luabox
-- The vocabulary of a container script, for editors that read LuaCATS (`luabox init` writes their .luarc.json), for help() at the prompt
-- and for docs/reference.md. A test compares it with what luabox accepts.

---@alias luabox.Size number|string   bytes: 1048576, "100MB" (10^6), "64MiB", "64M", "64m" (2^20)
---@alias luabox.Duration number      seconds

---What `container` takes. The list part holds steps of the script's own: functions that run inside, before anything is closed, or luabox.Step.
---@class luabox.ContainerOptions
---@field rootfs luabox.Rootfs|string  image "NAME", directory "FOLDER", or a folder
---@field command string[]  the words of the command; the first is looked for in PATH unless it holds a "/"
---@field name? string  letters, digits, "_", "." and "-", at most 64; unique while it lives; else the script's name and a random number
---@field hostname? string  else the name
---@field domainname? string
---@field mounts? luabox.Mount[]  bind, tmpfs, proc and the like, in this order
---@field default_mounts? boolean  false: nothing is mounted but what `mounts` says; else /proc, /sys, /sys/fs/cgroup and /dev are
---@field masked? string[]  paths inside that show nothing; {} for none; else as docker's
---@field readonly_paths? string[]  paths inside that can't be written; {} for none; else as docker's
---@field etc? boolean  false: /etc/hosts, /etc/hostname and /etc/resolv.conf stay the image's
---@field hosts? string[]  further lines of /etc/hosts
---@field dns? string[]  addresses for /etc/resolv.conf; else the host's servers
---@field cgroup? luabox.CgroupLimits  limits; { pids = 4096 } holds where nothing else is said
---@field cgroup_parent? string  a cgroup made by sys.cgroup.create: its limits hold for all containers in it together
---@field accounting? boolean  true: c:stats() has all that this host counts, and Java finds its limits on version 1; a start takes 0.2 ms more
---@field network? luabox.Veth|luabox.Bridge|luabox.Pasta|"none"|"host"  "none", a loopback alone, unless said otherwise
---@field namespaces? luabox.NamespaceOptions
---@field users? luabox.UserMap|"auto"  a user namespace; "auto": ids that no other container has
---@field user? string|integer  "name", "name:group", a number, "1000:1000"; names are the image's; else root
---@field env? table<string, string|number>  beside PATH, HOME, HOSTNAME, and TERM in a terminal
---@field cwd? string  an absolute path, found beneath the root; else "/"
---@field init? boolean  false: the command is process 1; else an init is, that reaps orphans
---@field terminal? boolean  whether it gets a terminal of its own; else where 0 and 1 are one; true is for one that is returned alone
---@field capabilities? luabox.CapabilityOptions|"none"|"all"  else docker's but for audit_write, mknod, net_raw
---@field seccomp? luabox.SeccompOptions|"default"|"unconfined"  the filter for system calls; else "default"
---@field no_new_privs? boolean  false: setuid programs and file capabilities work
---@field apparmor? string  the profile that the command gets
---@field keyring? boolean  false: the session keyring of who started luabox; else a new one
---@field devices? (string|luabox.Device)[]  of the host: "/dev/fuse"
---@field rlimits? luabox.RlimitOptions  { nofile = 1024, core = { soft = 0, hard = "unlimited" } }
---@field sysctl? table<string, string|number>  { ["net.core.somaxconn"] = 1024 }: those of the container's own namespaces
---@field umask? string  octal; else "022"
---@field nice? integer
---@field oom_score_adj? integer
---@field labels? table<string, string>  { team = "web" }: for site policies
---@field personality? string  "linux32"

---Limits of its processes, see getrlimit(2): a number for both, or soft and hard. Raising a hard limit takes sys_resource.
---@class luabox.RlimitOptions
---@field as? luabox.Size|"unlimited"|luabox.Rlimit  bytes of address space
---@field core? luabox.Size|"unlimited"|luabox.Rlimit  bytes of a core dump
---@field cpu? number|"unlimited"|luabox.Rlimit  seconds of CPU time
---@field data? luabox.Size|"unlimited"|luabox.Rlimit  bytes of data
---@field fsize? luabox.Size|"unlimited"|luabox.Rlimit  bytes of a file
---@field locks? number|"unlimited"|luabox.Rlimit  file locks
---@field memlock? luabox.Size|"unlimited"|luabox.Rlimit  bytes of locked memory
---@field msgqueue? luabox.Size|"unlimited"|luabox.Rlimit  bytes of POSIX message queues
---@field nice? number|"unlimited"|luabox.Rlimit  20 minus the lowest nice value
---@field nofile? number|"unlimited"|luabox.Rlimit  descriptors
---@field nproc? number|"unlimited"|luabox.Rlimit  processes of the user
---@field rss? luabox.Size|"unlimited"|luabox.Rlimit  nothing, since Linux 2.4.30
---@field rtprio? number|"unlimited"|luabox.Rlimit  real-time priority
---@field rttime? number|"unlimited"|luabox.Rlimit  microseconds of real-time CPU time
---@field sigpending? number|"unlimited"|luabox.Rlimit  queued signals
---@field stack? luabox.Size|"unlimited"|luabox.Rlimit  bytes of stack

---@class luabox.NamespaceOptions
---@field net? string  "new", "host", or the path of one to join
---@field ipc? string  "new", "host", or the path of one to join
---@field uts? string  "new", "host", or the path of one to join
---@field pid? "new"|"host"
---@field cgroup? "new"|"host"

---Ids of a user namespace: "inside outside count", a line or a list of them.
---@class luabox.UserMap
---@field uid string|string[]  "0 100000 65536"
---@field gid? string|string[]  as `uid` if left out

---@class luabox.CapabilityOptions
---@field add? string[]  beside the default ones; names in any case, with or without CAP_
---@field drop? string[]
---@field only? string[]  instead of the default ones
---@field ambient? string[]  what a user who isn't root holds from the start

---@class luabox.Device
---@field path string  on the host
---@field name? string  below /dev inside; else as on the host
---@field access? string  some of the letters rwm; else all

---@class luabox.Rlimit
---@field soft luabox.Size|"unlimited"  a size with a unit only of what is bytes
---@field hard luabox.Size|"unlimited"

---@class luabox.SeccompOptions
---@field base? "default"|"strict"|"none"  "default" unless `default` is given
---@field default? string  the action for what no rule names: "allow", "log", "trap", "kill", "kill_thread", "errno", "errno:ENOSYS", "trace"
---@field extend? luabox.SeccompExtension
---@field rules? luabox.SeccompRule[]  before the base's; the first that holds decides
---@field capabilities? string[]  of the base: what a granted capability adds
---@field architectures? string[]  "x86_64", "x86", "x32", "aarch64", "arm"
---@field ignore_unknown? boolean  names that this luabox doesn't know are passed over

---@class luabox.SeccompExtension
---@field allow? string[]
---@field deny? string[]

---@class luabox.SeccompRule
---@field name? string
---@field names? string[]
---@field action? string
---@field args? luabox.SeccompArgument[]  all must hold

---@class luabox.SeccompArgument
---@field index integer  0 to 5
---@field op? string  "==" unless said otherwise, "!=", "<", "<=", ">", ">="; unsigned
---@field value integer|string  a string for what a number can't hold: "0xffffffffffffffff"
---@field mask? integer|string  the bits that are compared; all unless said otherwise

---Limits. A key is the v1 name, the v2 name or one of these short names, on any host.
---@class luabox.CgroupLimits
---@field memory? luabox.Size
---@field swap? luabox.Size  beside the memory
---@field swappiness? integer  0 to 200 (to 100 before Linux 5.8); on v2 only 0
---@field memory_low? luabox.Size  protected
---@field memory_reservation? luabox.Size  the same
---@field memory_high? luabox.Size  v2 only
---@field memory_min? luabox.Size  v2 only
---@field oom_group? boolean  v2 only
---@field cpu? number|string  CPUs: 0.2, "20%"
---@field cpu_weight? integer  1 to 10000
---@field weight? integer  the same
---@field cpu_period? integer  microseconds: what `cpu_quota` is counted in
---@field cpu_quota? integer  microseconds of CPU time in each period; -1: no limit
---@field cpu_burst? integer  microseconds that may be saved up and used at once
---@field cpu_idle? boolean  true: it runs when nothing else does
---@field cpuset? string  "0-3,5": CPUs
---@field cpus? string  the same
---@field mems? string  memory nodes
---@field pids? integer|"max"
---@field io_weight? integer  1 to 10000
---@field io_read_bps? string|string[]  "8:0 10MB"
---@field io_write_bps? string|string[]
---@field io_read_iops? string|string[]
---@field io_write_iops? string|string[]
---@field rdma? string  "mlx4_0 hca_handle=2 hca_object=2000"
---@field misc? string  "sev 5": other resources that are counted
---@field dmem? string  "drm/0000:03:00.0/vram0 1073741824": bytes of a device's memory; v2 only
---@field devices? string[]  rules to allow, "c 1:3 rwm"; all else is denied
---@field freezer? boolean
---@field [string] any

---A step: hooks, all optional, that are called with the running container.
---@class luabox.Step
---@field namespaces? string  "mount net": what `enter` needs
---@field prepare? fun(this: luabox.Container)  on the host, before there is a process
---@field attach? fun(this: luabox.Container)  on the host, while the process waits
---@field enter? fun(this: luabox.Container)  inside
---@field undo? fun(this: luabox.Container)  on the host, always, last first

---The cgroup of a container that runs: the methods of sys.cgroup's objects, and each key as a field. Reading one asks the kernel, setting one is
---an update: `c.cgroup.memory = "1GiB"`. What its container's start gave it no part in is refused.
---@class luabox.OwnCgroup: luabox.sys.Cgroup, luabox.CgroupLimits

---A container, running or not.
---@class luabox.Container
---@field config luabox.ContainerOptions  as it was checked
---@field name string  once started
---@field process? luabox.sys.Process  while it is started
---@field cgroup? luabox.OwnCgroup  once started, where it has one
---@field mounts? table[]  while it runs: what is mounted in it, { target =, type =, source =, options = }
---@field root luabox.sys.Root  inside, for steps
local Container = {}

---Starts it: its command runs when this returns. Raises what any step raised, inside too, and leaves nothing then.
---
---    c:start()
---@return luabox.Container self
function Container:start() end

---Waits until its command has ended. A container with a terminal of its own has the caller's meanwhile.
---
---    local status, reason = c:wait()
---    if not c:wait(5) then c:kill "KILL" end
---@param seconds? luabox.Duration  at most so long
---@return integer? status  128 + N for signal N; nil when the time is over
---@return string? reason  why it was killed, where that is known
function Container:wait(seconds) end

---Sends a signal to its command.
---
---    c:kill "HUP"
---@param signal? string|integer  "TERM" if none is said
---@return boolean there  whether there was a process
function Container:kill(signal) end

---Asks it to end (SIGTERM), kills it when that takes too long.
---
---    local status = c:stop(3)
---@param seconds? luabox.Duration  10 if none is said
---@return integer status
function Container:stop(seconds) end

---@class luabox.ExecOptions
---@field [integer] string  the command
---@field env? table<string, string|number>  beside the container's
---@field cwd? string
---@field user? string|integer
---@field terminal? boolean  a terminal of its own; else where 0 and 1 are one
---@field stdin? string  a text that it reads
---@field capture? boolean|"all"  what it writes is for output(); "all": its errors too
---@field output? string  a file that what it writes, its errors too, is appended to
---@field detach? boolean  it stays when luabox ends, up to the container's end; without input, its output goes to `output` or nowhere

---Starts a further process in it.
---
---    local text, status = c:exec { "ps", capture = true }:output()
---@param options luabox.ExecOptions
---@return luabox.Execution
function Container:exec(options) end

---What it has used: cpu, memory, pids, io, pressure; nil where nothing counts it, see `accounting`.
---
---    print(c:stats().memory.usage, c:stats().cpu.usage)
---@return luabox.sys.CgroupStats
function Container:stats() end

---Sets limits while it runs, in the words of its field `cgroup`; it must have had a limit of that controller from its start, or
---`accounting`. A site's policies may refuse or change them.
---
---    c:update { memory = "1GiB", cpu = 0.5 }
---@param limits luabox.CgroupLimits
function Container:update(limits) end

---Ends what still runs, and removes everything that it had outside itself.
---
---    c:destroy()
function Container:destroy() end

---start, wait and destroy in one; may be called again.
---
---    os.exit(c:run())
---@return integer status
---@return string? reason
function Container:run() end

---A further process in a container.
---@class luabox.Execution
local Execution = {}

---    local x = c:exec { "sleep", "9", terminal = false }
---    if not x:wait(1) then x:kill() end
---@param seconds? luabox.Duration
---@return integer? status
function Execution:wait(seconds) end

---Of the process that stands for it on the host: a signal to it reaches the command.
---@return integer
function Execution:pid() end

---@param signal? string|integer  "TERM" if none is said
---@return boolean there
function Execution:kill(signal) end

---What it wrote, up to its end, and its exit status. With `capture`, once.
---
---    local text, status = c:exec { "id", capture = true }:output()
---@return string text
---@return integer status
function Execution:output() end

---Whether it has a terminal of its own, of which nobody has read: `stand_by` carries it.
---@return boolean
function Execution:at_terminal() end

---Passes signals on and carries its terminal until it ends.
---
---    os.exit(c:exec { "sh" }:stand_by())
---@return integer status
function Execution:stand_by() end

---A container that runs, whoever started it, as the prompt has it: `luabox repl --container NAME`, or running "NAME".
---
---    c.cgroup.memory = "1GiB"
---    c:exec { "sh" }
---@class luabox.Attachment
---@field name string
---@field config table  what its script asked for, as far as it decides how a process runs in it
---@field cgroup luabox.OwnCgroup
---@field mounts table[]  what is mounted in it: { target =, type =, source =, options = }
local Attachment = {}

---Starts a further process in it, as Container:exec.
---@param options luabox.ExecOptions
---@return luabox.Execution
function Attachment:exec(options) end

---What it has used, as Container:stats.
---@return luabox.sys.CgroupStats
function Attachment:stats() end

---Sets limits while it runs, as Container:update.
---@param limits luabox.CgroupLimits
function Attachment:update(limits) end

---Sends a signal to its command.
---@param signal? string|integer  "TERM" if none is said
---@return boolean there  whether there was a process
function Attachment:kill(signal) end

---Asks it to end (SIGTERM), kills it when that takes too long. Its exit status is for who started it.
---@param seconds? luabox.Duration  10 if none is said
function Attachment:stop(seconds) end

---Waits until its command has ended.
---@param seconds? luabox.Duration  at most so long
---@return boolean ended
function Attachment:wait(seconds) end

---Whether its command still runs.
---@return boolean
function Attachment:alive() end

---Checks the table, and raises at the line that is wrong. Nothing is started: return it from the script, or call its methods.
---
---    return container { rootfs = image "golang", command = { "/bin/bash" } }
---@param options luabox.ContainerOptions
---@return luabox.Container
function container(options) end

---@class luabox.Rootfs

---@class luabox.RootfsOptions
---@field readonly? boolean  the root is read-only
---@field devices? boolean  device nodes in it work
---@field overlay? boolean  below an overlay that goes with the container; an image always is
---@field persist? string  a folder that keeps what is changed, one container's at a time, and is found again by the next start
---@field layers? string[]  folders, read-only, on top of it, the first the topmost

---@class luabox.ImageOptions : luabox.RootfsOptions
---@field [1] string  the image's name

---An image that `luabox image import` made, below an overlay of the container's own that goes with it.
---
---    rootfs = image "golang"
---    rootfs = image { "golang", persist = "./changes" }
---@param name string|luabox.ImageOptions
---@return luabox.Rootfs
function image(name) end

---@class luabox.DirectoryOptions : luabox.RootfsOptions
---@field [1] string  the folder

---A folder as the root file system; a relative path starts at the script's folder.
---
---    rootfs = directory { "./rootfs", overlay = true }
---@param path string|luabox.DirectoryOptions
---@return luabox.Rootfs
function directory(path) end

---@class luabox.Mount

---Lines of "on the disk, inside, count".
---@class luabox.IdMap
---@field uid string|string[]  "1000 0 1"
---@field gid? string|string[]  as `uid` if left out

---@class luabox.BindOptions
---@field [1] string  the source on the host; a relative path starts at the script's folder
---@field [2] string  the target inside
---@field readonly? boolean
---@field recursive? boolean  what is mounted below the source comes too; true unless said otherwise
---@field propagation? "private"|"slave"|"shared"
---@field idmap? boolean|luabox.IdMap  other owners inside than on the disk; true: as the container's user namespace does
---@field nosuid? boolean  true unless said otherwise
---@field nodev? boolean  true unless said otherwise
---@field noexec? boolean

---A folder or a file of the host's.
---
---    bind { "./data", "/data", readonly = true }
---@param options luabox.BindOptions
---@return luabox.Mount
function bind(options) end

---@class luabox.ProcOptions
---@field [1] string
---@field hidepid? integer|string  2: processes of others are not seen
---@field subset? "pid"
---@field readonly? boolean
---@field nosuid? boolean  true unless said otherwise
---@field nodev? boolean  true unless said otherwise
---@field noexec? boolean  true unless said otherwise

---The processes of the container. Mounted on /proc without being said.
---
---    proc { "/proc", hidepid = 2 }
---@param target string|luabox.ProcOptions
---@return luabox.Mount
function proc(target) end

---@class luabox.MountOptions
---@field [1] string
---@field readonly? boolean
---@field nosuid? boolean  true unless said otherwise
---@field nodev? boolean  true unless said otherwise
---@field noexec? boolean

---The kernel's objects; read-only unless `readonly = false`. Mounted on /sys without being said.
---@param target string|luabox.MountOptions
---@return luabox.Mount
function sysfs(target) end

---@class luabox.TmpfsOptions
---@field [1] string
---@field size? luabox.Size|string  "64MiB", "10%" of the memory
---@field mode? string  octal; "1777" unless said otherwise
---@field inodes? integer
---@field readonly? boolean
---@field nosuid? boolean  true unless said otherwise
---@field nodev? boolean  true unless said otherwise
---@field noexec? boolean

---Files in memory.
---
---    tmpfs { "/tmp", size = "64MiB" }
---@param target string|luabox.TmpfsOptions
---@return luabox.Mount
function tmpfs(target) end

---null, zero, full, random, urandom, tty, pts, shm, mqueue, and the links that programs expect. Mounted on /dev without being said.
---
---    mounts = { dev "/dev" }
---@param target string
---@return luabox.Mount
function dev(target) end

---@class luabox.DevptsOptions
---@field [1] string
---@field mode? string  octal; "0620" unless said otherwise
---@field gid? integer  5 unless said otherwise
---@field readonly? boolean
---@field nosuid? boolean  true unless said otherwise
---@field nodev? boolean
---@field noexec? boolean  true unless said otherwise

---Pseudo-terminals of the container's own; part of dev.
---
---    mounts = { devpts { "/dev/pts", gid = 5, mode = "0620" } }
---@param target string|luabox.DevptsOptions
---@return luabox.Mount
function devpts(target) end

---POSIX message queues; part of dev.
---
---    mounts = { mqueue "/dev/mqueue" }
---@param target string|luabox.MountOptions
---@return luabox.Mount
function mqueue(target) end

---@class luabox.OverlayOptions
---@field [1] string
---@field lower string[]  folders of the host's, the first on top
---@field upper? string  takes what is written; without it the mount is read-only
---@field work? string  an empty folder on the file system of `upper`
---@field readonly? boolean
---@field nosuid? boolean  true unless said otherwise
---@field nodev? boolean  true unless said otherwise
---@field noexec? boolean

---Several folders as one.
---
---    overlay { "/data", lower = { "./a", "./b" }, upper = "./changes", work = "./work" }
---@param options luabox.OverlayOptions
---@return luabox.Mount
function overlay(options) end

---The container's own cgroups, always read-only. Mounted on /sys/fs/cgroup without being said.
---
---    mounts = { cgroupfs "/sys/fs/cgroup" }
---@param target string
---@return luabox.Mount
function cgroupfs(target) end

---@class luabox.Veth

---@class luabox.VethOptions
---@field host string|string[]  the address of the host's end with its prefix length, "172.16.99.1/24"
---@field guest string|string[]  the address of the container's
---@field nat? boolean  true: the container reaches the outside under the host's address
---@field publish? (string|luabox.PublishedPort)[]  "8080:80", "192.0.2.1:8080:80/udp"; "127.0.0.1:8080:80" is for the host's own programs
---@field egress? string[]  what it may begin connections to, and nothing else: "10.0.0.0/8:443/tcp", "any:53/udp"
---@field name? string  of the interface inside; "eth0" unless said otherwise
---@field route? boolean  false: no default route by the host's address
---@field mtu? integer  of both ends
---@field mac? string  of the inside one
---@field bandwidth? integer|string  bits per second, "10mbit", in each direction

---@class luabox.PublishedPort
---@field host_port integer
---@field guest_port integer
---@field protocol? "tcp"|"udp"  "tcp" unless said otherwise
---@field host_address? string  all that are not the host's loopback, unless said otherwise

---A pair of interfaces, one on the host, one in the container.
---
---    network = veth { host = "172.16.99.1/24", guest = "172.16.99.100/24", nat = true, publish = { "8080:80" } }
---@param options luabox.VethOptions
---@return luabox.Veth
function veth(options) end

---@class luabox.Bridge
---@class luabox.BridgeOptions
---@field [1] string  the bridge's name, at most 11 letters, digits, '_' and '-'
---@field subnet? string  "10.9.0.0/24": the host gets .1, containers the others; needed by the first container, the same for all
---@field subnet6? string  "fd00:9::/64" beside it
---@field nat? boolean  true: the containers reach the outside under the host's address
---@field address? string  in the subnet; the lowest that is free unless said otherwise
---@field publish? (string|luabox.PublishedPort)[]  "8080:80", "192.0.2.1:8080:80/udp"; "127.0.0.1:8080:80" is for the host's own programs
---@field egress? string[]  what it may begin connections to, and nothing else: "10.0.0.0/8:443/tcp", "any:53/udp"
---@field aliases? string[]  names beside the host name and the container's
---@field bandwidth? integer|string  bits per second, "10mbit", in each direction
---@field interface? string  inside; "eth0" unless said otherwise
---@field mtu? integer

---A network that containers share. It is made for the first and goes with the last; they know each other by name.
---
---    network = bridge { "web", subnet = "10.9.0.0/24", nat = true, publish = { "8080:80" } }
---@param options luabox.BridgeOptions|string
---@return luabox.Bridge
function bridge(options) end

---@class luabox.Pasta

---@class luabox.PastaOptions
---@field publish? (string|luabox.PublishedPort)[]  "8080:80", "127.0.0.1:8080:80/udp"

---The network of an ordinary user's container, and what it gets where nothing is said.
---
---    network = pasta { publish = { "8080:80" } }
---@param options? luabox.PastaOptions
---@return luabox.Pasta
function pasta(options) end

---This luabox.
---@class luabox.About
---@field version string  "0.1.0"

---@type luabox.About
luabox = {}

---Raises unless this luabox serves a script that was written for that version: the first number is the same, and it is no older.
---
---    require_version "0.1"
---@param wanted string
function require_version(wanted) end

---The script's arguments; arg[0] is its name.
---@type table<integer, string>
arg = {}

---What is raised: a table whose tostring is one sentence.
---@class luabox.Error
---@field message string
---@field op? string  the step: a system call or a verb
---@field path? string  its object
---@field code? string  "ENOENT"
---@field errno? integer
---@field hint? string
---@field where? string  "file:line"
---@field traceback? string
---@field status? integer  luabox's exit status; 125 unless the command itself could not be started
