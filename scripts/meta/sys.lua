---@meta luabox.sys
-- The primitives: require "luabox.sys". A module of the engine is a table; the contract of a function, with its source, is the engine's header.

---@class luabox.sys
local sys = {}

---@alias luabox.sys.Namespaces string|string[]   "mount uts ipc pid net user cgroup time"
---@alias luabox.sys.ProcessId luabox.sys.Process|integer   a process object or a pid
---@alias luabox.sys.Signal string|integer   "TERM", "SIGTERM" or a number
---@alias luabox.sys.Mode string   octal: "0755"

-- ---- processes

---@class luabox.sys.CloneOptions
---@field namespaces? luabox.sys.Namespaces
---@field cgroup? luabox.sys.Cgroup  the child is in it from its first instruction on
---@field released? boolean  true: it goes on at once; `settle` waits for its exec
---@field network? luabox.sys.Descriptor  the network namespace that it is born in, as sys.take_network gave it; `namespaces` names it, too. Not where policies are in force
---@field vfork? boolean  with released: the child shares this process's memory, which stands still until its exec (vfork(2)); what its function changes of Lua's is changed here, too

---Makes a child that is a copy of this process, in new namespaces. The function runs in it once it is released, and must end in exec, init or exit.
---
---    local child = sys.clone({ namespaces = "pid mount" }, function()
---      sys.mount.private "/"
---      sys.mount.proc "/proc"
---      sys.exec { "/bin/ps" }
---    end)
---    child:release()
---    print(child:wait())
---@param options luabox.sys.CloneOptions
---@param body fun(parent: luabox.sys.Parent)
---@return luabox.sys.Process
function sys.clone(options, body) end

---@class luabox.sys.ExecOptions
---@field environment? string[]  "NAME=value"
---@field session? boolean  a session of its own
---@field terminal? boolean  descriptor 0 becomes its controlling terminal
---@field filter? luabox.sys.Filter  for system calls of the program alone
---@field joined? boolean  of init, for a process that has joined a pid namespace: the program ends with it
---@field until_end? integer  of init with joined: a pidfd; it stays when its parent ends, and ends the program when that process ends
---@field carried_from? luabox.sys.Descriptor  of init with until_end: a pipe's reading end; what comes out goes into `carried_to`
---@field carried_to? luabox.sys.Descriptor  a regular file
---@field log_refused? boolean  the kernel logs what `filter` refuses
---@field small? boolean  of init, in a user namespace: once the program runs a program of a few pages takes the init's place, and the ordinary user who made the namespace can join it

---In place of this process. Nothing is inherited but descriptors 0 to 2. Returns only by raising.
---
---    sys.exec({ "/bin/sh", "-c", "env" }, { environment = { "PATH=/bin" } })
---@param arguments string[]
---@param options? luabox.sys.ExecOptions
function sys.exec(arguments, options) end

---exec as the child of an init, which passes signals on and reaps orphans.
---@param arguments string[]
---@param options? luabox.sys.ExecOptions
function sys.init(arguments, options) end

---@return luabox.sys.Descriptor reader
---@return luabox.sys.Descriptor writer
function sys.pipe() end

---@param text string
---@return luabox.sys.Descriptor  that it is read from
function sys.text_file(text) end

---Appended to; made as 0600 where it is not there.
---@param path string
---@return luabox.sys.Descriptor
function sys.output_file(path) end

---In a child, before its exec.
---@param descriptor luabox.sys.Descriptor
---@param number integer  0, 1 or 2
function sys.redirect(descriptor, number) end

---@class luabox.sys.Relay
local Relay = {}

---In a child, before its exec: pipes take the places of the descriptors.
function Relay:enter() end

---Carries what was written up to now, and ends. Raises what a file could not take.
function Relay:finish() end

---For those of `descriptors`, 1 and 2, that are regular files: a child gets a pipe (relay:enter), and a thread of this process carries what comes
---out of it into the file, which the child could read, cut off or make a set-uid program of otherwise. Both of one file have one pipe.
---@param descriptors integer[]
---@param file? luabox.sys.Descriptor  where both lead to, whatever they are; stays open as long
---@return luabox.sys.Relay? relay  nil where none of them is a file
function sys.relay(descriptors, file) end

---In a child, before it joins the mount namespace of a container with "/" at `root` (pivot_root and chroot do it themselves): what is the host's
---/dev/null among descriptors 0 to 2 becomes the one of `root`, whose root could change the owner and mode of the host's. Where `root` has none that
---opens it stays the host's, by a mount that is read-only. So do a file that is to be read, a fifo, a disk, a terminal and memory (/dev/zero);
---a directory is refused, and a file or fifo that can't be opened so.
---@param root luabox.sys.Root
function sys.seal_streams(root) end

---Lets everybody open the pipes among descriptors 0 to 2, as /dev/stdout of a container is opened by whatever user is its own.
function sys.open_up_pipes() end

---In a child that is in its network namespace: raises where one of descriptors 0 to 2 is a socket by which it would have another one.
function sys.refuse_foreign_sockets() end

---@param namespaces luabox.sys.Namespaces
function sys.unshare(namespaces) end

---Begins to make a network namespace for the next clone that asks for one and for no user namespace, beside whatever is done until then. A matter
---of time only: where it can't be made the clone makes it, and raises what there is to raise.
function sys.network_ahead() end

---The network namespace that sys.network_ahead has made, for what is to be in it before there is a process, and for the clone (`network =`). nil where
---there is none: it was taken, was not asked for, or could not be made.
---@return luabox.sys.Descriptor?
function sys.take_network() end

---@class luabox.sys.SetnsOptions
---@field namespaces? luabox.sys.Namespaces  of a process

---Joins namespaces of another process.
---@param what string|luabox.sys.Descriptor|luabox.sys.ProcessId  a path, a descriptor, or a process with `namespaces`
---@param options? luabox.sys.SetnsOptions
function sys.setns(what, options) end

