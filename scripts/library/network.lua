-- network.lua: the container's network: loopback only, or a veth pair with addresses, routes, NAT and published ports (bridge.lua has the other).
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local host_ends = require "luabox.host_ends"
local lifecycle = require "luabox.lifecycle"
local schema = require "luabox.schema"
local units = require "luabox.units"

local network = {}

local function port(value)
  if type(value) == "number" and value >= 1 and value <= 65535 and value == math.floor(value) then return value end
  return nil, "a port from 1 to 65535"
end

--- An address alone, in brackets too, as the kernel writes it; nil for what is none.
local function plain_address(value)
  local text = type(value) == "string" and (value:match "^%[(.*:.*)%]$" or value)
  if not text or text:find("/", 1, true) then return nil, "an address such as \"127.0.0.1\" or \"[::1]\"" end
  local ok, parts = pcall(sys.net.prefix, text .. (text:find(":", 1, true) and "/128" or "/32"))
  if not ok then return nil, "an address such as \"127.0.0.1\" or \"[::1]\"" end
  return (parts.network:match "^[^/]+")
end

--- "8080:80", "127.0.0.1:8080:80/udp", "[fd00::1]:8080:80" or { host_port =, guest_port =, protocol =, host_address = }.
local function publish(value, path)
  if type(value) == "string" then
    local rest, protocol = value:match "^(.-)/(%a+)$"
    rest, protocol = rest or value, protocol or "tcp"
    local address, host, guest = rest:match "^(.+):(%d+):(%d+)$"
    if not address then host, guest = rest:match "^(%d+):(%d+)$" end
    if not host or (protocol ~= "tcp" and protocol ~= "udp") then return nil, "a port such as \"8080:80\" or \"127.0.0.1:8080:80/udp\"" end
    value = { host_port = tonumber(host), guest_port = tonumber(guest), protocol = protocol, host_address = address }
  end
  if type(value) ~= "table" then return nil, "a port such as \"8080:80\"" end
  local checked = schema.check(value, { host_port = port, guest_port = port, protocol = schema.word("tcp", "udp"),
    host_address = plain_address }, { what = path })
  if not checked.host_port or not checked.guest_port then return nil, "host_port and guest_port" end
  checked.protocol = checked.protocol or "tcp"
  return checked
end

--- For `publish` of a veth and of a bridge.
network.ports = schema.list(publish)

local EGRESS = "a destination such as \"10.0.0.0/8:443/tcp\", \"[fd00::/8]:443\", \"192.0.2.1\" or \"any:53/udp\""

--- A network without host bits, or one address, with its length; nil for what is none.
local function destination(text)
  if not text:find("/", 1, true) then text = text .. (text:find(":", 1, true) and "/128" or "/32") end
  local ok, parts = pcall(sys.net.prefix, text)
  return ok and parts.network:match "^[^/]+" == parts.address and parts.network or nil
end

local EGRESS_FIELDS = {
  first_port = port, last_port = port, protocol = schema.word("tcp", "udp"),
  to = function(value)
    local network_of = type(value) == "string" and destination(value)
    if network_of then return network_of end
    return nil, "an address or a network such as \"10.0.0.0/8\""
  end,
}

--- { to = "10.0.0.0/8", first_port = 443, last_port = 443, protocol = "tcp" }: without `to` anywhere, without ports all, without a protocol both.
local function egress_fields(value, path)
  local checked = schema.check(value, EGRESS_FIELDS, { what = path })
  checked.last_port = checked.last_port or checked.first_port
  if value[1] ~= nil or checked.last_port and not (checked.first_port and checked.first_port <= checked.last_port) then return nil, EGRESS end
  return checked
end

