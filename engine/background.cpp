#include "engine/background.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "engine/error.hpp"
#include "engine/exec.hpp"
#include "engine/fd.hpp"
#include "engine/handover.hpp"
#include "engine/process.hpp"
#include "engine/self.hpp"
#include "engine/supervisor.hpp"

namespace luabox {
namespace {

constexpr const char* kKind = "background";
constexpr int kFailed = 125;

/// While it stands, a signal that would end this process does not.
class SignalIgnored {
 public:
  explicit SignalIgnored(int signal) : signal_(signal) {
    struct sigaction ignored = {};
    ignored.sa_handler = SIG_IGN;
    ::sigaction(signal, &ignored, &before_);
  }
  SignalIgnored(const SignalIgnored&) = delete;
  SignalIgnored& operator=(const SignalIgnored&) = delete;
  ~SignalIgnored() { ::sigaction(signal_, &before_, nullptr); }

 private:
  int signal_;
  struct sigaction before_ = {};
};

/// In the new process.
[[noreturn]] void enter(const Fd& self, const Fd& ready, std::vector<char*> arguments,
                        std::vector<char*> environment) {
  sigset_t none;
  ::sigemptyset(&none);
  ::setsid();  // a process that was forked leads no group
  for (const int named : named_descriptors(arguments.data()))
    ::fcntl(named, F_SETFD, 0);  // EBADF: there can be no such number
  if (::fcntl(ready.get(), F_SETFD, 0) == 0 && ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0)
    ::syscall(SYS_execveat, self.get(), "", arguments.data(), environment.data(), AT_EMPTY_PATH);
  std::perror("luabox: exec");
  ::_exit(kFailed);
}

/// Whether it has said so; false at the end of file.
bool wait_until_ready(const Fd& ready, pid_t pid, const ForwardedSignals& signals) {
  for (;;) {
    pollfd either[] = {{ready.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
    if (::poll(either, 2, -1) < 0 && errno != EINTR) throw Error("poll", "background");
    if (either[1].revents != 0)
      if (const int signal = signals.take()) ::kill(pid, signal);
    char byte = 0;
    if (either[0].revents != 0) return ::read(ready.get(), &byte, 1) == 1;
  }
}

}  // namespace

int run_in_background() {
  if (::getauxval(AT_SECURE) != 0)
    throw Error("start", "luabox", EPERM, "a luabox that is set-uid starts nothing in the background");
  auto [reader, writer] = open_pipe();
  const Fd self = open_self();
  auto texts = command_line(), variables = environment_with(kKind, std::to_string(writer.get()));
  const auto arguments = pointers_to(texts), environment = pointers_to(variables);
  const ForwardedSignals signals;
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw Error("fork", "luabox");
  if (pid == 0) enter(self, writer, arguments, environment);
  writer.close();
  if (wait_until_ready(reader, pid, signals)) return 0;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) throw Error("waitpid", "luabox");
  return WIFSIGNALED(status) ? ExitStatus{0, WTERMSIG(status)}.shell() : WEXITSTATUS(status);
}

bool in_background() { return handed_over(kKind) != nullptr; }

void tell_ready(const std::string& text) {
  const char* const number = handed_over(kKind);
  if (number == nullptr) return;
  Fd ready(std::atoi(number));
  forget_handover();
  const SignalIgnored broken_pipe(SIGPIPE);
  if (std::fflush(stdout) != 0) throw Error("write", "standard output");
  write_all(STDOUT_FILENO, text, "standard output");
  write_all(ready.get(), "r", "the luabox that was called");
}

}  // namespace luabox
