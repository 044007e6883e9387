-- Published ports: a port of the host's that leads to a container, for the outside, the host itself, and its neighbours.
-- Prints what the host gets by its own loopback and what a neighbour gets by the bridge's address; then serves as many seconds as are said.
-- Needs root, and a root file system with busybox as its argument; seconds as a second one.
local sys = require "luabox.sys"
local rootfs = arg[1] or "./rootfs"

local function box(name, publish, command)
  return container {
    name = "walk-" .. name,
    rootfs = directory { rootfs, overlay = true },
    network = bridge { "walk", subnet = "10.9.0.0/24", nat = true, publish = publish },
    command = { "/bin/sh", "-c", command },
    function(this) this.root:write("/www/index.html", "hello from " .. name .. "\n") end,
  }
end

local server = box("server", { "8080:80", "127.0.0.1:8081:80" }, "httpd -f -p 80 -h /www"):start()

--- wget in the host's own network.
local function host_gets(url)
  local child = sys.clone({}, function()
    sys.exec { rootfs .. "/bin/busybox", "sh", "-c", ("until %s/bin/busybox wget -q -O - %s 2>/dev/null; do sleep 0.1; done"):format(rootfs, url) }
  end)
  child:release()
  child:wait()
end

host_gets "http://127.0.0.1:8081/"
box("neighbour", nil, "wget -q -O - http://10.9.0.1:8080/"):run()

local second, why = pcall(function() box("second", { "8080:80" }, "true"):run() end)
print(second or why.message)
io.stdout:flush()

sys.sleep(tonumber(arg[2]) or 0)
server:destroy()
