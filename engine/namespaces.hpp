// Namespaces: which, made how, entered how. See namespaces(7), setns(2), unshare(2), clone3(2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fd.hpp"

namespace luabox {

/// A set of namespace types, as CLONE_NEW* flags.
class Namespaces {
 public:
  Namespaces() = default;
  explicit Namespaces(uint64_t flags) : flags_(flags) {}

  /// The words that namespaces(7) and /proc/PID/ns use: mnt (or mount), uts, ipc, pid, net, user, cgroup,
  /// time; separated by blanks. Throws Error(EINVAL) that names the wrong word and the right ones.
  static Namespaces parse(std::string_view words);
  /// Every type, in the order in which they must be entered: user first.
  static const std::vector<std::pair<std::string_view, uint64_t>>& all();

  uint64_t flags() const { return flags_; }
  bool has(uint64_t flag) const { return (flags_ & flag) != 0; }
  Namespaces without(uint64_t flag) const { return Namespaces(flags_ & ~flag); }
  std::string words() const;

 private:
  uint64_t flags_ = 0;
};

/// unshare(2): moves this process (for pid and time: its future children) into new namespaces.
void unshare(Namespaces namespaces);

/// The namespace of type `word` of process `pid`, from /proc/PID/ns.
Fd open_namespace(int pid, std::string_view word);
/// A namespace file by its path (/proc/PID/ns/net, /run/netns/NAME). Throws EINVAL when it is none.
Fd open_namespace(const std::string& path);

/// setns(2): enters the namespace behind `fd`; throws EINVAL when it is not of type `type`, where one is
/// given.
void enter_namespace(int fd, Namespaces type = Namespaces());
/// Enters several namespaces of one process at once, all or none (a pidfd; since Linux 5.8).
void enter_namespaces_of(int pid, Namespaces namespaces);

/// The clocks of this process's time_for_children namespace, before anybody has entered it: seconds added to
/// CLOCK_MONOTONIC and CLOCK_BOOTTIME. See time_namespaces(7).
struct TimeOffsets {
  double monotonic = 0;
  double boottime = 0;
};
void set_time_offsets(TimeOffsets offsets);

/// uname(2)'s nodename and domainname of the current UTS namespace; at most 64 bytes.
void set_hostname(const std::string& name);
void set_domainname(const std::string& name);

}  // namespace luabox
