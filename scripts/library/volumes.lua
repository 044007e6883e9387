-- volumes.lua: folders of the host's that are shared more closely than a plain bind is: with other owners, or with what is mounted later.
--
-- Both are made on the host: the container may lack the power over the file system, and has left the host's peer groups when it mounts.
-- What is made is a detached tree, whose descriptor the container inherits. An ordinary user has no power on the host: his are made in the
-- container, first of all. See mount_setattr(2), mount_namespaces(7).
local sys = require "luabox.sys"
local errors = require "luabox.errors"

local volumes = {}

local function numbers(line)
  local first, second, count = line:match "^%s*(%d+)%s+(%d+)%s+(%d+)%s*$"
  return tonumber(first), tonumber(second), tonumber(count)
end

--- `line`, "on the disk, in the container, how many", with the host's ids in the place of the container's.
local function outside(line, map)
  local disk, inside, count = numbers(line)
  if not map then return line end
  for _, each in ipairs(map) do
    local first, host, size = numbers(each)
    if first and inside >= first and inside + count <= first + size then
      return ("%.0f %.0f %.0f"):format(disk, host + inside - first, count)
    end
  end
  errors.raise("the ids of the idmap's line '%s' are not in one line of the container's users", line)
end

--- The maps of a user namespace that has the ids on the disk inside and the host's ids outside.
local function maps(mount, users)
  if mount.idmap == true then return { uid = users.uid, gid = users.gid or users.uid } end
  local wanted, result = { uid = mount.idmap.uid, gid = mount.idmap.gid or mount.idmap.uid }, { uid = {}, gid = {} }
  for kind, lines in pairs(wanted) do
    for i, line in ipairs(lines) do result[kind][i] = outside(line, users and (users[kind] or users.uid)) end
  end
  return result
end

--- A descriptor of a user namespace with these maps: that of a process which is never let go.
function volumes.namespace_with(map)
  local holder = sys.clone({ namespaces = "user" }, function() sys.exit(0) end)
  local ok, result = errors.try(function()
    sys.user.write_id_maps(holder, map)
    return sys.namespace(holder, "user")
  end)
  holder:kill "KILL"
  holder:wait()
  if not ok then error(result, 0) end
  return result
end

--- Whether the mount on which `path` lies is in a peer group, or follows one.
local function is_shared(path)
  local descriptor = sys.mount.root("/"):open(sys.file.absolute(path))
  local id = sys.file.read("/proc/self/fdinfo/" .. descriptor:number()):match "mnt_id:%s*(%d+)"
  descriptor:close()
  for line in sys.file.read("/proc/self/mountinfo"):gmatch "[^\n]+" do
    if line:match "^(%d+)" == id then
      local tags = line:match "^(.-) %- "
      return tags:find(" shared:", 1, true) ~= nil or tags:find(" master:", 1, true) ~= nil
    end
  end
  return false
end

--- What can be said of the mount before anything is made.
function volumes.check(mount, config)
  if mount.idmap and sys.uid() ~= 0 then errors.raise "an idmap takes root's power over the file system; this is an ordinary user" end
  if mount.idmap == true and not config.users then
    errors.raise "idmap = true means the ids of the container's user namespace, and it has none; expected idmap = { uid = \"1000 0 1\" }"
  end
  if type(mount.idmap) == "table" and not mount.idmap.uid then errors.raise "idmap: expected the field 'uid'" end
  if mount.propagation == "shared" and config.users then
    errors.raise "a container with a user namespace can't have a shared mount; propagation = \"slave\" shows it what the host mounts"
  end
end

--- The detached tree of the mount, copied from `source`: the mount's own, or what leads to the one that was checked.
function volumes.tree(mount, config, source)
  local propagated = mount.propagation and mount.propagation ~= "private"
  if propagated and not is_shared(mount.source) then
    errors.raise("%s lies on a mount that is private, so nothing can propagate; 'mount --make-shared' on it changes that", mount.source)
  end
  local tree = sys.mount.copy_of(source, { recursive = mount.recursive ~= false })
  if propagated then tree:propagation(mount.propagation) else tree:propagation "private" end
  if mount.idmap then tree:idmap(volumes.namespace_with(maps(mount, config.users))) end
  return tree
end

return volumes
