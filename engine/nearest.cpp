#include "engine/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace luabox {
namespace {

// No known name is longer: a name of a megabyte must not cost a megabyte squared.
constexpr size_t kLongest = 64;

/// Damerau's and Levenshtein's distance; no letter is moved twice.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view name, const std::vector<std::string_view>& known) {
  if (name.size() > kLongest) return "";
  std::string_view best;
  // One of which no letter would stay is near to nothing.
  size_t least = std::min(std::max<size_t>(2, name.size() / 3) + 1, name.size());
  for (const auto& candidate : known) {
    const size_t far = candidate.size() > 2 * kLongest ? least : distance(name, candidate);
    if (far < least) least = far, best = candidate;
  }
  return best;
}

std::string suggestion(std::string_view name, const std::vector<std::string_view>& known) {
  const std::string_view near = nearest(name, known);
  return near.empty() ? "" : " (did you mean '" + std::string(near) + "'?)";
}

std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string_view>& known) {
  return "unknown " + std::string(what) + " '" + std::string(name.substr(0, kLongest)) + "'" +
         suggestion(name, known);
}

}  // namespace luabox
