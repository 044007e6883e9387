#include "engine/nearest.hpp"

#include <algorithm>
#include <numeric>

namespace luabox {
namespace {

/// Levenshtein's distance: insertions, deletions and substitutions.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string_view>& known) {
  // No known name is longer: a name of a megabyte must not cost a megabyte squared.
  constexpr size_t kLongest = 64;
  std::string text = "unknown " + std::string(what) + " '" + std::string(name.substr(0, kLongest)) + "'";
  if (name.size() > kLongest) return text;
  std::string_view best;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const auto& candidate : known) {
    const size_t far = distance(name, candidate);
    if (far < least) least = far, best = candidate;
  }
  return best.empty() ? text : text + " (did you mean '" + std::string(best) + "'?)";
}

}  // namespace luabox
