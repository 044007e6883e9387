#include "engine/link.hpp"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/netlink.hpp"

namespace luabox::link {
namespace {

constexpr uint32_t kLoopback = 1;  // the first interface of every namespace
constexpr uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL;

void check_alias(const std::string& alias) {
  if (alias.empty() || alias.size() >= IFALIASZ)
    throw Error::invalid("interface alias", alias, "expected 1 to 255 bytes");
}

// ---- writing

/// Begins a message about the interface `index`, or about the one named in a following IFLA_IFNAME when that
/// is 0.
void begin_link(Batch& batch, uint16_t type, uint16_t flags, uint32_t index, const char* op,
                const std::string& object, unsigned set_flags = 0, unsigned changed_flags = 0) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index);
  header.ifi_flags = set_flags;
  header.ifi_change = changed_flags;
  batch.begin(type, flags, header, op, object);
}

void ask_link(Batch& batch, const std::string& name) {
  check_name(name);
  begin_link(batch, RTM_GETLINK, 0, 0, "find interface", name);
  batch.put_text(IFLA_IFNAME, name);
  batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

void put_mac(Batch& batch, const std::optional<Mac>& mac) {
  if (mac) batch.put(IFLA_ADDRESS, mac->bytes.data(), mac->bytes.size());
}

void put_mtu(Batch& batch, std::optional<uint32_t> mtu) {
  if (mtu) batch.put_u32(IFLA_MTU, *mtu);
}

void put_namespace(Batch& batch, const Namespace& target) {
  if (target.pid) batch.put_u32(IFLA_NET_NS_PID, static_cast<uint32_t>(*target.pid));
  if (target.fd) batch.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(*target.fd));
}

/// The kind of a veth, whose other end gets what `peer` writes.
template <class Peer>
void put_veth(Batch& batch, Peer&& peer) {
  batch.nest(IFLA_LINKINFO, [&] {
    batch.put_text(IFLA_INFO_KIND, "veth");
    batch.nest(IFLA_INFO_DATA, [&] {
      batch.nest(VETH_INFO_PEER, [&] {
        const ifinfomsg header{};  // IFF_UP here is ENOTCONN: the cable isn't plugged in yet
        batch.append(&header, sizeof header);
        peer();
      });
    });
  });
}

void put_address(Batch& batch, uint16_t type, const Address& address) {
  batch.put(type, address.data(), address.size());
}

void write_address(Batch& batch, uint16_t type, uint32_t index, const Prefix& prefix) {
  ifaddrmsg header{};
  header.ifa_family = static_cast<uint8_t>(address_family(prefix.address.family()));
  header.ifa_prefixlen = prefix.length;
  header.ifa_flags = prefix.address.family() == Family::ip6 ? IFA_F_NODAD : 0;
  header.ifa_index = index;
  const bool adds = type == RTM_NEWADDR;
  batch.begin(type, adds ? kNew : 0, header, adds ? "add address" : "remove address", prefix.text());
  put_address(batch, IFA_LOCAL, prefix.address);
  put_address(batch, IFA_ADDRESS, prefix.address);
}

Family family_of(const Route& route) {
  if (route.to.prefix.length != 0) return route.to.prefix.address.family();
  if (route.via) return route.via->family();
  if (route.src) return route.src->family();
  return route.to.prefix.address.family();
}

void check_route(const Route& route) {
  const Family family = family_of(route);
  if (!route.via && !route.dev)
    throw Error::invalid("route", route.to.text(), "expected via or dev, or both");
  if (route.onlink && !route.dev) throw Error::invalid("route", route.to.text(), "onlink needs dev");
  if (route.via && route.via->family() != family)
    throw Error::invalid("route", route.to.text(), "via " + route.via->text() + " is of the other family");
  if (route.src && route.src->family() != family)
    throw Error::invalid("route", route.to.text(), "src " + route.src->text() + " is of the other family");
  if (route.table == RT_TABLE_UNSPEC) throw Error::invalid("route", route.to.text(), "there is no table 0");
}

