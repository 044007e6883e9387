-- rootfs.lua: the container's "/": a folder or an image, what is mounted in it, and the way in (pivot_root).
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local mounts = require "luabox.mounts"
local schema = require "luabox.schema"
local shared_lock = require "luabox.shared_lock"
local state = require "luabox.state"

local rootfs = {}

rootfs.OF_THE_HOST = "the host's own \"/\" can't be a container's; bind what it needs of it below a folder"

local FIELDS = { readonly = schema.boolean, overlay = schema.boolean, persist = schema.path, devices = schema.boolean,
  layers = schema.list(schema.path) }

local function value(kind, argument)
  local where = errors.users_line(3, kind) or "luabox"
  if type(argument) == "string" then argument = { argument } end
  if type(argument) ~= "table" or not schema.path(argument[1]) or #argument ~= 1 then
    local what = kind == "image" and "a name, such as image \"golang\"" or "a folder, such as directory \"./rootfs\""
    errors.raise_at(where, "%s: expected %s", kind, what)
  end
  local made = schema.check(argument, FIELDS, { what = kind, where = where })
  made.kind, made.where = kind, where
  for _, field in ipairs { "persist", "layers" } do
    if made.overlay == false and made[field] then errors.raise_at(where, "%s: '%s' takes an overlay, and overlay is false", kind, field) end
  end
  for i, layer in ipairs(made.layers or {}) do made.layers[i] = mounts.resolve(layer, where) end
  return made, argument[1]
end

--- image "golang": an imported image; the container's own changes go with it, unless persist = "folder".
function rootfs.image(argument, ...)
  schema.alone("image", "{ \"golang\", readonly = true }", ...)
  local made, name = value("image", argument)
  made.name = name
  return made
end

--- directory { "./rootfs", layers = { "./app" } }: read-only layers on top of it, the first the topmost, below an overlay.
--- directory { "./rootfs", readonly = true }: a folder, read-write as it is, read-only, or below an overlay of the container's own.
function rootfs.directory(argument, ...)
  schema.alone("directory", "{ \"./rootfs\", readonly = true }", ...)
  local made, path = value("directory", argument)
  made.path = mounts.resolve(path, made.where)
  return made
end

--- The check for container.rootfs; a plain string is a folder.
function rootfs.check(given)
  if schema.path(given) then return { kind = "directory", path = given } end
  if type(given) == "table" and (given.kind == "image" or given.kind == "directory") then return given end
  return nil, "a folder, directory { ... } or image \"name\""
end

-- ---- the overlay's own layer

local function layer(this)
  local root = this.config.rootfs
  if root.persist then
    local folder = mounts.resolve(root.persist, root.where)
    return { path = folder, kept = true }
  end
  local images = require "luabox.images"
  -- Of this start alone: after a power failure no record tells of the one that a container of this name had.
  local folder = ("%s/.layers/%s-%s"):format(images.folder(), this.name, this.id)
  return { path = folder }
end

local PRIVATE = { mode = 448 }  -- 0700: what is set-uid in a container is nothing for the host's users

--- Two overlays that write to one folder are undefined behaviour, which the kernel only warns of.
local function lock_kept(this, folder)
  local lock = sys.file.lock(folder)
  if lock then return lock end
  errors.raise_at(this.config.rootfs.where or this.where, "another container that runs keeps its changes in %s: persist is one container's at a time",
    this.layer.path)
end

--- Where `path` is or would be, without symlinks, with a "/" behind.
local function place_of(path)
  local missing = ""
  while not sys.file.kind(path .. "/.") do
    local parent, name = path:match "^(.-)/*([^/]+)/*$"
    if not parent then parent, name = "", path end
    path, missing = parent ~= "" and parent or path:sub(1, 1) == "/" and "/" or ".", name .. "/" .. missing
  end
  return (sys.file.absolute(path) .. "/"):gsub("^//$", "/") .. missing
end

