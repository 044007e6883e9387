#include "engine/nftables_rule.hpp"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>

#include <algorithm>

namespace luabox::nftables {
namespace {

// The kernel keeps these two behind __KERNEL__, or spells them as macros of connection tracking's own states.
constexpr uint32_t state_bit(uint32_t state) { return 1U << (state + 1); }
constexpr uint32_t kKnown = state_bit(IP_CT_ESTABLISHED) | state_bit(IP_CT_RELATED);

}  // namespace

uint16_t message_type(int message) { return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message); }

nfgenmsg message_header(int family, uint16_t resource) {
  return {static_cast<uint8_t>(family), NFNETLINK_V0, htons(resource)};
}

Rule& Rule::from(const std::string& interface) {
  return compare_name(NFT_META_IIFNAME, NFT_CMP_EQ, interface);
}

Rule& Rule::not_from(const std::string& interface) {
  return compare_name(NFT_META_IIFNAME, NFT_CMP_NEQ, interface);
}

Rule& Rule::to(const std::string& interface) { return compare_name(NFT_META_OIFNAME, NFT_CMP_EQ, interface); }

Rule& Rule::not_to(const std::string& interface) {
  return compare_name(NFT_META_OIFNAME, NFT_CMP_NEQ, interface);
}

Rule& Rule::from_any(const std::string& prefix) {
  return meta(NFT_META_IIFNAME).compare(NFT_CMP_EQ, prefix.data(), prefix.size());
}

Rule& Rule::source(const Prefix& prefix) {
  return family(prefix.address.family()).host(prefix, Side::source);
}

Rule& Rule::destination(const Prefix& prefix) {
  return family(prefix.address.family()).host(prefix, Side::destination);
}

Rule& Rule::transport(Transport protocol) {
  return layer4(protocol == Transport::tcp ? IPPROTO_TCP : IPPROTO_UDP);
}

Rule& Rule::destination_port(Transport protocol, uint16_t port) {
  return transport(protocol).destination_ports(port, port);
}

Rule& Rule::destination_ports(uint16_t first, uint16_t last) {
  const uint16_t from = htons(first), to = htons(last);
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof from);
  if (first == last) return compare(NFT_CMP_EQ, &from, sizeof from);
  return compare(NFT_CMP_GTE, &from, sizeof from).compare(NFT_CMP_LTE, &to, sizeof to);
}

Rule& Rule::icmp6() { return layer4(IPPROTO_ICMPV6); }

Rule& Rule::icmp6(uint8_t type) {
  return icmp6()
      .payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof type)
      .compare(NFT_CMP_EQ, &type, sizeof type);
}

Rule& Rule::about(const Address& address) {
  return payload(NFT_PAYLOAD_TRANSPORT_HEADER, 8, address.size())
      .compare(NFT_CMP_EQ, address.data(), address.size());
}

Rule& Rule::legible() {
  static constexpr uint8_t none = IPPROTO_RAW;  // reserved: what nothing is
  return meta(NFT_META_L4PROTO).compare(NFT_CMP_NEQ, &none, sizeof none);
}

Rule& Rule::not_from(const Mac& mac) {
  return payload(NFT_PAYLOAD_LL_HEADER, 6, mac.bytes.size())
      .compare(NFT_CMP_NEQ, mac.bytes.data(), mac.bytes.size());
}

Rule& Rule::frame_from(const Address& address) {
  return ethertype(address.family() == Family::ip ? ETH_P_IP : ETH_P_IPV6)
      .host({address, static_cast<uint8_t>(address.bits())}, Side::source);
}

Rule& Rule::arp(const Mac& mac, const Address& address) {
  static constexpr uint8_t kind[] = {0, 1, 8, 0, 6, 4};
  ethertype(ETH_P_ARP)
      .payload(NFT_PAYLOAD_NETWORK_HEADER, 0, sizeof kind)
      .compare(NFT_CMP_EQ, kind, sizeof kind);
  payload(NFT_PAYLOAD_NETWORK_HEADER, 8, mac.bytes.size())
      .compare(NFT_CMP_EQ, mac.bytes.data(), mac.bytes.size());
  return payload(NFT_PAYLOAD_NETWORK_HEADER, 14, address.size())
      .compare(NFT_CMP_EQ, address.data(), address.size());
}

Rule& Rule::destination_is(uint32_t type) {
  expression("fib", [&] {
    batch_.put_be32(NFTA_FIB_DREG, NFT_REG_1);
    batch_.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    batch_.put_be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  });
  return compare(NFT_CMP_EQ, &type, sizeof type);
}

Rule& Rule::family(Family family) {
  const uint8_t number = family == Family::ip ? NFPROTO_IPV4 : NFPROTO_IPV6;
  return meta(NFT_META_NFPROTO).compare(NFT_CMP_EQ, &number, sizeof number);
}

Rule& Rule::known() { return tracked(NFT_CT_STATE, kKnown); }

Rule& Rule::published() { return tracked(NFT_CT_STATUS, IPS_DST_NAT); }

Rule& Rule::counted() {
  expression("counter", [] {});
  return *this;
}

