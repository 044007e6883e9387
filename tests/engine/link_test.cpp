#include "engine/link.hpp"

#include <dirent.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "tests/engine/network.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

/// The veth's two ends in their namespaces, ready to talk.
void wire(const Node& guest, const std::string& host, const std::string& host_address,
          const std::string& guest_address, const std::string& via) {
  link::Veth pair;
  pair.host = host;
  pair.netns = guest.netns();
  pair.addresses = {Prefix::parse(host_address)};
  link::veth(pair);
  guest([&] {
    link::Setup setup;
    setup.links.push_back({.name = "eth0", .addresses = {Prefix::parse(guest_address)}});
    setup.routes.push_back({.via = Address::parse(via)});
    link::configure(setup);
  });
  await_carrier(host);
}

size_t open_descriptors() {
  size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (::readdir(folder)) ++count;
  ::closedir(folder);
  return count;
}

double microseconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("a veth's guest end appears in its namespace and nowhere else, and the two talk") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const Node guest;
    wire(guest, "lbtest", "172.16.99.1/24", "172.16.99.100/24", "172.16.99.1");
    expect(!link::find("eth0"), "the host has no eth0");
    expect(link::find("lbtest")->up, "the host end is up");
    const std::string host = output_of("ip -o addr show dev lbtest");
    expect(has(host, "inet 172.16.99.1/24"), "the host end has its address: " + host);
    expect(!has(host, "fe80"), "the kernel gave it no link-local address: " + host);
    const Server server(80);
    const Fd connection = guest([] { return connect_to("172.16.99.1", 80); });
    expect(static_cast<bool>(connection), "the guest reaches the host");
    expect(server.client() == "172.16.99.100", "under its own address");
    guest([] {
      expect(has(output_of("ip route"), "default via 172.16.99.1 dev eth0 proto static"),
             "the default route");
    });
  });
}

TEST_CASE("a host end with an IPv6 address has fe80::1 at once, another has no link-local address") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    link::veth({.host = "lbsix", .guest = "a", .addresses = {Prefix::parse("fd01::1/64")}});
    link::veth({.host = "lbfour", .guest = "b", .addresses = {Prefix::parse("10.0.0.1/24")}});
    link::veth({.host = "lbown", .guest = "c", .addresses = {Prefix::parse("fe80::7/64")}});
    for (const char* guest : {"a", "b", "c"}) link::up(guest);
    await_carrier("lbsix");
    expect(has(output_of("ip -6 -o addr show dev lbsix"), "fe80::1/64 scope link nodad"),
           "fe80::1, not tentative");
    expect(!has(output_of("ip -6 -o addr show"), "lbfour"), "none");
    expect(link::addresses("lbown").size() == 1, "only the one that was asked for");
  });
}

TEST_CASE("a veth gets its sizes, addresses, names and master as asked") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const Node guest;
    link::add({.kind = "bridge", .name = "br0", .alias = "a bridge", .up = true});
    link::Veth pair;
    pair.host = "lbtest";
    pair.guest = "net7";
    pair.netns = guest.netns();
    pair.master = "br0";
    pair.mtu = 1400;
    pair.host_mac = Mac::parse("02:00:00:00:00:01");
    pair.guest_mac = Mac::parse("02:00:00:00:00:02");
    pair.alias = "container x";
    link::veth(pair);
    const auto host = link::find("lbtest");
    expect(host->master == "br0" && host->mtu == 1400 && host->alias == "container x" && host->kind == "veth",
           "the host end");
    expect(host->mac->text() == "02:00:00:00:00:01", "its address");
    guest([&] {
      const auto end = link::find("net7");
      expect(end && end->mtu == 1400 && end->mac->text() == "02:00:00:00:00:02" && !end->up, "the guest end");
      expect(end->index == host->peer_index, "the host end knows its number");
    });
    expect(has(output_of("ip -d link show br0"), "alias a bridge"), "the bridge has its alias");
    const char* queues = "numtxqueues 1 numrxqueues 1 ";
    expect(has(output_of("ip -d link show lbtest"), queues), "one queue each way");
    guest([&] { expect(has(output_of("ip -d link show net7"), queues), "the guest end, too"); });
    expect(has(output_of("ip -d link show lbtest"), "hairpin off"), "nothing comes back");
    link::veth({.host = "lbback", .guest = "c", .master = "br0", .hairpin = true});
    expect(has(output_of("ip -d link show lbback"), "hairpin on"), "unless it is asked for");
    expect(failure_of([] { link::veth({.host = "lbnone", .guest = "d", .hairpin = true}); }) ==
               "add veth lbnone: hairpin is for a bridge's port: expected master",
           "of a bridge");
  });
}

