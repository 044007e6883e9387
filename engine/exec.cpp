#include "engine/exec.hpp"

#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <new>
#include <span>

#include "engine/command_file.hpp"
#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/init.hpp"
#include "engine/init_loop.hpp"
#include "engine/process.hpp"
#include "engine/seccomp.hpp"
#include "engine/stand_in.hpp"

extern "C" char data_start;  // of what the program may write to, by the C library (crt1.o)

namespace luabox {
namespace {

constexpr int kCannotStart = 125;
constexpr int kNone = -1;  // no descriptor

char* command_line_at = nullptr;  // the environment's strings follow
size_t command_line_size = 0;     // with them
size_t arguments_size = 0;        // without
std::string hidden;               // what stood there, while a child that shares this memory must not show it

void default_handlers() {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < _NSIG; ++signal)
    ::sigaction(signal, &standard, nullptr);  // KILL and STOP refuse: fine
}

void default_signals() {
  default_handlers();
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void start_session(const ExecOptions& options) {
  if (!options.new_session) return;
  if (::setsid() < 0) throw Error("setsid");
  if (options.controlling_terminal && ::ioctl(0, TIOCSCTTY, 0) < 0) throw Error("ioctl", "TIOCSCTTY");
}

/// Returns why it could not.
Error search_and_exec(const ExecOptions& options) {
  // Static: where this memory is the parent's, too, nobody would free what an exec leaves behind.
  static std::vector<std::string> files;
  static std::vector<char*> names, arguments, environment;
  arguments = pointers_to(options.arguments), environment = pointers_to(options.environment);
  files = command_files(options.arguments[0], options.environment);
  names = pointers_to(files);
  if (options.filter != nullptr) options.filter->load({options.log_refused});
  return why_not_executed(options.arguments[0], options.environment,
                          exec_one_of(names.data(), arguments.data(), environment.data()));
}

/// What was printed before, by a step of a script's, would go with this image.
void flush_streams() { std::fflush(nullptr); }

void check(const ExecOptions& options) {
  if (options.arguments.empty() || options.arguments[0].empty())
    throw Error::invalid("exec", "", "expected a command");
  const auto& [from, to] = options.carried;
  if ((from >= 0 || to >= 0) && (from < 0 || to < 0 || options.until < 0))
    throw Error::invalid("exec", "",
                         "what a program writes is carried from a pipe to a file, by an init that stays");
}

void tell(const Error& error) {
  if (Channel* parent = parent_channel())
    parent->send(Message::Kind::failure, encode_fields({{"op", error.op()},
                                                        {"object", error.object()},
                                                        {"errno", std::to_string(error.code())},
                                                        {"hint", error.hint()}}));
}

/// What the program's process, made by an init, is told.
struct Start {
  const ExecOptions* options;
  bool held;
};

/// What the init's child runs with: memory of the init until its exec, or where it is `held`, a copy.
int start_program(void* data) {
  const auto& [options, held] = *static_cast<const Start*>(data);
  try {
    if (held) wait_for_release();
    start_session(*options);
    default_signals();
    tell(search_and_exec(*options));
  } catch (const Error& error) {
    tell(error);
  }
  ::_exit(kCannotStart);
}

/// Whether the program could look into the init that starts it, and have it make calls: not before there is
/// nothing left to see, and no call that the program may not make.
bool must_wait(const ExecOptions& options) {
  const bool small = options.small_init || shares_memory();
  return ::prctl(PR_CAPBSET_READ, CAP_SYS_PTRACE) == 1 || (small && options.filter != nullptr);
}

/// `name` has four letters. The environment can't be read by what may not trace this process, and what may
/// waits (must_wait) until it is gone.
void show_as(const char* name) {
  ::prctl(PR_SET_NAME, name);
  const size_t size = shares_memory() ? arguments_size : command_line_size;
  if (size < 5) return;
  if (shares_memory()) hidden.assign(command_line_at, size);
  std::memset(command_line_at, 0, size);
  std::memcpy(command_line_at, name, 5);
}

int channel_number() {
  const Channel* parent = parent_channel();
  return parent != nullptr ? parent->get() : -1;
}

/// All from `next` on but those that are `kept`: what an init holds must lead nowhere, and the program's
/// process can be seen by the container before its exec.
void close_others(unsigned next, std::array<int, 4> kept) {
  std::sort(kept.begin(), kept.end());
  for (const int fd : kept) {
    if (fd < static_cast<int>(next)) continue;
    if (static_cast<unsigned>(fd) > next && ::close_range(next, static_cast<unsigned>(fd) - 1, 0) < 0)
      throw Error("close_range");
    next = static_cast<unsigned>(fd) + 1;
  }
  if (::close_range(next, ~0U, 0) < 0) throw Error("close_range");
}

/// All that a joined program's process has until its exec, beside code: who is in the container may trace it
/// (CAP_SYS_PTRACE), and the memory of the process outside may be a script's. Both have it; what the one
/// outside reads of it afterwards is `failed` alone.
struct Apart {
  const char* const* files;
  char* const* arguments;
  char* const* environment;
  sock_fprog filter;  ///< of no instructions: none
  unsigned filter_flags;
  int init;  ///< a pidfd
  int until, channel;
  Carried carried;
  bool new_session, controlling_terminal;
  Attempt failed;  ///< code 0: it has not
};

constexpr size_t kBeforeTheExec = SIZE_MAX;  ///< Attempt::at
constexpr size_t kApartStack = 32768;

/// Without the C library, whose memory is gone. The process outside is in another pid namespace: the program
/// would outlive it.
[[gnu::no_stack_protector]] int start_apart(void* data) {
  Apart& apart = *static_cast<Apart*>(data);
  bare::call(SYS_close, apart.channel);
  pollfd ended = {apart.init, POLLIN, 0};
  const timespec at_once = {0, 0};
  const uint64_t no_signal = 0;
  long result = bare::call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
  if (bare::call(SYS_ppoll, bare::address(&ended), 1, bare::address(&at_once), 0, 0) != 0)
    bare::call(SYS_exit_group, kCannotStart);
  bare::call(SYS_close, apart.init);
  bare::call(SYS_close, apart.until);
  bare::call(SYS_close, apart.carried.from);
  bare::call(SYS_close, apart.carried.to);
  if (result >= 0 && apart.new_session) result = bare::call(SYS_setsid);
  if (result >= 0 && apart.controlling_terminal) result = bare::call(SYS_ioctl, 0, TIOCSCTTY, 0);
  bare::call(SYS_rt_sigprocmask, SIG_SETMASK, bare::address(&no_signal), 0, sizeof no_signal);
  if (result >= 0 && apart.filter.len != 0)
    result =
        bare::call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, apart.filter_flags, bare::address(&apart.filter));
  apart.failed = result < 0 ? Attempt{kBeforeTheExec, static_cast<int>(-result)}
                            : exec_one_of(apart.files, apart.arguments, apart.environment);
  bare::call(SYS_exit_group, kCannotStart);
  __builtin_unreachable();
}

/// Takes room from `next` on.
void* put(char*& next, const void* data, size_t size) {
  void* const result = next;
  if (size != 0) std::memcpy(result, data, size);
  constexpr size_t unit = sizeof(void*);
  next += (size + unit - 1) / unit * unit;
  return result;
}

char** put_list(char*& next, const std::vector<std::string>& list) {
  auto texts = pointers_to(list);
  for (size_t i = 0; i < list.size(); ++i)
    texts[i] = static_cast<char*>(put(next, list[i].c_str(), list[i].size() + 1));
  return static_cast<char**>(put(next, texts.data(), texts.size() * sizeof(char*)));
}

size_t room_for(const std::vector<std::string>& list) {
  size_t room = sizeof(char*);
  for (const auto& text : list) room += text.size() + 1 + 2 * sizeof(char*);
  return room;
}

/// Children get nothing of this process's memory but code, a page or two of stack, and `kept`: also not what
/// the kernel goes on telling a thread in the C library's part of it (rseq(2)).
void keep_memory_from_children(const void* kept, size_t size) {
  constexpr int unregister = 1;
  if (__rseq_size != 0 && ::syscall(SYS_rseq, static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset,
                                    sizeof(struct rseq), unregister, RSEQ_SIG) != 0)
    throw Error("rseq", "unregister");
  const auto page = static_cast<uintptr_t>(::getpagesize());
  const auto data = reinterpret_cast<uintptr_t>(&data_start) & ~(page - 1);
  const auto stack = (reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) & ~(page - 1)) - page;
  // What isn't mapped in between is passed over, and told as ENOMEM.
  if (::madvise(&data_start - (reinterpret_cast<uintptr_t>(&data_start) - data), stack - data,
                MADV_DONTFORK) < 0 &&
      errno != ENOMEM)
    throw Error("madvise", "MADV_DONTFORK");
  if (::madvise(const_cast<void*>(kept), size, MADV_DOFORK) < 0) throw Error("madvise", "MADV_DOFORK");
}

