#include "engine/nftables.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "tests/engine/network.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

// A little internet. The test's own namespace is the host; the world knows a route to the host and, to show
// what the firewall alone keeps out, one to each container through it.
//
//   outside 203.0.113.9 ---- 203.0.113.1 host 172.16.1.1 ---- 172.16.1.100 first
//                                             172.16.2.1 ---- 172.16.2.100 second
struct World {
  Node outside, first, second;

  World() {
    link::configure({});
    connect(outside, "wan", {"203.0.113.1/24", "2001:db8::1/64"}, {"203.0.113.9/24", "2001:db8::9/64"});
    connect(first, "lb1", {"172.16.1.1/24", "fd01::1/64"}, {"172.16.1.100/24", "fd01::100/64"});
    connect(second, "lb2", {"172.16.2.1/24", "fd02::1/64"}, {"172.16.2.100/24", "fd02::100/64"});
    link::set_forwarding(true, {});
    link::set_forwarding(true, {Family::ip6});
  }

  static std::vector<Prefix> prefixes(const std::vector<std::string>& texts) {
    std::vector<Prefix> list;
    list.reserve(texts.size());
    for (const auto& text : texts) list.push_back(Prefix::parse(text));
    return list;
  }

  static void connect(const Node& guest, const std::string& host,
                      const std::vector<std::string>& host_addresses,
                      const std::vector<std::string>& guest_addresses) {
    link::Veth pair;
    pair.host = host;
    pair.netns = guest.netns();
    pair.addresses = prefixes(host_addresses);
    link::veth(pair);
    guest([&] {
      link::Setup setup;
      setup.links.push_back({.name = "eth0", .addresses = prefixes(guest_addresses)});
      for (const auto& gateway : pair.addresses) setup.routes.push_back({.via = gateway.address});
      link::configure(setup);
    });
    await_carrier(host);
  }
};

Firewall first_firewall() {
  Firewall firewall;
  firewall.name = "luabox-first";
  firewall.interface = "lb1";
  firewall.addresses = {Address::parse("172.16.1.100")};
  firewall.masquerade = true;
  firewall.publish = {{.host_port = 8080, .guest_port = 80}};
  return firewall;
}

Firewall second_firewall() {
  Firewall firewall;
  firewall.name = "luabox-second";
  firewall.interface = "lb2";
  firewall.addresses = {Address::parse("172.16.2.100")};
  firewall.masquerade = true;
  return firewall;
}

/// Who the server sees when `node` connects to `host`: "" when nobody got through.
std::string seen(const Server& server, const Node& node, const std::string& host, uint16_t port) {
  const Fd connection = node([&] { return connect_to(host, port); });
  return connection ? server.client() : "";
}

std::string seen_from_host(const Server& server, const std::string& host, uint16_t port) {
  const Fd connection = connect_to(host, port);
  return connection ? server.client() : "";
}

Server serve(const Node& node, uint16_t port) {
  return node([&] { return Server(port); });
}

}  // namespace

TEST_CASE("the world sees a container under the host's address, and answers come back") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    const Server server = serve(world.outside, 80);
    expect(seen(server, world.first, "203.0.113.9", 80) == "172.16.1.100",
           "without a firewall its own address is seen");
    create_firewall(first_firewall());
    const std::string client = seen(server, world.first, "203.0.113.9", 80);
    expect(client == "203.0.113.1", "masqueraded: seen as '" + client + "'");
    expect(seen(server, world.second, "203.0.113.9", 80) == "172.16.2.100", "others are not");
    remove_firewall("luabox-first");
    expect(seen(server, world.first, "203.0.113.9", 80) == "172.16.1.100",
           "after its removal nothing is left of it");
  });
}

TEST_CASE("a published port is reached from the world, the host, a neighbour and the container itself") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    const Server server = serve(world.first, 80);
    create_firewall(first_firewall());
    create_firewall(second_firewall());
    expect(seen(server, world.outside, "203.0.113.1", 8080) == "203.0.113.9", "from outside");
    expect(seen_from_host(server, "203.0.113.1", 8080) == "203.0.113.1",
           "from the host, by its outer address");
    expect(seen_from_host(server, "172.16.1.1", 8080) == "172.16.1.1", "from the host, by its inner address");
    expect(!seen(server, world.second, "203.0.113.1", 8080).empty(), "from a neighbour");
    expect(seen(server, world.first, "203.0.113.1", 8080) == "172.16.1.1",
           "from itself, as the host: the answer must come back that way");
    expect(seen_from_host(server, "127.0.0.1", 8080).empty(), "not by 127.0.0.1, which wasn't asked for");
    expect(seen(server, world.outside, "203.0.113.1", 80).empty(), "not at a port that isn't published");
  });
}

