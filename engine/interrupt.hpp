// Ctrl-C as an answer instead of an end: for a prompt that must survive what is typed at it.
//
// While an Interrupts lives, SIGINT, SIGTERM and SIGHUP do not end the process; they are remembered, and
// waits of the engine (a process, a pipe, a lock, a sleep) fail with EINTR. One that was held back until then
// (sigprocmask(2)) comes at once. No system call is restarted, so
// that what reads a terminal or a pipe for a script ends too: whoever makes a call that may wait goes on
// after EINTR itself, past check_interrupt() if giving up leaves nothing half done. See sigaction(2),
// signal(7). A SIGHUP that is ignored (nohup(1)) stays so.
//
// The newest that lives is the one that is told. When it goes the one before it is told again, in whatever
// order they go.
#pragma once

#include <csignal>

namespace luabox {

/// Both are called in the signal handler, and may do what signal-safety(7) allows.
struct OnInterrupt {
  void (*signal)(int signal) = nullptr;
  /// SIGALRM's handler: `seconds` after await_answer().
  void (*deadline)(int) = nullptr;
  unsigned seconds = 0;  ///< 0: no deadline
};

class Interrupts {
 public:
  explicit Interrupts(OnInterrupt what);
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  Interrupts(Interrupts&& other) noexcept;
  Interrupts& operator=(Interrupts&&) = delete;
  ~Interrupts();

  /// From now on nothing comes of them, also when this and the others are gone: what remains is the undoing,
  /// which is not to be cut short.
  void ignore();

 private:
  unsigned number_;  // 0: moved from
};

/// Gives the Lua code, or whatever else has to answer, its seconds anew. Does nothing without a deadline.
void await_answer();

/// The signal that came since forget_interrupts(), 0 when none did.
int interrupted();
/// How many came.
int interrupts();
/// Whether an Error was thrown for one of them: by check_interrupt(), or by a call that failed with EINTR.
bool interrupt_was_thrown();
void note_interrupt_thrown();
void forget_interrupts();

/// While they are held, check_interrupt() lets the first two pass: what puts away is not to be cut short.
/// Returns whether they were before.
bool hold_interrupts(bool held);
bool interrupts_are_held();

/// After a wait that a signal cut short: throws Error{`op`, EINTR} when it is to end, returns when it is to
/// go on.
void check_interrupt(const char* op);

}  // namespace luabox
