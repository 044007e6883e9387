-- users.lua: a user namespace for the container, and who its command runs as.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"

local users = {}

local function id_map(value)
  if type(value) == "string" then return { value } end
  return schema.list(schema.string)(value, "map")
end

--- The check for container.users: { uid = "0 100000 65536", gid = ... } (inside, outside, count), one line or a list of them.
users.check = schema.fields { uid = id_map, gid = id_map }

users.step = { namespaces = "user", key = "users" }

function users.step.attach(this)
  local map = this.config.users
  local ok, problem = errors.try(sys.user.write_id_maps, this.process:pid(), { uid = map.uid, gid = map.gid or map.uid })
  if ok then return end
  problem.where = schema.line_of_key(this.where, "users")
  error(problem, 0)
end

function users.step.enter()
  sys.user.set_ids { uid = 0, gid = 0, groups = {}, keep_capabilities = true }
end

--- Who `config.user` is, by the image's own passwd and group files, which are hostile input: { uid, gid, groups, home }.
function users.lookup(this)
  local function text(path)
    return this.root:kind(path) == "file" and this.root:read(path) or ""
  end
  local who = tostring(this.config.user or "0")
  local ok, found = errors.try(sys.user.lookup, text "/etc/passwd", text "/etc/group", who)
  if ok then return found end
  found.where = schema.line_of_key(this.where, "user")
  error(found, 0)
end

return users
