#include "engine/address.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

#include "engine/error.hpp"

namespace luabox {
namespace {

[[noreturn]] void refuse(std::string_view text, const std::string& reason) {
  throw Error::invalid("address", std::string(text), std::string(text) + " " + reason);
}

bool convert(Family family, std::string_view text, void* bytes) {
  // inet_pton stops at a NUL; a text that goes on behind one is no address.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return false;
  return ::inet_pton(address_family(family), std::string(text).c_str(), bytes) == 1;
}

}  // namespace

int address_family(Family family) { return family == Family::ip ? AF_INET : AF_INET6; }

Address Address::parse(std::string_view text) {
  Address address;
  if (convert(Family::ip, text, address.bytes_.data())) return address;
  address.family_ = Family::ip6;
  if (convert(Family::ip6, text, address.bytes_.data())) return address;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos && slash != 0)
    refuse(text, "is a prefix; expected the address alone, " + std::string(text.substr(0, slash)));
  refuse(text, "is no IPv4 or IPv6 address");
}

Address Address::any(Family family) {
  Address address;
  address.family_ = family;
  return address;
}

Address Address::from_bytes(const void* data, size_t size) {
  if (size != 4 && size != 16)
    throw Error::invalid("address", "", "an address has 4 or 16 bytes, not " + std::to_string(size));
  Address address = any(size == 4 ? Family::ip : Family::ip6);
  std::memcpy(address.bytes_.data(), data, size);
  return address;
}

bool Address::is_loopback() const {
  if (family_ == Family::ip) return bytes_[0] == 127;
  Address one = any(Family::ip6);
  one.bytes_[15] = 1;
  return *this == one;
}

std::string Address::text() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(address_family(family_), bytes_.data(), buffer, sizeof buffer);
  return buffer;
}

Prefix Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    const Address bare = Address::parse(text);
    refuse(text, "lacks a prefix length, such as /" + std::string(bare.family() == Family::ip ? "24" : "64"));
  }
  Prefix prefix{Address::parse(text.substr(0, slash))};
  const std::string_view digits = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix.length);
  const bool number = error == std::errc() && end == digits.data() + digits.size();
  if (!number || prefix.length > prefix.address.bits())
    refuse(text, "has no prefix length from 0 to " + std::to_string(prefix.address.bits()));
  return prefix;
}

Prefix Prefix::network() const {
  Prefix result = *this;
  for (unsigned bit = length; bit < address.bits(); ++bit)
    result.address.bytes_[bit / 8] &= static_cast<uint8_t>(~(0x80U >> (bit % 8)));
  return result;
}

bool Prefix::contains(const Address& other) const {
  return other.family() == address.family() && Prefix{other, length}.network() == network();
}

std::optional<Address> Prefix::host(uint64_t number) const {
  Address result = network().address;
  for (size_t i = result.size(); i-- > 0 && number > 0; number >>= 8U) {
    const uint64_t sum = result.bytes_[i] + (number & 0xffU);
    result.bytes_[i] = static_cast<uint8_t>(sum);
    number += (sum >> 8U) << 8U;  // the carry, for the next byte
  }
  if (number > 0 || !contains(result)) return std::nullopt;
  return result;
}

std::string Prefix::text() const { return address.text() + "/" + std::to_string(length); }

Destination Destination::parse(std::string_view text) {
  if (text == "default") return {};
  if (text.find('/') == std::string_view::npos) {
    const Address host = Address::parse(text);
    return {{host, static_cast<uint8_t>(host.bits())}};
  }
  const Prefix prefix = Prefix::parse(text);
  if (prefix != prefix.network())
    refuse(text, "has bits set beyond its length; the network is " + prefix.network().text());
  return {prefix};
}

std::string Destination::text() const { return prefix.length == 0 ? "default" : prefix.text(); }

Mac Mac::parse(std::string_view text) {
  Mac mac;
  bool good = text.size() == 17;
  for (size_t i = 0; good && i < mac.bytes.size(); ++i) {
    const char* digits = text.data() + i * 3;
    const auto [end, error] = std::from_chars(digits, digits + 2, mac.bytes[i], 16);
    good = error == std::errc() && end == digits + 2 && (i == 5 || digits[2] == ':');
  }
  if (!good) refuse(text, "is no Ethernet address such as 02:00:00:00:00:01");
  return mac;
}

std::string Mac::text() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    if (!text.empty()) text += ':';
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

}  // namespace luabox
