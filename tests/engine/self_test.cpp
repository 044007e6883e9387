#include "engine/self.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>

#include <csignal>

#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

/// This test program, started anew as the hidden case below, which enters itself protected and tells what it
/// sees. `before` runs in the child before the exec.
struct Entered {
  explicit Entered(const std::function<void()>& before) {
    auto [reader, writer] = make_pipe();
    std::fflush(nullptr);  // or the child would write it too
    pid = ::fork();
    if (pid == 0) {
      try {
        before();
        ::dup2(writer.get(), 1);
        ::setenv("LUABOX_TEST_ENTERS", "1", 1);
        ::execl("/proc/self/exe", "engine_tests", "[.enters-protected]", nullptr);
      } catch (const Error&) {
      }
      ::_exit(1);
    }
    writer.close();
    char text[256];
    const ssize_t size = ::read(reader.get(), text, sizeof text);
    told = std::string(text, size > 0 ? static_cast<size_t>(size) : 0);
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() { end(); }
  void end() {
    if (pid <= 0) return;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    pid = 0;
  }
  pid_t pid;
  std::string told;
};

/// What an attacker does who got hold of /proc/PID/exe: waits until it no longer runs, then writes.
bool can_be_overwritten(Entered& entered) {
  const Fd held = Fd::open("/proc/" + std::to_string(entered.pid) + "/exe", O_PATH);
  const Fd readable = Fd::open("/proc/" + std::to_string(entered.pid) + "/exe", O_RDONLY);
  entered.end();
  for (const auto& path : {fd_path(held.get()), fd_path(readable.get())}) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file && ::write(file.get(), "#!", 2) > 0) return true;
    if (::truncate(path.c_str(), 0) == 0) return true;
  }
  return false;
}

void drop_sys_admin() {
  if (::prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) < 0) throw Error("prctl");
}

}  // namespace

TEST_CASE("enters itself protected", "[.enters-protected]") {
  if (::getenv("LUABOX_TEST_ENTERS") == nullptr) return;  // run by hand, as one of a pattern
  std::string name = "engine_tests", pattern = "[.enters-protected]";
  char* arguments[] = {name.data(), pattern.data(), nullptr};
  enter_protected(arguments);
  const bool closed = ::fcntl(77, F_GETFD) < 0;
  std::string told = std::string(is_protected() ? "protected" : "open") +
                     (::prctl(PR_GET_DUMPABLE) == 0 ? " undumpable" : " dumpable") +
                     (closed ? " closed" : " inherited");
  if (::write(1, told.data(), told.size()) < 0) ::_exit(1);
  ::pause();
}

TEST_CASE("a program in a writable file is not protected until it enters itself") {
  if (::access("/proc/self/exe", W_OK) != 0 && errno == EROFS)
    SKIP_TEST("the tests lie on a read-only mount");
  CHECK_FALSE(is_protected());
}

TEST_CASE("a protected program can't be written through its /proc/PID/exe, nor when it has ended") {
  if (!is_root()) SKIP_TEST("needs root, to read the exe of a process that is not dumpable");
  SECTION("in a read-only mount of its own file") {
    Entered entered([] {});
    CHECK(entered.told == "protected undumpable closed");
    CHECK_FALSE(can_be_overwritten(entered));
  }
  SECTION("as a sealed copy, where it may not mount") {
    Entered entered(drop_sys_admin);
    CHECK(entered.told == "protected undumpable closed");
    CHECK_FALSE(can_be_overwritten(entered));
  }
}

TEST_CASE("descriptors that the caller left open are closed on the way in") {
  Entered entered([] { ::dup2(0, 77); });
  CHECK(entered.told == "protected undumpable closed");
}

TEST_CASE("another process of the same user can't look into a protected one") {
  if (!is_root()) SKIP_TEST("needs root, to become a user");
  Entered entered([] {
    if (::setresuid(65534, 65534, 65534) < 0) throw Error("setresuid");
  });
  REQUIRE(entered.told == "protected undumpable closed");
  in_child(0, [&] {
    if (::setresuid(65534, 65534, 65534) < 0) throw Error("setresuid");
    const std::string process = "/proc/" + std::to_string(entered.pid);
    expect(code_of([&] { Fd::open(process + "/mem", O_RDONLY); }) == EACCES, "its memory to be closed");
    expect(code_of([&] { Fd::open(process + "/exe", O_RDONLY); }) == EACCES, "its exe to be closed");
    expect(code_of([&] { Fd::open(process + "/fd/0", O_RDONLY); }) == EACCES, "its descriptors to be closed");
  });
}