---@param process luabox.sys.ProcessId
---@param kind string  "net"
---@return luabox.sys.Descriptor
function sys.namespace(process, kind) end

---@class luabox.sys.TimeOffsets
---@field monotonic? integer  seconds
---@field boottime? integer  seconds

---Of the time namespace of the children to come.
---@param offsets luabox.sys.TimeOffsets
function sys.time_offsets(offsets) end

---    sys.sethostname "box"
---@param name string
function sys.sethostname(name) end

---@param name string
function sys.setdomainname(name) end

---@param path string
function sys.chdir(path) end

function sys.setsid() end

---Ends this process at once, without finalizers; what primitives own is undone.
---@param status integer
function sys.exit(status) end

---@param seconds number
function sys.sleep(seconds) end

---@return number seconds
function sys.monotonic() end

---The name from which the fewest insertions, deletions, substitutions and swaps of neighbours lead to `name`; nil where none is near.
---
---    print(sys.nearest("memroy", { "memory", "cpu" }))
---@param name string
---@param names string[]
---@return string?
function sys.nearest(name, names) end

---@param bytes integer  1 to 256
---@return string hexadecimal
function sys.random(bytes) end

--- Every errno value that has a name: what an error's `code`, `errno` and text are. errno(3)
---@return table[]  of code (a number), name ("ENOENT"), text ("No such file or directory")
function sys.errors() end

---@return integer
function sys.pid() end

---@return integer
function sys.uid() end

---@return integer
function sys.gid() end

---@return string
function sys.version() end

---Whether this is the function of a clone.
---@return boolean
function sys.in_child() end

---A program of the host's, root's own, in a folder of root's, started with nothing of the caller's.
---@param arguments string[]  { "newuidmap", ... }
---@return luabox.sys.Helper
function sys.helper(arguments) end

---@param name string  "pasta"
---@return string? path
function sys.find_helper(name) end

---Kills this user's processes that have `argument` in their command line: helpers whose luabox was killed.
---@param argument string
function sys.end_helpers(argument) end

---@class luabox.sys.Helper
local Helper = {}

---@param seconds? number
---@return integer? status  as process:wait
function Helper:wait(seconds) end

---@param signal luabox.sys.Signal
---@return boolean there
function Helper:kill(signal) end

---@return integer
function Helper:pid() end

---@return string  what it has said since the last call
function Helper:output() end

---A child of this process. One that goes out of scope unwaited is killed and reaped.
---@class luabox.sys.Process
local Process = {}

---Lets the child go on, and waits until its exec succeeded. Raises what it raised.
function Process:release() end

---The first half of release: lets it go.
function Process:go() end

---The second half: waits until its exec succeeded. Raises what it raised, and where it was not let go.
function Process:settle() end

---@param seconds? number  at most so long
---@return integer? status  128 + N for signal N; nil when the time is over
function Process:wait(seconds) end

---How it ended: code or signal; nil while it runs.
---@return table<string, integer>?
function Process:status() end

---It is not ended with this object.
function Process:detach() end

---In a child of a clone it raises EPERM for what the parent made: that is the parent's to signal.
---@param signal luabox.sys.Signal
---@return boolean there  whether there was a process; by pidfd: never another
function Process:kill(signal) end

---What the child sent before its exec.
---@return string? text
---@return luabox.sys.Descriptor? descriptor
function Process:message() end

---@return integer
function Process:pid() end

---@return integer  the number of its pidfd
function Process:pidfd() end

---What the function of a clone gets.
---@class luabox.sys.Parent
local Parent = {}

---Tells the parent something: process:message().
---@param text string
---@param descriptor? integer  the number of one to pass
function Parent:send(text, descriptor) end

---An open file.
---@class luabox.sys.Descriptor
local Descriptor = {}

---@return integer
function Descriptor:number() end

---@param seconds? number  waits at most so long; not at all if left out
---@return boolean
function Descriptor:readable(seconds) end

---Up to its end; of what does not wait, such as an oom_event, all that is there.
---@param limit? integer  bytes
---@param process? luabox.sys.Process  of a pipe: what is there at that one's end is the end, whoever may write on
---@return string
function Descriptor:read(limit, process) end

---Uses it up.
function Descriptor:close() end

---Processes that this one did not start.
---@class luabox.sys.running
sys.running = {}

---@param pid integer
---@return string  what a pid must be written down with
function sys.running.start_time(pid) end

---By pidfd. Raises ESRCH when it has ended, also when its pid is another's now.
---@param pid integer
---@param start_time string
---@return luabox.sys.Running
function sys.running.find(pid, start_time) end

---@class luabox.sys.Running
local Running = {}

---@return boolean
function Running:alive() end

---@param seconds? number
---@return boolean ended
function Running:wait(seconds) end

---@param signal luabox.sys.Signal
---@return boolean there
function Running:kill(signal) end

---@return integer
function Running:pid() end

---Its pidfd's number, owned by this object.
---@return integer
function Running:pidfd() end

---Those that are not this process's, in the order to enter them.
---@return table  a list of { kind =, descriptor = }
function Running:namespaces() end

---@return luabox.sys.Root
function Running:root() end

---Its limits, before joining.
function Running:raise_limits() end

---Its limits, nice value and oom_score_adj, after joining.
function Running:adopt_limits() end

-- ---- mounts

---@class luabox.sys.MountFlags
---@field read_only? boolean
---@field nosuid? boolean
---@field nodev? boolean
---@field noexec? boolean
---@field nosymfollow? boolean
---@field noatime? boolean
---@field relatime? boolean
---@field strictatime? boolean
---@field nodiratime? boolean

---@class luabox.sys.mount
sys.mount = {}

---@class luabox.sys.BindOptions : luabox.sys.MountFlags
---@field recursive? boolean  true unless said otherwise

---    sys.mount.bind("rootfs", "rootfs")
---@param source string
---@param target string
---@param options? luabox.sys.BindOptions  flags hold for all that is mounted below
function sys.mount.bind(source, target, options) end