/// `index` is that of the route's dev, if it has one.
void write_route(Batch& batch, uint16_t type, const Route& route, std::optional<uint32_t> index) {
  check_route(route);
  const bool adds = type == RTM_NEWROUTE;
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(address_family(family_of(route)));
  header.rtm_dst_len = route.to.prefix.length;
  header.rtm_table = RT_TABLE_UNSPEC;  // RTA_TABLE says it: this field has 8 bits
  header.rtm_flags = route.onlink ? RTNH_F_ONLINK : 0;
  header.rtm_scope = RT_SCOPE_NOWHERE;  // when removing: any
  if (adds) {
    header.rtm_protocol = RTPROT_STATIC;
    header.rtm_scope = route.via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    header.rtm_type = RTN_UNICAST;
  }
  batch.begin(type, adds ? kNew : 0, header, adds ? "add route" : "remove route",
              route.to.text() + (route.via ? " via " + route.via->text() : ""));
  batch.put_u32(RTA_TABLE, route.table);
  if (route.to.prefix.length != 0) put_address(batch, RTA_DST, route.to.prefix.address);
  if (route.via) put_address(batch, RTA_GATEWAY, *route.via);
  if (route.src) put_address(batch, RTA_PREFSRC, *route.src);
  if (route.metric) batch.put_u32(RTA_PRIORITY, *route.metric);
  if (index) batch.put_u32(RTA_OIF, *index);
}

// ---- reading

/// The master's name is left out: the answer has only its number, which goes to `master`.
Link read_link(const Answer& answer, uint32_t& master) {
  const auto header = answer.header<ifinfomsg>();
  const ByteView attributes = answer.attributes(sizeof header);
  Link link;
  link.index = static_cast<uint32_t>(header.ifi_index);
  link.up = (header.ifi_flags & IFF_UP) != 0;
  if (const auto name = find_attribute(attributes, IFLA_IFNAME)) link.name = name->text();
  if (const auto alias = find_attribute(attributes, IFLA_IFALIAS)) link.alias = alias->text();
  if (const auto mtu = find_attribute(attributes, IFLA_MTU)) link.mtu = mtu->u32();
  if (const auto info = find_attribute(attributes, IFLA_LINKINFO))
    if (const auto kind = find_attribute(info->data, IFLA_INFO_KIND)) link.kind = kind->text();
  if (const auto mac = find_attribute(attributes, IFLA_ADDRESS); mac && mac->data.size() == 6)
    std::copy_n(mac->data.begin(), 6, link.mac.emplace().bytes.begin());
  if (const auto peer = find_attribute(attributes, IFLA_LINK); peer && link.kind == "veth")
    link.peer_index = peer->u32();
  const auto number = find_attribute(attributes, IFLA_MASTER);
  master = number ? number->u32() : 0;
  return link;
}

/// The numbers of `names`, asked for in one batch.
std::vector<uint32_t> indexes(Netlink& socket, const std::vector<std::string>& names) {
  Batch batch;
  std::vector<uint32_t> found;
  for (const auto& name : names) ask_link(batch, name);
  socket.send(batch, [&](const Answer& answer) {
    found.push_back(static_cast<uint32_t>(answer.header<ifinfomsg>().ifi_index));
  });
  if (found.size() != names.size()) throw Error("find interface", names.front(), EBADMSG);
  return found;
}

uint32_t index_of(Netlink& socket, const std::string& name) { return indexes(socket, {name}).front(); }

std::string name_of(Netlink& socket, uint32_t index) {
  Batch batch;
  std::string name;
  begin_link(batch, RTM_GETLINK, 0, index, "find interface", "number " + std::to_string(index));
  batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  socket.send(batch, [&](const Answer& answer) {
    const auto found = find_attribute(answer.attributes(sizeof(ifinfomsg)), IFLA_IFNAME);
    if (found) name = found->text();
  });
  return name;
}

std::map<uint32_t, std::string> names(Netlink& socket) {
  Batch batch;
  std::map<uint32_t, std::string> found;
  begin_link(batch, RTM_GETLINK, NLM_F_DUMP, 0, "list interfaces", "");
  batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  socket.dump(batch, [&](const Answer& answer) {
    if (const auto name = find_attribute(answer.attributes(sizeof(ifinfomsg)), IFLA_IFNAME))
      found[static_cast<uint32_t>(answer.header<ifinfomsg>().ifi_index)] = name->text();
  });
  return found;
}