--- "10.0.0.0/8:443/tcp", "[fd00::/8]:8000-8100", "192.0.2.1", "any:53/udp".
local function egress(value, path)
  if type(value) == "table" then return egress_fields(value, path) end
  if type(value) ~= "string" then return nil, EGRESS end
  local rest, protocol = value:match "^(.+)/(%a+)$"
  rest = rest or value
  local to, first, last = rest:match "^%[(.+)%]:(%d+)%-?(%d*)$"
  if not to then to, first, last = rest:match "^([^:]+):(%d+)%-?(%d*)$" end
  to = to or rest:match "^%[(.+)%]$" or rest
  first = tonumber(first)
  last = tonumber(last) or first
  if protocol and protocol ~= "tcp" and protocol ~= "udp" then return nil, EGRESS end
  if first and not (port(first) and port(last) and first <= last) then return nil, EGRESS end
  local network_of = to ~= "any" and destination(to) or nil
  if to ~= "any" and not network_of then return nil, EGRESS end
  return { to = network_of, first_port = first, last_port = last, protocol = protocol or first and "tcp" or nil }
end

--- For `egress` of a veth and of a bridge: where the container may begin connections to.
network.egress = schema.list(egress)

--- For `bandwidth`: bits per second, as a number.
function network.bandwidth(value)
  local ok, bits = pcall(units.bit_rate, value)
  if ok and bits >= 8000 and bits <= 1e12 then return bits end
  return nil, "bits per second, such as \"10mbit\", from 8kbit to 1000gbit"
end

--- Each side shapes what it sends; the container's own side is its to change where it has net_admin.
function network.check_bandwidth(this)
  if not this.config.network.bandwidth then return end
  for _, name in ipairs(this.granted) do
    if name == "net_admin" then
      errors.raise_at(this.config.network.where, "bandwidth can't be enforced on a container that has net_admin")
    end
  end
end

--- Why `value`, an address with its prefix length, can't be one interface's own; nil where it can. A /31 (RFC 3021), a /32 and IPv6 have no
--- address for all; that of an IPv6 network is its routers' (RFC 4291, 2.6.1), which the host's end is.
function network.unfit(value)
  local parts = sys.net.prefix(value)
  local first = tonumber(parts.address:match "^(%d+)%.")
  if parts.address == "0.0.0.0" or parts.address == "::" then return "none" end
  if first == 127 or parts.address == "::1" then return "a loopback address" end
  if first and first >= 224 and first < 240 or parts.address:match "^ff%x%x:" then return "a group's (multicast)" end
  if parts.address == "255.255.255.255" then return "everybody's (broadcast)" end
  if parts.family == "ip6" or parts.length > 30 then return nil end
  if parts.address == parts.network:match "^[^/]+" then return "its network's, not a host's" end
  if parts.address == sys.net.host(value, 2 ^ (32 - parts.length) - 1) then return "the broadcast address of its network" end
end

local function prefix(value)
  if type(value) ~= "string" then return nil, "an address with a prefix length such as \"172.16.99.1/24\"" end
  local ok, problem = pcall(sys.net.prefix, value)
  if not ok then
    return nil, ("an address with a prefix length such as \"172.16.99.1/24\" (%s)"):format((problem.message:gsub("^prefix: argument 1: ", "")))
  end
  local reason = network.unfit(value)
  if reason then return nil, ("an address of one interface (this is %s)"):format(reason) end
  return value
end

local function mac(value)
  local first = type(value) == "string" and value:match "^%x%x:%x%x:%x%x:%x%x:%x%x:%x%x$" and tonumber(value:sub(1, 2), 16)
  if first and first % 2 == 0 and value:find "[1-9a-fA-F]" then return value end  -- an odd one is a group's
  return nil, "an address of one interface such as \"02:00:00:00:00:01\""
end

--- The default route leads to the host's address, which the container must reach by its own.
local function check_route(made, where)
  for _, host in ipairs(made.host) do
    local address, reached, family = sys.net.prefix(host).address, false, sys.net.prefix(host).family
    for _, guest in ipairs(made.guest) do
      local same = sys.net.prefix(guest).family == family
      reached = reached or not same or sys.net.contains(guest, address)
    end
    if not reached then errors.raise_at(schema.line_of_key(where, "guest"), "veth: %s is not in the network of %s", address, made.guest[1]) end
  end
