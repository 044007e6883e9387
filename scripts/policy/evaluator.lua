-- evaluator.lua: the rules of a site, and how a request is held against them. Runs in the policy state (bindings/policy_state.hpp).
--
-- First every `change` of the request's kind, in order; then every `check` looks at what came out of them, so what is used is what was
-- checked. A rule that fails, or returns what it may not, refuses.
local host = ...
local error, ipairs, pairs, pcall, rawget, select, tostring, type = error, ipairs, pairs, pcall, rawget, select, tostring, type
local setmetatable, concat, sort = setmetatable, table.concat, table.sort

local evaluator = {}

local KINDS = {}
for kind in ([[run exec update import
  mount device capability seccomp cgroup interface nftables setns clone program process file user terminal archive]]):gmatch "%a+" do
  KINDS[#KINDS + 1] = kind
end
local IS_KIND = {}
for _, kind in ipairs(KINDS) do IS_KIND[kind] = true end

local WHOLE = { run = true, exec = true, update = true, import = true }
local ALLOWED = { ffi = true, popen = true, execute = true, bytecode = true, debug = true, primitives = true, files = true }
local FIELDS = { on = true, with = true, check = true, change = true, mode = true, needs = true }
local NEEDS, NONE = { running = true }, {}

-- What a request may have, by the field that it stands in ("" for its own): `luabox policy check` tells of what is read beyond that, which would be
-- nil for ever. A container's are those of scripts/meta.
local function set_of(text)
  local set = {}
  for name in text:gmatch "%S+" do set[name] = true end
  return set
end
local FACTS = "caller script pid time running "
local NAMES = {
  caller = "uid gid name login login_name", script = "path device inode owner trusted",
  time = "unix year month day hour minute weekday text", namespaces = "net ipc uts pid cgroup user",
  rootfs = "kind name path readonly overlay persist devices layers device inode owner directory",
  primitive = FACTS .. [[primitive arguments options type source sources target device inode owner directory root path process capabilities
    namespaces command]],
  run = FACTS .. [[name hostname domainname rootfs mounts default_mounts masked readonly_paths etc hosts dns cgroup cgroup_parent accounting
    network namespaces users user command env cwd init terminal capabilities seccomp no_new_privs apparmor keyring devices rlimits sysctl umask nice
    oom_score_adj personality labels image privileged steps ambient]],
  exec = FACTS .. "name command user env cwd terminal labels image capabilities", update = FACTS .. "name labels image cgroup",
  import = FACTS .. "name source device inode source_owner replace devices owner max_bytes sync",
  a_mount = [[type target source device inode owner directory readonly nosuid nodev noexec recursive propagation idmap size mode inodes gid
    hidepid subset lower upper work]],
  cgroup = [[memory memory_low memory_high memory_min swap swappiness oom_group cpu cpu_weight cpu_burst cpu_idle pids cpuset mems io_weight
    io_read_bps io_write_bps io_read_iops io_write_iops devices freezer rdma misc dmem]],
}
-- What a script may call a limit, and a request never does: policy.lua of the library has made it short.
local CALLED = {}
for short, names in pairs {
  memory = "memory.limit_in_bytes memory.max", memory_low = "memory_reservation memory.soft_limit_in_bytes memory.low", memory_high = "memory.high",
  memory_min = "memory.min", swap = "memory.swap.max memory.memsw.limit_in_bytes", swappiness = "memory.swappiness", oom_group = "memory.oom.group",
  cpu = "cpu_quota cpu_period cpu.max cpu.cfs_quota_us cpu.cfs_period_us", cpu_weight = "weight cpu.weight cpu.shares", pids = "pids.max",
  cpuset = "cpus cpuset.cpus", mems = "cpuset.mems", io_weight = "io.weight blkio.weight", freezer = "freezer.state cgroup.freeze",
} do
  for name in pairs(set_of(names)) do CALLED[name] = short end
end

local rules, by_name, by_kind, needs, allowances = {}, {}, {}, {}, {}
local audited = false
local file              -- the one that is being loaded
local denied            -- the reason of the deny() that the running rule called

--- " (did you mean 'check'?)", or nothing; `known` has the names as keys.
local function nearest(name, known)
  local names = {}
  for each in pairs(known) do names[#names + 1] = each end
  return host.suggestion(name, names)
end

-- ---- what a policy is written in

local scope = {}

local ACTIONS = { "check", "change" }
local ALONE = {}  -- kind -> { kind }: the list of a rule about one is the same for all
for _, kind in ipairs(KINDS) do ALONE[kind] = { kind } end

local function kinds_of(on)
  local list = type(on) == "table" and on or ALONE[on] or { on }
  if #list == 0 then error("a rule needs on = \"run\", or a list of kinds", 4) end
  for _, kind in ipairs(list) do
    if not IS_KIND[kind] then
      local of = type(kind) == "string" and kind:find "[.:]" and host.kind_of(kind)
      local hint = of and ("; a primitive is of a kind: on = \"%s\", and a check of its `primitive`"):format(of) or nearest(tostring(kind), IS_KIND)
      error(("there is no kind of request '%s'%s"):format(tostring(kind), hint), 4)
    end
  end
  return list
end

local function check_fields(definition, known, what, level)
  if type(definition) ~= "table" then error(("%s: expected a table, got %s"):format(what, type(definition)), level) end
  for key in pairs(definition) do
    if type(key) == "string" and not known[key] then error(("%s has no field '%s'%s"):format(what, key, nearest(key, known)), level) end
  end
end

--- The field that a request must have for the rule to be about it.
local function check_with(field, on)
  if field == nil then return end
  for _, kind in ipairs(on) do
    if WHOLE[kind] then error(("rule.with: only a rule about single primitives has it, and this one is about '%s'"):format(kind), 4) end
  end
  local known = set_of(NAMES.primitive)
  if type(field) ~= "string" or not known[field] then
    error(("rule.with: a request has no field '%s'%s"):format(tostring(field), nearest(tostring(field), known)), 4)
  end
end

local function define(name, where, definition)
  check_fields(definition, FIELDS, "rule", 4)
  for key in pairs(definition) do
    if type(key) ~= "string" then error("rule: expected only named fields", 3) end
  end
  for _, action in ipairs(ACTIONS) do
    if definition[action] ~= nil and type(definition[action]) ~= "function" then error(("rule.%s: expected a function"):format(action), 3) end
  end
  if not definition.check and not definition.change then error("a rule needs a check or a change", 3) end
  if definition.mode ~= nil and definition.mode ~= "enforce" and definition.mode ~= "shadow" then
    error("rule.mode: expected \"enforce\" or \"shadow\"", 3)
  end
  local rule = { name = name, file = where, check = definition.check, change = definition.change, shadow = definition.mode == "shadow",
    on = kinds_of(definition.on), with = definition.with }
  check_with(rule.with, rule.on)
  if by_name[name] then error(("there is a rule '%s' already, in %s"):format(name, by_name[name].file), 3) end
  by_name[name] = rule
  local wanted = definition.needs
  for _, each in ipairs(type(wanted) == "table" and wanted or wanted ~= nil and { wanted } or NONE) do
    if not NEEDS[each] then error(("rule.needs: expected \"running\", got '%s'"):format(tostring(each)), 3) end
    needs[each] = true
  end
  rules[#rules + 1] = rule
  for _, kind in ipairs(rule.on) do
    by_kind[kind] = by_kind[kind] or { changes = {}, checks = {}, with = {} }
    by_kind[kind].with[rule.with or "any"] = true
    by_kind[kind].narrow = by_kind[kind].narrow or rule.with ~= nil
    if rule.change then by_kind[kind].changes[#by_kind[kind].changes + 1] = rule end
    if rule.check then by_kind[kind].checks[#by_kind[kind].checks + 1] = rule end
  end
end

--- rule "no host network" { on = "run", check = function(request) ... end, change = function(request) ... end, mode = "shadow" }
function scope.rule(name)
  if type(name) ~= "string" or name == "" then error("rule: expected a name, such as rule \"no host network\" { ... }", 2) end
  local where = host.where() or file
  return function(definition) define(name, where, definition) end
end

--- return deny "use a bridge": refuses. To call it is enough: a forgotten `return` opens nothing.
function scope.deny(reason)
  denied = type(reason) == "string" and reason or "refused"
  return denied
end

--- allow { "primitives", "files", scripts = { "/opt/site/*.lua" }, users = { "root" } }: what scripts may have beyond container { ... }.
function scope.allow(definition)
  check_fields(definition, { scripts = true, users = true }, "allow", 3)
  for _, word in ipairs(definition) do
    if not ALLOWED[word] then error(("there is nothing '%s' to allow%s"):format(tostring(word), nearest(tostring(word), ALLOWED)), 2) end
  end
  if #definition == 0 then error("allow: expected what is allowed, such as allow { \"primitives\" }", 2) end
  for _, key in ipairs { "scripts", "users" } do
    if definition[key] ~= nil and type(definition[key]) ~= "table" then error(("allow.%s: expected a list"):format(key), 2) end
  end
  allowances[#allowances + 1] = definition
end

--- audit "/var/log/luabox/audit.log": where decisions are written, a JSON object a line. One that can't be written refuses.
function scope.audit(path)
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then error("audit: expected an absolute path", 2) end
  audited = path
end

--- log(text): a line in the audit log.
function scope.log(...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  if audited and evaluator.live then host.audit { time = host.time().text, log = concat(words, " "), rule = evaluator.at_work } end
end

--- Whether `path` is `folder` or lies below it, by name or through another mount of it. Both are compared without symlinks; a path that has
--- ".." in it, or is not absolute, is never compared: it refuses.
local function plain(path, what)
  if type(path) ~= "string" then error(("%s: expected a path, got %s"):format(what, type(path)), 3) end
  if path:sub(1, 1) ~= "/" or (path .. "/"):find("/../", 1, true) then error(("%s: '%s' is no resolved path"):format(what, path), 3) end
  local resolved = host.resolve(path) or path
  return resolved == "/" and "" or (resolved:gsub("/+$", ""))
end
local function within(one, other) return one == other or one:sub(1, #other + 1) == other .. "/" end
local function origin(path) return host.origin(path == "" and "/" or path) or "" end
function scope.under(path, folder)
  local one, other = plain(path, "under"), plain(folder, "under")
  return within(one, other) or within(origin(one), origin(other))
end

--- Whether one of the two lies in the other: a bind of "/" reaches "/etc" as one of "/etc/ssl" does.
function scope.reaches(path, folder)
  local one, other = plain(path, "reaches"), plain(folder, "reaches")
  local from, to = origin(one), origin(other)
  return within(one, other) or within(other, one) or within(from, to) or within(to, from)
end

--- Whether the list has the value.
function scope.has(list, value)
  for _, each in ipairs(list or {}) do
    if each == value then return true end
  end
  return false
end

--- bind { "/srv/data", "/data", readonly = true }, veth { ... }: the words of a container script, for changes. What is wrong with one is told
--- when it was made.
local function in_words(name, kind, ...)
  local names = { ... }
  scope[name] = function(value)
    if type(value) ~= "table" then value = { value } end
    local made = { [kind] = name }
    for key, each in pairs(value) do made[names[key] or key] = each end
    return made
  end
end
for name in ("proc sysfs tmpfs dev devpts mqueue overlay cgroupfs"):gmatch "%l+" do in_words(name, "type", "target") end
in_words("bind", "type", "source", "target")
in_words("image", "kind", "name")
in_words("directory", "kind", "path")
in_words("veth", "kind")
in_words("pasta", "kind")
in_words("bridge", "kind", "bridge")

function scope.KiB(n) return n * 2 ^ 10 end
function scope.MiB(n) return n * 2 ^ 20 end
function scope.GiB(n) return n * 2 ^ 30 end

for name in ("assert error ipairs next pairs pcall xpcall select tonumber tostring type unpack"):gmatch "%a+" do scope[name] = _G[name] end
rawset(string, "dump", nil)
scope.string, scope.table, scope.math, scope.bit = string, table, math, bit

--- Globals are strict: a misspelt name is an error where it stands, never a nil that a rule passes over.
local strict = {
  __index = function(_, name)
    local value = scope[name]
    if value == nil then error(("there is no '%s' in a policy%s"):format(tostring(name), nearest(tostring(name), scope)), 2) end
    return value
  end,
  __newindex = function(_, name) error(("'%s' would be a global: write local"):format(tostring(name)), 2) end,
  __metatable = "policy",
}

--- Runs the file `name`, which the host reads; returns what is wrong with it, or nothing.
function evaluator.load(name)
  file, evaluator.at_work = name, name
  local chunk, problem = host.chunk()
  if not chunk then return problem end
  host.set_scope(chunk, setmetatable({}, strict))
  local ok, raised = pcall(chunk)
  if not ok then return tostring(raised):find(name, 1, true) and tostring(raised) or name .. ": " .. tostring(raised) end
  evaluator.at_work = nil
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  sort(list)
  return list
end

local user_names = {}
local function name_of(uid)
  if user_names[uid] == nil then user_names[uid] = host.user(uid) or false end
  return user_names[uid] or nil
end

--- What a start needs to know of the policies: whom to ask, and when. What the first question will need is read now, beside the start.
function evaluator.summary()
  name_of(host.uid())
  host.time()
  local with = {}
  for kind, ruled in pairs(by_kind) do with[kind] = not ruled.with.any and sorted(ruled.with) or nil end
  return { kinds = sorted(by_kind), with = with, needs = sorted(needs), audit = audited, allows = #allowances > 0 }
end

--- What there is to tell of them.
local function description()
  local list = {}
  for i, rule in ipairs(rules) do
    list[i] = { name = rule.name, file = rule.file, on = rule.on,
      mode = rule.shadow and "shadow" or "enforce", checks = rule.check ~= nil }
  end
  local described = evaluator.summary()
  described.rules, described.words = list, sorted(scope)
  return described
end

-- ---- a request

local function copied(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, each in pairs(value) do copy[key] = copied(each) end
  return copy
end

local misses

local function miss(where, name, suggestion) misses[#misses + 1] = { name = name, where = where or "", suggestion = suggestion } end

local function watch(value, field)
  if type(value) ~= "table" or not NAMES[field] then return end
  local names = set_of(NAMES[field])
  setmetatable(value, { __index = function(_, name)
    if name == "running" then
      miss(host.where(), name, " without needs = \"running\"")
    elseif field == "cgroup" and CALLED[name] then
      miss(host.where(), name, (": it is '%s' there"):format(CALLED[name]))
    elseif type(name) == "string" and not names[name] and not (field == "cgroup" and name:find(".", 1, true)) then
      miss(host.where(), name, nearest(name, names))
    end
  end })
end

--- A list has no names: c.capabilities.kill is nil for ever.
local function watch_list(list, field)
  if type(list) ~= "table" then return end
  setmetatable(list, { __index = function(_, name)
    if type(name) == "string" then miss(host.where(), field .. "." .. name, (": '%s' is a list, for has(list, \"%s\")"):format(field, name)) end
  end })
end

--- What of a container has fields of its own.
local function watch_parts(request)
  for _, mount in ipairs(request.mounts or NONE) do watch(mount, "a_mount") end
  watch_list(request.capabilities, "capabilities")
  watch_list(request.ambient, "ambient")
end

local function watch_request(request, kind)
  if kind == "run" then watch_parts(request) end
  if kind == "run" or kind == "update" then watch(request.cgroup, "cgroup") end
  for _, field in ipairs { "caller", "script", "time", "namespaces", "rootfs" } do
    if field ~= "namespaces" and field ~= "rootfs" or kind == "run" then watch(rawget(request, field), field) end
  end
  watch(request, WHOLE[kind] and kind or "primitive")
end

--- Runs one action of a rule: "refused" and the reason, "passed", or what it returned.
local function act(rule, action, request, kind)
  denied, evaluator.at_work = nil, rule.name
  if misses then watch_request(request, kind) end
  local ok, result, more = pcall(rule[action], request)
  local reason = denied
  evaluator.at_work, denied = nil, nil
  if not ok then return "refused", "the rule failed: " .. tostring(result) end
  if reason then return "refused", reason end
  if action == "change" and type(result) == "table" then return "passed", nil, result end
  if result == nil then result = more end  -- return nil, "a reason"
  if result ~= nil then return "refused", ("the rule returned %s; expected nothing, or deny \"reason\""):format(type(result)) end
  return "passed"
end

local function note(report, rule, verdict, reason, changes)
  report[#report + 1] = { rule = rule.name, file = rule.file, verdict = verdict, reason = reason, changes = changes }
end

local function is_list(value) return type(value) == "table" and value[1] ~= nil and type(value[1]) ~= "table" end

--- What a change made of a request: { { field = "cgroup.memory", from =, to = } }, in order of the fields.
local function differences(before, after, path, list)
  local keys = {}
  for key in pairs(before) do keys[key] = true end
  for key in pairs(after) do keys[key] = true end
  for key in pairs(keys) do
    local from, to, field = before[key], after[key], path .. tostring(key)
    if type(from) == "table" and type(to) == "table" and not is_list(from) and not is_list(to) then
      differences(from, to, field .. ".", list)
    elseif from ~= to and not (type(from) == "table" and type(to) == "table" and host.encode(from) == host.encode(to)) then
      list[#list + 1] = { field = field, from = from, to = to }
    end
  end
  sort(list, function(a, b) return a.field < b.field end)
  return list
end

-- What of a request about something whole a rule may change, and what not; of a primitive the question says it.
local ONLY = {
  exec = { command = true, env = true, cwd = true, user = true, terminal = true, capabilities = true }, update = { cgroup = true },
  import = { devices = true, owner = true, max_bytes = true },
}
local NEVER = {}
for name in ("name image privileged steps running time caller script pid"):gmatch "%l+" do NEVER[name] = true end

local function list_has(list, name)
  for _, each in ipairs(list or {}) do
    if name == each or name:sub(1, #each + 1) == each .. "." then return true end
  end
end

local function may_change(question, field)
  local top = field:match "^[^.]+"
  if ONLY[question.kind] then return ONLY[question.kind][top] end
  if question.kind == "run" then return not NEVER[top] and field ~= "namespaces.user" end
  return list_has(question.changeable, top) and not list_has(question.fixed, field)
end

--- What a rule changed that it can't; it would be checked, and not be used.
local function not_to_change(question, changes)
  local has = {}
  for _, change in ipairs(changes) do
    if not may_change(question, change.field) then return change.field end
    has[change.field] = change.to ~= nil or nil  -- a root in the place of another has none of its facts
  end
  for _, fact in ipairs { "device", "inode", "owner", "directory" } do
    if has["rootfs." .. fact] and not (has["rootfs.path"] or has["rootfs.kind"]) then return "rootfs." .. fact end
  end
end

local function is_no_number(value)
  if type(value) ~= "table" then return type(value) == "number" and (value ~= value or value == 1 / 0 or value == -1 / 0) end
  for _, each in pairs(value) do
    if is_no_number(each) then return true end
  end
end

--- The field that a rule made 0/0 or 1/0 of: on its way to the script it would be none at all, and so no limit.
local function without_number(changes)
  for _, change in ipairs(changes) do
    if is_no_number(change.to) then return change.field end
  end
end

--- Those of the rules that are about the request; all, where none of them asks for a field.
local function about(request, list, narrow)
  if not narrow then return list end
  local result = {}
  for _, rule in ipairs(list) do
    if not rule.with or request[rule.with] ~= nil then result[#result + 1] = rule end
  end
  return result
end

--- Applies the changes; returns the request that came out, and whether it is another. With `told` the report says what they are.
local function change_all(question, changes, report, told)
  local request = question.request
  local before = #changes > 0 and host.encode(request)
  local now = before
  for _, rule in ipairs(changes) do
    local candidate = copied(request)
    local verdict, reason, returned = act(rule, "change", candidate, question.kind)
    candidate = returned or candidate
    local after = verdict == "passed" and host.encode(candidate)
    local made = after and after ~= now and differences(request, candidate, "", {})
    local wrong = made and not_to_change(question, made)
    if wrong then verdict, reason = "refused", ("it changed '%s', which no rule can change here"):format(wrong) end
    local odd = made and without_number(made)
    if odd then verdict, reason = "refused", ("it changed '%s' to no number"):format(odd) end
    if verdict == "refused" then
      note(report, rule, rule.shadow and "would refuse" or "refused", reason)
    elseif after ~= now then
      note(report, rule, rule.shadow and "would change" or "changed", nil, told and made or nil)
    end
    if not rule.shadow and verdict == "passed" and after ~= now then request, now = candidate, after end
  end
  return request, before ~= now, now
end

local function complete(request)
  request.time = request.time or host.time()
  local caller = request.caller
  if type(caller) ~= "table" then return end
  if caller.uid then caller.name = caller.name or name_of(caller.uid) end
  if caller.login then caller.login_name = caller.login_name or name_of(caller.login) end
end

local function first_refusal(report)
  for _, entry in ipairs(report) do
    if entry.verdict == "refused" then return entry end
  end
end

--- What the audit log says of a decision. What passed through a primitive unseen is not worth a line.
local function write_down(kind, request, refusal, report)
  if not audited or not (WHOLE[kind] or #report > 0) then return end
  local entry = { time = host.time().text, kind = kind, allow = refusal == nil, rule = refusal and refusal.rule, reason = refusal and refusal.reason,
    caller = request.caller, script = request.script, pid = request.pid, name = request.name, primitive = request.primitive,
    image = request.image, source = request.source }
  for _, each in ipairs(report) do
    if each ~= refusal then
      entry.rules = entry.rules or {}
      entry.rules[#entry.rules + 1] = each
    end
  end
  host.audit(entry)
end

--- A request about something whole that was changed is asked about again: the library makes of it what a script would have got, with short
--- forms written out and paths resolved, and hands the report of the changes back. So the checks see what is used.
local function decide(question)
  local request, kind, report = question.request, question.kind, question.report or {}
  local ruled = by_kind[kind] or { changes = {}, checks = {} }
  complete(request)
  local changes, checks = about(request, ruled.changes, ruled.narrow), about(request, ruled.checks, ruled.narrow)
  local result, changed, text = request, false, nil
  if not question.report then result, changed, text = change_all(question, changes, report, question.explain or audited) end
  if question.staged and changed and not first_refusal(report) then return { allow = true, again = true, request = text, report = report } end
  for _, rule in ipairs(checks) do
    local verdict, reason = act(rule, "check", result, kind)
    if verdict == "refused" then
      note(report, rule, rule.shadow and "would refuse" or "refused", reason)
      if not rule.shadow and not question.explain then break end
    elseif question.explain then
      note(report, rule, "passed")
    end
  end
  local refusal = first_refusal(report)
  if not question.explain then write_down(kind, result, refusal, report) end
  return { allow = refusal == nil, rule = refusal and refusal.rule, file = refusal and refusal.file, reason = refusal and refusal.reason,
    changed = changed, request = changed and text or nil, report = (question.explain or #report > 0) and report or nil }
end

--- The pattern of a shell: * within a name.
local function matches(text, glob)
  local pattern = glob:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", "[^/]*")
  return text:find("^" .. pattern .. "$") ~= nil
end

local function any(list, holds)
  if not list then return true end
  for _, each in ipairs(list) do
    if holds(each) then return true end
  end
  return false
end

--- What a script is allowed. A script is known by its path only where nobody but root can have written it.
local function allowed(request)
  complete(request)
  local words, script, caller = {}, request.script or {}, request.caller or {}
  for _, each in ipairs(allowances) do
    if any(each.scripts, function(glob) return script.trusted == true and matches(script.path, glob) end)
        and any(each.users, function(name) return caller.name == name or caller.uid == name end) then
      for _, word in ipairs(each) do words[word] = true end
    end
  end
  return { allow = true, words = words }
end

--- `facts` are what the asker says of himself: caller, script, pid. What the request says of them does not count.
function evaluator.answer(question, facts)
  for name, fact in pairs(facts or NONE) do question.request[name] = copied(fact) end
  if audited and not evaluator.live and not question.dry then
    host.audit_to(audited)
    evaluator.live = true
  end
  if question.op == "describe" then return description() end
  if question.op == "allowed" then return allowed(question.request) end
  if question.op == "decide" and IS_KIND[question.kind] then
    misses = question.dry and {} or nil
    if misses and not (needs.running and WHOLE[question.kind]) then question.request.running = nil end
    local answer = decide(question)
    answer.misses = misses
    return answer
  end
  error("an unknown question")
end

return evaluator
