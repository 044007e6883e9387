// Network addresses as values: IPv4 and IPv6 alike, and Ethernet's.
//
// Each parse() takes the whole text or throws Error EINVAL with one clear sentence as its hint; text() gives
// back the canonical form (RFC 5952 for IPv6). See inet_pton(3).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace luabox {

enum class Family : uint8_t { ip, ip6 };

/// AF_INET or AF_INET6.
int address_family(Family family);

/// One host's address.
class Address {
 public:
  Address() = default;  ///< 0.0.0.0
  /// "172.16.99.1" or "fd00::1"; no prefix length, no zone.
  static Address parse(std::string_view text);
  /// 0.0.0.0 or ::.
  static Address any(Family family);
  /// From the 4 or 16 bytes that the kernel uses.
  static Address from_bytes(const void* data, size_t size);

  Family family() const { return family_; }
  const uint8_t* data() const { return bytes_.data(); }
  size_t size() const { return family_ == Family::ip ? 4 : 16; }
  /// 32 or 128.
  unsigned bits() const { return static_cast<unsigned>(size()) * 8; }
  bool is_any() const { return *this == any(family_); }
  /// 127.0.0.0/8 or ::1.
  bool is_loopback() const;
  std::string text() const;
  bool operator==(const Address&) const = default;

 private:
  friend struct Prefix;
  std::array<uint8_t, 16> bytes_{};  // bytes past size() are zero
  Family family_ = Family::ip;
};

/// An address with the length of its network's prefix, "172.16.99.1/24": what an interface is given. Host
/// bits may be set.
struct Prefix {
  Address address;
  uint8_t length = 0;

  static Prefix parse(std::string_view text);
  /// The same with the host bits cleared: 172.16.99.0/24.
  Prefix network() const;
  bool contains(const Address& other) const;
  /// The network's address with `number` added: host(1) of 172.16.99.0/24 is 172.16.99.1. Nothing where that
  /// lies outside.
  std::optional<Address> host(uint64_t number) const;
  std::string text() const;
  bool operator==(const Prefix&) const = default;
};

/// Where a route leads: a prefix without host bits, or everything.
struct Destination {
  Prefix prefix;  ///< length 0 is "default"

  /// "default", "10.0.0.0/8", or "10.1.2.3", which is that host alone. Host bits are an error.
  static Destination parse(std::string_view text);
  std::string text() const;
  bool operator==(const Destination&) const = default;
};

/// An Ethernet address, "02:00:00:00:00:01".
struct Mac {
  std::array<uint8_t, 6> bytes{};

  static Mac parse(std::string_view text);
  std::string text() const;
  bool operator==(const Mac&) const = default;
};

}  // namespace luabox
