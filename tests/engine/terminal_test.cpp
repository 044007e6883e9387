#include "engine/terminal.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <cstring>

#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

std::string read_some(int fd) {
  char text[256];
  const ssize_t size = ::read(fd, text, sizeof text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
}

}  // namespace

TEST_CASE("what is typed at the master is what the slave reads, both close-on-exec") {
  const Pty pty = open_pty();
  CHECK(::fcntl(pty.master.get(), F_GETFD) == FD_CLOEXEC);
  CHECK(::fcntl(pty.slave.get(), F_GETFD) == FD_CLOEXEC);
  CHECK(::isatty(pty.slave.get()) == 1);
  write_all(pty.master.get(), "typed\n", "master");
  CHECK(read_some(pty.slave.get()) == "typed\n");
  CHECK(read_some(pty.master.get()) == "typed\r\n");  // the echo
}

TEST_CASE("opening a terminal does not make it the caller's controlling terminal") {
  in_child(0, [] {
    if (::setsid() < 0) throw Error("setsid");
    const Pty pty = open_pty();
    expect(code_of([] { Fd::open("/dev/tty", O_RDWR); }) == ENXIO, "no controlling terminal");
  });
}

TEST_CASE("a terminal is of the devpts whose ptmx was given") {
  if (!is_root()) SKIP_TEST("needs root");
  Sandbox box;
  const std::string folder = box.dir("pts");
  in_child(CLONE_NEWNS, [&] {
    if (::mount("devpts", folder.c_str(), "devpts", 0, "newinstance,ptmxmode=0666") < 0) throw Error("mount");
    const Pty pty = open_pty(Fd::open(folder + "/ptmx", O_PATH).get());
    struct stat theirs, ours;
    expect(::fstat(pty.slave.get(), &theirs) == 0 && ::stat((folder + "/0").c_str(), &ours) == 0,
           "the first terminal of the new instance");
    expect(theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino, "it to be that one");
    // Also when a container has laid another file system over it: the slave is no name.
    if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, nullptr) < 0) throw Error("mount");
    write_all(pty.master.get(), "x\n", "master");
    expect(read_some(pty.slave.get()) == "x\n", "bytes");
  });
}

TEST_CASE("a ptmx that is not of a devpts is refused before it is opened") {
  Sandbox box;
  const std::string fifo = (box.path() / "ptmx").string();
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(code_of([&] { open_pty(Fd::open(fifo, O_PATH).get()); }) == EINVAL);
  CHECK(code_of([] { open_pty(Fd::open("/dev/null", O_PATH).get()); }) == EINVAL);
  if (!is_root()) return;
  // The device number alone makes no terminal: an image may hold such a node.
  const std::string node = (box.path() / "node").string();
  REQUIRE(::mknod(node.c_str(), S_IFCHR | 0666, makedev(5, 2)) == 0);
  CHECK(code_of([&] { open_pty(Fd::open(node, O_PATH).get()); }) == EINVAL);
}

TEST_CASE("a terminal's size is what was set, and other files have none") {
  const Pty pty = open_pty();
  set_window_size(pty.master.get(), {.rows = 33, .columns = 101});
  const auto size = window_size(pty.slave.get());
  REQUIRE(size);
  CHECK(size->rows == 33);
  CHECK(size->columns == 101);
  CHECK_FALSE(window_size(Fd::open("/dev/null", O_RDWR).get()));
  CHECK(code_of([] { set_window_size(Fd::open("/dev/null", O_RDWR).get(), {1, 1}); }) == ENOTTY);
}

TEST_CASE("raw mode passes every byte, and what was before comes back") {
  const Pty pty = open_pty();
  termios before, after;
  REQUIRE(::tcgetattr(pty.slave.get(), &before) == 0);
  {
    const RawMode raw(pty.slave.get());
    write_all(pty.master.get(), std::string("\x03\r\x04", 3), "master");
    CHECK(read_some(pty.slave.get()) == std::string("\x03\r\x04", 3));
  }
  REQUIRE(::tcgetattr(pty.slave.get(), &after) == 0);
  CHECK(before.c_lflag == after.c_lflag);
  CHECK(before.c_iflag == after.c_iflag);
  CHECK(before.c_oflag == after.c_oflag);
  CHECK(before.c_cflag == after.c_cflag);
}

TEST_CASE("raw mode of what is no terminal is an error") {
  const Fd null = Fd::open("/dev/null", O_RDWR);
  CHECK(code_of([&] { const RawMode raw(null.get()); }) == ENOTTY);
}
