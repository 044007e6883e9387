#include "engine/handover.hpp"

#include <unistd.h>

#include <cstdlib>

namespace luabox {

namespace {

std::string& accepted() {
  static std::string text;
  return text;
}

}  // namespace

void accept_handover() {
  const char* const text = ::secure_getenv(kHandover);
  if (text == nullptr) return;
  accepted() = text;
  ::unsetenv(kHandover);
}

const char* handed_over(std::string_view kind) {
  const char* const text = accepted().empty() ? ::secure_getenv(kHandover) : accepted().c_str();
  if (text == nullptr || std::string_view(text).substr(0, kind.size()) != kind) return nullptr;
  return text[kind.size()] == ' ' ? text + kind.size() + 1 : nullptr;
}

std::vector<std::string> environment_with(std::string_view kind, std::string_view text) {
  const std::string name = std::string(kHandover) + "=";
  std::vector<std::string> result;
  for (char** each = environ; *each != nullptr; ++each)
    if (std::string_view(*each).substr(0, name.size()) != name) result.emplace_back(*each);
  result.push_back(name + std::string(kind) + " " + std::string(text));
  return result;
}

void forget_handover() { accepted().clear(); }

}  // namespace luabox
