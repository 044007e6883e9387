#include "engine/cgroup_keys.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <utility>

#include "engine/cgroup_table.hpp"
#include "engine/error.hpp"
#include "engine/nearest.hpp"

namespace luabox {
namespace {

using Key = CgroupRow;
using Scale = CgroupScale;

// ---- names

enum class Form { v1, v2, word };

/// A key as someone asked for it.
struct Asked {
  const Key* key = nullptr;
  Form form = Form::word;
  std::string name;  // as written
  std::string star;  // what '*' stood for
  const CgroupValue* value = nullptr;
  int version = 0;  // of the hierarchy here
};

[[noreturn]] void fail(const Asked& asked, const std::string& reason) {
  throw Error::invalid("cgroup key", asked.name, reason);
}

bool matches(std::string_view pattern, std::string_view name, std::string& star) {
  const size_t at = pattern.find('*');
  if (at == std::string_view::npos) return !pattern.empty() && pattern == name;
  const std::string_view before = pattern.substr(0, at), after = pattern.substr(at + 1);
  if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after))
    return false;
  const std::string_view middle = name.substr(before.size(), name.size() - before.size() - after.size());
  const bool plain = std::all_of(middle.begin(), middle.end(),
                                 [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
  if (plain) star = middle;
  return plain;
}

template <class Visit>
void each_word(std::string_view words, Visit&& visit) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    visit(words.substr(0, end));
    words.remove_prefix(std::min(end + 1, words.size()));
  }
}

[[noreturn]] void fail_unknown(const std::string& name) {
  std::vector<std::string_view> known;
  const auto add = [&](std::string_view one) {
    if (!one.empty() && one.find(' ') == std::string_view::npos) known.push_back(one);
  };
  for (const auto& key : cgroup_table()) {
    each_word(key.words, add);
    add(key.v2);
    add(key.v1);
  }
  throw Error::invalid("cgroup", "", unknown_name("key", name, known));
}

Asked find_key(const std::string& name) {
  Asked asked;
  asked.name = name;
  for (const auto& key : cgroup_table()) {
    bool found = false;
    if (matches(key.v2, name, asked.star)) {
      asked.form = Form::v2, found = true;
    } else if (matches(key.v1, name, asked.star)) {
      asked.form = Form::v1, found = true;
    }
    each_word(key.words, [&](std::string_view word) {
      if (!found && matches(word, name, asked.star)) asked.form = Form::word, found = true;
    });
    if (!found) continue;
    asked.key = &key;
    return asked;
  }
  fail_unknown(name);
}

/// True where the scale has a form of its own for a version in which the table names no file.
bool converts(Scale scale) {
  switch (scale) {
    case Scale::quota:
    case Scale::period:
    case Scale::cpu_max:
    case Scale::cpus:
    case Scale::memsw:
    case Scale::swap:
    case Scale::swappiness:
    case Scale::io_weight:
    case Scale::io_max:
    case Scale::devices:
      return true;
    default:
      return false;
  }
}

Asked locate(const CgroupHost& host, const std::string& name) {
  Asked asked = find_key(name);
  const Key& key = *asked.key;
  const CgroupHierarchy* hierarchy = host.find(key.controller);
  const std::string note = key.note.empty() ? "" : "; " + std::string(key.note);
  const bool only_v1 = key.v2.empty() && !converts(key.scale),
             only_v2 = key.v1.empty() && !converts(key.scale);
  if (!hierarchy) {
    const bool useful = !note.empty() && (host.unified() ? only_v1 : only_v2);
    throw Error("cgroup key", name, EOPNOTSUPP, host.why_missing(key.controller) + (useful ? note : ""));
  }
  asked.version = hierarchy->version;
  if (asked.version == 2 ? only_v1 : only_v2)
    throw Error("cgroup key", name, EOPNOTSUPP,
                "the controller '" + std::string(key.controller) + "' is cgroup v" +
                    std::to_string(asked.version) + " here" + note);
  if (key.access == CgroupAccess::top)
    throw Error("cgroup key", name, EOPNOTSUPP,
                "it is the whole machine's: the file is only in the topmost cgroup, " + hierarchy->mount);
  return asked;
}

