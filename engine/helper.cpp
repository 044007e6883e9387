#include "engine/helper.hpp"

#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "engine/error.hpp"
#include "engine/file.hpp"

namespace luabox {
namespace {

constexpr const char* kFolders[] = {"/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"};
constexpr size_t kLongestOutput = 4096;

/// Root's, and nobody else may write to it.
bool is_roots(const struct stat& file) {
  return file.st_uid == 0 && (file.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

void require(int code, const char* what) {
  if (code != 0) throw Error(what, "", code);
}

class Spawn {
 public:
  Spawn() {
    require(::posix_spawn_file_actions_init(&actions), "posix_spawn");
    require(::posix_spawnattr_init(&attributes), "posix_spawn");
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  ~Spawn() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }

  void prepare(int output) {
    require(::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0), "posix_spawn");
    for (const int fd : {1, 2})
      require(::posix_spawn_file_actions_adddup2(&actions, output, fd), "posix_spawn");
    require(::posix_spawn_file_actions_addclosefrom_np(&actions, 3), "posix_spawn");
    require(::posix_spawn_file_actions_addchdir_np(&actions, "/"), "posix_spawn");
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    require(::posix_spawnattr_setsigmask(&attributes, &none), "posix_spawn");
    require(::posix_spawnattr_setsigdefault(&attributes, &all), "posix_spawn");
    require(::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF),
            "posix_spawn");
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

}  // namespace

std::optional<std::string> find_helper(const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos)
    throw Error::invalid("find", name, "expected a name");
  for (const std::string folder : kFolders) {
    std::string path = folder;
    path.append("/").append(name);
    struct stat directory = {}, file = {};
    if (::stat(folder.c_str(), &directory) == 0 && is_roots(directory) && ::stat(path.c_str(), &file) == 0 &&
        S_ISREG(file.st_mode) && is_roots(file) && ::access(path.c_str(), X_OK) == 0)
      return path;
  }
  return std::nullopt;
}

Helper Helper::start(std::vector<std::string> arguments) {
  if (arguments.empty()) throw Error::invalid("start", "", "expected a program's name");
  const auto path = find_helper(arguments[0]);
  if (!path) throw Error("start", arguments[0], ENOENT, "no such program of root's");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) throw Error("pipe2");
  Fd reader(ends[0]);
  const Fd writer(ends[1]);

  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::string variables[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
  char* environment[] = {variables[0].data(), variables[1].data(), nullptr};

  Spawn spawn;
  spawn.prepare(writer.get());
  pid_t pid = 0;
  if (const int code =
          ::posix_spawn(&pid, path->c_str(), &spawn.actions, &spawn.attributes, argv.data(), environment))
    throw Error("start", *path, code);
  // Our own child, not yet reaped: its number is its own.
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    const int code = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    throw Error("pidfd_open", *path, code);
  }
  return {pid, std::move(pidfd), std::move(reader)};
}

Helper::~Helper() {
  if (!pidfd_ || ended_) return;
  kill(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::optional<ExitStatus> Helper::wait(double seconds) {
  if (ended_) return ended_;
  pollfd ready = {pidfd_.get(), POLLIN, 0};
  const int count = ::poll(&ready, 1, seconds < 0 ? -1 : static_cast<int>(seconds * 1000));
  if (count < 0 && errno != EINTR) throw Error("poll", "helper");
  if (count <= 0) return std::nullopt;
  siginfo_t info = {};
  if (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED) < 0)
    throw Error("waitid", std::to_string(pid_));
  ended_ = info.si_code == CLD_EXITED ? ExitStatus{info.si_status, 0} : ExitStatus{0, info.si_status};
  return ended_;
}

std::string Helper::output() {
  std::string text;
  char buffer[kLongestOutput];
  for (ssize_t length;
       text.size() < kLongestOutput && (length = ::read(output_.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(length));
  if (text.size() > kLongestOutput) text.resize(kLongestOutput);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::string line;
  for (const char c : text) {
    if (c == '\n')
      line += "; ";
    else
      line += static_cast<unsigned char>(c) < ' ' ? '?' : c;
  }
  return line;
}

bool Helper::kill(int signal) const {
  if (ended_) return false;
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  throw Error("kill", std::to_string(pid_));
}

void end_helpers(const std::string& argument) {
  const auto has = [&](const std::string& line) {
    return line.find(std::string(1, '\0') + argument + '\0') != std::string::npos;
  };
  for (const auto& name : list_directory("/proc", 0)) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    // Before its command line is read: from here on it is this process that is meant, or none.
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, std::atoi(name.c_str()), 0)));
    struct stat owner = {};
    const std::string folder = "/proc/" + name;
    if (!process || ::stat(folder.c_str(), &owner) < 0 || owner.st_uid != ::geteuid()) continue;
    try {
      if (!has(std::string(1, '\0') + read_file(folder + "/cmdline"))) continue;
    } catch (const Error&) {
      continue;  // it has ended
    }
    if (::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) < 0 && errno != ESRCH)
      throw Error("kill", name);
    pollfd ended = {process.get(), POLLIN, 0};
    static_cast<void>(::poll(&ended, 1, 1000));
  }
}

}  // namespace luabox
