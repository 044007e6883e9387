// Capabilities: root's power in pieces.
//
// A process has five sets of them, see capabilities(7). To become an unprivileged user with less power, in
// this order:
//
//   set_ids({..., .keep_capabilities = true})   (engine/user.hpp) the permitted set survives the change of
//   ids apply(sets_for(uid, granted))               bounding, permitted, effective, inheritable, ambient;
//   read back
//
// The securebits stay as they are; set_ids alone sets PR_SET_KEEPCAPS, which the kernel clears at the next
// execve. Everything here concerns the calling thread.
#pragma once

#include <linux/capability.h>
#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace luabox {

/// A set of capabilities by number, CAP_CHOWN = 0.
class CapabilitySet {
 public:
  constexpr CapabilitySet() = default;
  constexpr CapabilitySet(std::initializer_list<int> capabilities) {
    for (const int capability : capabilities) bits_ |= uint64_t{1} << static_cast<unsigned>(capability);
  }
  static constexpr CapabilitySet of_bits(uint64_t bits) {
    CapabilitySet set;
    set.bits_ = bits;
    return set;
  }

  /// From names, in any case, with or without "CAP_"; "all" is every one that this kernel has. Throws Error
  /// (EINVAL) that names the nearest for an unknown one.
  static CapabilitySet of(const std::vector<std::string>& names);

  constexpr uint64_t bits() const { return bits_; }
  constexpr bool has(int capability) const { return (bits_ >> static_cast<unsigned>(capability) & 1U) != 0; }
  constexpr bool within(CapabilitySet other) const { return (bits_ & ~other.bits_) == 0; }
  constexpr bool operator==(const CapabilitySet&) const = default;
  constexpr CapabilitySet operator&(CapabilitySet other) const { return of_bits(bits_ & other.bits_); }
  constexpr CapabilitySet operator-(CapabilitySet other) const { return of_bits(bits_ & ~other.bits_); }

  /// "chown", "net_admin", ...: lower case, by number; "cap_63" for one newer than this table.
  std::vector<std::string> names() const;

 private:
  uint64_t bits_ = 0;
};

struct CapabilitySets {
  CapabilitySet effective, permitted, inheritable, bounding, ambient;
  constexpr bool operator==(const CapabilitySets&) const = default;
};

/// What a container is granted that asks for nothing: docker's set without mknod, net_raw and audit_write.
inline constexpr CapabilitySet kDefaultCapabilities = {
    CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_FOWNER,  CAP_FSETID, CAP_KILL,      CAP_NET_BIND_SERVICE,
    CAP_SETFCAP, CAP_SETGID,       CAP_SETPCAP, CAP_SETUID, CAP_SYS_CHROOT};

/// The highest capability of this kernel, which may be newer than the names known here. Needs no /proc.
int last_capability();

/// The calling thread's sets.
CapabilitySets current_capabilities();

/// The sets of a user who is granted `granted`. Root has them permitted and effective. Anyone else has them
/// only as a bound for programs with file capabilities, and holds just those in `ambient`, which survive
/// execve. Inheritable is empty but for `ambient`: a file's inheritable set then gives nothing
/// (CVE-2022-24769).
CapabilitySets sets_for(uid_t uid, CapabilitySet granted, CapabilitySet ambient = {});

/// Drops from the bounding set whatever is not in `keep`, also what this table has no name for. Cannot be
/// undone.
void limit_bounding(CapabilitySet keep);

/// Drops from the bounding set, sets the others, the ambient ones last, and reads all of them back: on return
/// the thread has exactly `sets` (of the bounding set: at most that, for it never grows). Throws Error:
/// EINVAL for a combination that the kernel would refuse, EPERM for a capability that the thread doesn't
/// have. After an error some may have been dropped; none was gained.
void apply(const CapabilitySets& sets);

}  // namespace luabox
