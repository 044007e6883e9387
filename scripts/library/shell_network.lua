-- shell_network.lua: interfaces, addresses, routes and nftables tables as ip, tc and nft have them, for shell_script.lua.
local words = require "luabox.shell_words"

local quote, family_of = words.quote, words.family_of

local steps = {}

-- ---- interfaces

local function add_address(self, address, name)
  self:line("ip address add %s dev %s%s", quote(address), quote(name), family_of(address) == "ip6" and " nodad" or "")
end

local function add_route(self, route)
  local text = ("ip %sroute add %s"):format(family_of(route.via or route.to) == "ip6" and "-6 " or "", quote(route.to))
  for _, key in ipairs { "via", "dev", "metric", "src", "table" } do
    if route[key] then text = ("%s %s %s"):format(text, key, quote(route[key])) end
  end
  self:line(route.onlink and text .. " onlink" or text)
end

steps["net.configure"] = function(self, step)
  local setup = step.arguments[1]
  if setup.loopback then self:line "ip link set lo up" end
  for _, link in ipairs(setup.links or {}) do
    local name = quote(link.rename or link.name)
    if link.rename then self:line("ip link set %s name %s", quote(link.name), name) end
    if link.mtu then self:line("ip link set %s mtu %d", name, link.mtu) end
    if link.mac then self:line("ip link set %s address %s", name, quote(link.mac)) end
    for _, address in ipairs(link.addresses or {}) do add_address(self, address, link.rename or link.name) end
    if link.up then self:line("ip link set %s up", name) end
  end
  for _, route in ipairs(setup.routes or {}) do add_route(self, route) end
end

--- Whoever is at the other end is no router.
local function ignore_routers(self, name)
  for _, what in ipairs { "accept_ra", "accept_redirects" } do
    self:line("echo 0 > %s", quote(("/proc/sys/net/ipv6/conf/%s/%s"):format(name, what)))
  end
end

local function options_of(link)
  local text = ""
  for _, each in ipairs { { "mac", "address" }, { "mtu", "mtu" } } do
    if link[each[1]] then text = ("%s %s %s"):format(text, each[2], quote(link[each[1]])) end
  end
  return text
end

steps["net.add"] = function(self, step)
  local link = step.arguments[1]
  local peer = link.peer and " peer name " .. quote(link.peer) or ""
  self:line("ip link add %s%s type %s%s", quote(link.name), options_of(link), quote(link.kind), peer)
  if self.side == "host" then self:made("ip link delete %s", quote(link.name)) end
  if link.kind == "bridge" then ignore_routers(self, link.name) end
  if link.master then self:line("ip link set %s master %s", quote(link.name), quote(link.master)) end
  if link.alias then self:line("ip link set %s alias %s", quote(link.name), quote(link.alias)) end
  if link.up then self:line("ip link set %s up", quote(link.name)) end
end

-- As many as the kernel comes to for a pair.
local QUEUES = " numtxqueues 1 numrxqueues 1"

--- The host's end has no link-local address of the kernel's, which would be tentative for a second.
steps["net.veth"] = function(self, step)
  local veth = step.arguments[1]
  local pid, name, six = self:pid(veth.netns), quote(veth.host), false
  if not pid then return self:none(step, "the process is not known") end
  self:line("ip link add %s%s%s type veth peer name %s%s%s netns %s", name, QUEUES, options_of { mac = veth.host_mac, mtu = veth.mtu },
    quote(veth.guest or "eth0"), QUEUES, options_of { mac = veth.guest_mac, mtu = veth.mtu }, pid)
  ignore_routers(self, veth.host)
  if veth.master then self:line("ip link set %s master %s", name, quote(veth.master)) end
  if veth.hairpin then self:line("ip link set %s type bridge_slave hairpin on", name) end
  if not veth.link_local then self:line("ip link set %s addrgenmode none", name) end
  if veth.alias then self:line("ip link set %s alias %s", name, quote(veth.alias)) end
  if veth.up ~= false then self:line("ip link set %s up", name) end
  for _, address in ipairs(veth.addresses or {}) do
    add_address(self, address, veth.host)
    six = six or family_of(address) == "ip6"
  end
  if six and not veth.link_local then add_address(self, "fe80::1/64", veth.host) end
end

steps["net.add_address"] = function(self, step) add_address(self, step.arguments[2], step.arguments[1]) end
steps["net.remove_address"] = function(self, step) self:line("ip address delete %s dev %s", quote(step.arguments[2]), quote(step.arguments[1])) end
steps["net.add_route"] = function(self, step) add_route(self, step.arguments[1]) end
steps["net.remove"] = function(self, step) self:line("ip link delete %s", quote(step.arguments[1])) end
steps["net.up"] = function(self, step) self:line("ip link set %s up", quote(step.arguments[1])) end
--- Of a container that has ended: its pair goes with its network namespace, at any moment.
steps["net.down"] = function(self, step)
  local name = step.arguments[1]
  self:line("ip link set %s down%s", quote(name), name:find "^lb%x+$" and " 2> /dev/null || true" or "")
