-- running.lua: a container that runs, whoever started it: found by its name, asked, signalled, and joined by further processes.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local lifecycle = require "luabox.lifecycle"
local state = require "luabox.state"

---@class luabox.RunningContainer
---@field name string
---@field config table     what its script asked for, as far as it decides how a process runs in it
---@field process userdata its first process, held by pidfd (sys.running)
local Running = { class = "luabox.RunningContainer" }
Running.__index = Running

local running = {}

local function unknown(name)
  local known = {}
  for _, each in ipairs(state.list()) do known[#known + 1] = each.name end
  errors.raise("there is no container '%s'%s", name, errors.suggestion(name, known))
end

--- Nobody but who made a container joins it: a record that another user wrote could name any process.
local function check_owner(name)
  local folder = state.folder()
  for _, path in ipairs { folder, folder .. "/" .. name } do
    local status = sys.file.status(path)
    if status and status.uid ~= sys.uid() then errors.raise("the container '%s' belongs to another user (uid %d)", name, status.uid) end
  end
end

local function find_process(record)
  local ok, process = errors.try(sys.running.find, record.process.pid, record.process.started)
  if ok then return process end
  if process.code == "ESRCH" then errors.raise("the container '%s' has ended", record.name) end
  error(process, 0)
end

--- The container of this name that runs now. Raises when there is none, when it has ended, or when it is another user's.
---@return luabox.RunningContainer
function running.find(name)
  if type(name) ~= "string" or not name:match "^%w[%w_.-]*$" then
    errors.raise("%s can't be a container's name", require("luabox.schema").show(name))
  end
  check_owner(name)
  local ok, found = errors.try(state.find, name)
  if not ok and found.code ~= "ENOENT" then error(found, 0) end
  if not ok or not found then unknown(name) end
  if not found.alive then errors.raise("the container '%s' has ended; 'luabox gc' removes what is left of it", name) end
  if not found.record.process then errors.raise("the container '%s' is still being started", name) end
  return running.of(found.record)
end

--- The same by its record.
---@return luabox.RunningContainer
function running.of(record)
  return setmetatable({ name = record.name, config = record.config, process = find_process(record), resources = record.resources }, Running)
end

--- Whether its first process still runs.
function Running:alive() return self.process:alive() end

--- Sends a signal to its command: "TERM", "SIGTERM" or a number. Returns whether it was there.
function Running:kill(signal)
  local ok, cgroup = errors.try(self.cgroup, self)
  return lifecycle.signal(self.process, ok and cgroup, signal or "TERM")
end

--- Its cgroup (sys.cgroup), which stays when this object goes; nil where it has none.
function Running:cgroup() return (state.cgroup_of(self.resources)) end

--- CPU, memory, pids and io that it has used, in base units; as container:stats().
function Running:stats()
  local cgroup = self:cgroup()
  if not cgroup then errors.raise("the container '%s' has no cgroup that counts", self.name) end
  return cgroup:stats()
end

--- \040 and the like, as proc(5) writes blanks in paths.
local function plain(text)
  return (text:gsub("\\(%d%d%d)", function(digits) return string.char(tonumber(digits, 8)) end))
end

--- What is mounted in it, in the kernel's words: { target =, type =, source =, options = }.
function Running:mounts()
  local list = {}
  for line in sys.file.read(("/proc/%d/mountinfo"):format(self.process:pid())):gmatch "[^\n]+" do
    local target, options, kind, source = line:match "^%d+ %d+ %S+ %S+ (%S+) (%S+) .-%- (%S+) (%S+)"
    if target then list[#list + 1] = { target = plain(target), type = kind, source = plain(source), options = options } end
  end
  return list
end

--- Sets limits, { memory = "1GiB" }, in the words of a container's field cgroup; all keys are checked before the first is written.
--- A site's policies are asked, kind "update", and may change them.
function Running:update(limits)
  local where = errors.users_line(2, "update") or "update"
  if type(limits) ~= "table" then errors.raise_at(where, "update: expected a table of limits, got %s", type(limits)) end
  for key in pairs(limits) do
    if type(key) ~= "string" then errors.raise_at(where, "update: expected names as keys, not %s", require("luabox.schema").show(key)) end
  end
  local group = self:cgroup()
  if not group then errors.raise_at(where, "the container '%s' has no cgroup of its own", self.name) end
  local check_part = require("luabox.own_cgroup").check_part
  check_part(self.name, group, limits)
  if sys.policy.active() then
    local policy = require "luabox.policy"
    local facts = policy.facts(self.name)
    limits = policy.admit_update({ name = self.name, facts = facts }, limits, where)
    check_part(self.name, group, limits)
    group:write(limits)
    state.note_facts(self.name, facts)
    return
  end
  group:write(limits)
end

--- Starts another process in it; see luabox.execution.
---@return luabox.Execution
function Running:exec(options)
  return require("luabox.execution").start(self, options)
end

return running
