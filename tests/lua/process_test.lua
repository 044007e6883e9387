-- luabox.sys itself: clone, exec, init, namespaces and processes as scripts use them.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"

local function here() return debug.getinfo(2, "S").short_src .. ":" .. debug.getinfo(2, "l").currentline end

--- Runs `body` in a child, and its program to the end; returns the exit status.
local function run(options, body)
  local child = sys.clone(options, body)
  child:release()
  return child:wait()
end

local function sleeper()
  local child = sys.clone({}, function() sys.exec { "sleep", "100" } end)
  child:release()
  return child
end

local function alive(pid) return sys.file.kind("/proc/" .. pid) ~= nil end

test("a closure runs inside the new namespaces, and its program's status comes back", function()
  local name = "inside-" .. sys.random(2)
  local status = run({ namespaces = "uts ipc" }, function()
    sys.sethostname(name)
    sys.exec({ "/bin/sh", "-c", "test $(uname -n) = $NAME && exit 7" }, { environment = { "NAME=" .. name } })
  end)
  check.equal(status, 7)
  check.equal(run({ namespaces = { "uts", "mount" } }, function() sys.exec { "true" } end), 0)
end)

test("a child that is made released runs at once", function()
  local child = sys.clone({ released = true }, function() sys.exec { "sh", "-c", "exit 3" } end)
  check.equal(child:wait(), 3)
  check.raises("released already", child.release, child)
  child:settle()
  child = sys.clone({ released = true }, function() sys.chdir "/no/such/folder" end)
  check.raises("chdir /no/such/folder: No such file or directory", child.settle, child)
end)

test("an error in the child is raised in the parent, at the child's own line", function()
  local place
  local child = sys.clone({}, function()
    sys.chdir "/no/such/folder"
  end)
  place = here():gsub("%d+$", function(line) return line - 2 end)
  local problem = check.raises("chdir /no/such/folder: No such file or directory", child.release, child)
  check.equal(problem.op, "chdir")
  check.equal(problem.path, "/no/such/folder")
  check.equal(problem.code, "ENOENT")
  check.equal(problem.errno, 2)
  check.equal(problem.where, place)
  check.contains(problem.traceback, "process_test.lua")
end)

test("whatever a child raises arrives as an error with a message", function()
  local function raised(value, level)
    return check.raises("", run, {}, function() error(value, level) end)
  end
  local plain = raised("it broke", 1)
  check.equal(plain.message, "it broke")
  check.contains(plain.where, "process_test.lua:")
  check.equal(raised("it broke", 0).message, "it broke")
  check.equal(raised("a: b: 3: c", 0).message, "a: b: 3: c")
  check.equal(raised({ message = "a table", code = "EX" }).message, "a table")
  check.equal(raised({ message = "a table", code = "EX" }).code, "EX")
  check.equal(raised({ message = true }).message, "{ message = true }")
  check.equal(raised({}).message, "{}")
  check.equal(raised(nil).message, "nil")
  check.equal(raised(setmetatable({}, { __tostring = function() return "as text" end })).message, "as text")
end)

test("an error that can't be read does not let the child go on as its parent", function()
  local hostile = setmetatable({}, { __index = function() error "no" end, __tostring = function() error "no" end })
  local pid = sys.pid()
  local ok, problem = pcall(run, {}, function() error(hostile) end)
  check.equal(sys.pid(), pid)
  check.equal(ok, false)
  check.equal(type(problem.message), "string")
end)

test("a long error keeps its step and its line", function()
  local problem = check.raises(("x"):rep(1000), run, {}, function()
    error { op = "step", code = "EX", message = ("x"):rep(100000), where = "a.lua:1", traceback = ("t"):rep(100000) }
  end)
  check.equal(problem.op, "step")
  check.equal(problem.where, "a.lua:1")
end)

test("a child that ends without an exec is an error, whatever its status", function()
  check.raises("the function returned", run, {}, function() end)
  check.raises("exit 0", run, {}, function() os.exit(0) end)
  check.raises("exit 3", run, {}, function() sys.exit(3) end)
  check.raises("signal 9", run, {}, function() os.execute("kill -9 $PPID") end)
  check.raises("yield", coroutine.wrap(function() run({}, function() coroutine.yield() end) end))
end)

