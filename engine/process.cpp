#include "engine/process.hpp"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "engine/cgroup_host.hpp"
#include "engine/dumpable.hpp"
#include "engine/exec.hpp"
#include "engine/interrupt.hpp"
#include "engine/network_ahead.hpp"
#include "engine/vfork.hpp"

namespace luabox {
namespace {

constexpr int kSetupFailed = 125;
constexpr double kForever = 1e6;  // seconds, and again
constexpr double kSetupPatience = 1;

Channel* to_parent = nullptr;
bool sharing = false;  // memory with the parent

std::string field(const std::map<std::string, std::string>& fields, const char* name) {
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second;
}

int errno_of(const std::map<std::string, std::string>& fields) {
  const std::string text = field(fields, "errno");
  return text.empty() ? EINVAL : std::atoi(text.c_str());
}

/// The child's first steps, before the parent's word: its own death with the parent's, its cgroups, its
/// cgroup namespace.
void start_child(const CloneOptions& options, Channel& channel) {
  die_with_parent();
  for (const int tasks : options.cgroup_tasks)
    // "0" is the writer itself. `tasks` moves one thread without the grace period that cgroup.procs waits
    // for.
    if (::write(tasks, "0", 1) != 1) throw Error("join cgroup", "tasks");
  // The root of a new cgroup namespace is where the process stands when it is made: so not in clone, but
  // after joining.
  if (options.namespaces.has(CLONE_NEWCGROUP)) unshare(Namespaces(CLONE_NEWCGROUP));

  const auto go = channel.receive();
  if (!go || go->kind != Message::Kind::release) ::_exit(kSetupFailed);
  die_with_parent();
}

[[noreturn]] void run_child(const CloneOptions& options, Channel& channel,
                            const std::function<void(Channel&)>& body) {
  to_parent = &channel;
  try {
    restore_descriptor_limit();
    start_child(options, channel);
    body(channel);
    channel.send(Message::Kind::failure,
                 encode_fields({{"op", "clone"}, {"hint", "the child's function returned"}}));
  } catch (const Error& error) {
    channel.send(Message::Kind::failure, encode_fields({{"op", error.op()},
                                                        {"object", error.object()},
                                                        {"errno", std::to_string(error.code())},
                                                        {"hint", error.hint()}}));
  } catch (const std::exception& error) {
    channel.send(Message::Kind::failure, encode_fields({{"op", "clone"}, {"hint", error.what()}}));
  }
  ::_exit(kSetupFailed);
}

/// The child's first word. One that shared its parent's descriptors does not any more, and has none of those
/// that are set aside.
void tell_it_runs(Channel& channel, bool shares_descriptors) {
  try {
    if (shares_descriptors) leave_what_is_aside();
    channel.send(Message::Kind::ready);
  } catch (const Error&) {
    ::_exit(kSetupFailed);
  }
}

/// What a child that shares this process's memory works with, as the parent holds it.
struct SharedStart {
  const CloneOptions& options;
  const std::function<void(Channel&)>& body;
  Channel& channel;
  int parents_end;
  bool cut;
};

[[noreturn]] void run_shared(void* data) {
  const auto& start = *static_cast<SharedStart*>(data);
  try {
    if (start.cut) leave_what_is_aside();
  } catch (const Error&) {
    ::_exit(kSetupFailed);
  }
  ::close(start.parents_end);  // the child's copy of the number; the object is the parent's
  run_child(start.options, start.channel, start.body);
}

/// clone3 with a child that shares this memory, and what it may have changed put right behind it.
long clone_shared(const clone_args& arguments, SharedStart start) {
  Channel* const own_parent = to_parent;
  const bool was_sharing = std::exchange(sharing, true);
  const int dumpable = ::prctl(PR_GET_DUMPABLE);
  const long pid = vfork_child(arguments, run_shared, &start);
  to_parent = own_parent;
  sharing = was_sharing;
  show_command_line();
  // A change of ids in the child made this memory as dumpable as fs.suid_dumpable says (prctl(2)). No process
  // can make itself what 2 is; 0 is closer.
  if (::prctl(PR_GET_DUMPABLE) != dumpable) ::prctl(PR_SET_DUMPABLE, dumpable == 1 ? 1 : 0);
  return pid;
}

/// False when `seconds` are over; a signal does not shorten them, but for an interrupt
/// (engine/interrupt.hpp), which throws EINTR.
bool readable_within(int fd, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(std::llround(std::min(seconds * 1000, 2e9)));
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd ready = {fd, POLLIN, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (count >= 0) return count > 0;
    if (errno != EINTR) throw Error("poll", "pidfd");
    check_interrupt("wait");
  }
}

/// A signal that means to end this process may be held back, to be passed on to what is set up
/// (engine/supervisor.hpp). What takes so long may never be there to get it.
void refuse_to_wait_on() {
  sigset_t waiting;
  if (::sigpending(&waiting) < 0) throw Error("sigpending");
  for (const auto& [signal, name] :
       {std::pair(SIGINT, "SIGINT"), {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}, {SIGQUIT, "SIGQUIT"}})
    if (::sigismember(&waiting, signal) == 1) throw Error("start", name, EINTR);
}

/// Until the child has said so, or is dead, which settle() tells: its end of the channel may be open here,
/// too. A new process gets its parent's processor, where it would wait until the parent sleeps, while another
/// idles: so the parent sleeps, and wakes on the other one.
void wait_until_it_runs(Channel& channel, int pidfd) {
  pollfd either[] = {{channel.get(), POLLIN, 0}, {pidfd, POLLIN, 0}};
  for (int ready = 0; ready <= 0;) {
    ready = ::poll(either, 2, static_cast<int>(kSetupPatience * 1000));
    if (ready < 0 && errno != EINTR) throw Error("poll", "channel");
    if (ready < 0) check_interrupt("wait");
    if (ready == 0) refuse_to_wait_on();
  }
  if (either[0].revents != 0) channel.receive();
}

}  // namespace

Channel* parent_channel() { return to_parent; }
bool shares_memory() { return sharing; }

void die_with_parent() {
  if (to_parent == nullptr) return;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) throw Error("prctl", "PR_SET_PDEATHSIG");
  // A parent that died before that left no signal; its end of the channel tells.
  if (to_parent->closed()) ::_exit(kSetupFailed);
}

