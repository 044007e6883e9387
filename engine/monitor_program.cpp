// The program that stands by containers in luabox's place (engine/monitor.hpp), until all have ended; then it
// is luabox again.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

#include "engine/bare_program.hpp"
#include "engine/carrying.hpp"
#include "engine/monitor_limits.hpp"

namespace {

using luabox::bare::address;
using luabox::bare::call;

constexpr int kFailed = 125;
constexpr int kTries = 30;
constexpr long kMostCarried = 16384;  // bytes at a time

/// A pipe that a container writes to, and the caller's file behind it.
struct Output {
  int from, to;
};

/// What the text says, which luabox has written for it.
class Watch {
 public:
  explicit Watch(char* text) : text_(text) {
    self_ = take();
    size_ = take_long(), seconds_ = take_long(), nanoseconds_ = take_long();
    ready_[0] = {take(), POLLIN, 0};
    running_ = processes_ = take();
    for (int i = 0; i < processes_; ++i) ready_[1 + i] = {take(), POLLIN, 0};
    outputs_ = take();
    for (int i = 0; i < outputs_; ++i) {
      ready_[1 + processes_ + i] = {take(), POLLIN, 0};
      to_[i] = take();
    }
  }

  int self() const { return self_; }
  long size() const { return size_; }
  long seconds() const { return seconds_; }
  long nanoseconds() const { return nanoseconds_; }
  bool runs() const { return running_ > 0; }

  /// Waits until something happens, at most `timeout`; false when nothing did.
  bool serve(const timespec* timeout) {
    if (call(SYS_ppoll, address(ready_), 1 + processes_ + outputs_, address(timeout)) <= 0) return false;
    if (ready_[0].revents != 0) pass_signal_on();
    for (int i = 1; i <= processes_; ++i)
      if (ready_[i].revents != 0) ready_[i].fd = -1, --running_;
    bool carried = false;
    for (int i = 0; i < outputs_; ++i)
      if (ready_[1 + processes_ + i].revents != 0) carried = true, carry(i);
    return carried || running_ > 0;
  }

 private:
  long take_long() {
    const long number = luabox::bare::take_number(text_);
    ++text_;
    return number;
  }
  int take() { return static_cast<int>(take_long()); }

  void pass_signal_on() {
    signalfd_siginfo info;
    info.ssi_signo = 0;
    if (call(SYS_read, ready_[0].fd, address(&info), sizeof info) != sizeof info) return;
    for (int i = 1; i <= processes_; ++i)
      if (ready_[i].fd >= 0) call(SYS_pidfd_send_signal, ready_[i].fd, info.ssi_signo);
  }

  void carry(int which) {
    char buffer[kMostCarried];
    int& from = ready_[1 + processes_ + which].fd;
    const long count = call(SYS_read, from, address(buffer), sizeof buffer);
    if (count == -EINTR || count == -EAGAIN) return;  // the container itself may have read it
    long written = 0;
    for (long done = 0; done < count; done += written) {
      written = call(SYS_write, to_[which], address(buffer + done), count - done);
      if (written > 0) continue;
      lose(written < 0 ? -written : EIO, which);
      if (luabox::may_pass(to_[which], -written)) return;
      break;
    }
    if (count > 0 && written > 0) return;
    call(SYS_close, from);  // who goes on to write gets EPIPE
    from = -1;
  }

  /// Writes down why which output could not take what was written, in digits that are there for it.
  void lose(long error, int which) {
    for (int place = 100, i = 0; place > 0; place /= 10, ++i)
      text_[i] = static_cast<char>('0' + error / place % 10);
    text_[4] = static_cast<char>('0' + which);
  }

  char* text_;
  long size_, seconds_, nanoseconds_;  // of luabox's file, and when it was written
  int self_, processes_, outputs_, running_;
  int to_[luabox::kMostOutputs];
  pollfd ready_[1 + luabox::kMostMonitored + luabox::kMostOutputs];
};

/// Returns where it can't be for seconds: a host whose memory is used up may have some in a moment.
void become_luabox(int self, char** arguments, char** environment) {
  const char empty[] = "";
  for (int tries = 0; tries < kTries; ++tries) {
    call(SYS_execveat, self, address(empty), address(arguments), address(environment), AT_EMPTY_PATH);
    timespec pause = {0, 100000000};  // which the call changes
    call(SYS_ppoll, 0, 0, address(&pause));
  }
}

/// Whether luabox's file is what it was: nothing keeps it from being overwritten while nobody executes it.
bool is_unchanged(const Watch& watch) {
  struct stat now;
  now.st_size = -1;  // no initializer: it could become a call of memset
  now.st_mtim = {};
  const char empty[] = "";
  return call(SYS_newfstatat, watch.self(), address(empty), address(&now), AT_EMPTY_PATH) == 0 &&
         now.st_size == watch.size() && now.st_mtim.tv_sec == watch.seconds() &&
         now.st_mtim.tv_nsec == watch.nanoseconds();
}

template <int size>
void say(const char (&text)[size]) {
  call(SYS_write, 2, address(text), size - 1);
}

/// Behind "LUABOX_HANDOVER=monitor "; nullptr where there is none.
char* handed_over(char** environment) {
  const char wanted[] = {'L', 'U', 'A', 'B', 'O', 'X', '_', 'H', 'A', 'N', 'D', 'O',
                         'V', 'E', 'R', '=', 'm', 'o', 'n', 'i', 't', 'o', 'r', ' '};
  for (; *environment != nullptr; ++environment) {
    unsigned same = 0;
    while (same < sizeof wanted && (*environment)[same] == wanted[same]) ++same;
    if (same == sizeof wanted) return *environment + same;
  }
  return nullptr;
}

}  // namespace

extern "C" [[noreturn, gnu::used]] void luabox_program(long* stack) {
  call(SYS_prctl, PR_SET_DUMPABLE, 0);
  const char name[] = "luabox";
  call(SYS_prctl, PR_SET_NAME, address(name));
  char** const arguments = reinterpret_cast<char**>(stack + 1);
  char** const environment = arguments + *stack + 1;
  if (char* const text = handed_over(environment)) {
    Watch watch(text);
    while (watch.runs()) watch.serve(nullptr);
    const timespec now = {0, 0};
    for (long left = luabox::kMostInPipe / kMostCarried; left > 0 && watch.serve(&now); --left) {
    }
    if (is_unchanged(watch)) become_luabox(watch.self(), arguments, environment);
    if (!is_unchanged(watch)) say("luabox: its own file was written to meanwhile\n");
  }
  say("luabox: the program could not be executed again: 'luabox gc' removes what is left\n");
  call(SYS_exit_group, kFailed);
  __builtin_unreachable();
}
