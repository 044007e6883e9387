// A process that is dumpable for a moment.
//
// The /proc files of a process that is not dumpable are root's: an ordinary user can neither write the id
// maps of a child nor his own oom_score_adj (proc(5), user_namespaces(7), newuidmap(1)). While a Dumpable
// stands this process is dumpable, and so is a child that is made meanwhile. Nothing but the user's own
// processes outside can make use of it: to those in another user namespace ptrace_may_access is closed all
// the same (ptrace(2)). Not for a process that has joined one.
#pragma once

#include <sys/prctl.h>

namespace luabox {

class Dumpable {
 public:
  explicit Dumpable(bool wanted = true) : raised_(wanted && ::prctl(PR_GET_DUMPABLE) == 0) {
    if (raised_) ::prctl(PR_SET_DUMPABLE, 1);
  }
  Dumpable(const Dumpable&) = delete;
  Dumpable& operator=(const Dumpable&) = delete;
  ~Dumpable() { end(); }
  void end() {
    if (raised_) ::prctl(PR_SET_DUMPABLE, 0);
    raised_ = false;
  }

 private:
  bool raised_;
};

}  // namespace luabox
