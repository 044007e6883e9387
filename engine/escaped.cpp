#include "engine/escaped.hpp"

#include <cstdint>
#include <cstdio>

namespace luabox {
namespace {

/// How many bytes of `text` from `at` on are one character of UTF-8 that a terminal shows; 0: none is. Longer
/// forms of what a shorter one says, surrogates and C1 are none.
size_t shown_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  if (first < 0x80) return first >= ' ' && first != 0x7f ? 1 : 0;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || at + length > text.size()) return 0;
  uint32_t code = first & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0U) != 0x80) return 0;
    code = code << 6U | (byte(at + i) & 0x3fU);
  }
  const bool least = code >= (length == 4 ? 0x10000U : length == 3 ? 0x800U : 0xa0U);
  return least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? length : 0;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    if (const size_t length = shown_at(text, at)) {
      result += text.substr(at, length);
      at += length;
      continue;
    }
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02x",
                  static_cast<unsigned>(static_cast<unsigned char>(text[at++])));
    result += code;
  }
  return result;
}

}  // namespace luabox
