-- state.lua: what luabox has made outside its containers, written down before it is made.
--
-- The file STATE/NAME is the record of one container: it says what it is, and an flock on it is held for as long as the process lives
-- that looks after it. A record whose lock is free belongs to a luabox that was killed: collect() removes what it lists, by the same
-- functions that end every container. STATE/.lock is held only while a record is made or taken away.
local sys = require "luabox.sys"
local errors = require "luabox.errors"

local state = {}

--- Where the state lies: LUABOX_STATE, /run/luabox for root, $XDG_RUNTIME_DIR/luabox for others.
function state.folder()
  local folder = os.getenv("LUABOX_STATE")
  if folder and folder ~= "" then return folder end
  if sys.uid() == 0 then return "/run/luabox" end
  return require("luabox.rootless").runtime_folder()
end

-- How each kind of resource is taken away. Each works on what was recorded, made or not, whole or half.
local removers = {}

local PATIENCE = 1  -- seconds

--- Raises when there are processes in a cgroup of which a luabox that was killed did not come to note which it was: its own child ends with it, so
--- these are of another luabox, with its state in another folder, or stand still.
local function wait_until_empty(path, parent)
  local last = sys.monotonic() + PATIENCE
  while true do
    local ok, group = errors.try(sys.cgroup.open, { path }, parent)
    if not ok or #group:processes() == 0 then return end
    if sys.monotonic() > last then
      errors.raise("the cgroup %s was not known to be this container's, and has processes: it stays until they end", path)
    end
    sys.sleep(0.005)
  end
end

