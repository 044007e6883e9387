// What a cgroup key holds: engine/cgroup_keys.hpp.
#include <algorithm>
#include <utility>

#include "engine/cgroup_values.hpp"
#include "engine/error.hpp"

namespace luabox {
namespace {

using namespace cgroups;
using Scale = CgroupScale;

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

std::string read_cgroup_key(const CgroupHost& host, const std::string& key, const CgroupReader& now) {
  Asked asked = locate(host, key);
  if (asked.key->access == CgroupAccess::write_only) fail(asked, "can only be written");
  return Reading(std::move(asked), now).text();
}

}  // namespace luabox
