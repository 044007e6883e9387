-- rootless.lua: containers of an ordinary user: what takes privilege is had through a user namespace and the host's own helpers, or refused.
--
-- Ids: root inside is the user. /etc/subuid and /etc/subgid may grant further ids, which newuidmap and newgidmap (set-uid programs of Debian's
-- package uidmap) write; without them the user's own id is the only one.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"

local rootless = {}

-- ---- where the state lies

local function is_private(path)
  local status = sys.file.status(path)
  return status ~= nil and status.kind == "directory" and status.uid == sys.uid() and status.mode:match "[0145][0145]$" ~= nil
end

--- $XDG_RUNTIME_DIR/luabox, /run/user/UID/luabox, or /tmp/luabox-UID where there is no such folder; nobody else may write to it.
function rootless.runtime_folder()
  local runtime = os.getenv "XDG_RUNTIME_DIR"
  if runtime and runtime ~= "" then return runtime .. "/luabox" end
  local run = "/run/user/" .. sys.uid()
  if is_private(run) then return run .. "/luabox" end
  local folder = "/tmp/luabox-" .. sys.uid()
  errors.try(sys.file.make_directory, folder, { mode = 448 })
  if is_private(folder) then return folder end
  errors.raise("%s is not a folder of this user's alone, and XDG_RUNTIME_DIR is not set; LUABOX_STATE can name a folder for luabox's state", folder)
end

-- ---- ids

local function user_name()
  local ok, text = pcall(sys.file.read, "/etc/passwd")
  local found, user = pcall(sys.user.lookup, ok and text or "", "", tostring(sys.uid()))
  return found and user.name or ""
end

