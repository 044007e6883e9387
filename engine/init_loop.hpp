// What an init does once its program runs, the same in luabox's own process image and in the program that
// takes its place (engine/init.hpp): bare system calls, no C library.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstddef>

#include "engine/bare_call.hpp"

namespace luabox {

#if defined(__x86_64__)
constexpr unsigned kLoopArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kLoopArchitecture = AUDIT_ARCH_AARCH64;
#endif

/// What serve_as_init calls; anything else is EPERM. A jump over n instructions has n in it.
constexpr sock_filter kLoopFilter[] = {
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)},
    {BPF_JMP | BPF_JEQ | BPF_K, 0, 5, kLoopArchitecture},
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
    {BPF_JMP | BPF_JEQ | BPF_K, 4, 0, SYS_rt_sigtimedwait},
    {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, SYS_wait4},
    {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, SYS_kill},
    {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_exit_group},
    {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
    {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
};

/// The filter of the program's own is not an init's: a program that may trace its init (CAP_SYS_PTRACE) would
/// have it do what the filter refuses. False, and without effect, where no_new_privs is not set: the program
/// has no filter then, either.
[[gnu::always_inline]] inline bool refuse_all_but_the_loop() {
  const sock_fprog filter = {sizeof kLoopFilter / sizeof *kLoopFilter, const_cast<sock_filter*>(kLoopFilter)};
  return bare::call(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, bare::address(&filter)) == 0;
}

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

/// Lets a `program` go on that waits in wait_for_release. By a signal: an init may send one behind its
/// filter, and needs no descriptor for it.
constexpr int kRelease = SIGUSR1;

[[gnu::always_inline]] inline void release(long program) { bare::call(SYS_kill, program, kRelease); }

/// In the program's process, in which all signals are blocked.
[[gnu::always_inline]] inline void wait_for_release() {
  const unsigned long one = 1UL << (kRelease - 1);
  while (bare::call(SYS_rt_sigtimedwait, bare::address(&one), 0, 0, sizeof one) != kRelease) {
  }
}

/// Passes every signal on to `program`, reaps orphans, and ends with its status. All signals are blocked:
/// those that came before wait for it.
[[noreturn, gnu::always_inline]] inline void serve_as_init(long program) {
  const unsigned long all = ~0UL;
  for (;;) serve(program, bare::call(SYS_rt_sigtimedwait, bare::address(&all), 0, 0, sizeof all));
}

}  // namespace luabox