TEST_CASE("a port published on loopback answers on 127.0.0.1 and opens nothing to the container") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    const Server server = serve(world.first, 80);
    Firewall firewall = first_firewall();
    firewall.loopback = true;
    firewall.publish.push_back(
        {.host_port = 8081, .guest_port = 80, .host_address = Address::parse("127.0.0.1")});
    create_firewall(firewall);
    expect(seen_from_host(server, "127.0.0.1", 8081) == "172.16.1.1", "the host by 127.0.0.1");
    expect(seen_from_host(server, "127.0.0.1", 8080).empty(), "but not the other port");
    expect(seen(server, world.outside, "203.0.113.1", 8080) == "203.0.113.9", "the world as before");
    expect(seen(server, world.outside, "203.0.113.1", 8081).empty(), "by its own port alone");
    // What has a route for 127.0.0.0/8 by this host, from wherever it comes.
    const auto lie = [&](const Node& liar, const std::string& gateway, const std::string& own,
                         uint16_t port) {
      const Fd connection = liar([&] {
        output_of("ip addr flush dev lo; ip route replace 127.0.0.0/8 via " + gateway + " src " + own +
                  "; ip route del local 127.0.0.0/8 table local || true; for each in all eth0; do echo 1 "
                  ">/proc/sys/net/ipv4/conf/$each/route_localnet; done");
        return connect_to("127.0.0.1", port, 300, own);
      });
      return static_cast<bool>(connection);
    };
    for (const uint16_t port : {uint16_t{8080}, uint16_t{8081}}) {
      expect(!lie(world.outside, "203.0.113.1", "203.0.113.9", port), "the world doesn't reach that address");
      expect(!lie(world.second, "172.16.2.1", "172.16.2.100", port), "nor does a neighbour");
    }

    // With route_localnet the host would take packets for 127.0.0.1 from the wire: a service that only
    // listens there must stay safe.
    const Server secret(631, "127.0.0.1");
    const auto attack = [&] {
      return world.first([] {
        output_of(
            "ip addr flush dev lo; ip route add 127.0.0.0/8 via 172.16.1.1 src 172.16.1.100; "
            "ip route del local 127.0.0.0/8 table local || true; echo 1 "
            ">/proc/sys/net/ipv4/conf/eth0/route_localnet");
        return static_cast<bool>(connect_to("127.0.0.1", 631, 300, "172.16.1.100"));
      });
    };
    expect(!attack(), "the container doesn't reach the host's 127.0.0.1");
    output_of("nft flush chain inet luabox-first guard");
    expect(attack(), "it would without the guard: the attack is a real one");
  });
}

TEST_CASE("nobody begins a connection to a container but the host, also with a route to it") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    const Server server = serve(world.first, 80);
    expect(!seen(server, world.second, "172.16.1.100", 80).empty(), "without a firewall a neighbour does");
    expect(!seen(server, world.outside, "172.16.1.100", 80).empty(), "and the world does");
    create_firewall(first_firewall());
    expect(seen(server, world.second, "172.16.1.100", 80).empty(), "a neighbour does not");
    expect(seen(server, world.outside, "172.16.1.100", 80).empty(), "the world does not");
    expect(seen_from_host(server, "172.16.1.100", 80) == "172.16.1.1", "the host does");
    remove_firewall("luabox-first");

    Firewall routed = first_firewall();
    routed.inbound = Inbound::routed;
    create_firewall(routed);
    expect(seen(server, world.second, "172.16.1.100", 80).empty(), "routed: a neighbour still doesn't");
    expect(!seen(server, world.outside, "172.16.1.100", 80).empty(), "routed: the world does");
  });
}

