#include "engine/network_ahead.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>

#include "engine/bare_call.hpp"
#include "engine/error.hpp"

namespace luabox {
namespace {

constexpr int kNone = -1;

// What the thread and this process share. `running` is the thread's id until the kernel clears it at its end
// (CLONE_CHILD_CLEARTID) and wakes who waits.
struct Shared {
  int namespace_fd = kNone;
  int32_t running = 0;
  int thread = 0;  // its id, until it is known to be gone
  int owner = 0;   // the pid; 0 in the child of a clone, which has a copy of all this but not the thread
  alignas(16) char stack[4096];
};
Shared shared;

/// The thread. It has this process's thread pointer, so it may touch nothing of the C library's: errno, stack
/// protector and the like.
[[gnu::optimize("no-stack-protector"), gnu::no_sanitize("address", "undefined")]] int make(void*) {
  const char path[] = {'/', 'p', 'r', 'o', 'c', '/', 't', 'h', 'r', 'e', 'a', 'd', '-',
                       's', 'e', 'l', 'f', '/', 'n', 's', '/', 'n', 'e', 't', 0};
  if (bare::call(SYS_unshare, CLONE_NEWNET) == 0) {
    const long opened = bare::call(SYS_openat, AT_FDCWD, bare::address(path), O_RDONLY | O_CLOEXEC);
    if (opened >= 0) shared.namespace_fd = static_cast<int>(opened);
  }
  bare::call(SYS_exit, 0);
  return 0;
}

bool ours() { return shared.owner == ::getpid(); }

}  // namespace

void make_network_ahead() {
  if (ours() && (shared.namespace_fd != kNone || __atomic_load_n(&shared.running, __ATOMIC_ACQUIRE) != 0))
    return;
  shared.namespace_fd = kNone;
  shared.owner = ::getpid();
  shared.running = 1;
  // No handler of a signal may run on the thread.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const int made = ::clone(
      make, shared.stack + sizeof shared.stack,
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID,
      nullptr, nullptr, nullptr, &shared.running);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (made < 0) shared.running = 0;
  shared.thread = made < 0 ? 0 : made;
}

void settle_network() {
  if (!ours()) return;
  while (const int32_t running = __atomic_load_n(&shared.running, __ATOMIC_ACQUIRE))
    ::syscall(SYS_futex, &shared.running, FUTEX_WAIT, running, nullptr, nullptr, 0);
  // It is told before the thread has left the process, and unshare(2) counts what is there.
  while (shared.thread != 0 && ::syscall(SYS_tgkill, shared.owner, shared.thread, 0) == 0) ::sched_yield();
  shared.thread = 0;
}

Fd take_network() {
  if (!ours()) return Fd();
  settle_network();
  Fd taken(shared.namespace_fd);
  shared.namespace_fd = kNone;
  return taken;
}

bool InReadyNetwork::enter(int ready) {
  own_ = Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  // To enter one's own needs the same rights as to come back to it (setns(2)).
  if (own_ && ::setns(own_.get(), CLONE_NEWNET) == 0 && ::setns(ready, CLONE_NEWNET) == 0) return true;
  own_.close();
  return false;
}

InReadyNetwork::InReadyNetwork(bool wanted) {
  if (!wanted) return;
  const Fd ready = take_network();
  if (ready) enter(ready.get());
}

InReadyNetwork::InReadyNetwork(int taken) {
  if (!enter(taken)) throw Error("setns", "the network namespace that was made");
}

void InReadyNetwork::stay() {
  shared.owner = 0;
  own_.close();
}

void InReadyNetwork::leave() {
  if (!own_) return;
  if (::setns(own_.get(), CLONE_NEWNET) < 0) {
    std::perror("luabox: setns to its own network");
    ::_exit(125);
  }
  own_.close();
}

}  // namespace luabox
