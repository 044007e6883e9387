-- users.lua: a user namespace for the container, and who its command runs as.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"

local users = {}

local function id_line(value)
  if type(value) == "string" and value:match "^%s*%d+%s+%d+%s+[1-9]%d*%s*$" then return value end
  return nil, "\"INSIDE OUTSIDE COUNT\" such as \"0 100000 65536\""
end

local id_lines = schema.list(id_line)
local function id_map(value)
  if type(value) ~= "table" then value = { value } end
  return id_lines(value, "map")
end

--- The check for container.user.
function users.check_user(value)
  if type(value) == "string" and (value:match "^[^:%z]+$" or value:match "^[^:%z]+:[^:%z]+$") then return value end
  if schema.integer(value) and value >= 0 then return value end
  return nil, "a name, \"name:group\", a number or \"1000:1000\""
end

local function is_mapped(lines, id)
  for _, line in ipairs(lines) do
    local inside, _, count = line:match "^%s*(%d+)%s+(%d+)%s+(%d+)%s*$"
    if inside and id >= tonumber(inside) and id < tonumber(inside) + tonumber(count) then return true end
  end
  return false
end

--- The check for container.users: { uid = "0 100000 65536", gid = ... } (inside, outside, count), one line or a list of them, or "auto".
local fields = schema.fields { uid = id_map, gid = id_map }
users.check = schema.either(schema.word("auto"), function(value, path)
  local checked, expected, complete = fields(value, path)
  if checked and checked.gid and not checked.uid then return nil, "the field 'uid' beside 'gid'", true end
  for kind, lines in pairs(checked or {}) do
    if not is_mapped(lines, 0) then return nil, ("the id 0 inside among those of '%s': a container begins as it"):format(kind), true end
  end
  return checked, expected, complete
end)

--- Calls `f` with what follows; an error carries the line on which the script wrote `key`.
local function at_line_of(this, key, f, ...)
  local ok, result = errors.try(f, ...)
  if ok then return result end
  result.where = schema.line_of_key(this.where, key)
  error(result, 0)
end

local step = { namespaces = "user", key = "users" }

--- The step for `config.users`.
function users.step_of(config) return config.auto_users and users.auto_step or step end

function step.attach(this)
  local maps = this.config.users
  if this.rootless then return at_line_of(this, "users", require("luabox.rootless").write_maps, this.process, maps) end
  at_line_of(this, "users", sys.user.write_id_maps, this.process:pid(), { uid = maps.uid, gid = maps.gid or maps.uid })
end

--- With the own id alone the kernel leaves the caller's own groups, whatever is asked.
local function text_of(path)
  local ok, text = pcall(sys.file.read, path)
  return ok and text or ""
end

--- Whether this process is in another user namespace than the host's.
function users.in_namespace() return not text_of "/proc/self/uid_map":match "^%s*0%s+0%s+4294967295%s*$" end

local mapped, denied  -- nil: not known yet

--- Whether the container is in a user namespace that is not the host's, its own or luabox's: root there makes no device, and what an overlay
--- of its notes is a user's.
function users.are_mapped(config)
  if mapped == nil then
    mapped = users.in_namespace()
    denied = mapped and text_of "/proc/self/setgroups":match "^deny" ~= nil
  end
  return mapped or config.users ~= nil
end

--- Whether the groups can't be set: user_namespaces(7), "setgroups".
function users.keeps_groups(config)
  if config.users then return config.users.setgroups == "deny" end
  return denied or false
end

function step.enter(this)
  sys.user.set_ids { uid = 0, gid = 0, groups = {}, keep_groups = users.keeps_groups(this.config), keep_capabilities = true }
end

function step.failed(this, problem)
  return this.rootless and require("luabox.rootless").explain(this, problem)
end

-- A range of its own, taken anew at each start.
users.auto_step = setmetatable({}, { __index = step })

function users.auto_step.resources(this) return { require("luabox.idranges").resource(this) } end

function users.auto_step.prepare(this) this.config.users = require("luabox.idranges").take(this) end

--- An id that the namespace doesn't have would be an "Invalid argument" of the kernel's.
local function check_mapped(this, found)
  local maps = this.config.users
  local uids, gids = maps.uid, maps.gid or maps.uid
  if uids and not is_mapped(uids, found.uid) or gids and not is_mapped(gids, found.gid) then
    errors.raise_at(schema.line_of_key(this.where, "user"), "user: %d:%d is not among the ids of the container's user namespace (uid %s; gid %s)%s",
      found.uid, found.gid, table.concat(uids or {}, ", "), table.concat(gids or {}, ", "), this.why_own_id and "; " .. this.why_own_id or "")
  end
  local groups = {}
  for _, gid in ipairs(found.groups) do
    if not gids or is_mapped(gids, gid) then groups[#groups + 1] = gid end
  end
  found.groups = groups
end

--- Who `config.user` is, by the image's own passwd and group files, which are hostile input: { uid, gid, groups, home }. Two numbers need neither:
--- what a container has made of its files does not keep `luabox exec` out.
function users.lookup(this)
  local who = tostring(this.config.user or "0")
  local numbers = who:find "^%d+:%d+$"
  local function text(path)
    if this.root:kind(path) ~= "file" then return "" end
    local ok, result = errors.try(this.root.read, this.root, path, { stored = true })
    if ok then return result end
    local leased = result.code == "EAGAIN"  -- by a process of the container, or of another that has the same file
    if result.code == "EFBIG" and numbers or leased and (numbers or who == "0") then return "" end
    if result.code == "EFBIG" or leased then result.message = result.message .. " (a user in two numbers, such as 0:0, is not looked up in it)" end
    error(result, 0)
  end
  local found = at_line_of(this, "user", sys.user.lookup, text "/etc/passwd", text "/etc/group", who)
  if this.config.users then check_mapped(this, found) end
  return found
end

return users
