#include "engine/stand_in.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "engine/carrying.hpp"
#include "engine/fd.hpp"
#include "engine/init_loop.hpp"

namespace luabox {
namespace {

bool write_all(const char* data, size_t size) {
  while (size > 0) {
    const ssize_t count = ::write(1, data, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    data += count, size -= static_cast<size_t>(count);
  }
  return true;
}

constexpr size_t kChunk = 16384;

/// Carries some of what is there. False when nothing more will come, or the file can't take it: then who
/// writes is told by EPIPE. What a disk that is full has no room for is lost: it may have some for the next.
bool carry() {
  std::array<char, kChunk> buffer;
  const ssize_t count = ::read(0, buffer.data(), buffer.size());
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  if (count == 0) return false;
  return write_all(buffer.data(), static_cast<size_t>(count)) || is_full(errno);
}

bool means_to_end(uint32_t signal) {
  return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
}

/// The program, as who stands in for it knows it.
class Program {
 public:
  explicit Program(pid_t pid) : pid_(pid) {}

  bool runs() const { return runs_; }
  void take(uint32_t signal) {
    if (signal == SIGCHLD)
      runs_ = runs_ && !reap(pid_, status_);
    else if (!is_fault(signal))
      kill(static_cast<int>(signal));
  }
  void kill(int signal) const {
    if (runs_) ::kill(pid_, signal);
  }
  [[noreturn]] void end_alike() const {
    ::_exit(WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_));
  }

 private:
  pid_t pid_;
  bool runs_ = true;
  int status_ = 0;
};

}  // namespace

[[noreturn]] void stand_in(pid_t pid, int first, bool carries) {
  sigset_t all;
  ::sigfillset(&all);
  const Fd signals(::signalfd(-1, &all, SFD_CLOEXEC));
  Program program(pid);
  if (!signals || (carries && ::fcntl(0, F_SETFL, O_NONBLOCK) < 0)) {
    program.kill(SIGKILL);  // nothing outlives the container
    serve_as_init(pid);
  }
  pollfd ready[] = {{signals.get(), POLLIN, 0}, {first, POLLIN, 0}, {carries ? 0 : -1, POLLIN, 0}};
  auto& [told, ended, output] = ready;
  bool stays = true;  // for who writes when the program has ended
  while (program.runs() || (output.fd >= 0 && stays)) {
    if (::poll(ready, 3, -1) < 0) continue;
    signalfd_siginfo info;
    if (told.revents != 0 && ::read(signals.get(), &info, sizeof info) == sizeof info) {
      stays = stays && (program.runs() || !means_to_end(info.ssi_signo));
      program.take(info.ssi_signo);
    }
    if (ended.revents != 0) {
      program.kill(SIGKILL);
      ended.fd = -1, ended.revents = 0;
      stays = false;
    }
    if (output.revents != 0 && !carry()) {
      ::close(output.fd);
      output.fd = -1, output.revents = 0;
    }
  }
  for (size_t left = kMostInPipe / kChunk; output.fd >= 0 && left > 0 && carry(); --left) {
  }
  program.end_alike();
}

}  // namespace luabox
