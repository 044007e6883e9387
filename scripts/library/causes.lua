-- causes.lua: why something failed, as far as that can be told from the error and the host, and what to do.
--
-- A cause matches an error by `op` (exact, or a list), `code`, `path` and `message` (patterns) and `when` (a function of the error); all that
-- are given must hold. The last one added that matches is told, so a site's own come before these. Loaded only when an error is told.
local sys = require "luabox.sys"

local causes = { list = {} }

---@class luabox.Cause
---@field op? string|string[]
---@field code? string|string[]          "EPERM"
---@field path? string                   a pattern for the object
---@field message? string                a pattern for the sentence
---@field when? fun(problem): any        what else must hold
---@field cause string|fun(problem): string
---@field remedy string
---@field from? string                   "file:line" of one that a site or a user has added

--- causes.add { op = "exec", code = "ENOENT", cause = "...", remedy = "..." }
function causes.add(cause)
  if type(cause) ~= "table" or not cause.cause or not cause.remedy then error("causes.add: expected a table with 'cause' and 'remedy'", 2) end
  local frame = debug.getinfo(2, "Sl")
  if frame and frame.source:sub(1, 8) ~= "@luabox:" then cause.from = ("%s:%d"):format(frame.source:gsub("^@", ""), frame.currentline) end
  causes.list[#causes.list + 1] = cause
end
local add = causes.add

-- ---- what the host says

local function text_of(path)
  local ok, text = pcall(sys.file.read, path)
  return ok and text or ""
end

--- In a user namespace other than the first, or of a container that has one.
local function in_user_namespace(problem)
  return problem.users or require("luabox.users").in_namespace()
end

local function lacks(capability)
  return function()
    local ok, sets = pcall(sys.security.capabilities)
    for _, name in ipairs(ok and sets.effective or {}) do
      if name == capability then return false end
    end
    return true
  end
end

local function not_root() return sys.uid() ~= 0 end

--- A filter on luabox itself: of the container, service or sandbox that it runs in.
local function filtered() return text_of("/proc/self/status"):match "Seccomp:%s*2" ~= nil end

--- It has the power: what refuses then is no missing privilege.
local function filtered_though_root(problem)
  return filtered() and not in_user_namespace(problem) and not lacks "sys_admin" ()
end

--- What a security module lets luabox itself do is written in a profile: its name, nil where it is not confined.
local function own_profile()
  local label = text_of("/proc/self/attr/current"):match "^[^%z\n]*"
  local name, mode = label:match "^(.-) %((%a+)%)$"
  return mode == "enforce" and name or nil
end

-- ---- the most general first: what is added later is asked first

add { code = "EPERM", when = not_root, cause = "it takes a privilege that an ordinary user does not have",
  remedy = "run luabox as root, or give the container a user namespace: users = \"auto\"" }
add { code = "EPERM", when = in_user_namespace, cause = "root in a user namespace has no power over what is not the namespace's own",
  remedy = "leave this out, or run without `users`" }
add { code = "EACCES", when = not_root, cause = "this user may not reach it",
  remedy = "check the owner and the mode of each folder on the way (namei -l PATH), or run as root" }
add { code = "EROFS", cause = "it lies on a file system that is mounted read-only",
  remedy = "mount a tmpfs or a bind there, or leave out readonly = true" }
add { code = "ENOSPC", cause = "the file system is full, or a tmpfs has reached its size",
  remedy = "look with df and df -i; give a tmpfs a greater size or more inodes" }
add { code = "EFBIG", cause = "luabox may write no file of that size", remedy = "look with ulimit -f; raise it: ulimit -f unlimited" }
add { code = "EDQUOT", cause = "a quota is used up", remedy = "look with quota, or `cat /proc/key-users` where it is about keys" }
add { code = "EMFILE", cause = "luabox has as many descriptors open as its limit allows", remedy = "raise it: ulimit -n" }
add { code = "EMFILE", when = function(problem) return problem.own_nofile end,
  cause = "the container may have fewer descriptors open than its start takes", remedy = "raise rlimits = { nofile = ... }: some twenty are needed" }
add { code = "ENFILE", cause = "the host has as many files open as it can", remedy = "raise the sysctl fs.file-max" }
add { code = "ENOMEM", cause = "there is no memory left, on the host or in the cgroup", remedy = "raise the memory limit of the cgroup" }
add { code = "ENAMETOOLONG", cause = "a name of a path has more than 255 bytes, or the path more than 4095", remedy = "use a shorter one" }
add { code = "ELOOP", cause = "the path leads through a symlink that is not followed: one that leads back to itself, or out of the root",
  remedy = "name the place that it leads to" }
add { code = "ENOSYS", cause = "this kernel does not have the system call", remedy = "luabox needs Linux 5.12 or newer" }

-- ---- exec

add { op = "exec", code = "ENOENT", cause = "there is no such file in the container's root",
  remedy = "look what the image has: luabox run SCRIPT -- ls -l /bin" }
add { op = "exec", code = "ENOENT", message = "not found in PATH", cause = "no folder of the container's PATH has a program of this name",
  remedy = "name it by its whole path, or set env = { PATH = ... }" }
add { op = "exec", code = "ENOENT", path = "^[^/]+%s", message = "not found in PATH", cause = "the first word of the command has a blank in it",
  remedy = "write each word for itself, { \"ls\", \"-l\" }, or { \"/bin/sh\", \"-c\", \"ls -l\" } for a line of a shell" }
add { op = "exec", message = "its interpreter", code = "ENOENT", cause = "the script's first line names an interpreter that the image does not have",
  remedy = "install it in the image, or change the script's first line" }
add { op = "exec", message = "its loader", code = "ENOENT",
  cause = "the program needs a dynamic loader that the image does not have: it was built for another C library (glibc, musl) or another system",
  remedy = "use one that is built for this image, or a static one" }
add { op = "exec", code = "ENOEXEC", cause = "the kernel does not know the program's format",
  remedy = "look at it with file(1); a script needs a first line such as #!/bin/sh" }
add { op = "exec", code = "ENOEXEC", message = "neither an ELF", cause = "it is a script without a first line that names its interpreter",
  remedy = "begin it with #!/bin/sh, or run { \"/bin/sh\", \"SCRIPT\" }" }
add { op = "exec", code = "ENOEXEC", message = "it is a program for", cause = "the program was built for another processor",
  remedy = "use an image for this one (uname -m), or install qemu-user-static" }
add { op = "exec", code = "ELOOP", message = "a script too",
  cause = "the interpreter in the script's first line is a script too, whose interpreter is one, more than Linux follows, or in a circle",
  remedy = "name a program as the interpreter, such as #!/bin/sh" }
add { op = "exec", code = "EACCES", cause = "it is a folder, or not executable for the user that the command runs as, or lies on a noexec mount",
  remedy = "chmod +x it in the image, or give the mount noexec = false" }
add { op = "exec", message = "carriage return", cause = "the script was written on Windows: its lines end in CR LF",
  remedy = "dos2unix FILE, or sed -i 's/\\r$//' FILE" }
add { op = "exec", code = "ETXTBSY", cause = "the program's file is still open for writing", remedy = "close it before the start" }
add { op = "exec", code = "E2BIG", cause = "arguments and environment together are too large, or one of them has more than 128 KiB",
  remedy = "pass large values in a file" }
add { op = "exec", code = "EPERM", message = "file capabilities beyond",
  cause = "the image gives the program capabilities, with which alone the kernel executes it, and the container may not have them",
  remedy = "capabilities = { add = { ... } }, or take them from the file: setcap -r FILE" }
add { op = "exec", code = { "EPERM", "ENOSYS" }, when = function(problem) return problem.own_filter end,
  cause = "the container's own system call filter refuses the execve: it is loaded before it",
  remedy = "allow execve in seccomp, and what else an exec needs; luabox explain --seccomp shows the filter" }

-- ---- processes and namespaces

local NAMESPACE_FILE = "^/proc/[^/]+/ns/"

add { op = { "clone", "unshare" }, code = "EPERM", when = not_root, cause = "an ordinary user may make these namespaces only inside a user namespace",
  remedy = "give the container a user namespace: users = \"auto\"" }
add { op = { "clone", "unshare" }, code = "EPERM", path = "user",
  cause = "user namespaces are not allowed here: by a sysctl, a security module, or because luabox runs in a chroot",
  remedy = "look at the sysctls kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns" }
add { op = { "clone", "unshare" }, code = { "ENOSPC", "EUSERS" },
  cause = "there are as many namespaces of this kind as a sysctl below user. allows, or they are nested too deeply",
  remedy = "raise it: sysctl user.max_user_namespaces, user.max_net_namespaces, ..." }
add { op = "clone", code = "EAGAIN", cause = "no more processes are allowed: by a pids cgroup, by ulimit -u, or by kernel.pid_max",
  remedy = "raise pids in the cgroup, or ulimit -u; look at pids.events" }
add { op = "clone", code = "ENOMEM", cause = "there is no memory for another process, or the pid namespace's init has ended", remedy = "free some" }
add { op = { "setns", "open" }, path = NAMESPACE_FILE, code = { "EPERM", "EACCES" },
  cause = "joining a namespace takes CAP_SYS_ADMIN in the user namespace that owns it",
  remedy = "run luabox as the user who made it, or as root" }
add { op = "open", path = NAMESPACE_FILE, code = "ENOENT", cause = "the process of that namespace has ended", remedy = "look with lsns" }
add { op = "pidfd_open", code = "ESRCH", cause = "the process has ended", remedy = "look with ps, or lsns for namespaces" }
add { op = { "sethostname", "setdomainname" }, code = "EPERM", cause = "the name belongs to a uts namespace that is not the container's own",
  remedy = "leave hostname out, or namespaces.uts = \"new\"" }

-- ---- ids and capabilities

add { op = { "setgroups", "setresuid", "setresgid" }, code = "EINVAL",
  cause = "the id has no number in the container's user namespace", remedy = "map it: users = { uid = \"0 100000 65536\" }" }
add { op = "write", path = "[ug]id_map", code = "EPERM",
  cause = "an ordinary user may map only the own id, and the ranges of /etc/subuid and /etc/subgid by newuidmap",
  remedy = "install uidmap and add a range to both files: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER" }
add { op = "prlimit", code = "EPERM", cause = "only CAP_SYS_RESOURCE may raise a hard limit",
  remedy = "ask for no more than luabox itself has (ulimit -H -a)" }
add { op = { "capset", "apply" }, code = "EPERM",
  cause = "luabox does not hold a capability that the container is to have", remedy = "leave it out of capabilities.add, or start luabox with it" }
add { op = "prctl", path = "bounding set", code = "EPERM", cause = "taking capabilities away for good takes CAP_SETPCAP",
  remedy = "start luabox as root, or in a user namespace" }
add { op = "exec_label", message = "AppArmor", cause = "this kernel has no AppArmor, or not this profile",
  remedy = "load the profile (apparmor_parser), or leave out apparmor = ..." }

add { op = "seccomp", code = "ENOMEM", cause = "the filters of one process may have 32768 instructions together",
  remedy = "load fewer, or smaller ones" }
add { op = "seccomp", code = "EACCES", cause = "a filter can be loaded only after no_new_privs, or with CAP_SYS_ADMIN",
  remedy = "call sys.security.no_new_privs() before" }

-- ---- mounts

add { op = "open_tree", code = "ENOENT", cause = "what is to be bound is not there",
  remedy = "make it before, or correct the source; a relative one starts at the script's folder" }
add { op = "fsopen", code = "ENODEV", cause = "this kernel has no such file system, or its module is not loaded",
  remedy = "modprobe it; cat /proc/filesystems lists those that are there" }
add { op = { "fsopen", "fsconfig", "fsmount" }, code = "EPERM", when = in_user_namespace,
  cause = "this file system can't be mounted in a user namespace", remedy = "bind the folder of the host's instead" }
add { op = { "fsconfig", "fsmount" }, path = "^proc", code = "EPERM", when = in_user_namespace,
  cause = "mount too revealing: parts of the /proc here are covered, and a new one would show them; or the pid namespace is not its own",
  remedy = "uncover them, or bind the host's /proc: bind { \"/proc\", \"/proc\" } without the default mounts" }
add { op = { "fsopen", "fsconfig", "fsmount" }, path = "^sysfs", code = "EPERM", when = in_user_namespace,
  cause = "a new /sys takes a network namespace that the user namespace owns, and parts of the host's must not be covered",
  remedy = "network = \"none\" or veth { ... } instead of \"host\"" }
add { op = "fsconfig", path = "^overlay", code = { "EINVAL", "ENOTSUP", "EOPNOTSUPP" },
  cause = "upper and work must lie on one file system that overlay can use as its top layer: not on another overlay, nor on NFS, vfat or a FUSE",
  remedy = "put them on a tmpfs, ext4, xfs or btrfs: LUABOX_IMAGES moves the layers" }
add { op = "fsopen", path = "^overlay", code = "ENODEV", cause = "this kernel has no overlay file system", remedy = "modprobe overlay" }
add { op = { "fsopen", "fsconfig" }, path = "^overlay", code = "EPERM",
  cause = "overlay takes root, if only root of a user namespace, and there Linux 5.11 and userxattr",
  remedy = "run luabox as root, or unshare a user namespace before; or use directory without overlay" }
add { op = "pivot_root", code = { "EINVAL", "EBUSY" }, cause = "the new root must be a mount point of its own, on a private mount",
  remedy = "bind it onto itself before: sys.mount.bind(path, path)" }
add { op = "umount", code = "EBUSY", cause = "a process has its working directory or an open file there",
  remedy = "find it with fuser -m, or use { detach = true }" }
add { op = "umount", code = "EINVAL", cause = "nothing is mounted there, or it is locked by a user namespace", remedy = "look with findmnt" }
add { op = "move_mount", code = { "ENOTDIR", "EISDIR" }, cause = "a folder can only be mounted on a folder, and a file on a file",
  remedy = "name a target of the same kind" }
add { op = "mknod", code = "EPERM", when = in_user_namespace, cause = "devices can't be made in a user namespace",
  remedy = "bind the host's: bind { \"/dev/fuse\", \"/dev/fuse\" }" }

add { message = "has had the folder .* locked", cause = "whoever may read a folder can lock it (flock), and a start waits for who has it alone",
  remedy = "lslocks, or fuser -v FOLDER, shows who; take from others the right to read it: chmod 711 FOLDER" }

-- ---- cgroups

local CGROUP = "^/sys/fs/cgroup/"

add { op = "write", path = CGROUP, code = { "EINVAL", "ERANGE" }, cause = "the kernel does not take this value for this key",
  remedy = "compare it with what is in force above: a cpuset or limit lies within that of the cgroup above" }
add { op = "write", path = CGROUP, code = "EBUSY", cause = "the cgroup already uses more than the limit, or has processes where only cgroups may be",
  remedy = "set the limit before anything runs in it" }
add { op = "cgroup key", code = "EOPNOTSUPP", cause = "no cgroup hierarchy that is mounted here has the controller of this key",
  remedy = "cat /proc/cgroups lists the kernel's; on version 2 see cgroup.controllers and cgroup.subtree_control of each folder above" }
add { op = { "mkdir", "open", "write", "enable cgroup controller" }, path = CGROUP, code = { "EACCES", "EPERM", "EROFS" },
  cause = "this cgroup was not delegated to this user", remedy = "systemd-run --user --scope -p Delegate=yes luabox ..., or run as root" }
add { message = "too small to start", cause = "setting a container up takes some memory of its own cgroup", remedy = "give it at least 2 MiB" }

-- ---- network

add { op = { "add interface", "add veth" }, code = "EEXIST", cause = "there is an interface of this name",
  remedy = "look with ip link; luabox gc removes what a killed luabox left" }
add { op = { "add interface", "add veth" }, code = "EOPNOTSUPP", cause = "this kernel has no such kind of interface, or its module is not loaded",
  remedy = "modprobe it: veth, bridge, dummy, macvlan" }
add { op = "add address", code = "EEXIST", cause = "the interface has this address already", remedy = "look with ip address" }
add { op = "add route", code = "EEXIST", cause = "there is a route to this network already", remedy = "look with ip route" }
add { op = "add route", code = { "ENETUNREACH", "EHOSTUNREACH" }, cause = "the gateway lies in no network that an interface is up in",
  remedy = "give guest and host addresses of one network, or route = false" }
add { op = { "bring up", "bring down", "remove interface", "rename", "set mtu", "set mac", "set master",
  "add address", "move interface" }, code = "ENODEV",
  cause = "there is no interface of this name", remedy = "look with ip link" }
add { op = { "add interface", "add veth", "bring up", "add address", "add route", "add firewall", "remove interface" }, code = "EPERM",
  when = lacks "net_admin",
  cause = "changing a network takes CAP_NET_ADMIN in the user namespace that owns it",
  remedy = "run as root, or in a network namespace of the container's own" }
add { op = "add firewall", code = "EEXIST", cause = "there is a table of this name",
  remedy = "look with nft list tables; luabox gc removes what a killed luabox left" }
add { op = "add firewall", code = { "ENOENT", "EOPNOTSUPP", "EPROTONOSUPPORT" }, cause = "this kernel lacks a part of nftables",
  remedy = "modprobe nf_tables nft_masq nft_nat nft_ct" }
add { op = "socket", code = { "EAFNOSUPPORT", "EPROTONOSUPPORT" },
  cause = "this kernel, or a filter that luabox runs under, has no netlink of this kind", remedy = "modprobe nf_tables" }
add { message = "the address .* is in use", cause = "another container or interface has this address",
  remedy = "luabox list shows the containers, ip address the rest; take another, or luabox gc" }
add { message = "the port .* is in use on this host", cause = "a program of the host's listens there, or a container of another luabox",
  remedy = "ss -tulpn shows who has which port; publish another one, or end the program" }
add { message = "the port .* is published by the container", cause = "another container that runs has this port of the host's",
  remedy = "luabox list shows it; publish another port, or on another address: \"10.0.0.5:8080:80\"" }
add { op = "hold port", code = "EADDRNOTAVAIL", cause = "a port is published on an address of this host, and no interface has that one",
  remedy = "look with ip address; \"8080:80\" publishes on all that there are" }
add { op = "hold port", code = "EACCES", cause = "the ports below the sysctl net.ipv4.ip_unprivileged_port_start are root's",
  remedy = "publish one from 1024 on, such as \"8080:80\", or lower the sysctl" }
add { message = "is already in use by a container", cause = "a container of this name runs",
  remedy = "luabox list shows it; take another name, or leave it out" }

-- ---- a filter on luabox itself: where it has the power, something else refuses

add { code = { "EPERM", "ENOSYS" }, when = filtered_though_root,
  cause = function(problem) return ("luabox runs under a system call filter (Seccomp: 2), which refuses '%s'"):format(problem.op or "it") end,
  remedy = "allow it in the profile of the container or service that luabox runs in: --security-opt seccomp=, SystemCallFilter=" }

add { op = "clone", code = "ENOSYS", when = filtered, cause = "luabox runs in a container, or a service, whose system call filter hides 'clone3'",
  remedy = "run it outside of that, or give it --security-opt seccomp=unconfined and CAP_SYS_ADMIN, as docker run --privileged does" }

add { code = { "EPERM", "EACCES" }, when = function(problem) return problem.op ~= "exec" and own_profile() end,
  cause = function() return ("luabox runs under the security module's profile '%s', which may refuse it"):format(own_profile() or "NAME") end,
  remedy = "look for DENIED in the kernel's log (journalctl -k), and allow it in the profile" }

add { op = "seccomp", message = "system call filter refused",
  cause = function(problem)
    return ("the container's filter (seccomp) ends the program that calls '%s': the signal is SIGSYS, the status 159"):format(problem.path or "it")
  end,
  remedy = "allow it by name, as in seccomp = { extend = { allow = { \"mkdir\" } } }; luabox run --seccomp tells each call that is refused" }

-- ---- telling

local function one_of(wanted, value)
  if wanted == nil then return true end
  if type(wanted) == "string" then return wanted == value end
  for _, each in ipairs(wanted) do
    if each == value then return true end
  end
  return false
end

local function matches(cause, problem)
  return one_of(cause.op, problem.op) and one_of(cause.code, problem.code)
    and (not cause.path or (problem.path or ""):find(cause.path) ~= nil)
    and (not cause.message or (problem.message or ""):find(cause.message) ~= nil)
    and (not cause.when or cause.when(problem))
end

local SITE = "/etc/luabox/causes.lua"

--- Under policies, and where privileges were gained, a user's own file is not looked at.
local function user_file()
  if sys.policy.active() then return nil end
  local config = os.getenv "XDG_CONFIG_HOME" or (os.getenv "HOME" and os.getenv "HOME" .. "/.config")
  return config and config .. "/luabox/causes.lua" or nil
end

local function load_file(file, owner)
  local ok, problem = pcall(function()
    local text = sys.file.read_trusted(file, { owner = owner })
    if text then assert(loadstring(text, "@" .. file))(causes) end
  end)
  return not ok and ("%s is passed over: %s"):format(file, tostring(problem)) or nil
end

--- A site's own, and a user's, which is left alone under policies: files that call causes.add. One that somebody else could have written, or
--- that fails, is passed over; returns a sentence for each of these.
---@return string[]
function causes.load_site()
  local own, warnings = not sys.policy.active() and user_file(), {}
  warnings[1] = load_file(SITE, "root")
  warnings[#warnings + 1] = own and load_file(own, "caller") or nil
  return warnings
end

--- The cause of `problem` and what to do, nil where none is known.
---@return string? cause, string? remedy
function causes.find(problem)
  for i = #causes.list, 1, -1 do
    local cause = causes.list[i]
    local ok, found = pcall(matches, cause, problem)
    if ok and found then return causes.text(cause, problem), cause.remedy end
  end
end

--- What `cause` says of `problem`.
function causes.text(cause, problem)
  return type(cause.cause) == "function" and cause.cause(problem) or cause.cause
end

-- ---- looking it up

local function words_of(value)
  if type(value) == "table" then return table.concat(value, " ") end
  return value or ""
end

--- All that a cause says, for a search.
local function whole_text(cause)
  local parts = { words_of(cause.op), words_of(cause.code), cause.path or "", cause.message or "", causes.text(cause, {}), cause.remedy }
  return table.concat(parts, " "):lower()
end

--- The causes that could be meant, the most particular first. `wanted` has `code` ("EPERM"), `op` and `text` (any part of what a cause says),
--- each or none; beside a code, a cause that says nothing of an op is meant by every one.
---@param wanted { code?: string, op?: string, text?: string }
---@return luabox.Cause[]
function causes.search(wanted)
  local found = {}
  for i = #causes.list, 1, -1 do
    local cause = causes.list[i]
    local holds = (not wanted.code or cause.code ~= nil and one_of(cause.code, wanted.code))
      and (not wanted.op or one_of(cause.op, wanted.op) and (cause.op or wanted.code) ~= nil)
    if holds and wanted.text then holds = whole_text(cause):find(wanted.text:lower(), 1, true) ~= nil end
    if holds then found[#found + 1] = cause end
  end
  return found
end

--- Whether some cause is about the step `op`.
function causes.knows_op(op)
  for _, cause in ipairs(causes.list) do
    if cause.op and one_of(cause.op, op) then return true end
  end
  return false
end

return causes