ChildError::ChildError(std::map<std::string, std::string> fields)
    : Error(field(fields, "op"), field(fields, "object"), errno_of(fields), field(fields, "hint")),
      fields_(std::move(fields)) {}

/// CLONE_INTO_CGROUP failed: clone3(2).
static Error no_entry(int cgroup_directory, int code) {
  std::error_code unknown;
  const std::string path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(cgroup_directory), unknown).string();
  return Error("enter cgroup", path, code, code == EACCES ? cgroup_entry_hint(path) : "");
}

Process Process::clone(const CloneOptions& options, const std::function<void(Channel&)>& body) {
  if (options.vfork && (!options.released || options.namespaces.has(CLONE_NEWUSER)))
    throw Error::invalid(
        "clone", options.namespaces.words(),
        "vfork wants a child that is released from the beginning, in no user namespace of its own: its "
        "parent stands still");
  auto [ours, theirs] = Channel::pair();
  int pidfd = -1;
  Namespaces made = options.namespaces.without(CLONE_NEWCGROUP);
  const bool has_network = made.has(CLONE_NEWNET) && !made.has(CLONE_NEWUSER);
  if (options.network >= 0 && !has_network)
    throw Error::invalid("clone", options.namespaces.words(),
                         "a network is for a child with a network namespace, and none for its users");
  auto network = options.network >= 0 ? InReadyNetwork(options.network) : InReadyNetwork(has_network);
  if (network.entered()) made = made.without(CLONE_NEWNET);
  clone_args arguments = {};
  arguments.flags = CLONE_PIDFD | made.flags();
  arguments.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const bool cut = many_aside();
  if (cut) arguments.flags |= CLONE_FILES;
  if (options.cgroup_directory >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(options.cgroup_directory);
  }
  if (options.released) ours.send(Message::Kind::release);  // the child finds it there
  // What is buffered now would be written twice.
  std::fflush(nullptr);
  Dumpable dumpable(options.namespaces.has(CLONE_NEWUSER) && ::geteuid() != 0);
  const bool shared = options.vfork && can_vfork();
  const long pid = shared ? clone_shared(arguments, {options, body, theirs, ours.get(), cut})
                          : ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) {
    sharing = false;
    tell_it_runs(theirs, cut);
    network.stay();
    ours.close();
    run_child(options, theirs, [&](Channel& channel) {
      dumpable.end();
      body(channel);
    });
  }
  const int error = shared ? static_cast<int>(-pid) : errno;
  if (shared) theirs.close();  // else it is the child's too for a moment, where they share descriptors
  network.leave();
  if (pid < 0 && options.cgroup_directory >= 0 && (error == EACCES || error == EBUSY || error == EOPNOTSUPP))
    throw no_entry(options.cgroup_directory, error);
  // What docker's filter, and luabox's own, answer: the library falls back to clone, we can't.
  if (pid < 0 && error == ENOSYS)
    throw Error("clone", options.namespaces.words(), error,
                "clone3 is hidden by the container that luabox runs in, or newer than this kernel");
  if (pid < 0) throw Error("clone", options.namespaces.words(), error);
  Process process(static_cast<int>(pid), Fd(pidfd), std::move(ours));
  process.released_ = options.released;
  // What is opened from here on is not the child's.
  if (!shared) wait_until_it_runs(process.channel_, process.pidfd());
  return process;
}

