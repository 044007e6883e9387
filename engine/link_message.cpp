#include "engine/link_message.hpp"

#include <linux/if.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include <algorithm>

#include "engine/error.hpp"
#include "engine/fd.hpp"

namespace luabox::link {
namespace {

Family family_of(const Route& route) {
  if (route.to.prefix.length != 0) return route.to.prefix.address.family();
  if (route.via) return route.via->family();
  if (route.src) return route.src->family();
  return route.to.prefix.address.family();
}

}  // namespace

void begin_link(Batch& batch, uint16_t type, uint16_t flags, uint32_t index, const char* op,
                const std::string& object, unsigned set_flags, unsigned changed_flags) {
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

/// IPv4 redirects are not an interface's to refuse: the kernel asks `all` too while the host forwards
/// nothing, and heeds none when it does.
void ignore_routers(const std::string& name) {
  try {
    for (const char* what : {"/accept_ra", "/accept_redirects"})
      write_file("/proc/sys/net/ipv6/conf/" + name + what, "0");
  } catch (const Error& error) {
    if (error.code() != ENOENT) throw;
  }
}

void check_alias(const std::string& alias) {
  if (alias.empty() || alias.size() >= IFALIASZ)
    throw Error::invalid("interface alias", alias, "expected 1 to 255 bytes");
}

void check_name(const std::string& name) {
  const auto good = [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%'; };
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == ".." ||
      !std::all_of(name.begin(), name.end(), good))
    throw Error::invalid("interface name", name,
                         "expected 1 to 15 characters without space, '/', ':' or '%'");
}

}  // namespace luabox::link