[[noreturn]] void fail_clone(int code) {
  throw Error("clone", "the command's process", code,
              code == EAGAIN ? "its cgroup's pids, or ulimit -u, are used up" : "");
}

/// Starts the program in the pid namespace that was joined, of whose `init` (a pidfd) this process is none.
/// Returns when it has been executed.
pid_t start_joined(const ExecOptions& options, int init) {
  const auto files = command_files(options.arguments[0], options.environment);
  const std::span<const sock_filter> filter = options.filter != nullptr
                                                  ? std::span<const sock_filter>(options.filter->program())
                                                  : std::span<const sock_filter>();
  const size_t size = sizeof(Apart) + filter.size_bytes() + room_for(files) + room_for(options.arguments) +
                      room_for(options.environment) + kApartStack;
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw Error("mmap", "the command's process");
  char* next = static_cast<char*>(memory) + sizeof(Apart);
  auto* const apart =
      new (memory) Apart{put_list(next, files),
                         put_list(next, options.arguments),
                         put_list(next, options.environment),
                         {static_cast<unsigned short>(filter.size()),
                          static_cast<sock_filter*>(put(next, filter.data(), filter.size_bytes()))},
                         options.log_refused ? static_cast<unsigned>(SECCOMP_FILTER_FLAG_LOG) : 0,
                         init,
                         options.until,
                         channel_number(),
                         options.carried,
                         options.new_session,
                         options.new_session && options.controlling_terminal,
                         {0, 0}};
  default_handlers();  // the program's; here all signals are blocked
  if (options.give_memory_back) keep_memory_from_children(memory, size);
  char* const top = static_cast<char*>(memory) + (size & ~size_t{15});
  const pid_t program = ::clone(start_apart, top, CLONE_VFORK | SIGCHLD, apart);
  if (program < 0) fail_clone(errno);
  const Attempt failed = apart->failed;
  if (failed.code == 0) return program;
  ::kill(program, SIGKILL);
  ::waitpid(program, nullptr, 0);
  tell(failed.at == kBeforeTheExec ? Error("start", options.arguments[0], failed.code)
                                   : why_not_executed(options.arguments[0], options.environment, failed));
  ::_exit(kCannotStart);
}

