---@meta luabox.images

---Images: root file systems that were imported, by name. `require "luabox.images"`.
---@class luabox.images
local images = {}

---@class luabox.ImageFacts
---@field name string
---@field created string  RFC 3339, UTC
---@field bytes integer  of the files' contents
---@field members integer
---@field source string  the archive's path, or "-"
---@field format string  "GNU tar format"
---@field compression string  "none", "gzip", "bzip2", "xz" or "zstd"

---Where they lie: LUABOX_IMAGES, /var/lib/luabox/images for root, $XDG_DATA_HOME/luabox/images for others.
---@return string
function images.folder() end

---Those that there are, by name.
---
---    for _, each in ipairs(require("luabox.images").list()) do print(each.name, each.bytes) end
---@return luabox.ImageFacts[]
function images.list() end

---The root file system of one. Raises when there is no such image.
---@param name string
---@return string
function images.path(name) end

---@class luabox.OpenImage
---@field path string  its root file system
---@field lock luabox.sys.Lock

---The same, held: it can't be removed until `lock` is released.
---@param name string
---@return luabox.OpenImage
function images.open(name) end

---Makes the folder `path` a layer, which a container holds for as long as it holds the lock.
---@param path string
---@return luabox.sys.Lock
function images.make_layer(path) end

---Raises when there is no such image, or a container uses it.
---@param name string
function images.remove(name) end

---Removes what imports, removals and containers left that were killed, and images that were replaced while containers used them.
---@return string[] names  of the folders removed
function images.collect() end

---@class luabox.ImportRequest: luabox.sys.ImportOptions
---@field source string  a tar archive, plain or compressed; "-" for the standard input
---@field name string
---@field replace? boolean  true: an image of that name is replaced; its containers keep the old one until they end

---@class luabox.Imported: luabox.sys.ImportResult
---@field owned? string  why all files are the importing user's

---Imports an archive. It becomes an image as a whole, or nothing of it stays.
---
---    require("luabox.images").import { source = "golang.tar.gz", name = "golang" }
---@param request luabox.ImportRequest
---@return luabox.Imported
function images.import(request) end

return images