Process::Process(int pid, Fd pidfd, Channel channel)
    : pid_(pid), maker_(to_parent), pidfd_(std::move(pidfd)), channel_(std::move(channel)) {}

Process Process::adopt(int pid, Fd pidfd) {
  Process process(pid, std::move(pidfd), Channel());
  process.released_ = process.about_to_exec_ = true;
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(other.pid_),
      maker_(other.maker_),
      pidfd_(std::move(other.pidfd_)),
      channel_(std::move(other.channel_)),
      released_(other.released_),
      about_to_exec_(other.about_to_exec_),
      detached_(other.detached_),
      messages_(std::move(other.messages_)),
      ended_(other.ended_) {}

Process::~Process() {
  if (!pidfd_ || ended_ || detached_) return;
  kill(SIGKILL);
  try {
    reap();
  } catch (const Error&) {
    // Somebody else reaped it (a SIGCHLD handler of the program that uses the engine): it is gone all the
    // same.
  }
}

void Process::release() {
  go();
  settle();
}

void Process::go() {
  if (released_) throw Error::invalid("release", std::to_string(pid_), "the process was released already");
  released_ = true;
  channel_.send(Message::Kind::release);  // a child that is gone shows in settle()
}

void Process::settle() {
  if (channel_.get() < 0) return;
  if (!released_) throw Error::invalid("settle", std::to_string(pid_), "the process was not released");
  const auto next = [this] {
    while (!readable_within(channel_.get(), kSetupPatience)) refuse_to_wait_on();
    return channel_.receive();
  };
  while (auto message = next()) {
    switch (message->kind) {
      case Message::Kind::failure: {
        reap();
        throw ChildError(decode_fields(message->text));
      }
      case Message::Kind::exec:
        about_to_exec_ = true;
        break;
      default:
        messages_.push_back(std::move(*message));
    }
  }
  channel_.close();
  pidfd_.set_aside();
  if (about_to_exec_) return;
  const ExitStatus status = reap();
  throw Error(
      "clone",
      status.signal != 0 ? "signal " + std::to_string(status.signal) : "exit " + std::to_string(status.code),
      ECHILD, "the process died while it was set up");
}

std::optional<Message> Process::next_message() {
  if (messages_.empty()) return std::nullopt;
  Message first = std::move(messages_.front());
  messages_.erase(messages_.begin());
  return first;
}

ExitStatus Process::reap() {
  if (ended_) return *ended_;
  siginfo_t info = {};
  while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED) < 0)
    if (errno != EINTR) throw Error("waitid", std::to_string(pid_));
  ended_ = info.si_code == CLD_EXITED ? ExitStatus{info.si_status, 0} : ExitStatus{0, info.si_status};
  return *ended_;
}

std::optional<ExitStatus> Process::wait(double timeout) {
  if (ended_) return ended_;
  if (timeout >= 0 && !readable_within(pidfd_.get(), timeout)) return std::nullopt;
  // poll(2) before waitid(2): reap() does not heed interrupts.
  while (timeout < 0 && !readable_within(pidfd_.get(), kForever)) {
  }
  return reap();
}

bool Process::kill(int signal) const {
  if (maker_ != to_parent)
    throw Error("kill", std::to_string(pid_), EPERM, "a process is signalled by the one that made it");
  if (ended_) return false;
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  throw Error("kill", std::to_string(pid_));
}

}  // namespace luabox
