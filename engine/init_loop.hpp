// What an init does once its program runs, the same in luabox's own process image and in the program that
// takes its place (engine/init.hpp): bare system calls, no C library.
#pragma once

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/bare_call.hpp"

namespace luabox {

/// What tells a process of its own fault, not of somebody's wish.
[[gnu::always_inline]] inline bool is_fault(long signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGABRT ||
         signal == SIGTRAP || signal == SIGSYS;
}

/// Reaps everything that has ended; whether `program` was among them, and how it ended.
[[gnu::always_inline]] inline bool reap(long program, int& status) {
  bool ended = false;
  int one = 0;
  for (;;) {
    const long pid = bare::call(SYS_wait4, -1, bare::address(&one), WNOHANG);
    if (pid <= 0) return ended;
    if (pid == program) ended = true, status = one;
  }
}

/// One signal of an init whose `program` runs: it is passed on, or tells that something has ended;
/// `program`'s end is this process's.
[[gnu::always_inline]] inline void serve(long program, long signal) {
  int status = 0;
  if (signal == SIGCHLD) {
    if (reap(program, status))
      bare::call(SYS_exit_group, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  } else if (signal > 0 && !is_fault(signal)) {
    bare::call(SYS_kill, program, signal);  // gone already: then SIGCHLD is next
  }
}

/// Passes every signal on to `program`, reaps orphans, and ends with its status. All signals are blocked:
/// those that came before wait for it.
[[noreturn, gnu::always_inline]] inline void serve_as_init(long program) {
  const unsigned long all = ~0UL;
  for (;;) serve(program, bare::call(SYS_rt_sigtimedwait, bare::address(&all), 0, 0, sizeof all));
}

}  // namespace luabox
