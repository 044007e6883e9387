// Connection tracking: what the kernel remembers of a flow of packets, whereto it translates them among it.
//
// Rules that translate are asked about the first packet of a flow; what they said, or that there were none,
// holds for the others. A flow of UDP is all that one port sends to another, and ends when nothing came for
// half a minute, or two: while somebody goes on sending it leads where it led at first, whatever became of
// the rules and of who was there. So what the rules have to say now is said by forgetting such flows. One of
// TCP is left alone: it ends by itself, whoever has the address next refuses it (RST), and what a container
// wrote before its end is still on its way by it.
//
// Where the kernel has no ctnetlink nothing is forgotten: it has no connection tracking, or one that was
// built without (CONFIG_NF_CT_NETLINK), where flows last as said. See linux/netfilter/nfnetlink_conntrack.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "engine/address.hpp"
#include "engine/netlink.hpp"

namespace luabox::conntrack {

/// A flow of UDP: where the first packet was sent, and who answers, which is another where it was translated.
struct Flow {
  Address destination;
  uint16_t port = 0;
  Address answerer;
};

/// What is asked for: the fewer flows the kernel tells of, the better on a host with many.
struct Search {
  Family family = Family::ip;
  std::optional<uint16_t> port = {};
  std::optional<Address> answerer = {};
};

/// Forgets the flows of UDP that `chosen` says yes to, in the network namespace of `socket`
/// (NETLINK_NETFILTER). The kernel looks through its whole table, of all namespaces: milliseconds, which are
/// spared where this one tracks nothing.
void forget(Netlink& socket, const Search& search, const std::function<bool(const Flow&)>& chosen);

}  // namespace luabox::conntrack
