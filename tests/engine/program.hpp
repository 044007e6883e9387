// What tests of processes share: programs that are cloned and watched, and processes that are not our
// children.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include <chrono>
#include <utility>

#include "engine/exec.hpp"
#include "engine/process.hpp"
#include "tests/engine/sandbox.hpp"

namespace luabox::test {

inline std::pair<Fd, Fd> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) throw Error("pipe2");
  return {Fd(ends[0]), Fd(ends[1])};
}

/// A process by its number, whoever's child it is: what it is not is reused.
inline Fd open_process(int pid) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) throw Error("pidfd_open", std::to_string(pid));
  return fd;
}

inline bool readable(int fd, double seconds) {
  pollfd ready = {fd, POLLIN, 0};
  return ::poll(&ready, 1, static_cast<int>(seconds * 1000)) == 1;
}

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline CloneOptions in_namespaces(std::string_view words) { return {Namespaces::parse(words), {}, -1}; }

/// A child that does nothing until it is killed.
inline Process sleeper(const CloneOptions& options = {}) {
  Process process = Process::clone(options, [](Channel&) { exec({{"sleep", "100"}, {}}); });
  process.release();
  return process;
}

struct Outcome {
  std::string output;
  ExitStatus status;
};

/// Clones a child whose output is a pipe; `body` ends in exec.
inline Outcome outcome_of(const CloneOptions& options, const std::function<void()>& body) {
  auto [reader, writer] = make_pipe();
  Process process = Process::clone(options, [&, out = writer.get()](Channel&) {
    if (::dup2(out, 1) < 0) throw Error("dup2");
    body();
  });
  writer.close();
  process.release();
  std::string output = read_all(reader.get(), "the program's output");
  return {std::move(output), *process.wait()};
}

}  // namespace luabox::test
