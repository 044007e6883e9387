#include "engine/relay.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "engine/bare_call.hpp"
#include "engine/carrying.hpp"
#include "engine/error.hpp"

namespace luabox {

/// What the thread and this process share; the child of a clone has none of it. `running` is the thread's id
/// until the kernel clears it at its end (CLONE_CHILD_CLEARTID) and wakes who waits.
struct Relay::Carrier {
  std::array<int, 2> from = {-1, -1};  // the thread's, once it runs
  std::array<int, 2> to = {-1, -1};
  int stop = -1;
  int32_t running = 0;
  int failed = 0;  // an errno
  int failed_at = 0;
  char buffer[32768];
  alignas(16) char stack[8192];
};

namespace {

constexpr size_t kMapped = 65536;

const char* name_of(int output) {
  if (output == STDOUT_FILENO) return "standard output";
  return output == STDERR_FILENO ? "standard error" : "its output file";
}

bool is_output_file(int fd, struct stat& status) {
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
         (::fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
}

// The thread. It has this process's thread pointer, so it may touch nothing of the C library's: errno, stack
// protector and the like.
#define LUABOX_BARE gnu::optimize("no-stack-protector"), gnu::no_sanitize("address", "undefined")

[[LUABOX_BARE]] void drop(Relay::Carrier& carrier, int which) {
  bare::call(SYS_close, carrier.from[which]);
  carrier.from[which] = -1;
}

[[LUABOX_BARE]] void carry_some(Relay::Carrier& carrier, int which) {
  const long count =
      bare::call(SYS_read, carrier.from[which], bare::address(carrier.buffer), sizeof carrier.buffer);
  if (count == -EAGAIN) return;  // who writes may read, too: by /proc/self/fd
  if (count <= 0) return drop(carrier, which);
  for (long done = 0; done < count;) {
    const long written =
        bare::call(SYS_write, carrier.to[which], bare::address(carrier.buffer + done), count - done);
    if (written <= 0) {
      carrier.failed = written < 0 ? static_cast<int>(-written) : EIO;
      carrier.failed_at = carrier.to[which];
      if (!may_pass(carrier.failed_at, carrier.failed)) drop(carrier, which);
      return;
    }
    done += written;
  }
}

[[LUABOX_BARE]] int carry(void* argument) {
  auto& carrier = *static_cast<Relay::Carrier*>(argument);
  for (size_t left = kMostInPipe / sizeof carrier.buffer; left > 0;) {
    pollfd ready[3] = {{carrier.from[0], POLLIN, 0}, {carrier.from[1], POLLIN, 0}, {carrier.stop, POLLIN, 0}};
    if (bare::call(SYS_ppoll, bare::address(ready), 3) < 0) continue;
    bool quiet = true;
    for (int which = 0; which < 2; ++which) {
      if (ready[which].revents == 0) continue;
      quiet = false;
      carry_some(carrier, which);
    }
    if (ready[2].revents != 0) left = quiet ? 0 : left - 1;
  }
  bare::call(SYS_exit, 0);
  return 0;
}

}  // namespace

Relay::Relay(std::unique_ptr<Carrier, void (*)(Carrier*)> carrier, std::array<int, 2> pipe_of)
    : carrier_(std::move(carrier)), pipe_of_(pipe_of) {}

Relay::Relay(Relay&& other) noexcept = default;

std::optional<Relay> Relay::of(const std::vector<int>& descriptors) {
  std::array<struct stat, 2> found = {};
  std::array<int, 2> pipe_of = {-1, -1};
  for (const int fd : descriptors) {
    if (fd != STDOUT_FILENO && fd != STDERR_FILENO)
      throw Error::invalid("relay", std::to_string(fd), "expected 1 or 2");
    if (is_output_file(fd, found[fd - 1])) pipe_of[fd - 1] = fd - 1;
  }
  if (pipe_of[0] < 0 && pipe_of[1] < 0) return std::nullopt;
  const bool same = found[0].st_dev == found[1].st_dev && found[0].st_ino == found[1].st_ino;
  if (pipe_of[0] >= 0 && pipe_of[1] >= 0 && same) pipe_of[1] = 0;
  return with(pipe_of, {STDOUT_FILENO, STDERR_FILENO});
}

Relay Relay::into(int file) { return with({0, 0}, {file, file}); }

Relay Relay::with(std::array<int, 2> pipe_of, std::array<int, 2> files) {
  static_assert(sizeof(Carrier) <= kMapped);
  void* const memory = ::mmap(nullptr, kMapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw Error("mmap", "relay");
  Relay relay({new (memory) Carrier, [](Carrier* carrier) { ::munmap(carrier, kMapped); }}, pipe_of);
  if (::madvise(memory, kMapped, MADV_DONTFORK) < 0) throw Error("madvise", "MADV_DONTFORK");
  relay.begin(files);
  return relay;
}

void Relay::begin(std::array<int, 2> files) {
  std::array<Fd, 2> readers;
  for (int which = 0; which < 2; ++which) {
    if (pipe_of_[which] != which) continue;
    std::tie(readers[which], writers_[which]) = open_pipe();
    readers[which].set_aside();
    // What poll(2) has promised may be gone.
    if (::fcntl(readers[which].get(), F_SETFL, O_NONBLOCK) < 0) throw Error("fcntl", "O_NONBLOCK");
    carrier_->from[which] = readers[which].get(), carrier_->to[which] = files[which];
  }
  start_thread();
  for (auto& reader : readers)
    if (reader) reader.release();
}

void Relay::start_thread() {
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!stop_) throw Error("eventfd");
  stop_.set_aside();
  carrier_->stop = stop_.get();
  carrier_->running = 1;
  // No handler of a signal may run on the thread.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const int made =
      ::clone(carry, carrier_->stack + sizeof carrier_->stack,
              CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID,
              carrier_.get(), nullptr, nullptr, &carrier_->running);
  const int code = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (made < 0) {
    carrier_->running = 0;
    throw Error("clone", "the thread that carries output", code);
  }
  owner_ = ::getpid();
}

Relay::~Relay() {
  try {
    finish();
  } catch (const Error&) {  // nobody is left to be told
  }
}

void Relay::enter() const {
  for (int which = 0; which < 2; ++which)
    if (pipe_of_[which] >= 0 && ::dup2(writers_[pipe_of_[which]].get(), which + 1) < 0)
      throw Error("dup2", name_of(which + 1));
}

void Relay::end_thread() {
  const uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof one) != sizeof one) throw Error("write", "eventfd");
  while (const int32_t running = __atomic_load_n(&carrier_->running, __ATOMIC_ACQUIRE))
    ::syscall(SYS_futex, &carrier_->running, FUTEX_WAIT, running, nullptr, nullptr, 0);
  stop_.close();
}

std::vector<Relay::Output> Relay::pause() {
  if (!carrier_ || owner_ != ::getpid()) return {};
  end_thread();
  for (auto& writer : writers_) writer.close();
  std::vector<Output> outputs;
  for (int which = 0; which < 2; ++which)
    if (carrier_->from[which] >= 0) outputs.push_back({carrier_->from[which], carrier_->to[which]});
  return outputs;
}

void Relay::resume() {
  if (carrier_ && owner_ == ::getpid() && !stop_) start_thread();
}

bool Relay::failed() const { return carrier_ && carrier_->failed != 0; }

Error Relay::failure(int to, int code) { return Error("write", name_of(to), code); }

void Relay::finish() {
  if (!carrier_ || owner_ != ::getpid()) return;  // in the child of a clone there is no thread
  end_thread();
  for (auto& writer : writers_) writer.close();
  for (const int reader : carrier_->from) Fd(reader).close();
  const int failed = carrier_->failed, at = carrier_->failed_at;
  carrier_.reset();
  if (failed != 0) throw failure(at, failed);
}

}  // namespace luabox
