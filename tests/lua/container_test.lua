-- Containers that a script drives itself: start, wait, kill, stop, destroy, stats, run.
local harness = require "harness"
local test, check = harness.test, harness.check
local rootfs = require "rootfs"
local sys = require "luabox.sys"
local state = require "luabox.state"

local SLEEP = { "sleep", "100" }

--- A name of this run's: containers of all runs at once have their cgroups in one place.
local function named(word) return word .. "-" .. sys.pid() end

local function record_of(name)
  for _, each in ipairs(state.list()) do
    if each.name == name then return each end
  end
end

local function mounts() return rootfs.read "/proc/self/mountinfo" end

rootfs.with(function(path)
  local function new(fields)
    local options = { rootfs = path, command = { "true" }, terminal = false }
    for key, value in pairs(fields) do options[key] = value end
    return container(options)
  end

  --- What a command writes to a file of its own.
  local function output(fields)
    fields.mounts = fields.mounts or { proc "/proc", sysfs "/sys", dev "/dev", tmpfs "/tmp" }
    fields.mounts[#fields.mounts + 1] = bind { path .. "/root", "/out" }
    fields.command = { "sh", "-c", "{ " .. fields.command .. "; } > /out/text 2>&1" }
    new(fields):run()
    local text = rootfs.read(path .. "/root/text")
    os.remove(path .. "/root/text")
    return text
  end

  test("run gives the exit status, and leaves nothing", function()
    local before = mounts()
    check.equal(new({ command = { "true" } }):run(), 0)
    check.equal(new({ command = { "sh", "-c", "exit 9" } }):run(), 9)
    check.equal(new({ command = { "sh", "-c", "kill -9 $$" } }):run(), 137)
    check.equal(mounts(), before)
  end)

  test("a container runs when start returns, and is gone after destroy", function()
    local c = new { command = SLEEP, name = named "driven" }
    check.equal(c:start(), c)
    check.equal(c:wait(0.05), nil)
    check.truthy(record_of(named "driven").alive)
    check.truthy(rootfs.cgroups(named "driven") ~= "")
    local pid = c.process:pid()
    c:destroy()
    check.equal(record_of(named "driven"), nil)
    check.equal(rootfs.cgroups(named "driven"), "")
    check.equal(sys.file.kind("/proc/" .. pid), nil)
    c:destroy()
  end)

  test("a second start is an error while it runs, and a new container after destroy", function()
    local c = new { command = SLEEP }
    c:start()
    local first = c.name
    check.raises("was started already", c.start, c)
    check.equal(c:wait(0), nil)
    c:destroy()
    c:start()
    check.truthy(c.name ~= first)
    check.equal(rootfs.read("/proc/" .. c.process:pid() .. "/environ") ~= nil, true)
    c:destroy()
  end)

  test("a container without a hostname is named anew at each start", function()
    local c = new { command = SLEEP }
    c:start()
    c:destroy()
    c:start()
    check.equal(c.config.hostname, c.name)
    c:destroy()
  end)

  test("stop asks, and kills what does not listen", function()
    local polite = new { command = { "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.05; done" } }
    polite:start()
    sys.sleep(0.2)
    check.equal(polite:stop(5), 4)
    polite:destroy()
    local deaf = new { command = { "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done" } }
    deaf:start()
    sys.sleep(0.2)
    local start = sys.monotonic()
    check.equal(deaf:stop(0.3), 137)
    check.truthy(sys.monotonic() - start < 5)
    deaf:destroy()
  end)

  test("kill tells whether there was something to signal", function()
    local c = new { command = SLEEP }
    check.equal(c:kill "TERM", false)
    c:start()
    check.equal(c:kill "TERM", true)
    check.equal(c:wait(), 143)
    check.equal(c:kill(9), false)
    check.equal(check.raises("unknown signal", c.kill, c, "TRM").message, "kill: unknown signal 'TRM' (did you mean 'TERM'?)")
    c:destroy()
  end)

  test("an exec that comes as the container ends says so", function()
    local c = new {}
    for _ = 1, 20 do
      c:start()
      local ok, problem = pcall(c.exec, c, { "true", terminal = false })
      if not ok then check.contains(problem.message, "has ended") end
      c:destroy()
    end
  end)

  test("what needs a running container says so when there is none", function()
    local c = new { command = SLEEP }
    check.contains(check.raises("was not started", function() c:wait() end).where, "container_test.lua:")
    check.contains(check.raises("was not started", function() c:stop() end).where, "container_test.lua:")
    check.raises("is not running", c.stats, c)
    c:destroy()
  end)

  test("stats grow with what the container uses", function()
    local c = new { command = { "sh", "-c", "i=0; while test $i -lt 100000; do i=$((i+1)); done; exec sleep 100" } }
    c:start()
    sys.sleep(0.5)
    local stats = c:stats()
    check.truthy(type(stats) == "table" and next(stats))
    c:destroy()
  end)

  test("a failed start leaves nothing, and can be tried again", function()
    local before, c = mounts(), new { command = { "no-such-program" }, name = named "failing" }
    for _ = 1, 2 do
      local problem = check.raises("not found in PATH", function() c:start() end)
      check.equal(problem.code, "ENOENT")
      check.contains(problem.where, "container_test.lua:")
      check.equal(record_of(named "failing"), nil)
      check.equal(rootfs.cgroups(named "failing"), "")
      check.equal(mounts(), before)
    end
  end)

  test("a name is used by one container at a time, and the second harms nothing of the first", function()
    local first, second = new { command = SLEEP, name = named "taken" }, new { command = SLEEP, name = named "taken" }
    first:start()
    check.raises("the name '" .. named "taken" .. "' is already in use", second.start, second)
    check.equal(first:wait(0), nil)
    check.truthy(record_of(named "taken").alive)
    require("luabox.lifecycle").destroy_all()
    check.equal(record_of(named "taken"), nil)
    first:destroy()
    check.equal(second:start():kill(9), true)
    second:destroy()
  end)

  test("thirty run side by side, each with a name of its own, and all are listed", function()
    local before, all = #state.list(), {}
    for i = 1, 30 do all[i] = new { command = SLEEP } end
    for i = 1, 30 do all[i]:start() end
    check.equal(#state.list(), before + 30)
    for i = 1, 30 do check.equal(all[i]:wait(0), nil) end
    for i = 1, 30 do all[i]:destroy() end
    check.equal(#state.list(), before)
  end)

  test("what a script forgot is ended with it", function()
    if not os.getenv "LUABOX" then harness.skip "LUABOX does not name the binary" end
    local script = os.tmpname()
    sys.file.write(script, ([[
      local c = container { name = %q, rootfs = %q, command = { "sleep", "100" }, terminal = false }
      c:start()
      io.write(c.process:pid())]]):format(named "forgotten", path))
    local pipe = io.popen(os.getenv "LUABOX" .. " run " .. script)
    local pid = pipe:read "*a"
    pipe:close()
    os.remove(script)
    check.truthy(tonumber(pid), pid)
    check.equal(sys.file.kind("/proc/" .. pid), nil)
    check.equal(record_of(named "forgotten"), nil)
    check.equal(rootfs.cgroups(named "forgotten"), "")
  end)

  test("of a record that a killed luabox was writing the last whole line counts", function()
    local folder, made = state.folder(), sys.file.temporary "/tmp/luabox-torn-"
    local function record(name, text)
      sys.file.write(folder .. "/" .. name, "\n" .. text, { create = true })
    end
    record(named "torn", sys.json.encode { name = named "torn", resources = { { kind = "folder", path = made } } } .. "\n" .. '{"name":"torn","resou')
    check.equal(record_of(named "torn").alive, false)
    state.note_facts(named "torn", { uid = 7 })  -- behind a line that was never finished
    check.equal(record_of(named "torn").record.facts.uid, 7)
    record("hardly-begun", '{"name":"hardly-be')
    sys.file.make_directory(folder .. "/foreign")
    check.equal(record_of "hardly-begun", nil)
    state.collect()
    check.equal(sys.file.kind(made), nil)
    check.equal(sys.file.kind(folder .. "/torn"), nil)
    check.equal(sys.file.kind(folder .. "/hardly-begun"), nil)
    check.equal(sys.file.kind(folder .. "/foreign"), "directory")  -- not ours
    sys.file.remove(folder .. "/foreign")
  end)

  test("inside, pid 1 is an init that shows no command line of the host's", function()
    check.equal(output { command = "cat /proc/1/cmdline" }:gsub("%z+$", ""), "init")
    check.equal(output { command = "cat /proc/1/cmdline", init = false }:match "^sh%z" ~= nil, true)
    check.equal(output { command = "echo /proc/self/fd/*", init = false }:match "/fd/[4-9]", nil)
  end)

  test("hostname, environment and folder are as the script says", function()
    local text = output { command = "hostname; echo $A-$B; pwd", hostname = "box", env = { A = 1, B = "two" },
      cwd = "/tmp" }
    check.equal(text, "box\n1-two\n/tmp\n")
  end)

  test("a limit is in force inside, and its end is explained", function()
    local c = new { command = { "sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1" },
      cgroup = { ["memory.limit_in_bytes"] = "20MiB" }, mounts = { proc "/proc", dev "/dev" } }
    local _, reason = c:run()
    if reason then check.contains(reason, "memory limit 20 MiB reached") end
    local forks = output { command = "for i in 1 2 3 4 5 6 7 8; do sleep 0.2 & done; wait", cgroup = { pids = 4 } }
    check.contains(forks, "fork")
  end)

  test("its end is the end of all that it started", function()
    local c = new { command = { "sh", "-c", "sleep 100 & sleep 100 & exec sleep 100" } }
    c:start()
    sys.sleep(0.2)
    check.truthy(#c.cgroup:processes() >= 3)
    c:kill "KILL"
    c:wait()
    check.equal(#c.cgroup:processes(), 0)
    c:destroy()
  end)
end)

harness.finish()