---@class luabox.sys.FlagChange : luabox.sys.MountFlags
---@field clear? luabox.sys.MountFlags
---@field recursive? boolean

---@param path string
---@param change luabox.sys.FlagChange
function sys.mount.remount(path, change) end

---Nothing that is mounted below is seen elsewhere from now on, or comes from elsewhere.
---
---    sys.mount.private "/"
---@param path string
function sys.mount.private(path) end

---@class luabox.sys.PropagationOptions
---@field recursive? boolean  true unless said otherwise

---@param path string
---@param kind "private"|"shared"|"slave"|"unbindable"
---@param options? luabox.sys.PropagationOptions
function sys.mount.propagation(path, kind, options) end

---@param from string
---@param to string
function sys.mount.move(from, to) end

---@class luabox.sys.UmountOptions
---@field detach? boolean
---@field force? boolean
---@field follow? boolean

---@param path string
---@param options? luabox.sys.UmountOptions
function sys.mount.umount(path, options) end

---A mount point becomes "/"; the old root is detached.
---
---    sys.mount.pivot_root "rootfs"
---@param root luabox.sys.Root|string
function sys.mount.pivot_root(root) end

---No barrier for who has sys_chroot.
---@param root luabox.sys.Root|string
function sys.mount.chroot(root) end

---Never follows a symlink, never enters a mount.
---@param path string
function sys.mount.remove_tree(path) end

---@param path string
---@return integer bytes
function sys.mount.tree_size(path) end

---@class luabox.sys.CopyOptions
---@field recursive? boolean  true unless said otherwise

---A detached copy of what is mounted there.
---@param path string
---@param options? luabox.sys.CopyOptions
---@return luabox.sys.Mount
function sys.mount.copy_of(path, options) end

---@param root luabox.sys.Root
---@param path string  beneath it
---@param options? luabox.sys.CopyOptions
---@return luabox.sys.Mount
function sys.mount.copy_in(root, path, options) end

---@class luabox.sys.MakeOptions
---@field source? string
---@field options? table<string, string>
---@field flags? luabox.sys.MountFlags

---Any file system.
---@param type string  "tmpfs"
---@param options? luabox.sys.MakeOptions
---@return luabox.sys.Mount
function sys.mount.make(type, options) end

---@class luabox.sys.ProcOptions : luabox.sys.MountFlags
---@field hidepid? integer|string
---@field subset? string
---@field gid? integer

---@param options? luabox.sys.ProcOptions
---@return luabox.sys.Mount
function sys.mount.make_proc(options) end

---    sys.mount.proc "rootfs/proc"
---@param target string
---@param options? luabox.sys.ProcOptions
function sys.mount.proc(target, options) end

---@param flags? luabox.sys.MountFlags
---@return luabox.sys.Mount
function sys.mount.make_sysfs(flags) end

---@param target string
---@param flags? luabox.sys.MountFlags
function sys.mount.sysfs(target, flags) end

---@param flags? luabox.sys.MountFlags
---@return luabox.sys.Mount
function sys.mount.make_mqueue(flags) end

---@param target string
---@param flags? luabox.sys.MountFlags
function sys.mount.mqueue(target, flags) end

---@class luabox.sys.TmpfsOptions : luabox.sys.MountFlags
---@field size? string
---@field inodes? integer
---@field mode? luabox.sys.Mode
---@field uid? integer
---@field gid? integer

---@param options? luabox.sys.TmpfsOptions
---@return luabox.sys.Mount
function sys.mount.make_tmpfs(options) end

---@param target string
---@param options? luabox.sys.TmpfsOptions
function sys.mount.tmpfs(target, options) end

---@class luabox.sys.DevptsOptions : luabox.sys.MountFlags
---@field mode? luabox.sys.Mode
---@field ptmxmode? luabox.sys.Mode
---@field gid? integer

---@param options? luabox.sys.DevptsOptions
---@return luabox.sys.Mount
function sys.mount.make_devpts(options) end

---@param target string
---@param options? luabox.sys.DevptsOptions
function sys.mount.devpts(target, options) end

---@class luabox.sys.CgroupMountOptions : luabox.sys.MountFlags
---@field v2? boolean
---@field controllers? string[]
---@field name? string

---@param options luabox.sys.CgroupMountOptions
---@return luabox.sys.Mount
function sys.mount.make_cgroup(options) end

---@param target string
---@param options luabox.sys.CgroupMountOptions
function sys.mount.cgroup(target, options) end

---@class luabox.sys.OverlayOptions : luabox.sys.MountFlags
---@field lower? string[]
---@field upper? string
---@field work? string
---@field userxattr? boolean
---@field volatile? boolean
---@field metacopy? boolean  the kernel's own setting unless said otherwise, as for index
---@field index? boolean
---@field redirect_dir? "on"|"off"|"follow"|"nofollow"
---@field options? table<string, string>

---@param options luabox.sys.OverlayOptions
---@return luabox.sys.Mount
function sys.mount.make_overlay(options) end

---@param target string
---@param options luabox.sys.OverlayOptions
function sys.mount.overlay(target, options) end

---@param path string
---@return luabox.sys.Root
function sys.mount.root(path) end

---@param at luabox.sys.Root|string
---@return boolean
function sys.mount.is_procfs(at) end

---Raises when something else is mounted there.
---@param root luabox.sys.Root
---@param path string
function sys.mount.verify_procfs(root, path) end

---Paths that show nothing. Those that aren't there are passed over.
---@param root luabox.sys.Root
---@param paths string[]
function sys.mount.mask(root, paths) end

---Paths that aren't there are passed over.
---@param root luabox.sys.Root
---@param paths string[]
function sys.mount.make_read_only(root, paths) end

---A detached tree of mounts: no path leads to it.
---@class luabox.sys.Mount
local Mount = {}

