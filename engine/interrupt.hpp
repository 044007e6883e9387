// Ctrl-C as an answer instead of an end: for a prompt that must survive what is typed at it.
//
// While an Interrupts lives, SIGINT, SIGTERM and SIGHUP do not end the process; they are remembered, and
// waits of the engine (a process, a sleep) fail with EINTR. System calls are restarted (SA_RESTART), so that
// nothing else fails half way. See sigaction(2).
#pragma once

#include <csignal>

namespace luabox {

class Interrupts {
 public:
  /// `on_signal` is called in the signal handler, and may do what signal-safety(7) allows.
  explicit Interrupts(void (*on_signal)(int signal));
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  Interrupts(Interrupts&& other) noexcept;
  Interrupts& operator=(Interrupts&&) = delete;
  ~Interrupts();

 private:
  struct sigaction before_[3] = {};
  bool owner_ = true;
};

/// The signal that came since forget_interrupts(), 0 when none did.
int interrupted();
/// How many came.
int interrupts();
/// Whether check_interrupt() has thrown for one of them.
bool interrupt_was_thrown();
void forget_interrupts();

/// After a wait that a signal cut short: throws Error{`op`, EINTR} when it is to end, returns when it is to
/// go on.
void check_interrupt(const char* op);

}  // namespace luabox