/// Leaves the stand-in what it serves by: `until`, and as 0 and 1 what it carries.
void keep_for_stand_in(const ExecOptions& options) {
  const auto& [from, to] = options.carried;
  unsigned next = 0;
  if (from >= 0) {
    if (::dup2(from, 0) < 0 || ::dup2(to, 1) < 0) ::_exit(kCannotStart);
    next = 2;
  }
  close_others(next, {options.until, kNone, kNone, kNone});
}

/// As serve_as_init, without anything of luabox's but its code: an init stays as long as its container, and
/// is in its sight. The C library's state is gone, too; what is left is the stack from here up.
[[noreturn, gnu::noinline]] void serve_without_memory(pid_t program, bool filtered, bool held) {
  const auto page = static_cast<uintptr_t>(::getpagesize());
  const auto data = reinterpret_cast<uintptr_t>(&data_start) & ~(page - 1);
  const auto heap_end = (reinterpret_cast<uintptr_t>(::sbrk(0)) + page - 1) & ~(page - 1);
  const auto stack = (reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) & ~(page - 1)) - page;
  // Up to the end of the heap it stays mapped: the kernel tells a thread things in the C library's part of it
  // (rseq(2)). ENOMEM: what isn't mapped in between was passed over.
  const long given =
      bare::call(SYS_madvise, static_cast<long>(data), static_cast<long>(heap_end - data), MADV_DONTNEED);
  const long gone = bare::call(SYS_munmap, static_cast<long>(heap_end), static_cast<long>(stack - heap_end));
  if ((given != 0 && given != -ENOMEM) || gone != 0) bare::call(SYS_exit_group, kCannotStart);
  if (filtered && !refuse_all_but_the_loop()) bare::call(SYS_exit_group, kCannotStart);
  if (held) release(program);
  serve_as_init(program);
}

/// The program is on its way, and this memory the parent's: an init has no place in it. Where it can't leave,
/// the container ends. The file and the channel are closed by the exec, which is what the parent waits for.
[[noreturn]] void leave_shared_memory(const Fd& init_file, pid_t program, bool held) {
  close_others(0, {init_file.get(), channel_number(), kNone, kNone});
  enter_small_init(init_file, program, held);
  tell(Error("execveat", "the container's init"));
  ::kill(program, SIGKILL);
  ::_exit(kCannotStart);
}

}  // namespace

