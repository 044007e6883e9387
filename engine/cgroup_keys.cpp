#include "engine/cgroup_keys.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "engine/cgroup_values.hpp"
#include "engine/error.hpp"

namespace luabox {
namespace {

using namespace cgroups;
using Key = CgroupRow;
using Scale = CgroupScale;

constexpr const char* kSum = "memory.memsw.limit_in_bytes";

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
  void keep_swap(const Asked& memory);
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
      add(asked, file, limit_text(amount(asked, Unit::bytes), asked.version), true);
      if (file == "memory.limit_in_bytes") keep_swap(asked);
      return;
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
        fail(asked, "'" + list + "' is no list; write '0-3' or '0,2'" +
                        (asked.name == "cpus" ? " (how much of them: cpu = 0.5)" : ""));
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

/// v1 limits swap by its sum with memory: who writes memory alone means to leave what may be swapped beside
/// it.
void Planner::keep_swap(const Asked& memory) {
  if (other(Scale::memsw, kSum) || other(Scale::swap, "")) return;
  const auto held = [&](const char* file) {
    return parse_amount(now(memory, file).value_or("max"), Unit::none);
  };
  const auto before = held("memory.limit_in_bytes"), sum = held(kSum);
  if (!before || !sum || before->unlimited || sum->unlimited) return;
  const Amount after = amount(memory, Unit::bytes);
  if (after.unlimited)
    fail(memory,
         "limits what is swapped, too, and that is limited: cgroup v1 counts both together; write swap = "
         "'max' beside it");
  const uint64_t swap = std::max(sum->number, before->number) - before->number;
  add(memory, kSum, limit_text(amount_of(after.number + swap), 1), true);
}

void Planner::memsw(const Asked& asked) {
  claim(asked, "swap");
  const Amount sum = amount(asked, Unit::bytes);
  if (sum.unlimited)
    return add(asked, asked.version == 1 ? kSum : "memory.swap.max", limit_text(sum, asked.version), true);
  const Amount memory = memory_limit(
      asked, "limits memory and swap together: limit memory too ('memory'), or swap alone ('swap')");
  if (memory.unlimited || sum.number < memory.number)
    fail(asked,
         shown(*asked.value) + " is less than the limit of memory alone; it is memory and swap together");
  if (asked.version == 1) return add(asked, kSum, limit_text(sum, 1), true);
  add(asked, "memory.swap.max", std::to_string(sum.number - memory.number), true);
}

void Planner::swap(const Asked& asked) {
  claim(asked, "swap");
  const Amount swap = amount(asked, Unit::bytes);
  if (asked.version == 2) return add(asked, "memory.swap.max", limit_text(swap, 2), true);
  if (swap.unlimited) return add(asked, kSum, "-1", true);
  const Amount memory =
      memory_limit(asked, "cgroup v1 can only limit swap together with memory: limit memory too ('memory')");
  if (memory.unlimited)
    fail(asked, "cgroup v1 can only limit swap together with memory, and that is unlimited");
  add(asked, kSum, limit_text(amount_of(memory.number + swap.number), 1), true);
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

}  // namespace

std::vector<CgroupStep> plan_cgroup(const CgroupHost& host, const CgroupValues& values,
                                    const CgroupReader& now) {
  return Planner(host, values, now).plan();
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

}  // namespace luabox
