#include "engine/nftables_table.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <algorithm>

#include "engine/error.hpp"
#include "engine/nftables_rule.hpp"

namespace luabox::nftables {
namespace {

// RFC 4861
constexpr uint8_t kRouterAdvertisement = 134, kSolicitation = 135, kAdvertisement = 136, kRedirect = 137;

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
    if (firewall_.masquerade || !firewall_.publish.empty() ||
        (!firewall_.shared && !firewall_.networks.empty()))
      translate();
  }

 private:
  void table(int family) {
    family_ = family;
    batch_.begin(message_type(NFT_MSG_NEWTABLE), NLM_F_CREATE | NLM_F_EXCL, message_header(family_),
                 "add firewall", firewall_.name);
    batch_.put_text(NFTA_TABLE_NAME, firewall_.name);
    const std::string userdata = comment(firewall_.port.empty() ? firewall_.interface : firewall_.port);
    batch_.put(NFTA_TABLE_USERDATA, userdata.data(), userdata.size());
  }

  void chain(const char* name, const std::optional<Hook>& hook) {
    batch_.begin(message_type(NFT_MSG_NEWCHAIN), NLM_F_CREATE, message_header(family_), "add firewall chain",
                 name);
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
    batch_.begin(message_type(NFT_MSG_NEWRULE), NLM_F_CREATE | NLM_F_APPEND, message_header(family_),
                 "add firewall rule", chain);
    batch_.put_text(NFTA_RULE_TABLE, firewall_.name);
    batch_.put_text(NFTA_RULE_CHAIN, chain);
    batch_.nest(NFTA_RULE_EXPRESSIONS, [&] { body(Rule(batch_)); });
  }

  static Prefix alone(const Address& address) { return {address, static_cast<uint8_t>(address.bits())}; }

  /// What lies behind the interface.
  std::vector<Prefix> behind() const {
    std::vector<Prefix> prefixes;
    if (!firewall_.shared)
      for (const auto& network : firewall_.networks) prefixes.push_back(network.network());
    for (const auto& address : firewall_.addresses) prefixes.push_back(alone(address));
    return prefixes;
  }

  /// What the container's port of a bridge lets in. Neighbour discovery's source is no proof: what it tells
  /// of is looked at too. A rule that can't read what it asks for is passed over, so every such rule lets
  /// through: a fragment that ends before the address says nothing that is let in.
  void identify() {
    static const Address none = Address::any(Family::ip6);
    const Mac& mac = *firewall_.mac;
    std::vector<Address> own = firewall_.addresses;
    own.push_back(link_local_of(mac));
    table(NFPROTO_NETDEV);
    chain("about-own", std::nullopt);
    for (const auto& address : own)
      if (address.family() == Family::ip6) rule("about-own", [&](Rule r) { r.about(address).back(); });
    rule("about-own", [&](Rule r) { r.drop(); });
    chain("port", Hook{"filter", NF_NETDEV_INGRESS, 0, firewall_.port, NF_DROP});
    rule("port", [&](Rule r) { r.not_from(mac).drop(); });
    rule("port", [&](Rule r) { r.icmp6(kRouterAdvertisement).drop(); });
    rule("port", [&](Rule r) { r.icmp6(kRedirect).drop(); });
    rule("port", [&](Rule r) { r.icmp6(kAdvertisement).jump("about-own"); });
    // Whether an address is free: it would take a neighbour's from it.
    rule("port", [&](Rule r) { r.frame_from(none).icmp6(kSolicitation).jump("about-own"); });
    rule("port", [&](Rule r) { r.frame_from(none).icmp6().accept(); });
    for (const auto& address : own) {
      if (address.family() == Family::ip) rule("port", [&](Rule r) { r.arp(mac, address).accept(); });
      rule("port",
           [&](Rule r) { (address.family() == Family::ip ? r : r.legible()).frame_from(address).accept(); });
    }
  }

  /// Before the destination is translated: what the container asked for is what counts.
  void egress() {
    static const Prefix link = Prefix::parse("fe80::/10"), group = Prefix::parse("ff02::/16");
    // Neighbour discovery, which no translation touches, with what is never forwarded.
    chain("discovery", std::nullopt);
    for (const auto& local : {link, group}) rule("discovery", [&](Rule r) { r.destination(local).accept(); });
    rule("discovery", [&](Rule r) { r.destination_is(RTN_LOCAL).accept(); });
    chain("egress-allowed", std::nullopt);
    rule("egress-allowed", [&](Rule r) { r.known().accept(); });
    for (const uint8_t type : {kSolicitation, kAdvertisement})
      rule("egress-allowed", [&](Rule r) { r.icmp6(type).jump("discovery"); });
    // What stays on the bridge comes by here where br_netfilter sends it.
    if (firewall_.shared)
      for (const auto& network : firewall_.networks)
        rule("egress-allowed",
             [&](Rule r) { r.destination(network.network()).destination_is(RTN_UNICAST).accept(); });
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
    egress_to_many(own);
    for (const auto& address : own)
      rule("egress",
           [&](Rule r) { r.from(firewall_.interface).source(alone(address)).jump("egress-allowed"); });
  }

