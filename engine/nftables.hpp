// A container's packet filter and address translation: one nftables table that is its own.
//
// A Firewall becomes a table (family inet) in one transaction: all of it or nothing. Removing the table
// removes everything again. No other table is read or changed, and as every base chain's policy is "accept",
// others' traffic passes as before. A packet that another table drops stays dropped: on a host whose own
// firewall refuses to forward, the host's administrator has the last word.
//
// The table stands on the host's side of a veth pair, and knows the container by the name of the host end and
// by its addresses. What it does:
//
//   guard     prerouting, before connection tracking: drops what comes from the container under an address
//   that isn't its own, or
//             is addressed to 127.0.0.0/8, or would make it this host's router
//   publish   prerouting and output: sends connections to a published port of this host on to the container
//   isolate   forward: lets in answers, published connections, and nothing else
//   egress    prerouting: lets the container begin connections to what `egress` lists, and to nothing else;
//             input and forward for what a container on a bridge sends to many: its neighbours get that
//   translate postrouting: masquerade, so that the world sees the host's address; also where the container
//             reaches itself by a published port, and where the host does by 127.0.0.1
//
// A bridge has one table for all that lies behind it, with `networks`, and a container on it one of its own,
// with `shared`. The container's `port` of the bridge has a second table of that name (family netdev), before
// the bridge sees a frame: what comes under another Ethernet or IP address than the container's, claims
// another's in ARP or neighbour discovery, or is neither ARP nor IP is dropped.
//
// Forwarding (link::set_forwarding) is the caller's. The kernel's side: linux/netfilter/nf_tables.h; the
// semantics: nft(8).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/address.hpp"

namespace luabox {

enum class Transport : uint8_t { tcp, udp };

/// A port of this host that leads to the container.
struct Publish {
  Transport protocol = Transport::tcp;
  uint16_t host_port = 0;
  std::optional<uint16_t> guest_port = {};  ///< by default host_port
  /// By default, and for 0.0.0.0 and ::, any address of this host but those of its loopback.
  std::optional<Address> host_address = {};
  std::optional<Address> guest_address = {};  ///< by default the container's first of host_address's family
};

/// Who may begin a connection to the container, published ports aside.
enum class Inbound : uint8_t {
  none,    ///< nobody but this host itself
  routed,  ///< whoever has a route, except neighbours: interfaces whose name begins with `isolate`
};

/// What a container may begin connections to.
struct Egress {
  std::optional<Prefix> to = {};           ///< by default any address; without host bits
  std::optional<Transport> protocol = {};  ///< by default whatever there is; both with ports
  std::optional<uint16_t> first_port = {},
                          last_port = {};  ///< by default all; the first one alone is one port
};

struct Firewall {
  std::string name = {};       ///< the table's: "luabox-" and 1 to 200 letters, digits, '_', '-' or '.'
  std::string interface = {};  ///< the host end; packets from the container arrive on it
  std::vector<Address> addresses = {};  ///< the container's
  std::vector<Prefix> networks = {};    ///< of a bridge: what lies behind the interface, all of it
  /// The interface is a bridge, and its own table guards and isolates: this one has the rest.
  bool shared = false;
  std::string port = {};        ///< with `shared`: the container's port of the bridge
  std::optional<Mac> mac = {};  ///< with `port`: the container's
  /// With `shared` it is about what leaves the bridge: neighbours are none of its business.
  std::optional<std::vector<Egress>> egress = {};
  bool masquerade = false;
  std::vector<Publish> publish = {};
  /// Ports may be published on addresses of 127.0.0.0/8, for this host alone: sets the interface's
  /// route_localnet, with which nothing but the guard keeps the container from what listens there.
  bool loopback = false;
  Inbound inbound = Inbound::none;
  std::string isolate = "lb";
};

/// Makes the table, or both; its comment is the name of the container's own interface on the host, `port` or
/// `interface`. EEXIST when there is one of that name. A failure leaves nothing behind. A flow of UDP that
/// came to a published port before goes where that leads from now on (conntrack.hpp).
void create_firewall(const Firewall& firewall);

struct RemoveFirewallOptions {
  /// Only what was made for this interface: the container of another luabox may have a table of that name.
  std::string interface = {};
};

/// Removes the table, or both, whole, and the flows of UDP that its published ports led to the container: who
/// has its address next gets none of them. ENOENT when there is none; EINVAL for a name that couldn't be
/// luabox's.
void remove_firewall(const std::string& name, const RemoveFirewallOptions& options = {});

/// The names of luabox's tables in this network namespace; with `name`, that one's where there is one, which
/// takes as long whatever else is there.
std::vector<std::string> firewalls(const std::optional<std::string>& name = {});

/// At the end of a process that has made or removed firewalls: the socket that it kept for them is closed
/// behind it (Netlink::close_behind), which takes milliseconds.
void leave_firewall_socket();

}  // namespace luabox