test("a program that can't be run is an error that says why", function()
  local missing = check.raises("not found in PATH", run, {}, function() sys.exec { "no-such-program" } end)
  check.equal(missing.op, "exec")
  check.equal(missing.code, "ENOENT")
  check.equal(check.raises("", run, {}, function() sys.exec { "/etc/passwd" } end).code, "EACCES")
  check.raises("/no/such: No such file", run, { namespaces = "pid" }, function() sys.init { "/no/such" } end)
end)

test("a child can collect its garbage without undoing what is the parent's", function()
  local folder = sys.file.temporary "/tmp/luabox-test-"
  local lock, other = sys.file.lock(folder .. "/lock"), sleeper()
  local group = sys.cgroup.create("luabox-test-process-" .. sys.pid(), { controllers = { "pids" } })
  check.equal(run({}, function()
    lock, other, group = nil, nil, nil
    collectgarbage()
    collectgarbage()
    sys.exec { "true" }
  end), 0)
  check.raises("exit 0", run, {}, function() os.exit(0, true) end)  -- closes its Lua state
  check.equal(other:status(), nil)
  check.truthy(group:exists())
  check.equal(sys.file.lock(folder .. "/lock"), nil)
  lock:release()
  group:remove()
  os.execute("rm -r " .. folder)
end)

test("a process that a script forgot is killed and reaped by the collector", function()
  local pid
  do
    local child = sleeper()
    pid = child:pid()
  end
  check.truthy(alive(pid))
  collectgarbage()
  collectgarbage()
  check.equal(alive(pid), false)
end)

test("a process is waited for, signalled and asked", function()
  local child = sleeper()
  check.equal(child:wait(0.05), nil)
  check.equal(child:status(), nil)
  check.equal(child:kill "SIGTERM", true)
  check.equal(child:wait(), 128 + 15)
  check.equal(child:status().signal, 15)
  check.equal(child:status().code, nil)
  check.equal(child:kill(9), false)
  check.equal(child:wait(0), 128 + 15)

  local ended = sys.clone({}, function() sys.exec { "false" } end)
  ended:release()
  ended:wait()
  check.equal(ended:status().code, 1)
end)

test("release is go and settle, and each happens once", function()
  local child = sys.clone({}, function() sys.exec { "true" } end)
  check.raises("the process was not released", child.settle, child)
  child:go()
  child:settle()
  check.raises("released already", child.release, child)
  check.equal(child:wait(), 0)
end)

test("texts and descriptors go from the child to the parent", function()
  local child = sys.clone({}, function(parent)
    local file = io.open("/proc/self/stat")
    parent:send("a text")
    parent:send("a file", sys.namespace(0, "uts"):number())
    file:close()
    sys.exec { "true" }
  end)
  child:release()
  check.equal(child:message(), "a text")
  local text, descriptor = child:message()
  check.equal(text, "a file")
  check.truthy(descriptor:number() > 2)
  descriptor:close()
  check.raises("already used up by close", descriptor.number, descriptor)
  check.equal(child:message(), nil)
end)

test("a signal's name is a word, with or without SIG, and a wrong one is told with the nearest", function()
  local child = sleeper()
  check.raises("unknown signal 'TRM' (did you mean 'TERM'?)", child.kill, child, "TRM")
  check.raises("expected a signal, got the number", child.kill, child, 9999)
  check.raises("argument 2: expected a string, got nothing", child.kill, child)
end)

test("an init stands above the program, and hides luabox", function()
  local folder = sys.file.temporary "/tmp/luabox-test-"
  local status = run({ namespaces = "pid mount" }, function()
    sys.mount.private "/"
    sys.mount.proc "/proc"
    local script = "cat /proc/1/cmdline | tr '\\0' ' ' > $0/line; (sleep 0.05 &) ; sleep 0.2; " ..
      "grep -l '^State:.Z' /proc/*/status > $0/zombies; exit 3"
    sys.init { "/bin/sh", "-c", script, folder }
  end)
  check.equal(status, 3)
  check.equal(sys.file.read(folder .. "/line"):gsub("%s*$", ""), "init")
  check.equal(sys.file.read(folder .. "/zombies"), "")
  os.execute("rm -r " .. folder)
end)

