// What a process is limited to, and how it ranks: rlimits, niceness, the out-of-memory score and their like.
//
// Everything here concerns the calling process and is inherited by its children and by what it executes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace luabox {

/// A bound in the resource's own unit (bytes, seconds, a number of things); nothing means unlimited.
using Bound = std::optional<uint64_t>;

struct Rlimit {
  Bound soft, hard;
  bool operator==(const Rlimit&) const = default;
};

/// A resource of getrlimit(2) by its word: "nofile", "nproc", "memlock", "core", "cpu", "fsize", "stack",
/// "as", ... Throws Error (EINVAL) that names the nearest for an unknown one.
int resource_of(const std::string& word);

/// "unlimited" or a whole number. Throws Error (EINVAL).
Bound parse_bound(const std::string& text);

Rlimit rlimit_of(const std::string& word);

/// Throws Error: EINVAL where soft exceeds hard, EPERM for raising the hard bound without sys_resource.
void set_rlimit(const std::string& word, const Rlimit& limit);

/// -20 (first) to 19 (last).
void set_nice(int level);
int nice_level();

/// -1000 (never killed) to 1000 (first). Lowering it takes sys_resource. Written to a verified /proc.
void set_oom_score_adj(int score);

/// Sets the mask of modes that new files don't get; returns the old one.
unsigned set_umask(unsigned mask);
/// "022": octal, as chmod(1) takes it. Throws Error (EINVAL).
unsigned parse_mask(const std::string& text);

/// "linux", "linux32" (uname tells a 32-bit machine), each with "uname26" after a space, and "no_randomize"
/// (addresses are laid out alike each time). Throws Error (EINVAL).
void set_personality(const std::string& words);

enum class Policy { normal, batch, idle, fifo, round_robin };

struct Scheduling {
  Policy policy = Policy::normal;
  int priority = 0;  ///< 1 to 99 for fifo and round_robin, else 0
};
void set_scheduling(const Scheduling& scheduling);

/// The processors to run on, by number. Throws Error: EINVAL for an empty list or one that this machine has
/// none of.
void set_affinity(const std::vector<unsigned>& processors);

enum class IoClass { none, realtime, best_effort, idle };

struct IoPriority {
  IoClass io_class = IoClass::best_effort;
  int level = 4;  ///< 0 (first) to 7, for realtime and best_effort
};
void set_io_priority(const IoPriority& priority);

}  // namespace luabox
