#include "engine/supervisor.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/error.hpp"
#include "engine/terminal.hpp"

namespace luabox {
namespace {

constexpr int kForwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
constexpr size_t kMostBuffered = 65536;
constexpr int kForegroundMilliseconds = 200;  // no signal tells a running job that it came to the foreground

constexpr double kForever = 2e6;  // seconds

using Clock = std::chrono::steady_clock;

Clock::duration in_clock(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

/// As poll(2) takes it: -1 for a moment that never comes.
int milliseconds_until(Clock::time_point end) {
  if (end == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, INT_MAX));
}

/// Under nohup(1) a hangup is nothing to pass on.
bool is_ignored(int signal) {
  struct sigaction action;
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

sigset_t forwarded() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : kForwarded)
    if (signal != SIGHUP || !is_ignored(signal)) ::sigaddset(&set, signal);
  return set;
}

/// Bytes on their way from one descriptor to another; reads only while there is room, so a slow reader slows
/// the writer.
class Stream {
 public:
  Stream(int from, int to) : from_(from), to_(to) {}
  /// `name` is for errors: what can't be written there must not be lost.
  Stream(int from, int to, const char* name)
      : from_(from), to_(to), name_(name), hangs_up_(::isatty(to) == 1) {}

  pollfd wants_input() const { return {open_ && pending_.size() < kMostBuffered ? from_ : -1, POLLIN, 0}; }
  pollfd wants_output() const { return {pending_.empty() ? -1 : to_, POLLOUT, 0}; }

  /// False at the end: end of file, or EIO from a pty whose other side has no opener left.
  bool fill() {
    std::array<char, 16384> buffer;
    const ssize_t count = ::read(from_, buffer.data(), buffer.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (count <= 0) return open_ = false;
    pending_.append(buffer.data(), static_cast<size_t>(count));
    return true;
  }
  void drain() {
    // What poll(2) promises room for in a pipe: a longer write would block, and signals wait meanwhile.
    const ssize_t count = ::write(to_, pending_.data(), std::min<size_t>(pending_.size(), PIPE_BUF));
    if (count >= 0)
      pending_.erase(0, static_cast<size_t>(count));
    else if (errno != EINTR && errno != EAGAIN)
      lose();
  }
  /// At the end: all that is still to be read without waiting, then all that is still to be written. Nobody
  /// is left to pass a signal on to: one that means to end us ends the waiting for a reader that doesn't
  /// read.
  void finish(const ForwardedSignals& signals) {
    pollfd ready = {from_, POLLIN, 0};
    while (open_ && ::poll(&ready, 1, 0) > 0 && (ready.revents & POLLIN) != 0 && fill()) flush(signals);
    flush(signals);
  }

 private:
  /// errno says why what is pending can't be written.
  void lose() {
    const bool hung_up = hangs_up_ && errno == EIO;
    if (name_ != nullptr && !hung_up) throw Error("write", name_);
    pending_.clear();
    // A terminal that hung up is told by SIGHUP. Who minds that not writes on: he must not wait for a reader.
    if (!hung_up) open_ = false;
  }

  void flush(const ForwardedSignals& signals) {
    while (!pending_.empty()) {
      pollfd ready[] = {{to_, POLLOUT, 0}, {signals.get(), POLLIN, 0}};
      if (::poll(ready, 2, -1) < 0 && errno != EINTR) return;
      if (ready[0].revents != 0) drain();
      if (ready[1].revents != 0 && signals.pending()) pending_.clear(), open_ = false;
    }
  }

  int from_, to_;
  const char* name_ = nullptr;
  bool hangs_up_ = false;
  bool open_ = true;
  std::string pending_;
};

void take_signal(const ForwardedSignals& signals, const std::vector<Process*>& processes, int terminal) {
  const int signal = signals.take();
  if (signal == 0) return;
  if (signal == SIGWINCH && terminal >= 0) {
    if (const auto size = window_size(0)) set_window_size(terminal, *size);
    return;
  }
  for (const auto* process : processes) process->kill(signal);
}

/// Whether descriptor 0, a terminal, is this job's to read and to set: a shell's background job would be
/// stopped.
bool in_foreground() {
  const pid_t group = ::tcgetpgrp(0);
  return group < 0 || group == ::getpgrp();
}

/// What poll(2) watches, in this order: the signals, the terminal's four directions, the processes that still
/// run.
std::vector<pollfd> watched(const std::vector<Process*>& processes, const ForwardedSignals& signals,
                            const Stream& in, const Stream& out) {
  std::vector<pollfd> ready = {
      {signals.get(), POLLIN, 0}, in.wants_input(), in.wants_output(), out.wants_input(), out.wants_output()};
  for (auto* process : processes)
    if (!process->wait(0)) ready.push_back({process->pidfd(), POLLIN, 0});
  return ready;
}

}  // namespace

ForwardedSignals::ForwardedSignals() : before_() {
  const sigset_t set = forwarded();
  if (::sigprocmask(SIG_BLOCK, &set, &before_) < 0) throw Error("sigprocmask");
  fd_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_) throw Error("signalfd");
}

ForwardedSignals::ForwardedSignals(ForwardedSignals&& other) noexcept
    : fd_(std::move(other.fd_)), before_(other.before_), owner_(std::exchange(other.owner_, false)) {}

ForwardedSignals::~ForwardedSignals() {
  if (owner_) ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

int ForwardedSignals::take() const {
  signalfd_siginfo info;
  return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

bool ForwardedSignals::pending() const {
  bool ending = false;
  while (const int signal = take())
    ending |= signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
  return ending;
}

bool supervise(const std::vector<Process*>& processes, const ForwardedSignals& signals, int terminal,
               double patience) {
  const auto end =
      patience < 0 || patience > kForever ? Clock::time_point::max() : Clock::now() + in_clock(patience);
  const bool person = terminal >= 0 && ::isatty(0) == 1;
  std::unique_ptr<RawMode> raw;
  if (const auto size = terminal >= 0 ? window_size(0) : std::nullopt) set_window_size(terminal, *size);
  // A program that does not read what is typed must not stop its output: a write to its terminal never
  // blocks.
  if (terminal >= 0 && ::fcntl(terminal, F_SETFL, ::fcntl(terminal, F_GETFL) | O_NONBLOCK) < 0)
    throw Error("fcntl", "terminal");
  Stream in(terminal >= 0 ? 0 : -1, terminal), out(terminal, 1, "standard output");
  for (;;) {
    if (person && !raw && in_foreground()) raw = std::make_unique<RawMode>(0);
    auto ready = watched(processes, signals, in, out);
    if (ready.size() == 5) break;
    const bool waits = person && !raw;  // what is typed is another job's meanwhile
    if (waits) ready[1].fd = -1;
    const int left = milliseconds_until(end);
    if (left == 0) return false;
    if (::poll(ready.data(), ready.size(), waits ? kForegroundMilliseconds : left) < 0) {
      if (errno == EINTR) continue;
      throw Error("poll");
    }
    if (ready[0].revents != 0) take_signal(signals, processes, terminal);
    if (ready[1].revents != 0) in.fill();
    if (ready[2].revents != 0) in.drain();
    if (ready[3].revents != 0) out.fill();
    if (ready[4].revents != 0) out.drain();
  }
  if (terminal >= 0) out.finish(signals);
  return true;
}

}  // namespace luabox