std::optional<Address> read_address(ByteView attributes, uint16_t type) {
  const auto found = find_attribute(attributes, type);
  if (!found || (found->data.size() != 4 && found->data.size() != 16)) return std::nullopt;
  return Address::from_bytes(found->data.data(), found->data.size());
}

std::optional<Route> read_route(const Answer& answer, const std::map<uint32_t, std::string>& devices) {
  const auto header = answer.header<rtmsg>();
  const ByteView attributes = answer.attributes(sizeof header);
  const auto table = find_attribute(attributes, RTA_TABLE);
  Route route;
  route.table = table ? table->u32() : header.rtm_table;
  if (route.table != RT_TABLE_MAIN || header.rtm_type != RTN_UNICAST) return std::nullopt;
  if ((header.rtm_flags & RTM_F_CLONED) != 0)
    return std::nullopt;  // IPv6 keeps learnt routes in the same table
  const Family family = header.rtm_family == AF_INET ? Family::ip : Family::ip6;
  const auto to = read_address(attributes, RTA_DST);
  route.to.prefix = {to ? *to : Address::any(family), header.rtm_dst_len};
  route.via = read_address(attributes, RTA_GATEWAY);
  route.src = read_address(attributes, RTA_PREFSRC);
  route.onlink = (header.rtm_flags & RTNH_F_ONLINK) != 0;
  if (const auto metric = find_attribute(attributes, RTA_PRIORITY)) route.metric = metric->u32();
  if (const auto number = find_attribute(attributes, RTA_OIF))
    if (const auto device = devices.find(number->u32()); device != devices.end()) route.dev = device->second;
  return route;
}

// ---- changing

/// Sends one RTM_SETLINK about `name` with what `body` adds.
template <class Body>
void change(const char* op, const std::string& name, Body&& body, unsigned set_flags = 0,
            unsigned changed = 0) {
  check_name(name);
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  begin_link(batch, RTM_SETLINK, 0, 0, op, name, set_flags, changed);
  batch.put_text(IFLA_IFNAME, name);
  body(socket, batch);
  socket.send(batch);
}

void send_route(uint16_t type, const Route& route) {
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  check_route(route);
  std::optional<uint32_t> index;
  if (route.dev) index = index_of(socket, *route.dev);
  write_route(batch, type, route, index);
  socket.send(batch);
}

void send_address(uint16_t type, const std::string& name, const Prefix& address) {
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  write_address(batch, type, index_of(socket, name), address);
  socket.send(batch);
}

/// The pair itself, down; returns the host end's number.
uint32_t make_pair(Netlink& socket, const Veth& pair) {
  std::optional<uint32_t> master;
  if (pair.master) master = index_of(socket, *pair.master);
  Batch batch;
  begin_link(batch, RTM_NEWLINK, kNew, 0, "add veth", pair.host + " and " + pair.guest);
  batch.put_text(IFLA_IFNAME, pair.host);
  put_mac(batch, pair.host_mac);
  put_mtu(batch, pair.mtu);
  if (master) batch.put_u32(IFLA_MASTER, *master);
  put_veth(batch, [&] {
    batch.put_text(IFLA_IFNAME, pair.guest);
    put_mac(batch, pair.guest_mac);
    put_mtu(batch, pair.mtu);
    put_namespace(batch, pair.netns);
  });
  uint32_t index = 0;
  ask_link(batch, pair.host);
  socket.send(batch, [&](const Answer& answer) {
    index = static_cast<uint32_t>(answer.header<ifinfomsg>().ifi_index);
  });
  return index;
}

/// Neighbour discovery for forwarded packets speaks from a link-local address (ndisc_send_ns()). The kernel's
/// own would be tentative for a second; on a cable with two ends, fe80::1 is as good.
bool needs_link_local(const Veth& pair) {
  static const Prefix link_local = Prefix::parse("fe80::/10");
  const auto& all = pair.addresses;
  const auto is_ip6 = [](const Prefix& prefix) { return prefix.address.family() == Family::ip6; };
  const auto is_link_local = [](const Prefix& prefix) { return link_local.contains(prefix.address); };
  return !pair.link_local && std::any_of(all.begin(), all.end(), is_ip6) &&
         std::none_of(all.begin(), all.end(), is_link_local);
}

