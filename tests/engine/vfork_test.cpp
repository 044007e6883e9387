#include "engine/vfork.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "engine/user.hpp"
#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

#define NEEDS_ROOT \
  if (!is_root()) SKIP_TEST("needs root")
#define NEEDS_VFORK \
  if (!can_vfork()) SKIP_TEST("needs a processor that it is written for")

CloneOptions sharing(std::string_view words = "") {
  CloneOptions options = in_namespaces(words);
  options.released = options.vfork = true;
  return options;
}

/// What a child that shares memory, and ends in exec, has written.
Outcome outcome_of_sharing(std::string_view namespaces, const std::function<void()>& body) {
  auto [reader, writer] = make_pipe();
  Process process = Process::clone(sharing(namespaces), [&, out = writer.get()](Channel&) {
    if (::dup2(out, 1) < 0) throw Error("dup2");
    body();
  });
  writer.close();
  process.settle();
  std::string output = read_all(reader.get(), "the program's output");
  return {std::move(output), *process.wait(10)};
}

std::string own_command_line() { return slurp("/proc/self/cmdline"); }

}  // namespace

TEST_CASE("a child that shares memory has executed its program when its parent goes on") {
  NEEDS_VFORK;
  int seen = 0;
  bool shared = false;
  Process process = Process::clone(sharing(), [&](Channel&) {
    ++seen;
    shared = shares_memory() && parent_channel() != nullptr;
    exec({{"/bin/sh", "-c", "exit 7"}, {}});
  });
  CHECK(seen == 1);
  CHECK(shared);
  CHECK_FALSE(shares_memory());
  CHECK(parent_channel() == nullptr);
  process.settle();
  process.settle();
  CHECK(process.wait(10)->code == 7);
  CHECK(code_of([&] { process.release(); }) == EINVAL);
}

TEST_CASE("what a child that shares memory raises, and its death, are told as a copy's") {
  NEEDS_VFORK;
  Process failing = Process::clone(sharing(), [](Channel&) { throw Error("mount", "/somewhere", ENOTDIR); });
  try {
    failing.settle();
    FAIL("it passed for a success");
  } catch (const ChildError& error) {
    CHECK(error.op() == "mount");
    CHECK(error.object() == "/somewhere");
    CHECK(error.code() == ENOTDIR);
  }
  Process killed = Process::clone(sharing(), [](Channel&) { ::raise(SIGKILL); });
  try {
    killed.settle();
    FAIL("it passed for a success");
  } catch (const Error& error) {
    CHECK(error.object() == "signal 9");
  }
  Process missing = Process::clone(sharing(), [](Channel&) { exec({{"/no/such/program"}, {}}); });
  CHECK(code_of([&] { missing.settle(); }) == ENOENT);
}

TEST_CASE("a parent that must do something for its child can't share memory with it") {
  CloneOptions waiting = sharing();
  waiting.released = false;
  CHECK(code_of([&] { Process::clone(waiting, [](Channel&) {}); }) == EINVAL);
  CHECK(code_of([&] { Process::clone(sharing("user"), [](Channel&) {}); }) == EINVAL);
}

TEST_CASE("the descriptors of a child that shares memory are its own") {
  NEEDS_VFORK;
  const Fd kept = Fd::open("/dev/null", O_RDONLY);
  const auto outcome = outcome_of_sharing("", [number = kept.get()] {
    ::close(number);
    if (::dup2(0, 77) < 0) throw Error("dup2");
    exec({{"/bin/sh", "-c", "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done"}, {}});
  });
  CHECK_THAT(outcome.output, Catch::StartsWith("0\n1\n2\n"));
  CHECK(::fcntl(kept.get(), F_GETFD) == FD_CLOEXEC);
  CHECK(::fcntl(77, F_GETFD) < 0);
}

