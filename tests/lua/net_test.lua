-- luabox.sys.net in a network namespace of its own; `ip` and `nft` tell what it did.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"
local net = sys.net

-- A namespace of this file's own: what the tests change never meets the machine's.
if sys.uid() ~= 0 then
  test("net, in a namespace of its own", function() harness.skip "needs root" end)
  harness.finish()
end
sys.unshare "net"

local function output(command)
  local pipe = io.popen(command .. " 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  return text
end

--- A pair that is gone again afterwards.
local function with_pair(body)
  net.veth { host = "lbtest", guest = "eth0", addresses = { "172.16.99.1/24" } }
  local ok, problem = pcall(body)
  net.remove "lbtest"
  if not ok then error(problem, 0) end
end

test("a veth has the addresses it was given, and find tells of it", function()
  with_pair(function()
    check.contains(output "ip -o addr show dev lbtest", "inet 172.16.99.1/24")
    local host, guest = net.find "lbtest", net.find "eth0"
    check.equal(host.kind, "veth")
    check.equal(host.up, true)
    check.equal(guest.up, false)
    check.equal(host.peer_index, guest.index)
    check.equal(net.local_device "172.16.99.1", "lbtest")
    check.equal(net.local_device "172.16.99.2", nil)
    check.equal(net.local_device("172.16.99.2", { linked = true }), "lbtest")
  end)
  check.equal(net.find "lbtest", nil)
  check.equal(#net.links(), 1)
end)

test("a veth's guest end goes to the namespace of a process", function()
  local pipe = io.popen "exec unshare -n sh -c 'echo $$; exec sleep 5'"
  local pid = tonumber(pipe:read "*l")
  net.veth { host = "lbtest", netns = pid, guest_mac = "02:00:00:00:00:07", mtu = 1400 }
  check.equal(net.find "eth0", nil)
  check.equal(net.find("lbtest").mtu, 1400)
  check.contains(output("nsenter -n -t " .. pid .. " ip link show eth0"), "02:00:00:00:00:07")
  net.remove "lbtest"
  os.execute("kill " .. pid)
  pipe:close()
end)

test("a process object names its namespace", function()
  local child = sys.clone({ namespaces = "net" }, function() sys.exec { "/bin/cat", "/proc/net/dev" } end)
  net.veth { host = "lbtest", guest = "box0", netns = child }
  check.equal(net.find "box0", nil)
  child:kill "KILL"
  child:wait()
  for _ = 1, 100 do
    if not net.find "lbtest" then break end
    sys.sleep(0.05)
  end
  check.equal(net.find "lbtest", nil, "the pair goes with its namespace")
end)

test("configure sets a namespace up and routes lists what it did", function()
  with_pair(function()
    net.configure {
      links = { { name = "eth0", rename = "eth7", addresses = { "10.1.0.2/24", "fd01::2/64" }, mtu = 1300 } },
      routes = { { to = "default", via = "10.1.0.1" }, { to = "10.9.0.0/16", dev = "eth7", metric = 5 } },
    }
    check.contains(output "ip route", "default via 10.1.0.1 dev eth7")
    check.contains(output "ip -o addr show dev eth7", "fd01::2/64 scope global nodad")
    check.contains(output "ip link show lo", "LOOPBACK,UP")
    local found = {}
    for _, route in ipairs(net.routes()) do found[route.to .. " " .. (route.via or "-") .. " " .. route.dev] = route end
    check.truthy(found["default 10.1.0.1 eth7"])
    check.equal(found["10.9.0.0/16 - eth7"].metric, 5)
    net.remove_route { to = "10.9.0.0/16", dev = "eth7" }
    check.equal(output("ip route"):find("10.9.0.0", 1, true), nil)
    net.add_route { to = "10.9.0.0/16", via = "10.1.0.1", src = "10.1.0.2" }
    check.contains(output "ip route", "10.9.0.0/16 via 10.1.0.1 dev eth7 proto static src 10.1.0.2")
    check.equal(#net.addresses "eth7", 2 + (output("ip -6 addr show eth7"):find("fe80", 1, true) and 1 or 0))
  end)
end)

test("the verbs change what they name", function()
  net.add { kind = "bridge", name = "br0", up = true, alias = "a bridge" }
  with_pair(function()
    net.set_master("lbtest", "br0")
    check.equal(net.find("lbtest").master, "br0")
    net.set_master("lbtest", nil)
    check.equal(net.find("lbtest").master, nil)
    net.set_mtu("lbtest", 9000)
    net.set_mac("lbtest", "02:00:00:00:00:09")
    check.contains(output "ip link show lbtest", "mtu 9000")
    check.contains(output "ip link show lbtest", "02:00:00:00:00:09")
    net.down "lbtest"
    check.equal(net.find("lbtest").up, false)
    net.up "lbtest"
    check.equal(net.find("lbtest").up, true)
    net.add_address("lbtest", "10.3.0.1/24")
    check.equal(net.local_device "10.3.0.1", "lbtest")
    net.remove_address("lbtest", "10.3.0.1/24")
    check.equal(net.local_device "10.3.0.1", nil)
    net.rename("eth0", "eth1")
    check.truthy(net.find "eth1")
  end)
  net.remove "br0"
end)

test("forwarding is switched for one family", function()
  check.equal(net.forwarding(), output("cat /proc/sys/net/ipv4/ip_forward") == "1\n")
  net.set_forwarding(true)
  check.equal(output "cat /proc/sys/net/ipv4/ip_forward", "1\n")
  net.set_forwarding(false, { family = "ip" })
  net.set_forwarding(true, { family = "ip6" })
  check.equal(net.forwarding(), false)
  check.equal(net.forwarding { family = "ip6" }, true)
end)

test("a firewall is one table, listed, and removed whole", function()
  with_pair(function()
    local before = output "nft list ruleset"
    net.firewall {
      name = "luabox-x", interface = "lbtest", addresses = { "172.16.99.100" }, masquerade = true, loopback = true,
      publish = { { protocol = "udp", host_port = 53 },
        { host_port = 8080, guest_port = 80, guest_address = "172.16.99.100" } },
    }
    local table = output "nft list table inet luabox-x"
    check.contains(table, "udp dport 53 fib daddr type local counter packets 0 bytes 0 dnat ip to 172.16.99.100:53")
    check.contains(table, "tcp dport 8080 fib daddr type local dnat ip to 172.16.99.100:80")
    check.equal(output "cat /proc/sys/net/ipv4/conf/lbtest/route_localnet", "1\n")
    check.equal(net.firewalls()[1], "luabox-x")
    check.equal(check.raises("File exists", net.firewall, { name = "luabox-x", interface = "lbtest" }).code, "EEXIST")
    net.remove_firewall "luabox-x"
    check.equal(output "nft list ruleset", before)
    check.equal(check.raises("remove firewall luabox-x", net.remove_firewall, "luabox-x").code, "ENOENT")
  end)
end)

test("a prefix is taken apart, and knows what it contains", function()
  local parts = net.prefix "172.16.99.1/24"
  check.equal(parts.address, "172.16.99.1")
  check.equal(parts.length, 24)
  check.equal(parts.network, "172.16.99.0/24")
  check.equal(parts.family, "ip")
  check.equal(net.prefix("fd00::1/64").family, "ip6")
  check.equal(net.contains("172.16.99.1/24", "172.16.99.200"), true)
  check.equal(net.contains("172.16.99.1/24", "172.16.98.200"), false)
end)

test("a wrong value is told by the option that holds it", function()
  check.raises("veth: argument 1: unknown option 'hots' (did you mean 'host'?)", net.veth, { hots = "x" })
  check.raises("veth: argument 1: option 'addresses': item 2: 10.0.0.1 lacks a prefix length, such as /24", net.veth,
    { host = "x", addresses = { "10.0.0.1/24", "10.0.0.1" } })
  check.raises("option 'netns': expected a whole number", net.veth, { host = "x", netns = "me" })
  check.raises("option 'netns': unknown option 'pid'", net.veth, { host = "x", netns = { pid = 1 } })
  check.raises("option 'host_mac': 1:2 is no Ethernet address", net.veth, { host = "x", host_mac = "1:2" })
  check.raises("expected 1 to 15 characters", net.veth, { host = "a name with spaces" })
  check.raises("expected 1 to 15 characters", net.veth, {})
  check.raises("add_route: argument 1: option 'via': 172.16.99.300 is no IPv4 or IPv6 address", net.add_route,
    { via = "172.16.99.300" })
  check.raises("has bits set beyond its length; the network is 10.0.0.0/8", net.add_route,
    { to = "10.0.0.1/8", dev = "lo" })
  check.raises("expected via or dev", net.add_route, { to = "default" })
  check.raises("option 'links': item 1: unknown option 'adresses' (did you mean 'addresses'?)", net.configure,
    { links = { { name = "lo", adresses = {} } } })
  check.raises("option 'publish': item 1: option 'host_port': expected a whole number in range", net.firewall,
    { name = "luabox-x", interface = "lo", publish = { { host_port = 65536 } } })
  for reason, egress in pairs { ["egress: expected first_port beside last_port"] = { last_port = 443 },
    ["egress: 10.0.0.1/8 has bits set beyond its length; the network is 10.0.0.0/8"] = { to = "10.0.0.1/8", first_port = 443 } } do
    check.raises(reason, net.firewall, { name = "luabox-x", interface = "lo", egress = { egress } })
  end
  check.raises("unknown word 'tpc' (did you mean 'tcp'?)", net.firewall, { publish = { { protocol = "tpc" } } })
  check.raises("option 'family'", net.forwarding, { family = "ipv4" })
  check.raises("argument 1: expected true or false", net.set_forwarding, "yes")
  check.raises("argument 1: expected a string", net.up)
  check.raises("expected 1 argument, got 2", net.remove, "x", "y")
  check.raises("a string without NUL", net.find, "a\0b")
  check.raises("expected the address alone, 10.0.0.1", net.local_device, "10.0.0.1/8")
end)

test("a port is held until it is released, and says whose it is", function()
  net.configure { loopback = true }
  local port = { protocol = "tcp", port = 8080, address = "0.0.0.0" }
  local held = net.hold_port(port)
  check.equal(net.hold_port { port = 8080, address = "127.0.0.1" }, nil)
  local user = net.user_of_port(port)
  check.equal(user.address, "0.0.0.0")
  check.equal(user.pid, sys.pid())
  held:release()
  check.equal(net.user_of_port(port), nil)
  check.raises("hold port 0.0.0.0:0/tcp: expected a port from 1 to 65535", net.hold_port, { port = 0, address = "0.0.0.0" })
  net.configure { loopback = false, links = { { name = "lo", up = false } } }
end)

test("the kernel's refusal says what was tried and why", function()
  check.equal(check.raises("remove interface nope: No such device", net.remove, "nope").code, "ENODEV")
  check.raises("find interface nope: No such device", net.add_address, "nope", "10.0.0.1/8")
  check.raises("Network is unreachable (Nexthop has invalid gateway)", net.add_route,
    { to = "10.0.0.0/8", via = "9.9.9.9" })
  check.raises("No such process", net.veth, { host = "x", netns = 0x3fffffff })
  check.raises("", net.veth, { host = "x", netns = { fd = 4000 } })
  check.equal(#net.links(), 1)
end)

harness.finish()
