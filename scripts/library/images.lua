-- images.lua: imported root file systems, IMAGES/NAME/rootfs with IMAGES/NAME/image.json beside it.
--
-- An image is whole or not there: an import fills IMAGES/.import-X and is renamed into place. It is never changed:
-- containers write to layers of their own. An flock on a folder says that it is in use: shared on IMAGES/NAME by each
-- container, exclusive on .import-X and .removing-X by whoever works on them, so that what a killed luabox left is told
-- from what is at work. IMAGES/.lock is held only while a folder gets its name or its lock. IMAGES is 0700: the setuid
-- files of an image are for its containers, not for the host's users.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"

local images = {}

local PRIVATE = { mode = 448 }  -- 0700
local WORK = { "^%.import%-", "^%.removing%-" }

--- Where images lie: LUABOX_IMAGES, /var/lib/luabox/images for root, $XDG_DATA_HOME/luabox/images for others.
---@return string
function images.folder()
  local folder = os.getenv "LUABOX_IMAGES"
  if folder and folder ~= "" then return folder end
  if sys.uid() == 0 then return "/var/lib/luabox/images" end
  local data, home = os.getenv "XDG_DATA_HOME", os.getenv "HOME"
  if data and data ~= "" then return data .. "/luabox/images" end
  if not home then errors.raise "neither XDG_DATA_HOME nor HOME is set; LUABOX_IMAGES can name a folder for images" end
  return home .. "/.local/share/luabox/images"
end

--- Others who can write there could put a link in the place of a folder that is written to, or removed.
local function check_own() require("luabox.state").check_own(images.folder(), "images") end

local function prepare()
  sys.file.make_directories(images.folder(), PRIVATE)
  check_own()
end

local function with_lock(body)
  local folder = images.folder()
  prepare()
  local lock = sys.file.lock(folder .. "/.lock", { wait = true })
  local ok, result = pcall(body, folder)
  lock:release()
  if not ok then error(result, 0) end
  return result
end

local function is_name(name) return type(name) == "string" and #name <= 128 and name:find "^[a-z0-9][a-z0-9._-]*$" ~= nil end

local function check_name(name)
  if is_name(name) then return name end
  errors.raise("%s is no name for an image: at most 128 of a-z, 0-9, '.', '_' and '-', with a letter or digit first",
    type(name) == "string" and "'" .. name:gsub("%c", "?") .. "'" or tostring(name))
end

local function is_facts(facts)
  return type(facts) == "table" and type(facts.bytes) == "number" and type(facts.source) == "string" and type(facts.created) == "string"
end

--- What is known of an image; nil where nothing is.
local function read_facts(folder, name)
  local path = folder .. "/" .. name .. "/image.json"
  local ok, facts = pcall(sys.json.decode, sys.file.kind(path) == "file" and sys.file.read(path) or "")
  return ok and is_facts(facts) and facts or nil
end

