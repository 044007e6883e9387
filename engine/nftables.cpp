#include "engine/nftables.hpp"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/link.hpp"
#include "engine/netlink.hpp"

namespace luabox {
namespace {

constexpr std::string_view kPrefix = "luabox-";
constexpr size_t kMaxName = 207;

// The kernel keeps these two behind __KERNEL__, or spells them as macros of connection tracking's own states.
constexpr uint32_t state_bit(uint32_t state) { return 1U << (state + 1); }
constexpr uint32_t kKnown = state_bit(IP_CT_ESTABLISHED) | state_bit(IP_CT_RELATED);

// RFC 4861
constexpr uint8_t kRouterAdvertisement = 134, kSolicitation = 135, kAdvertisement = 136, kRedirect = 137;

uint16_t nft(int message) { return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message); }

nfgenmsg about(int family, uint16_t resource = 0) {
  return {static_cast<uint8_t>(family), NFNETLINK_V0, htons(resource)};
}

void check_table_name(const std::string& name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (name.size() <= kPrefix.size() || name.size() > kMaxName || !name.starts_with(kPrefix) ||
      !std::all_of(name.begin(), name.end(), good))
    throw Error::invalid("firewall", name,
                         "expected 'luabox-' and 1 to 200 letters, digits, '_', '-' or '.'");
}

/// Writes the expressions of one rule. Each method narrows the rule or says what becomes of the packet; they
/// are what nft(8) would compile the same words to.
class Rule {
 public:
  explicit Rule(Batch& batch) : batch_(batch) {}

  Rule& from(const std::string& interface) { return compare_name(NFT_META_IIFNAME, NFT_CMP_EQ, interface); }
  Rule& not_from(const std::string& interface) {
    return compare_name(NFT_META_IIFNAME, NFT_CMP_NEQ, interface);
  }
  Rule& to(const std::string& interface) { return compare_name(NFT_META_OIFNAME, NFT_CMP_EQ, interface); }
  Rule& not_to(const std::string& interface) {
    return compare_name(NFT_META_OIFNAME, NFT_CMP_NEQ, interface);
  }

  /// iifname "PREFIX*"
  Rule& from_any(const std::string& prefix) {
    return meta(NFT_META_IIFNAME).compare(NFT_CMP_EQ, prefix.data(), prefix.size());
  }
  Rule& source(const Prefix& prefix) { return family(prefix.address.family()).host(prefix, Side::source); }
  Rule& destination(const Prefix& prefix) {
    return family(prefix.address.family()).host(prefix, Side::destination);
  }

