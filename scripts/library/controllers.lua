-- controllers.lua: which cgroup controllers this host has, which of them this process can use, and the commands that give it the others.
local sys = require "luabox.sys"

local controllers = {}

-- What /proc/cgroups calls otherwise than version 2 does, and what version 2 has without a controller, or not at all.
local V2_NAMES = { blkio = "io", cpuacct = "cpu" }
local V1_ALONE = { devices = true, freezer = true, perf_event = true, net_cls = true, net_prio = true }

local function read(path)
  local ok, text = pcall(sys.file.read, path)
  return ok and text or ""
end

local function words(text)
  local list, set = {}, {}
  for word in text:gmatch "%S+" do list[#list + 1], set[word] = word, true end
  return list, set
end

--- The cgroups from the top of the mount down to the one above `base`.
local function above(hierarchy)
  local list, path = {}, hierarchy.mount
  for component in hierarchy.base:sub(#hierarchy.mount + 1):gmatch "[^/]+" do
    list[#list + 1] = path
    path = path .. "/" .. component
  end
  return list
end

--- Controllers of the top that were not given on down to the base: `names`, and the commands that do so.
local function not_given(hierarchy)
  local _, given = words(table.concat(hierarchy.controllers, " "))
  local names = {}
  for _, name in ipairs((words(read(hierarchy.mount .. "/cgroup.controllers")))) do
    if not given[name] then names[#names + 1] = name end
  end
  local commands = {}
  for _, directory in ipairs(above(hierarchy)) do
    local _, enabled = words(read(directory .. "/cgroup.subtree_control"))
    local missing = {}
    for _, name in ipairs(names) do
      if not enabled[name] then missing[#missing + 1] = "+" .. name end
    end
    if #missing > 0 then commands[#commands + 1] = ("echo '%s' > %s/cgroup.subtree_control"):format(table.concat(missing, " "), directory) end
  end
  return names, commands
end

--- Version 2 gives nothing to cgroups below one in which processes are, the host's top alone excepted: the commands that move them.
local function crowded(hierarchy)
  if not sys.file.kind(hierarchy.base .. "/cgroup.events") or read(hierarchy.base .. "/cgroup.procs") == "" then return nil end
  local beside = hierarchy.base .. "/processes"
  return { "mkdir -p " .. beside,
    ("for p in $(cat %s/cgroup.procs); do echo $p > %s/cgroup.procs 2> /dev/null; done"):format(hierarchy.base, beside) }
end

--- How root gives a cgroup of the hierarchy to this user.
local function delegation(hierarchy)
  local directory = ("%s/luabox-%d"):format(hierarchy.mount, sys.uid())
  if hierarchy.version == 1 then
    return { "mkdir -p " .. directory, ("chown %d %s %s/cgroup.procs %s/tasks"):format(sys.uid(), directory, directory, directory),
      ("echo $PID > %s/cgroup.procs"):format(directory) }
  end
  local names = {}
  for _, name in ipairs((words(read(hierarchy.mount .. "/cgroup.controllers")))) do names[#names + 1] = "+" .. name end
  return {
    ("echo '%s' > %s/cgroup.subtree_control"):format(table.concat(names, " "), hierarchy.mount),
    ("mkdir -p %s/shell"):format(directory),
    ("chown %d %s %s/cgroup.procs %s/cgroup.subtree_control"):format(sys.uid(), directory, directory, directory),
    ("echo $PID > %s/shell/cgroup.procs"):format(directory),
  }
end

local function as_root(commands) return "as root " .. table.concat(commands, "; ") end

--- Where nothing is given to this user: one cgroup with all controllers would do.
local function undelegated(hierarchy)
  local commands = delegation(hierarchy)
  local systemd = hierarchy.version == 2 and "systemd-run --user --scope -p Delegate=yes luabox ...; without systemd " or ""
  return commands, ("delegate a cgroup: %s%s ($PID is the shell's that starts luabox)"):format(systemd, as_root(commands))
end

local function of_hierarchy(hierarchy, who, add)
  local place = ("version %d, %s"):format(hierarchy.version, hierarchy.mount)
  local commands, todo, enabled
  if not hierarchy.writable then
    commands, todo = undelegated(hierarchy)
  elseif hierarchy.version == 2 then
    commands = crowded(hierarchy)
    enabled = commands and select(2, words(read(hierarchy.base .. "/cgroup.subtree_control")))
    todo = commands and ("processes are in %s itself, and those below it get no controllers then; move them: %s"):format(
      hierarchy.base, table.concat(commands, "; "))
  end
  for _, name in ipairs(hierarchy.controllers) do
    add { name = name, [who] = hierarchy.writable and (not enabled or enabled[name] == true), detail = place, todo = todo, commands = commands }
  end
  if hierarchy.version == 1 then return end
  local names, gifts = not_given(hierarchy)
  local give = ("give them: %s; with systemd Delegate=%s in a drop-in of the unit (for users user@.service)"):format(
    as_root(gifts), table.concat(names, " "))
  for _, name in ipairs(names) do
    add {
      name = name, [who] = false, detail = ("%s, not given to %s"):format(place, hierarchy.base),
      commands = hierarchy.writable and gifts or commands, todo = hierarchy.writable and give or todo,
    }
  end
end

--- Controllers of the kernel that are in no hierarchy which is mounted here.
local function not_mounted(seen, v2, who, add)
  for name, id, enabled in read("/proc/cgroups"):gmatch "([%w_]+)\t(%d+)\t%d+\t(%d)\n" do
    local other = V2_NAMES[name] or name
    if not seen[name] and not (v2 and (V1_ALONE[name] or seen[other])) then
      local todo
      if enabled == "0" then
        todo = ("boot without cgroup_disable=%s, or with cgroup_enable=%s"):format(name, name)
      elseif id ~= "0" or not v2 then
        todo = ("mkdir -p /sys/fs/cgroup/%s; mount -t cgroup -o %s %s /sys/fs/cgroup/%s"):format(name, name, name, name)
      else
        todo = "whoever made the cgroup that is the top here has to give it"
      end
      add { name = name, [who] = false, detail = enabled == "0" and "turned off in the kernel" or "not mounted here", todo = todo }
    end
  end
end

--- The checks of the group "cgroups", as luabox.HostCheck[].
function controllers.probe(root)
  local who, list, seen, v2 = root and "root" or "user", {}, {}, false
  local function add(check)
    list[#list + 1], seen[check.name] = check, true
  end
  for _, hierarchy in ipairs(sys.cgroup.host()) do
    v2 = v2 or hierarchy.version == 2
    of_hierarchy(hierarchy, who, add)
  end
  if #list == 0 then add { name = "any controller", [who] = false, todo = "mount cgroup2 on /sys/fs/cgroup, and give this cgroup controllers" } end
  not_mounted(seen, v2, who, add)
  return list
end

return controllers