TEST_CASE("among many descriptors a child that shares memory has none of those that are set aside") {
  NEEDS_VFORK;
  std::vector<Fd> kept;
  for (int i = 0; i < 200; ++i) {
    kept.push_back(Fd::open("/dev/null", O_RDONLY));
    kept.back().set_aside();
  }
  REQUIRE(many_aside());
  const int aside = kept.back().get();
  bool there = true;
  Process process = Process::clone(sharing(), [&](Channel&) {
    there = ::fcntl(aside, F_GETFD) >= 0;
    exec({{"true"}, {}});
  });
  process.settle();
  CHECK_FALSE(there);
  CHECK(::fcntl(aside, F_GETFD) == FD_CLOEXEC);
  CHECK(process.wait(10)->code == 0);
}

TEST_CASE("below an init that shared memory a program runs as below any other") {
  NEEDS_ROOT;
  NEEDS_VFORK;
  remember_command_line(1, &program_invocation_name);
  const std::string before = own_command_line();
  const auto outcome = outcome_of_sharing("pid mount", [] {
    if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) throw Error("mount", "/");
    if (::mount("proc", "/proc", "proc", 0, nullptr) < 0) throw Error("mount", "/proc");
    exec_below_init(
        {{"/bin/sh", "-c",
          "tr '\\0' ' ' < /proc/1/cmdline; cat /proc/1/comm; readlink /proc/1/exe; ls /proc/1/fd; "
          "kill -HUP 1; (true &); sleep 10; kill -9 $$"},
         {}});
  });
  CHECK_THAT(outcome.output, Catch::StartsWith("init "));
  CHECK_THAT(outcome.output, Catch::Contains("init\n/memfd:init (deleted)\n"));
  CHECK(outcome.output.find("(deleted)\n") + 10 == outcome.output.size());  // no descriptor
  CHECK(outcome.status.code == 128 + SIGHUP);
  CHECK(own_command_line() == before);
}

TEST_CASE("below an init that shared memory a failed exec is told") {
  NEEDS_ROOT;
  NEEDS_VFORK;
  remember_command_line(1, &program_invocation_name);
  const std::string before = own_command_line();
  for (int i = 0; i < 20; ++i) {
    Process process = Process::clone(sharing("pid"), [](Channel&) {
      exec_below_init({{"/no/such/program"}, {}});
    });
    CHECK(code_of([&] { process.settle(); }) == ENOENT);
  }
  CHECK(own_command_line() == before);
}

TEST_CASE("a child that shares memory leaves its parent as dumpable as it was") {
  NEEDS_VFORK;
  const int before = ::prctl(PR_GET_DUMPABLE);
  for (const int wanted : {0, 1}) {
    ::prctl(PR_SET_DUMPABLE, wanted);
    Process process = Process::clone(sharing(), [&](Channel&) {
      ::prctl(PR_SET_DUMPABLE, 1 - wanted);
      exec({{"true"}, {}});
    });
    CHECK(::prctl(PR_GET_DUMPABLE) == wanted);
    process.settle();
    CHECK(process.wait(10)->code == 0);
  }
  ::prctl(PR_SET_DUMPABLE, before);
}

TEST_CASE("a child that shares memory ends with its parent") {
  NEEDS_VFORK;
  auto [reader, writer] = make_pipe();
  std::fflush(nullptr);
  const pid_t middle = ::fork();
  if (middle == 0) {
    Process process = Process::clone(sharing(), [&, out = writer.get()](Channel&) {
      if (::dup2(out, 1) < 0) throw Error("dup2");
      exec({{"/bin/sh", "-c", "echo $$; exec sleep 100"}, {}});
    });
    for (;;) ::pause();
  }
  writer.close();
  char number[16] = {};
  REQUIRE(::read(reader.get(), number, sizeof number - 1) > 0);
  const Fd program = open_process(std::atoi(number));
  CHECK_FALSE(readable(program.get(), 0.1));
  ::kill(middle, SIGKILL);
  ::waitpid(middle, nullptr, 0);
  CHECK(readable(program.get(), 5));
}
