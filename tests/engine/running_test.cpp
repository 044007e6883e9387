#include "engine/running.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

#define NEEDS_ROOT \
  if (!is_root()) SKIP_TEST("needs root")

}  // namespace

TEST_CASE("a process is found by its pid and its start time together") {
  const Process process = sleeper();
  const Running found = Running::find(process.pid(), start_time(process.pid()));
  CHECK(found.alive());
  CHECK(found.pid() == process.pid());
  CHECK_FALSE(found.wait_for_end(0.01));
  CHECK(found.kill(SIGKILL));
  CHECK(found.wait_for_end(5));
  CHECK_FALSE(found.alive());
}

TEST_CASE("another process that has the pid now is not taken for it") {
  const Process process = sleeper();
  const std::string started = start_time(process.pid());
  CHECK(code_of([&] { Running::find(process.pid(), started + "0"); }) == ESRCH);
  CHECK(code_of([&] { Running::find(process.pid(), ""); }) == ESRCH);
}

TEST_CASE("one that has ended is not found, and answers nothing any more") {
  Process process = sleeper();
  const int pid = process.pid();
  const std::string started = start_time(pid);
  Running found = Running::find(pid, started);
  process.kill(SIGKILL);
  REQUIRE(found.wait_for_end(5));
  CHECK(code_of([&] { Running::find(pid, started); }) == ESRCH);  // not reaped yet
  CHECK(code_of([&] { (void)found.root(); }) != 0);
  CHECK(code_of([&] { (void)found.foreign_namespaces(); }) != 0);
  process.wait();
  CHECK(code_of([&] { start_time(pid); }) == ESRCH);
  CHECK(code_of([&] { Running::find(pid, started); }) == ESRCH);
  CHECK_FALSE(found.kill(SIGTERM));
}

TEST_CASE("a name with blanks and parentheses doesn't hide the start time") {
  Sandbox box;
  const auto program = box.path() / "a) R 1 (2";
  std::filesystem::create_symlink("/bin/sleep", program);
  const Process before = sleeper();
  Process odd = Process::clone({}, [&](Channel&) { exec({{program.string(), "100"}, {}}); });
  const std::string first = start_time(odd.pid());  // by the name of this program still
  odd.release();
  REQUIRE(slurp("/proc/" + std::to_string(odd.pid()) + "/comm").starts_with("a) R 1"));
  CHECK(start_time(odd.pid()) == first);
  CHECK(std::stoll(first) >= std::stoll(start_time(before.pid())));
}

TEST_CASE("the namespaces told are those that are not our own, user first") {
  NEEDS_ROOT;
  const Process same = sleeper();
  CHECK(Running::find(same.pid(), start_time(same.pid())).foreign_namespaces().empty());
  const Process other = sleeper(in_namespaces("net uts user"));
  std::string words;
  for (const auto& [word, fd] : Running::find(other.pid(), start_time(other.pid())).foreign_namespaces())
    words += word + " ";
  CHECK(words == "user uts net ");
}

TEST_CASE("its limits and nice value can be taken over") {
  NEEDS_ROOT;
  Process process = Process::clone({}, [](Channel&) {
    const rlimit files = {50, 60};
    ::setrlimit(RLIMIT_NOFILE, &files);
    ::setpriority(PRIO_PROCESS, 0, 5);
    exec({{"/bin/sleep", "100"}, {}});
  });
  process.release();
  in_child(0, [&] {
    Running found = Running::find(process.pid(), start_time(process.pid()));
    found.raise_limits();
    found.adopt_limits();
    rlimit files = {};
    ::getrlimit(RLIMIT_NOFILE, &files);
    expect(files.rlim_cur == 50 && files.rlim_max == 60, "the limit of open files");
    expect(::getpriority(PRIO_PROCESS, 0) == 5, "the nice value");
  });
}
