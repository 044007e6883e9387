#include "engine/traffic.hpp"

#include "engine/link.hpp"
#include "tests/engine/network.hpp"

using namespace luabox;
using namespace luabox::test;

TEST_CASE("a rate is the interface's queue, whatever was there before, and can be read back") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    link::add({.kind = "bridge", .name = "box0", .up = true});
    expect(traffic::rate("box0") == 0, "no limit at first");
    traffic::limit_rate("box0", 10000000);
    expect(traffic::rate("box0") == 10000000, "ten megabits");
    const std::string queue = output_of("tc qdisc show dev box0");
    expect(has(queue, "tbf") && has(queue, "rate 10Mbit"), "as tc sees it: " + queue);
    traffic::limit_rate("box0", 100000000000);  // more bytes a second than 32 bits hold
    expect(traffic::rate("box0") == 100000000000, "a hundred gigabits");
  });
}

TEST_CASE("a rate that can't be meant is refused, and an interface that isn't there is ENODEV") {
  in_child(0, [] {
    expect(code_of([] { traffic::limit_rate("nosuch0", 10000000); }) == ENODEV, "no such interface");
    expect(code_of([] { traffic::limit_rate("lo", 7999); }) == EINVAL, "too slow");
    expect(code_of([] { traffic::limit_rate("lo", 1000000000001); }) == EINVAL, "too fast");
    expect(code_of([] { traffic::limit_rate("a b", 10000000); }) == EINVAL, "no name");
  });
}
