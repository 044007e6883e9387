// Network interfaces, their addresses and routes, in the network namespace of the calling process.
//
// Interfaces are named, never numbered: 1 to 15 printable bytes without space, '/', ':' or '%', neither "."
// nor "..". Every function makes a socket of its own, so that none outlives a change of namespace. A refusal
// of the kernel is an Error with its own explanation as the hint; a wrong name is Error EINVAL; an interface
// that isn't there is Error ENODEV. See rtnetlink(7), veth(4).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/address.hpp"

namespace luabox::link {

/// Another network namespace: that of a process, or the one that a descriptor (/proc/PID/ns/net) refers to,
/// which stays the caller's.
struct Namespace {
  std::optional<pid_t> pid = {};
  std::optional<int> fd = {};
};

struct Link {
  uint32_t index = 0;
  std::string name = {};
  std::string kind = {};  ///< "veth", "bridge", ...; empty for hardware and loopback
  bool up = false;
  std::optional<Mac> mac = {};
  uint32_t mtu = 0;
  std::optional<std::string> master = {};
  std::optional<uint32_t> peer_index = {};  ///< of a veth; valid in the peer's namespace
  std::string alias = {};
};

std::vector<Link> links();
/// The interface `name`, nothing where there is none.
std::optional<Link> find(const std::string& name);

struct NewLink {
  std::string kind = {};  ///< "veth", "bridge", "dummy": a kind that needs no more than this
  std::string name = {};
  std::optional<std::string> peer = {};  ///< of a veth: the other end's name
  std::optional<std::string> master = {};
  std::optional<uint32_t> mtu = {};
  std::optional<Mac> mac = {};
  std::optional<std::string> alias = {};
  bool up = false;
};

/// Adds an interface. EEXIST when the name is taken; then nothing has changed. A bridge heeds no router
/// advertisements and no redirects of IPv6 (accept_ra 0, accept_redirects 0), nor do the ends of a veth: what
/// is static is not another's to change.
void add(const NewLink& link);
/// Removes an interface, and with one end of a veth the other.
void remove(const std::string& name);
void up(const std::string& name);
void down(const std::string& name);
void rename(const std::string& name, const std::string& new_name);
/// Gives the interface to another namespace: it loses its addresses. Slow (25 ms): veth() makes the end where
/// it belongs.
void move(const std::string& name, const Namespace& target);
/// Makes it a port of the bridge `master`, or of none.
void set_master(const std::string& name, const std::optional<std::string>& master);
void set_mtu(const std::string& name, uint32_t mtu);
void set_mac(const std::string& name, const Mac& mac);

struct LinkAddress {
  std::string device = {};
  Prefix address;
};

/// The addresses of `name`, or of every interface.
std::vector<LinkAddress> addresses(const std::optional<std::string>& name);
/// An IPv6 address is added without duplicate address detection, which would keep it from use for a second or
/// more.
void add_address(const std::string& name, const Prefix& address);
void remove_address(const std::string& name, const Prefix& address);

struct Route {
  Destination to = {};              ///< a default route's family is that of `via`, else of `src`, else IPv4
  std::optional<Address> via = {};  ///< the gateway
  std::optional<std::string> dev = {};
  std::optional<uint32_t> metric = {};
  std::optional<Address> src = {};  ///< the preferred source
  uint32_t table = 254;             ///< main
  bool onlink = false;              ///< the gateway is reached through `dev` whatever its address says
};

/// The unicast routes of the main table, IPv4 before IPv6. A multipath route comes without `via` and `dev`.
std::vector<Route> routes();
void add_route(const Route& route);
/// ESRCH when there is no such route.
void remove_route(const Route& route);

struct LocalDeviceOptions {
  bool linked = false;  ///< also the interface on whose own network the address lies: without a gateway
};

/// The interface of this host that has `address`, nothing when it isn't the host's own. One lookup, however
/// many interfaces there are.
std::optional<std::string> local_device(const Address& address, const LocalDeviceOptions& options = {});

/// A pair of interfaces that are each other's cable: one end here, the other in a container.
struct Veth {
  std::string host = {};
  std::string guest = "eth0";
  Namespace netns = {};                ///< the guest end's; by default this one
  std::vector<Prefix> addresses = {};  ///< of the host end
  std::optional<std::string> master = {};
  std::optional<uint32_t> mtu = {};  ///< of both ends
  std::optional<Mac> host_mac = {};
  std::optional<Mac> guest_mac = {};
  std::optional<std::string> alias = {};  ///< of the host end
  bool up = true;                         ///< the host end; the guest end is for configure()
  /// Let the kernel give the host end an fe80:: address of its making. Otherwise it has none, or fe80::1 when
  /// `addresses` has one of IPv6: without any, the kernel can't ask who has an address that it forwards to.
  bool link_local = false;
  /// With `master`, a bridge: what comes in by the host end may leave by it again. Where br_netfilter shows
  /// the bridge's frames to the firewall, what a container sends to a published port of its own does.
  bool hairpin = false;
};

/// Makes the pair with the guest end already in its namespace. All is done or nothing is left: EEXIST when a
/// name is taken.
void veth(const Veth& pair);

struct LinkSetup {
  std::string name = {};
  std::optional<std::string> rename = {};
  std::vector<Prefix> addresses = {};
  bool up = true;
  std::optional<Mac> mac = {};
  std::optional<uint32_t> mtu = {};
};

struct Setup {
  bool loopback = true;  ///< bring `lo` up
  std::vector<LinkSetup> links = {};
  std::vector<Route> routes = {};  ///< `dev` is a name as it is after renaming
};

/// Sets the namespace up, in one batch. A failure may leave the rest done: the namespace is then good for
/// nothing but to be left.
void configure(const Setup& setup);

struct ForwardingOptions {
  Family family = Family::ip;
};

/// Does this namespace forward packets (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding)?
bool forwarding(const ForwardingOptions& options);
/// Writes the switch only when it stands otherwise: writing resets other settings of the namespace.
void set_forwarding(bool enabled, const ForwardingOptions& options);

/// Throws Error EINVAL unless `name` can be an interface's.
void check_name(const std::string& name);

}  // namespace luabox::link