end

--- Two ends of one address would reach nobody.
local function check_distinct(made, where)
  local ends = {}
  for _, host in ipairs(made.host) do ends[sys.net.prefix(host).address] = true end
  for _, guest in ipairs(made.guest) do
    local address = sys.net.prefix(guest).address
    if ends[address] then errors.raise_at(schema.line_of_key(where, "guest"), "veth: %s is the host's end already", address) end
  end
end

--- A value that may be one or a list of them; a list is returned.
local function one_or_more(check)
  local list = schema.list(check)
  return function(value, path)
    if type(value) == "table" and value[1] ~= nil then return list(value, path) end
    local checked, expected, complete = check(value, path)
    if expected then return nil, expected, complete end
    return { checked }
  end
end

local VETH = {
  host = one_or_more(prefix), guest = one_or_more(prefix), nat = schema.boolean, publish = network.ports, egress = network.egress,
  bandwidth = network.bandwidth, name = schema.string, mtu = schema.between(68, 65535), mac = mac, route = schema.boolean,
}

--- veth { host = "172.16.99.1/24", guest = "172.16.99.100/24", nat = true, publish = { "8080:80" } }
---@param options { host: string|string[], guest: string|string[], nat?: boolean, publish?: string[], egress?: string[], name?: string, mtu?: integer,
---  mac?: string, route?: boolean }
--- host: the address of the pair's end on the host; guest: of the container's, "eth0" unless `name` says otherwise. nat: the container reaches
--- the outside with the host's address. route = false: no default route.
function network.veth(options, ...)
  schema.alone("veth", "{ host = \"172.16.99.1/24\", guest = \"172.16.99.100/24\" }", ...)
  local where = errors.users_line(2, "veth") or "luabox"
  if type(options) ~= "table" then errors.raise_at(where, "veth: expected a table, got %s", type(options)) end
  local made = schema.check(options, VETH, { what = "veth", where = where })
  if #options > 0 then errors.raise_at(where, "veth: expected only named fields such as host = \"172.16.99.1/24\"") end
  for _, needed in ipairs { "host", "guest" } do
    if not made[needed] then errors.raise_at(where, "veth: expected the field '%s', an address such as \"172.16.99.1/24\"", needed) end
  end
  check_distinct(made, where)
  if made.route ~= false then check_route(made, where) end
  if made.name == "lo" then errors.raise_at(schema.line_of_key(where, "name"), "veth.name: 'lo' is the container's loopback") end
  made.kind, made.where, made.name = "veth", where, made.name or "eth0"
  network.check_published(made, "veth")
  return made
end

function network.check(value)
  if value == "none" or value == "host" then return value end
  if type(value) == "table" and (value.kind == "veth" or value.kind == "bridge" or value.kind == "pasta") then return value end
  return nil, "veth { ... }, bridge { ... }, pasta { ... }, \"none\" or \"host\""
end

--- The step for a network of the container's own.
function network.step_for(value)
  if value.kind == "bridge" then return require("luabox.bridge").step end
  if value.kind == "pasta" then return require("luabox.pasta").step end
  return network.veth_step
end

local function address_of(text) return (text:match "^[^/]+") end

local function addresses_of(prefixes)
  local list = {}
  for i, prefix_of in ipairs(prefixes) do list[i] = address_of(prefix_of) end
  return list
end

--- The container's own table, as a resource: whoever's a table of that name is, only one made for this interface is removed. One that is there is
--- of a container that has its state in another folder: ours carries its id too.
function network.firewall_of(this)
  local name = "luabox-" .. this.name
  this.firewall = #sys.net.firewalls(name) == 0 and name or ("%s.%s"):format(name, this.id)
  return { kind = "firewall", name = this.firewall, interface = this.interface }
