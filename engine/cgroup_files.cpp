#include "engine/cgroup_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "engine/error.hpp"
#include "engine/fd.hpp"

namespace luabox::cgroups {
namespace {

// What v1 has for no limit depends on the page size.
constexpr uint64_t kNoLimit = (uint64_t{1} << 63U) - (uint64_t{1} << 20U);

}  // namespace

std::optional<std::string> optional_file(const std::string& path) {
  // Asked first: on v1 most are not there, and the first exception of a static program costs milliseconds.
  if (::access(path.c_str(), F_OK) < 0 && errno == ENOENT) return std::nullopt;
  try {
    return read_file(path);
  } catch (const Error& error) {
    if (error.code() == ENOENT || error.code() == EOPNOTSUPP || error.code() == ENODEV) return std::nullopt;
    throw;
  }
}

bool try_write(const std::string& path, std::string_view text) {
  if (::access(path.c_str(), F_OK) < 0 && errno == ENOENT) return false;
  try {
    write_file(path, text);
    return true;
  } catch (const Error& error) {
    if (error.code() == ENOENT || error.code() == EOPNOTSUPP) return false;
    throw;
  }
}

std::optional<uint64_t> number_in(const std::optional<std::string>& text) {
  uint64_t number = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc())
    return std::nullopt;
  return number;
}

std::optional<uint64_t> field(const std::optional<std::string>& text, const std::string& key) {
  if (!text) return std::nullopt;
  std::istringstream lines(*text);
  for (std::string name, rest; lines >> name && std::getline(lines, rest);)
    if (name == key) return number_in(rest.substr(std::min<size_t>(1, rest.size())));
  return std::nullopt;
}

std::optional<uint64_t> limit_in(const std::optional<std::string>& text) {
  const auto number = number_in(text);
  return number && *number < kNoLimit ? number : std::nullopt;
}

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  for (std::string one; words >> one;)
    if (one == word) return true;
  return false;
}

}  // namespace luabox::cgroups
