// The values of cgroup keys: what a script writes, checked, and as the kernel's files have it. What is wrong
// with a value is EINVAL, of its key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/cgroup_names.hpp"

namespace luabox::cgroups {

/// A limit: a number, or none.
struct Amount {
  uint64_t number = 0;
  bool unlimited = false;
};

/// A number that the kernel writes for "no limit" is none.
Amount amount_of(uint64_t number);

enum class Unit { none, bytes };

/// "max", "64MiB", "100"; nothing for what is no amount.
std::optional<Amount> parse_amount(std::string_view text, Unit unit);

Amount amount(const Asked& asked, Unit unit);
uint64_t number(const Asked& asked, uint64_t least, uint64_t most);

/// As a file of that version of cgroups has it: "-1" or "max" for none.
std::string limit_text(Amount limit, int version);

/// "0.2", "100000".
std::string number_text(double number);
/// As a script wrote it, for messages.
std::string shown(const CgroupValue& value);
std::string_view trimmed(std::string_view text);

/// The lines of a value; a control file takes one with each write.
std::vector<std::string> lines(const Asked& asked);
std::string only_line(const Asked& asked);

/// "8:0", or the path of a block device.
std::string device_number(const Asked& asked, std::string_view device);
/// "c 1:3 rwm", "b *:* r", "a". See Documentation/admin-guide/cgroup-v1/devices.rst.
bool is_device_rule(std::string_view rule);

bool wants_frozen(const Asked& asked);
bool wants_on(const Asked& asked);

/// From 10..1000 to 1..10000 and back, as runc and crun do.
uint64_t io_weight_of_blkio(uint64_t weight);
uint64_t blkio_weight_of_io(uint64_t weight);

}  // namespace luabox::cgroups
