-- bridge.lua: a network that containers share: bridge { "web", subnet = "10.9.0.0/24", nat = true }.
local sys = require "luabox.sys"
local bridges = require "luabox.bridges"
local errors = require "luabox.errors"
local etc = require "luabox.etc"
local host_ends = require "luabox.host_ends"
local lifecycle = require "luabox.lifecycle"
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
    local reason = network.unfit(("%s/%d"):format(sys.net.host(value, 1), parts.length))
    if reason then return nil, ("a network such as \"%s\" (its first address is %s)"):format(example, reason) end
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
  aliases = schema.list(schema.string), bandwidth = network.bandwidth, interface = schema.string, mtu = schema.between(68, 65535),
}

--- bridge { "web", subnet = "10.9.0.0/24", nat = true, publish = { "8080:80" } }
function bridge.new(options, ...)
  schema.alone("bridge", "{ \"web\", subnet = \"10.9.0.0/24\" }", ...)
  local where = errors.users_line(2, "bridge") or "luabox"
  if type(options) == "string" then options = { options } end
  if type(options) ~= "table" or #options ~= 1 or not name(options[1]) then
    errors.raise_at(where, "bridge: expected a name of %s, such as bridge { \"web\", subnet = \"10.9.0.0/24\" }", select(2, name()))
  end
  local made = schema.check(options, FIELDS, { what = "bridge", where = where })
  for _, alias in ipairs(made.aliases or {}) do
    if not alias:match "^%w[%w.-]*$" then errors.raise_at(where, "bridge.aliases: '%s' is no host name", alias) end
  end
  if made.subnet6 and not made.subnet then errors.raise_at(where, "bridge: subnet6 goes with a subnet") end
  local most = made.subnet and 96 + sys.net.prefix(made.subnet).length  -- a member has one number in both
  if made.subnet6 and sys.net.prefix(made.subnet6).length > most then
    errors.raise_at(schema.line_of_key(where, "subnet6"), "bridge.subnet6: %s has fewer addresses than %s; expected no longer than /%d", made.subnet6,
      made.subnet, most)
  end
  if made.subnet and made.address then
    local number, problem = bridges.number_of(made.address, made.subnet)
    if not number then errors.raise_at(schema.line_of_key(where, "address"), "bridge: %s", problem) end
  end
  made.kind, made.bridge, made.where = "bridge", options[1], where
  made.name = made.interface or "eth0"
  network.check_published(made, "bridge")
  return made
end

-- ---- the step

bridge.step = { namespaces = "net", key = "network", ahead = true }

function bridge.step.resources(this)
  local net = this.config.network
  this.interface = "lb" .. this.id
  return network.with_ports(this, { { kind = "bridge", name = net.bridge, member = this.name }, network.firewall_of(this),
    { kind = "interface", name = this.interface } })
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
  this.joined = network.at_its_line(this, bridges.join, net.bridge, {
    member = this.name, interface = this.interface, subnet = net.subnet, subnet6 = net.subnet6, nat = net.nat, address = net.address,
    names = names(this),
    hosts = wants_hosts and function(own)
      this.address = own
      return etc.hosts(this)
    end or nil,
  })
  this.address = this.joined.address
  network.hold_ports(this, { this.joined.address, this.joined.address6 })
  if not this.joined.hosts_path then return end
  this.hosts_tree = sys.mount.copy_of(this.joined.hosts_path)  -- the host keeps it true
  this.hosts_tree:restrict_to { read_only = true, nosuid = true, nodev = true, noexec = true }
end

--- Its port of the bridge is closed to what is under another's address; beside that, published ports and egress.
local function firewall(this)
  local net, joined = this.config.network, this.joined
  if net.publish then network.forward(joined.addresses) end
  network.add_firewall(this, { interface = joined.interface, addresses = { joined.address, joined.address6 }, networks = joined.networks,
    publish = this.forwards, loopback = network.on_loopback(net), shared = true, port = this.interface, mac = joined.mac, egress = net.egress })
end

function bridge.step.attach(this)
  local net, joined = this.config.network, this.joined
  network.at_its_line(this, function()
    sys.net.veth { host = this.interface, guest = net.name, netns = lifecycle.network_of(this), master = joined.interface, mtu = net.mtu,
      guest_mac = joined.mac, alias = host_ends.alias(),
      hairpin = this.ports and true or nil }  -- it may ask for its own published port
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
