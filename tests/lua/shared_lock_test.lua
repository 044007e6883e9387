-- One shared lock for all holders of this process: luabox.shared_lock.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"
local shared_lock = require "luabox.shared_lock"

--- How many lead to `folder`.
local function descriptors(folder)
  local count, wanted = 0, sys.file.identity(folder)
  for _, number in ipairs(sys.file.list "/proc/self/fd") do
    local ok, identity = pcall(sys.file.identity, "/proc/self/fd/" .. number)
    if ok and identity == wanted then count = count + 1 end
  end
  return count
end

test("all holders of a folder share one descriptor, and the folder is locked until the last has let go", function()
  local folder = sys.file.temporary "/tmp/luabox-test."
  local holders = {}
  for i = 1, 5 do holders[i] = shared_lock.take(folder) end
  check.equal(descriptors(folder), 1)
  for i = 1, 4 do holders[i]:release() end
  holders[1]:release()  -- once more is nothing
  check.equal(sys.file.lock(folder), nil)
  holders[5]:release()
  check.equal(descriptors(folder), 0)
  local lock = sys.file.lock(folder)
  check.truthy(lock)
  check.equal(shared_lock.take(folder), nil)
  lock:release()
  sys.file.remove(folder)
end)

test("a folder that was put in the place of another is locked for itself", function()
  local folder = sys.file.temporary "/tmp/luabox-test."
  local first = shared_lock.take(folder)
  sys.file.rename(folder, folder .. ".old")
  sys.file.make_directories(folder)
  local second = shared_lock.take(folder)
  first:release()
  check.equal(sys.file.lock(folder), nil)
  local old = sys.file.lock(folder .. ".old")
  check.truthy(old)
  old:release()
  second:release()
  sys.file.remove(folder)
  sys.file.remove(folder .. ".old")
end)

harness.finish()