TEST_CASE("a container can't speak under another's address") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    const Server on_host(81);
    const Server outside = serve(world.outside, 80);
    // Answers to the false address go back to the liar: what stops it is the guard alone.
    output_of("ip route add 172.16.1.200/32 dev lb1; ip route add 198.51.100.7/32 dev lb1");
    world.first(
        [] { output_of("ip addr add 172.16.1.200/24 dev eth0; ip addr add 198.51.100.7/32 dev eth0"); });
    const auto reaches = [&](const std::string& host, uint16_t port, const std::string& source) {
      return world.first([&] { return static_cast<bool>(connect_to(host, port, 300, source)); });
    };
    expect(reaches("172.16.1.1", 81, "172.16.1.200"), "without a firewall it can");
    expect(reaches("203.0.113.9", 80, "198.51.100.7"), "also to the world");
    create_firewall(first_firewall());
    expect(!reaches("172.16.1.1", 81, "172.16.1.200"), "not to the host");
    expect(!reaches("203.0.113.9", 80, "198.51.100.7"), "not to the world");
    expect(reaches("172.16.1.1", 81, "172.16.1.100"), "under its own it can");
    expect(reaches("203.0.113.9", 80, "172.16.1.100"), "everywhere");
  });
}

TEST_CASE("a port can be published on one of the host's addresses alone") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    link::add_address("wan", Prefix::parse("203.0.113.2/24"));
    const Server server = serve(world.first, 80);
    Firewall firewall = first_firewall();
    firewall.publish[0].host_address = Address::parse("203.0.113.2");
    create_firewall(firewall);
    expect(!seen(server, world.outside, "203.0.113.2", 8080).empty(), "on that one");
    expect(seen(server, world.outside, "203.0.113.1", 8080).empty(), "not on the other");
    remove_firewall("luabox-first");
    firewall.publish[0].host_address = Address::parse("0.0.0.0");
    create_firewall(firewall);
    expect(!seen(server, world.outside, "203.0.113.1", 8080).empty(), "0.0.0.0 is all of them");
  });
}

TEST_CASE("UDP and IPv6 are published, masqueraded and guarded alike") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    {
      const Server server = serve(world.first, 9);
      // An address's route comes from a work queue. The world speaks first: the host must find the container
      // by itself.
      for (int i = 0; i < 10 && seen(server, world.outside, "fd01::100", 9).empty();) ++i;
    }
    Firewall firewall = first_firewall();
    firewall.addresses.push_back(Address::parse("fd01::100"));
    firewall.publish.push_back(
        {.host_port = 8080, .guest_port = 80, .guest_address = Address::parse("fd01::100")});
    firewall.publish.push_back({.protocol = Transport::udp, .host_port = 53});
    create_firewall(firewall);
    const Server inside = serve(world.first, 80), outside = serve(world.outside, 80);
    const std::string client = seen(outside, world.first, "2001:db8::9", 80);
    expect(client == "2001:db8::1", "masqueraded in IPv6: seen as '" + client + "'");
    expect(seen(inside, world.outside, "2001:db8::1", 8080) == "2001:db8::9", "published");
    expect(seen(inside, world.outside, "fd01::100", 80).empty(), "closed otherwise");
    world.first([] { link::add_address("eth0", Prefix::parse("fd01::bad/64")); });
    expect(!world.first([] { return static_cast<bool>(connect_to("2001:db8::9", 80, 300, "fd01::bad")); }),
           "guarded");

    const auto datagram = [](const std::string& host) {
      const auto [address, length] = socket_address(host, 53);
      const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ::sendto(socket.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), length);
    };
    const Fd names = world.first([] {
      const auto [address, length] = socket_address("0.0.0.0", 53);
      Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) < 0) throw Error("bind");
      return socket;
    });
    world.outside([&] { datagram("203.0.113.1"); });
    pollfd ready{names.get(), POLLIN, 0};
    expect(::poll(&ready, 1, 500) == 1, "a datagram gets through");
  });
}

namespace {

/// A port of UDP in the namespace that it was made in.
class Datagrams {
 public:
  Datagrams(const std::string& host, uint16_t port) {
    const auto [address, length] = socket_address(host, port);
    socket_ = Fd(::socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) < 0)
      throw Error("bind", host);
  }
  void send(const std::string& host, uint16_t port) const {
    const auto [address, length] = socket_address(host, port);
    // What came back of an earlier one, that nobody took it, is told to the next.
    for (int i = 0; i < 2; ++i)
      if (::sendto(socket_.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), length) == 1)
        return;
  }
  /// The address that one came from within the time, "" when none came; what else had come is taken too.
  std::string sender(int milliseconds = 200) const {
    std::string seen;
    pollfd ready{socket_.get(), POLLIN, 0};
    for (; ::poll(&ready, 1, seen.empty() ? milliseconds : 0) == 1;) {
      char byte = 0;
      sockaddr_storage peer{};
      socklen_t length = sizeof peer;
      if (::recvfrom(socket_.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &length) != 1) continue;
      seen = peer.ss_family == AF_INET
                 ? Address::from_bytes(&reinterpret_cast<sockaddr_in&>(peer).sin_addr, 4).text()
                 : Address::from_bytes(&reinterpret_cast<sockaddr_in6&>(peer).sin6_addr, 16).text();
    }
    return seen;
  }

 private:
  Fd socket_;
};