end

--- Makes the container's own table.
function network.add_firewall(this, options)
  options.name = this.firewall
  local ok, problem = errors.try(sys.net.firewall, options)
  if ok then return end
  if problem.code == "EEXIST" then  -- another was quicker
    errors.raise_at(this.config.network.where, "the nftables table %s exists already; its container has its state in another folder", this.firewall)
  end
  error(problem, 0)
end

-- ---- loopback only

network.loopback = { namespaces = "net", key = "network" }

function network.loopback.enter()
  sys.net.configure { loopback = true }
end

-- ---- a veth pair

local veth = { namespaces = "net", key = "network", ahead = true }
network.veth_step = veth

function veth.resources(this)
  local net = this.config.network
  this.interface = "lb" .. this.id
  this.address = address_of(net.guest[1])
  local resources = {}
  if net.nat or net.publish or net.egress then resources[1] = network.firewall_of(this) end
  -- A dead one's goes while there are rules for it.
  resources[#resources + 1] = { kind = "interface", name = this.interface, guests = addresses_of(net.guest) }
  return network.with_ports(this, resources)
end

--- Calls `f`; what it raises is told at the line of the container's network.
function network.at_its_line(this, f, ...)
  local ok, result = errors.try(f, ...)
  if ok then return result end
  result.where = this.config.network.where
  error(result, 0)
end

function network.check_published(made, what)
  if not made.publish then return end
  require("luabox.ports").check(made.publish, what, made.where)
  for _, entry in ipairs(made.publish) do
    if entry.host_address == "::1" and what ~= "pasta" then
      errors.raise_at(made.where, "%s.publish: the kernel forwards nothing from ::1; expected 127.0.0.1 for the host's own programs", what)
    end
  end
end

--- The resources of a network, and the ports that it publishes: before the firewall, so that they are free when that is gone.
function network.with_ports(this, resources)
  local published = this.config.network.publish
  if not published or #published == 0 then return resources end
  this.ports = require("luabox.ports").resource(published)
  table.insert(resources, 1, this.ports)
  return resources
end

--- Holds the ports that the network publishes; `addresses` are the container's.
function network.hold_ports(this, addresses)
  if not this.ports then return end
  local ports, net = require "luabox.ports", this.config.network
  this.forwards = network.at_its_line(this, ports.forwards, net.publish, addresses, net.kind)
  network.at_its_line(this, ports.hold, this.ports, this.forwards, this.name, net.where)
end

function network.on_loopback(net) return net.publish and require("luabox.ports").on_loopback(net.publish) or false end

--- Raises when a container that lives has the interface; one that was killed is ended as gc would, and what one has left is removed.
local function settle_holder(address, device, where)
  local state = require "luabox.state"
  local holder = state.holder("interface", device)
  if not holder then return host_ends.remove(device) end
  if state.collect_named(holder) ~= "removed" then
    errors.raise_at(where, "the address %s is in use by the container %s", address, holder)
  end
end

local SOON, AT_LAST = 0.05, 10

--- Raises when a container that lives has one of the addresses inside; of two, the host could reach one alone.
local function check_guests(this)
  local own, net = {}, this.config.network
  for _, address in ipairs(addresses_of(net.guest)) do own[address] = true end
  for _, other in ipairs(require("luabox.state").list()) do
    for _, resource in ipairs(other.name ~= this.name and other.record.resources or {}) do
      for _, address in ipairs(resource.guests or {}) do
        if own[address] then settle_holder(address, resource.name, net.where) end
      end
    end
  end
end

--- Whose address it is on this host, and whether it lies on an interface's network without being anybody's.
local function user_of(address)
  local device = sys.net.local_device(address, { linked = true })
  local own = device and sys.net.local_device(address)
  return own, device ~= nil and own == nil
end

--- The address may still be held by a container that has just ended: the kernel takes a namespace's interfaces away a moment later, and where many
--- end at once, one after the other.
--- Returns whether it lies on another interface's network.
local function wait_until_free(address, where)
  local started, settled = sys.monotonic(), false
  while true do
    local ok, device, linked = errors.try(user_of, address)
    if not ok and device.code ~= "ENODEV" then error(device, 0) end  -- it went while it was asked for
    if not device then return linked end
    local waited = sys.monotonic() - started
    if ok and device:sub(1, 2) ~= "lb" or waited > AT_LAST then
      errors.raise_at(where, "the address %s is in use on this host, by the interface %s", address, device)
    end
    if ok and waited > SOON and not settled then
      settled = true
      settle_holder(address, device, where)
    end
    sys.sleep(0.002)
  end
end

--- Of two that found it free at one moment, the kernel goes by the first that has it.
local function check_first(this, address)
  local device = sys.net.local_device(address)
  if not device or device == this.interface then return end
  local holder = require("luabox.state").holder("interface", device)
  errors.raise("the address %s is in use %s", address, holder and "by the container " .. holder or "on this host, by the interface " .. device)
end

function veth.prepare(this)
  network.check_bandwidth(this)
  local net = this.config.network
  for _, host in ipairs(net.host) do
    if wait_until_free(address_of(host), net.where) then this.crowded = true end
  end
  if this.crowded then check_guests(this) end
  network.hold_ports(this, addresses_of(net.guest))
end

local function firewall(this)
  local net = this.config.network
  network.add_firewall(this, { interface = this.interface, addresses = addresses_of(net.guest), masquerade = net.nat or false,
    publish = this.forwards, loopback = network.on_loopback(net), egress = net.egress })
end

--- Lets the host forward packets, of the families that the container has addresses of.
function network.forward(guests)
  for _, guest in ipairs(guests) do
    local options = { family = guest:find(":", 1, true) and "ip6" or "ip" }
    if not sys.net.forwarding(options) then sys.net.set_forwarding(true, options) end
  end
end

--- Packets that are forwarded to a neighbour wait for the interface's link-local address, and that for two seconds in which it might turn out to
--- be a duplicate (ndisc_solicit() in net/ipv6/ndisc.c). On a cable of our own there is none. To be said before the other end is up.
function network.skip_duplicate_detection(interface)
  sys.file.set("/proc/sys/net/ipv6/conf/" .. interface .. "/accept_dad", "0")
end

local function has_ip6(addresses)
  for _, address in ipairs(addresses) do
    if address:find(":", 1, true) then return true end
  end
  return false
end

function veth.attach(this)
  local net = this.config.network
  network.at_its_line(this, function()
    sys.net.veth { host = this.interface, guest = net.name, netns = lifecycle.network_of(this), addresses = net.host, mtu = net.mtu,
      guest_mac = net.mac, alias = host_ends.alias() }
    for _, host in ipairs(net.host) do check_first(this, address_of(host)) end
    if this.crowded then
      -- The other interface's network has the same route, and it was first.
      for _, address in ipairs(addresses_of(net.guest)) do
        sys.net.add_route { to = address .. (address:find(":", 1, true) and "/128" or "/32"), dev = this.interface }
      end
    end
    if has_ip6(net.guest) then network.skip_duplicate_detection(this.interface) end
    if net.bandwidth then sys.net.limit_rate(this.interface, net.bandwidth) end
    if this.firewall then
      if net.nat or net.publish then network.forward(net.guest) end
      firewall(this)
    end
  end)
end

function veth.enter(this)
  local net = this.config.network
  local routes = {}
  if net.route ~= false then
    for i, host in ipairs(net.host) do routes[i] = { to = "default", via = address_of(host) } end
  end
  sys.net.configure { loopback = true, links = { { name = net.name, addresses = net.guest, up = true } }, routes = routes }
  if net.bandwidth then sys.net.limit_rate(net.name, net.bandwidth) end
end

return network