--- An overlay that writes into what it lies on is undefined behaviour too.
local function refuse_nested(this)
  local root, kept = this.config.rootfs, place_of(this.layer.path)
  local lowers = { this.rootfs_path }
  for _, path in ipairs(root.layers or {}) do lowers[#lowers + 1] = mounts.resolve(path, root.where) end
  for _, path in ipairs(lowers) do
    local lower = place_of(path)
    local within = lower:sub(1, #kept) == kept and lower:sub(#kept + 1):match "^[^/]*"  -- beside "upper" and "work" it may lie
    if kept:sub(1, #lower) == lower or within == "upper" or within == "work" then
      errors.raise_at(root.where or this.where, "persist = '%s' and %s lie in one another: changes can't be kept in what they are changes of",
        schema.printable(root.persist), schema.printable(path))
    end
  end
end

local function prepare_layer(this)
  if this.layer.kept then refuse_nested(this) end
  if not this.layer.kept then
    this.layer.lock = require("luabox.images").make_layer(this.layer.path)
  else
    sys.file.make_directories(this.layer.path, PRIVATE)
    if this.agreed then require("luabox.policy").made(this, this.layer.path, this.told_persist) end
  end
  local folder = this.layer.kept and mounts.held(this, this.layer.path) or this.layer.path
  if this.layer.kept then this.layer.lock = lock_kept(this, folder) end
  -- The mode of the upper folder is that of "/", whatever umask luabox was started with.
  local topmost = this.config.rootfs.layers and this.config.rootfs.layers[1] or this.rootfs_path
  local root = sys.file.status(mounts.held(this, topmost) .. "/.")
  sys.file.make_directories(folder .. "/upper", { mode = tonumber(root.mode, 8) })
  sys.file.make_directories(folder .. "/work")
end

-- ---- the targets in a user's own folder

--- Is there something at `path`? Once it is `known`, or planned to be made, it isn't asked for again.
local function is_there(root, path, known)
  known[path] = known[path] or root:kind(path, { follow = true }) ~= nil
  return known[path]
end

--- What is to be made for `path`, parents first, but for what is planned already. Nothing where a symlink that leads nowhere or ".." decides:
--- that is noted as it is made.
local function missing(root, path, known)
  local paths = {}
  if root:kind(path, { follow = true }) or path:find "%.%." then return paths end
  for stop in (path .. "/"):gmatch "()/" do
    local prefix = path:sub(1, stop - 1)
    if prefix ~= "" and (prefix == path and not known[path] or prefix ~= path and not is_there(root, prefix, known)) then
      if root:kind(prefix, {}) then return {} end
      paths[#paths + 1] = prefix
    end
  end
  return paths
end

--- Calls `f` with each of the targets that are in the folder itself, and with what follows; an error is told at the line that wants the target.
local function each_target(this, f, ...)
  local before = {}
  for _, target in ipairs(this.targets) do
    local below_another = false  -- that is mounted before it: then it is made in that mount
    for folder in target.path:gmatch "()/" do
      below_another = below_another or before[target.path:sub(1, folder - 1)]
    end
    before[target.path] = true
    if not below_another then
      local ok, problem = errors.try(f, target, ...)
      if not ok then
        problem.where, problem.message = target.where or this.where, target.path .. ": " .. problem.message
        error(problem, 0)
      end
    end
  end
end

--- What is to be made for `target` is expected then, and in the list of `all`.
local function plan_target(target, root, expected, known, all)
  if root:kind(target.path, { follow = not target.no_symlinks }) == target.kind then return end
  expected[target] = missing(root, target.path, known)
  for _, path in ipairs(expected[target]) do known[path], all[#all + 1] = true, path end
end

--- Notes it again as it was made, where a symlink of the folder led elsewhere.
local function make_target(target, root, expected, folder)
  if not expected[target] then return end
  local made = root:ensure_target(target.path, { kind = target.kind, no_symlinks = target.no_symlinks })
  if table.concat(made, "\n") ~= table.concat(expected[target], "\n") then state.note_targets(folder, made) end
end

--- Makes what is missing in a rootfs folder to mount on: it goes with the container. All is noted before any of it is made.
local function make_targets(this)
  local root = sys.mount.root(mounts.held(this, this.rootfs_path))
  local expected, all = {}, {}
  each_target(this, plan_target, root, expected, {}, all)
  if #all > 0 then state.note_targets(this.rootfs_path, all) end
  each_target(this, make_target, root, expected, this.rootfs_path)
end

local function line_of(this) return this.config.rootfs.where or schema.line_of_key(this.where, "rootfs") end

--- The folder by a name that leads to what is mounted on it: "." would go on leading below that.
local function folder_of(root) return root.path:find "[^./]" and root.path or sys.file.absolute(root.path) end

local PATIENCE = 10  -- seconds

--- Shared with the containers that run on the folder. Who removes mount targets has it alone, for milliseconds; but whoever may read the folder can
--- lock it for as long as he likes.
local function lock_folder(this, path)
  local last = sys.monotonic() + PATIENCE
  while true do
    local lock = shared_lock.take(path)
    if lock then return lock end
    if sys.monotonic() > last then
      errors.raise_at(line_of(this), "another program has had the folder %s locked for %d seconds (flock)", path, PATIENCE)
    end
    sys.sleep(0.005)
  end
end

rootfs.step = { namespaces = "mount", key = "rootfs" }

function rootfs.step.resources(this)
  local root, resources = this.config.rootfs, {}
  if root.kind == "image" then
    local ok, opened = errors.try(require("luabox.images").open, root.name)
    if not ok then errors.raise_at(root.where, "%s", opened.message) end
    this.image, this.rootfs_path = opened, opened.path
  else
    this.rootfs_path = errors.at(line_of(this), folder_of, root)
  end
  for _, path in ipairs { this.rootfs_path, unpack(root.layers or {}) } do
    if errors.at(line_of(this), sys.file.kind, path .. "/.") ~= "directory" then
      errors.raise_at(line_of(this), "no folder %s", schema.printable(path))
    end
  end
  local real = root.kind ~= "image" and sys.file.absolute(this.rootfs_path)
  if real == "/" then
    errors.raise_at(line_of(this), "%s", rootfs.OF_THE_HOST)
  end
  if root.kind == "image" or root.overlay or root.persist or root.layers then
    this.layer = layer(this)
    if not this.layer.kept then resources[1] = { kind = "folder", path = this.layer.path } end
  else
    this.rootfs_lock = lock_folder(this, this.rootfs_path)
    resources[1] = state.targets(real)
  end
  return resources
end

function rootfs.step.prepare(this)
  if this.layer then prepare_layer(this) else make_targets(this) end
  if sys.uid() == 0 then mounts.prepare(this) end
  local config = this.config
  if config.auto_users or config.users and this.layer and sys.uid() == 0 then require("luabox.idranges").prepare_root(this) end
end

function rootfs.step.undo(this)
  if this.image then this.image.lock:release() end
  if this.rootfs_lock then this.rootfs_lock:release() end
  if this.layer and this.layer.lock then
    this.layer.lock:release()
    this.layer.lock = nil
  end
  this.image, this.rootfs_lock, this.mapped = nil, nil, nil
  mounts.release(this)
end

--- A file system that can't hold the container's changes (an overlay itself, NFS) is named by who chose it.
local function overlay_of(this, options)
  local ok, result = errors.try(sys.mount.make_overlay, options)
  if ok then return result end
  if result.message:find("as upperdir", 1, true) then
    local chosen = this.layer.kept and "persist elsewhere" or "LUABOX_IMAGES to a folder elsewhere"
    result.message = ("the file system of %s can't hold an overlay's changes: set %s, on ext4, xfs, btrfs or tmpfs"):format(this.layer.path, chosen)
  end
  error(result, 0)
end

--- The tree that becomes "/", with its flags, attached where this namespace alone sees it.
local function attach_root(this)
  local root, place = this.config.rootfs, this.rootfs_path
  local tree
  if this.mapped then
    tree, place = require("luabox.idranges").root_tree(this)
  elseif this.layer then
    local lower = {}
    for i, path in ipairs(root.layers or {}) do lower[i] = mounts.held(this, path) end
    lower[#lower + 1] = mounts.held(this, this.rootfs_path)
    local folder = this.layer.kept and mounts.held(this, this.layer.path) or this.layer.path
    tree = overlay_of(this, { lower = lower, upper = folder .. "/upper", work = folder .. "/work", userxattr = this.in_users })
    if this.image then this.image:confirm() end
  else
    tree = sys.mount.copy_of(mounts.held(this, this.rootfs_path), { recursive = true })
  end
  -- Device nodes of an image are no way to the host's devices, unless a devices cgroup decides which.
  tree:restrict_to { nodev = not (root.devices or this.device_rules) }
  local held = this.agreed and tree:root()  -- the path may lead elsewhere by then
  tree:attach_at(this.mapped and place or mounts.held(this, place))
  return held or sys.mount.root(place)
end

function rootfs.step.enter(this)
  if not this.volumes then mounts.prepare(this) end  -- an ordinary user is root here alone; what is mounted on the host still comes through
  sys.mount.propagation("/", "private")
  this.root = attach_root(this)
  for _, mount in ipairs(this.all_mounts) do mounts.attach(mount, this) end
end

-- ---- last: closing it, and going in

rootfs.closing = { namespaces = "mount", key = false }

rootfs.masking = { namespaces = "mount", key = false }

-- What would do it.
local INSTEAD = { masked = "", readonly_paths = " (write readonly = true of the rootfs, as in directory { \"./root\", readonly = true })" }

--- The check for the lists of such paths. What leads to "/" in the image is refused at the start.
function rootfs.check_covered(field)
  local list = schema.list(schema.absolute)
  return function(paths, path)
    local checked, expected, complete = list(paths, path)
    for _, each in ipairs(checked or {}) do
      if not each:find "[^/.]" and not each:find "%.%.%." then
        return nil, ("paths below '/'; '%s' is the root file system itself%s"):format(each, INSTEAD[field]), true
      end
    end
    return checked, expected, complete
  end
end

--- An error about the script's own paths carries their line.
local function cover(this, field, cover_paths, default)
  local own = this.config[field]
  if not own then return cover_paths(this.root, mounts.everywhere(this, default)) end
  local ok, problem = errors.try(cover_paths, this.root, own)
  if ok then return end
  problem.where = schema.line_of_key(this.where, field)
  local itself = problem.message:find("is the root itself", 1, true)
  problem.message = ("container.%s: %s%s"):format(field, problem.message, itself and INSTEAD[field] or "")
  error(problem, 0)
end

function rootfs.masking.enter(this)
  cover(this, "masked", sys.mount.mask, mounts.MASKED)
  cover(this, "readonly_paths", sys.mount.make_read_only, mounts.READ_ONLY)
end

function rootfs.closing.enter(this)
  if not this.narrow then rootfs.masking.enter(this) end
  sys.mount.pivot_root(this.root)
  if this.config.rootfs.readonly then sys.mount.remount("/", { read_only = true, recursive = false }) end
end

return rootfs
