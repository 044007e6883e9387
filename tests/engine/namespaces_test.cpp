#include "engine/namespaces.hpp"

#include <sched.h>
#include <sys/utsname.h>
#include <time.h>

#include <csignal>

#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

std::string identity(const std::string& word, int pid = 0) {
  const std::string process = pid == 0 ? "self" : std::to_string(pid);
  return std::filesystem::read_symlink("/proc/" + process + "/ns/" + word).string();
}

std::string nodename() {
  utsname names;
  ::uname(&names);
  return names.nodename;
}

#define NEEDS_ROOT \
  if (!is_root()) SKIP_TEST("needs root")

}  // namespace

TEST_CASE("namespaces are written as words, and read back as the same set") {
  CHECK(Namespaces::parse("").flags() == 0);
  CHECK(Namespaces::parse("uts").flags() == CLONE_NEWUTS);
  CHECK(Namespaces::parse("  mount,\tnet ").flags() == (CLONE_NEWNS | CLONE_NEWNET));
  CHECK(Namespaces::parse("mnt").flags() == Namespaces::parse("mount mount").flags());
  for (const auto& [word, flag] : Namespaces::all()) CHECK(Namespaces::parse(word).flags() == flag);
  const auto every = Namespaces::parse("time cgroup net pid ipc uts mnt user");
  CHECK(every.words() == "user mnt uts ipc pid net cgroup time");
  CHECK(every.without(CLONE_NEWUSER).words() == "mnt uts ipc pid net cgroup time");
}

TEST_CASE("a word that names no namespace is named with those that do") {
  try {
    Namespaces::parse("uts nett pid");
    FAIL("it was taken");
  } catch (const Error& error) {
    CHECK(error.code() == EINVAL);
    CHECK(error.object() == "nett");
    CHECK_THAT(error.hint(), Catch::Contains("net user cgroup time"));
  }
}

TEST_CASE("a name set in a new UTS namespace is not the host's") {
  NEEDS_ROOT;
  const std::string before = nodename();
  in_child(0, [&] {
    const std::string old = identity("uts");
    unshare(Namespaces::parse("uts"));
    expect(identity("uts") != old, "another uts namespace");
    set_hostname("inside");
    set_domainname("domain");
    expect(nodename() == "inside", "the new name, not " + nodename());
    utsname names;
    ::uname(&names);
    expect(std::string(names.domainname) == "domain", "the new domain");
    expect(code_of([] { set_hostname(std::string(65, 'a')); }) == EINVAL, "65 bytes to be refused");
    set_hostname(std::string(64, 'a'));
  });
  CHECK(nodename() == before);
}

TEST_CASE("a namespace is entered through its descriptor, its path, or its process") {
  NEEDS_ROOT;
  Process other = sleeper(in_namespaces("uts ipc net"));
  const int pid = other.pid();
  in_child(0, [&] {
    enter_namespace(open_namespace(pid, "uts").get());
    expect(identity("uts") == identity("uts", pid), "its uts namespace");
    enter_namespace(open_namespace("/proc/" + std::to_string(pid) + "/ns/ipc").get(),
                    Namespaces(CLONE_NEWIPC));
    expect(identity("ipc") == identity("ipc", pid), "its ipc namespace");
    expect(identity("net") != identity("net", pid), "still the old network");
  });
  in_child(0, [&] {
    enter_namespaces_of(pid, Namespaces::parse("uts net"));
    expect(identity("uts") == identity("uts", pid), "its uts namespace");
    expect(identity("net") == identity("net", pid), "its network");
    expect(identity("ipc") != identity("ipc", pid), "still the old ipc");
  });
}

TEST_CASE("a namespace of another type than was asked for is refused") {
  NEEDS_ROOT;
  in_child(CLONE_NEWUTS, [] {
    const Fd uts = open_namespace(0, "uts");
    const auto wrong = [&] { enter_namespace(uts.get(), Namespaces(CLONE_NEWNET)); };
    expect(code_of(wrong) == EINVAL, "EINVAL");
    try {
      wrong();
    } catch (const Error& error) {
      expect(error.hint() == "it is a namespace of another kind, uts", error.what());
    }
    enter_namespace(uts.get(), Namespaces(CLONE_NEWUTS));
  });
}

TEST_CASE("what is no namespace can't be opened as one") {
  Sandbox box;
  CHECK(code_of([&] { open_namespace(box.file("file", "")); }) == EINVAL);
  CHECK(code_of([&] { open_namespace(box.path().string()); }) == EINVAL);
  CHECK(code_of([] { open_namespace("/dev/null"); }) == EINVAL);
  CHECK(code_of([&] { open_namespace((box.path() / "none").string()); }) == ENOENT);
  CHECK(code_of([] { open_namespace(0, "nett"); }) == ENOENT);
  CHECK(::fcntl(open_namespace(0, "mount").get(), F_GETFD) == FD_CLOEXEC);
}

TEST_CASE("a process that is gone has no namespaces to enter") {
  Process other = sleeper();
  other.kill(SIGKILL);
  other.wait();
  CHECK(code_of([&] { enter_namespaces_of(other.pid(), Namespaces(CLONE_NEWUTS)); }) == ESRCH);
}

TEST_CASE("the clocks of a new time namespace are moved by whole and broken seconds") {
  NEEDS_ROOT;
  const auto now = [](clockid_t clock) {
    timespec time;
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  };
  const double start = now(CLOCK_MONOTONIC), boot = now(CLOCK_BOOTTIME);
  in_child(0, [&] {
    unshare(Namespaces(CLONE_NEWTIME));
    set_time_offsets({.monotonic = 1000.5, .boottime = 86400});
    const pid_t child = ::fork();  // the first that lives in it
    if (child == 0) {
      const double moved = now(CLOCK_MONOTONIC) - start, moved_boot = now(CLOCK_BOOTTIME) - boot;
      ::_exit(moved > 1000.49 && moved < 1030 && moved_boot > 86399 && moved_boot < 86430 ? 0 : 1);
    }
    int status = 0;
    expect(::waitpid(child, &status, 0) == child && status == 0, "moved clocks");
    expect(code_of([] { set_time_offsets({.monotonic = 1}); }) == EACCES, "EACCES once it is lived in");
  });
}