TEST_CASE("a veth that fails half way leaves nothing, and never touches an interface that was there") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const Node guest;
    link::Veth pair;
    pair.host = "lbtest";
    pair.netns = guest.netns();
    pair.addresses = {Prefix::parse("172.16.99.1/24"), Prefix::parse("172.16.99.1/24")};
    expect(failure_of([&] { link::veth(pair); }) ==
               "add address 172.16.99.1/24: File exists (ipv4: Address already assigned)",
           "the second address is refused: " + failure_of([&] { link::veth(pair); }));
    expect(!link::find("lbtest"), "the pair is gone");

    link::add({.kind = "bridge", .name = "lbtest"});
    const std::string before = output_of("ip -d addr");
    pair.addresses.pop_back();
    expect(code_of([&] { link::veth(pair); }) == EEXIST, "the name is taken");
    expect(output_of("ip -d addr") == before, "whose it is has not changed");
    pair.host = "lbother";
    pair.netns = {.pid = 0x3fffffff};
    expect(code_of([&] { link::veth(pair); }) == ESRCH, "no such process");
    pair.netns = {.fd = 4000};
    expect(code_of([&] { link::veth(pair); }) != 0, "no such descriptor");
    expect(output_of("ip -d addr") == before, "still nothing");
  });
}

TEST_CASE("configure does everything at once, renaming included, in both families") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    link::add({.kind = "veth", .name = "a", .peer = "b", .up = true});
    link::Setup setup;
    setup.links.push_back({.name = "b",
                           .rename = "eth5",
                           .addresses = {Prefix::parse("10.1.0.2/24"), Prefix::parse("fd01::2/64")},
                           .mac = Mac::parse("02:00:00:00:00:09"),
                           .mtu = 1280});
    setup.routes.push_back({.to = Destination::parse("10.7.0.0/16"),
                            .via = Address::parse("10.1.0.1"),
                            .dev = "eth5",
                            .metric = 7,
                            .src = Address::parse("10.1.0.2")});
    setup.routes.push_back({.via = Address::parse("fd01::1")});
    setup.routes.push_back({.via = Address::parse("192.0.2.1"), .dev = "eth5", .onlink = true});
    setup.routes.push_back({.to = Destination::parse("10.8.0.0/16"), .dev = "eth5", .table = 1000});
    link::configure(setup);
    expect(link::find("lo")->up, "loopback is up");
    const std::string link = output_of("ip -o addr show dev eth5");
    expect(has(link, "10.1.0.2/24") && has(link, "fd01::2/64 scope global nodad"), "both addresses: " + link);
    const std::string routes = output_of("ip route; ip -6 route; ip route show table 1000");
    for (const char* route : {"10.7.0.0/16 via 10.1.0.1 dev eth5 proto static src 10.1.0.2 metric 7",
                              "default via 192.0.2.1 dev eth5 proto static onlink",
                              "default via fd01::1 dev eth5", "10.8.0.0/16 dev eth5 proto static scope link"})
      expect(has(routes, route), std::string(route) + " in " + routes);
    const auto read = link::routes();
    expect(std::any_of(read.begin(), read.end(),
                       [](const auto& route) {
                         return route.to.text() == "10.7.0.0/16" && route.via &&
                                route.via->text() == "10.1.0.1" && route.dev == "eth5" && route.metric == 7u;
                       }),
           "routes() reads what was written");
    for (const auto& route : setup.routes) link::remove_route(route);
    expect(!has(output_of("ip route; ip -6 route; ip route show table 1000 || true"), "via"),
           "every route is gone again");
    expect(code_of([&] { link::remove_route(setup.routes[0]); }) == ESRCH, "a route that isn't there");
  });
}

