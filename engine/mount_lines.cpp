#include "engine/mount_lines.hpp"

#include <algorithm>

namespace luabox {
namespace {

/// Up to the next `end`, which is taken, too.
std::string_view take_until(char end, std::string_view& text) {
  const std::string_view taken = text.substr(0, text.find(end));
  text.remove_prefix(std::min(taken.size() + 1, text.size()));
  return taken;
}

/// Blank, tab, newline and backslash are written as \040 and so on.
std::string unescape(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

std::vector<MountLine> mount_lines(std::string_view mountinfo) {
  std::vector<MountLine> lines;
  while (!mountinfo.empty()) {
    std::string_view line = take_until('\n', mountinfo);
    take_until(' ', line);  // its number
    take_until(' ', line);  // and its parent's
    MountLine mount;
    for (auto* field : {&mount.device, &mount.root, &mount.point}) *field = unescape(take_until(' ', line));
    mount.rest = line;
    lines.push_back(std::move(mount));
  }
  return lines;
}

}  // namespace luabox
