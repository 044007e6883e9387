-- shared_lock.lua: one shared flock for all containers of this process that want the same folder. A thousand of them on one inode would each be
-- looked at whenever a descriptor of the folder is closed, by whatever process.
local sys = require "luabox.sys"

local shared_lock = {}

-- The locks that are held: inode -> { lock =, holders = }
local held = {}

---@class luabox.SharedLock
local SharedLock = {}
SharedLock.__index = SharedLock

--- Takes a shared lock of `path`, or a share in the one that is held; nil where another has it for itself alone.
---@return luabox.SharedLock?
function shared_lock.take(path)
  local lock = sys.file.lock(path, { shared = true })
  if not lock then return nil end
  local inode = lock:identity()  -- of what was locked, whatever the path leads to by now
  local entry = held[inode]
  if entry then lock:release() else entry = { inode = inode, lock = lock, holders = 0 } end
  held[inode], entry.holders = entry, entry.holders + 1
  return setmetatable({ entry = entry }, SharedLock)
end

--- Gives the share back, once: the lock goes with the last.
function SharedLock:release()
  local entry = self.entry
  if not entry then return end
  self.entry, entry.holders = nil, entry.holders - 1
  if entry.holders > 0 then return end
  held[entry.inode] = nil
  entry.lock:release()
end

return shared_lock