---Sets flags on every mount of the tree: all, or none.
---@param flags luabox.sys.MountFlags
function Mount:restrict_to(flags) end

---@param change luabox.sys.FlagChange
function Mount:set_flags(change) end

---@param kind "private"|"shared"|"slave"|"unbindable"
function Mount:propagation(kind) end

---@return boolean
function Mount:is_directory() end

---Maps owners as that user namespace does.
---@param descriptor luabox.sys.Descriptor
function Mount:idmap(descriptor) end

---@return luabox.sys.Root  to fill it
function Mount:root() end

---@class luabox.sys.AttachOptions
---@field create? "directory"|"file"
---@field no_symlinks? boolean

---Resolved inside the root; uses the tree up.
---@param root luabox.sys.Root
---@param target string
---@param options? luabox.sys.AttachOptions
---@return string[] made  paths
function Mount:attach(root, target, options) end

---Uses the tree up.
---@param path string
function Mount:attach_at(path) end

---A directory as a root: every path is resolved beneath it, as after chroot.
---@class luabox.sys.Root
local Root = {}

---@param path string
---@return luabox.sys.Descriptor
function Root:open(path) end

---From now on what lies at `path`, written just so, and below it is looked for in a mount that is attached there, whoever renames its mount point
---meanwhile. Nothing is made below.
---@param path string
---@param mounted luabox.sys.Root  tree:root(), asked before the tree is attached
function Root:pin(path, mounted) end

---Makes it the working directory of this process.
---@param path string
function Root:enter(path) end

---@class luabox.sys.KindOptions
---@field follow? boolean

---@param path string
---@param options? luabox.sys.KindOptions
---@return string? kind  "directory", "file", "symlink", "device", "fifo", "socket"
function Root:kind(path, options) end

---@param path string
---@return string[] names
function Root:list(path) end

---@class luabox.sys.ReadOptions
---@field limit? integer  bytes
---@field stored? boolean  true: what the kernel makes up as it is read, in /proc and the like, is refused unread

---@param path string
---@param options? luabox.sys.ReadOptions
---@return string
function Root:read(path, options) end

---@class luabox.sys.RootWriteOptions
---@field mode? luabox.sys.Mode
---@field append? boolean
---@field on? string  the file must be on the mount that is at this path, and not on one that lies over it

---Missing parents are made.
---@param path string
---@param text string
---@param options? luabox.sys.RootWriteOptions
function Root:write(path, text, options) end

---@class luabox.sys.DirectoryOptions
---@field mode? luabox.sys.Mode

---Missing parents are made.
---@param path string
---@param options? luabox.sys.DirectoryOptions
function Root:make_directory(path, options) end

---@param target string
---@param path string
function Root:symlink(target, path) end

---@class luabox.sys.NodeOptions
---@field type string  "char", "block", "fifo"
---@field major? integer
---@field minor? integer
---@field mode? luabox.sys.Mode
---@field uid? integer
---@field gid? integer

---@param path string
---@param options luabox.sys.NodeOptions
function Root:mknod(path, options) end

---@class luabox.sys.OwnerOptions
---@field uid? integer
---@field gid? integer

---@param path string
---@param owner luabox.sys.OwnerOptions
function Root:chown(path, owner) end

---@param path string
---@param mode luabox.sys.Mode
function Root:chmod(path, mode) end

---A file or an empty directory.
---@param path string
function Root:remove(path) end

---@class luabox.sys.TargetOptions
---@field kind? "directory"|"file"
---@field no_symlinks? boolean

---@param path string
---@param options? luabox.sys.TargetOptions
---@return string[] made  paths
function Root:ensure_target(path, options) end

-- ---- cgroups

---@class luabox.sys.cgroup
sys.cgroup = {}

---@class luabox.sys.CgroupOptions
---@field parent? string  "luabox" unless said otherwise
---@field controllers? string[]  whose directories are made at once

---A hierarchy's directory is made when a key of it is first written. "build/a" is a cgroup in the cgroup "build".
---
---    local group = sys.cgroup.create "demo"
---    group:write { memory = "64MiB", pids = 20 }
---@param name string
---@param options? luabox.sys.CgroupOptions
---@return luabox.sys.Cgroup
function sys.cgroup.create(name, options) end

---One that is there already.
---@param paths string[]  g:paths()
---@param parent? string
---@return luabox.sys.Cgroup
function sys.cgroup.open(paths, parent) end

---@class luabox.sys.CgroupHierarchy
---@field version integer
---@field mount string
---@field base string
---@field controllers string[]
---@field writable boolean  whether this process may make cgroups in the base

---@return luabox.sys.CgroupHierarchy[]
function sys.cgroup.host() end

---@class luabox.sys.CgroupKey
---@field controller string
---@field v1 string  the file of version 1, "" where it has none; '*' is a size of huge pages
---@field v2 string  that of version 2
---@field words string[]  short names
---@field access string  "read write", "read", "write", or "none": the file is only in the topmost cgroup
---@field note string  why one version has none, and what to use there

---Every control that can be written or read, by its names.
---@return luabox.sys.CgroupKey[]
function sys.cgroup.keys() end

---What is meant by a weight of version 1, on the scale of version 2.
---@param key "cpu.shares"|"blkio.weight"
---@param value integer
---@return integer weight  1 to 10000, 100 where nothing is said
function sys.cgroup.v2_weight(key, value) end

---@class luabox.sys.CgroupWrite
---@field controller string
---@field file string
---@field value string
---@field path string

---@class luabox.sys.PlanOptions
---@field name? string
---@field parent? string

---What would be written.
---
---    for _, write in ipairs(sys.cgroup.plan { cpu = "20%" }) do print(write.path) end
---@param values luabox.CgroupLimits
---@param options? luabox.sys.PlanOptions
---@return luabox.sys.CgroupWrite[]
function sys.cgroup.plan(values, options) end