  /// What a container on a bridge sends to many is its neighbours' business; where it comes to this host too,
  /// or is forwarded, it is as any other.
  void egress_to_many(const std::vector<Address>& own) {
    chain("egress-host", Hook{"filter", NF_INET_LOCAL_IN, NF_IP_PRI_MANGLE});
    chain("egress-beyond", Hook{"filter", NF_INET_FORWARD, NF_IP_PRI_MANGLE});
    for (const uint32_t many : {RTN_MULTICAST, RTN_BROADCAST})
      for (const auto& address : own) {
        const auto sent = [&](Rule& r) -> Rule& {
          return r.from(firewall_.interface).source(alone(address)).destination_is(many);
        };
        rule("egress", [&](Rule r) { sent(r).accept(); });
        rule("egress-host", [&](Rule r) { sent(r).jump("egress-allowed"); });
        rule("egress-beyond", [&](Rule r) { sent(r.not_to(firewall_.interface)).jump("egress-allowed"); });
      }
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
    const auto ports = [&](const char* name, bool on_loopback) {
      for (const auto& port : firewall_.publish)
        if ((port.host_address && port.host_address->is_loopback()) == on_loopback)
          rule(name, [&](Rule r) { publish(r, port); });
    };
    chain("publish", std::nullopt);
    ports("publish", false);
    chain("publish-forwarded", Hook{"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST});
    // From elsewhere it is a lie, which the kernel drops: later, and only what is still addressed so.
    rule("publish-forwarded", [&](Rule r) { r.destination(local).accept(); });
    rule("publish-forwarded", [&](Rule r) { r.jump("publish"); });
    chain("publish-local", Hook{"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST});
    ports("publish-local", true);
    // To an interface without route_localnet the kernel sends nothing on from a loopback address.
    rule("publish-local", [&](Rule r) { r.destination(local).accept(); });
    rule("publish-local", [&](Rule r) { r.destination(local6).accept(); });
    rule("publish-local", [&](Rule r) { r.jump("publish"); });
  }

  void publish(Rule& rule, const Publish& port) const {
    const Address guest = guest_of(firewall_, port);
    if (port.host_address && !port.host_address->is_any())
      rule.destination(alone(*port.host_address));
    else
      rule.family(guest.family());
    rule.destination_port(port.protocol, port.host_port);
    if (!port.host_address || port.host_address->is_any()) rule.destination_is(RTN_LOCAL);
    if (port.protocol == Transport::udp) rule.counted();  // for has_led_to()
    rule.redirect(guest, port.guest_port.value_or(port.host_port));
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

}  // namespace

std::string comment(const std::string& text) {
  constexpr char kComment = 0;
  return std::string{kComment, static_cast<char>(text.size() + 1)} + text + '\0';
}

Address guest_of(const Firewall& firewall, const Publish& port) {
  if (port.guest_address) return *port.guest_address;
  for (const auto& address : firewall.addresses)
    if (!port.host_address || port.host_address->family() == address.family()) return address;
  throw Error::invalid("firewall", firewall.name,
                       "a published port needs a container's address of its family");
}

std::optional<Address> has_led_to(const Answer& rule) {
  const auto expressions = find_attribute(rule.attributes(sizeof(nfgenmsg)), NFTA_RULE_EXPRESSIONS);
  bool counted = false;
  for (const auto& expression : attributes_of(expressions ? expressions->data : ByteView())) {
    const auto name = find_attribute(expression.data, NFTA_EXPR_NAME);
    const auto data = find_attribute(expression.data, NFTA_EXPR_DATA);
    if (!name || !data) continue;
    if (name->text() == "counter") {
      const auto packets = find_attribute(data->data, NFTA_COUNTER_PACKETS);
      counted =
          packets && std::any_of(packets->data.begin(), packets->data.end(), [](char c) { return c != 0; });
    }
    if (!counted || name->text() != "immediate") continue;
    // The first that is loaded then is the address: Rule::redirect().
    const auto loaded = find_attribute(data->data, NFTA_IMMEDIATE_DATA);
    const auto value = loaded ? find_attribute(loaded->data, NFTA_DATA_VALUE) : std::nullopt;
    if (value && (value->data.size() == 4 || value->data.size() == 16))
      return Address::from_bytes(value->data.data(), value->data.size());
  }
  return std::nullopt;
}

void write_table(Batch& batch, const Firewall& firewall) { Writer(batch, firewall).write(); }

}  // namespace luabox::nftables