/// Whoever is at the other end is no router: an advertisement of a container's would give this namespace its
/// default route and addresses. To be said before the interface is up. ENOENT is a kernel without IPv6.
void ignore_routers(const std::string& name) {
  try {
    write_file("/proc/sys/net/ipv6/conf/" + name + "/accept_ra", "0");
  } catch (const Error& error) {
    if (error.code() != ENOENT) throw;
  }
}

void finish_host_end(Netlink& socket, const Veth& pair, uint32_t index) {
  ignore_routers(pair.host);
  Batch batch;
  if (!pair.link_local) {
    // The kernel ignores this while it creates an interface, and must know it before the interface is up.
    begin_link(batch, RTM_SETLINK, 0, index, "set link-local address of", pair.host);
    batch.forgive(EAFNOSUPPORT);  // a kernel booted without IPv6 gives no such address anyway
    batch.nest(IFLA_AF_SPEC, [&] {
      batch.nest(AF_INET6, [&] { batch.put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE); });
    });
  }
  if (pair.alias) {
    begin_link(batch, RTM_SETLINK, 0, index, "set alias of", pair.host);
    batch.put(IFLA_IFALIAS, pair.alias->data(), pair.alias->size());
  }
  if (pair.up) begin_link(batch, RTM_SETLINK, 0, index, "bring up", pair.host, IFF_UP, IFF_UP);
  for (const auto& address : pair.addresses) write_address(batch, RTM_NEWADDR, index, address);
  if (needs_link_local(pair)) write_address(batch, RTM_NEWADDR, index, Prefix::parse("fe80::1/64"));
  socket.send(batch);
}

void remove_index(Netlink& socket, uint32_t index) noexcept {
  try {
    Batch batch;
    begin_link(batch, RTM_DELLINK, 0, index, "remove interface", "");
    socket.send(batch);
  } catch (const Error&) {
    // This undoes what failed; the first failure is the one to tell.
  }
}

const char* forwarding_switch(Family family) {
  return family == Family::ip ? "/proc/sys/net/ipv4/ip_forward" : "/proc/sys/net/ipv6/conf/all/forwarding";
}

}  // namespace

void check_name(const std::string& name) {
  const auto good = [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%'; };
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == ".." ||
      !std::all_of(name.begin(), name.end(), good))
    throw Error::invalid("interface name", name,
                         "expected 1 to 15 characters without space, '/', ':' or '%'");
}

std::vector<Link> links() {
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  std::vector<Link> found;
  std::vector<uint32_t> masters;
  std::map<uint32_t, std::string> names;
  begin_link(batch, RTM_GETLINK, NLM_F_DUMP, 0, "list interfaces", "");
  batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  socket.dump(batch, [&](const Answer& answer) {
    found.push_back(read_link(answer, masters.emplace_back()));
    names[found.back().index] = found.back().name;
  });
  for (size_t i = 0; i < found.size(); ++i)
    if (const auto master = names.find(masters[i]); master != names.end()) found[i].master = master->second;
  return found;
}

std::optional<Link> find(const std::string& name) {
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  std::optional<Link> found;
  uint32_t master = 0;
  ask_link(batch, name);
  batch.forgive(ENODEV);
  socket.send(batch, [&](const Answer& answer) { found = read_link(answer, master); });
  if (found && master != 0) found->master = name_of(socket, master);
  return found;
}