void remember_command_line(int argc, char** argv) {
  if (argc == 0) return;
  command_line_at = argv[0];
  command_line_size = static_cast<size_t>(argv[argc - 1] + std::strlen(argv[argc - 1]) + 1 - argv[0]);
  arguments_size = command_line_size;
  // The kernel puts the environment behind the arguments, and then the name by which the program was executed
  // (fs/binfmt_elf.c).
  const auto begin = reinterpret_cast<uintptr_t>(command_line_at), name = ::getauxval(AT_EXECFN);
  if (name > begin + command_line_size) command_line_size = name - begin;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (const auto& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> command_line() {
  std::vector<std::string> arguments;
  for (size_t at = 0; at < arguments_size; at += arguments.back().size() + 1)
    arguments.emplace_back(command_line_at + at);
  return arguments;
}

void show_command_line() {
  std::copy(hidden.begin(), hidden.end(), command_line_at);
  hidden.clear();
}

void exec(const ExecOptions& options) {
  check(options);
  flush_streams();
  die_with_parent();
  start_session(options);
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) throw Error("close_range");
  if (Channel* parent = parent_channel()) parent->send(Message::Kind::exec);
  default_signals();
  const Error failed = search_and_exec(options);  // not in the throw: that takes its memory first
  throw failed;
}

void exec_below_init(const ExecOptions& options) {
  check(options);
  flush_streams();
  if (options.until < 0)
    die_with_parent();
  else if (::prctl(PR_SET_PDEATHSIG, 0) < 0)
    throw Error("prctl", "PR_SET_PDEATHSIG");
  // The terminal's own signals are for who sits at it: they come by who passes them on, once.
  if (options.new_session && ::setsid() < 0) throw Error("setsid");
  close_others(3, {channel_number(), options.until, options.carried.from, options.carried.to});
  // A change of ids made it as dumpable as fs.suid_dumpable says, which may be 1.
  if (::prctl(PR_SET_DUMPABLE, 0) < 0) throw Error("prctl", "PR_SET_DUMPABLE");
  const Fd init_file = shares_memory() ? small_init_file() : Fd();
  if (shares_memory() && !init_file) throw Error("memfd_create", "the container's init");
  Fd self;
  if (options.joined) {
    self = Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    if (!self) throw Error("pidfd_open", "itself");
  }
  // Everything is blocked, so that signals that come before the loop wait for it: a blocked signal is not
  // lost, even for pid 1.
  sigset_t all;
  ::sigfillset(&all);
  if (::sigprocmask(SIG_SETMASK, &all, nullptr) < 0) throw Error("sigprocmask");
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &standard, nullptr);  // ignored, children would vanish without a status
  if (Channel* parent = parent_channel()) parent->send(Message::Kind::exec);

  // CLONE_VM and CLONE_VFORK: the program's page tables are never copied, and the init waits here until it
  // has exec'd or failed. Not where others are in the pid namespace already,
  // or where it may not run yet.
  show_as(options.joined ? "exec" : "init");
  alignas(16) static char stack[256 * 1024];
  Start start = {&options, !options.joined && must_wait(options)};
  const bool held = start.held;
  const int shared = held ? 0 : CLONE_VM | CLONE_VFORK;
  const pid_t program = options.joined
                            ? start_joined(options, self.get())
                            : ::clone(start_program, stack + sizeof stack, shared | SIGCHLD, &start);
  if (program < 0) fail_clone(errno);
  if (shares_memory()) leave_shared_memory(init_file, program, held);
  // Also the channel: the parent sees end of file now. And 0 to 2, so that a reader of the program's output
  // sees its end.
  if (options.until >= 0)
    keep_for_stand_in(options);
  else
    ::close_range(0, ~0U, 0);
  ::sched_yield();  // who waits for the end of file has more to do than this process
  if (options.once_running != nullptr) options.once_running();
  if (options.until >= 0) stand_in(program, options.until, options.carried.from >= 0);
  if (options.small_init) enter_small_init(small_init_file(), program, held);
  const bool filtered = options.filter != nullptr;
  if (options.give_memory_back) serve_without_memory(program, filtered, held);
  if (filtered && !refuse_all_but_the_loop()) ::_exit(kCannotStart);
  if (held) release(program);
  serve_as_init(program);
}

}  // namespace luabox