--- Ends what a killed luabox left in a container's cgroups, in all hierarchies at once: in the one for freezers it is thawed.
local function end_processes(resource)
  local paths = {}
  for _, path in ipairs(resource.paths) do
    local ok, identity = errors.try(sys.file.identity, path)
    if ok and identity == (resource.made or {})[path] then paths[#paths + 1] = path end
  end
  local group = #paths > 1 and sys.cgroup.open(paths, resource.parent)
  if group and #group:processes() > 0 then group:kill() end
end

--- Not another's, which a luabox with its state in another folder made where ours had been.
function removers.cgroup(resource)
  if resource.leftover then errors.try(end_processes, resource) end  -- what fails here is told below
  for _, path in ipairs(resource.paths) do
    local made = resource.made and resource.made[path]
    local ok, identity = errors.try(sys.file.identity, path)
    if not ok and identity.code ~= "ENOENT" then error(identity, 0) end  -- whether it is there is not known: the record stays
    if ok and not made and resource.leftover then wait_until_empty(path, resource.parent) end
    if not made or ok and identity == made then sys.cgroup.remove_path(path, resource.parent) end
  end
end

function removers.firewall(resource)
  local ok, problem = errors.try(sys.net.remove_firewall, resource.name, { interface = resource.interface })
  if not ok and problem.code ~= "ENOENT" then error(problem, 0) end  -- recorded, but never made, or another's
end

--- Fine where it isn't there, or goes while it is looked for.
function state.remove_interface(name)
  if not sys.net.find(name) then return end
  local ok, problem = errors.try(sys.net.remove, name)
  if not ok and problem.code ~= "ENODEV" then error(problem, 0) end
end

--- The end of a network namespace takes its veth away, a moment later: when the last of its connections has ended (host_ends.lua). Nothing passes
--- it till then: the rules for it go next. A host end that is still there of a luabox that was killed is of a container that never came to life.
function removers.interface(resource)
  if resource.leftover then return state.remove_interface(resource.name) end
  local ok, problem = errors.try(sys.net.down, resource.name)
  if not ok and problem.code ~= "ENODEV" then error(problem, 0) end  -- it is gone already, or was never made
end

--- A killed luabox's are nobody's any more.
function removers.ports(resource) require("luabox.ports").release(resource) end

function removers.bridge(resource) require("luabox.bridges").leave(resource.name, resource.member) end

--- A program of the host's that served a container: its own luabox has ended it, but for one that was killed.
function removers.helper(resource)
  if resource.leftover or resource.resumed then sys.end_helpers(resource.argument) end
  sys.file.remove(resource.argument)
end

function removers.ids(resource) require("luabox.idranges").release(resource.name) end

function removers.folder(resource)
  if not sys.file.kind(resource.path) then return end
  if sys.uid() ~= 0 then return require("luabox.rootless").remove_tree(resource.path) end
  sys.mount.remove_tree(resource.path)
end

--- A path that was noted may never have been made: only what a mount target is when nothing was put into it, an empty folder or file, is taken away.
local function remove_if_empty(root, path)
  local kind = root:kind(path, {})
  if kind == "directory" or kind == "file" and root:read(path, { limit = 1 }) == "" then root:remove(path) end
end

-- What a container may have made of a target, or of the way to it. Anything else may be over by the next try.
local ITS_OWN = { ENOENT = true, ENOTDIR = true, EISDIR = true, ENOTEMPTY = true, EEXIST = true, EINVAL = true, ELOOP = true, EXDEV = true,
  EBUSY = true, EACCES = true, EPERM = true }

--- Removes the targets that the journal tells of, last first. What a container made its own stays: it is not to keep its record here by that.
local function remove_targets(rootfs, journal)
  if not sys.file.kind(journal) then return end
  local root, paths, left = sys.mount.root(rootfs), {}, nil
  for path in sys.file.read(journal):gmatch "[^\n]+" do paths[#paths + 1] = path end
  for i = #paths, 1, -1 do
    local ok, problem = errors.try(remove_if_empty, root, paths[i])
    if not ok and not ITS_OWN[problem.code] then left = left or problem end
  end
  if left then error(left, 0) end
  sys.file.remove(journal)
end

--- Mount targets that were made in a user's own rootfs folder, by whichever of the containers that share it: last first, and only while
--- nothing was put into them. Not while another container runs on the folder: to remove a mount point takes the mount away from everybody;
--- the last that leaves removes them.
function removers.targets(resource)
  local lock = sys.file.kind(resource.rootfs) and sys.file.lock(resource.rootfs)
  if not lock then return end
  local ok, problem = errors.try(remove_targets, resource.rootfs, resource.journal)
  lock:release()
  if not ok then error(problem, 0) end
end

--- Rules of a site's are about what is made: to take it away again is never refused.
local function ungoverned(f, ...)
  if not sys.policy.active() then return f(...) end
  sys.policy.cleaning(true)
  local ok, result = errors.try(f, ...)
  sys.policy.cleaning(false)
  if not ok then error(result, 0) end
  return result
end

--- Removes the resources, last first; each is tried. Returns the errors.
local function remove_all(resources, leftover)
  local problems = {}
  for i = #resources, 1, -1 do
    local resource = resources[i]
    resource.leftover = leftover
    local ok, problem = errors.try(removers[resource.kind], resource)
    if not ok then problems[#problems + 1] = problem end
  end
  return problems
end

-- 0711: a container's root in a user namespace of its own has to pass through, and to list nothing. Records are 0600.
local FOLDER = { mode = 457 }

--- Who can write to a folder beside its owner; nil where nobody can. One's own group counts as oneself: Debian gives each user one.
local function open_to(status)
  if status.kind ~= "directory" then return nil end
  if status.mode:match "[2367]$" then return "everybody" end
  return status.mode:match "[2367].$" and status.gid ~= sys.gid() and "the group " .. status.gid or nil
end

--- A folder of one's own that others can write to, as a tmpfs is when it is mounted, is closed while nobody has been there yet.
local function close(path)
  local before = sys.file.status(path)
  if #sys.file.list(path, { limit = 1 }) > 0 then return not open_to(sys.file.status(path)) end  -- another luabox may have closed it
  local root = sys.mount.root(path)
  root:chmod("/", "711")
  for _, name in ipairs(sys.file.list(path)) do
    local status = sys.file.status(path .. "/" .. name)
    if status and status.uid ~= sys.uid() then
      root:chmod("/", before.mode)
      return false
    end
  end
  return true
end

--- What a record lists is removed, so nobody else may have written one; nor may others put links where luabox writes and removes. `what` lies there.
local function check_own(path, what)
  local status = sys.file.status(path)
  if not status then return end
  if status.uid ~= sys.uid() then
    errors.raise("%s belongs to another user (uid %d): luabox keeps its %s in a folder of one's own", path, status.uid, what or "state")
  end
  local others = open_to(status)
  if others and not ungoverned(close, path) then
    errors.raise("%s can write to %s: luabox keeps its %s in a folder of one's own", others, path, what or "state")
  end
end

state.check_own = check_own

local function prepare(folder)
  if sys.file.kind(folder) ~= "directory" then sys.file.make_directories(folder, FOLDER) end
  check_own(folder)
end

--- Makes the folder of the state, where there is none; raises where others could write to it.
function state.prepare() prepare(state.folder()) end

--- Calls `f` with what follows while nobody else makes a record or takes one away. Returns the first that it returns.
local function with_lock(folder, f, ...)
  prepare(folder)
  local lock = sys.file.lock(folder .. "/.lock", { wait = true })
  local ok, result = pcall(f, ...)
  lock:release()
  if not ok then error(result, 0) end
  return result
end

local function journal_of(rootfs)
  return ("%s/.targets-%s"):format(state.folder(), sys.file.identity(rootfs))
end

--- The resource that stands for all mount targets made in the folder `rootfs`, a path without symlinks, by this container or others.
function state.targets(rootfs) return { kind = "targets", rootfs = rootfs, journal = journal_of(rootfs) } end

local function add_targets(journal, paths)
  local known = sys.file.kind(journal) and sys.file.read(journal) or ""
  sys.file.write(journal, known .. table.concat(paths, "\n") .. "\n", { mode = 384 })
end

--- Notes that `paths` were made in the folder `rootfs` as mount targets. The caller holds the folder's shared lock.
function state.note_targets(rootfs, paths)
  with_lock(state.folder(), add_targets, journal_of(rootfs), paths)
end

---@class luabox.Record
local Record = {}
Record.__index = Record

--- The record in the file `path`: its last line that is whole; one that a killed luabox was writing stands for nothing, whatever was added behind
--- it. nil where there is none. A record of which no line can be read is an error: what it lists must not be forgotten.
local function read(path)
  if sys.file.kind(path) ~= "file" then return nil end
  local found, problem
  for line in sys.file.read(path):gmatch "([^\n]+)\n" do
    local ok, record = errors.try(sys.json.decode, line)
    if ok then found = record else problem = record end
  end
  if not found and problem then error(problem, 0) end
  return found
end

--- Adds a line. It begins on one of its own, also behind one that was never finished.
local function add_line(path, line) sys.file.append(path, "\n" .. line .. "\n") end

--- Takes the lock of a container whose luabox is gone; nil when it lives, or is no more.
local function lock_of_dead(folder, path)
  return with_lock(folder, sys.file.lock, path, { create = false })
end

local function remove_record(path, lock)
  sys.file.remove(path)
  lock:release()
end

local function take_away(folder, path, lock) with_lock(folder, remove_record, path, lock) end

--- What the record `path` lists; nothing of one that is empty, or ends with its first byte, of a luabox that was killed before it wrote or had no
--- room. Raises where it is no record, which begins as add_line begins it: whatever else lies in the folder of the state, because LUABOX_STATE names
--- the wrong one, is not luabox's to remove.
local function read_resources(path, name)
  check_own(path)
  local text = sys.file.kind(path) == "file" and sys.file.read(path)
  local record = text and text:sub(1, 2) == "\n{" and read(path)
  if text ~= "" and text ~= "\n" and (not text or text:sub(1, 2) ~= "\n{" or record and record.name ~= name) then
    errors.raise("%s is no container's: it is left as it is", path)
  end
  return record and record.resources or {}
end

--- Ends what a killed luabox left under `name`. Returns "alive", "removed", "gone" by itself, or "left" and the errors: then its record stays.
local function collect_one(folder, name)
  local path = folder .. "/" .. name
  local kind = sys.file.kind(path)
  if not kind then return "gone" end
  local lock = kind == "file" and lock_of_dead(folder, path)
  if kind == "file" and not lock then return "alive" end
  local ok, resources = errors.try(read_resources, path, name)
  local problems = ok and ungoverned(remove_all, resources, true) or { resources }
  if not lock then return "left", problems end
  if #problems > 0 then
    lock:release()
    return "left", problems
  end
  ungoverned(take_away, folder, path, lock)
  return "removed"
end

--- The record of a new container, of which nothing is made yet: who has it removes it, however early its start ends.
---@return luabox.Record
function state.record(name)
  local folder = state.folder()
  return setmetatable({ name = name, path = folder .. "/" .. name, folder = folder, resources = {} }, Record)
end

--- Takes its name, if nobody has it.
local function take(self)
  if sys.file.kind(self.path) then return end
  self.begun = true
  self.lock = sys.file.lock(self.path, { wait = true })  -- makes it; who only looks at it holds it for a moment
  return true
end

--- Makes the record. Raises when another that lives has its name; what a dead one left under it is removed first.
function Record:make(where)
  if with_lock(self.folder, take, self) then return end
  local result, problems = collect_one(self.folder, self.name)
  if (result == "removed" or result == "gone") and with_lock(self.folder, take, self) then return end
  errors.raise_at(where or "luabox", "the name '%s' is already in use by a container%s", self.name,
    result == "left" and ": " .. problems[1].message or "")
end

--- The record of a container that the luabox before this one, in the same process, has begun (monitor.lua), and what it says. `lock` is that
--- one's: whose it is not has no record to end.
---@return luabox.Record, table
function state.resumed(name, lock)
  local self = state.record(name)
  if not sys.file.kind(self.path) or sys.file.identity(self.path) ~= lock:identity() then
    errors.raise("the record of the container '%s' was taken away", name)
  end
  local found = read(self.path) or {}
  self.lock, self.begun, self.resources, self.facts = lock, true, found.resources or {}, found.facts
  for _, resource in ipairs(self.resources) do resource.resumed = true end
  return self, found
end

--- The cgroup that is among `resources`, which stays when the object goes; nil where there is none.
function state.cgroup_of(resources)
  for _, resource in ipairs(resources) do
    if resource.kind == "cgroup" and #resource.paths > 0 then return sys.cgroup.open(resource.paths, resource.parent), resource.parent end
  end
end

--- Adds resources, and writes the record down. Nothing may be made before.
function Record:add(resources)
  for _, resource in ipairs(resources) do self.resources[#self.resources + 1] = resource end
  self:write()
end

function Record:line(fields)
  fields.name, fields.pid, fields.resources, fields.facts = self.name, sys.pid(), self.resources, self.facts
  return sys.json.encode(fields)
end

--- Lines are added, never changed: to put a new file in an old one's place costs more than all the rest of a record on a file system with a
--- journal (ext4 writes the new one out first).
function Record:write()
  add_line(self.path, self:line {})
end

--- What is known of a container that is about to run waits for publish(): nobody may join one that is not closed yet.
function Record:describe(description) self.description = self:line(description) end

function Record:publish()
  add_line(self.path, self.description)
  self.description = nil
end

--- Removes everything recorded, last first, then the record. Returns the errors; where there are some the record stays for gc. One whose making
--- was cut short may be there, or another's by now: it is a dead one's then, or is let be.
function Record:remove()
  if not self.lock then
    if not self.begun then return {} end
    local _, problems = collect_one(self.folder, self.name)
    return problems or {}
  end
  local problems = ungoverned(remove_all, self.resources, false)
  if #problems == 0 then
    ungoverned(take_away, self.folder, self.path, self.lock)
  else
    self.lock:release()
  end
  return problems
end

local SEEN, TRIED = 64, 2

--- What a start does for its host: of the first 64 names two are tried, whatever number of containers there is. Which two the clock says:
--- math.random says the same in each process.
function state.collect_some()
  local folder = state.folder()
  local names = sys.file.list(folder, { limit = SEEN })
  local at = math.floor(sys.monotonic() * 1e6)
  for i = 1, math.min(TRIED, #names - 2) do
    local name = names[(at + i) % #names + 1]
    -- What can't be removed now keeps its record, for `luabox gc` to tell. An interrupt is this start's, which lets go of a lock that it came upon.
    local ok, problem = true, nil
    if name:sub(1, 1) ~= "." then ok, problem = errors.try(collect_one, folder, name) end
    if not ok and problem.code == "EINTR" then error(problem, 0) end
  end
end

--- Ends what a killed luabox left under `name`. Returns "alive", "removed" or "left".
function state.collect_named(name)
  local result = collect_one(state.folder(), name)
  return result == "gone" and "removed" or result
end

--- A file is written whole, under another name first; who writes one of these holds the lock.
local function remove_unfinished(folder)
  for _, name in ipairs(sys.file.list(folder)) do
    if name:find "^%.targets%-.*%.new%d+$" or name:find "^%.policies%.new%d+$" then sys.file.remove(folder .. "/" .. name) end
  end
end

--- Removes what killed luabox processes left. Returns the names removed and the errors.
function state.collect()
  local folder, removed, problems = state.folder(), {}, {}
  if sys.file.kind(folder) then with_lock(folder, remove_unfinished, folder) end
  for _, name in ipairs(sys.file.list(folder)) do
    if name:sub(1, 1) ~= "." then
      local result, why = collect_one(folder, name)
      if result == "removed" then removed[#removed + 1] = name end
      for _, problem in ipairs(why or {}) do problems[#problems + 1] = problem end
    end
  end
  return removed, problems
end

local function add_facts(path, facts)
  local record = read(path)
  if not record then return end  -- it has ended meanwhile
  record.facts = facts
  add_line(path, sys.json.encode(record))
end

--- What the policies know of a container that runs, from now on.
function state.note_facts(name, facts) with_lock(state.folder(), add_facts, state.folder() .. "/" .. name, facts) end

--- One container: { name =, alive =, record = }; nil where there is none. Raises what reading its record raises.
function state.find(name)
  local path = state.folder() .. "/" .. name
  if name:sub(1, 1) == "." or name:find "/" or sys.file.kind(path) ~= "file" then return nil end
  local lock = sys.file.lock(path, { shared = true, create = false })
  if lock then lock:release() end
  local record = read(path)
  return record and { name = name, alive = lock == nil, record = record }
end

--- The name of the container whose record lists a resource of this kind and name, alive or not; nil where there is none.
function state.holder(kind, name)
  for _, container in ipairs(state.list()) do
    for _, resource in ipairs(container.record.resources or {}) do
      if resource.kind == kind and resource.name == name then return container.name end
    end
  end
end

--- The containers, as find gives them, and why the kernel did not give others' records. What is no record is passed over.
function state.list()
  local containers, problems = {}, {}
  for _, name in ipairs(sys.file.list(state.folder())) do
    local ok, found = errors.try(state.find, name)
    if ok then containers[#containers + 1] = found elseif found.errno and found.code ~= "EINVAL" then problems[#problems + 1] = found end
  end
  return containers, problems
end

return state
