#include "engine/interrupt.hpp"

#include <unistd.h>

#include <optional>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

volatile sig_atomic_t told_first = 0, told_second = 0, late = 0;

void first(int) { told_first = told_first + 1; }
void second(int) { told_second = told_second + 1; }
void deadline(int) { late = late + 1; }

void (*handler_of(int signal))(int) {
  struct sigaction action;
  if (::sigaction(signal, nullptr, &action) < 0) throw Error("sigaction");
  return action.sa_handler;
}

bool is_blocked(int signal) {
  sigset_t mask;
  if (::sigprocmask(SIG_SETMASK, nullptr, &mask) < 0) throw Error("sigprocmask");
  return ::sigismember(&mask, signal) == 1;
}

}  // namespace

TEST_CASE("the newest interrupts are told, and when they have gone those before them") {
  in_child(0, [] {
    const auto before = handler_of(SIGTERM);
    std::optional<Interrupts> outer(std::in_place, OnInterrupt{&first});
    std::optional<Interrupts> inner(std::in_place, OnInterrupt{&second});
    ::raise(SIGTERM);
    expect(told_first == 0 && told_second == 1, "the inner ones to be told");
    inner.reset();
    ::raise(SIGINT);
    expect(told_first == 1 && told_second == 1, "the outer ones to be told");
    expect(interrupted() == SIGINT && interrupts() == 2, "two to be counted");
    outer.reset();
    expect(handler_of(SIGTERM) == before, "what was there before");
  });
}

TEST_CASE("interrupts that go out of order leave what was there before the first") {
  in_child(0, [] {
    const auto before = handler_of(SIGTERM);
    sigset_t held;
    ::sigemptyset(&held);
    ::sigaddset(&held, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &held, nullptr);
    std::optional<Interrupts> older(std::in_place, OnInterrupt{&first, &deadline, 100});
    std::optional<Interrupts> newer(std::in_place, OnInterrupt{&second});
    older.reset();
    expect(!is_blocked(SIGTERM), "the newer ones to be told still");
    ::raise(SIGTERM);
    expect(told_first == 0 && told_second == 1, "the newer ones to be told");
    newer.reset();
    expect(handler_of(SIGTERM) == before && handler_of(SIGALRM) == SIG_DFL, "the handlers of before");
    expect(is_blocked(SIGTERM), "the mask of before");
  });
}

TEST_CASE("a deadline is that of the interrupts that are told, and no other's is left running") {
  in_child(0, [] {
    const Interrupts outer(OnInterrupt{&first, &deadline, 1});
    {
      const Interrupts inner(OnInterrupt{&second, &deadline, 100});
      await_answer();
      expect(::alarm(100) > 90, "the inner ones' seconds");
    }
    expect(::alarm(0) == 0, "none running");
    await_answer();
    expect(::alarm(0) == 1, "the outer ones' seconds");
    {
      const Interrupts without(OnInterrupt{&second});
      await_answer();
      expect(::alarm(0) == 0, "none without a deadline");
      ::raise(SIGTERM);
    }
    expect(::alarm(0) == 1, "what came meanwhile to be answered outside");
    await_answer();
    while (late == 0) ::pause();
  });
}

TEST_CASE("what is ignored stays so when the interrupts outside go") {
  in_child(0, [] {
    {
      const Interrupts outer(OnInterrupt{&first});
      Interrupts inner(OnInterrupt{&second});
      inner.ignore();
    }
    expect(handler_of(SIGTERM) == SIG_IGN && handler_of(SIGHUP) == SIG_IGN, "them to be ignored");
    ::raise(SIGTERM);
    expect(interrupts() == 0, "nothing to be counted");
  });
}
