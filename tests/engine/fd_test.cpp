#include "engine/fd.hpp"

#include <signal.h>
#include <sys/eventfd.h>

#include "engine/terminal.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

TEST_CASE("a descriptor is closed when its owner goes, and only then") {
  int number = -1;
  {
    Fd first = Fd::open("/dev/null", O_RDONLY);
    number = first.get();
    Fd second = std::move(first);
    CHECK(::fcntl(number, F_GETFD) == FD_CLOEXEC);
    CHECK(first.get() == -1);
  }
  CHECK(::fcntl(number, F_GETFD) == -1);
}

TEST_CASE("an error names the step, the object and the cause") {
  try {
    Fd::open("/no/such/file", O_RDONLY);
    FAIL("it opened");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "open /no/such/file: No such file or directory");
    CHECK(error.code() == ENOENT);
    CHECK(errno_name(error.code()) == "ENOENT");
  }
}

TEST_CASE("a control file gets its value in one write") {
  Sandbox box;
  const auto file = box.file("value", "");
  write_file(file, "12345");
  CHECK(read_file(file) == "12345");
  CHECK(code_of([&] { write_file(box.path() / "none", "1"); }) == ENOENT);
  CHECK(code_of([&] { read_file("/dev/zero", 1U << 16U); }) == EFBIG);
}

TEST_CASE("who has a lease on a file keeps nobody waiting that does not want to") {
  Sandbox box;
  const auto path = box.file("value", "old");
  ::signal(SIGIO, SIG_IGN);
  const Fd leased = Fd::open(path, O_RDONLY);
  REQUIRE(::fcntl(leased.get(), F_SETLEASE, F_RDLCK) == 0);
  CHECK(code_of([&] { write_file(path, "new", {.wait = false}); }) == EAGAIN);
  REQUIRE(::fcntl(leased.get(), F_SETLEASE, F_UNLCK) == 0);
  write_file(path, "new", {.wait = false});
  CHECK(read_file(path) == "new");
}

TEST_CASE("a file is read to its end, whatever size it says, and no further than the limit") {
  Sandbox box;
  for (const size_t size : {0U, 1U, 4095U, 4096U, 100000U}) {
    const std::string text(size, 'x');
    const auto file = box.file("text" + std::to_string(size), text);
    CHECK(read_file(file) == text);
    if (size > 0) CHECK(read_file(file, size) == text);
    if (size > 0) CHECK(code_of([&] { read_file(file, size - 1); }) == EFBIG);
  }
  CHECK(read_file("/proc/self/status").find("\nnonvoluntary_ctxt_switches:") != std::string::npos);
  CHECK(read_file("/proc/self/smaps").size() > 16384);
}

TEST_CASE("what a terminal's master has is read to its end, which is EIO") {
  for (const std::string text : {"", "the last words"}) {
    Pty pty = open_pty();
    write_all(pty.slave.get(), text, "slave");
    pty.slave.close();
    CHECK(read_all(pty.master.get(), "master") == text);
  }
}

TEST_CASE("what is there of what does not wait is read") {
  const Fd event(::eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK));
  CHECK(read_all(event.get(), "event") == std::string("\3\0\0\0\0\0\0\0", 8));
  CHECK(code_of([&] { read_all(event.get(), "event"); }) == EAGAIN);
}