void add(const NewLink& link) {
  check_name(link.name);
  if (link.peer) check_name(*link.peer);
  if (link.alias) check_alias(*link.alias);
  if (link.kind.empty())
    throw Error::invalid("add interface", link.name, "expected a kind, such as 'bridge'");
  if (link.peer && link.kind != "veth")
    throw Error::invalid("add interface", link.name, "only a veth has a peer");
  Netlink socket(NETLINK_ROUTE);
  std::optional<uint32_t> master;
  if (link.master) master = index_of(socket, *link.master);
  const bool bridge = link.kind == "bridge";
  Batch batch;
  begin_link(batch, RTM_NEWLINK, kNew, 0, "add interface", link.name, link.up && !bridge ? IFF_UP : 0,
             IFF_UP);
  batch.put_text(IFLA_IFNAME, link.name);
  put_mac(batch, link.mac);
  put_mtu(batch, link.mtu);
  if (master) batch.put_u32(IFLA_MASTER, *master);
  if (link.peer)
    put_veth(batch, [&] { batch.put_text(IFLA_IFNAME, *link.peer); });
  else
    batch.nest(IFLA_LINKINFO, [&] { batch.put_text(IFLA_INFO_KIND, link.kind); });
  socket.send(batch);
  if (bridge) {
    ignore_routers(link.name);
    if (link.up) up(link.name);
  }
  if (!link.alias) return;
  change("set alias of", link.name, [&](Netlink&, Batch& message) {
    message.put(IFLA_IFALIAS, link.alias->data(), link.alias->size());
  });
}

void remove(const std::string& name) {
  check_name(name);
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  begin_link(batch, RTM_DELLINK, 0, 0, "remove interface", name);
  batch.put_text(IFLA_IFNAME, name);
  socket.send(batch);
}

void up(const std::string& name) {
  change(
      "bring up", name, [](Netlink&, Batch&) {}, IFF_UP, IFF_UP);
}

void down(const std::string& name) {
  change(
      "bring down", name, [](Netlink&, Batch&) {}, 0, IFF_UP);
}

void rename(const std::string& name, const std::string& new_name) {
  check_name(new_name);
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  begin_link(batch, RTM_SETLINK, 0, index_of(socket, name), "rename interface", name + " to " + new_name);
  batch.put_text(IFLA_IFNAME, new_name);
  socket.send(batch);
}

void move(const std::string& name, const Namespace& target) {
  if (!target.pid && !target.fd) throw Error::invalid("move interface", name, "expected a namespace");
  change("move interface", name, [&](Netlink&, Batch& batch) { put_namespace(batch, target); });
}

void set_master(const std::string& name, const std::optional<std::string>& master) {
  change("set master of", name, [&](Netlink& socket, Batch& batch) {
    batch.put_u32(IFLA_MASTER, master ? index_of(socket, *master) : 0);
  });
}

void set_mtu(const std::string& name, uint32_t mtu) {
  change("set mtu of", name, [&](Netlink&, Batch& batch) { put_mtu(batch, mtu); });
}

void set_mac(const std::string& name, const Mac& mac) {
  change("set mac of", name, [&](Netlink&, Batch& batch) { put_mac(batch, mac); });
}

std::vector<LinkAddress> addresses(const std::optional<std::string>& name) {
  Netlink socket(NETLINK_ROUTE);
  ifaddrmsg header{};
  if (name) header.ifa_index = index_of(socket, *name);
  const auto devices = name ? std::map<uint32_t, std::string>{{header.ifa_index, *name}} : names(socket);
  Batch batch;
  std::vector<LinkAddress> found;
  batch.begin(RTM_GETADDR, NLM_F_DUMP, header, "list addresses", name.value_or(""));
  socket.dump(batch, [&](const Answer& answer) {
    const auto about = answer.header<ifaddrmsg>();
    const ByteView attributes = answer.attributes(sizeof about);
    const auto device = devices.find(about.ifa_index);
    auto address =
        read_address(attributes, IFA_LOCAL);  // of a point-to-point link, IFA_ADDRESS is the other end
    if (!address) address = read_address(attributes, IFA_ADDRESS);
    if (address && device != devices.end())
      found.push_back({device->second, {*address, about.ifa_prefixlen}});
  });
  return found;
}

void add_address(const std::string& name, const Prefix& address) { send_address(RTM_NEWADDR, name, address); }

void remove_address(const std::string& name, const Prefix& address) {
  send_address(RTM_DELADDR, name, address);
}