/// The control file, with the size of huge pages in its place.
std::string file_of(const Asked& asked) {
  std::string file(asked.version == 1 ? asked.key->v1 : asked.key->v2);
  if (const size_t star = file.find('*'); star != std::string::npos) file.replace(star, 1, asked.star);
  return file;
}

// ---- values

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

/// A limit: a number, or none.
struct Amount {
  uint64_t number = 0;
  bool unlimited = false;
};

// What v1 calls "no limit" when read back is the largest multiple of the page size, which differs between
// machines.
constexpr uint64_t kUnlimited = (uint64_t{1} << 63U) - (uint64_t{1} << 20U);

Amount amount_of(uint64_t number) { return number >= kUnlimited ? Amount{0, true} : Amount{number, false}; }

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

enum class Unit { none, bytes };

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

/// The lines of a value; a control file takes one with each write.
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

/// "8:0", or the path of a block device.
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

// "c 1:3 rwm", "b *:* r", "a". See Documentation/admin-guide/cgroup-v1/devices.rst.
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

unsigned rounded(double number, unsigned least, unsigned most) {
  return static_cast<unsigned>(std::clamp(number, double{1} * least, double{1} * most));
}

// From 10..1000 to 1..10000 and back, as runc and crun do.
uint64_t io_weight_of_blkio(uint64_t weight) {
  return 1 + (std::max<uint64_t>(weight, 10) - 10) * 9999 / 990;
}
uint64_t blkio_weight_of_io(uint64_t weight) { return 10 + (weight * 990 - 990 + 9998) / 9999; }

// ---- writing

class Planner {
 public:
  Planner(const CgroupHost& host, const CgroupValues& values, const CgroupReader& now) : now_(now) {
    for (const auto& [name, value] : values) {
      asked_.push_back(locate(host, name));
      asked_.back().value = &value;
    }
    std::stable_sort(asked_.begin(), asked_.end(),
                     [](const Asked& a, const Asked& b) { return a.key < b.key; });
  }
  std::vector<CgroupStep> plan();

 private:
  void one(const Asked& asked);
  void weight(const Asked& asked);
  void io_weight(const Asked& asked);
  void quota(const Asked& asked);
  void period(const Asked& asked);
  void cpu_max(const Asked& asked);
  void cpus(const Asked& asked);
  void memsw(const Asked& asked);
  void swap(const Asked& asked);
  void swappiness(const Asked& asked);
  void rate(const Asked& asked, const std::string& device, std::string_view parameter,
            std::string_view value);
  void throttle(const Asked& asked);
  void io_max(const Asked& asked);
  void devices(const Asked& asked);

  void add(const Asked& asked, std::string file, std::string value, bool read_back = false) {
    steps_.push_back({std::string(asked.key->controller), std::move(file), std::move(value), read_back});
  }
  /// Two keys that mean the same thing must not fight over it.
  void claim(const Asked& asked, const std::string& thing) {
    const auto [first, fresh] = claims_.emplace(thing, asked.name);
    if (!fresh) fail(asked, "sets the same as '" + first->second + "'; keep one of them");
  }
  void bandwidth(const Asked& asked, Amount quota, std::optional<uint64_t> period);
  Amount memory_limit(const Asked& asked, const std::string& purpose);
  const Asked* other(Scale scale, std::string_view v1) const {
    for (const auto& asked : asked_)
      if (asked.key->scale == scale && asked.key->v1 == v1) return &asked;
    return nullptr;
  }
  std::optional<std::string> now(const Asked& asked, const std::string& file) const {
    return now_ ? now_(std::string(asked.key->controller), file) : std::nullopt;
  }

  std::vector<Asked> asked_;
  std::vector<CgroupStep> steps_;
  std::map<std::string, std::string> claims_;
  const CgroupReader& now_;
};

std::vector<CgroupStep> Planner::plan() {
  for (const auto& asked : asked_) {
    if (asked.key->access == CgroupAccess::read_only) fail(asked, "can only be read");
    one(asked);
  }
  return std::move(steps_);
}

