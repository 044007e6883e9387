-- luabox policy check|test|explain: looks at a site's policies.
local cli = require "luabox.cli"
local errors = require "luabox.errors"
local sys = require "luabox.sys"

local policy = { summary = "Check, test and explain site policies.",
  words = { check = { "folders", "none" }, test = { "folders", "none" }, explain = { "scripts", "files" } } }

local FOLDER = "/etc/luabox/policy.d"

local EXAMPLES = [[
luabox policy check                    what is wrong with the site's own
luabox policy test ./web               the cases in ./web/tests/*.lua
luabox policy explain box.lua          what each rule makes of it]]

function policy.parser()
  local parser = cli.parser("policy", "Looks at a site's policies. See docs/policy.md.", EXAMPLES)
  parser:command_target "command"
  parser:require_command(true)
  local check = parser:command("check", "Tell what is wrong with the policies of a folder.")
  check:argument("folder", "The folder of *.lua files; by default the site's own."):args "?":argname "FOLDER"
  local test = parser:command("test", "Run the cases in FOLDER/tests/*.lua against the policies of FOLDER.")
  test:argument("folder", "The folder of *.lua files."):argname "FOLDER"
  local explain = parser:command("explain", "Tell what each rule makes of the containers of SCRIPT. Nothing is started.")
  explain:argument("script", "The container script."):argname "SCRIPT"
  explain:argument("arguments", "Its arguments."):args "*":argname "ARG"
  return parser
end

local commands = {}

-- ---- check

--- The globals that the functions of `chunk` read, with their lines.
local function globals_of(chunk)
  local util = require "jit.util"
  -- The operation's number is this LuaJIT's own: taken from a function that is known to read one.
  local sample = loadstring "return some_global"
  local GGET = bit.band((util.funcbc(sample, 1)), 0xff)
  local found = {}
  local function walk(prototype)
    local info = util.funcinfo(prototype)
    for pc = 1, info.bytecodes - 1 do
      local instruction = util.funcbc(prototype, pc)
      if bit.band(instruction, 0xff) == GGET then
        local name = util.funck(prototype, -bit.rshift(instruction, 16) - 1)
        found[#found + 1] = { name = name, line = util.funcinfo(prototype, pc).currentline }
      end
    end
    if info.children then
      for i = -1, -(info.gcconsts or 0), -1 do
        local constant = util.funck(prototype, i)
        if type(constant) == "proto" then walk(constant) end
      end
    end
  end
  walk(chunk)
  return found
end

local function unknown_names(folder, words, tell)
  local known = {}
  for _, word in ipairs(words) do known[word] = true end
  for _, name in ipairs(sys.file.list(folder)) do
    local chunk = name:match "%.lua$" and loadstring(sys.file.read(folder .. "/" .. name), "@" .. name)
    for _, each in ipairs(chunk and globals_of(chunk) or {}) do
      if not known[each.name] then
        tell("%s:%d: there is no '%s' in a policy%s", name, each.line, each.name, errors.suggestion(each.name, words))
      end
    end
  end
end

--- Whether the token at `at` is compared with the field `primitive` of a request.
local function names_primitive(tokens, at)
  local function text(i) return tokens[i] and tokens[i].text or "" end
  local function compares(i) return text(i) == "==" or text(i) == "~=" end
  if compares(at - 1) then return text(at - 2) == "primitive" end
  return compares(at + 1) and (text(at + 2) == "primitive" or text(at + 4) == "primitive")
end

--- Primitives that a rule looks for, and that are not there: it would never be about them.
local function unknown_primitives(folder, tell)
  local known, list
  for _, file in ipairs(sys.file.list(folder)) do
    local tokens = file:match "%.lua$" and require("luabox.lexer").tokens(sys.file.read(folder .. "/" .. file)) or {}
    for at, token in ipairs(tokens) do
      local compared = token.kind == "string" and names_primitive(tokens, at)
      local name = compared and token.text:match "^[\"'](.*)[\"']$"
      if name and not known then
        known, list = require("luabox.primitives").all(), {}
        for each in pairs(known) do list[#list + 1] = each end
      end
      if name and not known[name] then
        tell("%s:%d: there is no primitive '%s'%s", file, token.line, name, errors.suggestion(name, list))
      end
    end
  end
end

-- What every rule of a kind is asked about sooner or later: one that fails on it fails for real.
local SAMPLES = {
  mount = { { primitive = "mount.make_tmpfs", type = "tmpfs", arguments = {}, options = {} },
    { primitive = "mount:attach", target = "/data", arguments = {}, options = {} },
    { primitive = "mount.copy_of", type = "bind", source = "/nonexistent", sources = { "/nonexistent" }, device = "0", inode = "0", owner = 0,
      directory = true, arguments = {}, options = {} } },
  device = { { primitive = "root:mknod", path = "null", arguments = {}, options = { type = "char", major = 1, minor = 3 } } },
  capability = { { primitive = "security.apply", capabilities = {}, arguments = {}, options = {} } },
  exec = { { name = "sample", command = { "/bin/sh" }, user = "root", env = {}, labels = {}, capabilities = {} } },
  import = { { name = "sample", source = "/nonexistent" } },
  program = { { primitive = "exec", command = { "/bin/sh" }, arguments = {}, options = {} } },
}

local function plainest()
  local script = { rootfs = "/", command = { "/bin/sh" }, name = "sample" }
  local container = require("luabox.container").new(script)
  return require("luabox.policy").request(container, "sample"), container
end

local CALLER = { uid = 1000, gid = 1000, name = "user" }
local SCRIPT = { path = "/home/user/box.lua", device = "0", inode = "0", owner = 1000, trusted = false }

local function complete(request)
  request.caller = request.caller or CALLER
  request.script = request.script or SCRIPT
  request.running = request.running or {}
  request.pid = request.pid or 1
  return request
end

--- What they make of a request; of the container that it is about, a change of a rule's makes another.
local function answer_of(policies, kind, request, container)
  local library = require "luabox.policy"
  local function decide(...) return policies:decide(...) end
  return library.decided(decide, kind, request, function(changed)
    if kind == "update" then changed.cgroup = require("luabox.limit_names").values(changed.cgroup) end
    if not container then return changed end
    local made = library.revised(container, request, changed, require("luabox.container").remade, function() end)
    return library.request(made, request.name)
  end)
end

local function samples_of(kind)
  if kind == "run" then
    local request, container = plainest()
    return { request }, container
  end
  if kind == "update" then return { { name = "sample", labels = {}, cgroup = (plainest()).cgroup } } end
  return SAMPLES[kind] or { { primitive = "sample", arguments = {}, options = {} } }
end

local WRONG = { "^the rule failed", "^the rule returned", "^it changed '" }

local function is_wrong(reason)
  if reason:find("there is no '[^']*' in a policy") then return false end  -- the names were looked at before
  for _, pattern in ipairs(WRONG) do
    if reason:find(pattern) then return true end
  end
end

--- What the rules of a kind make of a plain request; tells what is wrong. Returns the answer, nil where there is none.
local function try_request(policies, kind, sample, container, tell)
  local ok, answer = errors.try(answer_of, policies, kind, complete(sample), container)
  if not ok and answer.code == "ETIMEDOUT" then
    tell("a rule about '%s' does not end", kind)
    return nil, "no more can be asked"
  end
  if not ok then return tell("a plain '%s': %s", kind, answer.message) end
  if answer.error then return tell("a plain '%s': %s", kind, answer.error) end
  for _, entry in ipairs(answer.report or {}) do
    if is_wrong(entry.reason or "") then tell("%s: rule '%s': %s", entry.file, entry.rule, entry.reason) end
  end
  for _, miss in ipairs(answer.misses or {}) do
    tell("%s: a request of the kind '%s' has no field '%s'%s", miss.where, kind, miss.name, miss.suggestion)
  end
  return answer
end

--- Rules that a plain request does not get to, since one before them refuses it.
local function tell_dead(kind, rules, refusals, samples, note)
  local closed
  for _, rule in ipairs(rules) do
    local concerns = false
    for _, on in ipairs(rule.on) do concerns = concerns or on == kind end
    if concerns and closed and rule.checks then
      note("%s: rule '%s' is dead for a plain '%s': '%s' before it refuses that", rule.file, rule.name, kind, closed)
    end
    if concerns and not closed and (refusals[rule.name] or 0) == samples and rule.mode == "enforce" then closed = rule.name end
  end
end

local function try_rules(policies, summary, tell, note)
  for _, kind in ipairs(summary.kinds) do
    local refusals = {}
    local samples, container = samples_of(kind)
    for _, sample in ipairs(samples) do
      local answer, over = try_request(policies, kind, sample, container, tell)
      if over then return end
      for _, entry in ipairs(answer and answer.report or {}) do
        if entry.verdict == "refused" then refusals[entry.rule] = (refusals[entry.rule] or 0) + 1 end
      end
    end
    tell_dead(kind, summary.rules, refusals, #samples, note)
  end
end

--- Files that are not read, though they stand where policies do.
local function tell_unread(folder, note)
  for _, name in ipairs(sys.file.list(folder)) do
    if sys.file.kind(folder .. "/" .. name) ~= "directory" and (not name:match "%.lua$" or name:sub(1, 1) == ".") then
      note("%s is not read: its name does not end in .lua, or begins with a dot", name)
    end
  end
end

local function plural(count, what) return ("%d %s%s"):format(count, what, count == 1 and "" or "s") end

local function existing(folder)
  if sys.file.kind(folder .. "/.") ~= "directory" then errors.raise("there is no folder %s", folder) end
  return folder
end

--- Whether the audit log can be written is only known when it is; that its folder is there can be told now.
local function check_audit(path, tell)
  local folder = path and path:match "^(.*)/[^/]*$"
  if folder and sys.file.kind(folder .. "/.") ~= "directory" then tell("audit: there is no folder %s: every request would be refused", folder) end
end

function commands.check(options)
  local folder, problems, told = options.folder or FOLDER, 0, {}
  local function tell(...)
    local text = (...):format(select(2, ...))
    if told[text] then return end
    told[text], problems = true, problems + 1
    sys.log.error(text)
  end
  local function note(...) print((...):format(select(2, ...))) end
  existing(folder)
  local trusted, why = errors.try(sys.policy.verify, folder)
  if not trusted and folder == FOLDER then tell("%s", why.message) end
  if not trusted and folder ~= FOLDER then note("as a site's own it would be refused: %s", why.message) end
  tell_unread(folder, note)
  local policies = sys.policy.load(folder)
  local ok, summary = errors.try(policies.summary, policies)
  if not ok then
    tell("%s", (summary.message:gsub("^refused: the policies could not decide: ", "", 1)))
  else
    unknown_names(folder, summary.words, tell)
    unknown_primitives(folder, tell)
    check_audit(summary.audit, tell)
    try_rules(policies, summary, tell, note)
    local count = #summary.rules == 0 and "there are no rules in " .. folder or plural(#summary.rules, "rule") .. " about "
    note("%s%s%s", count, table.concat(summary.kinds, ", "), summary.allows and "; some scripts are allowed more than containers" or "")
  end
  return problems == 0 and 0 or 1
end

-- ---- test

local CASE = { container = true, on = true, request = true, caller = true, script = true, time = true, running = true,
  allowed = true, refused_by = true, reason = true, changed = true }

--- What every request of the kind has, which a case need not say.
local function with_defaults(request, kind)
  local always = ({ exec = { name = "case", user = "root", env = {}, labels = {}, capabilities = sys.security.default_capabilities() },
    update = { name = "case", labels = {}, cgroup = {} }, import = { name = "case" } })[kind] or {}
  for key, value in pairs(always) do
    if request[key] == nil then request[key] = value end
  end
  if kind == "update" then request.cgroup = require("luabox.limit_names").values(request.cgroup) end
  return request
end

local function request_of(case)
  local request, container = with_defaults(case.request or {}, case.on), nil
  if case.container then
    container = require("luabox.container").new(case.container)
    request = require("luabox.policy").request(container, container.config.name or "case")
  end
  for _, key in ipairs { "caller", "script", "time", "running" } do request[key] = case[key] or request[key] end
  return complete(request), container
end

--- Why the case failed; nil when it did not.
local function judge(case, answer, request)
  if case.refused_by then
    if answer.allow then return ("nothing refused it, expected '%s'"):format(case.refused_by) end
    if answer.rule ~= case.refused_by then
      return ("refused by '%s' (%s), expected '%s'"):format(answer.rule or "?", answer.reason, case.refused_by)
    end
    if case.reason and not answer.reason:find(case.reason, 1, true) then
      return ("the reason is '%s', without '%s'"):format(answer.reason, case.reason)
    end
  elseif not answer.allow then
    return ("refused by '%s': %s"):format(answer.rule or "?", answer.reason)
  end
  if case.changed and not case.changed(answer.request or request) then return "what came out is not as expected" end
end

local function run_case(policies, case, seen)
  if case.changed ~= nil and type(case.changed) ~= "function" then
    return ("changed: expected a function of what came out, got %s"):format(type(case.changed))
  end
  for key in pairs(case) do
    if not CASE[key] then
      local known = {}
      for word in pairs(CASE) do known[#known + 1] = word end
      return ("a case has no field '%s'%s"):format(tostring(key), errors.suggestion(tostring(key), known))
    end
  end
  if not (case.refused_by or case.allowed or case.changed) then return "expected refused_by, allowed = true or changed" end
  if case.refused_by and (case.allowed or case.changed) then return "what is refused is neither allowed nor changed" end
  local ok, result = errors.try(function()
    local request, container = request_of(case)
    local answer = answer_of(policies, case.on or "run", request, container)
    for _, entry in ipairs(answer.report or {}) do
      if entry.verdict ~= "passed" then seen[entry.rule] = true end
    end
    return judge(case, answer, request) or false
  end)
  if not ok then return tostring(result) end
  return result or nil
end

function commands.test(options)
  local policies = sys.policy.load(existing(options.folder))
  local summary = policies:summary()
  local passed, failed, seen = 0, 0, {}
  local function case(name)
    return function(definition)
      local problem = run_case(policies, definition, seen)
      if problem then
        failed = failed + 1
        print(("FAILED: %s: %s"):format(name, problem))
      else
        passed = passed + 1
      end
    end
  end
  local scope = setmetatable({ case = case }, { __index = function(_, name)
    local word = require("luabox.stdlib")[name]
    if word == nil then return _G[name] end
    return word
  end })
  local folder = options.folder .. "/tests"
  for _, name in ipairs(sys.file.list(folder)) do
    if name:match "%.lua$" then
      local chunk, problem = loadstring(sys.file.read(folder .. "/" .. name), "@" .. folder .. "/" .. name)
      if not chunk then errors.raise("%s", problem) end
      setfenv(chunk, scope)()
    end
  end
  if passed + failed == 0 then errors.raise("there are no cases in %s", folder) end
  for _, rule in ipairs(summary.rules) do
    if not seen[rule.name] then print(("no case is stopped or changed by the rule '%s' (%s)"):format(rule.name, rule.file)) end
  end
  print(("%d passed, %d failed"):format(passed, failed))
  return failed == 0 and 0 or 1
end

-- ---- explain

local VERDICTS = { refused = true, changed = true, ["would refuse"] = true, ["would change"] = true }

--- What the rules make of one request: of a container all of them, of a primitive those that do not let it pass. In a pretence nothing is printed: it
--- is kept in `lines`.
local function tell_answer(kind, request, answer, lines)
  local function print(text) lines[#lines + 1] = text end
  local plan_lines, whole = require "luabox.plan_lines", request.primitive == nil
  if whole then print(("%s %s:"):format(kind, request.name or "")) end
  for _, entry in ipairs(answer.report or {}) do
    if whole or VERDICTS[entry.verdict] then
      print(("  %-14s %-30s %s%s"):format(entry.verdict, entry.rule, entry.file, entry.reason and ": " .. entry.reason or ""))
      for _, change in ipairs(entry.changes or {}) do print("  -> " .. plan_lines.change(change)) end
    end
  end
  if whole then print(answer.allow and "  it is allowed" or "  it is refused") end
end

function commands.explain(options)
  sys.policy.start()
  if not sys.policy.active() then
    print "there are no policies"
    return 0
  end
  local refused, lines = false, {}
  local _, problem = require("luabox.plan").of(require "luabox.commands.run", options.script, options.arguments, {
    policies = function(kind, request, answer)
      tell_answer(kind, request, answer, lines)
      refused = refused or not answer.allow
    end,
  })
  for _, line in ipairs(lines) do print(line) end
  if problem and not refused then error(problem, 0) end
  return refused and 1 or 0
end

function policy.run(arguments)
  local options = cli.parse(policy.parser(), arguments)
  return commands[options.command](options)
end

return policy
