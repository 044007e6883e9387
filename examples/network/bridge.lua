-- A bridge: containers that share a network, reach each other by name, and the outside under the host's address.
-- Prints what two clients get from a server, and the address at which the outside, if it is told, sees one of them.
-- Needs root, and a root file system with busybox as its argument; an URL of the outside as a second one.
local rootfs, outside = arg[1] or "./rootfs", arg[2]

local function box(name, command)
  return container {
    name = "walk-" .. name, hostname = name,
    rootfs = directory { rootfs, overlay = true },
    network = bridge { "walk", subnet = "10.9.0.0/24", nat = true },  -- made for the first, gone with the last
    command = { "/bin/sh", "-c", command },
    function(this)
      this.root:write("/www/index.html", "hello from " .. name .. "\n")
    end,
  }
end

local server = box("server", "httpd -f -p 80 -h /www"):start()
for _, name in ipairs { "one", "two" } do
  io.stdout:write(name, ": ") io.stdout:flush()
  box(name, "until wget -q -O - http://server/ 2>/dev/null; do sleep 0.1; done"):run()
end
if outside then box("three", "wget -q -O - " .. outside):run() end
server:destroy()
