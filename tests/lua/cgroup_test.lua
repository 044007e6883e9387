-- luabox.sys.cgroup as scripts use it: effects seen in the cgroup file system, and the messages of the Lua border.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"

local PARENT = "luabox-test-lua-" .. sys.pid()

local function readable(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "*l"
  file:close()
  return text or ""
end

local function base_of(controller)
  for _, hierarchy in ipairs(sys.cgroup.host()) do
    for _, name in ipairs(hierarchy.controllers) do
      if name == controller then return hierarchy.base, hierarchy.version end
    end
  end
  harness.skip("no cgroup controller " .. controller)
end

--- A cgroup that is removed at the end of the case, also when that fails.
local function with_cgroup(options, body)
  base_of "memory"
  base_of "pids"
  options.parent = PARENT
  local group = sys.cgroup.create("demo", options)
  local ok, problem = xpcall(function() body(group) end, function(raised)
    return type(raised) == "table" and raised or debug.traceback(tostring(raised), 2)
  end)
  group:remove()
  for _, hierarchy in ipairs(sys.cgroup.host()) do os.remove(hierarchy.base .. "/" .. PARENT) end
  if not ok then error(problem, 0) end
end

test("written limits are in the kernel's files and can be read in any scale", function()
  with_cgroup({}, function(group)
    group:write { memory = "64MiB", pids = 30, cpu = "20%" }
    local pids = base_of "pids" .. "/" .. PARENT .. "/demo"
    check.equal(readable(pids .. "/pids.max"), "30")
    check.equal(group:read "memory.limit_in_bytes", "67108864")
    check.equal(group:read "memory.max", "67108864")
    check.equal(group:read "cpu", "0.2")
    check.truthy(group:exists())
    group:remove()
    check.equal(readable(pids .. "/pids.max"), nil)
    check.equal(group:exists(), false)
    check.raises("it was removed", group.write, group, { pids = 1 })
  end)
end)

test("a cgroup that nobody holds any more is removed, and a kept one is not", function()
  local pids = base_of "pids" .. "/" .. PARENT
  sys.cgroup.create("lost", { parent = PARENT, controllers = { "pids" } })
  sys.cgroup.create("kept", { parent = PARENT, controllers = { "pids" } }):keep()
  collectgarbage()
  collectgarbage()
  check.equal(readable(pids .. "/lost/cgroup.procs"), nil)
  check.equal(readable(pids .. "/kept/cgroup.procs"), "")
  sys.cgroup.remove_path(pids .. "/kept", PARENT)
  check.equal(readable(pids .. "/kept/cgroup.procs"), nil)
  os.remove(pids)
end)

test("one that is there is opened by its paths, and stays when the object goes", function()
  with_cgroup({}, function(group)
    group:write { pids = 30 }
    local same = sys.cgroup.open(group:paths(), PARENT)
    check.equal(same:read "pids", "30")
    check.equal(same:stats().pids.limit, 30)
    same = nil
    collectgarbage()
    collectgarbage()
    check.truthy(group:exists())
    check.equal(same, nil)
    check.raises("is not on a cgroup file system", sys.cgroup.open, { "/tmp" }, PARENT)
    local paths = group:paths()
    group:remove()
    check.raises("it is gone", sys.cgroup.open, paths, PARENT)
  end)
end)

test("a plan names each file and value and makes nothing", function()
  local base, version = base_of "pids"
  local plan = sys.cgroup.plan({ pids = 5 }, { name = "planned", parent = PARENT })
  check.equal(#plan, 1)
  check.equal(plan[1].controller, "pids")
  check.equal(plan[1].file, "pids.max")
  check.equal(plan[1].value, "5")
  check.equal(plan[1].path, base .. "/" .. PARENT .. "/planned/pids.max")
  check.equal(readable(plan[1].path), nil)
  local paths = sys.cgroup.planned_paths("planned", { pids = 5 }, { parent = PARENT })
  check.equal(paths[#paths], base .. "/" .. PARENT .. "/planned")
  check.truthy(version == 1 or version == 2)
end)

test("figures have the limits and nothing that is not counted", function()
  with_cgroup({ controllers = { "pids" } }, function(group)
    group:write { ["pids.max"] = 9 }
    local stats = group:stats()
    check.equal(stats.pids.limit, 9)
    check.equal(stats.pids.current, 0)
    check.equal(#group:processes(), 0)
    local _, version = base_of "memory"
    if version == 1 then check.equal(group:oom_kills(), nil) end
    check.equal(#group:plan { pids = 4 }, 1)
  end)
end)

test("wrong keys and values name what is right, and make nothing", function()
  with_cgroup({}, function(group)
    check.raises("cgroup: unknown key 'memroy' (did you mean 'memory'?)", group.write, group, { memroy = 1 })
    check.raises("'12 apples' is no size; write 100MB, 64MiB or a number of bytes", group.write, group,
      { memory = "12 apples" })
    check.raises("expected a number, a string, true, false or a list of strings", group.write, group,
      { memory = print })
    check.raises("expected a table", group.write, group, 5)
    check.raises("expected only names as keys", group.write, group, { "memory" })
    check.raises("expected 2 arguments, got 3", group.write, group, {}, {})
    check.raises("can only be read", group.write, group, { ["pids.current"] = 1 })
  end)
end)

test("wrong arguments of the functions are told by name", function()
  check.raises("argument 1: expected a string, got nothing", sys.cgroup.create)
  check.raises("unknown option 'perent' (did you mean 'parent'?)", sys.cgroup.create, "x", { perent = "y" })
  check.raises("expected a plain name", sys.cgroup.create, "a//b", { parent = PARENT })
  check.raises("there is no such cgroup; make it, and write its limits, before those below it", sys.cgroup.create, "a/b",
    { parent = PARENT })
  check.raises("expected a plain name", sys.cgroup.create, "a", { parent = "../up" })
  check.raises("cgroup controller memroy", sys.cgroup.create, "a", { parent = PARENT, controllers = { "memroy" } })
  check.raises("expected HIERARCHY/luabox/NAME", sys.cgroup.remove_path, "/etc/passwd")
  check.raises("expected a table", sys.cgroup.plan, "memory")
end)

test("only a process or its number can be added", function()
  with_cgroup({ controllers = { "pids" } }, function(group)
    check.raises("argument 2: expected a whole number, got 'self'", group.add, group, "self")
    check.raises("argument 2: expected a process", group.add, group, group)
    check.raises("expected a process id", group.add, group, 0)
    check.raises("No such process", group.add, group, 2 ^ 22 + 1)
  end)
end)

test("freezing without the freezer says how to have it", function()
  local _, version = base_of "pids"
  if version == 2 then harness.skip "every v2 cgroup can freeze" end
  with_cgroup({ controllers = { "pids" } }, function(group)
    check.raises("name it when creating the cgroup", group.freeze, group)
  end)
end)

--- A cgroup in which something can still be made when the body is over.
local function with_nested(body)
  with_cgroup({ controllers = { "pids" } }, function(group) body(group, sys.cgroup.create("demo/a", { parent = PARENT })) end)
end

test("a cgroup below another lies in all of its hierarchies, and the other one in those that it needs", function()
  with_nested(function(group, below)
    local pids, memory = base_of "pids" .. "/" .. PARENT, base_of "memory" .. "/" .. PARENT
    check.equal(readable(pids .. "/demo/a/cgroup.procs"), "")
    below:write { memory = "64MiB" }
    check.equal(readable(memory .. "/demo/cgroup.procs"), "")
    group:write { memory = "32MiB" }
    check.equal(group:read "memory", "33554432")
    check.equal(below:read "memory", "67108864")
    below:remove()
    group:remove()
    check.equal(readable(pids .. "/demo/cgroup.procs"), nil)
    check.equal(readable(memory .. "/demo/cgroup.procs"), nil)
  end)
end)

test("what is made of a cgroup for those below it goes with it", function()
  with_nested(function(group, below)
    below:write { memory = "64MiB" }
    group:remove()
    check.equal(readable(base_of "memory" .. "/" .. PARENT .. "/demo/cgroup.procs"), nil)
  end)
end)

test("a limit that would not hold for the cgroups below is refused", function()
  local _, version = base_of "pids"
  if version == 2 then harness.skip "v2 has one hierarchy" end
  with_nested(function(group)
    local problem = check.raises("the cgroup a below it has no part in that hierarchy", group.write, group, { memory = "32MiB" })
    check.equal(problem.code, "EBUSY")
  end)
end)

test("the limits of a cgroup hold for all below it together", function()
  with_nested(function(group, below)
    group:write { pids = 3 }
    local other = sys.cgroup.create("demo/b", { parent = PARENT })
    local function started(where, command)
      local child = sys.clone({ cgroup = where }, function() sys.exec { "/bin/sh", "-c", command } end)
      child:release()
      return child
    end
    local forks = "(exit 7); exit $?"
    check.equal(started(other, forks):wait(), 7)
    local running = { started(below, "exec sleep 60"), started(below, "exec sleep 60") }
    check.equal(started(other, forks):wait(), 2)  -- the third can't have a child
    group:kill()
    for _, child in ipairs(running) do check.equal(child:wait(), 137) end
  end)
end)

test("a name is one cgroup in all hierarchies", function()
  with_cgroup({ controllers = { "pids" } }, function()
    check.raises("exists already", function()
      sys.cgroup.create("demo", { parent = PARENT }):write { memory = "64MiB" }
    end)
  end)
end)

test("a name that is taken is refused", function()
  with_cgroup({ controllers = { "pids" } }, function()
    local problem = check.raises("cgroup " .. PARENT .. "/demo exists already", sys.cgroup.create, "demo",
      { parent = PARENT, controllers = { "pids" } })
    check.equal(problem.code, "EEXIST")
  end)
end)

harness.finish()