void Planner::one(const Asked& asked) {
  switch (asked.key->scale) {
    case Scale::cpu_weight:
      return weight(asked);
    case Scale::io_weight:
      return io_weight(asked);
    case Scale::quota:
      return quota(asked);
    case Scale::period:
      return period(asked);
    case Scale::cpu_max:
      return cpu_max(asked);
    case Scale::cpus:
      return cpus(asked);
    case Scale::memsw:
      return memsw(asked);
    case Scale::swap:
      return swap(asked);
    case Scale::swappiness:
      return swappiness(asked);
    case Scale::throttle:
      return throttle(asked);
    case Scale::io_max:
      return io_max(asked);
    case Scale::devices:
    case Scale::device_rule:
      return devices(asked);
    default:
      break;
  }
  const std::string file = file_of(asked);
  claim(asked, file);
  switch (asked.key->scale) {
    case Scale::bytes:
      return add(asked, file, limit_text(amount(asked, Unit::bytes), asked.version), true);
    case Scale::count: {
      const Amount limit = amount(asked, Unit::none);
      return add(asked, file, limit.unlimited ? "max" : std::to_string(limit.number));
    }
    case Scale::number:
      return add(asked, file, std::to_string(number(asked, 0, std::numeric_limits<int64_t>::max())));
    case Scale::flag:
      return add(asked, file, wants_on(asked) ? "1" : "0");
    case Scale::frozen: {
      const bool frozen = wants_frozen(asked);
      return add(asked, file, asked.version == 2 ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED"));
    }
    case Scale::list: {
      const std::string list = only_line(asked);
      if (list.find_first_not_of("0123456789,-") != std::string::npos)
        fail(asked, "'" + list + "' is no list; write '0-3' or '0,2'");
      return add(asked, file, list);
    }
    default:
      for (const auto& line : lines(asked)) add(asked, file, line);
  }
}

void Planner::weight(const Asked& asked) {
  claim(asked, "cpu.weight");
  const bool shares = asked.form == Form::v1;
  const auto given = static_cast<unsigned>(shares ? number(asked, 2, 262144) : number(asked, 1, 10000));
  if (asked.version == 1)
    return add(asked, "cpu.shares", std::to_string(shares ? given : cpu_shares_of_weight(given)));
  add(asked, "cpu.weight", std::to_string(shares ? cpu_weight_of_shares(given) : given));
}

void Planner::io_weight(const Asked& asked) {
  for (const auto& line : lines(asked)) {
    const size_t blank = line.find(' ');
    const std::string left = blank == std::string::npos ? "default" : line.substr(0, blank);
    const auto given = parse_amount(blank == std::string::npos ? line : line.substr(blank + 1), Unit::none);
    const bool old = asked.form == Form::v1;
    const uint64_t least = old ? 10 : 1, most = old ? 1000 : 10000;
    if (!given || given->unlimited || given->number < least || given->number > most)
      fail(asked, "'" + line + "' is no weight; write " + std::to_string(least) + " to " +
                      std::to_string(most) + ", or 'MAJOR:MINOR weight'");
    const std::string device = left == "default" ? left : device_number(asked, left);
    claim(asked, "io.weight " + device);
    const bool all = device == "default";
    const uint64_t weight = asked.version == 1 ? (old ? given->number : blkio_weight_of_io(given->number))
                                               : (old ? io_weight_of_blkio(given->number) : given->number);
    const std::string file = asked.version == 2 ? "io.weight" : all ? "blkio.weight" : "blkio.weight_device";
    add(asked, file, (all && asked.version == 1 ? "" : device + " ") + std::to_string(weight));
  }
}

/// Writes a quota of microseconds for each period; without a period the one that the cgroup has is kept.
void Planner::bandwidth(const Asked& asked, Amount quota, std::optional<uint64_t> period) {
  if (!quota.unlimited && quota.number < 1000) fail(asked, "a quota has at least 1000 microseconds");
  if (asked.version == 1) {
    if (period) add(asked, "cpu.cfs_period_us", std::to_string(*period));
    return add(asked, "cpu.cfs_quota_us", limit_text(quota, 1));
  }
  add(asked, "cpu.max", limit_text(quota, 2) + (period ? " " + std::to_string(*period) : ""));
}

constexpr uint64_t kLeastPeriod = 1000, kMostPeriod = 1000000;

void Planner::quota(const Asked& asked) {
  claim(asked, "cpu.quota");
  const Asked* beside = other(Scale::period, "cpu.cfs_period_us");
  // On v1 the period's own step has come before.
  bandwidth(asked, amount(asked, Unit::none),
            asked.version == 2 && beside ? std::optional(number(*beside, kLeastPeriod, kMostPeriod))
                                         : std::nullopt);
}

void Planner::period(const Asked& asked) {
  claim(asked, "cpu.period");
  const uint64_t period = number(asked, kLeastPeriod, kMostPeriod);
  if (asked.version == 1) return add(asked, "cpu.cfs_period_us", std::to_string(period));
  if (other(Scale::quota, "cpu.cfs_quota_us")) return;  // written together, as v2 has it
  const std::string held = now(asked, "cpu.max").value_or("max");
  add(asked, "cpu.max", held.substr(0, held.find(' ')) + " " + std::to_string(period));
}

void Planner::cpu_max(const Asked& asked) {
  claim(asked, "cpu.quota");
  claim(asked, "cpu.period");
  const std::string line = only_line(asked);
  const size_t blank = line.find(' ');
  const auto quota = parse_amount(line.substr(0, blank), Unit::none);
  std::optional<uint64_t> period;
  if (blank != std::string::npos) {
    const auto given = parse_amount(line.substr(blank + 1), Unit::none);
    period = given && !given->unlimited ? given->number : 0;
  }
  if (!quota || (period && (*period < kLeastPeriod || *period > kMostPeriod)))
    fail(asked, "'" + line + "' is no bandwidth; write 'QUOTA PERIOD' in microseconds, or 'max'");
  bandwidth(asked, *quota, period);
}

void Planner::cpus(const Asked& asked) {
  claim(asked, "cpu.quota");
  claim(asked, "cpu.period");
  double cpus = -1;
  if (const auto* given = std::get_if<double>(asked.value)) {
    cpus = *given;
  } else if (const auto* text = std::get_if<std::string>(asked.value)) {
    if (const auto limit = parse_amount(*text, Unit::none); limit && limit->unlimited)
      return bandwidth(asked, *limit, 100000);
    const char* const end = text->data() + text->size();
    const auto read = std::from_chars(text->data(), end, cpus, std::chars_format::fixed);
    const std::string_view unit(read.ptr, static_cast<size_t>(end - read.ptr));
    if (read.ec != std::errc() || (!unit.empty() && unit != "%")) cpus = -2;
    if (unit == "%") cpus /= 100;
  }
  if (cpus == -1) return bandwidth(asked, {0, true}, 100000);
  if (!(cpus >= 0.001 && cpus <= 1e6))
    fail(asked,
         shown(*asked.value) + " is no number of CPUs; write 0.2, 1.5 or '20%', at least 0.001, or 'max'");
  // The kernel takes no quota below a millisecond; a longer period gives less than a hundredth of a CPU.
  const uint64_t period = cpus < 0.01 ? 1000000 : 100000;
  bandwidth(asked, {static_cast<uint64_t>(std::llround(cpus * static_cast<double>(period))), false}, period);
}

/// The limit that swap is added to or taken from.
Amount Planner::memory_limit(const Asked& asked, const std::string& purpose) {
  if (const Asked* memory = other(Scale::bytes, "memory.limit_in_bytes")) return amount(*memory, Unit::bytes);
  const std::string file = asked.version == 1 ? "memory.limit_in_bytes" : "memory.max";
  const auto limit = parse_amount(now(asked, file).value_or("max"), Unit::none);
  if (limit && !limit->unlimited) return *limit;
  fail(asked, purpose);
}

void Planner::memsw(const Asked& asked) {
  claim(asked, "swap");
  const Amount sum = amount(asked, Unit::bytes);
  if (sum.unlimited)
    return add(asked, asked.version == 1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max",
               limit_text(sum, asked.version), true);
  const Amount memory = memory_limit(
      asked, "limits memory and swap together: limit memory too ('memory'), or swap alone ('swap')");
  if (memory.unlimited || sum.number < memory.number)
    fail(asked,
         shown(*asked.value) + " is less than the limit of memory alone; it is memory and swap together");
  if (asked.version == 1) return add(asked, "memory.memsw.limit_in_bytes", limit_text(sum, 1), true);
  add(asked, "memory.swap.max", std::to_string(sum.number - memory.number), true);
}

void Planner::swap(const Asked& asked) {
  claim(asked, "swap");
  const Amount swap = amount(asked, Unit::bytes);
  if (asked.version == 2) return add(asked, "memory.swap.max", limit_text(swap, 2), true);
  if (swap.unlimited) return add(asked, "memory.memsw.limit_in_bytes", "-1", true);
  const Amount memory =
      memory_limit(asked, "cgroup v1 can only limit swap together with memory: limit memory too ('memory')");
  if (memory.unlimited)
    fail(asked, "cgroup v1 can only limit swap together with memory, and that is unlimited");
  add(asked, "memory.memsw.limit_in_bytes", limit_text(amount_of(memory.number + swap.number), 1), true);
}

void Planner::swappiness(const Asked& asked) {
  const uint64_t given = number(asked, 0, 200);
  if (asked.version == 1) {
    claim(asked, "swappiness");
    return add(asked, "memory.swappiness", std::to_string(given));
  }
  if (given != 0)
    throw Error("cgroup key", asked.name, EOPNOTSUPP,
                "cgroup v2 has no swappiness of its own for a cgroup; limit its swap ('swap'), 0 for none");
  claim(asked, "swap");
  add(asked, "memory.swap.max", "0", true);
}

void Planner::rate(const Asked& asked, const std::string& device, std::string_view parameter,
                   std::string_view value) {
  const std::string target = "io.max " + std::string(parameter);
  const auto keys = cgroup_table();
  const auto row = std::find_if(keys.begin(), keys.end(), [&](const Key& key) { return key.v2 == target; });
  const auto rate = parse_amount(value, parameter.ends_with("bps") ? Unit::bytes : Unit::none);
  if (row == keys.end() || !rate)
    fail(asked, "'" + std::string(value) +
                    "' is no rate; write 'MAJOR:MINOR amount', as '8:0 1MB', and for io.max "
                    "'MAJOR:MINOR rbps=1MB wiops=100'");
  std::string line = device;
  line += ' ';
  claim(asked, line + target);
  if (asked.version == 1)  // 0 takes the rule away
    return add(asked, std::string(row->v1), line + (rate->unlimited ? "0" : std::to_string(rate->number)));
  line.append(parameter).append("=").append(limit_text(*rate, 2));
  add(asked, "io.max", std::move(line));
}

void Planner::throttle(const Asked& asked) {
  const std::string_view parameter = asked.key->v2.substr(asked.key->v2.find(' ') + 1);
  for (const auto& line : lines(asked)) {
    const size_t blank = std::min(line.find(' '), line.size());
    rate(asked, device_number(asked, line.substr(0, blank)), parameter, line.substr(blank));
  }
}

void Planner::io_max(const Asked& asked) {
  for (const auto& line : lines(asked)) {
    std::string device;
    size_t rates = 0;
    each_word(line, [&](std::string_view word) {
      if (device.empty()) {
        device = device_number(asked, word);
        return;
      }
      const size_t equals = std::min(word.find('='), word.size());
      rate(asked, device, word.substr(0, equals), word.substr(std::min(equals + 1, word.size())));
      ++rates;
    });
    if (rates == 0) rate(asked, device, "", line);
  }
}

void Planner::devices(const Asked& asked) {
  const bool whole = asked.key->scale == Scale::devices;
  claim(asked, whole ? "devices" : std::string(asked.key->v1));
  const bool as_program = asked.version == 2;
  if (whole && !as_program) add(asked, "devices.deny", "a");
  std::string program;
  for (const auto& rule : lines(asked)) {
    if (!is_device_rule(rule) || (whole && rule == "a"))
      fail(asked,
           "'" + rule + "' is no device rule; write 'c 1:3 rwm': c or b, MAJOR:MINOR or *, some of rwm");
    program += rule + "\n";
    if (!as_program) add(asked, whole ? "devices.allow" : std::string(asked.key->v1), rule);
  }
  if (as_program) add(asked, kDeviceProgram, program);
}

// ---- reading

class Reading {
 public:
  Reading(Asked asked, const CgroupReader& now) : asked_(std::move(asked)), now_(now) {}
  std::string text() const;

 private:
  std::string file(const std::string& name) const {
    const auto text = now_(std::string(asked_.key->controller), name);
    if (!text)
      throw Error("read cgroup key", asked_.name, ENOENT,
                  "the cgroup has no part in that hierarchy; write a key of it first");
    return std::string(trimmed(*text));
  }
  Amount limit(const std::string& name) const {
    return parse_amount(file(name), Unit::none).value_or(Amount{0, true});
  }
  std::string in_form(Amount limit) const { return limit_text(limit, asked_.form == Form::v1 ? 1 : 2); }
  std::string frozen() const;
  std::string weight() const;
  std::string io_weight() const;
  std::string bandwidth() const;
  std::string swap() const;
  std::string throttle() const;

  const Asked asked_;
  const CgroupReader& now_;
};

std::string Reading::text() const {
  const bool old = asked_.version == 1;
  switch (asked_.key->scale) {
    case Scale::bytes:
      return in_form(limit(file_of(asked_)));
    case Scale::cpu_weight:
      return weight();
    case Scale::io_weight:
      return io_weight();
    case Scale::quota:
    case Scale::period:
    case Scale::cpu_max:
    case Scale::cpus:
      return bandwidth();
    case Scale::memsw:
    case Scale::swap:
      return swap();
    case Scale::swappiness:
      if (old) return file("memory.swappiness");
      break;
    case Scale::throttle:
      return throttle();
    case Scale::io_max:
      if (!old) return file("io.max");
      break;
    case Scale::devices:
      if (old) return file("devices.list");
      throw Error("read cgroup key", asked_.name, EOPNOTSUPP, "an eBPF program can't be read back as rules");
    case Scale::frozen:
      return frozen();
    default:
      return file(file_of(asked_));
  }
  throw Error("read cgroup key", asked_.name, EOPNOTSUPP,
              old ? "cgroup v1 has blkio.throttle.read_bps_device and its like" : "cgroup v2 has 'swap'");
}

std::string Reading::frozen() const {
  std::string state = file(file_of(asked_));
  if (asked_.form == (asked_.version == 1 ? Form::v1 : Form::v2)) return state;
  const bool frozen = state == "FROZEN" || state == "1";
  if (asked_.form == Form::v2) return frozen ? "1" : "0";
  if (asked_.form == Form::v1) return frozen ? "FROZEN" : "THAWED";
  return frozen ? "frozen" : "thawed";
}

std::string Reading::weight() const {
  const bool old = asked_.version == 1;
  std::string text = file(old ? "cpu.shares" : "cpu.weight");
  if (old == (asked_.form == Form::v1)) return text;
  const auto number = static_cast<unsigned>(parse_amount(text, Unit::none).value_or(Amount{}).number);
  return std::to_string(old ? cpu_weight_of_shares(number) : cpu_shares_of_weight(number));
}

std::string Reading::io_weight() const {
  const bool devices = asked_.key->v1 == "blkio.weight_device";
  if (asked_.version == 2 && asked_.form != Form::v1) return file("io.weight");
  if (asked_.version == 1 && asked_.form == Form::v1) return file(std::string(asked_.key->v1));
  if (devices) throw Error("read cgroup key", asked_.name, EOPNOTSUPP, "cgroup v2 has io.weight");
  std::string text = file(asked_.version == 1 ? "blkio.weight" : "io.weight");
  text = text.substr(0, text.find('\n'));
  if (text.starts_with("default ")) text = text.substr(8);
  const uint64_t number = parse_amount(text, Unit::none).value_or(Amount{10}).number;
  return std::to_string(asked_.version == 1 ? io_weight_of_blkio(number) : blkio_weight_of_io(number));
}

std::string Reading::bandwidth() const {
  Amount quota;
  std::string period;
  if (asked_.version == 1) {
    quota = limit("cpu.cfs_quota_us");
    period = file("cpu.cfs_period_us");
  } else {
    const std::string both = file("cpu.max");
    quota = parse_amount(both.substr(0, both.find(' ')), Unit::none).value_or(Amount{0, true});
    period = both.substr(both.find(' ') + 1);
  }
  switch (asked_.key->scale) {
    case Scale::period:
      return period;
    case Scale::quota:
      return in_form(quota);
    case Scale::cpu_max:
      return limit_text(quota, 2) + " " + period;
    default:
      break;
  }
  if (quota.unlimited) return "max";
  return number_text(static_cast<double>(quota.number) /
                     static_cast<double>(parse_amount(period, Unit::none).value_or(Amount{100000}).number));
}

std::string Reading::swap() const {
  const bool sum = asked_.key->scale == Scale::memsw;
  const bool old = asked_.version == 1;
  const Amount held = limit(old ? "memory.memsw.limit_in_bytes" : "memory.swap.max");
  if (held.unlimited || sum == old) return in_form(held);
  const Amount memory = limit(old ? "memory.limit_in_bytes" : "memory.max");
  if (memory.unlimited) return in_form(memory);
  return in_form(
      {old ? held.number - std::min(held.number, memory.number) : held.number + memory.number, false});
}

std::string Reading::throttle() const {
  if (asked_.version == 1) return file(std::string(asked_.key->v1));
  const std::string parameter = std::string(asked_.key->v2.substr(asked_.key->v2.find(' '))) + "=";
  const std::string all = file("io.max") + "\n";
  std::string found;
  for (size_t start = 0, end; (end = all.find('\n', start)) != std::string::npos; start = end + 1) {
    const std::string line = all.substr(start, end - start);
    const size_t at = line.find(parameter);
    if (at == std::string::npos) continue;
    const std::string rate =
        line.substr(at + parameter.size(), line.find(' ', at + 1) - at - parameter.size());
    if (rate != "max") found += (found.empty() ? "" : "\n") + line.substr(0, line.find(' ')) + " " + rate;
  }
  return found;
}

}  // namespace

