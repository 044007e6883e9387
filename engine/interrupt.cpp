#include "engine/interrupt.hpp"

#include <cerrno>
#include <utility>

#include "engine/error.hpp"

namespace luabox {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

volatile sig_atomic_t last = 0;
volatile sig_atomic_t count = 0;
constexpr int kPatience = 3;
bool thrown = false, held = false;
void (*told)(int) = nullptr;

void note(int signal) {
  const int saved = errno;
  last = signal;
  count = count + 1;
  if (told != nullptr) told(signal);
  errno = saved;
}

}  // namespace

Interrupts::Interrupts(void (*on_signal)(int)) {
  told = on_signal;
  struct sigaction action = {};
  action.sa_handler = note;
  for (size_t i = 0; i < 3; ++i) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    const bool kept = kSignals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN;  // nohup(1)
    if (!kept) ::sigaction(kSignals[i], &action, nullptr);
  }
  sigset_t caught;
  ::sigemptyset(&caught);
  for (const int signal : kSignals) ::sigaddset(&caught, signal);
  ::sigprocmask(SIG_UNBLOCK, &caught, &mask_);
}

Interrupts::Interrupts(Interrupts&& other) noexcept : mask_(other.mask_), owner_(other.owner_) {
  for (size_t i = 0; i < 3; ++i) before_[i] = other.before_[i];
  other.owner_ = false;
}

Interrupts::~Interrupts() {
  if (!owner_) return;
  ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
  for (size_t i = 0; i < 3; ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  told = nullptr;
}

void Interrupts::ignore() {
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  for (const int signal : kSignals) ::sigaction(signal, &action, nullptr);
  owner_ = false;
  told = nullptr;
  forget_interrupts();
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
