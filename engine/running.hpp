// A process that somebody else started, held so that it can't be mistaken for another.
//
// A pid alone is reused. Running opens a pidfd and then compares the start time that was written down with
// the pid: both of the same process, or nothing (ESRCH). What is read by the pid afterwards, its namespaces
// and its root, counts only if the process still lives when it has been read. /proc must be the host's own:
// no container's is ever asked. See pidfd_open(2), proc(5) (stat, field 22), setns(2).
#pragma once

#include <sys/resource.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/fd.hpp"
#include "engine/root.hpp"

namespace luabox {

/// When process `pid` started, in clock ticks after boot. Throws ESRCH when there is none.
std::string start_time(int pid);

class Running {
 public:
  /// Throws ESRCH when it has ended, also when another has its pid now.
  static Running find(int pid, const std::string& started);

  int pid() const { return pid_; }
  /// Owned by this object.
  int pidfd() const { return pidfd_.get(); }
  bool alive() const;
  /// Waits until it has ended, at most `timeout` seconds (negative: for ever). False when the time is over.
  bool wait_for_end(double timeout) const;
  /// pidfd_send_signal(2). False when it has ended.
  bool kill(int signal) const;

  /// Those of its namespaces that are not this process's, in the order in which to enter them: user first.
  std::vector<std::pair<std::string, Fd>> foreign_namespaces() const;
  /// Its "/".
  Root root() const;

  /// Gives this process its resource limits, nice value and oom_score_adj. raise_limits() reads them all and
  /// makes room for the hard ones, while this process still has the right to; adopt_limits() sets them, when
  /// nothing is left to be opened. They are the process's own values: one that changed them since decides for
  /// what joins it. An ordinary user who may not raise one of his own keeps it: it is the narrower.
  void raise_limits();
  void adopt_limits() const;

 private:
  Running(int pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  /// Throws ESRCH: what was read by the pid may have been another's.
  void still_there() const;

  int pid_;
  Fd pidfd_;
  std::vector<rlimit64> limits_;
};

}  // namespace luabox
