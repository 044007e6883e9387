// A cgroup's directory and all below it: which processes are in it, their end, its removal. See cgroups(7).
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/fd.hpp"

namespace luabox::cgroups {

constexpr std::chrono::milliseconds kStopTimeout{10000};
constexpr std::chrono::milliseconds kExitTimeout{500};  // for processes that are exiting
constexpr std::chrono::milliseconds kDestructorTimeout{50};

/// Waits a little longer each time, until a deadline: exits, freezes and removals are asynchronous in the
/// kernel.
class Patience {
 public:
  explicit Patience(std::chrono::milliseconds limit) : deadline_(std::chrono::steady_clock::now() + limit) {}
  /// False, at once, when the time is up.
  bool wait() {
    if (std::chrono::steady_clock::now() >= deadline_) return false;
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(pause_ * 2, std::chrono::microseconds(10000));
    return true;
  }

 private:
  std::chrono::steady_clock::time_point deadline_;
  std::chrono::microseconds pause_{50};
};

std::vector<std::string> sub_directories(const Fd& directory);

/// Of all the cgroups at `paths` and below them; 0 stands for those that have no number in this pid
/// namespace.
std::set<pid_t> processes_below(const std::vector<std::string>& paths);

/// Kills all that is in the cgroups at `paths`, which are spent after it: nothing may be born in them any
/// more. Throws EDEADLK when the calling process is one of them, ETIMEDOUT when some are left.
void kill_all(const std::vector<std::string>& paths);

/// Removes the cgroup and those below it, waiting for processes that are exiting. Throws EBUSY when some are
/// left; what is gone already is no error.
void remove_tree(const std::string& path, std::chrono::milliseconds limit);

}  // namespace luabox::cgroups
