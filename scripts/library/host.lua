-- host.lua: what this host offers for containers, found by trying it in a child that is thrown away.
local sys = require "luabox.sys"
local errors = require "luabox.errors"

local host = {}

local NOBODY = 65534

--- Calls `body` in a child, as root or as an ordinary user (this one, or nobody where this is root). Returns whether it went well, and why not.
local function try(as_user, body)
  local process = sys.clone({}, function(parent)
    if as_user and sys.uid() == 0 then sys.user.set_ids { uid = NOBODY, gid = NOBODY, groups = {} } end
    local ok, problem = errors.try(body)
    parent:send(ok and "yes" or "no: " .. problem.message)
    sys.exit(0)
  end)
  process:go()
  errors.try(process.settle, process)  -- that it ended without an exec is no error here
  local text = process:message() or "no: the process died"
  return text == "yes", text:match "^no: (.*)$"
end

--- Calls `body` in a child of this process, root of new namespaces of an ordinary user's.
local function in_namespaces(words, body)
  local process = sys.clone({ namespaces = "user " .. words }, function(parent)
    sys.user.set_ids { uid = 0, gid = 0, groups = {}, keep_capabilities = true }
    local ok, problem = errors.try(body)
    parent:send(ok and "yes" or problem.message)
    sys.exit(0)
  end)
  sys.user.write_id_maps(process:pid(), { uid = { ("0 %d 1"):format(sys.uid()) }, gid = { ("0 %d 1"):format(sys.gid()) }, setgroups = "deny" })
  process:go()
  errors.try(process.settle, process)
  local text = process:message() or "the process died"
  if text ~= "yes" then errors.raise("%s", text) end
end

--- In new namespaces, whatever it takes for whom: `body` has power over them.
local function unshared(as_user, words, body)
  return try(as_user, function()
    if as_user then return in_namespaces(words, body) end
    sys.unshare(words)
    body()
  end)
end

local function nothing() end

-- ---- the probes; each returns a list of { group, name, root, user, detail, todo }

local probes = {}

local TODO_NAMESPACE = "a kernel with CONFIG_%s_NS"
local TODO_USERNS = "let ordinary users make user namespaces: sysctl user.max_user_namespaces above 0; kernel.unprivileged_userns_clone=1 and "
  .. "kernel.apparmor_restrict_unprivileged_userns=0 where there are such"