  Rule& transport(Transport protocol) {
    return layer4(protocol == Transport::tcp ? IPPROTO_TCP : IPPROTO_UDP);
  }
  Rule& destination_port(Transport protocol, uint16_t port) {
    return transport(protocol).destination_ports(port, port);
  }
  Rule& destination_ports(uint16_t first, uint16_t last) {
    const uint16_t from = htons(first), to = htons(last);
    payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof from);
    if (first == last) return compare(NFT_CMP_EQ, &from, sizeof from);
    return compare(NFT_CMP_GTE, &from, sizeof from).compare(NFT_CMP_LTE, &to, sizeof to);
  }
  /// icmpv6
  Rule& icmp6() { return layer4(IPPROTO_ICMPV6); }
  /// icmpv6 type TYPE
  Rule& icmp6(uint8_t type) {
    return icmp6()
        .payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof type)
        .compare(NFT_CMP_EQ, &type, sizeof type);
  }
  /// What neighbour discovery asks for or tells of is not `address`.
  Rule& not_about(const Address& address) {
    return payload(NFT_PAYLOAD_TRANSPORT_HEADER, 8, address.size())
        .compare(NFT_CMP_NEQ, address.data(), address.size());
  }

  /// ether saddr != MAC
  Rule& not_from(const Mac& mac) {
    return payload(NFT_PAYLOAD_LL_HEADER, 6, mac.bytes.size())
        .compare(NFT_CMP_NEQ, mac.bytes.data(), mac.bytes.size());
  }
  /// meta protocol ip6 ip6 saddr ADDRESS, and the like: what host() is where the family is the link layer's.
  Rule& frame_from(const Address& address) {
    return ethertype(address.family() == Family::ip ? ETH_P_IP : ETH_P_IPV6)
        .host({address, static_cast<uint8_t>(address.bits())}, Side::source);
  }
  /// ARP for Ethernet and IPv4 in which the sender has these addresses. RFC 826.
  Rule& arp(const Mac& mac, const Address& address) {
    static constexpr uint8_t kind[] = {0, 1, 8, 0, 6, 4};
    ethertype(ETH_P_ARP)
        .payload(NFT_PAYLOAD_NETWORK_HEADER, 0, sizeof kind)
        .compare(NFT_CMP_EQ, kind, sizeof kind);
    payload(NFT_PAYLOAD_NETWORK_HEADER, 8, mac.bytes.size())
        .compare(NFT_CMP_EQ, mac.bytes.data(), mac.bytes.size());
    return payload(NFT_PAYLOAD_NETWORK_HEADER, 14, address.size())
        .compare(NFT_CMP_EQ, address.data(), address.size());
  }
  /// fib daddr type local
  Rule& destination_is_ours() {
    expression("fib", [&] {
      batch_.put_be32(NFTA_FIB_DREG, NFT_REG_1);
      batch_.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
      batch_.put_be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
    });
    const uint32_t type = RTN_LOCAL;
    return compare(NFT_CMP_EQ, &type, sizeof type);
  }
  Rule& family(Family family) {
    const uint8_t number = family == Family::ip ? NFPROTO_IPV4 : NFPROTO_IPV6;
    return meta(NFT_META_NFPROTO).compare(NFT_CMP_EQ, &number, sizeof number);
  }
  /// ct state established,related
  Rule& known() { return tracked(NFT_CT_STATE, kKnown); }
  /// ct status dnat
  Rule& published() { return tracked(NFT_CT_STATUS, IPS_DST_NAT); }

  void accept() { verdict(NF_ACCEPT); }
  void drop() { verdict(NF_DROP); }
  void jump(const char* chain) { verdict(NFT_JUMP, chain); }
  void masquerade() {
    expression("masq", [] {});
  }
  void redirect(const Address& address, uint16_t port) {
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

 private:
  enum class Side : uint8_t { source, destination };

  template <class Body>
  void expression(const char* name, Body&& body) {
    batch_.nest(NFTA_LIST_ELEM, [&] {
      batch_.put_text(NFTA_EXPR_NAME, name);
      batch_.nest(NFTA_EXPR_DATA, body);
    });
  }
  void value(uint16_t type, const void* data, size_t size) {
    batch_.nest(type, [&] { batch_.put(NFTA_DATA_VALUE, data, size); });
  }
  Rule& meta(uint32_t key) {
    expression("meta", [&] {
      batch_.put_be32(NFTA_META_KEY, key);
      batch_.put_be32(NFTA_META_DREG, NFT_REG_1);
    });
    return *this;
  }
  Rule& payload(uint32_t base, size_t offset, size_t size) {
    expression("payload", [&] {
      batch_.put_be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
      batch_.put_be32(NFTA_PAYLOAD_BASE, base);
      batch_.put_be32(NFTA_PAYLOAD_OFFSET, static_cast<uint32_t>(offset));
      batch_.put_be32(NFTA_PAYLOAD_LEN, static_cast<uint32_t>(size));
    });
    return *this;
  }
  Rule& compare(uint32_t operation, const void* data, size_t size) {
    expression("cmp", [&] {
      batch_.put_be32(NFTA_CMP_SREG, NFT_REG_1);
      batch_.put_be32(NFTA_CMP_OP, operation);
      value(NFTA_CMP_DATA, data, size);
    });
    return *this;
  }
  Rule& mask(const void* data, size_t size) {
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
  /// The whole of the kernel's buffer is compared: a name that only begins alike is another.
  Rule& compare_name(uint32_t key, uint32_t operation, const std::string& interface) {
    char name[IFNAMSIZ] = {};
    std::copy_n(interface.data(), std::min(interface.size(), sizeof name - 1), name);
    return meta(key).compare(operation, name, sizeof name);
  }
  Rule& layer4(uint8_t protocol) {
    return meta(NFT_META_L4PROTO).compare(NFT_CMP_EQ, &protocol, sizeof protocol);
  }
  Rule& ethertype(uint16_t type) {
    const uint16_t wire = htons(type);
    return meta(NFT_META_PROTOCOL).compare(NFT_CMP_EQ, &wire, sizeof wire);
  }
  Rule& host(const Prefix& prefix, Side side) {
    const Address& address = prefix.address;
    const size_t first = address.family() == Family::ip ? 12 : 8;  // of the source in the IP header
    payload(NFT_PAYLOAD_NETWORK_HEADER, side == Side::source ? first : first + address.size(),
            address.size());
    if (prefix.length < address.bits()) {
      uint8_t bits[16] = {};
      for (unsigned bit = 0; bit < prefix.length; ++bit)
        bits[bit / 8] |= static_cast<uint8_t>(0x80U >> (bit % 8));
      mask(bits, address.size());
    }
    return compare(NFT_CMP_EQ, address.data(), address.size());
  }
  Rule& tracked(uint32_t key, uint32_t bits) {
    static constexpr uint32_t zero = 0;
    expression("ct", [&] {
      batch_.put_be32(NFTA_CT_KEY, key);
      batch_.put_be32(NFTA_CT_DREG, NFT_REG_1);
    });
    return mask(&bits, sizeof bits).compare(NFT_CMP_NEQ, &zero, sizeof zero);
  }
  void immediate(uint32_t target, const void* data, size_t size) {
    expression("immediate", [&] {
      batch_.put_be32(NFTA_IMMEDIATE_DREG, target);
      value(NFTA_IMMEDIATE_DATA, data, size);
    });
  }
  void verdict(int code, const char* chain = nullptr) {
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

  Batch& batch_;
};

struct Hook {
  const char* type;
  uint32_t number;
  int32_t priority;
  std::string device = {};
  uint32_t policy = NF_ACCEPT;
};

/// What the kernel makes of an Ethernet address (RFC 4291, appendix A).
Address link_local_of(const Mac& mac) {
  const auto& m = mac.bytes;
  const uint8_t bytes[16] = {0xfe, 0x80, 0,    0,    0,    0,    0,   0, static_cast<uint8_t>(m[0] ^ 2),
                             m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
  return Address::from_bytes(bytes, sizeof bytes);
}

/// Writes the table's chains and rules into a transaction.
class Writer {
 public:
  Writer(Batch& batch, const Firewall& firewall) : batch_(batch), firewall_(firewall) {}

  void write() {
    if (!firewall_.port.empty()) identify();
    if (firewall_.shared && firewall_.publish.empty() && !firewall_.egress && !firewall_.port.empty()) return;
    table(NFPROTO_INET);
    if (!firewall_.shared) {
      guard();
      isolate();
    }
    if (firewall_.egress) egress();
    if (!firewall_.publish.empty()) publish();
    if (firewall_.masquerade || !firewall_.publish.empty() || !firewall_.networks.empty()) translate();
  }

 private:
  void table(int family) {
    family_ = family;
    batch_.begin(nft(NFT_MSG_NEWTABLE), NLM_F_CREATE | NLM_F_EXCL, about(family_), "add firewall",
                 firewall_.name);
    batch_.put_text(NFTA_TABLE_NAME, firewall_.name);
  }

  void chain(const char* name, const std::optional<Hook>& hook) {
    batch_.begin(nft(NFT_MSG_NEWCHAIN), NLM_F_CREATE, about(family_), "add firewall chain", name);
    batch_.put_text(NFTA_CHAIN_TABLE, firewall_.name);
    batch_.put_text(NFTA_CHAIN_NAME, name);
    if (!hook) return;
    batch_.put_text(NFTA_CHAIN_TYPE, hook->type);
    batch_.nest(NFTA_CHAIN_HOOK, [&] {
      batch_.put_be32(NFTA_HOOK_HOOKNUM, hook->number);
      batch_.put_be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(hook->priority));
      if (!hook->device.empty()) batch_.put_text(NFTA_HOOK_DEV, hook->device);
    });
    batch_.put_be32(NFTA_CHAIN_POLICY, hook->policy);
  }

  /// One rule at the end of `chain`: `body` gets a Rule to write.
  template <class Body>
  void rule(const char* chain, Body&& body) {
    batch_.begin(nft(NFT_MSG_NEWRULE), NLM_F_CREATE | NLM_F_APPEND, about(family_), "add firewall rule",
                 chain);
    batch_.put_text(NFTA_RULE_TABLE, firewall_.name);
    batch_.put_text(NFTA_RULE_CHAIN, chain);
    batch_.nest(NFTA_RULE_EXPRESSIONS, [&] { body(Rule(batch_)); });
  }

  static Prefix alone(const Address& address) { return {address, static_cast<uint8_t>(address.bits())}; }

  /// What lies behind the interface.
  std::vector<Prefix> behind() const {
    std::vector<Prefix> prefixes;
    for (const auto& network : firewall_.networks) prefixes.push_back(network.network());
    for (const auto& address : firewall_.addresses) prefixes.push_back(alone(address));
    return prefixes;
  }

  /// What the container's port of a bridge lets in. Neighbour discovery's source is no proof: what it tells
  /// of is looked at too.
  void identify() {
    static const Address none = Address::any(Family::ip6);
    const Mac& mac = *firewall_.mac;
    std::vector<Address> own = firewall_.addresses;
    own.push_back(link_local_of(mac));
    const auto about_others = [&](Rule& r) {
      for (const auto& address : own)
        if (address.family() == Family::ip6) r.not_about(address);
      r.drop();
    };
    table(NFPROTO_NETDEV);
    chain("port", Hook{"filter", NF_NETDEV_INGRESS, 0, firewall_.port, NF_DROP});
    rule("port", [&](Rule r) { r.not_from(mac).drop(); });
    rule("port", [&](Rule r) { r.icmp6(kRouterAdvertisement).drop(); });
    rule("port", [&](Rule r) { r.icmp6(kRedirect).drop(); });
    rule("port", [&](Rule r) { about_others(r.icmp6(kAdvertisement)); });
    // Whether an address is free: it would take a neighbour's from it.
    rule("port", [&](Rule r) { about_others(r.frame_from(none).icmp6(kSolicitation)); });
    rule("port", [&](Rule r) { r.frame_from(none).icmp6().accept(); });
    for (const auto& address : own) {
      if (address.family() == Family::ip) rule("port", [&](Rule r) { r.arp(mac, address).accept(); });
      rule("port", [&](Rule r) { r.frame_from(address).accept(); });
    }
  }

  /// Before the destination is translated: what the container asked for is what counts.
  void egress() {
    chain("egress-allowed", std::nullopt);
    rule("egress-allowed", [&](Rule r) { r.known().accept(); });
    for (const uint8_t type : {kSolicitation, kAdvertisement})
      rule("egress-allowed", [&](Rule r) { r.icmp6(type).accept(); });
    for (const auto& allowed : *firewall_.egress) {
      for (const auto protocol : {Transport::tcp, Transport::udp}) {
        if (allowed.protocol.value_or(protocol) != protocol) continue;
        const bool all = !allowed.protocol && !allowed.first_port;
        rule("egress-allowed", [&](Rule r) {
          if (allowed.to) r.destination(allowed.to->network());
          if (!all) r.transport(protocol);
          if (allowed.first_port)
            r.destination_ports(*allowed.first_port, allowed.last_port.value_or(*allowed.first_port));
          r.accept();
        });
        if (all) break;
      }
    }
    rule("egress-allowed", [&](Rule r) { r.drop(); });
    chain("egress", Hook{"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE});
    if (!firewall_.shared) {
      rule("egress", [&](Rule r) { r.from(firewall_.interface).jump("egress-allowed"); });
      return;
    }
    auto own = firewall_.addresses;
    own.push_back(link_local_of(*firewall_.mac));
    for (const auto& address : own)
      rule("egress",
           [&](Rule r) { r.from(firewall_.interface).source(alone(address)).jump("egress-allowed"); });
  }

  void guard() {
    static const Prefix local = Prefix::parse("127.0.0.0/8"), link = Prefix::parse("fe80::/10"),
                        none = Prefix::parse("::/128");
    chain("guard", Hook{"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW});
    rule("guard", [&](Rule r) { r.not_from(firewall_.interface).accept(); });
    rule("guard", [&](Rule r) { r.destination(local).drop(); });
    // No container is this host's router.
    rule("guard", [&](Rule r) { r.icmp6(kRouterAdvertisement).drop(); });
    rule("guard", [&](Rule r) { r.icmp6(kRedirect).drop(); });
    for (const auto& prefix : behind()) rule("guard", [&](Rule r) { r.source(prefix).accept(); });
    // Neighbour discovery needs its link-local and its unspecified address.
    rule("guard", [&](Rule r) { r.source(link).accept(); });
    rule("guard", [&](Rule r) { r.source(none).accept(); });
    rule("guard", [&](Rule r) { r.drop(); });
  }

  void isolate() {
    chain("isolate", Hook{"filter", NF_INET_FORWARD, NF_IP_PRI_FILTER});
    rule("isolate", [&](Rule r) { r.not_to(firewall_.interface).accept(); });
    // Neighbours on a bridge come by here where br_netfilter sends them.
    rule("isolate", [&](Rule r) { r.from(firewall_.interface).accept(); });
    rule("isolate", [&](Rule r) { r.known().accept(); });
    rule("isolate", [&](Rule r) { r.published().accept(); });
    if (firewall_.inbound == Inbound::none)
      rule("isolate", [&](Rule r) { r.drop(); });
    else
      rule("isolate", [&](Rule r) { r.from_any(firewall_.isolate).drop(); });
  }

  void publish() {
    static const Prefix local = Prefix::parse("127.0.0.0/8"), local6 = Prefix::parse("::1/128");
    chain("publish", std::nullopt);
    for (const auto& port : firewall_.publish) rule("publish", [&](Rule r) { publish(r, port); });
    chain("publish-forwarded", Hook{"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST});
    rule("publish-forwarded", [&](Rule r) { r.jump("publish"); });
    chain("publish-local", Hook{"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST});
    // What was sent on from a loopback address to an interface would be refused there, unless it is told
    // otherwise.
    if (!firewall_.loopback) rule("publish-local", [&](Rule r) { r.destination(local).accept(); });
    rule("publish-local", [&](Rule r) { r.destination(local6).accept(); });
    rule("publish-local", [&](Rule r) { r.jump("publish"); });
  }

  void publish(Rule& rule, const Publish& port) const {
    const Address guest = guest_of(port);
    if (port.host_address && !port.host_address->is_any())
      rule.destination(alone(*port.host_address));
    else
      rule.family(guest.family());
    rule.destination_port(port.protocol, port.host_port);
    if (!port.host_address || port.host_address->is_any()) rule.destination_is_ours();
    rule.redirect(guest, port.guest_port.value_or(port.host_port));
  }

  Address guest_of(const Publish& port) const {
    if (port.guest_address) return *port.guest_address;
    for (const auto& address : firewall_.addresses)
      if (!port.host_address || port.host_address->family() == address.family()) return address;
    throw Error::invalid("firewall", firewall_.name,
                         "a published port needs a container's address of its family");
  }

  void translate() {
    static const Prefix local = Prefix::parse("127.0.0.0/8");
    chain("translate", Hook{"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC});
    for (const auto& guest : behind()) {
      if (firewall_.masquerade)
        rule("translate", [&](Rule r) { r.not_to(firewall_.interface).source(guest).masquerade(); });
      rule("translate", [&](Rule r) { r.to(firewall_.interface).source(guest).published().masquerade(); });
    }
    if (firewall_.loopback)
      rule("translate", [&](Rule r) { r.to(firewall_.interface).source(local).masquerade(); });
  }

  Batch& batch_;
  const Firewall& firewall_;
  int family_ = NFPROTO_INET;
};

void check_port(const Firewall& firewall, const Publish& port) {
  const auto refuse = [&](const std::string& reason) {
    throw Error::invalid("firewall", firewall.name, "port " + std::to_string(port.host_port) + ": " + reason);
  };
  if (port.host_port == 0 || port.guest_port == 0) refuse("expected ports from 1 to 65535");
  if (port.host_address && port.guest_address && port.host_address->family() != port.guest_address->family())
    refuse("host_address and guest_address are of different families");
  if (port.host_address && port.host_address->is_loopback() && !firewall.loopback)
    refuse("publishing on " + port.host_address->text() + " needs loopback");
  if (port.host_address && port.host_address->is_loopback() && port.host_address->family() == Family::ip6)
    refuse("the kernel can't forward from ::1");
  if (!port.guest_address) return;
  if (std::find(firewall.addresses.begin(), firewall.addresses.end(), *port.guest_address) ==
      firewall.addresses.end())
    refuse(port.guest_address->text() + " is none of the container's addresses");
}

void check(const Firewall& firewall) {
  check_table_name(firewall.name);
  link::check_name(firewall.interface);
  link::check_name(firewall.isolate);
  // They would name the settings of every interface (/proc/sys/net/ipv4/conf/all).
  if (firewall.interface == "all" || firewall.interface == "default")
    throw Error::invalid("firewall", firewall.name, "the interface can't be called " + firewall.interface);
  for (const auto& address : firewall.addresses)
    if (address.is_any() || address.is_loopback())
      throw Error::invalid("firewall", firewall.name, address.text() + " can't be a container's address");
  for (const auto& port : firewall.publish) check_port(firewall, port);
  if (!firewall.port.empty()) link::check_name(firewall.port);
  if (firewall.port.empty() == firewall.mac.has_value() || (firewall.mac && !firewall.shared))
    throw Error::invalid("firewall", firewall.name, "port and mac go together, and with shared");
  if (firewall.egress && firewall.shared && !firewall.mac)
    throw Error::invalid("firewall", firewall.name, "egress of a shared interface needs port and mac");
  for (const auto& allowed : firewall.egress.value_or(std::vector<Egress>()))
    if (allowed.first_port == 0 || allowed.last_port < allowed.first_port)
      throw Error::invalid("firewall", firewall.name,
                           "egress: expected ports from 1 to 65535, the first before the last");
}

/// Which network namespace this thread is in: a number that is never used again, 0 where the kernel doesn't
/// tell (before Linux 5.14).
uint64_t current_namespace() {
  const Fd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (!probe || ::getsockopt(probe.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) < 0) return 0;
  return cookie;
}

/// This process's socket in this network namespace. It is kept, because closing one waits until the kernel
/// has destroyed all that was removed: 5 ms after a table (nft_rcv_nl_event() in
/// net/netfilter/nf_tables_api.c).
Netlink& kept_socket() {
  static std::optional<Netlink> socket;
  static uint64_t socket_namespace = 0;
  static pid_t socket_process = 0;
  const uint64_t here = current_namespace();
  if (!socket || here == 0 || here != socket_namespace || socket_process != ::getpid()) {
    socket.emplace(NETLINK_NETFILTER);
    socket_namespace = here;
    socket_process = ::getpid();
  }
  return *socket;
}

/// Runs what `body` writes as one transaction.
template <class Body>
void transact(const char* op, const std::string& name, Body&& body) {
  Batch batch;
  batch.begin(NFNL_MSG_BATCH_BEGIN, 0, about(AF_UNSPEC, NFNL_SUBSYS_NFTABLES), op, name);
  body(batch);
  batch.begin(NFNL_MSG_BATCH_END, 0, about(AF_UNSPEC, NFNL_SUBSYS_NFTABLES), op, name);
  kept_socket().send(batch);
}

}  // namespace

void create_firewall(const Firewall& firewall) {
  check(firewall);
  transact("add firewall", firewall.name, [&](Batch& batch) { Writer(batch, firewall).write(); });
  if (!firewall.loopback) return;
  try {
    // From now on the interface would pass packets to and from 127.0.0.0/8; the table's guard drops those of
    // the container.
    write_file("/proc/sys/net/ipv4/conf/" + firewall.interface + "/route_localnet", "1");
  } catch (const Error&) {
    remove_firewall(firewall.name);
    throw;
  }
}

namespace {

/// luabox's tables: (family, name).
std::vector<std::pair<int, std::string>> tables() {
  Batch batch;
  std::vector<std::pair<int, std::string>> found;
  batch.begin(nft(NFT_MSG_GETTABLE), NLM_F_DUMP, about(NFPROTO_UNSPEC), "list firewalls");
  kept_socket().dump(batch, [&](const Answer& answer) {
    const int family = answer.header<nfgenmsg>().nfgen_family;
    const auto name = find_attribute(answer.attributes(sizeof(nfgenmsg)), NFTA_TABLE_NAME);
    if (name && name->text().starts_with(kPrefix) && (family == NFPROTO_INET || family == NFPROTO_NETDEV))
      found.emplace_back(family, name->text());
  });
  return found;
}

}  // namespace

void remove_firewall(const std::string& name) {
  check_table_name(name);
  // Asked for first: a transaction that fails waits until the kernel has undone it, milliseconds.
  auto all = tables();
  std::erase_if(all, [&](const auto& table) { return table.second != name; });
  if (all.empty()) throw Error("remove firewall", name, ENOENT);
  transact("remove firewall", name, [&](Batch& batch) {
    for (const auto& [family, table] : all) {
      batch.begin(nft(NFT_MSG_DELTABLE), 0, about(family), "remove firewall", table);
      batch.put_text(NFTA_TABLE_NAME, table);
    }
  });
}

std::vector<std::string> firewalls() {
  std::vector<std::string> names;
  for (auto& [family, name] : tables())
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  return names;
}

}  // namespace luabox
