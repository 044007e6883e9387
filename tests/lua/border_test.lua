-- The Lua border as a whole: every primitive with arguments that it can't take. Each failure is an error table with one sentence; none is
-- a crash, a "C++ exception", or a leak.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"

local MODULES = { "mount", "net", "cgroup", "security", "user", "archive", "terminal", "file", "json", "log" }

local folder = sys.file.temporary "/tmp/luabox-test-"
local root = sys.mount.root(folder)
local process = sys.clone({}, function() sys.exec { "sleep", "1000" } end)
process:release()

-- Values that are wrong for nearly everything; where one is right, the call happens in a child that is thrown away.
local WRONG = {
  ["nothing"] = {}, ["nil"] = { nil }, ["a table"] = { {} }, ["a table with a wrong field"] = { { no_such_field = 1 } },
  ["a number"] = { 5 }, ["a broken number"] = { 0.5 }, ["not a number"] = { 0 / 0 }, ["infinity"] = { 1 / 0 },
  ["minus one"] = { -1 }, ["a boolean"] = { true }, ["a function"] = { print }, ["a NUL"] = { "a\0b" },
  ["a long text"] = { ("x"):rep(100000) }, ["an empty text"] = { "" }, ["a root"] = { root }, ["a process"] = { process },
  ["a hostile table"] = { setmetatable({}, { __index = error, __metatable = false, __tostring = error }) },
  ["a file"] = { io.stdout }, ["a loop"] = { (function() local t = {} t[1], t.t = t, t return t end)() },
  ["a deep list"] = { { { { { { {} } } } } } },
}

-- Without arguments, or with those above, these end or stop the child as they should: nothing is left to ask.
local NOT_CALLED = {
  exit = "ends the process", clone = "the child of a child would be asked the same", sleep = "of infinity",
  ["terminal.supervise"] = "waits for the processes",
}

local function each_primitive(visit)
  for name, value in pairs(sys) do
    if type(value) == "function" and not NOT_CALLED[name] then visit(name, value) end
  end
  for _, module in ipairs(MODULES) do
    for name, value in pairs(sys[module]) do
      local full = module .. "." .. name
      if type(value) == "function" and not NOT_CALLED[full] then visit(full, value) end
    end
  end
end

local function each_method(visit)
  local objects = { root = root, process = process, lock = sys.file.lock(folder), descriptor = sys.namespace(0, "uts"),
    signals = sys.terminal.forward_signals() }
  for class, object in pairs(objects) do
    for name, method in pairs(debug.getmetatable(object).__index) do visit(class .. ":" .. name, method) end
  end
end

--- Says what is wrong with an error as a script sees it; nil when nothing is.
local function fault(problem)
  if type(problem) ~= "table" then return "no error table but " .. tostring(problem) end
  if type(problem.message) ~= "string" or problem.message == "" then return "no message" end
  for _, never in ipairs { "C++ exception", "internal error", "std::", "basic_string", "vector::" } do
    if problem.message:find(never, 1, true) then return problem.message:sub(1, 200) end
  end
  if problem.message:find "\n" then return "several lines: " .. problem.message:sub(1, 200) end
end

--- Calls `f` with `arguments` in a process in namespaces of its own; returns what it said, or how it died.
local function outcome(f, arguments)
  local child = sys.clone({ namespaces = "mount uts ipc net pid" }, function(parent)
    sys.mount.private "/"
    local ok, problem = pcall(f, unpack(arguments, 1, 5))
    parent:send(ok and "" or fault(problem) or "")
    sys.exit(0)
  end)
  local released, problem = pcall(child.release, child)
  local said = child:message()
  if said then return said end
  return released and "it became a program" or problem.message
end