test("namespaces are entered through a path, a descriptor or a process", function()
  local child = sys.clone({ namespaces = "uts ipc" }, function()
    sys.sethostname "entered"
    sys.exec { "sleep", "100" }
  end)
  child:release()
  local function name_after(enter)
    return run({}, function()
      enter()
      sys.exec { "/bin/sh", "-c", "test $(uname -n) = entered" }
    end)
  end
  check.equal(name_after(function() sys.setns("/proc/" .. child:pid() .. "/ns/uts") end), 0)
  check.equal(name_after(function() sys.setns(sys.namespace(child, "uts"), { namespaces = "uts" }) end), 0)
  check.equal(name_after(function() sys.setns(child, { namespaces = "uts ipc" }) end), 0)
  check.equal(name_after(function() sys.setns(child:pid(), { namespaces = "uts" }) end), 0)
  check.equal(name_after(function() end), 1)
  check.raises("needs the option 'namespaces'", sys.setns, child)
  check.raises("this is no namespace", sys.setns, "/dev/null")
end)

test("clone's wrong arguments are told before there is a child", function()
  local function noop() end
  check.raises("expected some of mount uts ipc pid net user cgroup time", sys.clone, { namespaces = "utz" }, noop)
  check.raises("unknown option 'namespace' (did you mean 'namespaces'?)", sys.clone, { namespace = "uts" }, noop)
  check.raises("argument 1: expected a table of options, got function", function()
    sys.clone(noop)
  end)
  check.raises("argument 2: expected a function, got nothing", sys.clone, {})
  check.raises("expected 2 arguments, got 3", sys.clone, {}, noop, noop)
  check.raises("option 'cgroup': expected a cgroup, got table", sys.clone, { cgroup = {} }, noop)
end)

test("an environment is of names with values", function()
  local function failure(environment)
    local child = sys.clone({}, function() sys.exec({ "/bin/true" }, { environment = environment }) end)
    local ok, problem = pcall(child.release, child)
    return ok and child:wait() or problem.message
  end
  check.equal(failure { "A=1", "B" }, "exec: argument 2: option 'environment': item 2: expected 'NAME=value', got 'B'")
  check.contains(failure { "=1" }, "got '=1'")
  check.equal(failure { "A=", "B==" }, 0)
end)

test("options in the list of arguments are not taken for a command", function()
  check.raises("expected a list, but it has the key 'environment'", sys.exec, { "true", environment = {} })
  check.raises("item 2: expected a string, got the number", sys.exec, { "true", 5 })
  check.raises("expected a list without holes", sys.exec, { "true", nil, "x" })
  check.raises("unknown option 'enviroment' (did you mean 'environment'?)", sys.exec, { "true" }, { enviroment = {} })
  check.raises("expected a command", sys.exec, {})
end)

