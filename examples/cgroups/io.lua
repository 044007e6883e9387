-- Input and output: a file is read at 1 MB a second from a disk that can do much more, and written at 2 MB a second.
-- Prints how long 3 MB took to read and to write, and the rates.
-- Needs root, or a delegated cgroup of version 2 with io; and a folder on a disk (not a tmpfs, not an overlay) as its argument.
local sys = require "luabox.sys"
local folder = arg[1] or "."

local function first_line(stream)
  local line = stream and stream:read "*l"
  if stream then stream:close() end
  return line
end

--- "254:0": the disk that the folder lies on; limits are for whole disks, not for partitions.
local function disk_of(path)
  local source = first_line(io.popen("findmnt -nvo SOURCE --target '" .. path .. "'"))
  local node = sys.file.device(source) or error(path .. " is not on a disk, but on " .. source)
  local place = ("/sys/dev/block/%d:%d/"):format(node.major, node.minor)
  return first_line(io.open(sys.file.kind(place .. "partition") and place .. "../dev" or place .. "dev"))
end

local group = sys.cgroup.create("walk-io", { controllers = { "io" } })
local disk, size = disk_of(folder), 3e6
group:write { io_read_bps = disk .. " 1MB", io_write_bps = disk .. " 2MB" }

--- Runs dd in the cgroup, past the page cache.
local function rate(what, ...)
  local arguments = { "/bin/dd", "bs=100k", "count=30", "status=none", ... }
  local start = sys.monotonic()
  local process = sys.clone({ cgroup = group }, function() sys.exec(arguments) end)
  process:release()
  assert(process:wait() == 0, "dd failed")
  local seconds = sys.monotonic() - start
  print(("%s: %.1f s, %.2f MB/s"):format(what, seconds, size / seconds / 1e6))
end

local file = folder .. "/walk-io.data"
rate("write", "if=/dev/zero", "of=" .. file, "oflag=direct")
rate("read", "if=" .. file, "of=/dev/null", "iflag=direct")
os.remove(file)
