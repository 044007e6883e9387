#include "engine/error.hpp"

#include <cstring>
#include <utility>

#include "engine/escaped.hpp"

namespace luabox {
namespace {

std::string sentence(const std::string& op, const std::string& object, int code, const std::string& hint) {
  std::string text = op;
  if (!object.empty()) text += " " + object;
  if (code == EINVAL && !hint.empty()) return text + ": " + hint;
  // strerror_r's GNU form is thread-safe and never fails; strerror would do, but clang-tidy is right to
  // prefer this one.
  char buffer[128];
  text += ": ";
  text += ::strerror_r(code, buffer, sizeof buffer);
  if (!hint.empty()) text += " (" + hint + ")";
  return text;
}

}  // namespace

Error::Error(std::string op, std::string object, int code, std::string hint)
    : op_(std::move(op)), object_(std::move(object)), hint_(std::move(hint)), code_(code) {
  what_ = escaped(sentence(op_, object_, code_, hint_));
}

Error Error::invalid(std::string op, std::string object, std::string reason) {
  return Error(std::move(op), std::move(object), EINVAL, std::move(reason));
}

std::string errno_name(int code) {
  const char* name = ::strerrorname_np(code);
  return name ? name : "E" + std::to_string(code);
}

std::vector<ErrnoName> errno_names() {
  constexpr int last = 133;  // EHWPOISON
  std::vector<ErrnoName> names;
  char buffer[128];
  for (int code = 1; code <= last; ++code)
    if (const char* name = ::strerrorname_np(code))
      names.push_back({code, name, ::strerror_r(code, buffer, sizeof buffer)});
  return names;
}

}  // namespace luabox