---For records: the directories that would be made.
---@param name string
---@param values? luabox.CgroupLimits
---@param options? luabox.sys.CgroupOptions
---@return string[]
function sys.cgroup.planned_paths(name, values, options) end

---Ends one that a dead process left.
---@param path string
---@param parent? string
function sys.cgroup.remove_path(path, parent) end

---A cgroup of this process's making: removed with the object unless kept.
---@class luabox.sys.Cgroup
local Cgroup = {}

---@param values luabox.CgroupLimits
function Cgroup:write(values) end

---@param key string
---@return string
function Cgroup:read(key) end

---@param values luabox.CgroupLimits
---@return luabox.sys.CgroupWrite[]
function Cgroup:plan(values) end

---Takes milliseconds on v1; clone's option `cgroup` doesn't.
---@param process luabox.sys.ProcessId
function Cgroup:add(process) end

---@return integer[] pids
function Cgroup:processes() end

---@return string[]
function Cgroup:paths() end

---@return luabox.sys.CgroupHierarchy[]
function Cgroup:hierarchies() end

---@return boolean
function Cgroup:exists() end

---Waits until all in it stand still.
function Cgroup:freeze() end

function Cgroup:thaw() end

---Whether what is born in it stands still: it, or one above it, is frozen or is being frozen.
---@return boolean
function Cgroup:frozen() end

---Waits until none is left.
function Cgroup:kill() end

---@class luabox.sys.CgroupStats
---@field cpu? table  usage, user, system, throttled: seconds
---@field memory? table  usage, peak, limit, cache, anon: bytes
---@field pids? table  current, limit
---@field io? table  read_bytes, write_bytes, reads, writes
---@field pressure? table  cpu, memory, io: percent of the last 10 seconds

---@return luabox.sys.CgroupStats
function Cgroup:stats() end

---@return integer?
function Cgroup:oom_kills() end

---@return luabox.sys.Descriptor  readable when memory ran out
function Cgroup:oom_event() end

function Cgroup:remove() end

---It outlives the object.
function Cgroup:keep() end

-- ---- network

---@class luabox.sys.net
sys.net = {}

---@class luabox.sys.NamespaceFd
---@field fd integer

---@alias luabox.sys.Netns luabox.sys.Process|integer|luabox.sys.NamespaceFd   whose network namespace

---@class luabox.sys.Link
---@field index integer
---@field name string
---@field kind string
---@field up boolean
---@field mac string
---@field mtu integer
---@field master integer
---@field peer_index integer
---@field alias string

---@return luabox.sys.Link[]
function sys.net.links() end

---@param name string
---@return luabox.sys.Link?
function sys.net.find(name) end

---@class luabox.sys.LinkOptions
---@field kind string  "bridge", "dummy", "veth"
---@field name string
---@field peer? string
---@field master? string
---@field mtu? integer
---@field mac? string
---@field alias? string
---@field up? boolean

---@param options luabox.sys.LinkOptions
function sys.net.add(options) end

---@param name string
function sys.net.remove(name) end

---@param name string
function sys.net.up(name) end

---@param name string
function sys.net.down(name) end

---@param name string
---@param new string
function sys.net.rename(name, new) end

---@param name string
---@param netns luabox.sys.Netns
function sys.net.move(name, netns) end

---@param name string
---@param bridge? string  nil: none
function sys.net.set_master(name, bridge) end

---@param name string
---@param bytes integer
function sys.net.set_mtu(name, bytes) end

---@param name string
---@param mac string
function sys.net.set_mac(name, mac) end

---@class luabox.sys.Address
---@field device string
---@field address string  "172.16.99.1/24"

---@param name? string
---@return luabox.sys.Address[]
function sys.net.addresses(name) end

---@param name string
---@param address string
function sys.net.add_address(name, address) end

---@param name string
---@param address string
function sys.net.remove_address(name, address) end

---@class luabox.sys.Route
---@field to string  "default" or a network
---@field via? string
---@field dev? string
---@field metric? integer
---@field src? string
---@field table? integer
---@field onlink? boolean

---@return luabox.sys.Route[]
function sys.net.routes() end

---@param route luabox.sys.Route
function sys.net.add_route(route) end

---@param route luabox.sys.Route
function sys.net.remove_route(route) end

---@class luabox.sys.LocalDeviceOptions
---@field linked? boolean  also the interface on whose own network the address lies, without a gateway

---@param address string
---@param options? luabox.sys.LocalDeviceOptions
---@return string? name  of the interface whose address of this host it is
function sys.net.local_device(address, options) end

---@class luabox.sys.VethOptions
---@field host string
---@field guest? string  "eth0" unless said otherwise
---@field netns? luabox.sys.Netns
---@field addresses? string[]
---@field master? string
---@field mtu? integer
---@field host_mac? string
---@field guest_mac? string
---@field alias? string
---@field up? boolean
---@field link_local? boolean
---@field hairpin? boolean  with `master`, a bridge: what comes in by the host end may leave by it again

---The guest end is made in its namespace.
---
---    sys.net.veth { host = "veth1", guest = "eth0", netns = child, addresses = { "10.9.8.1/24" } }
---@param options luabox.sys.VethOptions
function sys.net.veth(options) end

---@class luabox.sys.LinkConfiguration
---@field name string
---@field rename? string
---@field addresses? string[]
---@field up? boolean
---@field mac? string
---@field mtu? integer

---@class luabox.sys.NetConfiguration
---@field loopback? boolean
---@field links? luabox.sys.LinkConfiguration[]
---@field routes? luabox.sys.Route[]

---A whole namespace in one batch.
---
---    sys.net.configure {
---      links = { { name = "eth0", addresses = { "10.9.8.2/24" } } },
---      routes = { { to = "default", via = "10.9.8.1" } },
---    }
---@param configuration luabox.sys.NetConfiguration
function sys.net.configure(configuration) end

---@class luabox.sys.ForwardingOptions
---@field family? "ip"|"ip6"

