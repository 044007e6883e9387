#include "engine/interrupt.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "engine/error.hpp"

namespace luabox {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

volatile sig_atomic_t last = 0;
volatile sig_atomic_t count = 0;
constexpr int kPatience = 3;
bool thrown = false, held = false;
// What the handler looks at: the newest one's.
void (*volatile told)(int) = nullptr;
volatile sig_atomic_t patience = 0;

/// An Interrupts, with what it found: whoever goes leaves that to the next newer one.
struct Living {
  unsigned number;
  OnInterrupt what;
  struct sigaction signals[3], alarm;
  bool has_alarm;
  sigset_t mask;
};

std::vector<Living>& living() {
  static std::vector<Living> list;
  return list;
}

void note(int signal) {
  const int saved = errno;
  last = signal;
  count = count + 1;
  if (void (*const tell)(int) = told) tell(signal);
  errno = saved;
}

void tell_newest() {
  const OnInterrupt what = living().empty() ? OnInterrupt() : living().back().what;
  told = what.signal;
  patience = static_cast<sig_atomic_t>(what.seconds);
}

void catch_alarm(Living& made) {
  struct sigaction action = {};
  action.sa_handler = made.what.deadline;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, &made.alarm);
  made.has_alarm = true;
}

void catch_signals(Living& made) {
  struct sigaction action = {};
  action.sa_handler = note;
  sigset_t caught;
  ::sigemptyset(&caught);
  for (size_t i = 0; i < 3; ++i) {
    ::sigaddset(&caught, kSignals[i]);
    ::sigaction(kSignals[i], nullptr, &made.signals[i]);
    const bool kept = kSignals[i] == SIGHUP && made.signals[i].sa_handler == SIG_IGN;  // nohup(1)
    if (!kept) ::sigaction(kSignals[i], &action, nullptr);
  }
  ::sigprocmask(SIG_UNBLOCK, &caught, &made.mask);
}

void restore(const Living& going) {
  if (going.what.seconds > 0) ::alarm(0);
  ::sigprocmask(SIG_SETMASK, &going.mask, nullptr);
  for (size_t i = 0; i < 3; ++i) ::sigaction(kSignals[i], &going.signals[i], nullptr);
  if (going.has_alarm) ::sigaction(SIGALRM, &going.alarm, nullptr);
}

void leave_to(Living& newer, const Living& going) {
  std::copy(going.signals, going.signals + 3, newer.signals);
  newer.mask = going.mask;
  if (!going.has_alarm) return;
  newer.alarm = going.alarm;
  newer.has_alarm = true;
}

}  // namespace

Interrupts::Interrupts(OnInterrupt what) {
  static unsigned latest = 0;
  number_ = ++latest;
  living().push_back({number_, what, {}, {}, false, {}});
  tell_newest();
  if (what.seconds > 0) catch_alarm(living().back());
  catch_signals(living().back());
}

Interrupts::Interrupts(Interrupts&& other) noexcept : number_(std::exchange(other.number_, 0)) {}

Interrupts::~Interrupts() {
  auto& list = living();
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const Living& each) { return each.number == number_; });
  if (found == list.end()) return;
  const Living going = *found;
  const auto newer = list.erase(found);
  if (newer != list.end()) {
    leave_to(*newer, going);
    return;
  }
  restore(going);
  tell_newest();
  if (last != 0) await_answer();
}

void Interrupts::ignore() {
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  for (const int signal : kSignals) ::sigaction(signal, &action, nullptr);
  living().clear();
  tell_newest();
  forget_interrupts();
}

void await_answer() {
  if (patience > 0) ::alarm(static_cast<unsigned>(patience));
}

int interrupted() { return last; }
int interrupts() { return count; }
bool interrupt_was_thrown() { return thrown; }
void note_interrupt_thrown() { thrown = interrupted() != 0; }
void forget_interrupts() {
  last = 0;
  count = 0;
  thrown = false;
}

bool hold_interrupts(bool now) { return std::exchange(held, now); }
bool interrupts_are_held() { return held && interrupts() < kPatience; }

void check_interrupt(const char* op) {
  if (interrupted() == 0 || interrupts_are_held()) return;
  thrown = true;
  throw Error(op, "", EINTR);
}

}  // namespace luabox