end
steps["net.rename"] = function(self, step) self:line("ip link set %s name %s", quote(step.arguments[1]), quote(step.arguments[2])) end
steps["net.set_mtu"] = function(self, step) self:line("ip link set %s mtu %d", quote(step.arguments[1]), step.arguments[2]) end
steps["net.set_mac"] = function(self, step) self:line("ip link set %s address %s", quote(step.arguments[1]), quote(step.arguments[2])) end
steps["net.set_master"] = function(self, step)
  local master = step.arguments[2]
  self:line("ip link set %s %s", quote(step.arguments[1]), master and "master " .. quote(master) or "nomaster")
end
steps["net.move"] = function(self, step)
  local pid = self:pid(step.arguments[2])
  if not pid then return self:none(step, "the process is not known") end
  self:line("ip link set %s netns %s", quote(step.arguments[1]), pid)
end

--- The same token bucket as engine/traffic.cpp makes: bytes.
steps["net.limit_rate"] = function(self, step)
  local rate, longest = step.arguments[2], 65536 + 64
  local bytes = math.floor(rate / 8)
  local burst = math.max(longest, math.floor(bytes / 250))
  self:line("tc qdisc replace dev %s root tbf rate %.0fbit burst %.0f limit %.0f", quote(step.arguments[1]), rate, burst,
    burst + math.max(math.floor(bytes / 20), longest))
end

steps["net.set_forwarding"] = function(self, step)
  local family = step.arguments[2] and step.arguments[2].family
  self:line("echo %d > /proc/sys/net/%s", step.arguments[1] and 1 or 0, family == "ip6" and "ipv6/conf/all/forwarding" or "ipv4/ip_forward")
end

-- ---- nftables

---@class luabox.NftTable
---@field order string[] the chains' names, as they were made
local Table = {}
Table.__index = Table