---@param options? luabox.sys.ForwardingOptions
---@return boolean
function sys.net.forwarding(options) end

---@param on boolean
---@param options? luabox.sys.ForwardingOptions
function sys.net.set_forwarding(on, options) end

---@class luabox.sys.PublishOptions
---@field protocol? "tcp"|"udp"
---@field host_port integer
---@field guest_port integer
---@field host_address? string
---@field guest_address string

---@class luabox.sys.EgressOptions
---@field to? string  "10.0.0.0/8"; any address unless said otherwise
---@field protocol? "tcp"|"udp"
---@field first_port? integer  any port unless said otherwise
---@field last_port? integer  with first_port, which it is unless said otherwise

---@class luabox.sys.FirewallOptions
---@field name string  "luabox-..."
---@field interface string
---@field addresses? string[]
---@field masquerade? boolean
---@field publish? luabox.sys.PublishOptions[]
---@field loopback? boolean
---@field inbound? "none"|"routed"
---@field isolate? boolean
---@field networks? string[]  of a bridge: what lies behind the interface
---@field shared? boolean  the interface is a bridge with a table of its own: this one has the rest
---@field port? string  with `shared`: the container's port of the bridge, closed to what is under another's address
---@field mac? string  with `port`: the container's
---@field egress? luabox.sys.EgressOptions[]  what it may begin connections to, and nothing else

---An nftables table of its own, in one transaction.
---@param options luabox.sys.FirewallOptions
function sys.net.firewall(options) end

---@class luabox.sys.RemoveFirewallOptions
---@field interface? string  only a table that was made for this one: the container of another luabox may have one of that name

---@param name string
---@param options? luabox.sys.RemoveFirewallOptions
function sys.net.remove_firewall(name, options) end

--- luabox's tables here; with `name`, that one where it is there.
---@param name? string
---@return string[]
function sys.net.firewalls(name) end

---@class luabox.sys.HostPort
---@field protocol? "tcp"|"udp"
---@field port integer
---@field address string  "0.0.0.0" and "::" are every address of that family

---@class luabox.sys.HeldPort
local HeldPort = {}

function HeldPort:release() end

---@class luabox.sys.PortUser
---@field address string
---@field pid? integer  nil where its process is not to be seen
---@field program string

---Holds a port of this host's until it is released or this process ends: nobody else gets it, and nothing arrives there. nil where it is somebody's,
---a listening program's or another holder's. A lasting choice between several at once is the kernel's.
---@param port luabox.sys.HostPort
---@return luabox.sys.HeldPort?
function sys.net.hold_port(port) end

---Whose socket stands in the way of holding the port; nil where none is to be seen. Slow: it looks through all processes.
---@param port luabox.sys.HostPort
---@return luabox.sys.PortUser?
function sys.net.user_of_port(port) end

---@class luabox.sys.Prefix
---@field address string
---@field length integer
---@field network string
---@field family string

---@param text string
---@return luabox.sys.Prefix
function sys.net.prefix(text) end

---A token bucket as the interface's queue: what it sends is shaped to so many bits per second, 8000 to 10^12. tc-tbf(8).
---@param name string
---@param bits integer
function sys.net.limit_rate(name, bits) end

---Bits per second, 0 where the interface has no token bucket.
---@param name string
---@return integer
function sys.net.rate(name) end

---The network's address with `number` added; nil where that lies outside of it.
---@param prefix string
---@param number integer
---@return string?
function sys.net.host(prefix, number) end

---@param prefix string
---@param address string
---@return boolean
function sys.net.contains(prefix, address) end

-- ---- security

---@class luabox.sys.security
sys.security = {}

---@return string[]
function sys.security.default_capabilities() end

---@param names string[]
---@return string[]
function sys.security.capability_names(names) end

---@return integer
function sys.security.last_capability() end

---@class luabox.sys.CapabilitySets
---@field effective? string[]
---@field permitted? string[]
---@field inheritable? string[]
---@field bounding? string[]
---@field ambient? string[]

---@return luabox.sys.CapabilitySets
function sys.security.capabilities() end

---@param sets luabox.sys.CapabilitySets
function sys.security.set_capabilities(sets) end

---For good.
---@param names string[]
function sys.security.limit_bounding(names) end

---What a user who is granted these holds; read back.
---@param uid integer
---@param granted string[]
---@param ambient? string[]
function sys.security.apply(uid, granted, ambient) end

---    local filter = sys.security.filter "default"
---@param spec luabox.SeccompOptions|"default"|"strict"
---@return luabox.sys.Filter
function sys.security.filter(spec) end

---Compiles and loads.
---@param spec luabox.SeccompOptions|"default"|"strict"
function sys.security.seccomp(spec) end

---The default filter for who has these.
---@param capabilities string[]
---@return luabox.sys.Filter
function sys.security.profile_for(capabilities) end

---@param spec luabox.SeccompOptions|"default"|"strict"
---@return string[] lines
function sys.security.describe(spec) end

---The name of a system call, as the kernel's log has it in numbers.
---@param architecture integer  AUDIT_ARCH_*: 3221225534 is x86_64
---@param number integer
---@return string name  the number where no name is known
function sys.security.call_name(architecture, number) end

---All of the kernel's log that is still there.
---@return string? text  nil for who may not read it (kernel.dmesg_restrict)
function sys.security.kernel_log() end

function sys.security.no_new_privs() end

---@param name? string
---@return integer? serial  nil where the kernel has no keyrings
function sys.security.session_keyring(name) end

---@param how "yes"|"no"
function sys.security.dumpable(how) end

---@param signal luabox.sys.Signal
function sys.security.parent_death_signal(signal) end

---@param how "yes"|"no"
function sys.security.child_subreaper(how) end

---@return string? name  "apparmor", "selinux"
function sys.security.lsm() end

---Of the next exec.
---@param label string
---@param lsm? "apparmor"|"selinux"
function sys.security.exec_label(label, lsm) end

