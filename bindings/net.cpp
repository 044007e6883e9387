// luabox.sys.net: engine/address.hpp, engine/link.hpp, engine/nftables.hpp, engine/port.hpp and
// engine/traffic.hpp for Lua.
//
// Addresses are strings: "172.16.99.1", with a length "172.16.99.1/24", an Ethernet one "02:00:00:00:00:01".
// A network namespace is a process's number, or { fd = NUMBER }.
#include "bindings/lua.hpp"
#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/address.hpp"
#include "engine/link.hpp"
#include "engine/nftables.hpp"
#include "engine/port.hpp"
#include "engine/traffic.hpp"

namespace luabox {
namespace lua {

/// A value that the engine reads from a string.
template <class T>
struct TextValue {
  static T check(lua_State* L, int index) {
    const std::string text = Value<std::string>::check(L, index);
    try {
      return T::parse(text);
    } catch (const Error& error) {
      throw BadArgument(error.hint());
    }
  }
  static void push(lua_State* L, const T& value) { Value<std::string>::push(L, value.text()); }
};
template <>
struct Value<Address> : TextValue<Address> {};
template <>
struct Value<Prefix> : TextValue<Prefix> {};
template <>
struct Value<Destination> : TextValue<Destination> {};
template <>
struct Value<Mac> : TextValue<Mac> {};

/// { fd = NUMBER }
struct NamespaceFd {
  int number = -1;
};
template <>
struct Options<NamespaceFd> {
  static constexpr auto fields = std::tuple(field("fd", &NamespaceFd::number));
};
template <>
struct Value<link::Namespace> {
  static link::Namespace check(lua_State* L, int index) {
    if (!lua_istable(L, index)) return {.pid = Value<ProcessId>::check(L, index).pid};
    return {.fd = Value<NamespaceFd>::check(L, index).number};
  }
};

template <>
struct Words<Family> {
  static constexpr std::array<std::pair<std::string_view, Family>, 2> all{
      {{"ip", Family::ip}, {"ip6", Family::ip6}}};
};
template <>
struct Words<Transport> {
  static constexpr std::array<std::pair<std::string_view, Transport>, 2> all{
      {{"tcp", Transport::tcp}, {"udp", Transport::udp}}};
};
template <>
struct Words<Inbound> {
  static constexpr std::array<std::pair<std::string_view, Inbound>, 2> all{
      {{"none", Inbound::none}, {"routed", Inbound::routed}}};
};

template <>
struct Options<link::Link> {
  using T = link::Link;
  static constexpr auto fields =
      std::tuple(field("index", &T::index), field("name", &T::name), field("kind", &T::kind),
                 field("up", &T::up), field("mac", &T::mac), field("mtu", &T::mtu),
                 field("master", &T::master), field("peer_index", &T::peer_index), field("alias", &T::alias));
};
template <>
struct Options<link::NewLink> {
  using T = link::NewLink;
  static constexpr auto fields = std::tuple(
      field("kind", &T::kind), field("name", &T::name), field("peer", &T::peer), field("master", &T::master),
      field("mtu", &T::mtu), field("mac", &T::mac), field("alias", &T::alias), field("up", &T::up));
};
template <>
struct Options<link::LinkAddress> {
  using T = link::LinkAddress;
  static constexpr auto fields = std::tuple(field("device", &T::device), field("address", &T::address));
};
template <>
struct Options<link::Route> {
  using T = link::Route;
  static constexpr auto fields = std::tuple(field("to", &T::to), field("via", &T::via), field("dev", &T::dev),
                                            field("metric", &T::metric), field("src", &T::src),
                                            field("table", &T::table), field("onlink", &T::onlink));
};
template <>
struct Options<link::Veth> {
  using T = link::Veth;
  static constexpr auto fields = std::tuple(
      field("host", &T::host), field("guest", &T::guest), field("netns", &T::netns),
      field("addresses", &T::addresses), field("master", &T::master), field("mtu", &T::mtu),
      field("host_mac", &T::host_mac), field("guest_mac", &T::guest_mac), field("alias", &T::alias),
      field("up", &T::up), field("link_local", &T::link_local), field("hairpin", &T::hairpin));
};
template <>
struct Options<link::LinkSetup> {
  using T = link::LinkSetup;
  static constexpr auto fields =
      std::tuple(field("name", &T::name), field("rename", &T::rename), field("addresses", &T::addresses),
                 field("up", &T::up), field("mac", &T::mac), field("mtu", &T::mtu));
};
template <>
struct Options<link::Setup> {
  using T = link::Setup;
  static constexpr auto fields =
      std::tuple(field("loopback", &T::loopback), field("links", &T::links), field("routes", &T::routes));
};
template <>
struct Options<link::LocalDeviceOptions> {
  static constexpr auto fields = std::tuple(field("linked", &link::LocalDeviceOptions::linked));
};
template <>
struct Options<link::ForwardingOptions> {
  static constexpr auto fields = std::tuple(field("family", &link::ForwardingOptions::family));
};
template <>
struct Options<Publish> {
  using T = Publish;
  static constexpr auto fields = std::tuple(
      field("protocol", &T::protocol), field("host_port", &T::host_port), field("guest_port", &T::guest_port),
      field("host_address", &T::host_address), field("guest_address", &T::guest_address));
};
template <>
struct Options<Egress> {
  using T = Egress;
  static constexpr auto fields =
      std::tuple(field("to", &T::to), field("protocol", &T::protocol), field("first_port", &T::first_port),
                 field("last_port", &T::last_port));
};
template <>
struct Options<Firewall> {
  using T = Firewall;
  static constexpr auto fields = std::tuple(
      field("name", &T::name), field("interface", &T::interface), field("addresses", &T::addresses),
      field("masquerade", &T::masquerade), field("publish", &T::publish), field("loopback", &T::loopback),
      field("inbound", &T::inbound), field("isolate", &T::isolate), field("networks", &T::networks),
      field("shared", &T::shared), field("port", &T::port), field("mac", &T::mac),
      field("egress", &T::egress));
};

template <>
struct Options<RemoveFirewallOptions> {
  static constexpr auto fields = std::tuple(field("interface", &RemoveFirewallOptions::interface));
};
template <>
struct Options<HostPort> {
  using T = HostPort;
  static constexpr auto fields =
      std::tuple(field("protocol", &T::protocol), field("port", &T::port), field("address", &T::address));
};
template <>
struct Options<PortUser> {
  using T = PortUser;
  static constexpr auto fields =
      std::tuple(field("address", &T::address), field("pid", &T::pid), field("program", &T::program));
};
template <>
struct Class<HeldPort> {
  static constexpr auto name = "port";
  static constexpr Entry methods[] = {{"release", fn<&HeldPort::release>}};  // port:release() uses it up
};

}  // namespace lua

namespace {

/// What a prefix consists of, for scripts: net.prefix "172.16.99.1/24".
struct PrefixParts {
  Address address;
  unsigned length;
  Prefix network;
  Family family;
};

PrefixParts prefix(const Prefix& value) {
  return {value.address, value.length, value.network(), value.address.family()};
}

std::optional<Address> host(const Prefix& value, uint64_t number) { return value.host(number); }

bool contains(const Prefix& value, const Address& address) { return value.contains(address); }

}  // namespace

template <>
struct lua::Options<PrefixParts> {
  using T = PrefixParts;
  static constexpr auto fields = std::tuple(field("address", &T::address), field("length", &T::length),
                                            field("network", &T::network), field("family", &T::family));
};

int open_net(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"links", lua::fn<&link::links>, lua::reads},          // net.links() -> list
      {"find", lua::fn<&link::find>, lua::reads},            // net.find(name) -> link or nil
      {"add", lua::fn<&link::add>},                          // net.add { kind =, name =, ... }
      {"remove", lua::fn<&link::remove>},                    // net.remove(name)
      {"up", lua::fn<&link::up>},                            // net.up(name)
      {"down", lua::fn<&link::down>},                        // net.down(name)
      {"rename", lua::fn<&link::rename>},                    // net.rename(name, new)
      {"move", lua::fn<&link::move>},                        // net.move(name, process or { fd = })
      {"set_master", lua::fn<&link::set_master>},            // net.set_master(name, bridge or nil)
      {"set_mtu", lua::fn<&link::set_mtu>},                  // net.set_mtu(name, bytes)
      {"set_mac", lua::fn<&link::set_mac>},                  // net.set_mac(name, "02:...")
      {"addresses", lua::fn<&link::addresses>, lua::reads},  // net.addresses(name or nil) -> list
      {"add_address", lua::fn<&link::add_address>},          // net.add_address(name, "172.16.99.1/24")
      {"remove_address", lua::fn<&link::remove_address>},
      {"routes", lua::fn<&link::routes>, lua::reads},  // net.routes() -> list
      {"add_route", lua::fn<&link::add_route>},        // net.add_route { to =, via =, dev =, ... }
      {"remove_route", lua::fn<&link::remove_route>},
      {"local_device", lua::fn<&link::local_device>,
       lua::reads},                              // net.local_device(address, { linked = }) -> name or nil
      {"veth", lua::fn<&link::veth>},            // net.veth { host =, guest =, netns =, ... }
      {"configure", lua::fn<&link::configure>},  // net.configure { links =, routes = }
      {"forwarding", lua::fn<&link::forwarding>, lua::reads},  // net.forwarding { family = } -> true or false
      {"set_forwarding", lua::fn<&link::set_forwarding>},
      {"firewall", lua::fn<&create_firewall>},  // net.firewall { name =, interface =, addresses =, ... }
      {"remove_firewall", lua::fn<&remove_firewall>},  // net.remove_firewall(name, { interface = })
      {"firewalls", lua::fn<&firewalls>, lua::reads},  // net.firewalls([name]) -> list of names
      {"hold_port",
       lua::fn<&HeldPort::hold>},  // net.hold_port { protocol =, port =, address = } -> held or nil
      {"user_of_port", lua::fn<&user_of_port>, lua::reads},  // -> { address =, pid =, program = } or nil
      {"prefix", lua::fn<&prefix>, false},                   // net.prefix "172.16.99.1/24" -> its parts
      {"limit_rate", lua::fn<&traffic::limit_rate>},         // net.limit_rate(name, bits per second)
      {"rate", lua::fn<&traffic::rate>},        // net.rate(name) -> bits per second, 0 without a limit
      {"host", lua::fn<&host>, false},          // net.host(prefix, number) -> address or nil
      {"contains", lua::fn<&contains>, false},  // net.contains(prefix, address) -> true or false
  };
  return lua::module(L, "net.", functions);
}

}  // namespace luabox
