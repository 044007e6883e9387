-- The gate: what a pretence is given, what it gives back, and that the engine is left alone.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"

--- Calls `body` in a pretence; returns the names of the primitives that it was given.
local function pretended(body, answer)
  local names = {}
  sys.gate.pretend(function(name, reads, stand_in, ...)
    names[#names + 1] = name .. (reads and "?" or "")
    if answer then return answer(name, stand_in, ...) end
    return stand_in
  end)
  local ok, problem = pcall(body)
  sys.gate.pretend(nil)
  if not ok then error(problem, 0) end
  return table.concat(names, " ")
end

test("a pretence is given what changes something, and nothing is changed", function()
  local before = sys.file.read "/proc/sys/kernel/hostname"
  check.equal(pretended(function() sys.sethostname "pretended" end), "sethostname")
  check.equal(sys.file.read "/proc/sys/kernel/hostname", before)
  check.equal(pretended(function() sys.file.make_directory "/tmp/luabox-never" end), "file.make_directory")
  check.equal(sys.file.kind "/tmp/luabox-never", nil)
end)

test("a stand-in has the class that the primitive returns, and its methods pass the gate", function()
  local names = pretended(function()
    local tree = sys.mount.make_tmpfs { size = "1m" }
    check.equal(debug.getmetatable(tree).__metatable, "mount")
    check.equal(debug.getmetatable(tree:root()).__metatable, "root")
    check.equal(tree:is_directory(), false)
    tree:attach_at "/mnt"
  end)
  check.contains(names, "mount.make_tmpfs")
  check.contains(names, "mount:attach_at")
end)

test("no engine function takes a stand-in, then or later", function()
  local tree
  pretended(function() tree = sys.mount.make_tmpfs {} end)
  check.raises("used up by a pretence", tree.attach_at, tree, "/mnt")
  check.raises("used up by a pretence", tree.is_directory, tree)
  collectgarbage()
end)

test("what only reads asks the kernel, and answers with a stand-in where that can't know", function()
  local names = pretended(function()
    check.equal(sys.file.kind "/proc", "directory")
    local root = sys.mount.root "/proc"
    check.equal(root:kind "cmdline", "file")
    check.equal(debug.getmetatable(sys.mount.root "/no/such/folder").__metatable, "root")
  end)
  check.equal(names, "mount.root? root:kind? mount.root?")
end)

test("an argument of the wrong type is an error in a pretence too, of what reads", function()
  check.raises("expected", function() pretended(function() sys.mount.root {} end) end)
end)

test("the results of every kind of primitive are plausible", function()
  pretended(function()
    check.equal(debug.getmetatable(sys.clone({}, function() end)).__metatable, "process")
    check.equal(debug.getmetatable(sys.cgroup.create "x").__metatable, "cgroup")
    check.equal(debug.getmetatable(sys.file.lock("/no/such")).__metatable, "lock")
    check.equal(type(sys.user.umask "022"), "number")
    check.equal(type(sys.file.temporary "/tmp/x"), "string")
    check.equal(sys.setsid(), nil)
  end)
end)

test("a pretence may end the function of a clone, through pcall too", function()
  local stop, steps = nil, {}
  stop = sys.gate.pretend(function(name) if name == "exec" then return stop end end)
  local body = coroutine.create(function()
    steps[1] = "before"
    pcall(sys.exec, { "/bin/true" })
    steps[2] = "after"
  end)
  local ok, problem = coroutine.resume(body)
  sys.gate.pretend(nil)
  check.truthy(ok, problem)
  check.equal(table.concat(steps, " "), "before")
end)

--- The complete events of the trace, and the names of its threads by their numbers.
local function traced()
  local text, dropped = sys.gate.trace_text('{"traceEvents":[', function(where, key) return where .. " " .. key end)
  check.equal(dropped, 0)
  local events, names = {}, {}
  for _, event in ipairs(sys.json.decode(text).traceEvents) do
    if event.ph == "X" then events[#events + 1] = event elseif event.name == "thread_name" then names[event.tid] = event.args.name end
  end
  return events, names
end

test("a trace keeps the arguments, the result and the line", function()
  sys.gate.trace()
  pcall(sys.mount.root, "/no/such/folder")
  sys.user.umask "022"
  pcall(sys.mount.root, '/"\\\1ü\255')
  local events = traced()
  local failed, done, odd = events[#events - 2], events[#events - 1], events[#events]
  check.equal(failed.name, "mount.root")
  check.equal(failed.cat, "mount")
  check.contains(failed.args.failure, "No such file")
  check.equal(done.name, "user.umask")
  check.equal(done.args.arguments, '"022"')
  check.truthy(tonumber(done.args.result))
  check.contains(done.args.where, "gate_test.lua:")
  check.truthy(done.dur >= 0 and done.ts > 1e15)
  check.equal(odd.args.arguments, '"/"\\ ü\239\191\189"')
end)

test("what makes a trace's text says what it wants", function()
  check.raises("argument 2: expected a function", sys.gate.trace_text, "")
  check.raises("argument 1: expected a string", sys.gate.trace_text, {}, print)
end)

test("a trace has the events of a child that became another program, on a track of its own", function()
  sys.gate.trace()
  local child = sys.clone({}, function()
    sys.user.umask "022"
    sys.exec { "/bin/true" }
  end)
  child:release()
  child:wait()
  local events, names = traced()
  local inside = {}
  for _, event in ipairs(events) do
    if names[event.tid] == "child" then inside[#inside + 1] = event.name end
    if event.name == "exec" then check.truthy(event.dur > 0, "it lasts until the parent knows") end
    if event.name == "clone" then check.equal(names[tonumber(event.args.result:match "%d+")], "child") end
  end
  check.equal(table.concat(inside, " "), "user.umask exec")
end)

harness.finish()
