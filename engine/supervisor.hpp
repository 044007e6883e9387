// Standing between a caller and a container: signals in, terminal bytes both ways, until the process ends.
#pragma once

#include <vector>

#include "engine/fd.hpp"
#include "engine/process.hpp"

namespace luabox {

/// Blocks the signals that a supervisor passes on (HUP INT QUIT TERM USR1 USR2 WINCH CONT), from before the
/// container is made until this goes: one that comes while it is set up is passed on as soon as it runs. A
/// process to exec gets an empty mask back (engine/exec.hpp). A HUP that is ignored (nohup(1)) stays so.
class ForwardedSignals {
 public:
  ForwardedSignals();
  ForwardedSignals(ForwardedSignals&& other) noexcept;
  ForwardedSignals& operator=(ForwardedSignals&&) = delete;
  ~ForwardedSignals();
  /// Readable when a signal waits (signalfd(2)).
  int get() const { return fd_.get(); }
  /// The next one that waits, taken; 0 where none does.
  int take() const;
  /// Takes back what is pending, so that a process that ends does not die of it. True when one of INT, TERM,
  /// HUP, QUIT was.
  bool pending() const;

 private:
  Fd fd_;
  sigset_t before_;
  bool owner_ = true;
};

/// Passes signals on to all of `processes` until all have ended. With `terminal` (a pty's master, or -1)
/// bytes are carried between it and descriptors 0 and 1, SIGWINCH sets its size, and what it still holds at
/// the end is written out, unless an ending signal comes while nobody reads it. Descriptor 0 is put into raw
/// mode where it is a terminal, and restored; as a shell's background job it is left alone until the job
/// comes to the foreground. With `patience`, in seconds, at most that long; false when they still run.
bool supervise(const std::vector<Process*>& processes, const ForwardedSignals& signals, int terminal,
               double patience = -1);

}  // namespace luabox
