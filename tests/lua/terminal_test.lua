-- luabox.sys.terminal as scripts use it.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"
local terminal = sys.terminal

test("a terminal has two ends, and the size that it was given", function()
  local master, slave = terminal.open()
  check.truthy(sys.file.is_terminal(slave:number()))
  terminal.set_size(master:number(), { rows = 20, columns = 90 })
  local size = terminal.size(slave:number())
  check.equal(size.rows, 20)
  check.equal(size.columns, 90)
  master:close()
  slave:close()
  check.raises("already used up by close", terminal.use, slave)
end)

test("a child that uses a terminal has it as its own", function()
  local master, slave = terminal.open()
  local child = sys.clone({}, function()
    terminal.use(slave, { all = true })
    sys.exec({ "/bin/sh", "-c", "test -t 0 && test -t 1 && test -t 2 && : < /dev/tty" },
      { session = true, terminal = true })
  end)
  child:release()
  check.equal(child:wait(), 0)
  master:close()
end)

test("a terminal belongs to whom it was given", function()
  local _, slave = terminal.open()
  terminal.set_owner(slave, 1234, 5)
  local pipe = io.popen("stat -L -c %u:%g /proc/" .. sys.pid() .. "/fd/" .. slave:number())
  check.equal(pipe:read "*l", "1234:5")
  pipe:close()
end)

test("the master gives all that was written, also when the slave is closed", function()
  local master, slave = terminal.open()
  local child = sys.clone({}, function()
    terminal.use(slave, { all = true })
    sys.exec { "/bin/echo", "the last words" }
  end)
  child:release()
  slave:close()
  check.equal(child:wait(), 0)
  check.equal(master:read(), "the last words\r\n")
end)

test("what is no terminal has no size", function()
  local file = sys.namespace(0, "uts")
  check.equal(terminal.size(file:number()), nil)
  check.equal(check.raises("", terminal.set_size, file:number(), { rows = 1, columns = 1 }).code, "ENOTTY")
end)

test("signals that come meanwhile are passed on to the supervised, and supervise ends with them", function()
  local signals = terminal.forward_signals()
  local function looping()
    return sys.clone({}, function()
      sys.exec { "/bin/sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done" }
    end)
  end
  local one, two = looping(), looping()
  one:release()
  two:release()
  sys.sleep(0.3)
  os.execute("kill -TERM " .. sys.pid())
  terminal.supervise({ one, two }, signals)
  check.equal(one:wait(), 9)
  check.equal(two:wait(), 9)
  check.equal(signals:pending(), false)
end)

test("many processes can be supervised at once", function()
  local signals, processes = terminal.forward_signals(), {}
  for i = 1, 60 do
    processes[i] = sys.clone({}, function() sys.exec { "true" } end)
    processes[i]:release()
  end
  terminal.supervise(processes, signals)
  for i = 1, 60 do check.equal(processes[i]:wait(0), 0) end
end)

--- What a luabox that runs `text` says and exits with.
local function luabox(text)
  if not os.getenv "LUABOX" then harness.skip "LUABOX does not name the binary" end
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local pipe = io.popen(("timeout -k 1 20 %s run %s 2>&1; echo \" $?\""):format(os.getenv "LUABOX", path))
  local said = pipe:read "*a":gsub(path:gsub("%p", "%%%0"), "box"):gsub("%s+$", "")
  pipe:close()
  os.remove(path)
  return said
end

local RAISE = [[
local sys = require "luabox.sys"
local pid = sys.pid()
local function raise(signal) io.popen("kill -" .. signal .. " " .. pid):close() end  -- os.execute would ignore SIGINT
local function heard(signal)
  local ok, problem = pcall(function()
    raise(signal)
    for _ = 1, 1000 do sys.sleep(0.001) end
  end)
  return not ok and problem.code == "EINTR"
end
]]

test("interrupts within others leave these what they were", function()
  check.equal(luabox(RAISE .. [[
    local outer = sys.terminal.interrupts(1)
    local inner = sys.terminal.interrupts()
    assert(heard "TERM" and inner:clear() == "TERM")
    inner:release()
    assert(heard "HUP" and outer:clear() == "HUP")
    sys.terminal.interrupts(5):release()
    assert(heard "INT" and outer:clear() == "INT")
    outer:release()
    raise "TERM"  -- for those of luabox's own around this
  ]]):gsub("box:%d+: ", ""), "luabox: interrupted by SIGTERM\n 143")
end)

test("the script's own interrupts leave luabox's what they were", function()
  check.equal(luabox(RAISE .. [[
    local own = sys.terminal.interrupts()
    own:release()
    raise "TERM"
    while true do sys.sleep(0.01) end
  ]]):gsub("box:%d+: ", ""), "luabox: interrupted by SIGTERM\n 143")
end)

test("interrupts of a coroutine that is gone are heard as any others", function()
  check.equal(luabox(RAISE .. [[
    local interrupts = coroutine.wrap(function() return sys.terminal.interrupts() end)()
    for _ = 1, 20 do
      collectgarbage()
      local other = {}
      for i = 1, 1000 do other[i] = coroutine.create(function() end) end
      assert(heard "TERM" and interrupts:clear() == "TERM")
    end
    print "heard"
  ]]), "heard\n 0")
end)

test("what can't be interrupted is ended by the third signal, with its own status", function()
  for signal, status in pairs { TERM = 143, HUP = 129, INT = 130 } do
    check.contains(luabox(RAISE .. ([[
      local interrupts = sys.terminal.interrupts()
      local held = sys.clone({}, function() sys.exec { "/bin/sh", "-c",
        "for i in 1 2 3; do sleep 0.1; kill -%s " .. pid .. "; done" } end)
      held:release()
      local text = ("x"):rep(2 ^ 20)
      while true do (text .. "y"):find(("x*"):rep(30) .. "z") end
    ]]):format(signal)), "\n " .. status)
  end
end)

test("wrong arguments are told by number", function()
  local signals = terminal.forward_signals()
  check.raises("expected a list, got nothing", terminal.supervise)
  check.raises("expected a process, got the number 1", terminal.supervise, { 1 }, signals)
  check.raises("expected a signals, got nothing", terminal.supervise, {})
  check.raises("supervise: argument 4: expected seconds, 0 or more", terminal.supervise, {}, signals, nil, -1)
  check.raises("expected a root, got the number 3", terminal.open, 3)
  check.raises("unknown option 'row' (did you mean 'rows'?)", terminal.set_size, 0, { row = 1 })
end)

harness.finish()