---A compiled filter for system calls.
---@class luabox.sys.Filter
local Filter = {}

---@class luabox.sys.LoadOptions
---@field log? boolean

---@param options? luabox.sys.LoadOptions
function Filter:load(options) end

---@return integer  instructions
function Filter:size() end

-- ---- users

---@class luabox.sys.user
sys.user = {}

---@class luabox.sys.MapOptions
---@field uid? string[]  "0 100000 65536": inside, outside, count
---@field gid? string[]
---@field setgroups? "allow"|"deny"

---    sys.user.write_id_maps(child, { uid = { "0 100000 65536" }, gid = { "0 100000 65536" } })
---@param process luabox.sys.ProcessId
---@param maps luabox.sys.MapOptions
function sys.user.write_id_maps(process, maps) end

---@class luabox.sys.Ids
---@field uid? integer
---@field gid? integer
---@field groups? integer[]
---@field keep_groups? boolean  setgroups is known to be denied: nothing is asked; without groups
---@field keep_capabilities? boolean

---    sys.user.set_ids { uid = 1000, gid = 1000 }
---@param ids luabox.sys.Ids
function sys.user.set_ids(ids) end

---Those of /etc/subuid and /etc/subgid.
---@param user string
---@return table  uid, gid: lists of { first =, count = }
function sys.user.subids(user) end

---@param passwd string  the text of a passwd file
---@param group string
---@param who string  "name", "name:group", "1000:1000"
---@return table  uid, gid, groups, name, home, shell
function sys.user.lookup(passwd, group, who) end

---@class luabox.sys.RlimitOptions
---@field soft? number|"unlimited"
---@field hard? number|"unlimited"

---@param name string  "nofile"
---@param limit? luabox.sys.RlimitOptions
---@return luabox.sys.RlimitOptions old
function sys.user.rlimit(name, limit) end

---@param n integer
function sys.user.nice(n) end

---@param n integer
function sys.user.oom_score_adj(n) end

---@param mode luabox.sys.Mode|integer
---@return integer old
function sys.user.umask(mode) end

---@param words string  "linux32 no_randomize"
function sys.user.personality(words) end

---@class luabox.sys.Scheduling
---@field policy "normal"|"batch"|"idle"|"fifo"|"round_robin"
---@field priority? integer

---@param options luabox.sys.Scheduling
function sys.user.scheduling(options) end

---@param cpus integer[]
function sys.user.affinity(cpus) end

---@class luabox.sys.IoPriority
---@field class "none"|"realtime"|"best_effort"|"idle"
---@field level? integer  0 to 7

---@param options luabox.sys.IoPriority
function sys.user.io_priority(options) end

-- ---- terminals

---@class luabox.sys.terminal
sys.terminal = {}

---@param root? luabox.sys.Root  whose /dev/pts; else this namespace's
---@return luabox.sys.Descriptor master
---@return luabox.sys.Descriptor slave
function sys.terminal.open(root) end

---@class luabox.sys.UseOptions
---@field all? boolean

---In the place of those of descriptors 0 to 2 that are terminals, or of all.
---@param slave luabox.sys.Descriptor
---@param options? luabox.sys.UseOptions
function sys.terminal.use(slave, options) end

---@param slave luabox.sys.Descriptor
---@param uid integer
---@param gid integer
function sys.terminal.set_owner(slave, uid, gid) end

---@class luabox.sys.WindowSize
---@field rows integer
---@field columns integer

---@param fd integer
---@return luabox.sys.WindowSize?
function sys.terminal.size(fd) end

---@param fd integer
---@param size luabox.sys.WindowSize
function sys.terminal.set_size(fd, size) end

---Holds signals back, to be passed on.
---@return luabox.sys.Signals
function sys.terminal.forward_signals() end

---Passes signals and terminal bytes on until all have ended.
---@param processes luabox.sys.Process[]
---@param signals luabox.sys.Signals
---@param master? integer  the number of a pty's master
---@param seconds? number  at most that long
---@return boolean ended  whether all have
function sys.terminal.supervise(processes, signals, master, seconds) end

---From now on an interrupt is an error in the Lua code that runs, not the end. Compiled loops don't see it: jit.off() first.
---The newest is told; when it goes (interrupts:release()) the one before it is told again.
---@param seconds? integer  in which the Lua code has to answer, or the signal ends luabox all the same
---@return luabox.sys.Interrupts
function sys.terminal.interrupts(seconds) end

---Calls f with what follows. An interrupt waits until it has ended, up to the third; the script's own debug.sethook waits, too.
---@param f function
---@param ... any
---@return any ...  what f returns
function sys.terminal.undisturbed(f, ...) end

---string.find, that an interrupt ends (EINTR): the prompt's string functions stand on it.
---@param text string
---@param pattern string
---@param init? integer
---@param plain? boolean
---@return integer|false|nil from  nil where nothing matches; false for a pattern that is wrong
---@return integer|string to  or what is wrong
---@return string|integer ...  captures
function sys.terminal.find(text, pattern, init, plain) end

---A line editor on descriptors 0 and 1.
---@return luabox.sys.Editor
function sys.terminal.editor() end

---@class luabox.sys.Signals
local Signals = {}

---Takes back what is pending.
---@return boolean  true when one of INT, TERM, HUP, QUIT was
function Signals:pending() end

---They are no longer held back. Uses it up.
function Signals:release() end

---@class luabox.sys.Interrupts
local Interrupts = {}

---@return string? signal  "INT", "TERM" or "HUP": what came since the last time
function Interrupts:clear() end

---From now on nothing comes of them, for an undoing that is not to be cut short.
function Interrupts:ignore() end

---Signals end luabox again. Uses it up.
function Interrupts:release() end

---@class luabox.sys.Editor
local Editor = {}

---@param prompt string
---@param complete? fun(before: string): integer, string[]  where the word starts, and what may stand there
---@return string? line  nil at the end of the input and when a signal came
function Editor:read(prompt, complete) end