Firewall names_firewall(Firewall firewall, const std::string& address) {
  firewall.addresses.push_back(Address::parse(address));
  firewall.publish.clear();
  for (const auto& each : firewall.addresses)
    firewall.publish.push_back({.protocol = Transport::udp, .host_port = 53, .guest_address = each});
  return firewall;
}

}  // namespace

TEST_CASE("a flow of UDP that goes on leads where the rules lead now") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    const Firewall first = names_firewall(first_firewall(), "fd01::100");
    const Firewall second = names_firewall(second_firewall(), "fd02::100");
    struct Case {
      const char *any, *client, *host;
    };
    for (const Case& each :
         {Case{"0.0.0.0", "203.0.113.9", "203.0.113.1"}, Case{"::", "2001:db8::9", "2001:db8::1"}}) {
      const auto listen = [&] { return Datagrams(each.any, 53); };
      const Datagrams one = world.first(listen), two = world.second(listen);
      const Datagrams client = world.outside([&] { return Datagrams(each.client, 40000); });
      const auto send = [&] { world.outside([&] { client.send(each.host, 53); }); };
      const auto arrives = [&](const Datagrams& where) {
        // An address's route comes from a work queue, and the first packet waits for its neighbour.
        for (int i = 0; i < 20; ++i) {
          send();
          if (where.sender(50) == each.client) return true;
        }
        return false;
      };
      // The kernel tracks and translates while somebody's chain asks for it, as those of the host's own do.
      output_of(
          "nft 'add table inet theirs; add chain inet theirs c { type nat hook prerouting priority 0; }'");
      send();
      create_firewall(first);
      expect(arrives(one), "one that was there before the rules");
      remove_firewall(first.name);
      send();
      expect(one.sender().empty(), "none when they are gone: who has the address then is another");
      create_firewall(second);
      expect(arrives(two), "the next container of the port");
      expect(one.sender(0).empty(), "and not the last one");
      remove_firewall(second.name);
      output_of("nft delete table inet theirs");
    }
  });
}

TEST_CASE("what only passes by a host that publishes the port goes on as it went") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    link::add_address("wan", Prefix::parse("203.0.113.2/24"));
    const Datagrams server = world.outside([] { return Datagrams("0.0.0.0", 53); });
    const Datagrams client = world.first([] { return Datagrams("0.0.0.0", 40000); });
    const auto seen = [&] {
      world.first([&] { client.send("203.0.113.9", 53); });
      return server.sender();
    };
    create_firewall(first_firewall());
    expect(seen() == "203.0.113.1", "masqueraded");
    // A flow that is forgotten would ask this chain again.
    output_of("nft flush chain inet luabox-first translate");
    create_firewall(names_firewall(second_firewall(), "fd02::100"));
    expect(seen() == "203.0.113.1", "to another host");
    remove_firewall("luabox-second");
    expect(seen() == "203.0.113.1", "nor when the port is free again");

    const Datagrams here("203.0.113.2", 53);
    world.first([&] { client.send("203.0.113.2", 53); });
    expect(here.sender() == "172.16.1.100", "(to the host)");
    Firewall one = names_firewall(second_firewall(), "fd02::100");
    one.publish.resize(1);
    one.publish[0].host_address = Address::parse("203.0.113.1");
    create_firewall(one);
    output_of(
        "nft 'add chain inet luabox-first late { type nat hook prerouting priority 0; }; "
        "add rule inet luabox-first late udp dport 53 drop'");
    world.first([&] { client.send("203.0.113.2", 53); });
    expect(here.sender() == "172.16.1.100", "nor to another of its addresses");
  });
}

TEST_CASE("a connection of TCP outlives the rules that began it") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    const Server server = serve(world.first, 80);
    create_firewall(first_firewall());
    create_firewall(second_firewall());
    const Fd connection = world.outside([] { return connect_to("203.0.113.1", 8080); });
    const Fd accepted = world.first([&] { return server.accept(); });
    expect(accepted.get() >= 0, "connected");
    remove_firewall("luabox-first");
    // What a container wrote before it ended is still on its way.
    expect(::send(accepted.get(), "x", 1, MSG_NOSIGNAL) == 1, "sent");
    pollfd ready{connection.get(), POLLIN, 0};
    char byte = 0;
    expect(::poll(&ready, 1, 1000) == 1 && ::recv(connection.get(), &byte, 1, 0) == 1, "it comes");
  });
}

