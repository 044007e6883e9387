// Messages about interfaces, addresses and routes, as link.cpp, route.cpp and veth.cpp write and read them.
#pragma once

#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/address.hpp"
#include "engine/link.hpp"
#include "engine/netlink.hpp"

namespace luabox::link {

constexpr uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL;

/// Throws Error EINVAL for one that can't be.
void check_alias(const std::string& alias);

// ---- writing

/// Begins a message about the interface `index`, or about the one named in a following IFLA_IFNAME when that
/// is 0.
void begin_link(Batch& batch, uint16_t type, uint16_t flags, uint32_t index, const char* op,
                const std::string& object, unsigned set_flags = 0, unsigned changed_flags = 0);
void ask_link(Batch& batch, const std::string& name);
void put_mac(Batch& batch, const std::optional<Mac>& mac);
void put_mtu(Batch& batch, std::optional<uint32_t> mtu);
void put_namespace(Batch& batch, const Namespace& target);
void put_address(Batch& batch, uint16_t type, const Address& address);
void write_address(Batch& batch, uint16_t type, uint32_t index, const Prefix& prefix);
/// Throws Error EINVAL for a route that can't be.
void check_route(const Route& route);
/// `index` is that of the route's dev, if it has one.
void write_route(Batch& batch, uint16_t type, const Route& route, std::optional<uint32_t> index);

// ---- asking

/// The numbers of `names`, asked for in one batch.
std::vector<uint32_t> indexes(Netlink& socket, const std::vector<std::string>& names);
uint32_t index_of(Netlink& socket, const std::string& name);
std::string name_of(Netlink& socket, uint32_t index);
std::map<uint32_t, std::string> names(Netlink& socket);
std::optional<Address> read_address(ByteView attributes, uint16_t type);
/// Whoever is at the other end is no router: an advertisement of a container's would give this namespace its
/// default route and addresses. To be said before the interface is up. ENOENT is a kernel without IPv6.
void ignore_routers(const std::string& name);

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

}  // namespace luabox::link
