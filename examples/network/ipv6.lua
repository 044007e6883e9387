-- IPv6 beside IPv4: a bridge with a subnet of each; names have both addresses, and the outside sees the host's.
-- Prints the container's addresses, what it gets from a neighbour by IPv6, and what the outside answers.
-- Needs root, and a root file system with busybox as its argument; an URL of the outside as a second one.
local rootfs, outside = arg[1] or "./rootfs", arg[2]

local function box(name, command)
  return container {
    name = "walk-" .. name, hostname = name,
    rootfs = directory { rootfs, overlay = true },
    network = bridge { "walk", subnet = "10.9.0.0/24", subnet6 = "fd00:9::/64", nat = true, publish = name == "server" and { "8080:80" } or nil },
    command = { "/bin/sh", "-c", command },
    function(this) this.root:write("/www/index.html", "hello from " .. name .. "\n") end,
  }
end

local server = box("server", "httpd -f -p 80 -h /www"):start()
box("client", "ip -o address show dev eth0 scope global | awk '{ print $4 }'"):run()
box("client", "grep -c server /etc/hosts; until wget -q -O - http://[fd00:9::2]/ 2>/dev/null; do sleep 0.1; done"):run()
if outside then box("client", "wget -q -O - " .. outside):run() end
server:destroy()