TEST_CASE("another's table is byte for byte the same after a firewall came and went") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const World world;
    output_of(
        "nft 'add table inet theirs; add chain inet theirs c { type filter hook forward priority 0; policy "
        "accept; }; "
        "add rule inet theirs c tcp dport 22 counter drop; add table ip nat; "
        "add chain ip nat POSTROUTING { type nat hook postrouting priority 100; }; add rule ip nat "
        "POSTROUTING oifname \"x\" masquerade; "
        "add table inet luaboxes; add table ip luabox-ip'");
    const std::string before = output_of("nft -a list ruleset");
    create_firewall(first_firewall());
    create_firewall(second_firewall());
    expect(output_of("nft -a list table inet theirs; nft -a list table ip nat").size() > 100,
           "they are there");
    expect(firewalls() == std::vector<std::string>{"luabox-first", "luabox-second"},
           "ours are listed, theirs not");
    expect(firewalls("luabox-second") == std::vector<std::string>{"luabox-second"}, "one by its name");
    expect(firewalls("luabox-none").empty() && firewalls("luabox-ip").empty(), "none of that name");
    remove_firewall("luabox-first");
    expect(firewalls() == std::vector<std::string>{"luabox-second"}, "one is left");
    remove_firewall("luabox-second");
    expect(output_of("nft -a list ruleset") == before, "nothing has changed");
    for (const char* name : {"theirs", "luaboxes", "luabox-", "", "nat", "luabox-a b", "luabox-\xff"})
      expect(code_of([&] { remove_firewall(name); }) == EINVAL, "a name that can't be ours is refused");
    expect(failure_of([] { remove_firewall("luabox-none"); }) ==
               "remove firewall luabox-none: No such file or directory",
           "ENOENT");
    expect(output_of("nft -a list ruleset") == before, "still");
  });
}

TEST_CASE("a firewall is made whole or not at all") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    link::add({.kind = "veth", .name = "lb1", .peer = "x"});
    create_firewall(first_firewall());
    const std::string before = output_of("nft list ruleset");
    Firewall other = second_firewall();
    other.name = "luabox-first";
    expect(failure_of([&] { create_firewall(other); }) == "add firewall luabox-first: File exists",
           "the name is taken");
    expect(output_of("nft list ruleset") == before, "what was there has not changed");

    Firewall missing = second_firewall();
    missing.interface = "lb9";
    missing.loopback = true;  // whose switch needs the interface
    expect(code_of([&] { create_firewall(missing); }) == ENOENT, "no such interface");
    expect(output_of("nft list ruleset") == before, "the table was taken back");

    Firewall large = second_firewall();
    large.publish.assign(5000, {.host_port = 1});
    expect(code_of([&] { create_firewall(large); }) == E2BIG, "too many ports");
    large.publish.resize(400);
    create_firewall(large);
    remove_firewall(large.name);
    expect(output_of("nft list ruleset") == before, "nothing is left");
  });
}

TEST_CASE("the rules are what nft shows for the same words") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    Firewall firewall = first_firewall();
    firewall.inbound = Inbound::routed;
    firewall.publish.push_back(
        {.protocol = Transport::udp, .host_port = 53, .host_address = Address::parse("203.0.113.2")});
    create_firewall(firewall);
    const std::string table = output_of("nft list table inet luabox-first");
    for (const char* rule :
         {"iifname != \"lb1\" accept", "ip saddr 172.16.1.100 accept", "ip6 saddr fe80::/10 accept",
          "ip daddr 127.0.0.0/8 drop", "oifname != \"lb1\" accept", "ct state established,related accept",
          "ct status dnat accept", "iifname \"lb*\" drop",
          "tcp dport 8080 fib daddr type local dnat ip to 172.16.1.100:80",
          "ip daddr 203.0.113.2 udp dport 53 counter packets 0 bytes 0 dnat ip to 172.16.1.100:53",
          "oifname != \"lb1\" ip saddr 172.16.1.100 masquerade",
          "oifname \"lb1\" ip saddr 172.16.1.100 ct status dnat masquerade"})
      expect(has(table, rule), std::string(rule) + " in " + table);
    output_of("nft list table inet luabox-first > /dev/null && nft -c 'flush table inet luabox-first'");
  });
}

