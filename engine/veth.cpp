#include <linux/if.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>

#include "engine/error.hpp"
#include "engine/link.hpp"
#include "engine/link_message.hpp"
#include "engine/netlink.hpp"

namespace luabox::link {
namespace {

constexpr uint32_t kLoopback = 1;  // the first interface of every namespace

/// One queue each way, which is what the kernel comes to for a pair anyway: where it is not told, it makes
/// one for each processor, and to give them up takes a grace period (veth_init_queues(), drivers/net/veth.c).
void put_queues(Batch& batch) {
  batch.put_u32(IFLA_NUM_TX_QUEUES, 1);
  batch.put_u32(IFLA_NUM_RX_QUEUES, 1);
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
  put_queues(batch);
  if (master) batch.put_u32(IFLA_MASTER, *master);
  put_veth(batch, [&] {
    batch.put_text(IFLA_IFNAME, pair.guest);
    put_mac(batch, pair.guest_mac);
    put_mtu(batch, pair.mtu);
    put_queues(batch);
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
  if (pair.hairpin) {
    ifinfomsg port{};
    port.ifi_family = AF_BRIDGE;
    port.ifi_index = static_cast<int>(index);
    batch.begin(RTM_SETLINK, 0, port, "set hairpin of", pair.host);
    batch.nest(IFLA_PROTINFO, [&] { batch.put_u8(IFLA_BRPORT_MODE, 1); });
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

}  // namespace

void veth(const Veth& pair) {
  check_name(pair.host);
  check_name(pair.guest);
  if (pair.alias) check_alias(*pair.alias);
  if (pair.hairpin && !pair.master)
    throw Error::invalid("add veth", pair.host, "hairpin is for a bridge's port: expected master");
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

}  // namespace luabox::link