void Rule::accept() { verdict(NF_ACCEPT); }

void Rule::drop() { verdict(NF_DROP); }

void Rule::jump(const char* chain) { verdict(NFT_JUMP, chain); }

void Rule::back() { verdict(NFT_RETURN); }

void Rule::masquerade() {
  expression("masq", [] {});
}

void Rule::redirect(const Address& address, uint16_t port) {
  const uint16_t wire = htons(port);
  immediate(NFT_REG_1, address.data(), address.size());
  immediate(NFT_REG_2, &wire, sizeof wire);
  expression("nat", [&] {
    batch_.put_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    batch_.put_be32(NFTA_NAT_FAMILY, address.family() == Family::ip ? NFPROTO_IPV4 : NFPROTO_IPV6);
    batch_.put_be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
    batch_.put_be32(NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
  });
}

void Rule::value(uint16_t type, const void* data, size_t size) {
  batch_.nest(type, [&] { batch_.put(NFTA_DATA_VALUE, data, size); });
}

Rule& Rule::meta(uint32_t key) {
  expression("meta", [&] {
    batch_.put_be32(NFTA_META_KEY, key);
    batch_.put_be32(NFTA_META_DREG, NFT_REG_1);
  });
  return *this;
}

Rule& Rule::payload(uint32_t base, size_t offset, size_t size) {
  expression("payload", [&] {
    batch_.put_be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
    batch_.put_be32(NFTA_PAYLOAD_BASE, base);
    batch_.put_be32(NFTA_PAYLOAD_OFFSET, static_cast<uint32_t>(offset));
    batch_.put_be32(NFTA_PAYLOAD_LEN, static_cast<uint32_t>(size));
  });
  return *this;
}

Rule& Rule::compare(uint32_t operation, const void* data, size_t size) {
  expression("cmp", [&] {
    batch_.put_be32(NFTA_CMP_SREG, NFT_REG_1);
    batch_.put_be32(NFTA_CMP_OP, operation);
    value(NFTA_CMP_DATA, data, size);
  });
  return *this;
}

Rule& Rule::mask(const void* data, size_t size) {
  static constexpr uint8_t zeros[16] = {};
  expression("bitwise", [&] {
    batch_.put_be32(NFTA_BITWISE_SREG, NFT_REG_1);
    batch_.put_be32(NFTA_BITWISE_DREG, NFT_REG_1);
    batch_.put_be32(NFTA_BITWISE_LEN, static_cast<uint32_t>(size));
    value(NFTA_BITWISE_MASK, data, size);
    value(NFTA_BITWISE_XOR, zeros, size);
  });
  return *this;
}

// The whole of the kernel's buffer is compared: a name that only begins alike is another.
Rule& Rule::compare_name(uint32_t key, uint32_t operation, const std::string& interface) {
  char name[IFNAMSIZ] = {};
  std::copy_n(interface.data(), std::min(interface.size(), sizeof name - 1), name);
  return meta(key).compare(operation, name, sizeof name);
}

Rule& Rule::layer4(uint8_t protocol) {
  return meta(NFT_META_L4PROTO).compare(NFT_CMP_EQ, &protocol, sizeof protocol);
}

Rule& Rule::ethertype(uint16_t type) {
  const uint16_t wire = htons(type);
  return meta(NFT_META_PROTOCOL).compare(NFT_CMP_EQ, &wire, sizeof wire);
}

Rule& Rule::host(const Prefix& prefix, Side side) {
  const Address& address = prefix.address;
  const size_t first = address.family() == Family::ip ? 12 : 8;  // of the source in the IP header
  payload(NFT_PAYLOAD_NETWORK_HEADER, side == Side::source ? first : first + address.size(), address.size());
  if (prefix.length < address.bits()) {
    uint8_t bits[16] = {};
    for (unsigned bit = 0; bit < prefix.length; ++bit)
      bits[bit / 8] |= static_cast<uint8_t>(0x80U >> (bit % 8));
    mask(bits, address.size());
  }
  return compare(NFT_CMP_EQ, address.data(), address.size());
}

Rule& Rule::tracked(uint32_t key, uint32_t bits) {
  static constexpr uint32_t zero = 0;
  expression("ct", [&] {
    batch_.put_be32(NFTA_CT_KEY, key);
    batch_.put_be32(NFTA_CT_DREG, NFT_REG_1);
  });
  return mask(&bits, sizeof bits).compare(NFT_CMP_NEQ, &zero, sizeof zero);
}

void Rule::immediate(uint32_t target, const void* data, size_t size) {
  expression("immediate", [&] {
    batch_.put_be32(NFTA_IMMEDIATE_DREG, target);
    value(NFTA_IMMEDIATE_DATA, data, size);
  });
}

void Rule::verdict(int code, const char* chain) {
  expression("immediate", [&] {
    batch_.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    batch_.nest(NFTA_IMMEDIATE_DATA, [&] {
      batch_.nest(NFTA_DATA_VERDICT, [&] {
        batch_.put_be32(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
        if (chain) batch_.put_text(NFTA_VERDICT_CHAIN, chain);
      });
    });
  });
}

}  // namespace luabox::nftables
