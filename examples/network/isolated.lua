-- Two bridges: who is on the one doesn't reach who is on the other, though the host forwards for both.
-- Prints what a neighbour on the same bridge gets, and what one on another gets.
-- Needs root, and a root file system with busybox as its argument.
local rootfs = arg[1] or "./rootfs"

local function box(name, network, command)
  return container {
    name = "walk-" .. name, hostname = name,
    rootfs = directory { rootfs, overlay = true }, network = network,
    command = { "/bin/sh", "-c", command },
    function(this) this.root:write("/www/index.html", "hello from " .. name .. "\n") end,
  }
end

local function left() return bridge { "left", subnet = "10.9.1.0/24", nat = true } end
local function right() return bridge { "right", subnet = "10.9.2.0/24", nat = true } end

local server = box("server", left(), "httpd -f -p 80 -h /www"):start()
box("neighbour", left(), "until wget -q -O - http://10.9.1.2/ 2>/dev/null; do sleep 0.1; done"):run()
box("stranger", right(), "wget -q -T 2 -O - http://10.9.1.2/ 2>/dev/null || echo no way to the other bridge"):run()
server:destroy()
