-- luabox.sys.file as scripts use it.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"
local file = sys.file

local function in_folder(body)
  local folder = file.temporary "/tmp/luabox-test-"
  local ok, problem = pcall(body, folder)
  os.execute("rm -rf " .. folder)
  if not ok then error(problem, 0) end
end

local function mode_of(path)
  local pipe = io.popen("stat -c %a " .. path)
  local mode = pipe:read "*l"
  pipe:close()
  return mode
end

test("any bytes are written and read back, with the mode that was asked for", function()
  in_folder(function(folder)
    local bytes = "a\0b\255\n"
    file.write(folder .. "/f", bytes, { mode = tonumber("640", 8) })
    check.equal(file.read(folder .. "/f"), bytes)
    check.equal(mode_of(folder .. "/f"), "640")
    check.raises("File exists", file.write, folder .. "/f", "x", { create = true })
    check.equal(file.read(folder .. "/f"), bytes)
    file.write(folder .. "/f", "new")
    check.equal(file.read(folder .. "/f"), "new")
    check.equal(#file.list(folder), 1)
  end)
end)

test("a file may have the longest name that there is", function()
  in_folder(function(folder)
    for length = 245, 255 do
      local path = folder .. "/" .. ("n"):rep(length)
      file.write(path, "old")
      file.write(path, "new")
      check.equal(file.read(path), "new")
      check.equal(file.remove(path), true)
    end
    check.equal(#file.list(folder), 0)
    check.equal(check.raises("", file.write, folder .. "/" .. ("n"):rep(256), "x").code, "ENAMETOOLONG")
    check.equal(#file.list(folder), 0)
  end)
end)

test("a mode is a number up to 07777", function()
  in_folder(function(folder)
    for _, f in ipairs { file.make_directory, file.make_directories } do
      check.raises("argument 2: option 'mode': expected a mode up to 4095 (07777), got the number 4096", f, folder .. "/d", { mode = 4096 })
    end
    check.raises("argument 3: option 'mode': expected a mode up to 4095 (07777), got the number 33188", file.write, folder .. "/f", "x",
      { mode = 33188 })
    check.equal(#file.list(folder), 0)
    file.write(folder .. "/f", "x", { mode = tonumber("4711", 8) })
    check.equal(mode_of(folder .. "/f"), "4711")
  end)
end)

test("a control file is written in place, never made", function()
  in_folder(function(folder)
    check.equal(check.raises("No such file", file.set, folder .. "/none", "1").code, "ENOENT")
    file.write(folder .. "/f", "old")
    local before = file.identity(folder .. "/f")
    file.set(folder .. "/f", "new")
    check.equal(file.read(folder .. "/f"), "new")
    check.equal(file.identity(folder .. "/f"), before)
  end)
end)

test("folders are made, listed, told and removed", function()
  in_folder(function(folder)
    file.make_directories(folder .. "/a/b/c")
    file.make_directories(folder .. "/a/b/c")
    check.equal(check.raises("File exists", file.make_directory, folder .. "/a").code, "EEXIST")
    file.write(folder .. "/a/f", "")
    check.equal(table.concat(file.list(folder .. "/a"), " "), "b f")
    check.equal(#file.list(folder .. "/a", { limit = 1 }), 1)
    check.equal(#file.list(folder .. "/none"), 0)
    check.equal(file.kind(folder .. "/a"), "directory")
    check.equal(file.kind(folder .. "/a/f"), "file")
    check.equal(file.kind(folder .. "/none"), nil)
    check.equal(file.remove(folder .. "/a/f"), true)
    check.equal(file.remove(folder .. "/a/f"), false)
    check.raises("not empty", file.remove, folder .. "/a/b")
  end)
end)

test("a rename says what becomes of the target", function()
  in_folder(function(folder)
    local one, two = folder .. "/1", folder .. "/2"
    file.write(one, "1")
    file.write(two, "2")
    check.equal(check.raises("File exists", file.rename, one, two).code, "EEXIST")
    file.rename(one, two, { replace = "exchange" })
    check.equal(file.read(one), "2")
    file.rename(one, two, { replace = "yes" })
    check.equal(file.kind(one), nil)
    check.raises("unknown word 'yess' (did you mean 'yes'?)", file.rename, one, two, { replace = "yess" })
  end)
end)

test("a lock keeps others out until it is released, forgotten, or its holder is gone", function()
  in_folder(function(folder)
    local lock = file.lock(folder)
    check.equal(file.lock(folder), nil)
    check.equal(file.lock(folder, { shared = true }), nil)
    lock:release()
    check.raises("the lock was already used up by release", lock.release, lock)
    do
      local forgotten = file.lock(folder)
      check.truthy(forgotten)
    end
    collectgarbage()
    collectgarbage()
    local first, second = file.lock(folder, { shared = true }), file.lock(folder, { shared = true })
    check.truthy(first and second)
    check.equal(file.lock(folder), nil)
  end)
end)

test("a path is told without its symlinks, and a device as what it is", function()
  in_folder(function(folder)
    os.execute(("ln -s %s/real %s/link && mkdir %s/real"):format(folder, folder, folder))
    check.equal(file.absolute(folder .. "/link/../link"), folder .. "/real")
    check.equal(file.identity(folder .. "/link"), file.identity(folder .. "/real"))
    check.raises("No such file", file.absolute, folder .. "/none")
    check.equal(file.device(folder), nil)
    local null = file.device "/dev/null"
    check.equal(null.type, "char")
    check.equal(null.major, 1)
    check.equal(null.minor, 3)
  end)
end)

test("wrong arguments are told by number and name", function()
  check.raises("kind: argument 1: expected a string, got nil", file.kind, nil)
  check.raises("argument 1: expected a string, got the number 5", file.read, 5)
  check.raises("argument 1: expected a string without NUL bytes", file.read, "/etc/passwd\0.txt")
  check.raises("unknown option 'mod' (did you mean 'mode'?)", file.write, "/nowhere", "", { mod = 1 })
  check.raises("option 'mode': expected a whole number, got '644'", file.write, "/nowhere", "", { mode = "644" })
  check.raises("expected a whole number in range", file.write, "/nowhere", "", { mode = -1 })
  check.raises("option 'wait': expected true or false, got the number 1", file.lock, "/nowhere", { wait = 1 })
  check.raises("expected 1 argument, got 2", file.kind, "/", "/")
end)

harness.finish()
