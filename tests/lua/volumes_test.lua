-- Volumes with other owners and with propagation, and layers of a root file system.
local harness = require "harness"
local test, check = harness.test, harness.check
local rootfs = require "rootfs"
local sys = require "luabox.sys"

if sys.uid() ~= 0 then
  test("volumes of root", function() harness.skip "needs root" end)
  harness.finish()
end

--- Those that something still holds: what nothing does goes with the collector, some time.
local function descriptors()
  for _ = 1, 2 do collectgarbage() end  -- the first calls finalizers, of which each may leave more
  local count = 0
  for _, number in ipairs(sys.file.list "/proc/self/fd") do
    local ok, about = pcall(sys.file.read, "/proc/self/fdinfo/" .. number)
    -- A network namespace, which a process beside this one makes ahead of the next start, is there already or not yet.
    if ok and (tonumber(about:match "ino:%s*(%d+)") or 0) < 0xF0000000 then count = count + 1 end
  end
  return count
end

rootfs.with(function(path)
  local out = sys.file.temporary "/tmp/luabox-test-"
  sys.mount.root(out):chmod("/", "1777")
  sys.mount.root(path):chmod("/", "755")
  local volume = sys.mount.root(path)
  volume:make_directory("/volume", { mode = "755" })
  volume:write("/volume/given", "a word\n")
  volume:chown("/volume", { uid = 1000, gid = 1001 })
  volume:chown("/volume/given", { uid = 1000, gid = 1001 })

  --- What `command` prints in a container with these fields, which has the volume on /volume.
  local function output(options, fields, command)
    local mount = { path .. "/volume", "/volume" }
    for key, value in pairs(options) do mount[key] = value end
    local made = { rootfs = path, terminal = false, mounts = { bind(mount), bind { out, "/out" } } }
    made.command = { "/bin/sh", "-c", "{ " .. command .. "; } > /out/text 2>&1" }
    for key, value in pairs(fields) do made[key] = value end
    os.remove(out .. "/text")
    container(made):run()
    return rootfs.read(out .. "/text")
  end
  local function owner(name)
    local pipe = io.popen(("stat -c %%u:%%g '%s/volume/%s'"):format(path, name))
    local text = pipe:read "*l"
    pipe:close()
    return text
  end
  local function mapped() return pcall(function() return output({ idmap = { uid = "1000 0 1" } }, {}, "true") end) end
  local _, why = mapped()
  local ids = tostring(why):find("no id-mapped mounts", 1, true) and function() harness.skip "no id maps on this file system" end or function() end

  test("owners are mapped line by line, and back", function()
    ids()
    local map = { uid = { "1000 0 1", "2000 5 10" }, gid = { "1001 0 1" } }
    check.contains(output({ idmap = map }, {}, "ls -ln /volume/given; echo new > /volume/new") or "", "1 0        0")
    check.equal(owner "new", "1000:1001")
    check.equal(owner "given", "1000:1001")
  end)

  test("in a user namespace the ids are the container's, wherever these lie", function()
    ids()
    local users = { uid = { "0 100000 10", "10 300000 10" } }
    check.contains(output({ idmap = { uid = "1000 12 1", gid = "1001 3 1" } }, { users = users }, "ls -ln /volume/given") or "", "1 12       3")
    check.raises("'1000 9 2' are not in one line", output, { idmap = { uid = "1000 9 2" } }, { users = users }, "true")
    check.raises("and it has none", output, { idmap = true }, {}, "true")
  end)

  test("nothing of a volume stays open or mounted when its container has ended", function()
    ids()
    mapped()
    local before, mounts = descriptors(), rootfs.read "/proc/self/mountinfo"
    for _ = 1, 3 do mapped() end
    check.equal(descriptors(), before)
    check.equal(rootfs.read "/proc/self/mountinfo", mounts)
  end)

  test("a volume can't propagate from a private mount, and the line says so", function()
    local problem = check.raises("lies on a mount that is private", output, { propagation = "slave" }, {}, "true")
    check.contains(problem.message, "bind /volume: ")
    check.contains(problem.where, "volumes_test.lua:")
  end)

  test("of several layers the first is the topmost, and none is written to", function()
    local folder = sys.file.temporary "/tmp/luabox-test-"
    local layers = sys.mount.root(folder)
    for _, name in ipairs { "one", "two" } do
      layers:write(name .. "/which", name)
      layers:write(name .. "/" .. name, name)
    end
    local layered = directory { path, layers = { folder .. "/one", folder .. "/two" } }
    local text = output({}, { rootfs = layered }, "cat /which /one /two; rm /which /two; echo changed > /one; test -e /which || echo gone")
    check.equal(text, "oneonetwogone\n")
    check.equal(layers:read "one/one", "one")
    check.equal(layers:read "two/which", "two")
    sys.mount.remove_tree(folder)
    check.raises("no folder /no/such", function()
      output({}, { rootfs = directory { path, layers = { "/no/such" } } }, "true")
    end)
  end)
  sys.mount.remove_tree(out)
end)

harness.finish()
