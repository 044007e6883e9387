#include "engine/monitor.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "engine/exec.hpp"
#include "engine/handover.hpp"
#include "engine/monitor_limits.hpp"
#include "engine/network_ahead.hpp"
#include "engine/program_file.hpp"
#include "engine/self.hpp"

namespace luabox {
namespace {

constexpr const char* kKind = "monitor";
constexpr unsigned kNobodyReads = 0111;
constexpr const char* kNothingLost = "000 0";  // an errno, and which output: for the program to write

void keep_over_exec(int fd) { ::fcntl(fd, F_SETFD, 0); }

/// A socket that holds a port; no netlink, no helper's.
bool is_internet_socket(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
         (domain == AF_INET || domain == AF_INET6);
}

/// Calls `f` with each open descriptor above 2.
template <class F>
void each_descriptor(F&& f) {
  std::vector<int> open;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    open.push_back(std::atoi(entry.path().filename().c_str()));
  for (const int fd : open)
    if (fd > STDERR_FILENO) f(fd);
}

/// Whatever has a name or a port. Of the kernel's own kinds (eventfd and the like) the program is told each
/// that it needs.
void keep_open_files(int but) {
  each_descriptor([but](int fd) {
    struct stat status;
    if (fd == but || ::fstat(fd, &status) < 0) return;
    const bool is_file = (status.st_mode & S_IFMT) != 0 && !S_ISSOCK(status.st_mode);
    if (is_file || is_internet_socket(fd)) keep_over_exec(fd);
  });
}

/// The text that engine/monitor_program.cpp reads, up to the locks.
std::string described(const Watched& watched, int self, const std::vector<Relay::Output>& outputs) {
  struct stat file;
  if (::fstat(self, &file) < 0) throw Error("stat", "luabox");
  std::string text = std::to_string(self);
  const auto add = [&](auto number) { text += " " + std::to_string(number); };
  add(file.st_size), add(file.st_mtim.tv_sec), add(file.st_mtim.tv_nsec);
  add(watched.signals->get());
  add(watched.processes.size());
  for (const auto* process : watched.processes) add(process->pidfd());
  add(outputs.size());
  for (const auto& output : outputs) add(output.from), add(output.to);
  text += std::string(" ") + kNothingLost;
  add(watched.locks.size());
  for (const auto* lock : watched.locks) add(lock->number());
  return text + " " + watched.note;
}

/// Numbers, each with one blank behind it.
class Reader {
 public:
  explicit Reader(const char* text) : text_(text) {}
  long number() {
    char* end = nullptr;
    const long value = std::strtol(text_, &end, 10);
    if (end == text_ || *end != ' ')
      throw Error::invalid("monitor", text_, "expected what a monitor was told");
    text_ = end + 1;
    return value;
  }
  int descriptor() { return static_cast<int>(number()); }
  size_t count(int most) {
    const long value = number();
    if (value < 0 || value > most) throw Error::invalid("monitor", std::to_string(value), "expected a count");
    return static_cast<size_t>(value);
  }
  std::vector<int> descriptors(int most) {
    std::vector<int> numbers(count(most));
    for (int& each : numbers) each = descriptor();
    return numbers;
  }
  std::string rest() const { return text_; }

 private:
  const char* text_;
};

/// proc(5), /proc/pid/fdinfo.
int pid_of(int pidfd) {
  const std::string text = read_file("/proc/self/fdinfo/" + std::to_string(pidfd)), field = "\nPid:";
  const size_t at = text.find(field);
  if (at == std::string::npos) throw Error::invalid("monitor", std::to_string(pidfd), "expected a process");
  return std::atoi(text.c_str() + at + field.size());
}

/// Returns, or throws, where it can't be done.
void execute_monitor(const Watched& watched) {
  const Fd program = program_file(SmallProgram::monitor, kNobodyReads);
  if (!program) return;
  const Fd self = open_self();
  std::vector<Relay::Output> outputs;
  for (auto* relay : watched.relays) {
    for (const auto& output : relay->pause()) outputs.push_back(output);
    if (relay->failed() || outputs.size() > kMostOutputs) return;
  }
  auto arguments = command_line();
  auto environment = environment_with(kKind, described(watched, self.get(), outputs));
  keep_open_files(program.get());
  for (const int fd : {self.get(), watched.signals->get()}) keep_over_exec(fd);
  for (const auto* process : watched.processes) keep_over_exec(process->pidfd());
  ::syscall(SYS_execveat, program.get(), "", pointers_to(arguments).data(), pointers_to(environment).data(),
            AT_EMPTY_PATH);
}

}  // namespace

void become_monitor(const Watched& watched) {
  if (watched.locks.size() > kMostMonitored || ::getauxval(AT_SECURE) != 0) return;
  std::fflush(nullptr);
  take_network();  // of no use any more
  try {
    execute_monitor(watched);
  } catch (const std::exception&) {  // too few descriptors, or too little memory: luabox has what it needs
  }
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  for (auto* relay : watched.relays) relay->resume();
}

std::optional<Monitored> monitored() {
  const char* const text = handed_over(kKind);
  if (text == nullptr) return std::nullopt;
  Reader reader(text);
  Fd(reader.descriptor()).close();              // luabox's file
  for (int i = 0; i < 3; ++i) reader.number();  // what it was like
  Fd(reader.descriptor()).close();              // the signals
  Monitored result;
  for (const int fd : reader.descriptors(kMostMonitored))
    result.processes.push_back(Process::adopt(pid_of(fd), Fd(fd)));
  std::vector<Relay::Output> outputs(reader.count(kMostOutputs));
  for (auto& output : outputs) output.from = reader.descriptor(), output.to = reader.descriptor();
  const long code = reader.number();
  const size_t which = reader.count(kMostOutputs - 1);
  if (code != 0) result.lost = Relay::failure(outputs.at(which).to, static_cast<int>(code));
  for (const int fd : reader.descriptors(kMostMonitored)) result.locks.push_back(Lock::adopt(Fd(fd)));
  result.note = reader.rest();
  forget_handover();
  each_descriptor([&](int fd) {
    const auto is_it = [fd](const auto& number) { return number == fd; };
    for (const auto& process : result.processes)
      if (is_it(process.pidfd())) return;
    for (const auto& lock : result.locks)
      if (is_it(lock.number())) return;
    if (!is_internet_socket(fd)) ::close(fd);
  });
  return result;
}

}  // namespace luabox