function probes.namespaces(root)
  local list = {}
  for _, kind in ipairs { "user", "mnt", "uts", "ipc", "pid", "net", "cgroup", "time" } do
    local each = { name = kind, todo = kind == "user" and TODO_USERNS or TODO_NAMESPACE:format(kind:upper()) }
    if root then each.root, each.detail = try(false, function() sys.unshare(kind) end) end
    local why
    if kind == "user" then
      each.user, why = try(true, function() in_namespaces("", nothing) end)
    else
      each.user, why = try(true, function() in_namespaces(kind, nothing) end)
    end
    each.detail = each.detail or why
    list[#list + 1] = each
  end
  return list
end

function probes.cgroups(root) return require("luabox.controllers").probe(root) end

--- Calls `body` with a folder of its own on a tmpfs.
local function with_folders(body)
  return function()
    sys.mount.propagation("/", "private")
    sys.mount.make_tmpfs({ mode = "755" }):attach_at "/tmp"
    for _, name in ipairs { "lower", "upper", "work" } do sys.file.make_directory("/tmp/" .. name) end
    body()
  end
end

local function overlay(userxattr)
  return with_folders(function()
    sys.mount.make_overlay({ lower = { "/tmp/lower" }, upper = "/tmp/upper", work = "/tmp/work", userxattr = userxattr }):attach_at "/tmp/lower"
    sys.file.write("/tmp/lower/file", "")
  end)
end

probes["file systems"] = function(root)
  local over = { name = "overlay", todo = "modprobe overlay; for ordinary users Linux 5.11 (userxattr)" }
  if root then over.root, over.detail = unshared(false, "mount", overlay(false)) end
  local why
  over.user, why = unshared(true, "mount", overlay(true))
  over.detail = over.detail or why
  local list = { over }
  if root then
    local mapped = { name = "idmapped mounts", todo = "Linux 5.12, and a file system that takes part (ext4, xfs, btrfs; tmpfs since 6.3)" }
    mapped.root, mapped.detail = unshared(false, "mount", function()
      local holder = sys.clone({ namespaces = "user" }, nothing)
      sys.user.write_id_maps(holder:pid(), { uid = { "0 100000 1" }, gid = { "0 100000 1" } })
      sys.mount.copy_of("/usr", { recursive = false }):idmap(sys.namespace(holder, "user"))
    end)
    list[2] = mapped
  end
  return list
end

local function read(path)
  local ok, text = pcall(sys.file.read, path)
  return ok and (text:gsub("%s+$", "")) or nil
end

function probes.security(root)
  local seccomp = { name = "seccomp", todo = "a kernel with CONFIG_SECCOMP_FILTER" }
  local function load()
    sys.security.no_new_privs()
    sys.security.profile_for({}):load()
  end
  if root then seccomp.root = try(false, load) end
  seccomp.user, seccomp.detail = try(true, load)
  local actions = read "/proc/sys/kernel/seccomp/actions_avail" or ""
  local notification = actions:find("user_notif", 1, true) ~= nil
  local modules = read "/sys/kernel/security/lsm"
  local lsm = sys.security.lsm()
  return {
    seccomp,
    { name = "seccomp notification", root = notification, user = notification, todo = "Linux 5.0" },
    { name = "security module", root = lsm ~= nil, user = lsm ~= nil, detail = lsm and lsm or modules or "none", optional = true,
      todo = "boot with lsm=...,apparmor for the field 'apparmor'" },
  }
end

--- Ids and helpers are this user's; root needs none.
function probes.ids(root)
  if root then return {} end
  local rootless = require "luabox.rootless"
  local maps, why = rootless.maps()
  local list = {}
  for _, program in ipairs { "newuidmap", "newgidmap" } do
    list[#list + 1] = { name = program, user = sys.find_helper(program) ~= nil, detail = sys.find_helper(program), todo = "apt-get install uidmap" }
  end
  local ranges = { name = "ids in /etc/subuid", user = not why, detail = why or table.concat(maps.uid, ", "), todo = why }
  if not why then
    local ok, problem = errors.try(rootless.inside, function() return "yes" end)
    if not ok then ranges.user, ranges.detail, ranges.todo = false, problem.message, "see newuidmap(1)" end
  end
  list[#list + 1] = ranges
  return list
end

function probes.network(root)
  local nft = { name = "nftables", todo = "modprobe nf_tables" }
  local function ask() sys.net.firewalls() end
  if root then nft.root, nft.detail = unshared(false, "net", ask) end
  local why
  nft.user, why = unshared(true, "net", ask)
  nft.detail = nft.detail or why
  local veth = { name = "veth", todo = "modprobe veth; as an ordinary user pasta takes its place", user = false }
  if root then veth.root, veth.detail = unshared(false, "net", function() sys.net.add { kind = "veth", name = "lbprobe0", peer = "lbprobe1" } end) end
  local pasta = { name = "pasta" }
  pasta.user, pasta.detail = require("luabox.pasta").available()
  pasta.todo = pasta.detail
  return { veth, nft, pasta }
end

local ORDER = { "namespaces", "cgroups", "file systems", "security", "ids", "network" }

---@class luabox.HostCheck
---@field group string
---@field name string
---@field root? boolean   nil where it was not tried: only root can
---@field user? boolean   nil where it is no matter of the user's
---@field detail? string
---@field todo? string    where one of the two is false: what would change that
---@field commands? string[]  and as lines for root's shell; where a line has $PID, it is one of the shell that starts luabox
---@field optional? boolean

--- What this host offers. Nothing of the host is changed.
---@return { kernel: string, uid: integer, sysctls: table<string, string>, checks: luabox.HostCheck[] }
function host.check()
  local root = sys.uid() == 0
  local result = { kernel = read "/proc/sys/kernel/osrelease", uid = sys.uid(), sysctls = {}, checks = {} }
  for _, name in ipairs { "user/max_user_namespaces", "kernel/unprivileged_userns_clone", "kernel/apparmor_restrict_unprivileged_userns" } do
    result.sysctls[(name:gsub("/", "."))] = read("/proc/sys/" .. name)
  end
  for _, group in ipairs(ORDER) do
    for _, each in ipairs(probes[group](root)) do
      each.group = group
      if each.root ~= false and each.user ~= false then each.todo, each.commands = nil, nil end
      result.checks[#result.checks + 1] = each
    end
  end
  return result
end

return host