TEST_CASE("an interface does what the verbs say") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const Node other;
    link::add({.kind = "veth", .name = "a", .peer = "b"});
    link::add({.kind = "bridge", .name = "br0"});
    link::up("a");
    expect(has(output_of("cat /proc/net/dev"), "a:") && link::find("a")->up, "up");
    link::down("a");
    expect(!link::find("a")->up, "down");
    link::set_mtu("a", 9000);
    link::set_mac("a", Mac::parse("02:00:00:00:00:05"));
    link::set_master("a", "br0");
    expect(has(output_of("ip link show a"), "mtu 9000 qdisc noqueue master br0"), "mtu and master");
    link::set_master("a", std::nullopt);
    expect(!link::find("a")->master, "no master");
    link::rename("a", "z");
    expect(!link::find("a") && link::find("z")->mac->text() == "02:00:00:00:00:05", "renamed");
    link::add_address("z", Prefix::parse("10.5.0.1/24"));
    link::add_address("z", Prefix::parse("fd05::1/64"));
    expect(link::addresses("z").size() == 2 && link::addresses({}).size() == 2, "two addresses");
    link::remove_address("z", Prefix::parse("10.5.0.1/24"));
    expect(link::addresses("z").front().address.text() == "fd05::1/64", "one is left");
    link::move("b", other.netns());
    expect(!link::find("b") && other([] { return link::find("b").has_value(); }), "moved");
    link::remove("z");
    expect(link::links().size() == 2, "lo and br0 are left");
    expect(failure_of([] { link::remove("z"); }) == "remove interface z: No such device",
           "a name that isn't there");
    expect(failure_of([] { link::add_address("z", Prefix::parse("10.5.0.1/24")); }) ==
               "find interface z: No such device",
           "nor here");
    expect(has(failure_of([] { link::add({.kind = "nonsense", .name = "q"}); }), "add interface q: "),
           "an unknown kind");
  });
}

TEST_CASE("local_device finds the interface that has an address, and only that") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    const auto device = [](const char* address) {
      return link::local_device(Address::parse(address)).value_or("none");
    };
    expect(device("10.5.0.1") == "none", "no route at all");
    link::add({.kind = "veth", .name = "a", .peer = "b", .up = true});
    link::configure({});
    link::up("b");
    link::add_address("a", Prefix::parse("10.5.0.1/24"));
    link::add_address("b", Prefix::parse("fd05::1/64"));
    expect(device("10.5.0.1") == "a", "of IPv4");
    // The kernel leaves an IPv6 address's route to a work queue.
    for (int i = 0; i < 200 && device("fd05::1") == "none"; ++i) ::usleep(5000);
    expect(device("fd05::1") == "b", "of IPv6");
    expect(device("10.5.0.2") == "none" && device("fd05::2") == "none", "a neighbour is not local");
    const auto linked = [](const char* address) {
      return link::local_device(Address::parse(address), {.linked = true}).value_or("none");
    };
    expect(linked("10.5.0.1") == "a" && linked("10.5.0.2") == "a" && linked("fd05::2") == "b", "but linked");
    expect(linked("10.6.0.1") == "none", "what has no route is not");
    link::add_route({.to = {Prefix::parse("10.6.0.0/16")}, .via = Address::parse("10.5.0.2")});
    link::add_route({.via = Address::parse("10.5.0.2")});
    expect(linked("10.6.0.1") == "none" && linked("10.7.0.1") == "none", "nor what is behind a gateway");
    expect(device("10.5.0.255") == "none" && device("224.0.0.1") == "none",
           "nor are broadcast and multicast");
    expect(device("127.0.0.1") == "lo" && device("::1") == "lo", "loopback");
    output_of(
        "ip route add unreachable 10.9.0.0/16; ip route add blackhole 10.10.0.0/16; ip route add prohibit "
        "10.11.0.0/16");
    expect(device("10.9.0.1") == "none" && device("10.10.0.1") == "none" && device("10.11.0.1") == "none",
           "routes that refuse");
  });
}

