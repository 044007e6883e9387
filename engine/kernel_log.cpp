#include "engine/kernel_log.hpp"

#include <sys/klog.h>

namespace luabox {
namespace {

constexpr int kReadAll = 3, kSize = 10;  // SYSLOG_ACTION_READ_ALL, SYSLOG_ACTION_SIZE_BUFFER

}  // namespace

std::optional<std::string> kernel_log() {
  const int size = ::klogctl(kSize, nullptr, 0);
  if (size <= 0) return std::nullopt;
  std::string text(static_cast<size_t>(size), '\0');
  const int length = ::klogctl(kReadAll, text.data(), size);
  if (length < 0) return std::nullopt;
  text.resize(static_cast<size_t>(length));
  return text;
}

}  // namespace luabox
