-- mounts.lua: what a container sees below its "/", as values, and how each comes there.
--
-- A mount is { kind =, target =, where =, ...options }, made by the constructors below and attached inside, while it is still detached
-- from everything, to a target that is resolved beneath the container's root (DESIGN: paths).
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"

local mounts = {}

local FLAGS = {
  readonly = schema.boolean, nosuid = schema.boolean, nodev = schema.boolean, noexec = schema.boolean,
}

--- The kernel takes 0 as no limit at all.
local function size(value)
  if type(value) == "string" and value:match "^0*[1-9]%d*%%$" then return value end
  local bytes, expected = schema.size(value)
  if bytes == 0 then return nil, "a size above 0" end
  return bytes and ("%.0f"):format(bytes), expected
end

local function inodes(value)
  if schema.integer(value) and value > 0 then return value end
  return nil, "a whole number above 0"
end

local function mode(value)
  if type(value) == "string" and value:match "^[0-7]+$" then return value end
  return nil, "an octal mode such as '1777'"  -- the number 777 would be 01411
end

local function id_lines(value)
  local checked, expected = schema.list(schema.string)(type(value) == "string" and { value } or value, "idmap")
  if expected then return nil, expected end
  for _, line in ipairs(checked) do
    if not line:match "^%d+ %d+ [1-9]%d*$" then return nil, "lines such as '1000 0 1': on the disk, in the container, how many" end
  end
  return checked
end

local HIDEPID = schema.either(schema.word("off", "noaccess", "invisible", "ptraceable"), schema.integer)

local FIELDS = {
  bind = { recursive = schema.boolean, propagation = schema.word("private", "slave", "shared"),
    idmap = schema.either(schema.boolean, schema.fields { uid = id_lines, gid = id_lines }) },
  proc = { hidepid = HIDEPID, subset = schema.word("pid") },
  sysfs = {}, mqueue = {}, dev = {}, cgroupfs = {},
  tmpfs = { size = size, mode = mode, inodes = inodes },
  devpts = { mode = mode, gid = schema.integer },
  overlay = { lower = schema.list(schema.path), upper = schema.path, work = schema.path },
}

--- A path of the script's own: relative ones start at the script's folder.
function mounts.resolve(path, where)
  if path:sub(1, 1) == "/" then return path end
  local folder = where and where:match "^(.*)/[^/]*:%d+$"
  return folder and folder .. "/" .. path or path
end

