// A child process as a value.
//
// clone() makes a child that is a copy of this process, or shares its memory until its exec, in new
// namespaces. The child stops at once until the parent has attached what it needs (id maps, network, ...) and
// calls release(); it then runs its body, which ends in exec() or by raising. What it raises, release()
// throws here: the parent learns the step, the object and the errno, not merely that it failed.
//
// Neither side hangs or outlives the other: the child of a parent that died ends (PR_SET_PDEATHSIG, and end
// of file before the release), a child that died is end of file for the parent, and a Process that goes out
// of scope unwaited is killed and reaped.
//
// The process must have one thread: a lock that another thread holds during clone stays locked in the child
// for ever. See clone(2), pidfd_open(2), prctl(2), waitid(2).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/channel.hpp"
#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/namespaces.hpp"

namespace luabox {

/// How a process ended. `code` is the exit status, `signal` the signal that ended it; one of the two is
/// meant.
struct ExitStatus {
  int code = 0;
  int signal = 0;
  /// As a shell tells it: the exit status, or 128 + the signal.
  int shell() const { return signal != 0 ? 128 + signal : code; }
};

/// What a child raised, with everything it told: op, object, code, hint, and what the child added (message,
/// where, traceback).
class ChildError : public Error {
 public:
  explicit ChildError(std::map<std::string, std::string> fields);
  const std::map<std::string, std::string>& fields() const { return fields_; }

 private:
  std::map<std::string, std::string> fields_;
};

struct CloneOptions {
  Namespaces namespaces;
  /// v1: open `tasks` files that the child joins by itself before anything else; borrowed.
  std::vector<int> cgroup_tasks;
  /// v2: the directory that the child is born in (CLONE_INTO_CGROUP); -1 for none; borrowed.
  int cgroup_directory = -1;
  /// There is nothing to attach: the child need not wait for release(), which then only waits for its exec.
  bool released = false;
  /// The child may share this process's memory, which stands still until the child has executed a program or
  /// ended (engine/vfork.hpp). For a `body` that leaves memory as it found it: what it changes is changed
  /// here, too, and what it allocates stays allocated. Only with `released`, and without a user namespace.
  bool vfork = false;
  /// The network namespace that the child is born in, where `namespaces` wants one: what take_network() gave
  /// (engine/network_ahead.hpp). -1: a new one. Borrowed.
  int network = -1;
};

class Process {
 public:
  /// In the child `body` runs after the release; it must not return (the child ends with 125 if it does).
  /// `body` may throw Error. The id maps of a new user namespace can be written until the release, by an
  /// ordinary user too.
  static Process clone(const CloneOptions& options, const std::function<void(Channel&)>& body);

  /// A child of this process from before its exec (engine/monitor.hpp).
  static Process adopt(int pid, Fd pidfd);

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) = delete;
  ~Process();

  /// As this process's pid namespace numbers it.
  int pid() const { return pid_; }
  /// Readable when the process has ended; owned by this object.
  int pidfd() const { return pidfd_.get(); }

  /// Lets the child go on, and waits until it has exec'd. Throws ChildError with what it raised, or Error
  /// when it died first (object: "signal 9"); the child is then reaped.
  void release();
  /// release() in two: let it go, and wait until it has exec'd; between them the parent can work beside the
  /// child. settle() may be called again; before go(), which it
  /// would wait for, it throws EINVAL.
  void go();
  void settle();
  /// The next descriptor or text that the child sent by its channel before it exec'd. Nothing when there is
  /// none.
  std::optional<Message> next_message();

  /// Waits for the end; `timeout` in seconds, negative for ever. Nothing when the time is over. After it, the
  /// same status again.
  std::optional<ExitStatus> wait(double timeout = -1);
  /// Whether a wait has told so.
  bool known_to_have_ended() const { return ended_.has_value(); }
  /// Leaves it alone when this object goes: it has said itself that it stays (ExecOptions::until).
  void detach() { detached_ = true; }
  /// pidfd_send_signal(2): never reaches another process that got the number. False when the process has
  /// ended. EPERM in a child of a clone: what its parent made is not its own to signal.
  bool kill(int signal) const;

 private:
  Process(int pid, Fd pidfd, Channel channel);
  ExitStatus reap();

  int pid_;
  const Channel* maker_;  ///< parent_channel() of the process that made it
  Fd pidfd_;
  Channel channel_;
  bool released_ = false, about_to_exec_ = false, detached_ = false;
  std::vector<Message> messages_;
  std::optional<ExitStatus> ended_;
};

/// In the child of a clone: the end that leads to the parent, nullptr elsewhere.
Channel* parent_channel();

/// In the child of a clone: whether what it writes to memory is its parent's.
bool shares_memory();

/// In the child of a clone: it is killed when the parent dies, or ends now if the parent is dead; elsewhere
/// nothing. The kernel forgets this whenever a process's ids or capabilities change (prctl(2),
/// PR_SET_PDEATHSIG), so exec() does it again.
void die_with_parent();

}  // namespace luabox
