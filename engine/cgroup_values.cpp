#include "engine/cgroup_values.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "engine/error.hpp"

namespace luabox {
namespace cgroups {
namespace {

// What v1 calls "no limit" when read back is the largest multiple of the page size, which differs between
// machines.
constexpr uint64_t kUnlimited = (uint64_t{1} << 63U) - (uint64_t{1} << 20U);

std::optional<double> unit_of(std::string_view unit) {
  static constexpr std::pair<std::string_view, double> units[] = {
      {"", 1},         {"B", 1},      {"kB", 1e3},     {"KB", 1e3},     {"MB", 1e6},
      {"GB", 1e9},     {"TB", 1e12},  {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30},
      {"TiB", 0x1p40}, {"k", 0x1p10}, {"K", 0x1p10},   {"m", 0x1p20},   {"M", 0x1p20},
      {"g", 0x1p30},   {"G", 0x1p30}, {"t", 0x1p40},   {"T", 0x1p40}};
  for (const auto& [name, factor] : units)
    if (unit == name) return factor;
  return std::nullopt;
}

}  // namespace

std::string number_text(double number) {
  char text[64];
  std::snprintf(text, sizeof text, number == std::floor(number) && std::fabs(number) < 1e18 ? "%.0f" : "%.9g",
                number);
  return text;
}

std::string shown(const CgroupValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<double>(&value)) return number_text(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return "'" + *text + "'";
  return "a list";
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

Amount amount_of(uint64_t number) { return number >= kUnlimited ? Amount{0, true} : Amount{number, false}; }

std::optional<Amount> parse_amount(std::string_view text, Unit unit) {
  text = trimmed(text);
  if (text == "max" || text == "unlimited" || text == "-1") return Amount{0, true};
  const char* const end = text.data() + text.size();
  uint64_t whole = 0;
  if (const auto read = std::from_chars(text.data(), end, whole); read.ec == std::errc() && read.ptr == end)
    return amount_of(whole);
  if (unit == Unit::none) return std::nullopt;

  double number = 0;
  const auto read = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (read.ec != std::errc() || !std::isfinite(number) || number < 0) return std::nullopt;
  const auto factor = unit_of(trimmed(std::string_view(read.ptr, static_cast<size_t>(end - read.ptr))));
  if (!factor || number * *factor >= 0x1p63) return std::nullopt;
  if (*factor == 1 && number != std::floor(number)) return std::nullopt;
  return amount_of(static_cast<uint64_t>(number * *factor));
}

Amount amount(const Asked& asked, Unit unit) {
  const char* what = unit == Unit::bytes ? " is no size; write 100MB, 64MiB or a number of bytes"
                                         : " is no number; write a whole number, or 'max'";
  if (const auto* number = std::get_if<double>(asked.value)) {
    if (*number == -1 || *number == std::numeric_limits<double>::infinity()) return {0, true};
    if (*number >= 0 && *number < 0x1p63 && *number == std::floor(*number))
      return amount_of(static_cast<uint64_t>(*number));
  } else if (const auto* text = std::get_if<std::string>(asked.value)) {
    if (const auto parsed = parse_amount(*text, unit)) return *parsed;
  }
  fail(asked, shown(*asked.value) + what);
}

uint64_t number(const Asked& asked, uint64_t least, uint64_t most) {
  const Amount wanted = amount(asked, Unit::none);
  if (!wanted.unlimited && wanted.number >= least && wanted.number <= most) return wanted.number;
  fail(asked, shown(*asked.value) + " is out of range; write " + std::to_string(least) + " to " +
                  std::to_string(most));
}

std::string limit_text(Amount limit, int version) {
  if (limit.unlimited) return version == 1 ? "-1" : "max";
  return std::to_string(limit.number);
}

std::vector<std::string> lines(const Asked& asked) {
  std::vector<std::string> list;
  if (const auto* many = std::get_if<std::vector<std::string>>(asked.value)) {
    list = *many;
  } else if (const auto* flag = std::get_if<bool>(asked.value)) {
    list = {*flag ? "1" : "0"};
  } else if (const auto* one = std::get_if<double>(asked.value)) {
    list = {number_text(*one)};
  } else {
    list = {std::get<std::string>(*asked.value)};
  }
  for (const auto& line : list)
    if (trimmed(line).empty() ||
        std::any_of(line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c == 127; }))
      fail(asked, "'" + line + "' is not one line of text");
  return list;
}

std::string only_line(const Asked& asked) {
  auto list = lines(asked);
  if (list.size() != 1) fail(asked, "takes one value, not a list");
  return std::move(list[0]);
}

std::string device_number(const Asked& asked, std::string_view device) {
  const size_t colon = device.find(':');
  const auto digits = [](std::string_view text) {
    return !text.empty() && text.size() <= 7 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (colon != std::string_view::npos && digits(device.substr(0, colon)) && digits(device.substr(colon + 1)))
    return std::string(device);
  struct stat about = {};
  if (device.starts_with("/") && ::stat(std::string(device).c_str(), &about) == 0 && S_ISBLK(about.st_mode))
    return std::to_string(major(about.st_rdev)) + ":" + std::to_string(minor(about.st_rdev));
  fail(asked,
       "'" + std::string(device) + "' is no block device; write MAJOR:MINOR ('8:0') or a path below /dev");
}

bool is_device_rule(std::string_view rule) {
  if (rule == "a") return true;
  const auto part = [](std::string_view text) {
    return text == "*" || (!text.empty() && text.size() <= 7 &&
                           text.find_first_not_of("0123456789") == std::string_view::npos);
  };
  if (rule.size() < 7 || std::string_view("abc").find(rule[0]) == std::string_view::npos || rule[1] != ' ')
    return false;
  const size_t colon = rule.find(':'), blank = rule.find(' ', 2);
  if (colon == std::string_view::npos || blank == std::string_view::npos || blank < colon) return false;
  const std::string_view access = rule.substr(blank + 1);
  return part(rule.substr(2, colon - 2)) && part(rule.substr(colon + 1, blank - colon - 1)) &&
         !access.empty() && access.size() <= 3 && access.find_first_not_of("rwm") == std::string_view::npos;
}

bool wants_frozen(const Asked& asked) {
  std::string word;
  const std::string given = only_line(asked);
  for (const char c : given) word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (word == "frozen" || word == "true" || word == "1") return true;
  if (word == "thawed" || word == "false" || word == "0") return false;
  fail(asked, shown(*asked.value) + " is no state; write 'frozen' or 'thawed'");
}

bool wants_on(const Asked& asked) {
  const std::string word = only_line(asked);
  if (word == "0" || word == "1") return word == "1";
  fail(asked, shown(*asked.value) + " is neither 0 nor 1");
}

uint64_t io_weight_of_blkio(uint64_t weight) {
  return 1 + (std::max<uint64_t>(weight, 10) - 10) * 9999 / 990;
}
uint64_t blkio_weight_of_io(uint64_t weight) { return 10 + (weight * 990 - 990 + 9998) / 9999; }

}  // namespace cgroups

namespace {

unsigned rounded(double number, unsigned least, unsigned most) {
  return static_cast<unsigned>(std::clamp(number, double{1} * least, double{1} * most));
}

}  // namespace

unsigned cpu_weight_of_shares(unsigned shares) {
  const double l = std::log2(std::clamp(shares, 2U, 262144U));
  const double weight = std::pow(10, (l * l + 125 * l) / 612 - 7.0 / 34);
  return rounded(std::ceil(weight - 1e-6), 1,
                 10000);  // the three fixed points are exact but for the last bits
}

unsigned v2_weight(const std::string& key, uint64_t value) {
  if (key == "cpu.shares")
    return cpu_weight_of_shares(static_cast<unsigned>(std::min<uint64_t>(value, 262144)));
  if (key == "blkio.weight")
    return static_cast<unsigned>(cgroups::io_weight_of_blkio(std::min<uint64_t>(value, 1000)));
  throw Error::invalid("cgroup.v2_weight", key, "expected 'cpu.shares' or 'blkio.weight'");
}

unsigned cpu_shares_of_weight(unsigned weight) {
  const double e = std::log10(std::clamp(weight, 1U, 10000U)) + 7.0 / 34;
  const double l = (std::sqrt(125.0 * 125.0 + 4 * 612 * e) - 125) / 2;
  return rounded(std::floor(std::pow(2, l) + 1e-6), 2, 262144);
}

}  // namespace luabox
