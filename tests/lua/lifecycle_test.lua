-- The order of steps: what runs when, and that what was begun is undone, always.
local harness = require "harness"
local test, check = harness.test, harness.check
local rootfs = require "rootfs"
local sys = require "luabox.sys"
local state = require "luabox.state"

local function fail(text) return function() error(text) end end

--- A container whose steps write their hooks down in `told`.
local function recording(path, told, steps)
  local function note(word) return function() told[#told + 1] = word end end
  local options = { rootfs = path, command = { "true" }, terminal = false }
  for i, broken in ipairs(steps) do
    local step = { prepare = note("prepare" .. i), attach = note("attach" .. i), undo = note("undo" .. i) }
    for hook, how in pairs(broken) do
      local told_as_ever = step[hook]
      step[hook] = function(this)
        if told_as_ever then told_as_ever() end
        how(this)
      end
    end
    options[i] = step
  end
  return container(options), told
end

local function left_over() return #state.list() end

rootfs.with(function(path)
  local before = left_over()

  test("what a start notes inside does not stay, and a script's function inside changes a copy", function()
    local c = container { rootfs = path, command = { "true" }, terminal = false }
    c:start()
    check.equal(rawget(c, "root"), nil)
    check.equal(rawget(c, "user"), nil)
    check.equal(c:wait(), 0)
    c:destroy()
    local seen = 0
    c = container { rootfs = path, command = { "true" }, terminal = false, function() seen = seen + 1 end }
    check.equal(c:run(), 0)
    check.equal(seen, 0)
  end)

  test("a start that shares memory comes through at first, again and again, whatever the collector does meanwhile", function()
    local clones, clone = 0, sys.clone
    sys.clone = function(options, body)
      clones = clones + 1
      return clone(options, body)
    end
    local ok, problem = pcall(function()
      for i = 1, 120 do
        local c = container { rootfs = path, command = { "true" }, terminal = false, init = i % 2 == 0, accounting = true }
        check.equal(c:run(), 0)
        if i % 10 == 0 then collectgarbage "step" end
      end
    end)
    sys.clone = clone
    if not ok then error(problem, 0) end
    check.equal(clones, 120)
  end)

  test("steps are prepared and attached in order, and undone in reverse", function()
    local c, told = recording(path, {}, { {}, {}, {} })
    check.equal(c:run(), 0)
    check.equal(table.concat(told, " "),
      "prepare1 prepare2 prepare3 attach1 attach2 attach3 undo3 undo2 undo1")
  end)

  test("a step whose prepare failed half way is undone too, and none after it", function()
    local c, told = recording(path, {}, { {}, { prepare = fail "half way" }, {} })
    local problem = check.raises("half way", c.start, c)
    check.contains(problem.where, "lifecycle_test.lua:")
    check.equal(table.concat(told, " "), "prepare1 prepare2 undo2 undo1")
  end)

  test("a failure in attach or inside undoes everything, and is the one that is told", function()
    local c, told = recording(path, {}, { {}, { attach = fail "no cable" } })
    check.raises("no cable", c.start, c)
    check.equal(table.concat(told, " "), "prepare1 prepare2 attach1 attach2 undo2 undo1")

    c, told = recording(path, {}, { {}, { enter = fail "no way in" } })
    local problem = check.raises("no way in", c.start, c)
    check.contains(problem.where, "lifecycle_test.lua:")
    check.equal(table.concat(told, " "), "prepare1 prepare2 attach1 attach2 undo2 undo1")
  end)

  test("an undo that fails stops no other, and the first failure is told when all were tried", function()
    local c, told = recording(path, {}, { {}, { undo = fail "second" }, { undo = fail "third" } })
    c:start()
    check.equal(c:wait(), 0)
    check.raises("third", c.destroy, c)
    check.contains(table.concat(told, " "), "undo3 undo2 undo1")
    c:destroy()
    check.equal(#told, 9)
  end)

  test("an undo that fails does not hide why the start failed", function()
    local c, told = recording(path, {}, { { undo = fail "undo" }, { prepare = fail "the cause" } })
    check.raises("the cause", c.start, c)
    check.contains(table.concat(told, " "), "undo2 undo1")
  end)

  test("an error value that is no table, or a hostile one, still undoes everything", function()
    for _, raised in ipairs { 42, true, setmetatable({}, { __index = fail "x", __tostring = fail "y" }) } do
      local c, told = recording(path, {}, { {}, { prepare = function() error(raised) end } })
      check.equal(pcall(c.start, c), false)
      check.equal(table.concat(told, " "), "prepare1 prepare2 undo2 undo1")
    end
  end)

  test("a function is a step that runs inside, before the command", function()
    local status = container({
      rootfs = path, terminal = false, command = { "sh", "-c", "test $(cat /tmp/note) = inside && exit 5" },
      mounts = { tmpfs "/tmp" },
      function(this)
        check.equal(sys.pid(), 1)
        this.root:write("/tmp/note", "inside")
      end,
    }):run()
    check.equal(status, 5)
    check.equal(sys.file.kind(path .. "/tmp/note"), nil)
  end)

  test("a step's namespaces are made, and a word that names none is an error", function()
    local own = container {
      rootfs = path, terminal = false, command = { "true" },
      { namespaces = "time", enter = function() end },
    }
    check.equal(own:run(), 0)
    local wrong = container { rootfs = path, terminal = false, command = { "true" }, { namespaces = "tiem" } }
    check.raises("expected some of mount uts", wrong.start, wrong)
  end)

  test("what is no step, or has an unknown hook, is an error at the container's line", function()
    local function with(step) return { rootfs = path, command = { "true" }, step } end
    check.raises("expected a function or a step as item 1 of its list, got 5", function() container(with(5)) end)
    check.raises("step has no field 'preprae' (did you mean 'prepare'?)", function()
      container(with { preprae = print })
    end)
    check.raises("step.undo: expected a function, got true", function() container(with { undo = true }) end)
  end)

  test("a lock that a step took is given back when another step can't tell its resources", function()
    local etc = require "luabox.etc"
    collectgarbage "stop"
    etc.step.resources = fail "no room"
    local c = container { rootfs = path, terminal = false, command = { "true" } }
    check.raises("no room", c.start, c)
    etc.step.resources = nil
    local lock = sys.file.lock(path)
    collectgarbage "restart"
    check.truthy(lock)
    lock:release()
  end)

  test("what a child's collector could reach of the parent's stays", function()
    local c = container {
      rootfs = path, terminal = false, command = { "sleep", "100" },
      function(this)
        this.group, this.record = nil, nil
        collectgarbage()
        collectgarbage()
      end,
    }
    c:start()
    check.truthy(rootfs.cgroups(c.name) ~= "")
    check.truthy(c:stats())
    c:destroy()
    check.equal(rootfs.cgroups(c.name), "")
  end)

  test("every record was removed with its container", function()
    check.equal(left_over(), before)
  end)
end)

harness.finish()
