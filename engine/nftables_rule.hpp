// One rule of an nftables chain as the kernel takes it, a list of expressions: what nft(8) would compile the
// same words to. The kernel's side: linux/netfilter/nf_tables.h.
#pragma once

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstdint>
#include <string>

#include "engine/address.hpp"
#include "engine/netlink.hpp"
#include "engine/nftables.hpp"

namespace luabox::nftables {

/// The type of a message about tables, chains and rules (NFT_MSG_...), and the header that follows it.
uint16_t message_type(int message);
nfgenmsg message_header(int family, uint16_t resource = 0);

/// Writes the expressions of one rule. Each method narrows the rule or says what becomes of the packet. A
/// rule that asks for what a packet doesn't have, or only a later fragment, is passed over.
class Rule {
 public:
  explicit Rule(Batch& batch) : batch_(batch) {}

  Rule& from(const std::string& interface);
  Rule& not_from(const std::string& interface);
  Rule& to(const std::string& interface);
  Rule& not_to(const std::string& interface);
  /// iifname "PREFIX*"
  Rule& from_any(const std::string& prefix);

  Rule& family(Family family);
  Rule& source(const Prefix& prefix);
  Rule& destination(const Prefix& prefix);
  /// fib daddr type TYPE: RTN_LOCAL is this host's, RTN_UNICAST another's.
  Rule& destination_is(uint32_t type);

  Rule& transport(Transport protocol);
  Rule& destination_port(Transport protocol, uint16_t port);
  Rule& destination_ports(uint16_t first, uint16_t last);

  /// icmpv6, or icmpv6 type TYPE
  Rule& icmp6();
  Rule& icmp6(uint8_t type);
  /// What neighbour discovery asks for or tells of is `address`.
  Rule& about(const Address& address);
  /// What the packet carries could be found out, behind whatever headers of IPv6.
  Rule& legible();

  /// ether saddr != MAC
  Rule& not_from(const Mac& mac);
  /// meta protocol ip6 ip6 saddr ADDRESS, and the like: source() where the family is the link layer's.
  Rule& frame_from(const Address& address);
  /// ARP for Ethernet and IPv4 in which the sender has these addresses. RFC 826.
  Rule& arp(const Mac& mac, const Address& address);

  /// ct state established,related
  Rule& known();
  /// ct status dnat
  Rule& published();

  /// counter: how many packets came as far as here.
  Rule& counted();

  void accept();
  void drop();
  void jump(const char* chain);
  /// Back to the chain that jumped here.
  void back();
  void masquerade();
  void redirect(const Address& address, uint16_t port);

 private:
  enum class Side : uint8_t { source, destination };

  template <class Body>
  void expression(const char* name, Body&& body) {
    batch_.nest(NFTA_LIST_ELEM, [&] {
      batch_.put_text(NFTA_EXPR_NAME, name);
      batch_.nest(NFTA_EXPR_DATA, body);
    });
  }
  void value(uint16_t type, const void* data, size_t size);
  Rule& meta(uint32_t key);
  Rule& payload(uint32_t base, size_t offset, size_t size);
  Rule& compare(uint32_t operation, const void* data, size_t size);
  Rule& mask(const void* data, size_t size);
  Rule& compare_name(uint32_t key, uint32_t operation, const std::string& interface);
  Rule& layer4(uint8_t protocol);
  Rule& ethertype(uint16_t type);
  Rule& host(const Prefix& prefix, Side side);
  Rule& tracked(uint32_t key, uint32_t bits);
  void immediate(uint32_t target, const void* data, size_t size);
  void verdict(int code, const char* chain = nullptr);

  Batch& batch_;
};

}  // namespace luabox::nftables
