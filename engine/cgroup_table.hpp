// The table of every control file of cgroup v1 and v2: what engine/cgroup_keys.hpp knows of each. See
// Documentation/admin-guide/cgroup-v1/, cgroup-v2.rst.
#pragma once

#include <span>
#include <string_view>

namespace luabox {

/// How a key's value is read, checked and converted.
enum class CgroupScale {
  text,        // lines that only the kernel can judge
  bytes,       // a size, or no limit
  count,       // a number, or no limit
  number,      // a number
  flag,        // 0 or 1
  list,        // "0-3,5"
  cpu_weight,  // shares | weight
  io_weight,   // [device] weight
  quota,       // microseconds | the first word of cpu.max
  period,      // microseconds | the second word of cpu.max
  cpu_max,     // both
  cpus,        // CPUs
  memsw,       // memory and swap | swap
  swap,        // swap
  swappiness,
  throttle,  // "device amount" | one parameter of io.max
  io_max,    // four files | "device rbps=amount ..."
  frozen,
  devices,  // rules; everything else is denied
  device_rule,
};

/// `top`: the file is only in the topmost cgroup, for the whole machine; in those that luabox makes it is
/// not.
enum class CgroupAccess { read_write, read_only, write_only, top };

struct CgroupRow {
  std::string_view controller;
  std::string_view v1, v2;  ///< files; empty where that version has none. '*' is a size of huge pages.
  std::string_view words;   ///< short names
  CgroupScale scale = CgroupScale::text;
  CgroupAccess access = CgroupAccess::read_write;
  std::string_view note = {};  ///< why one version has none, and what to use there
};

/// In the order of writing: a period before its quota, a limit before the sum that includes it, nodes before
/// CPUs, what denies devices before what allows them, and freezing last.
std::span<const CgroupRow> cgroup_table();

}  // namespace luabox
