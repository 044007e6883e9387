local harness = require "harness"; local test, check = harness.test, harness.check
local sys = require "luabox.sys"
local security, user = sys.security, sys.user

local function status(field)
  for line in io.lines("/proc/self/status") do
    local value = line:match("^" .. field .. ":%s*(%S+)")
    if value then return value end
  end
end

--- `body` runs in a child; what it raises is raised here.
local function in_child(body)
  local child = sys.clone({}, function()
    body()
    os.exit(0)
  end)
  pcall(child.release, child)
  check.equal(child:wait(), 0, "the child's exit status")
end

--- As in_child, where `body` returns text or raises: what it says crosses in a file.
local function told(body)
  local path = os.tmpname()
  local child = sys.clone({}, function()
    local file = assert(io.open(path, "a"))  -- before the body may give up the right to
    local ok, answer = pcall(body)
    file:write(ok and tostring(answer) or "raised: " .. tostring(answer.message or answer))
    file:close()
    os.exit(0)
  end)
  pcall(child.release, child)
  child:wait()
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  os.remove(path)
  return text
end

test("the default capabilities are eleven, by words", function()
  local names = security.default_capabilities()
  check.equal(#names, 11)
  check.equal(names[1], "chown")
end)

test("capability names are normalised, and a misspelt one names the nearest", function()
  local names = security.capability_names { "CAP_KILL", "chown" }
  check.equal(table.concat(names, " "), "chown kill")
  check.raises("did you mean 'net_admin'?", security.capability_names, { "net_admn" })
  check.raises("expected a list, got 'kill'", security.capability_names, "kill")
  check.raises("item 2: expected a string", security.capability_names, { "kill", 5 })
end)

test("a granted process has just what it was granted", function()
  local text = told(function()
    user.set_ids { uid = 0, gid = 0, groups = {}, keep_capabilities = true }
    security.apply(0, { "chown", "kill" })
    return status "CapEff" .. " " .. status "CapBnd"
  end)
  check.equal(text, "0000000000000021 0000000000000021")
end)

test("an ordinary user has only the ambient capabilities", function()
  local text = told(function()
    user.set_ids { uid = 1000, gid = 1000, groups = {}, keep_capabilities = true }
    security.apply(1000, { "chown", "kill" }, { "kill" })
    return table.concat({ status "CapEff", status "CapBnd", status "CapAmb" }, " ")
  end)
  check.equal(text, "0000000000000020 0000000000000021 0000000000000020")
end)

test("a misspelt set of capabilities is an error", function()
  check.raises("unknown option 'efective' (did you mean 'effective'?)", security.set_capabilities, { efective = {} })
  check.raises("must be permitted as well", security.set_capabilities, { effective = { "kill" } })
end)

test("the default filter refuses what it should, in a child too that got it from its parent", function()
  local filter = security.profile_for(security.default_capabilities())
  check.truthy(filter:size() > 100 and filter:size() < 700, "its size")
  in_child(function()
    security.no_new_privs()
    filter:load()
    check.equal(status "Seccomp", "2")
    check.raises("Operation not permitted", sys.sethostname, "x")
  end)
end)

test("a filter of the script's own answers as it says", function()
  in_child(function()
    security.no_new_privs()
    security.seccomp { default = "allow", rules = {
      { name = "personality", action = "errno:ENOTTY", args = { { index = 0, op = "==", value = 8, mask = "0xffffffff" } } },
      { names = { "setpriority", "umask" }, action = "errno:EDOM" },
    } }
    check.equal(check.raises("Inappropriate ioctl", user.personality, "linux32").code, "ENOTTY")
    check.equal(check.raises("out of domain", user.nice, 5).code, "EDOM")
    user.personality "linux"
  end)
end)

test("extend opens and closes calls on top of the default", function()
  in_child(function()
    security.no_new_privs()
    security.seccomp { extend = { allow = { "sethostname" }, deny = { "personality" } } }
    check.equal(check.raises("", user.personality, "linux").code, "EPERM")
  end)
end)

test("a wrong filter is refused with the reason", function()
  check.raises("unknown word 'defualt' (did you mean 'default'?)", security.seccomp, "defualt")
  check.raises("unknown option 'rule' (did you mean 'rules'?)", security.filter, { rule = {} })
  check.raises("did you mean 'personality'?", security.filter, { rules = { { name = "pesonality" } } })
  check.raises("a rule names at least one system call", security.filter, { rules = { { action = "allow" } } })
  check.raises("an action is allow,", security.filter, { default = "deny" })
  check.raises("unknown word '='", security.filter, { rules = { { name = "read", args = { { index = 0, op = "=", value = 1 } } } } })
  check.raises("at most 64 bits", security.filter, { rules = { { name = "read", args = { { index = 0, value = "0x1ffffffffffffffff" } } } } })
  check.raises("whole number", security.filter, { rules = { { name = "read", args = { { index = 0, value = 1.5 } } } } })
  check.raises("a system call's arguments are 0 to 5", security.filter, { rules = { { name = "read", args = { { index = 6, value = 0 } } } } })
  local function refused(reason, argument)
    check.raises(reason, security.filter,
      { default = "allow", rules = { { name = "read" }, { name = "kill", action = "errno", args = { argument } } } })
  end
  refused("filter: argument 1: option 'rules': item 2: option 'args': item 1: expected the option 'index', which", { value = 9 })
  refused("option 'args': item 1: expected the option 'value', what the argument is compared with", { index = 1 })
  refused("argument 1: the value 0x100000009 has bits that the mask 0xffffffff leaves out, and is never equal",
    { index = 1, value = "0x100000009", mask = 0xffffffff })
  refused("is never equal", { index = 1, op = "!=", value = 2, mask = 1 })
  refused("unknown word 'masked'", { index = 1, op = "masked", value = 1, mask = 1 })
  check.truthy(security.filter { default = "allow", rules = { { name = "kill", args = { { index = 1, op = ">", value = 9, mask = 7 } } } } })
  for _, pair in ipairs { { "aarch64", "x86_64" }, { "arm", "x86_64" }, { "x86_64", "aarch64" } } do
    if not pcall(security.filter, { architectures = { pair[1] } }) then
      check.raises(pair[1] .. ": the architecture is another machine's; this one has " .. pair[2], security.filter, { architectures = { pair[1] } })
    end
  end
  check.raises("unknown architecture 'x86-64'", security.filter, { architectures = { "x86-64" } })
  check.raises("expected one of 'default', 'strict', 'none', got nothing", security.filter)
  check.raises("expected a filter", security.profile_for({}).load, 5)
  check.raises("unknown option 'logs'", security.profile_for({}).load, security.profile_for {}, { logs = true })
end)

test("a filter can be told in words", function()
  local lines = security.describe { default = "errno", rules = { { name = "read", action = "allow" } } }
  check.equal(lines[1], "read: allow")
  check.equal(lines[2], "default: errno:EPERM")
end)

test("no_new_privs is in force afterwards", function()
  in_child(function()
    security.no_new_privs()
    check.equal(status "NoNewPrivs", "1")
  end)
  check.raises("expected 0 arguments, got 1", security.no_new_privs, true)
end)

test("a session keyring is another one each time", function()
  in_child(function()
    local first, second = security.session_keyring(), security.session_keyring "luabox-lua-test"
    check.truthy(not first or first ~= second, "another serial")
  end)
end)

test("words that aren't known are errors", function()
  check.raises("unknown word 'maybe'", security.dumpable, "maybe")
  check.raises("expected one of 'no', 'yes', got boolean", security.child_subreaper, true)
  check.raises("unknown signal 'KIL' (did you mean 'KILL'?)", security.parent_death_signal, "KIL")
  if security.lsm() ~= "apparmor" then
    check.raises("this kernel has no AppArmor", security.exec_label, "profile", "apparmor")
  end
end)

harness.finish()
