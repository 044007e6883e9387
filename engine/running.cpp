#include "engine/running.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/namespaces.hpp"
#include "engine/procfs.hpp"

namespace luabox {
namespace {

std::string folder_of(int pid) { return "/proc/" + std::to_string(pid); }

Error gone(int pid) { return Error("find process", std::to_string(pid), ESRCH, "it has ended"); }

constexpr size_t kName = 26, kBound = 21;

rlim64_t bound_of(const std::string& text) {
  return text.starts_with("unlimited") ? RLIM64_INFINITY : std::stoull(text);
}

/// From /proc/PID/limits, as prlimit(2) takes CAP_SYS_RESOURCE for a process of another user: a headline,
/// then a line for each resource in the order of their numbers, the bounds in columns of 21 behind a name
/// of 26.
std::vector<rlimit64> limits_of(int pid) {
  const std::string name = folder_of(pid) + "/limits";
  const std::string text = read_all(open_proc(std::to_string(pid) + "/limits", O_RDONLY).get(), name);
  std::vector<rlimit64> limits;
  for (size_t line = text.find('\n'); line != std::string::npos; line = text.find('\n', line)) {
    if (++line + kName + 2 * kBound > text.size()) break;
    limits.push_back(
        {bound_of(text.substr(line + kName, kBound)), bound_of(text.substr(line + kName + kBound, kBound))});
  }
  if (limits.size() != RLIM_NLIMITS) throw Error("read", name, EIO, "it is not of the form that is known");
  return limits;
}

void limit_self(size_t resource, const rlimit64& limits) {
  if (::setrlimit64(static_cast<__rlimit_resource>(resource), &limits) < 0)
    throw Error("setrlimit", "resource " + std::to_string(resource));
}

/// An ordinary user can't undo a limit of his own: then it stays, and is the narrower one.
template <class Action>
void where_allowed(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    if (::geteuid() == 0 || (error.code() != EPERM && error.code() != EACCES)) throw;
  }
}

/// Raises this process's hard limit to that of `wanted`, or lowers `wanted` to it.
void make_room(size_t resource, rlimit64& wanted) {
  rlimit64 own = {};
  if (::getrlimit64(static_cast<__rlimit_resource>(resource), &own) < 0) throw Error("getrlimit");
  if (wanted.rlim_max <= own.rlim_max) return;
  where_allowed([&] { limit_self(resource, {own.rlim_cur, wanted.rlim_max}); });
  if (::getrlimit64(static_cast<__rlimit_resource>(resource), &own) < 0) throw Error("getrlimit");
  wanted = {std::min(wanted.rlim_cur, own.rlim_max), std::min(wanted.rlim_max, own.rlim_max)};
}

bool same_inode(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

}  // namespace

std::string start_time(int pid) {
  constexpr int kField = 22;
  std::string text;
  try {
    text = read_all(open_proc(std::to_string(pid) + "/stat", O_RDONLY).get(), folder_of(pid) + "/stat");
  } catch (const Error& error) {
    if (error.code() == ENOENT || error.code() == ESRCH) throw gone(pid);
    throw;
  }
  // The name, field 2, may hold anything, blanks and parentheses too: counted from its end.
  size_t start = text.rfind(')');
  for (int number = 3; number <= kField && start != std::string::npos; ++number)
    start = text.find(' ', start + 1);
  if (start == std::string::npos) throw Error("read", folder_of(pid) + "/stat", EIO, "it has too few fields");
  return text.substr(start + 1, text.find(' ', start + 1) - start - 1);
}

Running Running::find(int pid, const std::string& started) {
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd && (errno == ESRCH || errno == EINVAL)) throw gone(pid);
  if (!pidfd) throw Error("pidfd_open", std::to_string(pid));
  Running found(pid, std::move(pidfd));
  if (start_time(pid) != started || !found.alive()) throw gone(pid);
  return found;
}

bool Running::alive() const { return !wait_for_end(0); }

bool Running::wait_for_end(double timeout) const {
  pollfd ended = {pidfd_.get(), POLLIN, 0};
  const int milliseconds = timeout < 0 ? -1 : static_cast<int>(std::min(timeout, 2e6) * 1000);
  const int count = ::poll(&ended, 1, milliseconds);
  if (count < 0 && errno != EINTR) throw Error("poll", "pidfd");
  if (count < 0) check_interrupt("wait");
  return count > 0;
}

bool Running::kill(int signal) const {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  throw Error("kill", std::to_string(pid_));
}

void Running::still_there() const {
  if (!alive()) throw gone(pid_);
}

std::vector<std::pair<std::string, Fd>> Running::foreign_namespaces() const {
  std::vector<std::pair<std::string, Fd>> found;
  for (const auto& [word, flag] : Namespaces::all()) {
    struct stat own = {}, theirs = {};
    const std::string name = "/ns/" + std::string(word);
    if (::stat(("/proc/self" + name).c_str(), &own) < 0) {
      if (errno == ENOENT) continue;  // a kernel without this type
      throw Error("stat", "/proc/self" + name);
    }
    // What can't be looked at is told by the attempt to open it.
    if (::stat((folder_of(pid_) + name).c_str(), &theirs) == 0 && same_inode(own, theirs)) continue;
    try {
      found.emplace_back(word, open_namespace(pid_, word));
    } catch (const Error& error) {
      // One that ends leaves them first. That of an init may be long: it waits for all others to have ended.
      if (error.code() == ENOENT) throw gone(pid_);
      throw;
    }
  }
  still_there();
  return found;
}

Root Running::root() const {
  Fd directory = Fd::open(folder_of(pid_) + "/root", O_PATH | O_DIRECTORY);
  still_there();
  return Root(std::move(directory), "");
}

void Running::raise_limits() {
  limits_ = limits_of(pid_);
  for (size_t resource = 0; resource < limits_.size(); ++resource) make_room(resource, limits_[resource]);
  const std::string file = "/oom_score_adj";
  const std::string theirs =
      read_all(open_proc(std::to_string(pid_) + file, O_RDONLY).get(), folder_of(pid_) + file);
  if (theirs != read_all(open_proc("self" + file, O_RDONLY).get(), "/proc/self" + file))
    where_allowed([&] { write_own_proc("oom_score_adj", theirs); });
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid_));
  if (errno != 0) throw Error("getpriority", std::to_string(pid_));
  if (nice != ::getpriority(PRIO_PROCESS, 0))
    where_allowed([&] {
      if (::setpriority(PRIO_PROCESS, 0, nice) < 0) throw Error("setpriority", std::to_string(nice));
    });
  still_there();
}

void Running::adopt_limits() const {
  for (size_t resource = 0; resource < limits_.size(); ++resource) limit_self(resource, limits_[resource]);
}

}  // namespace luabox