test("random names differ, and are as long as asked for", function()
  check.equal(#sys.random(4), 8)
  check.truthy(sys.random(8) ~= sys.random(8))
  check.truthy(sys.random(4):match "^%x+$")
  check.equal(#sys.random(256), 512)
  for _, bytes in ipairs { 0, -1, 257, 1000 } do check.raises("random: argument 1: expected 1 to 256 bytes", sys.random, bytes) end
end)

test("a primitive that is not there is named with the nearest", function()
  check.raises("no such primitive (did you mean 'cgroup'?)", function() return sys.cgruop end)
end)

test("one that stands in a module is named with it; pivot_root and chroot stand beside exec, too", function()
  check.raises("umask: no such primitive (it is luabox.sys.user.umask)", function() return sys.umask end)
  check.raises("bind: no such primitive (it is luabox.sys.mount.bind)", function() return sys.bind end)
  check.equal(sys.pivot_root, sys.mount.pivot_root)
  check.equal(sys.chroot, sys.mount.chroot)
end)

test("a time to wait is a number of seconds, and no less than none", function()
  local process = sys.clone({}, function() sys.exec { "sleep", "100" } end)
  process:release()
  check.raises("wait: argument 2: expected seconds, 0 or more", process.wait, process, -1)
  check.raises("wait: argument 2: expected a number", process.wait, process, 0 / 0)
  process:kill "KILL"
  check.equal(process:wait(), 137)
end)

test("an error quotes the beginning of a long text, on one line", function()
  local ok, problem = pcall(sys.redirect, ("x"):rep(1000) .. "\n", 0)
  check.equal(ok, false)
  check.equal(problem.message, "redirect: argument 1: expected a descriptor, got '" .. ("x"):rep(100) .. "...'")
  check.raises("got 'a\\10b'", sys.redirect, "a\nb", 0)
end)

local SHARING = { vfork = true, released = true }

test("a child that shares memory has run its program when clone returns, and ends as any other", function()
  local seen = 0
  local child = sys.clone(SHARING, function()
    seen = seen + 1
    sys.exec { "sh", "-c", "exit 3" }
  end)
  check.equal(seen, 1)
  child:settle()
  check.equal(child:wait(), 3)
  child = sys.clone(SHARING, function() sys.chdir "/no/such/folder" end)
  check.raises("chdir /no/such/folder: No such file or directory", child.settle, child)
  child = sys.clone(SHARING, function() end)
  check.raises("the function returned; it must end in exec", child.settle, child)
  check.raises("released from the beginning", sys.clone, { vfork = true }, function() end)
  check.equal(sys.in_child(), false)
end)

test("what a child that shares memory opened is not the parent's, whose descriptors have the same numbers", function()
  for i = 1, 20 do
    local child = sys.clone(SHARING, function()
      local root = sys.mount.root "/"
      local reader = sys.pipe()
      if i % 2 == 0 then error("with " .. tostring(root) .. tostring(reader)) end
      sys.exec { "true" }
    end)
    pcall(child.settle, child)
  end
  local kept = {}
  for i = 1, 20 do kept[i] = { sys.pipe() } end
  collectgarbage()
  collectgarbage()
  for _, each in ipairs(kept) do
    check.truthy(sys.file.kind("/proc/self/fd/" .. each[1]:number()), "the reader")
    check.truthy(sys.file.kind("/proc/self/fd/" .. each[2]:number()), "the writer")
  end
end)

test("what the parent has is not closed, collected or used up by a child that shares memory", function()
  local function open() return #sys.mount.root "/proc/self/fd":list "." end
  local reader, writer = sys.pipe()
  collectgarbage()
  local before = open()
  for _ = 1, 50 do sys.pipe() end  -- garbage, whose descriptors are the parent's to close
  local child = sys.clone(SHARING, function()
    local garbage
    for i = 1, 2000 do garbage = { garbage and i } end
    sys.exec { "true" }
  end)
  child:settle()
  check.equal(child:wait(), 0)
  collectgarbage()
  collectgarbage()
  check.truthy(open() <= before + 1, "descriptors: " .. open() .. ", before " .. before)
  writer:close()
  check.equal(reader:read(), "")
end)

test("what a child that shares memory uses up is whole in its parent", function()
  local tree = sys.mount.make_tmpfs { size = "64k" }
  local child = sys.clone({ vfork = true, released = true, namespaces = "mount" }, function()
    sys.mount.propagation("/", "private")
    tree:attach_at "/tmp"
    sys.exec { "sh", "-c", "test -z \"$(ls -A /tmp)\"" }
  end)
  child:settle()
  check.equal(child:wait(), 0)
  check.truthy(tree:is_directory())
  local lock = sys.file.lock("/tmp", { shared = true })
  child = sys.clone(SHARING, function() lock:release() end)
  check.raises("the lock is the parent's, whose memory is shared", child.settle, child)
  lock:release()
end)

test("a network that was made ahead can be filled before the process is born in it", function()
  sys.network_ahead()
  local network = sys.take_network()
  check.equal(sys.take_network(), nil)
  sys.net.veth { host = "lbahead0", guest = "inside0", netns = { fd = network:number() } }
  local child = sys.clone({ namespaces = "net", network = network, vfork = true, released = true }, function()
    sys.exec { "sh", "-c", "test -e /proc/self/net/dev && grep -q inside0 /proc/self/net/dev" }
  end)
  child:settle()
  check.equal(child:wait(), 0)
  check.raises("a network is for a child with a network namespace", sys.clone, { namespaces = "uts", network = network }, function() end)
  network:close()
end)

local function resident()
  return tonumber(sys.file.read "/proc/self/status":match "VmRSS:%s*(%d+)")
end

test("children that share memory leave none of theirs behind", function()
  local long = ("x"):rep(2000)
  local function many(count)
    for _ = 1, count do
      local child = sys.clone(SHARING, function()
        sys.mount.root(("/."):rep(1000)):pin("proc", sys.mount.root "/proc")  -- its name is memory of the engine's
        sys.exec({ "true", long, long }, { environment = { "LONG=" .. long } })
      end)
      child:settle()
      child:wait()
    end
    collectgarbage()
  end
  many(50)
  local before = resident()
  many(400)
  check.truthy(resident() - before < 600, "kB more: " .. resident() - before)
end)

harness.finish()
