#include "engine/attributes.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "engine/user.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

TEST_CASE("a limit on open files stops the next open") {
  in_child(0, [] {
    set_rlimit("nofile", {.soft = 8, .hard = 16});
    int last = 0;
    while (last >= 0 && last < 100) last = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    expect(last == -1 && errno == EMFILE, "EMFILE");
    expect(rlimit_of("nofile") == Rlimit{8, 16}, "it reads back");
  });
}

TEST_CASE("unlimited is unlimited, and a bound is parsed exactly") {
  in_child(0, [] {
    set_rlimit("core", {.soft = 0, .hard = rlimit_of("core").hard});
    expect(rlimit_of("core").soft == Bound(0), "0 is no file at all, not unlimited");
  });
  CHECK(parse_bound("unlimited") == std::nullopt);
  CHECK(parse_bound("18446744073709551614") == Bound(0xfffffffffffffffe));
  for (const std::string text : {"", "-1", "1k", "18446744073709551615", "18446744073709551616", "infinity"})
    CHECK(code_of([&] { parse_bound(text); }) == EINVAL);
}

TEST_CASE("a limit that makes no sense is refused before it is set") {
  const auto before = rlimit_of("nofile");
  CHECK(code_of([] { set_rlimit("nofile", {.soft = 10, .hard = 5}); }) == EINVAL);
  CHECK(code_of([] { set_rlimit("nofile", {.soft = std::nullopt, .hard = 5}); }) == EINVAL);
  CHECK(rlimit_of("nofile") == before);
  try {
    rlimit_of("nofiles");
    FAIL("it was known");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::Contains("did you mean 'nofile'?"));
  }
}

TEST_CASE("an ordinary user can't raise a hard limit") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    set_rlimit("nofile", {.soft = 8, .hard = 16});
    set_ids({.uid = 1000, .gid = 1000});
    expect(code_of([] { set_rlimit("nofile", {.soft = 8, .hard = 17}); }) == EPERM, "EPERM");
  });
}

TEST_CASE("niceness, the out-of-memory score and the umask are what was set") {
  in_child(0, [] {
    set_nice(7);
    expect(nice_level() == 7 && ::getpriority(PRIO_PROCESS, 0) == 7, "nice 7");
    set_oom_score_adj(321);
    expect(slurp("/proc/self/oom_score_adj") == "321\n", "score 321");
    set_umask(022);
    expect(set_umask(077) == 022, "the old mask is returned");
    expect(::umask(0) == 077, "the new one is in force");
    expect(code_of([] { set_nice(20); }) == EINVAL, "20 is out of range");
    expect(code_of([] { set_oom_score_adj(-1001); }) == EINVAL, "-1001 is out of range");
    expect(code_of([] { set_umask(01000); }) == EINVAL, "01000 is no mask");
  });
}

TEST_CASE("linux32 makes uname tell a 32-bit machine") {
  in_child(0, [] {
    set_personality("linux32");
    utsname name = {};
    ::uname(&name);
    expect(std::string(name.machine) != "x86_64" && std::string(name.machine) != "aarch64", name.machine);
    set_personality("linux");
    expect(code_of([] { set_personality("linux23"); }) == EINVAL, "a misspelt one is refused");
    expect(code_of([] { set_personality(""); }) == EINVAL, "an empty one is refused");
  });
}

TEST_CASE("scheduling, processors and the io priority are what was set") {
  in_child(0, [] {
    set_scheduling({.policy = Policy::batch, .priority = 0});
    expect(::sched_getscheduler(0) == SCHED_BATCH, "batch");
    expect(code_of([] { set_scheduling({.policy = Policy::batch, .priority = 5}); }) == EINVAL,
           "batch has no priorities");
    set_affinity({0});
    cpu_set_t set;
    ::sched_getaffinity(0, sizeof set, &set);
    expect(CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set), "processor 0 alone");
    expect(code_of([] { set_affinity({}); }) == EINVAL, "no processor at all");
    expect(code_of([] { set_affinity({5000}); }) == EINVAL, "a processor that can't be");
    set_io_priority({.io_class = IoClass::best_effort, .level = 6});
    expect(::syscall(SYS_ioprio_get, 1, 0) == ((2 << 13) | 6), "best effort 6");
    expect(code_of([] { set_io_priority({.io_class = IoClass::idle, .level = 8}); }) == EINVAL,
           "8 is out of range");
  });
}
