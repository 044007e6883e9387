#include "engine/conntrack.hpp"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace luabox::conntrack {
namespace {

constexpr const char* kOperation = "forget flows";
// Deletions in one batch.
constexpr size_t kBatch = 64U << 10U;
// What CTA_FILTER compares: net/netfilter/nf_internals.h, as libnetfilter_conntrack repeats it. Linux 5.8.
constexpr uint32_t kSource = 1U << 0U, kProtocol = 1U << 3U, kDestinationPort = 1U << 5U;

uint16_t message_type(int message) { return static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message); }

nfgenmsg message_header(int family) { return {static_cast<uint8_t>(family), NFNETLINK_V0, 0}; }

/// How many entries there are in the namespace, 0 where the kernel has no ctnetlink to say so.
uint32_t tracked(Netlink& socket) {
  Batch batch;
  uint32_t count = 0;
  batch.begin(message_type(IPCTNL_MSG_CT_GET_STATS), 0, message_header(AF_UNSPEC), kOperation);
  batch.forgive(EINVAL);  // no subsystem of that number: nfnetlink_rcv_msg() in net/netfilter/nfnetlink.c
  socket.send(batch, [&](const Answer& answer) {
    if (const auto entries = find_attribute(answer.attributes(sizeof(nfgenmsg)), CTA_STATS_GLOBAL_ENTRIES))
      count = ntohl(entries->u32());
  });
  return count;
}

void ask(Batch& batch, const Search& search) {
  // Of IPv6 the kernel gives all but those with the address (ctnetlink_filter_match_tuple() in
  // net/netfilter/nf_conntrack_netlink.c, Linux 6.18): there `chosen` alone looks at it.
  const bool by_answerer = search.answerer && search.family == Family::ip;
  batch.begin(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, message_header(address_family(search.family)),
              kOperation);
  batch.nest(CTA_TUPLE_ORIG, [&] {
    batch.nest(CTA_TUPLE_PROTO, [&] {
      const uint16_t port = htons(search.port.value_or(0));
      batch.put_u8(CTA_PROTO_NUM, IPPROTO_UDP);
      if (search.port) batch.put(CTA_PROTO_DST_PORT, &port, sizeof port);
    });
  });
  if (by_answerer)
    batch.nest(CTA_TUPLE_REPLY, [&] {
      batch.nest(CTA_TUPLE_IP,
                 [&] { batch.put(CTA_IP_V4_SRC, search.answerer->data(), search.answerer->size()); });
    });
  batch.nest(CTA_FILTER, [&] {
    batch.put_u32(CTA_FILTER_ORIG_FLAGS, kProtocol | (search.port ? kDestinationPort : 0));
    batch.put_u32(CTA_FILTER_REPLY_FLAGS, by_answerer ? kSource : 0);
  });
}

/// One direction of an entry.
struct Tuple {
  std::optional<Address> source, destination;
  uint8_t protocol = 0;
  uint16_t destination_port = 0;
};

std::optional<Address> read_address(ByteView attributes, uint16_t type4, uint16_t type6) {
  for (const auto& [type, size] : {std::pair(type4, size_t{4}), std::pair(type6, size_t{16})})
    if (const auto found = find_attribute(attributes, type); found && found->data.size() == size)
      return Address::from_bytes(found->data.data(), size);
  return std::nullopt;
}

Tuple read_tuple(ByteView attributes) {
  Tuple tuple;
  if (const auto ip = find_attribute(attributes, CTA_TUPLE_IP)) {
    tuple.source = read_address(ip->data, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
    tuple.destination = read_address(ip->data, CTA_IP_V4_DST, CTA_IP_V6_DST);
  }
  const auto transport = find_attribute(attributes, CTA_TUPLE_PROTO);
  if (!transport) return tuple;
  if (const auto number = find_attribute(transport->data, CTA_PROTO_NUM); number && !number->data.empty())
    tuple.protocol = static_cast<uint8_t>(number->data[0]);
  if (const auto port = find_attribute(transport->data, CTA_PROTO_DST_PORT); port && port->data.size() == 2) {
    std::memcpy(&tuple.destination_port, port->data.data(), 2);
    tuple.destination_port = ntohs(tuple.destination_port);
  }
  return tuple;
}

std::optional<Flow> read_flow(ByteView attributes) {
  const auto original = find_attribute(attributes, CTA_TUPLE_ORIG);
  const auto reply = find_attribute(attributes, CTA_TUPLE_REPLY);
  if (!original || !reply) return std::nullopt;
  const Tuple first = read_tuple(original->data), answer = read_tuple(reply->data);
  if (first.protocol != IPPROTO_UDP || !first.destination || !answer.source) return std::nullopt;
  return Flow{*first.destination, first.destination_port, *answer.source};
}

/// Removes the entry that `attributes` tell of, and no other that took its place.
void write_removal(Batch& batch, int family, ByteView attributes) {
  batch.begin(message_type(IPCTNL_MSG_CT_DELETE), 0, message_header(family), kOperation);
  batch.forgive(ENOENT);
  for (const uint16_t type : {CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID})
    if (const auto found = find_attribute(attributes, type))
      batch.put(static_cast<uint16_t>(type == CTA_TUPLE_ORIG ? type | NLA_F_NESTED : type),
                found->data.data(), found->data.size());
}

}  // namespace

void forget(Netlink& socket, const Search& search, const std::function<bool(const Flow&)>& chosen) {
  if (tracked(socket) == 0) return;
  Batch request;
  std::vector<Batch> removals(1);
  ask(request, search);
  socket.dump(request, [&](const Answer& answer) {
    const auto attributes = answer.attributes(sizeof(nfgenmsg));
    const auto flow = read_flow(attributes);
    if (!flow || !chosen(*flow)) return;
    if (removals.back().size() > kBatch) removals.emplace_back();
    write_removal(removals.back(), answer.header<nfgenmsg>().nfgen_family, attributes);
  });
  for (auto& batch : removals) socket.send(batch);
}

}  // namespace luabox::conntrack
