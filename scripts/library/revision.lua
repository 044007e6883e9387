-- revision.lua: a container as a site's rules changed it, made into what a script could have written: short forms are written out, each part
-- is checked as a script's is, and what was only told to the rules is left out.
local errors = require "luabox.errors"
local mounts = require "luabox.mounts"
local rootfs = require "luabox.rootfs"

local revision = {}

-- What a request says beyond container { ... }, or under another name.
local OUTSIDE = { "image", "privileged", "steps", "running", "time", "caller", "script", "pid", "ambient" }
local FACTS = { "device", "inode", "owner", "directory", "type", "where" }

--- The named fields of `value` without `more` and the facts.
local function fields_of(value, more)
  local fields = {}
  for key, each in pairs(value) do
    if type(key) == "string" then fields[key] = each end
  end
  for _, key in ipairs(FACTS) do fields[key] = nil end
  for _, key in ipairs(more) do fields[key] = nil end
  return fields
end

local function kind_of(value, what)
  if type(value) ~= "table" then errors.raise("%s: expected a table, got %s", what, type(value)) end
  local kind, other = value.kind or value.type, value.type or value.kind
  if kind ~= other then errors.raise("%s: 'kind' is '%s' and 'type' is '%s'", what, tostring(kind), tostring(other)) end
  return kind
end

local NETWORKS = {
  veth = function(value) return require("luabox.network").veth(fields_of(value, { "kind" })) end,
  bridge = function(value)
    local fields = fields_of(value, { "kind", "bridge", "name" })
    fields.interface = fields.interface or value.name
    fields[1] = value.bridge
    return require("luabox.bridge").new(fields)
  end,
  pasta = function(value) return require("luabox.pasta").new(fields_of(value, { "kind" })) end,
}

--- { kind = "veth", egress = { "10.0.0.0/8:443" }, ... }, or a word; `before` is what the script wrote.
function revision.network(value, before)
  if value == "host" or value == "none" or value == nil then return value end
  local make = NETWORKS[kind_of(value, "network") or ""]
  if not make then errors.raise("network: expected the kind 'veth', 'bridge' or 'pasta', got '%s'", tostring(value.kind or value.type)) end
  local made = make(value)
  made.where = type(before) == "table" and before.where or nil
  return made
end

local MOUNTS = { bind = true, proc = true, sysfs = true, tmpfs = true, dev = true, devpts = true, mqueue = true, overlay = true, cgroupfs = true }

--- { type = "tmpfs", target = "/tmp", size = "64MiB" }. Paths of a rule's own have no folder to begin at.
function revision.mount(value, lines)
  local kind = kind_of(value, "mounts")
  if not MOUNTS[kind or ""] then errors.raise("mounts: there is no mount of the kind '%s'", tostring(kind)) end
  local fields = fields_of(value, { "kind", "source", "target" })
  for _, path in ipairs { value.source or "/", fields.upper or "/", fields.work or "/", unpack(fields.lower or {}) } do
    if type(path) ~= "string" or path:sub(1, 1) ~= "/" then errors.raise("mounts: %s: '%s' is no absolute path", kind, tostring(path)) end
  end
  if kind == "bind" then fields[1], fields[2] = value.source, value.target else fields[1] = value.target end
  local made = mounts[kind](fields)
  made.where = lines[made.target]
  return made
end

function revision.rootfs(value, before)
  if type(value) == "string" then value = { kind = "directory", path = value } end
  local kind = kind_of(value, "rootfs")
  local fields = fields_of(value, { "kind", "name", "path" })
  if kind == "image" then
    if value.path ~= nil and value.path ~= before.path then errors.raise "rootfs: an image has no path; write kind = \"directory\"" end
    fields[1] = value.name
  else
    fields[1] = value.path
  end
  if kind ~= "image" and kind ~= "directory" then errors.raise("rootfs: expected the kind 'directory' or 'image', got '%s'", tostring(kind)) end
  local made = rootfs[kind](fields)
  made.where = before.where
  return made
end

--- A list of names, what it gets; or as a script may write it: "none", "all", { add =, drop = }.
local function capabilities(value, ambient)
  if type(value) ~= "table" or value.add or value.drop or value.only then return value end
  return { only = value, ambient = ambient }
end

--- The table for container { ... } that the changed request stands for. `told` is the request as the rules got it.
---@param this luabox.Container  as the script wrote it
function revision.config(changed, told, this)
  local config, lines = this.config, {}
  for _, mount in ipairs(this.all_mounts) do lines[mount.target] = mount.where end
  local result = {}
  for key, value in pairs(changed) do result[key] = value end
  for _, key in ipairs(OUTSIDE) do result[key] = nil end
  if changed.user == told.user then result.user = config.user end
  result.capabilities = capabilities(changed.capabilities, changed.ambient)
  if type(changed.cgroup) ~= "table" then errors.raise("cgroup: expected a table, got %s", type(changed.cgroup)) end
  if changed.cgroup.pids == nil then result.cgroup.pids = "max" end
  if type(changed.namespaces) ~= "table" then errors.raise("namespaces: expected a table, got %s", type(changed.namespaces)) end
  result.namespaces.user = nil
  if changed.network == "host" and changed.namespaces.net ~= "host" then result.network = nil end
  if type(changed.network) == "table" and changed.namespaces.net == "host" then result.namespaces.net = "new" end
  result.network = revision.network(result.network, config.network)
  result.rootfs = revision.rootfs(changed.rootfs, { path = told.rootfs.path, where = config.rootfs.where })
  if type(changed.mounts) ~= "table" then errors.raise("mounts: expected a list, got %s", type(changed.mounts)) end
  result.mounts = {}
  for i, mount in ipairs(changed.mounts) do result.mounts[i] = revision.mount(mount, lines) end
  result.devices = {}
  for i, device in ipairs(changed.devices or {}) do
    result.devices[i] = type(device) == "table" and { path = device.path, name = device.name, access = device.access } or device
  end
  result.default_mounts = false  -- they are all in the list
  return result
end

return revision
