#include <sys/socket.h>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/link.hpp"
#include "engine/link_message.hpp"
#include "engine/netlink.hpp"

namespace luabox::link {
namespace {

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

const char* forwarding_switch(Family family) {
  return family == Family::ip ? "/proc/sys/net/ipv4/ip_forward" : "/proc/sys/net/ipv6/conf/all/forwarding";
}

}  // namespace

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

std::optional<std::string> local_device(const Address& address, const LocalDeviceOptions& options) {
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
      const ByteView attributes = answer.attributes(sizeof(rtmsg));
      const auto device = find_attribute(attributes, RTA_OIF);
      const auto route = answer.header<rtmsg>();
      const bool linked = options.linked && route.rtm_type == RTN_UNICAST && route.rtm_dst_len > 0 &&
                          !find_attribute(attributes, RTA_GATEWAY) && !find_attribute(attributes, RTA_VIA);
      if (device && (route.rtm_type == RTN_LOCAL || linked)) index = device->u32();
    });
  } catch (const Error& error) {
    // No route, or one that refuses (unreachable, prohibit, blackhole): not this host's in any case.
    for (const int code : {ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL})
      if (error.code() == code) return std::nullopt;
    throw;
  }
  return index ? std::optional(name_of(socket, *index)) : std::nullopt;
}

bool forwarding(const ForwardingOptions& options) {
  return read_file(forwarding_switch(options.family))[0] != '0';
}

void set_forwarding(bool enabled, const ForwardingOptions& options) {
  if (forwarding(options) != enabled) write_file(forwarding_switch(options.family), enabled ? "1" : "0");
}

}  // namespace luabox::link