---@param line string
function Editor:remember(line) end

-- ---- archives, files, JSON, the log

---@class luabox.sys.archive
sys.archive = {}

---@class luabox.sys.ImportOptions
---@field devices? "keep"|"skip"|"refuse"  device nodes in it
---@field owner? "keep"|"own"  the archive's owners, or who imports owns all
---@field max_bytes? integer  of the unpacked archive
---@field sync? boolean  true: it is on the disk when this returns
---@field signals? luabox.sys.Signals  one that asks to end ends the import
---@field progress? fun(progress: luabox.sys.ImportProgress)  called each 256 KiB; what it raises ends the import

---@class luabox.sys.ImportProgress
---@field members integer
---@field bytes integer  unpacked
---@field read integer  of the archive
---@field total integer  its size; 0 where nobody knows

---@class luabox.sys.ImportResult
---@field members integer
---@field bytes integer  unpacked
---@field read integer  of the archive
---@field compression string  "none", "gzip", "bzip2", "xz" or "zstd"
---@field format string  "GNU tar format"
---@field skipped luabox.sys.ImportSkipped

---@class luabox.sys.ImportSkipped
---@field devices integer
---@field sockets integer
---@field xattrs integer

---@param source string  "-" is standard input
---@param directory string
---@param options? luabox.sys.ImportOptions
---@return luabox.sys.ImportResult
function sys.archive.import(source, directory, options) end

---Follows paths by their string: for folders that are trusted.
---@class luabox.sys.file
sys.file = {}

---    local text = sys.file.read "/etc/hostname"
---@param path string
---@return string
function sys.file.read(path) end

---@class luabox.sys.WriteOptions
---@field mode? integer  up to 4095 (07777)
---@field create? boolean  the file must not exist yet

---Written whole: under another name, then renamed.
---
---    sys.file.write("/tmp/note", "text", { mode = 384 })
---@param path string
---@param text string
---@param options? luabox.sys.WriteOptions
function sys.file.write(path, text, options) end

---Adds to the end of a file that is there, in one write.
---@param path string
---@param text string
function sys.file.append(path, text) end

---@class luabox.sys.WriteFileOptions
---@field wait? boolean  false: EAGAIN where a process has a lease on the file (fcntl(2)), instead of 45 seconds for it to be given up

---One write to a control file.
---@param path string
---@param text string
---@param options? luabox.sys.WriteFileOptions
function sys.file.set(path, text, options) end

---@class luabox.sys.ListOptions
---@field limit? integer

---@param path string
---@param options? luabox.sys.ListOptions
---@return string[] names  none where there is no folder
function sys.file.list(path, options) end

---@param path string
---@return string? kind  "directory", "file", ...
function sys.file.kind(path) end

---@param path string
---@return string  without symlinks
function sys.file.absolute(path) end

---@param path string
---@return string  "device-inode"
function sys.file.identity(path) end

---@class luabox.sys.TrustedRead
---@field owner? "root"|"caller"  "caller" unless said otherwise

--- The text of a file, up to 1 MiB, where nobody but its owner can have written it: the file and each folder on its way, symlinks resolved, belong to root,
--- or to who runs luabox, and others can't write to them. nil where there is none; raises EPERM with what somebody else could have written.
---@param path string
---@param options? luabox.sys.TrustedRead
---@return string?
function sys.file.read_trusted(path, options) end

--- Of the name itself.
---@param path string
---@return table?  kind, uid, gid, mode, size
function sys.file.status(path) end

---@param path string
---@return table?  type, major, minor, mode
function sys.file.device(path) end

---@param fd integer
---@return boolean
function sys.file.is_terminal(fd) end

---@class luabox.sys.FileMode
---@field mode? integer  up to 4095 (07777)

---Raises EEXIST.
---@param path string
---@param options? luabox.sys.FileMode
function sys.file.make_directory(path, options) end

---@param path string
---@param options? luabox.sys.FileMode
function sys.file.make_directories(path, options) end

---@param prefix string
---@return string path
function sys.file.temporary(prefix) end

---@class luabox.sys.RenameOptions
---@field replace? "no"|"yes"|"exchange"

---@param from string
---@param to string
---@param options? luabox.sys.RenameOptions
function sys.file.rename(from, to, options) end

---@param path string
---@return boolean there  whether there was one
function sys.file.remove(path) end

---@class luabox.sys.LockOptions
---@field shared? boolean
---@field wait? boolean
---@field create? boolean  a file that is missing, as 0600; true unless it says no

---flock(2) on a file or a folder. nil where another holds it and this one does not wait, or where there is nothing and nothing is made.
---
---    local lock = sys.file.lock("/tmp/folder", { wait = true })
---@param path string
---@param options? luabox.sys.LockOptions
---@return luabox.sys.Lock?
function sys.file.lock(path, options) end

---@class luabox.sys.Lock
local Lock = {}

---"device-inode" of what is locked, as sys.file.identity gives it, whatever its path leads to by now.
---@return string
function Lock:identity() end

---Uses it up.
function Lock:release() end

---@class luabox.sys.json
sys.json = {}

---@class luabox.sys.EncodeOptions
---@field indent? integer  blanks of a level, 0 to 16; without it all is one line

---@param value any  an empty table is a list
---@param options? luabox.sys.EncodeOptions
---@return string
function sys.json.encode(value, options) end

---@param text string
---@return any
function sys.json.decode(text) end

---@class luabox.sys.log
sys.log = {}

---@class luabox.sys.LogOptions
---@field verbose? boolean
---@field file? string
---@field format? "text"|"json"

---@param options luabox.sys.LogOptions
function sys.log.set_up(options) end

---@param text string
function sys.log.error(text) end

---@param text string
function sys.log.warning(text) end

---@param text string
function sys.log.info(text) end

---With -v alone.
---@param text string
function sys.log.detail(text) end

---Told with -v alone.
---@param text string
function sys.log.detail(text) end

return sys