--- { "0 1000 1", "1 100000 65536" }: the own id, and behind it what is granted.
local function map_of(own, ranges)
  local lines, next_inside = { ("0 %d 1"):format(own) }, 1
  for _, range in ipairs(ranges) do
    lines[#lines + 1] = ("%d %.0f %.0f"):format(next_inside, range.first, range.count)
    next_inside = next_inside + range.count
  end
  return lines
end

local function granted()
  local name, by_number = user_name(), sys.user.subids(tostring(sys.uid()))
  local by_name = name ~= "" and sys.user.subids(name) or { uid = {}, gid = {} }
  for _, kind in ipairs { "uid", "gid" } do
    for _, range in ipairs(by_number[kind]) do table.insert(by_name[kind], range) end
  end
  return by_name, name ~= "" and name or tostring(sys.uid())
end

--- The maps of this user's containers: { uid = lines, gid = lines, setgroups = }, and where they have the own id alone, why.
function rootless.maps()
  local ranges, name = granted()
  local why
  if #ranges.uid == 0 or #ranges.gid == 0 then
    local missing = #ranges.uid == 0 and "/etc/subuid" or "/etc/subgid"
    why = ("%s grants no ids to %s: root can run 'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s'"):format(missing, name, name)
  elseif not (sys.find_helper "newuidmap" and sys.find_helper "newgidmap") then
    why = "newuidmap and newgidmap are not installed (Debian's package uidmap)"
  end
  if why then return { uid = map_of(sys.uid(), {}), gid = map_of(sys.gid(), {}), setgroups = "deny" }, why end
  return { uid = map_of(sys.uid(), ranges.uid), gid = map_of(sys.gid(), ranges.gid) }
end

local function is_own(lines, id)
  return #lines == 1 and lines[1]:match("^%s*%d+%s+" .. id .. "%s+1%s*$") ~= nil
end

local function only_own(maps) return is_own(maps.uid, sys.uid()) and is_own(maps.gid or maps.uid, sys.gid()) end

local function run_mapper(program, pid, lines)
  local arguments = { program, tostring(pid) }
  for _, line in ipairs(lines) do
    for number in line:gmatch "%S+" do arguments[#arguments + 1] = number end
  end
  local ok, helper = errors.try(sys.helper, arguments)
  if not ok then
    if helper.code ~= "ENOENT" then error(helper, 0) end
    errors.raise("%s is not installed (Debian's package uidmap): without it a user namespace has the user's own id alone", program)
  end
  local status = helper:wait(10)
  if status == 0 then return end
  local said = helper:output()
  errors.raise("%s refused the ids %s: %s", program, table.concat(lines, ", "),
    status == nil and "it did not answer in 10 seconds" or said ~= "" and said or "status " .. status)
end

--- Writes the maps of `process`, which waits in its new user namespace and is dumpable.
function rootless.write_maps(process, maps)
  local gid = maps.gid or maps.uid
  if only_own(maps) then
    return sys.user.write_id_maps(process:pid(), { uid = maps.uid, gid = gid, setgroups = "deny" })
  end
  run_mapper("newuidmap", process:pid(), maps.uid)
  run_mapper("newgidmap", process:pid(), gid)
end

--- Calls `body` in a child that is root of a user namespace with all of this user's ids. Returns the text that it returns; raises what it raises.
--- With `signals` (sys.terminal.forward_signals) the child gets those that come meanwhile.
---@param body fun(): string?
function rootless.inside(body, signals)
  local process = sys.clone({ namespaces = "user" }, function(parent)
    sys.user.set_ids { uid = 0, gid = 0, groups = {}, keep_capabilities = true }
    parent:send(body() or "")
    sys.exit(0)
  end)
  rootless.write_maps(process, (rootless.maps()))
  process:go()
  if signals then sys.terminal.supervise({ process }, signals) end
  local ok, problem = errors.try(process.settle, process)
  local text = process:message()
  if not text then error(ok and errors.new { message = "the process in the user namespace ended early" } or problem, 0) end
  return text
end

--- Removes a folder that holds files of the user's granted ids.
function rootless.remove_tree(path)
  local ok, problem = errors.try(sys.mount.remove_tree, path)
  if ok then return end
  local _, own_only = rootless.maps()
  if own_only or problem.code ~= "EACCES" and problem.code ~= "EPERM" then error(problem, 0) end
  rootless.inside(function() sys.mount.remove_tree(path) end)
end

--- What a failed start was really about; nil where the error says it all.
function rootless.explain(this, problem)
  if problem.op == "clone" and (problem.code == "EPERM" or problem.code == "ENOSPC" or problem.code == "EUSERS") then
    problem.message = problem.message .. ": this host lets ordinary users make no user namespace (see luabox check-host)"
    return problem
  end
  local status = (problem.code == "EACCES" or problem.code == "EOVERFLOW") and this.rootfs_path and sys.file.status(this.rootfs_path)
  if not status or status.uid == sys.uid() then return nil end
  problem.message = ("%s (the root file system %s belongs to the user %d, whom this container's user namespace doesn't have: "
    .. "import it as an image of your own)"):format(problem.message, this.rootfs_path, status.uid)
  return problem
end

-- ---- what the script asks for, against what there is

--- Whether this user may make cgroups in the hierarchy that has `controller`, or in any.
function rootless.may_limit(controller)
  for _, hierarchy in ipairs(sys.cgroup.host()) do
    for _, name in ipairs(hierarchy.controllers) do
      if hierarchy.writable and (controller == nil or name == controller) then return true end
    end
  end
  return false
end

local NO_CGROUP = "takes a cgroup that is delegated to this user, and none is; on a host with systemd and cgroup v2 start luabox by "
  .. "'systemd-run --user --scope -p Delegate=yes luabox ...', elsewhere root can make a cgroup, chown it and its cgroup.procs to the user and start "
  .. "the user's shell in it (see luabox check-host)"

local function settle_cgroup(config, refuse)
  if rootless.may_limit() then
    config.cgroup = config.cgroup or {}
    if not rootless.may_limit "pids" and config.cgroup.pids == nil and config.cgroup["pids.max"] == nil then
      sys.log.detail "rootless: the pids controller is not delegated to this user: no default limit of processes"
      config.cgroup.pids = "max"
    end
    return
  end
  for _, key in ipairs { "cgroup_parent", "accounting" } do
    if config[key] then refuse(key, "%s %s", key, NO_CGROUP) end
  end
  for key in pairs(config.cgroup or {}) do
    if not (key == "pids" and config.cgroup.pids == "max") then refuse(key, "cgroup.%s %s", key, NO_CGROUP) end
  end
  sys.log.detail "rootless: no cgroup is delegated to this user: no default limit of processes"
  config.cgroup = { pids = "max" }
end

--- Completes the configuration for an ordinary user; raises at the line of what such a one can't have.
function rootless.settle(self)
  local config = self.config
  local function refuse(key, message, ...) errors.raise_at(schema.line_of_key(self.where, key), message, ...) end
  self.rootless = true
  if not config.users or config.users == "auto" then config.users, self.why_own_id = rootless.maps() end
  local maps = config.users
  if only_own(maps) then maps.setgroups = "deny" end
  if self.why_own_id then sys.log.detail("rootless: only the user's own id is mapped: " .. self.why_own_id) end
  if type(config.network) == "table" and (config.network.kind == "veth" or config.network.kind == "bridge") then
    refuse("network", "a veth pair, a bridge, NAT and published ports on them take root: as an ordinary user leave network out, or say "
      .. "network = pasta { publish = { ... } }")
  end
  if config.devices and #config.devices > 0 then
    refuse("devices", "devices take root; what this user may open itself can be bound: mounts = { bind { \"%s\", \"%s\", nodev = false } }",
      config.devices[1].path, config.devices[1].path)
  end
  if config.rootfs and config.rootfs.devices then
    errors.raise_at(config.rootfs.where or self.where, "devices = true takes root: device nodes of a root file system don't work in a user namespace")
  end
  settle_cgroup(config, refuse)
  require("luabox.pasta").settle(config, self.where, not config.namespaces or (config.namespaces.net or "new") == "new")
end

return rootless
