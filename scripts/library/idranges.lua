-- idranges.lua: users = "auto": a range of the host's ids that no other container has; and root file systems that are seen through a container's ids.
--
-- STATE/.ids/FIRST says that a range is taken, and by which container; it appears whole (rename) or not at all. Nothing is changed on the disk: files
-- keep their owners, and the container sees them through idmapped mounts (mount_setattr(2), since Linux 5.12; as layers of an overlay 5.19).
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local mounts = require "luabox.mounts"
local schema = require "luabox.schema"
local state = require "luabox.state"

local idranges = {}

local COUNT = 65536
-- Above what useradd and systemd-nspawn give out, below 2^31, from where on some programs fail.
local DEFAULT = { first = 1879048192, count = 4096 * COUNT }
local TRIES = 64

local function folder() return state.folder() .. "/.ids" end

--- Every range that /etc/subuid or /etc/subgid grants: { name, first, count }.
local function granted()
  local list = {}
  for _, path in ipairs { "/etc/subuid", "/etc/subgid" } do
    local ok, text = pcall(sys.file.read, path)
    for name, first, count in (ok and text or ""):gmatch "([^:\n]+):(%d+):(%d+)" do
      list[#list + 1] = { path = path, name = name, first = tonumber(first), count = tonumber(count) }
    end
  end
  return list
end

--- Where ranges may lie: what both files grant to "luabox", or else the default, without what anybody was granted.
local function pool()
  local all, given, others = granted(), {}, {}
  for _, each in ipairs(all) do
    if each.name ~= "luabox" then others[#others + 1] = each end
    if each.name == "luabox" and each.path == "/etc/subuid" then
      for _, gids in ipairs(all) do
        local same = gids.first == each.first and gids.count == each.count
        if gids.name == "luabox" and gids.path == "/etc/subgid" and same then given[#given + 1] = each end
      end
    end
  end
  if #given > 0 then return given, {} end
  return { DEFAULT }, others
end

local function overlaps(first, ranges)
  for _, each in ipairs(ranges) do
    if first < each.first + each.count and each.first < first + COUNT then return true end
  end
  return false
end

--- The resource that stands for the range of a container to come.
function idranges.resource(this) return { kind = "ids", name = this.name } end

local function unfinished(name) return ("%s/new-%s"):format(folder(), name) end

--- Gives back what the container `name` has, and what a luabox left that was killed while it took it.
function idranges.release(name)
  local path = folder()
  sys.file.remove(unfinished(name))
  for _, file in ipairs(sys.file.list(path)) do
    local ok, owner = errors.try(sys.file.read, path .. "/" .. file)
    if not ok and owner.code ~= "ENOENT" then error(owner, 0) end  -- whose it is is not known: the record stays
    if owner == name then sys.file.remove(path .. "/" .. file) end
  end
end

local function take(first, name)
  local new = unfinished(name)
  sys.file.write(new, name, { mode = 384, create = true })
  local ok, problem = errors.try(sys.file.rename, new, ("%s/%.0f"):format(folder(), first), { replace = "no" })
  if ok then return true end
  sys.file.remove(new)
  if problem.code ~= "EEXIST" then error(problem, 0) end
  return false
end

--- Takes a free range for `this`; its record has the resource already. Returns the lines of both maps.
function idranges.take(this)
  sys.file.make_directories(folder(), { mode = 448 })  -- 0700
  local ranges, others = pool()
  local slots = {}
  for _, range in ipairs(ranges) do slots[#slots + 1] = { first = range.first, count = math.floor(range.count / COUNT) } end
  for try = 1, TRIES do
    for _, slot in ipairs(slots) do
      -- At random, and where there are few one after the other.
      local index = slot.count > TRIES and tonumber(sys.random(4), 16) % slot.count or try - 1
      local first = slot.first + index * COUNT
      if index < slot.count and not overlaps(first, others) and take(first, this.name) then
        local line = ("0 %.0f %d"):format(first, COUNT)
        return { uid = { line }, gid = { line } }
      end
    end
  end
  errors.raise_at(schema.line_of_key(this.where, "users"), "users = \"auto\": no range of %d ids is free among those of luabox in /etc/subuid", COUNT)
end

-- ---- the root file system

--- A folder as the container is to see it, not yet attached anywhere; with its owners as they are where there is no `namespace`. Under policies
--- `held` leads to the one that they were told of.
local function mapped(path, namespace, recursive, held)
  local tree = sys.mount.copy_of(held or path, { recursive = recursive })
  tree:propagation "private"  -- else it stays a peer of the host's mount, and what is mounted on it inside comes there too
  if not namespace then return tree end
  local ok, problem = errors.try(tree.idmap, tree, namespace)
  if ok then return tree end
  problem.message = ("users: %s can't be seen through other ids (%s): its file system takes no part in idmapped mounts, "
    .. "which takes Linux 5.12 and ext4, xfs or btrfs; "
    .. "users = { uid = ... } and a folder with such owners, without an overlay, works everywhere"):format(path, problem.message)
  error(problem, 0)
end

--- Makes, on the host, what the root is made of; the container inherits the descriptors: no folder of the host's need be open to its root.
--- A folder with a map that the script wrote has the owners that it is to have; an image and what luabox makes have those that are seen inside.
function idranges.prepare_root(this)
  local config = this.config
  local namespace = require("luabox.volumes").namespace_with { uid = config.users.uid, gid = config.users.gid or config.users.uid }
  local files = (config.auto_users or this.image) and namespace
  this.mapped = { lower = {} }
  for i, path in ipairs { unpack(config.rootfs.layers or {}) } do this.mapped.lower[i] = mapped(path, files, false, mounts.held(this, path)) end
  table.insert(this.mapped.lower, mapped(this.rootfs_path, files, this.layer == nil, mounts.held(this, this.rootfs_path)))
  if this.layer then this.mapped.layer = mapped(this.layer.path, namespace, false, this.layer.kept and mounts.held(this, this.layer.path)) end
  if this.image then this.image:confirm() end
  this.mapped.place = state.folder()
  this.mapped.etc = this.mapped.place .. "/etc"
end

--- The tree that becomes "/", and where it can be attached: no path of the host's need be open to root inside. A tmpfs covers the state then.
function idranges.root_tree(this)
  local from = this.mapped
  sys.mount.make_tmpfs({ size = "64k", mode = "755", nosuid = true, nodev = true }):attach_at(from.place)
  local root, lower = sys.mount.root(from.place), {}
  root:make_directory "/etc"
  root:make_directory "/root"
  if not from.layer then return from.lower[1], from.place .. "/root" end
  for i, tree in ipairs(from.lower) do
    tree:attach(root, "/lower" .. i, { create = "directory" })
    lower[i] = from.place .. "/lower" .. i
  end
  from.layer:attach(root, "/layer", { create = "directory" })
  local layer = from.place .. "/layer"
  local tree = sys.mount.make_overlay { lower = lower, upper = layer .. "/upper", work = layer .. "/work", userxattr = true }
  return tree, from.place .. "/root"
end

return idranges