--- One place has one name: "/proc/" and "//proc" are "/proc".
local function check_target(kind, target, where)
  if not schema.absolute(target) then
    errors.raise_at(where, "%s: expected an absolute path inside the container, got %s", kind, schema.show(target))
  end
  -- What is made for it in a folder is noted by lines.
  if target:find "\n" then errors.raise_at(where, "%s: expected a path without newlines, got %s", kind, schema.show(target)) end
  local names = {}
  for name in target:gmatch "[^/]+" do
    if name ~= "." and not (name == ".." and #names == 0) then names[#names + 1] = name end
  end
  if #names == 0 then errors.raise_at(where, "%s: '%s' is the root file system itself, which 'rootfs' says", kind, target) end
  return "/" .. table.concat(names, "/")
end

local ONE_LOWER = "overlay: without 'upper' and 'work' it takes two folders in 'lower'; one alone is bind { \"%s\", \"%s\", readonly = true }"

local function check_overlay(made, where)
  if #(made.lower or {}) == 0 then errors.raise_at(where, "overlay: expected the field 'lower', a list of folders") end
  if (made.upper == nil) ~= (made.work == nil) then errors.raise_at(where, "overlay: 'upper' and 'work' go together") end
  if not made.upper and #made.lower < 2 then errors.raise_at(where, ONE_LOWER, made.lower[1], made.target) end
end

local EXAMPLES = { bind = "{ \"./data\", \"/data\", readonly = true }", tmpfs = "{ \"/tmp\", size = \"64MiB\" }",
  overlay = "{ \"/data\", lower = { \"./a\", \"./b\" } }" }

--- The constructor of `kind`: proc "/proc" or tmpfs { "/tmp", size = "64MiB" }.
local function constructor(kind)
  local fields = {}
  -- A /dev and a view of the cgroups are what they are: they have no flags of their own.
  for name, check in pairs(kind ~= "dev" and kind ~= "cgroupfs" and FLAGS or {}) do fields[name] = check end
  for name, check in pairs(FIELDS[kind]) do fields[name] = check end
  return function(argument, ...)
    schema.alone(kind, EXAMPLES[kind] or "\"/path\"", ...)
    local where = errors.users_line(2, kind) or "luabox"
    if type(argument) == "string" then argument = { argument } end
    if type(argument) ~= "table" then errors.raise_at(where, "%s: expected a path or a table, got %s", kind, tostring(argument)) end
    local made = schema.check(argument, fields, { what = kind, where = where })
    made.kind, made.where = kind, where
    if kind == "bind" then
      if not schema.path(argument[1]) or #argument ~= 2 then
        errors.raise_at(where, "bind: expected { \"source\", \"target\" }")
      end
      made.source, made.target = mounts.resolve(argument[1], where), check_target(kind, argument[2], where)
    else
      if #argument > 1 then errors.raise_at(where, "%s: expected one path, got %d", kind, #argument) end
      made.target = check_target(kind, argument[1], where)
    end
    if kind == "overlay" then check_overlay(made, where) end
    return made
  end
end

for _, kind in ipairs { "bind", "proc", "sysfs", "tmpfs", "dev", "devpts", "mqueue", "overlay", "cgroupfs" } do
  mounts[kind] = constructor(kind)
end

--- The check for a list of them.
mounts.is_mount = schema.made(
  { bind = true, proc = true, sysfs = true, tmpfs = true, dev = true, devpts = true, mqueue = true, overlay = true, cgroupfs = true },
  "a mount such as bind { \"./data\", \"/data\" } or tmpfs \"/tmp\"")

-- ---- how each is attached; `this` is the running container

local DIRECTORY = { create = "directory" }
local FIXED = { create = "directory", no_symlinks = true }  -- /proc, /sys, /dev: an image that links them elsewhere is refused

--- A flag of a mount with its default.
local function flag(value, default)
  if value == nil then return default end
  return value
end

--- `options` with the mount's own flags, and what the script left open as `defaults` says.
local function with_flags(mount, defaults, options)
  options = options or {}
  options.read_only = flag(mount.readonly, defaults.readonly or false)
  options.nosuid = flag(mount.nosuid, defaults.nosuid ~= false)
  options.nodev = flag(mount.nodev, defaults.nodev ~= false)
  options.noexec = flag(mount.noexec, defaults.noexec or false)
  return options
end

local perform = {}

--- Attaches what the kernel speaks through. Who may write to the folder that is the root could rename the mount point at any time after: what is
--- masked, made read-only and written below it is this tree.
local function attach_fixed(kind, tree, target, this)
  local mounted = tree:root()
  tree:attach(this.root, target, FIXED)
  if kind == "proc" then sys.mount.verify_procfs(this.root, target) end
  this.root:pin(target, mounted)
end

--- Under policies: leads to the file that they were told of, and to nothing else.
function mounts.held(this, path)
  return this.agreed and require("luabox.policy").held(this, path) or path
end

--- An error of it, with the path that was asked for.
function mounts.by_name(this, problem) return this.agreed and require("luabox.policy").by_name(problem) or problem end

--- Devices in a volume are no way around the devices cgroup, and nothing in it is set-uid, unless the script says so.
function perform.bind(mount, this)
  local tree = this.volumes and this.volumes[mount] or sys.mount.copy_of(mounts.held(this, mount.source), { recursive = mount.recursive ~= false })
  tree:restrict_to(with_flags(mount, {}))
  tree:attach(this.root, mount.target, { create = tree:is_directory() and "directory" or "file" })
end

function perform.proc(mount, this)
  local tree = sys.mount.make_proc(with_flags(mount, { noexec = true }, { hidepid = mount.hidepid, subset = mount.subset }))
  attach_fixed("proc", tree, mount.target, this)
end

function perform.sysfs(mount, this)
  if this.config.users and this.namespaces.net ~= "new" then  -- a new sysfs shows a network namespace that must be the user namespace's own
    local tree = sys.mount.copy_of "/sys"
    tree:restrict_to(with_flags(mount, { readonly = true, noexec = true }))
    return attach_fixed("sysfs", tree, mount.target, this)
  end
  attach_fixed("sysfs", sys.mount.make_sysfs(with_flags(mount, { readonly = true, noexec = true })), mount.target, this)
end

function perform.tmpfs(mount, this)
  sys.mount.make_tmpfs(with_flags(mount, {}, { size = mount.size, mode = mount.mode or "1777", inodes = mount.inodes }))
    :attach(this.root, mount.target, DIRECTORY)
end

function perform.mqueue(mount, this)
  sys.mount.make_mqueue(with_flags(mount, { noexec = true })):attach(this.root, mount.target, DIRECTORY)
end

function perform.devpts(mount, this)
  local gid = mount.gid or (not this.in_users and 5 or nil)  -- "tty" everywhere; a small user namespace has no such group
  sys.mount.make_devpts(with_flags(mount, { nodev = false, noexec = true }, { mode = mount.mode or "0620", gid = gid }))
    :attach(this.root, mount.target, DIRECTORY)
end

--- The kernel is given no symlink to write through: what the script's one leads to now is named.
local function writable(path, mount, this)
  path = mounts.resolve(path, mount.where)
  if this.agreed then return mounts.held(this, path) end
  local ok, real = pcall(sys.file.absolute, path)
  return ok and real or path
end

function perform.overlay(mount, this)
  local lower = {}
  for i, path in ipairs(mount.lower or {}) do lower[i] = mounts.held(this, mounts.resolve(path, mount.where)) end
  sys.mount.make_overlay(with_flags(mount, {}, {
    lower = lower, upper = mount.upper and writable(mount.upper, mount, this), work = mount.work and writable(mount.work, mount, this),
    userxattr = this.in_users,
  })):attach(this.root, mount.target, DIRECTORY)
end

-- What every /dev has: the nodes of kernel documentation's admin-guide/devices.rst that hold no power over anything.
local NODES = { null = { 1, 3 }, zero = { 1, 5 }, full = { 1, 7 }, random = { 1, 8 }, urandom = { 1, 9 }, tty = { 5, 0 } }
local LINKS = { fd = "/proc/self/fd", stdin = "/proc/self/fd/0", stdout = "/proc/self/fd/1", stderr = "/proc/self/fd/2", ptmx = "pts/ptmx" }
local FOLDERS = { "pts", "shm", "mqueue" }

--- The part of `name`, a device's below /dev, that is the container's own and can't be another; nil where there is none.
function mounts.own_in_dev(name)
  local first = name:match "^[^/]+"
  for _, folder in ipairs(FOLDERS) do
    if first == folder then return folder end
  end
  return LINKS[first] and first or nil
end

--- The nodes that a script's own devices do not take the place of.
local function default_nodes(this)
  local nodes = {}
  for name, number in pairs(NODES) do nodes[name] = number end
  for _, device in ipairs(this.devices) do nodes[device.name] = nil end
  return nodes
end

--- In a user namespace nodes can't be made: the host's own are bound.
local function bind_nodes(target, this)
  local function bind(source, name)
    sys.mount.copy_of(source, { recursive = false }):attach(this.root, target .. "/" .. name, { create = "file" })
  end
  for name in pairs(default_nodes(this)) do bind("/dev/" .. name, name) end
  for _, device in ipairs(this.devices) do bind(mounts.held(this, device.path), device.name) end
end

function perform.dev(mount, this)
  local tree = sys.mount.make_tmpfs { mode = "755", size = "64k", nosuid = true, nodev = false, noexec = true }
  local root = tree:root()
  if not this.in_users then
    for name, number in pairs(default_nodes(this)) do
      root:mknod(name, { type = "char", major = number[1], minor = number[2], mode = "0666" })
    end
    for _, device in ipairs(this.devices) do
      root:mknod(device.name, { type = device.type, major = device.major, minor = device.minor, mode = device.mode })
    end
  end
  for name, destination in pairs(LINKS) do root:symlink(destination, name) end
  for _, name in ipairs(FOLDERS) do root:make_directory(name) end
  if this.terminal then root:write("console", "") end
  tree:attach(this.root, mount.target, FIXED)
  if this.in_users then bind_nodes(mount.target, this) end
  perform.devpts({ target = mount.target .. "/pts" }, this)
  perform.tmpfs({ target = mount.target .. "/shm", size = "64m", noexec = true }, this)
  perform.mqueue({ target = mount.target .. "/mqueue" }, this)
end

local SEALED = { read_only = true, nosuid = true, nodev = true, noexec = true }

--- The hierarchies in which the container has a cgroup, read-only; the container's own is their root (its cgroup namespace).
function perform.cgroupfs(mount, this)
  local hierarchies = this.group and this.group:hierarchies() or {}
  if #hierarchies == 1 and hierarchies[1].version == 2 then
    sys.mount.make("cgroup2", { flags = SEALED }):attach(this.root, mount.target, DIRECTORY)
    return
  end
  local tree = sys.mount.make_tmpfs { mode = "755", size = "4k", nosuid = true, nodev = true, noexec = true }
  local root = tree:root()
  for _, hierarchy in ipairs(hierarchies) do
    hierarchy.name = hierarchy.mount:match "[^/]+$"
    root:make_directory(hierarchy.name)
  end
  tree:restrict_to(SEALED)
  tree:attach(this.root, mount.target, DIRECTORY)
  for _, hierarchy in ipairs(hierarchies) do
    local v2 = hierarchy.version == 2
    sys.mount.make_cgroup { v2 = v2, controllers = not v2 and hierarchy.controllers or {}, read_only = true }
      :attach(this.root, mount.target .. "/" .. hierarchy.name)
  end
end

--- Attaches `mount`; an error carries the line on which the script wrote it.
function mounts.attach(mount, this)
  errors.site.where, errors.site.key = mount.where or this.where, nil
  local ok, problem = errors.try(perform[mount.kind], mount, this)
  if ok then return end
  mounts.by_name(this, problem)
  problem.where = mount.where or problem.where
  problem.message = ("%s %s: %s"):format(mount.kind, mount.target, problem.message)
  error(problem, 0)
end

--- Whether it is made on the host, before there is a process (volumes.lua).
local function is_volume(mount) return mount.idmap or mount.propagation and mount.propagation ~= "private" end

--- Calls `f` with each mount of that kind; an error carries its line.
local function each_volume(this, f)
  for _, mount in ipairs(this.all_mounts) do
    if is_volume(mount) then
      local ok, problem = errors.try(f, this, mount)
      if not ok then
        problem.where, problem.message = mount.where or problem.where, ("bind %s: %s"):format(mount.target, problem.message)
        error(problem, 0)
      end
    end
  end
end

local function check_volume(this, mount) require("luabox.volumes").check(mount, this.config) end

local function prepare_volume(this, mount)
  this.volumes = this.volumes or {}
  this.volumes[mount] = require("luabox.volumes").tree(mount, this.config, mounts.held(this, mount.source))
end

--- What is wrong with a volume is told before anything is started.
function mounts.check(this) each_volume(this, check_volume) end

function mounts.prepare(this) each_volume(this, prepare_volume) end

--- Lets go of what the host still holds of them: the container's own are gone with its namespace.
function mounts.release(this)
  if not this.volumes then return end
  this.volumes = nil
  collectgarbage()
end

--- What must be there to mount on: { path =, kind = "directory" | "file", no_symlinks =, where = }.
function mounts.target_of(mount)
  local file = mount.kind == "bind" and errors.at(mount.where, sys.file.kind, mount.source .. "/.") ~= "directory"
  local fixed = mount.kind == "proc" or mount.kind == "sysfs" or mount.kind == "dev"
  return { path = mount.target, kind = file and "file" or "directory", no_symlinks = fixed, where = mount.where }
end

-- ---- the defaults of a container

-- As docker's: what tells about, or reaches, the host.
mounts.MASKED = {
  "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
  "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
}
mounts.READ_ONLY = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" }

--- The paths below "/proc" and "/sys" for every place where the container has one of these: a second one is no less the kernel's.
function mounts.everywhere(this, paths)
  local list = { unpack(paths) }
  for _, mount in ipairs(this.all_mounts) do
    local at = mount.kind == "proc" and "/proc" or mount.kind == "sysfs" and "/sys"
    for _, path in ipairs(at and mount.target ~= at and paths or {}) do
      if path:sub(1, #at + 1) == at .. "/" then list[#list + 1] = mount.target .. path:sub(#at + 1) end
    end
  end
  return list
end

local DEFAULTS = { { "proc", "/proc" }, { "sysfs", "/sys" }, { "cgroupfs", "/sys/fs/cgroup" }, { "dev", "/dev" } }

local function put(list, place, mount)
  local at = place[mount.target] or #list + 1
  list[at], place[mount.target] = mount, at
end

--- The default mounts with the script's own in the place of those that have the same target; the others follow in their order.
function mounts.with_defaults(own, defaults)
  local list, place = {}, {}
  for _, default in ipairs(defaults == false and {} or DEFAULTS) do put(list, place, { kind = default[1], target = default[2] }) end
  for _, mount in ipairs(own or {}) do put(list, place, mount) end
  return list
end

return mounts