std::vector<CgroupStep> plan_cgroup(const CgroupHost& host, const CgroupValues& values,
                                    const CgroupReader& now) {
  return Planner(host, values, now).plan();
}

std::string read_cgroup_key(const CgroupHost& host, const std::string& key, const CgroupReader& now) {
  Asked asked = locate(host, key);
  if (asked.key->access == CgroupAccess::write_only) fail(asked, "can only be written");
  return Reading(std::move(asked), now).text();
}

std::vector<CgroupKey> cgroup_keys() {
  std::vector<CgroupKey> list;
  for (const auto& row : cgroup_table()) {
    CgroupKey key{std::string(row.controller), std::string(row.v1), std::string(row.v2), {}, "",
                  std::string(row.note)};
    each_word(row.words, [&](std::string_view word) { key.words.emplace_back(word); });
    switch (row.access) {
      case CgroupAccess::read_write:
        key.access = "read write";
        break;
      case CgroupAccess::read_only:
        key.access = "read";
        break;
      case CgroupAccess::write_only:
        key.access = "write";
        break;
      case CgroupAccess::top:
        key.access = "none";
    }
    list.push_back(std::move(key));
  }
  return list;
}

unsigned cpu_weight_of_shares(unsigned shares) {
  const double l = std::log2(std::clamp(shares, 2U, 262144U));
  const double weight = std::pow(10, (l * l + 125 * l) / 612 - 7.0 / 34);
  return rounded(std::ceil(weight - 1e-6), 1,
                 10000);  // the three fixed points are exact but for the last bits
}

unsigned cpu_shares_of_weight(unsigned weight) {
  const double e = std::log10(std::clamp(weight, 1U, 10000U)) + 7.0 / 34;
  const double l = (std::sqrt(125.0 * 125.0 + 4 * 612 * e) - 125) / 2;
  return rounded(std::floor(std::pow(2, l) + 1e-6), 2, 262144);
}

}  // namespace luabox