test("no primitive crashes, hangs or answers with anything but an error table", function()
  local faults, count = {}, 0
  local function visit(name, f)
    for what, arguments in pairs(WRONG) do
      count = count + 1
      local said = outcome(f, { arguments[1], arguments[1], arguments[1] })
      if said ~= "" then faults[#faults + 1] = ("%s(%s): %s"):format(name, what, said) end
    end
  end
  each_primitive(visit)
  table.sort(faults)
  check.equal(table.concat(faults, "\n"), "")
  check.truthy(count > 1000)
end)

test("no method takes a wrong object, or wrong arguments, for a right one", function()
  local faults = {}
  each_method(function(name, method)
    for what, arguments in pairs(WRONG) do
      local said = outcome(method, { arguments[1], arguments[1] })
      if said ~= "" then faults[#faults + 1] = ("%s(%s): %s"):format(name, what, said) end
    end
  end)
  table.sort(faults)
  check.equal(table.concat(faults, "\n"), "")
end)

test("a name with a NUL is no other name that begins so", function()
  check.raises("option 'options': expected names without NUL bytes, got 'size\\0x'", sys.mount.make, "tmpfs", { options = { ["size\0x"] = "1m" } })
  check.raises("names without NUL bytes, got 'mode\\0'", sys.file.write, folder .. "/f", "x", { ["mode\0"] = 420 })
  check.raises("names without NUL bytes, got 'no\\0'", sys.file.rename, folder .. "/f", folder .. "/g", { replace = "no\0" })
  check.raises("names without NUL bytes, got 'memory\\0x'", sys.cgroup.plan, { ["memory\0x"] = "1MB" })
end)

test("a finalizer takes nothing but its own objects", function()
  for _, object in ipairs { root, process, sys.file.lock(folder), sys.namespace(0, "uts") } do
    local collect = debug.getmetatable(object).__gc
    for _, wrong in pairs { 5, "text", {}, io.stdout, object == root and process or root } do collect(wrong) end
    collect()
  end
  check.equal(root:kind "/", "directory")
  check.equal(process:status(), nil)
end)

test("more arguments than a primitive takes are an error", function()
  local faults = {}
  each_primitive(function(name, f)
    if name:find "^log" then return end  -- of texts only: told by the types
    local said = outcome(function()
      local ok, problem = pcall(f, nil, nil, nil, nil, nil, nil, nil, nil)
      if ok then error { message = "C++ exception" } end  -- taken: shown as a fault
      error(problem, 0)
    end, {})
    if said ~= "" then faults[#faults + 1] = name end
  end)
  table.sort(faults)
  check.equal(table.concat(faults, " "), "")
end)

--- Kilobytes that this process has in memory.
local function resident()
  return tonumber(sys.file.read("/proc/self/status"):match "VmRSS:%s*(%d+)")
end

test("ten thousand failing calls leak neither descriptors nor memory", function()
  local calls = {
    { sys.file.read, "/no/such/file" }, { sys.file.write, "/no/such/file", "x" }, { sys.file.kind, {} },
    { sys.file.lock, "/no/such/file" }, { sys.file.rename, "/no/such", "/nor/this" }, { sys.chdir, "/no/such" },
    { sys.mount.root, "/no/such" }, { sys.setns, "/dev/null" }, { sys.namespace, 0, "nett" }, { sys.json.decode, "[[[" },
    { sys.json.encode, { { { print } } } }, { sys.exec, {} }, { sys.unshare, "nett" }, { sys.clone, {}, 5 },
    { sys.terminal.open, folder }, { process.kill, process, "TRM" }, { root.read or sys.file.read, root, "/no/such" },
    { sys.cgroup.create, "" }, { sys.security.filter, { default = "allow", rules = { { names = { "mounnt" } } } } },
    { sys.user.rlimit, "nofiles", 5 },
  }
  local function round(times)
    for _ = 1, times do
      for _, call in ipairs(calls) do check.equal(pcall(unpack(call)), false) end
    end
    collectgarbage()
    collectgarbage()
  end
  round(100)  -- what is set up once
  local descriptors, memory = #sys.file.list "/proc/self/fd", resident()
  round(math.ceil(10000 / #calls))
  check.equal(#sys.file.list "/proc/self/fd", descriptors)
  if sys.file.read("/proc/self/maps"):find("libasan", 1, true) then return end  -- it keeps what was freed
  check.truthy(resident() - memory < 2048, ("%d KB more"):format(resident() - memory))
end)

process:kill "KILL"
root = nil
os.execute("rm -rf " .. folder)
harness.finish()
