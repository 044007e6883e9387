-- Bandwidth: a token bucket on each side of the cable, so that neither downloads nor uploads go beyond the limit.
-- Prints how many megabits a second a download of 4 MB and an upload of as much had, of the 10 that are allowed.
-- Needs root, and a root file system with busybox as its argument.
local sys = require "luabox.sys"
local rootfs = arg[1] or "./rootfs"

local function box(name, bandwidth, command)
  return container {
    name = "walk-" .. name, hostname = name,
    rootfs = directory { rootfs, overlay = true },
    network = bridge { "walk", subnet = "10.9.0.0/24", bandwidth = bandwidth },
    command = { "/bin/sh", "-c", command },
  }
end

--- From a server to a client, one of which is limited.
local function measure(what, serving, asking)
  local server = box("server", serving, "mkdir /www; dd if=/dev/zero of=/www/data bs=1M count=4 2>/dev/null; httpd -f -p 80 -h /www"):start()
  box("client", asking, "until wget -q -O /dev/null http://server/ 2>&1 | grep -q 404; do sleep 0.1; done"):run()
  local start = sys.monotonic()
  local status = box("client", asking, "wget -q -O /dev/null http://server/data"):run()
  print(("%s %.1f of 10 mbit, status %d"):format(what, 4 * 2 ^ 20 * 8 / 1e6 / (sys.monotonic() - start), status))
  server:destroy()
end

measure("download", nil, "10mbit")
measure("upload", "10mbit", nil)
