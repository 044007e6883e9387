-- bridge.lua: a network that containers share: bridge { "web", subnet = "10.9.0.0/24", nat = true }.
local sys = require "luabox.sys"
local bridges = require "luabox.bridges"
local errors = require "luabox.errors"
local etc = require "luabox.etc"
local network = require "luabox.network"
local schema = require "luabox.schema"

local bridge = {}

local function name(value)
  if type(value) == "string" and value:match "^%w[%w_-]*$" and #value <= 11 then return value end
  return nil, "letters, digits, '_' and '-', at most 11"
end

--- A network of `family` with room for a host and a container.
local function subnet(family, longest)
  return function(value)
    local ok, parts = pcall(sys.net.prefix, value)
    local example = family == "ip" and "10.9.0.0/24" or "fd00:9::/64"
    if not ok or parts.family ~= family or parts.network ~= value or parts.length > longest then
      return nil, ("a network such as \"%s\", no longer than /%d"):format(example, longest)
    end
    return value
  end
end

local function address(value)
  if type(value) == "string" and value:match "^%d+%.%d+%.%d+%.%d+$" and pcall(sys.net.prefix, value .. "/32") then return value end
  return nil, "an address such as \"10.9.0.5\""
end

local FIELDS = {
  subnet = subnet("ip", 30), subnet6 = subnet("ip6", 112), nat = schema.boolean, address = address,
  publish = network.ports, egress = network.egress,
  aliases = schema.list(schema.string), bandwidth = network.bandwidth, interface = schema.string, mtu = schema.integer,
}

--- The host's ports, as bridges.clash has them.
local function ports(published)
  local list = {}
  for i, port in ipairs(published or {}) do
    list[i] = ("%s%d/%s"):format(port.host_address and port.host_address .. ":" or "", port.host_port, port.protocol)
  end
  return list
end

--- One port that leads to two is a mistake; one that is said twice, to have it on 127.0.0.1 too, is none.
local function check_published(published, where)
  local list = ports(published)
  for i, port in ipairs(list) do
    for j = 1, i - 1 do
      local to, to_other = published[i].guest_port, published[j].guest_port
      if to ~= to_other and bridges.clash(port, list[j]) then
        errors.raise_at(where, "bridge.publish: %s leads to port %d and, as %s, to port %d", port, to, list[j], to_other)
      end
    end
  end
end

--- bridge { "web", subnet = "10.9.0.0/24", nat = true, publish = { "8080:80" } }
function bridge.new(options)
  local where = errors.users_line(2, "bridge") or "luabox"
  if type(options) == "string" then options = { options } end
  if type(options) ~= "table" or #options ~= 1 or not name(options[1]) then
    errors.raise_at(where, "bridge: expected a name of %s, such as bridge { \"web\", subnet = \"10.9.0.0/24\" }", select(2, name()))
  end
  local made = schema.check(options, FIELDS, { what = "bridge", where = where })
  for _, alias in ipairs(made.aliases or {}) do
    if not alias:match "^%w[%w.-]*$" then errors.raise_at(where, "bridge.aliases: '%s' is no host name", alias) end
  end
  check_published(made.publish, where)
  if made.subnet6 and not made.subnet then errors.raise_at(where, "bridge: subnet6 goes with a subnet") end
  if made.subnet and made.address and not sys.net.contains(made.subnet, made.address) then
    errors.raise_at(schema.line_of_key(where, "address"), "bridge: %s is not in %s", made.address, made.subnet)
  end
  made.kind, made.bridge, made.where = "bridge", options[1], where
  made.name = made.interface or "eth0"
  return made
end

-- ---- the step

bridge.step = { namespaces = "net", key = "network" }

local function at_its_line(this, f)
  local ok, result = errors.try(f)
  if ok then return result end
  result.where = this.config.network.where
  error(result, 0)
end

function bridge.step.resources(this)
  local net = this.config.network
  this.interface = "lb" .. this.id
  this.firewall = network.firewall_of(this)
  return { { kind = "bridge", name = net.bridge, member = this.name }, { kind = "interface", name = this.interface },
    { kind = "firewall", name = this.firewall } }
end

local function names(this)
  local list, seen = {}, {}
  for _, each in ipairs { this.config.hostname, this.name, unpack(this.config.network.aliases or {}) } do
    if not seen[each] then seen[each], list[#list + 1] = true, each end
  end
  return list
end

function bridge.step.prepare(this)
  local net = this.config.network
  network.check_bandwidth(this)
  local wants_hosts = false
  for _, target in ipairs(this.etc_targets) do wants_hosts = wants_hosts or target == "/etc/hosts" end
  this.joined = at_its_line(this, function()
    return bridges.join(net.bridge, {
      member = this.name, subnet = net.subnet, subnet6 = net.subnet6, nat = net.nat, address = net.address, names = names(this),
      publish = net.publish, ports = ports(net.publish),
      hosts = wants_hosts and function(own)
        this.address = own
        return etc.hosts(this)
      end or nil,
    })
  end)
  this.address = this.joined.address
  if not this.joined.hosts_path then return end
  this.hosts_tree = sys.mount.copy_of(this.joined.hosts_path)  -- the host keeps it true
  this.hosts_tree:restrict_to { read_only = true, nosuid = true, nodev = true, noexec = true }
end

--- A port without an address is one of both families, where the bridge has both.
local function guests_of(port, joined)
  local six = (port.host_address or ""):find(":", 1, true)
  if six and not joined.address6 then errors.raise("publish: the bridge has no subnet6 for %s", port.host_address) end
  if six then return { joined.address6 } end
  return { joined.address, not port.host_address and joined.address6 or nil }
end

--- Its port of the bridge is closed to what is under another's address; beside that, published ports and egress.
local function firewall(this)
  local joined, published, loopback = this.joined, {}, false
  for _, port in ipairs(this.config.network.publish or {}) do
    for _, guest in ipairs(guests_of(port, joined)) do
      published[#published + 1] = { protocol = port.protocol, host_port = port.host_port, guest_port = port.guest_port,
        host_address = port.host_address, guest_address = guest }
    end
    loopback = loopback or (port.host_address or ""):match "^127%." ~= nil
  end
  if this.config.network.publish then network.forward(joined.addresses) end
  sys.net.firewall { name = this.firewall, interface = joined.interface, addresses = { joined.address, joined.address6 },
    publish = published, loopback = loopback, shared = true, port = this.interface, mac = joined.mac, egress = this.config.network.egress }
end

function bridge.step.attach(this)
  local net, joined = this.config.network, this.joined
  at_its_line(this, function()
    sys.net.veth { host = this.interface, guest = net.name, netns = this.process:pid(), master = joined.interface, mtu = net.mtu,
      guest_mac = joined.mac }
    if net.bandwidth then sys.net.limit_rate(this.interface, net.bandwidth) end
    firewall(this)
  end)
end

function bridge.step.enter(this)
  local net, joined, routes = this.config.network, this.joined, {}
  for i, gateway in ipairs(joined.gateways) do routes[i] = { to = "default", via = gateway } end
  sys.net.configure { loopback = true, links = { { name = net.name, addresses = joined.addresses, up = true } }, routes = routes }
  if net.bandwidth then sys.net.limit_rate(net.name, net.bandwidth) end
end

return bridge