function Table:chain(name, base) self.chains[name], self.order[#self.order + 1] = { base }, name end
function Table:rule(name, text, ...) table.insert(self.chains[name], select("#", ...) > 0 and text:format(...) or text) end

local function new_table(family, firewall)
  return setmetatable({ family = family, name = firewall.name, comment = firewall.port or firewall.interface, chains = {}, order = {} }, Table)
end

--- As nft reads it: `create` fails where it is there already.
local function write_table(self, made)
  self:line "nft -f - << 'END'"
  self:line("create table %s %s { comment \"%s\"; }", made.family, made.name, made.comment)
  self:line("table %s %s {", made.family, made.name)
  for _, name in ipairs(made.order) do
    self:line("  chain %s {", name)
    local rules = made.chains[name]
    for i = 1, table.maxn(rules) do
      if rules[i] then self:line("    " .. rules[i]) end
    end
    self:line "  }"
  end
  self:line "}"
  self:line "END"
  self:made("nft delete table %s %s", made.family, made.name)
end

--- All that lies behind the interface; of a shared one, the container alone.
local function behind(firewall)
  local list = {}
  for _, key in ipairs(firewall.shared and { "addresses" } or { "networks", "addresses" }) do
    for _, each in ipairs(firewall[key] or {}) do list[#list + 1] = each end
  end
  return list
end

local function link_local_of(mac)
  local byte = {}
  for hex in mac:gmatch "%x+" do byte[#byte + 1] = tonumber(hex, 16) end
  byte[1] = byte[1] % 4 >= 2 and byte[1] - 2 or byte[1] + 2
  return ("fe80::%x:%xff:fe%02x:%x"):format(byte[1] * 256 + byte[2], byte[3], byte[4], byte[5] * 256 + byte[6])
end

local function guard(made, firewall)
  made:chain("guard", "type filter hook prerouting priority raw; policy accept;")
  made:rule("guard", "iifname != \"%s\" accept", firewall.interface)
  made:rule("guard", "ip daddr 127.0.0.0/8 drop")
  for _, kind in ipairs { "nd-router-advert", "nd-redirect" } do made:rule("guard", "icmpv6 type %s drop", kind) end
  for _, each in ipairs(behind(firewall)) do made:rule("guard", "%s saddr %s accept", family_of(each), each) end
  for _, address in ipairs { "fe80::/10", "::" } do made:rule("guard", "ip6 saddr %s accept", address) end
  made:rule("guard", "drop")
  made:chain("isolate", "type filter hook forward priority filter; policy accept;")
  made:rule("isolate", "oifname != \"%s\" accept", firewall.interface)
  made:rule("isolate", "iifname \"%s\" accept", firewall.interface)
  made:rule("isolate", "ct state established,related accept")
  made:rule("isolate", "ct status dnat accept")
  made:rule("isolate", firewall.inbound == "routed" and ("iifname \"%s*\" drop"):format(firewall.isolate or "lb") or "drop")
end

local function allowed_words(allowed, protocol)
  local list = {}
  if allowed.to then list[1] = family_of(allowed.to) .. " daddr " .. allowed.to end
  if allowed.first_port then
    local last = allowed.last_port or allowed.first_port
    local ports = last == allowed.first_port and ("%d"):format(last) or ("%d-%d"):format(allowed.first_port, last)
    list[#list + 1] = ("%s dport %s"):format(protocol, ports)
  elseif allowed.protocol then
    list[#list + 1] = "meta l4proto " .. protocol
  end
  list[#list + 1] = "accept"
  return table.concat(list, " ")
end

local function egress(made, firewall)
  made:chain "discovery"
  for _, each in ipairs { "ip6 daddr fe80::/10", "ip6 daddr ff02::/16", "fib daddr type local" } do made:rule("discovery", each .. " accept") end
  made:chain "egress-allowed"
  made:rule("egress-allowed", "ct state established,related accept")
  for _, kind in ipairs { "nd-neighbor-solicit", "nd-neighbor-advert" } do made:rule("egress-allowed", "icmpv6 type %s jump discovery", kind) end
  for _, network in ipairs(firewall.shared and firewall.networks or {}) do
    made:rule("egress-allowed", "%s daddr %s fib daddr type unicast accept", family_of(network), network)
  end
  for _, allowed in ipairs(firewall.egress) do
    local protocols = allowed.protocol and { allowed.protocol } or allowed.first_port and { "tcp", "udp" } or { "all" }
    for _, protocol in ipairs(protocols) do made:rule("egress-allowed", "%s", allowed_words(allowed, protocol)) end
  end
  made:rule("egress-allowed", "drop")
  made:chain("egress", "type filter hook prerouting priority mangle; policy accept;")
  if not firewall.shared then return made:rule("egress", "iifname \"%s\" jump egress-allowed", firewall.interface) end
  local own = { unpack(firewall.addresses) }
  own[#own + 1] = link_local_of(firewall.mac)
  made:chain("egress-host", "type filter hook input priority mangle; policy accept;")
  made:chain("egress-beyond", "type filter hook forward priority mangle; policy accept;")
  for _, many in ipairs { "multicast", "broadcast" } do
    for _, address in ipairs(own) do
      local sent = ("iifname \"%s\" %s saddr %s fib daddr type %s"):format(firewall.interface, family_of(address), address, many)
      made:rule("egress", "%s accept", sent)
      made:rule("egress-host", "%s jump egress-allowed", sent)
      made:rule("egress-beyond", "oifname != \"%s\" %s jump egress-allowed", firewall.interface, sent)
    end
  end
  for _, address in ipairs(own) do
    made:rule("egress", "iifname \"%s\" %s saddr %s jump egress-allowed", firewall.interface, family_of(address), address)
  end
end

local function publish(made, firewall)
  made:chain "publish"
  made:chain("publish-forwarded", "type nat hook prerouting priority dstnat; policy accept;")
  made:chain("publish-local", "type nat hook output priority -100; policy accept;")
  for _, entry in ipairs(firewall.publish) do
    local family, on_loopback = family_of(entry.guest_address), (entry.host_address or ""):find "^127%."
    local guest = family == "ip6" and "[" .. entry.guest_address .. "]" or entry.guest_address
    local any = entry.host_address == nil or entry.host_address == "0.0.0.0" or entry.host_address == "::"
    local nfproto = family == "ip6" and "ipv6" or "ipv4"
    local match = any and ("meta nfproto %s %s dport %d fib daddr type local"):format(nfproto, entry.protocol, entry.host_port)
      or ("%s daddr %s %s dport %d"):format(family, entry.host_address, entry.protocol, entry.host_port)
    if entry.protocol == "udp" then match = match .. " counter" end
    made:rule(on_loopback and "publish-local" or "publish", "%s dnat %s to %s:%d", match, family, guest, entry.guest_port or entry.host_port)
  end
  for _, chain in ipairs { "publish-forwarded", "publish-local" } do made:rule(chain, "ip daddr 127.0.0.0/8 accept") end
  made:rule("publish-forwarded", "jump publish")
  made:rule("publish-local", "ip6 daddr ::1 accept")
  made:rule("publish-local", "jump publish")
end

local function translate(made, firewall)
  made:chain("translate", "type nat hook postrouting priority srcnat; policy accept;")
  for _, each in ipairs(behind(firewall)) do
    local family = family_of(each)
    if firewall.masquerade then made:rule("translate", "oifname != \"%s\" %s saddr %s masquerade", firewall.interface, family, each) end
    made:rule("translate", "oifname \"%s\" %s saddr %s ct status dnat masquerade", firewall.interface, family, each)
  end
  if firewall.loopback then made:rule("translate", "oifname \"%s\" ip saddr 127.0.0.0/8 masquerade", firewall.interface) end
end

--- "fd00::2" -> "0xfd000000000000000000000000000002"
local function hex_of(address)
  local function groups(text)
    local list = {}
    for group in text:gmatch "%x+" do list[#list + 1] = ("%04x"):format(tonumber(group, 16)) end
    return list
  end
  local left, right = address:match "^(.*)::(.*)$"
  local head, tail = groups(left or address), groups(right or "")
  return "0x" .. table.concat(head) .. ("0000"):rep(8 - #head - #tail) .. table.concat(tail)
end

--- A container's port of a bridge: who speaks by it has the container's addresses.
local function identify(firewall)
  local made, own = new_table("netdev", firewall), { unpack(firewall.addresses) }
  own[#own + 1] = link_local_of(firewall.mac)
  made:chain "about-own"
  for _, address in ipairs(own) do
    if family_of(address) == "ip6" then made:rule("about-own", "@th,64,128 %s return", hex_of(address)) end
  end
  made:rule("about-own", "drop")
  made:chain("port", ("type filter hook ingress device \"%s\" priority 0; policy drop;"):format(firewall.port))
  made:rule("port", "@ll,48,48 != 0x%s drop", (firewall.mac:gsub(":", "")))  -- ether saddr
  for _, kind in ipairs { "nd-router-advert", "nd-redirect" } do made:rule("port", "icmpv6 type %s drop", kind) end
  made:rule("port", "icmpv6 type nd-neighbor-advert jump about-own")
  made:rule("port", "ip6 saddr :: icmpv6 type nd-neighbor-solicit jump about-own")
  made:rule("port", "ip6 saddr :: meta l4proto ipv6-icmp accept")
  for _, address in ipairs(own) do
    if family_of(address) == "ip" then
      made:rule("port", "arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether %s arp saddr ip %s accept", firewall.mac, address)
    end
    made:rule("port", "%s%s saddr %s accept", family_of(address) == "ip6" and "meta l4proto != 255 " or "", family_of(address), address)
  end
  return made
end

--- What nft would read as something else than the name that it is.
local function is_plain(firewall)
  for _, key in ipairs { "name", "interface", "port", "isolate" } do
    if firewall[key] and not firewall[key]:find "^[%w_.-]+$" then return false end
  end
  return true
end

--- conntrack(8) is not installed everywhere, and does not tell the host's own addresses from others.
local function forget_earlier(self, firewall)
  local seen = {}
  for _, entry in ipairs(firewall.publish or {}) do
    if entry.protocol == "udp" and not seen[entry.host_port] then
      seen[entry.host_port] = true
      self:line("# luabox makes the kernel forget the flows to its port %d/udp, which lead where they led: conntrack -D -p udp --orig-port-dst %d",
        entry.host_port, entry.host_port)
    end
  end
end

--- The same tables as engine/nftables.cpp makes.
steps["net.firewall"] = function(self, step)
  local firewall = step.arguments[1]
  if not is_plain(firewall) then return self:none(step, "nft has no way to write such a name") end
  local published = #(firewall.publish or {}) > 0
  if firewall.port then write_table(self, identify(firewall)) end
  if firewall.shared and firewall.port and not published and not firewall.egress then return end
  local made = new_table("inet", firewall)
  if not firewall.shared then guard(made, firewall) end
  if firewall.egress then egress(made, firewall) end
  if published then publish(made, firewall) end
  if firewall.masquerade or published or firewall.networks and not firewall.shared then translate(made, firewall) end
  write_table(self, made)
  forget_earlier(self, firewall)
  if firewall.loopback then self:line("echo 1 > %s", quote(("/proc/sys/net/ipv4/conf/%s/route_localnet"):format(firewall.interface))) end
end

steps["net.hold_port"] = function(self, step)
  local port = step.arguments[1]
  self:line("# luabox holds %s meanwhile, so that no program takes it", words.plain(("%s:%d/%s"):format(port.address, port.port, port.protocol)))
end
steps["port:release"] = function() end

--- Of both families: which of them the table is in was said where it was made.
steps["net.remove_firewall"] = function(self, step)
  local name = step.arguments[1]
  if not name:find "^[%w_.-]+$" then return self:none(step, "nft has no way to write such a name") end
  self:line("nft list tables | while read -r _ family name; do [ \"$name\" != %s ] || nft delete table \"$family\" \"$name\"; done", quote(name))
end

return steps