TEST_CASE("a firewall that can't be meant is refused in words") {
  const auto refusal = [](const std::function<void(Firewall&)>& change) {
    Firewall firewall = first_firewall();
    change(firewall);
    return failure_of([&] { create_firewall(firewall); });
  };
  CHECK(has(refusal([](Firewall& f) { f.name = "first"; }), "expected 'luabox-' and 1 to 200 letters"));
  CHECK(has(refusal([](Firewall& f) { f.name = "luabox-" + std::string(201, 'a'); }), "expected 'luabox-'"));
  CHECK(has(refusal([](Firewall& f) { f.interface = ""; }), "interface name"));
  CHECK(has(refusal([](Firewall& f) { f.interface = "all"; }), "can't be called all"));
  CHECK(has(refusal([](Firewall& f) { f.isolate = ""; }), "interface name"));
  CHECK(has(refusal([](Firewall& f) { f.addresses = {Address::parse("127.0.0.1")}; }),
            "127.0.0.1 can't be a container's address"));
  CHECK(has(refusal([](Firewall& f) { f.addresses.clear(); }),
            "a published port needs a container's address of its family"));
  CHECK(has(refusal([](Firewall& f) { f.publish[0].host_port = 0; }), "expected ports from 1 to 65535"));
  CHECK(has(refusal([](Firewall& f) { f.publish[0].guest_port = 0; }), "expected ports from 1 to 65535"));
  CHECK(has(refusal([](Firewall& f) { f.publish[0].host_address = Address::parse("::"); }),
            "address of its family"));
  CHECK(has(refusal([](Firewall& f) { f.publish[0].host_address = Address::parse("127.0.0.1"); }),
            "needs loopback"));
  CHECK(has(refusal([](Firewall& f) { f.publish[0].guest_address = Address::parse("10.0.0.1"); }),
            "10.0.0.1 is none of the container's"));
  const auto refused_egress = [&](const Egress& allowed, const char* reason) {
    CHECK(has(refusal([&](Firewall& f) { f.egress = {allowed}; }), reason));
  };
  refused_egress({.last_port = 443}, "expected first_port beside last_port");
  refused_egress({.first_port = 0}, "expected ports from 1 to 65535");
  refused_egress({.first_port = 2, .last_port = 1}, "the first before the last");
  refused_egress({.to = Prefix::parse("10.0.0.1/8")},
                 "10.0.0.1/8 has bits set beyond its length; the network is 10.0.0.0/8");
}

TEST_CASE("a first port without a last one is one port of an egress") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    Firewall firewall = first_firewall();
    firewall.egress = {{.to = Prefix::parse("10.0.0.0/8"), .protocol = Transport::tcp, .first_port = 443}};
    create_firewall(firewall);
    const std::string table = output_of("nft list table inet luabox-first");
    expect(has(table, "ip daddr 10.0.0.0/8 tcp dport 443 accept"), table);
  });
}

TEST_CASE("who may not ask for a firewall is told at once") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    expect(::setresuid(65534, 65534, 65534) == 0, "nobody");
    const auto start = std::chrono::steady_clock::now();
    int code = 0;
    try {
      firewalls("luabox-nosuch");
    } catch (const Error& error) {
      code = error.code();
    }
    expect(code == EPERM, "EPERM, not " + std::to_string(code));
    expect(std::chrono::steady_clock::now() - start < std::chrono::seconds(2), "without a wait");
  });
}

TEST_CASE("a firewall comes and goes in well below a millisecond") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const auto microseconds = [](const std::function<void()>& body) {
      const auto start = std::chrono::steady_clock::now();
      body();
      return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    };
    std::vector<double> made, removed;
    for (int i = 0; i < 30; ++i) {
      made.push_back(microseconds([] { create_firewall(first_firewall()); }));
      removed.push_back(microseconds([] { remove_firewall("luabox-first"); }));
    }
    std::sort(made.begin(), made.end());
    std::sort(removed.begin(), removed.end());
    if (std::getenv("LUABOX_TEST_TIMES"))
      std::fprintf(stderr, "firewall made in %.0f us (best %.0f), removed in %.0f us (best %.0f)\n", made[15],
                   made[0], removed[15], removed[0]);
    expect(removed[0] < 2000, "the removal doesn't wait for a grace period");
  });
}
