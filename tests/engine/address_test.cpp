#include "engine/address.hpp"

#include <random>

#include "engine/link.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.code() == EINVAL);
    return error.hint();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("an address is read whole and given back in its canonical form") {
  CHECK(Address::parse("172.16.99.1").text() == "172.16.99.1");
  CHECK(Address::parse("172.16.99.1").family() == Family::ip);
  CHECK(Address::parse("FD00:0:0:0::0001").text() == "fd00::1");
  CHECK(Address::parse("::ffff:1.2.3.4").family() == Family::ip6);
  CHECK(Address::parse("::").is_any());
  CHECK(Address::parse("127.8.8.8").is_loopback());
  CHECK(Address::parse("::1").is_loopback());
  CHECK_FALSE(Address::parse("::2").is_loopback());
  CHECK_FALSE(Address::parse("0.0.0.0") == Address::parse("::"));
}

TEST_CASE("a wrong address is refused in a sentence that says what is wrong") {
  CHECK(refusal([] { Address::parse("172.16.99.300"); }) == "172.16.99.300 is no IPv4 or IPv6 address");
  CHECK(refusal([] { Address::parse("10.0.0.1/8"); }) ==
        "10.0.0.1/8 is a prefix; expected the address alone, 10.0.0.1");
  CHECK(refusal([] { Prefix::parse("172.16.99.1"); }) == "172.16.99.1 lacks a prefix length, such as /24");
  CHECK(refusal([] { Prefix::parse("fd00::1"); }) == "fd00::1 lacks a prefix length, such as /64");
  CHECK(refusal([] { Prefix::parse("10.0.0.1/33"); }) == "10.0.0.1/33 has no prefix length from 0 to 32");
  CHECK(refusal([] { Prefix::parse("fd00::1/129"); }) == "fd00::1/129 has no prefix length from 0 to 128");
  CHECK(refusal([] { Destination::parse("10.0.0.1/8"); }) ==
        "10.0.0.1/8 has bits set beyond its length; the network is 10.0.0.0/8");
  CHECK(refusal([] { Mac::parse("02:00:00:00:00"); }) ==
        "02:00:00:00:00 is no Ethernet address such as 02:00:00:00:00:01");
  for (const char* text : {"", " ", "/", "1/", "/24", "1.2.3", "1.2.3.4.5", "1.2.3.4 ", " 1.2.3.4",
                           "1.2.3.4\n", "0x7f.1", ":::", "fe80::1%eth0", "localhost"})
    CHECK(refusal([&] { Address::parse(text); }) != "accepted");
  for (const char* text :
       {"1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/+8", "1.2.3.4/ 8", "1.2.3.4/8 ", "1.2.3.4/8/8", "1.2.3.4/256"})
    CHECK(refusal([&] { Prefix::parse(text); }) != "accepted");
  for (const char* text : {"02:00:00:00:00:0g", "02-00-00-00-00-01", "02:00:00:00:00:001",
                           "+2:00:00:00:00:01", "0x:00:00:00:00:01"})
    CHECK(refusal([&] { Mac::parse(text); }) != "accepted");
  CHECK(refusal([] { Address::parse(std::string_view("1.2.3.4\0.5", 10)); }) != "accepted");
}

TEST_CASE("a prefix contains the addresses of its network and no others") {
  const Prefix prefix = Prefix::parse("172.16.99.77/20");
  CHECK(prefix.network().text() == "172.16.96.0/20");
  CHECK(prefix.contains(Address::parse("172.16.111.255")));
  CHECK_FALSE(prefix.contains(Address::parse("172.16.112.0")));
  CHECK_FALSE(prefix.contains(Address::parse("::ffff:172.16.99.1")));
  CHECK(Prefix::parse("fd00:1::5/33").network().text() == "fd00:1::/33");
  CHECK(Prefix::parse("1.2.3.4/0").contains(Address::parse("9.9.9.9")));
  CHECK_FALSE(Prefix::parse("1.2.3.4/32").contains(Address::parse("1.2.3.5")));
  CHECK(Destination::parse("default").text() == "default");
  CHECK(Destination::parse("10.1.2.3").prefix.length == 32);
  CHECK(Mac::parse("02:Ab:00:00:00:01").text() == "02:ab:00:00:00:01");
}

TEST_CASE("random text is read or refused, and what is read reads the same again") {
  std::mt19937 random(20240607);
  static constexpr char letters[] = "0123456789abcdef.:/%:: gx\n\xff";
  for (int round = 0; round < 200000; ++round) {
    std::string text;
    const size_t length = random() % 24;
    for (size_t i = 0; i < length; ++i) text += letters[random() % sizeof letters];
    try {
      const Prefix prefix = Prefix::parse(text);
      REQUIRE(Prefix::parse(prefix.text()) == prefix);
    } catch (const Error&) {
    }
    try {
      const Address address = Address::parse(text);
      REQUIRE(Address::parse(address.text()) == address);
    } catch (const Error&) {
    }
    try {
      Mac::parse(text);
    } catch (const Error&) {
    }
    try {
      link::check_name(text);
      REQUIRE((!text.empty() && text.size() < 16 && text.find_first_of("/: %\n") == std::string::npos));
    } catch (const Error&) {
    }
  }
}

TEST_CASE("the addresses of a network are counted, and none is given from outside of it") {
  const auto host = [](const char* prefix, uint64_t number) {
    const auto address = Prefix::parse(prefix).host(number);
    return address ? address->text() : "none";
  };
  CHECK(host("172.16.99.7/24", 1) == "172.16.99.1");
  CHECK(host("172.16.99.0/24", 255) == "172.16.99.255");
  CHECK(host("172.16.99.0/24", 256) == "none");
  CHECK(host("10.0.0.0/8", 256 * 256 + 255) == "10.1.0.255");
  CHECK(host("10.0.0.128/25", 127) == "10.0.0.255");
  CHECK(host("255.255.255.0/24", 256) == "none");
  CHECK(host("fd00:9::/64", 0x12345) == "fd00:9::1:2345");
  CHECK(host("fd00::ff00/120", 0x100) == "none");
  CHECK(host("fd00::/64", ~0ULL) == "fd00::ffff:ffff:ffff:ffff");
  CHECK(host("0.0.0.0/0", 1ULL << 32U) == "none");
}