--- The images, by name.
---@return luabox.ImageFacts[]
function images.list()
  local folder, found = images.folder(), {}
  for _, name in ipairs(sys.file.list(folder)) do
    local facts = is_name(name) and read_facts(folder, name)
    if facts then
      facts.name = name
      found[#found + 1] = facts
    end
  end
  return found
end

local function exists(folder, name)
  return sys.file.kind(folder .. "/" .. name .. "/rootfs") == "directory"
end

local IMPORT = "; import one with: luabox image import FILE %s"

--- The folder of an image; raises when there is none, with `advice` behind it.
local function require_image(folder, name, advice)
  if exists(folder, check_name(name)) then return folder .. "/" .. name end
  local names = {}
  for i, image in ipairs(images.list()) do names[i] = image.name end
  errors.raise("no image '%s'%s%s", name, errors.suggestion(name, names), advice and advice:format(name) or "")
end

--- The rootfs of `name`; raises when there is no such image.
---@return string
function images.path(name)
  return require_image(images.folder(), name, IMPORT) .. "/rootfs"
end

local Opened = {}
Opened.__index = Opened

--- Raises where another image has the name by now, which `--replace` put there: a container's files would come from one that nobody's lock keeps.
function Opened:confirm()
  if sys.file.identity(self.folder) == self.identity then return end
  errors.raise("image '%s' was replaced while this container started: start it again", self.name)
end

--- An image for a container: it can't be removed until `lock` is released.
---@return { name: string, folder: string, path: string, identity: string, lock: luabox.SharedLock }
function images.open(name)
  return with_lock(function(folder)
    local path = require_image(folder, name, IMPORT)
    local lock = require("luabox.shared_lock").take(path)
    return setmetatable({ name = name, folder = path, path = path .. "/rootfs", identity = sys.file.identity(path), lock = lock }, Opened)
  end)
end

-- ---- layers: what the containers write, each below IMAGES/.layers

--- Makes the layer `path`. It is a container's for as long as the lock is held.
function images.make_layer(path)
  prepare()
  sys.file.make_directories(path)
  local lock = sys.file.lock(path)
  if lock and sys.file.kind(path) == "directory" then return lock end
  errors.raise("%s was taken away while it was made", path)
end

-- ---- removal

local function remove_tree(path)
  if sys.uid() ~= 0 then return require("luabox.rootless").remove_tree(path) end
  sys.mount.remove_tree(path)
end

local function remove_folder(path, lock)
  remove_tree(path)
  lock:release()
end

--- Removes `name`. Raises when there is no such image, or a container uses it.
function images.remove(name)
  local path, lock
  with_lock(function(folder)
    local image = require_image(folder, name)
    lock = sys.file.lock(image)
    if not lock then errors.raise("image '%s' is in use by a container", name) end
    path = sys.file.temporary(folder .. "/.removing-")
    sys.file.rename(image, path, { replace = "yes" })
  end)
  remove_folder(path, lock)
end

--- Layers of which no record is left to tell, after a power failure: nobody holds them.
local function collect_layers(removed)
  local folder = images.folder() .. "/.layers"
  for _, name in ipairs(sys.file.list(folder)) do
    local path = folder .. "/" .. name
    local lock = sys.file.kind(path) == "directory" and sys.file.lock(path)
    if lock then
      remove_folder(path, lock)
      removed[#removed + 1] = ".layers/" .. name
    end
  end
end

--- Removes what imports, removals and containers left that were killed, and images that were replaced while containers used them.
---@return string[] names  of the folders removed
function images.collect()
  local removed = {}
  check_own()
  for _, name in ipairs(sys.file.list(images.folder())) do
    if name:find(WORK[1]) or name:find(WORK[2]) then
      local path = images.folder() .. "/" .. name
      local lock = with_lock(function() return sys.file.kind(path) and sys.file.lock(path) end)
      if lock then
        remove_folder(path, lock)
        removed[#removed + 1] = name
      end
    end
  end
  collect_layers(removed)
  return removed
end

-- ---- import

local IN_SAVED = {
  ["manifest.json"] = true, ["oci-layout"] = true, ["index.json"] = true, ["repositories"] = true, ["blobs"] = true,
}

--- `docker save` writes layers and their manifest, an OCI layout much the same: nothing that a container could run.
local function check_not_saved(rootfs, source)
  local names = sys.file.list(rootfs)
  for _, name in ipairs(names) do
    if not IN_SAVED[name] and not name:find "^%x+$" and not name:find "^%x+%.json$" then return end
  end
  if not sys.file.kind(rootfs .. "/manifest.json") and not sys.file.kind(rootfs .. "/oci-layout") then return end
  errors.raise("%s holds an image's layers, as 'docker save' writes them; import a container's files instead: "
    .. "docker export CONTAINER | luabox image import - NAME", source)
end

local function refuse_existing(folder, name)
  if not exists(folder, name) then return end
  errors.raise("image '%s' exists already; --replace puts the new one in its place", name)
end

--- Gives the finished import its name. An image in its place comes away as `path`.
local function put_in_place(path, lock, request)
  with_lock(function(folder)
    local target = folder .. "/" .. request.name
    if not request.replace then refuse_existing(folder, request.name) end
    local replaced = sys.file.kind(target) ~= nil
    sys.file.rename(path, target, { replace = replaced and "exchange" or "no" })
    lock:release()
    lock = replaced and sys.file.lock(path)
  end)
  if lock then remove_folder(path, lock) end
end

local function extract(rootfs, request, owner)
  local ok, result = errors.try(sys.archive.import, request.held or request.source, rootfs, {
    devices = request.devices, owner = owner, max_bytes = request.max_bytes, sync = request.sync,
    signals = request.signals, progress = request.progress,
  })
  if ok then return result end
  error(request.held and require("luabox.policy").by_name(result) or result, 0)
end

--- An ordinary user's import: in a user namespace, so that the archive's owners are kept as the ids that the user was granted; without any, all
--- is the user's own. A result says so: `owned`, why all is.
local function extract_as_user(rootfs, request)
  local rootless = require "luabox.rootless"
  local _, why = rootless.maps()
  if why or request.owner == "own" then
    if request.owner == "keep" then errors.raise("--owner keep as an ordinary user takes ids: %s", why) end
    local result = extract(rootfs, request, "own")
    result.owned = not request.owner and why or nil
    return result
  end
  return sys.json.decode(rootless.inside(function() return sys.json.encode(extract(rootfs, request, "keep")) end, request.signals))
end

local function fill(path, request)
  local rootfs = path .. "/rootfs"
  sys.file.make_directory(rootfs, PRIVATE)
  local result
  if sys.uid() == 0 then result = extract(rootfs, request, request.owner or "keep") else result = extract_as_user(rootfs, request) end
  check_not_saved(rootfs, request.source)
  sys.file.write(path .. "/image.json", sys.json.encode({
    name = request.name, created = os.date "!%Y-%m-%dT%H:%M:%SZ", source = request.source,
    bytes = result.bytes, members = result.members, format = result.format, compression = result.compression,
  }, { indent = 2 }) .. "\n")
  return result
end

local FIELDS = {
  source = schema.string, name = schema.string, replace = schema.boolean, devices = schema.word("keep", "skip", "refuse"),
  owner = schema.word("keep", "own"), max_bytes = schema.size, sync = schema.boolean, progress = schema.func,
  signals = schema.is "userdata",
}

--- Imports an archive. It becomes an image as a whole, or nothing of it stays.
---   images.import { source = "golang.tar.gz", name = "golang" }
---@param request luabox.ImportRequest
---@return luabox.Imported
function images.import(request)
  if type(request) ~= "table" then errors.raise("import: expected a table, such as { source = \"box.tar\", name = \"box\" }") end
  request = schema.check(request, FIELDS, { what = "import", where = errors.users_line(2, "import") })
  check_name(request.name)
  if not request.source then errors.raise("import: expected the field 'source', an archive or \"-\"") end
  if sys.policy.active() then require("luabox.policy").admit_import(request) end
  images.collect()
  local path, lock
  with_lock(function(folder)
    if not request.replace then refuse_existing(folder, request.name) end
    path = sys.file.temporary(folder .. "/.import-")
    lock = sys.file.lock(path)
  end)
  local ok, result = errors.try(function()
    local filled = fill(path, request)
    put_in_place(path, lock, request)
    return filled
  end)
  if ok then return result end
  errors.try(remove_tree, path)  -- what can't be removed now is the next import's to collect
  error(result, 0)
end

return images