std::vector<Route> routes() {
  Netlink socket(NETLINK_ROUTE);
  const auto devices = names(socket);
  std::vector<Route> found;
  for (const Family family : {Family::ip, Family::ip6}) {
    Batch batch;
    rtmsg header{};
    header.rtm_family = static_cast<uint8_t>(address_family(family));
    batch.begin(RTM_GETROUTE, NLM_F_DUMP, header, "list routes");
    batch.forgive(EOPNOTSUPP);  // a kernel booted without IPv6
    socket.dump(batch, [&](const Answer& answer) {
      if (auto route = read_route(answer, devices)) found.push_back(std::move(*route));
    });
  }
  return found;
}

void add_route(const Route& route) { send_route(RTM_NEWROUTE, route); }

void remove_route(const Route& route) { send_route(RTM_DELROUTE, route); }

std::optional<std::string> local_device(const Address& address) {
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(address_family(address.family()));
  header.rtm_dst_len = static_cast<uint8_t>(address.bits());
  header.rtm_flags =
      RTM_F_FIB_MATCH;  // the table's entry, whose device is the address's; the route itself leads through lo
  batch.begin(RTM_GETROUTE, 0, header, "find route", address.text());
  put_address(batch, RTA_DST, address);
  batch.forgive(ENETUNREACH);  // the common answer: not worth the milliseconds of a first exception
  std::optional<uint32_t> index;
  try {
    socket.send(batch, [&](const Answer& answer) {
      const auto device = find_attribute(answer.attributes(sizeof(rtmsg)), RTA_OIF);
      if (answer.header<rtmsg>().rtm_type == RTN_LOCAL && device) index = device->u32();
    });
  } catch (const Error& error) {
    // No route, or one that refuses (unreachable, prohibit, blackhole): not this host's in any case.
    for (const int code : {ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL})
      if (error.code() == code) return std::nullopt;
    throw;
  }
  return index ? std::optional(name_of(socket, *index)) : std::nullopt;
}

void veth(const Veth& pair) {
  check_name(pair.host);
  check_name(pair.guest);
  if (pair.alias) check_alias(*pair.alias);
  Netlink socket(NETLINK_ROUTE);
  // Two batches: had the first also held the second's messages under a number chosen beforehand, they would
  // change somebody else's interface when that number is taken.
  const uint32_t index = make_pair(socket, pair);
  try {
    finish_host_end(socket, pair, index);
  } catch (const Error&) {
    remove_index(socket, index);
    throw;
  }
}

void configure(const Setup& setup) {
  Netlink socket(NETLINK_ROUTE);
  std::vector<std::string> asked;
  for (const auto& link : setup.links) {
    if (link.rename) check_name(*link.rename);
    asked.push_back(link.name);
  }
  const std::vector<uint32_t> found = asked.empty() ? std::vector<uint32_t>{} : indexes(socket, asked);

  for (const auto& link : setup.links)
    if (link.name != "lo") ignore_routers(link.name);

  Batch batch;
  std::map<std::string, uint32_t> devices{{"lo", kLoopback}};
  if (setup.loopback) begin_link(batch, RTM_SETLINK, 0, kLoopback, "bring up", "lo", IFF_UP, IFF_UP);
  for (size_t i = 0; i < setup.links.size(); ++i) {
    const LinkSetup& link = setup.links[i];
    devices[link.rename.value_or(link.name)] = found[i];
    begin_link(batch, RTM_SETLINK, 0, found[i], "set up", link.name, link.up ? IFF_UP : 0,
               link.up ? IFF_UP : 0);
    if (link.rename) batch.put_text(IFLA_IFNAME, *link.rename);
    put_mac(batch, link.mac);
    put_mtu(batch, link.mtu);
    for (const auto& address : link.addresses) write_address(batch, RTM_NEWADDR, found[i], address);
  }
  for (const auto& route : setup.routes) {
    std::optional<uint32_t> index;
    if (route.dev) {
      const auto known = devices.find(*route.dev);
      index = known != devices.end() ? known->second : index_of(socket, *route.dev);
    }
    write_route(batch, RTM_NEWROUTE, route, index);
  }
  socket.send(batch);
}

bool forwarding(const ForwardingOptions& options) {
  return read_file(forwarding_switch(options.family))[0] != '0';
}

void set_forwarding(bool enabled, const ForwardingOptions& options) {
  if (forwarding(options) != enabled) write_file(forwarding_switch(options.family), enabled ? "1" : "0");
}

}  // namespace luabox::link
