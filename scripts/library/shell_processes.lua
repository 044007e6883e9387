-- shell_processes.lua: processes, their cgroups and what they run as, as unshare, nsenter, setpriv and a shell have them, for shell_script.lua.
local words = require "luabox.shell_words"

local quote = words.quote

local steps = {}

-- ---- cgroups

local function hierarchy_of(path)
  for _, hierarchy in ipairs(require("luabox.sys").cgroup.host()) do
    if path:sub(1, #hierarchy.mount + 1) == hierarchy.mount .. "/" then return hierarchy end
  end
end

--- The folders between the hierarchy's mount and `folder`, the outermost first.
local function parents_of(folder, mount)
  local list, at = {}, mount
  for part in folder:sub(#mount + 2):gmatch "[^/]+" do
    list[#list + 1] = at
    at = at .. "/" .. part
  end
  return list
end

--- What version 2 calls a controller that has to be given to the cgroups below; nil where it gives it to all, as freezer and cpuacct.
local function given_below(hierarchy, controller)
  local name = controller == "blkio" and "io" or controller
  for _, each in ipairs(hierarchy.controllers) do
    if each == name then return name end
  end
end

--- What a new cgroup has not by itself: the controllers of version 2, the CPUs and the memory of version 1's cpuset.
local function set_up(self, folder, controller)
  local hierarchy = hierarchy_of(folder)
  if not hierarchy then return end
  local parents = parents_of(folder, hierarchy.mount)
  if hierarchy.version == 2 then
    controller = given_below(hierarchy, controller)
    for _, parent in ipairs(controller and parents or {}) do self:line("echo +%s > %s", controller, quote(parent .. "/cgroup.subtree_control")) end
  elseif controller == "cpuset" then
    for i = 2, #parents + 1 do
      local at = quote(parents[i] or folder)
      self:line("for file in cpuset.cpus cpuset.mems; do [ \"$(cat %s/$file)\" ] || cat %s/../$file > %s/$file; done", at, at, at)
    end
  end
end

--- Makes a folder of the group, once. Returns the group: { folders =, made = }.
local function make_folder(self, name, folder)
  local group = self.groups[name] or { folders = {}, made = {} }
  self.groups[name] = group
  if not group.made[folder] then
    group.made[folder] = true
    table.insert(group.folders, folder)
    self:line("mkdir -p %s", quote(folder))
    self:made("rmdir %s; rmdir --ignore-fail-on-non-empty %s", quote(folder), quote(folder:match "^(.*)/[^/]*$"))
  end
  return group
end

local function set_up_once(self, object, folder, controller)
  local group = make_folder(self, object, folder)
  if group.made[folder .. "\0" .. controller] then return end
  group.made[folder .. "\0" .. controller] = true
  set_up(self, folder, controller)
end

steps["cgroup.create"] = function(self, step)
  local name, options = step.arguments[1], step.arguments[2] or {}
  local object = step.result and step.result.object
  local planned_paths = require("luabox.sys").cgroup.planned_paths
  if not options.controllers or #options.controllers == 0 then return end
  for _, path in ipairs(planned_paths(name, {}, options)) do make_folder(self, object, path) end
  for _, controller in ipairs(options.controllers) do
    if controller == "cpuset" then
      for _, path in ipairs(planned_paths(name, {}, { parent = options.parent, controllers = { controller } })) do
        set_up_once(self, object, path, controller)
      end
    end
  end
end

steps["cgroup:write"] = function(self, step)
  local name = step.arguments[1].object
  for _, write in ipairs(step.writes or {}) do
    set_up_once(self, name, write.path:match "^(.*)/[^/]*$", write.controller)
    for value in tostring(write.value):gmatch "[^\n]+" do self:line("echo %s > %s", quote(value), quote(write.path)) end
  end
end

local function each_folder(self, step, form)
  local group = self.groups[step.arguments[1].object]
  for _, folder in ipairs(group and group.folders or {}) do self:line(form:format(quote(folder))) end
end

steps["cgroup:add"] = function(self, step)
  local pid = self:pid(step.arguments[2])
  if not pid then return self:none(step, "the process is not known") end
  each_folder(self, step, "echo " .. pid:gsub("%%", "%%%%") .. " > %s/cgroup.procs")
end
steps["cgroup:kill"] = function(self, step) each_folder(self, step, "kill -9 $(cat %s/cgroup.procs) || true") end
steps["cgroup:remove"] = function(self, step) each_folder(self, step, "rmdir %s") end
steps["cgroup.remove_path"] = function(self, step)
  local path, parent = step.arguments[1], step.arguments[1]:match "^(.*)/[^/]*$"
  self:line "try=0  # what has been killed is in it for a moment"
  self:line("until rmdir %s 2> /dev/null || [ $((try = try + 1)) -gt 100 ]; do sleep 0.05; done", quote(path))
  self:line("rmdir --ignore-fail-on-non-empty %s", quote(parent))
  for _, group in pairs(self.groups) do group.made[path] = nil end
end

-- ---- processes

--- "--mount --uts", and "--user --keep-caps": who has no ids yet would lose all power with the first program.
local function unshare_words(namespaces)
  local list = {}
  for _, word in ipairs(words.list(namespaces)) do list[#list + 1] = word == "user" and "--user --keep-caps" or "--" .. word end
  return table.concat(list, " ")
end

steps.clone = function(self, step)
  local options, name = step.arguments[1] or {}, step.result.object
  if self.inside_root then return self:none(step, "the container's root has no shell of the host's") end
  local number = self:write_process(name)
  for path in pairs(self.covered) do
    self:line("mkdir -p %s", quote(path))
    self:made("rmdir -p --ignore-fail-on-non-empty %s", quote(path))
    self.covered[path] = nil
  end
  local lines = {}
  local group = options.cgroup and self.groups[options.cgroup.object]
  for _, folder in ipairs(group and group.folders or {}) do lines[#lines + 1] = ("echo $$ > %s"):format(quote(folder .. "/cgroup.procs")) end
  local shell = ("sh -euc \"$inside_%s\""):format(number)
  local namespaces = unshare_words(options.namespaces)
  local propagation = namespaces:find "mount" and " --propagation unchanged" or ""
  if namespaces ~= "" then shell = ("unshare %s%s --fork %s"):format(namespaces, propagation, shell) end
  lines[#lines + 1] = "exec " .. shell
  self:line "exec 3<&0  # what runs in the background gets /dev/null"
  self:line("sh -euc %s <&3 3<&- &", quote("\n  " .. table.concat(lines, "\n  ")))
  self:line("child_%s=$!", number)
  self:made(namespaces == "" and "[ -z \"$child_%s\" ] || { kill -9 $child_%s; wait $child_%s; }" or "stop \"$child_%s\"", number, number, number)
  self:line "exec 3<&-"
  self:line(namespaces == "" and "pid_%s=$child_%s" or "pid_%s=$(born \"$child_%s\")", number, number)
  self:line("export pid_%s", number)
  if options.released then self:line(": > \"$work/go_%s\"", number) end
end

local function number_of(step) return step.arguments[1].object:match "%d+$" end

local function release(self, step) self:line(": > \"$work/go_%s\"", number_of(step)) end
steps["process:go"] = release
steps["process:release"] = release
steps["process:settle"] = function() end

steps["process:wait"] = function(self, step)
  local number = number_of(step)
  self:line "status=0"
  self:line("wait \"$child_%s\" || status=$?", number)
  self:line("pid_%s='' child_%s=''", number, number)
end
steps["process:kill"] = function(self, step)
  self:line("kill -%s %s || true", quote(step.arguments[2] or "TERM"), self:pid(step.arguments[1]))
end
steps["process:detach"] = function() end

--- newuidmap and newgidmap; and pasta, which goes on: it is ready when the file for its number is written.
steps.helper = function(self, step)
  local list, file = {}, nil
  for i, word in ipairs(step.arguments[1]) do
    list[i] = self:pid(word) or quote(word)
    if word == "--pid" then file = quote(step.arguments[1][i + 1]) end
  end
  local command = table.concat(list, " ")
  if not file then return self:line(command) end
  self:line("mkdir -p \"$(dirname %s)\"", file)
  self:line("%s < /dev/null &", command)
  self:line "helper=$!"
  self:made("kill -9 $helper; rm -f %s; rmdir -p --ignore-fail-on-non-empty \"$(dirname %s)\"", file, file)
  self:line("until [ -s %s ]; do kill -0 \"$helper\"; sleep 0.01; done", file)
end
steps["helper:kill"] = function(self) self:line "kill -9 \"$helper\"" end

steps["user.write_id_maps"] = function(self, step)
  local pid, maps = self:pid(step.arguments[1]), step.arguments[2] or {}
  if not pid then return self:none(step, "the process is not known") end
  if maps.setgroups then self:line("echo %s > \"/proc/\"%s/setgroups", quote(maps.setgroups), pid) end
  for _, kind in ipairs { "uid", "gid" } do
    local lines = {}
    for i, line in ipairs(maps[kind] or {}) do
      lines[i] = type(line) == "table" and ("%s %s %s"):format(line.inside, line.outside, line.count) or line
    end
    if lines[1] then self:line("printf '%%s\\n' %s > /proc/%s/%s_map", quote(table.concat(lines, "\n")), pid, kind) end
  end
end

steps.unshare = function(self, step) self:become(step, "unshare %s", unshare_words(step.arguments[1])) end

local NSENTER = { mnt = "mount" }
for kind in ("mount uts ipc pid net user cgroup time"):gmatch "%a+" do NSENTER[kind] = kind end

steps.setns = function(self, step)
  local options, list = step.arguments[2] or {}, {}
  local pid = self:pid(step.arguments[1])
  local kinds = words.list(options.namespaces or type(step.arguments[1]) == "string" and step.arguments[1]:match "/ns/(%l+)$")
  for i, kind in ipairs(kinds) do
    local path = pid and ("/proc/%s/ns/%s"):format(pid, kind == "mount" and "mnt" or kind)
    path = path or type(step.arguments[1]) == "string" and quote(step.arguments[1]) or nil
    list[i] = path and NSENTER[kind] and ("--%s=%s"):format(NSENTER[kind], path)
  end
  if #list == 0 or #list ~= #kinds then return self:none(step, "nsenter must be told the kind of the namespace") end
  self:become(step, "nsenter %s", table.concat(list, " "))
end

steps.sethostname = function(self, step) self:line("%s %s", self:tool "hostname", quote(step.arguments[1])) end
steps.setdomainname = function(self, step) self:line("%s %s", self:tool "domainname", quote(step.arguments[1])) end
steps.time_offsets = function(self, step)
  self:none(step, "with unshare they are options (--boottime, --monotonic): the program that it starts is in the namespace already")
end
steps.sleep = function(self, step) self:line("sleep %s", quote(step.arguments[1])) end
steps.chdir = function(self, step) self:line("cd %s", quote(step.arguments[1])) end
steps.setsid = function() end
steps["os.execute"] = function(self, step) self:line("sh -c %s || true", quote(step.arguments[1] or "")) end
steps["os.remove"] = function(self, step) self:line("rm -f %s", quote(step.arguments[1])) end
steps.print = function(self, step) self:line(words.print(step.arguments[1])) end

-- ---- what it runs as

steps["user.umask"] = function(self, step) self:line("umask %s", quote(step.arguments[1])) end
steps["user.nice"] = function(self, step) self:line("%s -n %s $$ > /dev/null", self:tool "renice", quote(step.arguments[1])) end
steps["user.oom_score_adj"] = function(self, step) self:line("echo %s > /proc/self/oom_score_adj", quote(step.arguments[1])) end
steps["user.rlimit"] = function(self, step)
  local limit = step.arguments[2] or {}
  local function text(value) return value == nil and "" or tostring(value) end
  local option = ("--%s=%s:%s"):format(step.arguments[1], text(limit.soft), text(limit.hard))
  self:line("%s --pid $$ %s", self:tool "prlimit", quote(option))
end

local function ids_words(ids)
  local groups = ids.keep_groups and "--keep-groups" or "--clear-groups"
  if not ids.keep_groups and #(ids.groups or {}) > 0 then groups = "--groups " .. quote(table.concat(ids.groups, ",")) end
  return ("--reuid %s --regid %s %s"):format(quote(ids.uid), quote(ids.gid), groups)
end

-- What may stand between the last set_ids and the exec, since it becomes words of the same setpriv: each exec between them would change what the
-- others left.
local LAST = { ["security.no_new_privs"] = true, ["security.apply"] = true, ["filter:load"] = true, ["security.seccomp"] = true,
  ["root:enter"] = true, chdir = true, init = true, exec = true, exit = true, print = true, sleep = true,
  ["user.umask"] = true, ["security.session_keyring"] = true }

steps["security.no_new_privs"] = function(self) self.privileges.no_new_privs = true end
steps["user.set_ids"] = function(self, step)
  local ids = step.arguments[1]
  if self.only(LAST) then
    self.privileges.ids = ids
  else
    self:become(step, "setpriv %s --inh-caps=-all", ids_words(ids))
  end
end
steps["security.apply"] = function(self, step) self.privileges.granted, self.privileges.ambient = step.arguments[2], step.arguments[3] end
steps["security.dumpable"] = function() end  -- a shell is

steps["security.session_keyring"] = function(self, step) self:none(step, "keyctl session starts a program, and is not everywhere") end
local function no_filter(self, step) self:none(step, "the filter is a program of the kernel's; see luabox explain --seccomp") end
steps["filter:load"], steps["security.seccomp"] = no_filter, no_filter
steps["security.exec_label"] = function(self, step)
  self:none(step, "aa-exec has no place behind the other steps: its label would be that of the tools in between")
end
steps["security.filter"] = function() end
steps["security.profile_for"] = function() end

local function list_of(names)
  local list = { "-all" }
  for _, name in ipairs(names or {}) do list[#list + 1] = "+" .. name end
  return table.concat(list, ",")
end

local function setpriv_words(privileges)
  local list = {}
  if privileges.ids then list[1] = ids_words(privileges.ids) end
  local ambient = privileges.ambient
  if privileges.granted then list[#list + 1] = ("--inh-caps=%s --bounding-set=%s"):format(list_of(ambient), list_of(privileges.granted)) end
  if ambient and #ambient > 0 then list[#list + 1] = "--ambient-caps=" .. list_of(ambient) end
  if privileges.no_new_privs then list[#list + 1] = "--no-new-privs" end
  return table.concat(list, " ")
end

--- What the shell ignores, because it started this process beside itself, the command does not.
steps.exec = function(self, step)
  local options, list = step.arguments[2] or {}, {}
  for i, word in ipairs(step.arguments[1]) do list[i] = quote(word) end
  local environment = {}
  for i, variable in ipairs(options.environment or {}) do environment[i] = quote(variable) end
  local privileges = setpriv_words(self.privileges)
  if privileges ~= "" then privileges = ("%s %s -- "):format(self:tool "setpriv", privileges) end
  if options.environment then table.insert(environment, 1, "-i") end
  table.insert(environment, 1, "--default-signal=INT,QUIT")
  self:line("exec %s %s %s%s", self:tool "env", table.concat(environment, " "), privileges, table.concat(list, " "))
end
steps.init = function(self, step)
  self:line "# no shell form: an init that passes signals on and reaps: here the command is process 1"
  steps.exec(self, step)
end
steps.exit = function(self, step)
  local waited = self.last and self.last.primitive == "process:wait"
  self:line("exit %s", self.side == "host" and waited and "\"$status\"" or quote(step.arguments[1] or 0))
end

steps.policy = function(self, step) self:line("# %s", words.plain(require("luabox.plan_lines").line(step))) end

return steps