TEST_CASE("a name that can't be an interface's is refused before the kernel sees it") {
  const std::string nul("a\0b", 3);
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"),
                                  std::string("a b"), std::string("sixteen-letters-"), std::string("a\n"),
                                  std::string("eth%d"), std::string("a:1"), std::string("\xff"), nul}) {
    CHECK(code_of([&] { link::check_name(name); }) == EINVAL);
    CHECK(code_of([&] { link::up(name); }) == EINVAL);
    CHECK(code_of([&] { link::find(name); }) == EINVAL);
    CHECK(code_of([&] { link::rename("lo", name); }) == EINVAL);
    link::Veth pair;
    pair.host = name;
    CHECK(code_of([&] { link::veth(pair); }) == EINVAL);
  }
  CHECK(code_of([] { link::check_name("fifteen-letters"); }) == 0);
}

TEST_CASE("a route that can't be meant is refused in words") {
  CHECK(has(failure_of([] { link::add_route({}); }), "expected via or dev"));
  CHECK(has(failure_of([] {
              link::add_route({.to = Destination::parse("10.0.0.0/8"), .via = Address::parse("fd00::1")});
            }),
            "via fd00::1 is of the other family"));
  CHECK(has(failure_of([] { link::add_route({.via = Address::parse("10.0.0.1"), .onlink = true}); }),
            "onlink needs dev"));
}

TEST_CASE("forwarding is this namespace's own switch") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    for (const Family family : {Family::ip, Family::ip6}) {
      link::set_forwarding(true, {family});
      expect(link::forwarding({family}), "on");
      link::set_forwarding(false, {family});
      expect(!link::forwarding({family}), "off");
    }
    expect(slurp("/proc/sys/net/ipv4/ip_forward") == "0\n", "the kernel says so too");
  });
}

TEST_CASE("two hundred pairs come and go without a trace") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    link::links();
    const size_t descriptors = open_descriptors();
    {
      const Node guest;
      for (int i = 0; i < 200; ++i) {
        link::Veth pair;
        pair.host = "lb" + std::to_string(i);
        pair.guest = "g" + std::to_string(i);
        pair.netns = guest.netns();
        pair.addresses = {Prefix::parse("10.0." + std::to_string(i) + ".1/24")};
        link::veth(pair);
      }
      expect(link::links().size() == 201, "all are listed");
      expect(guest([] { return link::links().size(); }) == 201, "on both sides");
      for (int i = 0; i < 100; ++i) link::remove("lb" + std::to_string(i));
    }
    // The namespace's death takes the rest with it, a moment later.
    for (int i = 0; i < 100 && link::links().size() != 1; ++i) ::usleep(50000);
    expect(link::links().size() == 1, "only lo is left");
    expect(open_descriptors() == descriptors, "no descriptor leaked");
  });
}

TEST_CASE("a pair and its configuration take well below a millisecond") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    std::vector<double> pairs, setups;
    for (int i = 0; i < 40; ++i) {
      const Node guest;
      link::Veth pair;
      pair.host = "lb" + std::to_string(i);
      pair.netns = guest.netns();
      pair.addresses = {Prefix::parse("172.16." + std::to_string(i) + ".1/24")};
      pairs.push_back(microseconds([&] { link::veth(pair); }));
      guest([&] {
        link::Setup setup;
        setup.links.push_back({.name = "eth0", .addresses = {Prefix::parse("172.16.99.100/24")}});
        setup.routes.push_back({.via = Address::parse("172.16.99.1")});
        setups.push_back(microseconds([&] { link::configure(setup); }));
      });
    }
    std::sort(pairs.begin(), pairs.end());
    std::sort(setups.begin(), setups.end());
    if (std::getenv("LUABOX_TEST_TIMES"))
      std::fprintf(stderr, "veth %.0f us (best %.0f), configure %.0f us (best %.0f)\n", pairs[20], pairs[0],
                   setups[20], setups[0]);
    expect(pairs[0] < 20000 && setups[0] < 20000, "no step waits for a grace period");
  });
}
