// Portable cgroup keys: one table of every control file of cgroup v1 and v2, and what a value for it means on
// this host.
//
// A key may be given by its v1 name ("memory.limit_in_bytes"), its v2 name ("memory.max") or its short name
// ("memory") on any host; the value is in the scale of the name that was used and is converted where the two
// versions differ:
//
//   memory.limit_in_bytes       memory.max        bytes; -1 is max
//   memory.memsw.limit_in_bytes memory.swap.max   memory and swap together; swap alone
//   memory.soft_limit_in_bytes  memory.low        both protect what is below them when memory is short
//
//   memory.swappiness           memory.swap.max   only 0, "don't swap", has a meaning on both
//
//   cpu.cfs_quota_us, _period_us   cpu.max        microseconds of every period
//
//   cpu.shares 2..262144        cpu.weight 1..10000
//
//       10^((l^2 + 125 l)/612 - 7/34) with l = log2(shares), rounded up: 2 is 1, 1024 is 100, 262144 is
//       10000. What runc 1.3.2 and crun 1.23 write; older ones wrote 39 for 1024.
//
//   blkio.weight 10..1000       io.weight 1..10000      1 + (weight - 10) * 9999 / 990
//   blkio.throttle.*_device     io.max            "MAJOR:MINOR amount"
//   freezer.state               cgroup.freeze
//   hugetlb.SIZE.limit_in_bytes hugetlb.SIZE.max
//
// Short names and their values: memory, memory_low (memory_reservation), memory_high, memory_min, swap (what
// may be swapped out beside the memory), swappiness, cpu (CPUs: 0.2 or "20%"), cpu_weight (weight), cpuset
// (cpus), mems, pids, io_weight, io_read_bps, io_write_bps, io_read_iops, io_write_iops, devices (rules to
// allow, all else is denied), freezer, hugetlb.2MB ...
//
// Numbers are base units. Strings carry a unit: "100MB" is 10^6, "100MiB" and the kernel's own "100M" 2^20;
// "max" and "unlimited" are -1. A key that the host can't express is EOPNOTSUPP with the reason and the
// alternative, a malformed value EINVAL: nothing is ignored. See Documentation/admin-guide/cgroup-v1/,
// cgroup-v2.rst.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/cgroup_host.hpp"

namespace luabox {

/// A list is for files that take several lines: devices, io limits, interfaces.
using CgroupValue = std::variant<bool, double, std::string, std::vector<std::string>>;
using CgroupValues = std::map<std::string, CgroupValue>;

/// In the place of a file's name: on v2 the rules of `devices`, a line each, become a program
/// (engine/device_filter.hpp).
inline constexpr const char* kDeviceProgram = "(device program)";

/// One write(2).
struct CgroupStep {
  std::string controller;  ///< as CgroupHost::find knows it
  std::string file;        ///< "memory.max"
  std::string value;       ///< "104857600"
  bool read_back = false;  ///< a limit in bytes: the file must then hold no more than `value`
  bool operator==(const CgroupStep&) const = default;
};

/// The text of a control file; nothing where the cgroup has no part in that hierarchy.
using CgroupReader =
    std::function<std::optional<std::string>(const std::string& controller, const std::string& file)>;

/// What writing `values` would write on `host`, in the order that the kernel needs. All values are checked
/// first. `now` is asked for what a value is relative to (swap to memory, a period to its quota) when
/// `values` doesn't have it.
std::vector<CgroupStep> plan_cgroup(const CgroupHost& host, const CgroupValues& values,
                                    const CgroupReader& now = {});

/// What `key` holds, in the scale of that name: "max" for no limit (v1 names: -1), CPUs for "cpu".
std::string read_cgroup_key(const CgroupHost& host, const std::string& key, const CgroupReader& now);

/// A control, by its names.
struct CgroupKey {
  std::string controller;
  std::string v1, v2;  ///< files, "" where that version has none; '*' is a size of huge pages. "io.max
                       ///< rbps" is a part of a file, which has no name of its own on v2
  std::vector<std::string> words;  ///< short names
  std::string access;              ///< "read write", "read", "write", or "none": see CgroupAccess::top
  std::string note;                ///< why one version has none, and what to use there; may be ""
};

/// The whole table.
std::vector<CgroupKey> cgroup_keys();

/// The scales of cpu.shares and cpu.weight.
unsigned cpu_weight_of_shares(unsigned shares);
unsigned cpu_shares_of_weight(unsigned weight);
/// What version 1 calls `value` of "cpu.shares" or "blkio.weight" on the scale of version 2. EINVAL for
/// another key.
unsigned v2_weight(const std::string& key, uint64_t value);

}  // namespace luabox
