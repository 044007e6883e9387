#include "engine/streams.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/root.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

/// The errno that `f` throws; 0 where it throws none.
template <typename F>
int thrown_by(F f) {
  try {
    f();
    return 0;
  } catch (const Error& error) {
    return error.code();
  }
}

/// The errno of reading (0) or writing (1, 2) one byte.
int error_of(int fd) {
  char byte = 0;
  const ssize_t count = fd == 0 ? ::read(fd, &byte, 1) : ::write(fd, &byte, 1);
  return count < 0 ? errno : 0;
}

}  // namespace

TEST_CASE("a closed stream fails as one, and nothing that is opened later takes its place") {
  const std::vector<std::vector<int>> sets = {{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 1, 2}};
  for (const auto& closed : sets)
    in_child(0, [&] {
      for (const int fd : closed) ::close(fd);
      hold_closed_streams();
      const int opened = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      bool same = opened > 2;
      for (const int fd : closed) {
        pollfd ready = {fd, static_cast<short>(fd == 0 ? POLLIN : POLLOUT), 0};
        same =
            same && error_of(fd) == EBADF && ::poll(&ready, 1, 0) == 1 && ::fcntl(fd, F_GETFD) == FD_CLOEXEC;
      }
      expect(same, "held");
    });
}

TEST_CASE("the host's /dev/null becomes the container's, or can't be changed") {
  const Sandbox box;
  box.dir("with/dev");
  box.dir("without/dev");
  box.file("other/dev/null", "no device");
  const std::string node = (box.path() / "with/dev/null").string();
  if (::mknod(node.c_str(), S_IFCHR | 0666, makedev(1, 3)) < 0 || ::open(node.c_str(), O_RDONLY) < 0) {
    WARN("skipped: no device can be made here");
    return;
  }
  const auto opened = [](int flags, int fd) { ::dup2(::open("/dev/null", flags | O_CLOEXEC), fd); };
  in_child(CLONE_NEWNS, [&] {
    opened(O_RDONLY, 0);
    opened(O_WRONLY | O_APPEND, 1);
    seal_streams(Root::open((box.path() / "with").string()));
    struct stat input, here;
    ::fstat(0, &input);
    ::stat(node.c_str(), &here);
    expect(input.st_ino == here.st_ino && input.st_dev == here.st_dev, "replaced");
    constexpr int kModes = O_ACCMODE | O_NONBLOCK | O_APPEND;
    expect((::fcntl(0, F_GETFL) & kModes) == O_RDONLY, "as it was opened");
    expect((::fcntl(1, F_GETFL) & kModes) == (O_WRONLY | O_APPEND), "as it was opened, the output");
  });
  for (const char* name : {"without", "other"})
    in_child(CLONE_NEWNS, [&] {
      opened(O_RDONLY, 0);
      opened(O_RDWR, 1);
      seal_streams(Root::open((box.path() / name).string()));
      expect(error_of(0) == 0 && error_of(1) == 0, "works as before");
      for (const int fd : {0, 1}) {
        struct stat status;
        ::fstat(fd, &status);
        expect(::fchmod(fd, status.st_mode & 07777) < 0 && errno == EROFS, "its mode can't be changed");
        expect(::fchown(fd, status.st_uid, status.st_gid) < 0 && errno == EROFS, "nor its owner");
      }
    });
}

TEST_CASE("a file that was given to be read can't be written by its descriptor") {
  const Sandbox box;
  const std::string path = box.file("input", "first second");
  box.dir("root");
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNS, [&] {
    ::dup2(::open(path.c_str(), O_RDONLY | O_CLOEXEC), 0);
    char text[16] = {};
    expect(::read(0, text, 6) == 6, "read before");
    seal_streams(Root::open((box.path() / "root").string()));
    expect(::read(0, text, sizeof text) == 6 && std::string(text) == "second", "it goes on where it was");
    expect(::open("/proc/self/fd/0", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS,
           "it is not opened for writing");
    expect(::fchmod(0, 0777) < 0 && errno == EROFS, "its mode can't be changed");
  });
  CHECK(slurp(path) == "first second");
}

TEST_CASE("the mode of a terminal can't be changed, and it works as before") {
  if (!is_root()) SKIP_TEST("needs root");
  const Sandbox box;
  box.dir("root");
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE((master >= 0 && ::unlockpt(master) == 0));
  const std::string name = ::ptsname(master);
  in_child(CLONE_NEWNS, [&] {
    const int slave = ::open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    for (const int fd : {0, 1}) ::dup2(slave, fd);
    seal_streams(Root::open((box.path() / "root").string()));
    for (const int fd : {0, 1}) expect(::fchmod(fd, 0666) < 0 && errno == EROFS, "its mode stays");
    char text[16] = {};
    expect(::isatty(0) == 1 && ::write(1, "out", 3) == 3, "it is written");
    expect(::read(master, text, sizeof text) == 3 && std::string(text) == "out", "it is read outside");
    expect(::write(master, "in\n", 3) == 3 && ::read(0, text, sizeof text) == 3, "and the other way");
  });
}

TEST_CASE("the mode of a device that is given can't be changed, nor a disk be written that was to be read") {
  const Sandbox box;
  box.dir("root");
  if (!is_root()) SKIP_TEST("needs root");
  const auto node = [&](const char* name, mode_t kind, dev_t device) {
    const std::string path = (box.path() / name).string();
    return ::mknod(path.c_str(), kind | 0600, device) == 0 ? path : std::string();
  };
  const std::string zero = node("zero", S_IFCHR, makedev(1, 5)),
                    disk = node("disk", S_IFBLK, makedev(7, 0));  // loop0
  for (const auto& path : {zero, disk}) {
    const int opened = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (opened < 0) continue;  // nodev, or no loop devices
    in_child(CLONE_NEWNS, [&] {
      ::dup2(opened, 0);
      seal_streams(Root::open((box.path() / "root").string()));
      char text[4] = {};
      expect(::read(0, text, sizeof text) >= 0, "it is read");
      expect(::fchmod(0, 0777) < 0 && errno == EROFS, "its mode can't be changed");
      const int again = ::open("/proc/self/fd/0", O_WRONLY | O_CLOEXEC);
      expect(path == zero ? again >= 0 : again < 0 && errno == EACCES, "a disk is not opened for writing");
    });
    ::close(opened);
  }
}

TEST_CASE("an output, and an input that has no name any more, stay as they are") {
  const Sandbox box;
  const std::string output = box.file("output", ""), gone = box.file("gone", "text");
  box.dir("root");
  in_child(0, [&] {
    ::dup2(::open(gone.c_str(), O_RDONLY | O_CLOEXEC), 0);
    ::dup2(::open(output.c_str(), O_WRONLY | O_CLOEXEC), 1);
    ::unlink(gone.c_str());
    seal_streams(Root::open((box.path() / "root").string()));
    char text[16] = {};
    expect(::read(0, text, sizeof text) == 4, "it is read");
    expect(::write(1, "x", 1) == 1, "it is written");
  });
  CHECK(slurp(output) == "x");
}

TEST_CASE("a directory as a stream is refused") {
  const Sandbox box;
  box.dir("root");
  for (const int fd : {0, 1, 2})
    in_child(0, [&] {
      ::dup2(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd);
      bool refused = false;
      try {
        seal_streams(Root::open((box.path() / "root").string()));
      } catch (const Error& error) {
        refused = error.code() == EISDIR;
      }
      expect(refused, "refused");
    });
}

TEST_CASE("a file or fifo that can be changed by its name, but has none here, is refused") {
  const Sandbox box;
  const std::string first = box.file("first", "text"), second = (box.path() / "second").string();
  box.dir("root");
  const auto seal = [&] { seal_streams(Root::open((box.path() / "root").string())); };
  REQUIRE(::link(first.c_str(), second.c_str()) == 0);
  in_child(0, [&] {
    ::dup2(::open(first.c_str(), O_RDONLY | O_CLOEXEC), 0);
    ::unlink(first.c_str());
    expect(thrown_by(seal) == EPERM, "it has another name");
  });
  in_child(0, [&] {
    ::dup2(::open(second.c_str(), O_WRONLY | O_CLOEXEC), 0);
    expect(thrown_by(seal) == EBADF, "an input that can't be read");
  });
  const std::string fifo = (box.path() / "fifo").string();
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  in_child(0, [&] {
    ::dup2(::open(fifo.c_str(), O_RDWR | O_CLOEXEC), 0);
    ::unlink(fifo.c_str());
    expect(thrown_by(seal) == 0, "one without any name is nobody else's");
  });
}

TEST_CASE("an input that is open for writing, too, is one to be read, for an ordinary user as well") {
  const Sandbox box;
  const std::string path = box.file("input", "text");
  box.dir("root");
  REQUIRE(::chmod(box.path().c_str(), 0711) == 0);
  REQUIRE(::chmod(path.c_str(), 0666) == 0);
  for (const bool ordinary : {false, true})
    in_child(0, [&] {
      if (ordinary && is_root() && ::setuid(65534) < 0) throw Error("setuid");
      ::dup2(::open(path.c_str(), O_RDWR | O_CLOEXEC), 0);
      seal_streams(Root::open((box.path() / "root").string()));
      char text[16] = {};
      expect(::read(0, text, sizeof text) == 4, "it is read");
      expect(::write(0, "x", 1) < 0 && ::open("/proc/self/fd/0", O_WRONLY | O_CLOEXEC) < 0,
             "it is not written");
      expect(::fchmod(0, 0777) < 0 && errno != 0, "its mode can't be changed");
    });
  CHECK(slurp(path) == "text");
}

TEST_CASE(
    "an input that an ordinary user was handed, and could not change, is read where it can't be opened "
    "anew") {
  if (!is_root()) SKIP_TEST("needs root");
  const Sandbox box;
  const std::string path = box.file("closed/input", "text");
  box.dir("root");
  REQUIRE(::chmod(box.path().c_str(), 0711) == 0);
  REQUIRE(::chmod((box.path() / "closed").c_str(), 0700) == 0);
  for (const mode_t mode : {0644, 0666})
    in_child(0, [&] {
      ::chmod(path.c_str(), mode);
      ::dup2(::open(path.c_str(), O_RDONLY | O_CLOEXEC), 0);
      if (::setuid(65534) < 0) throw Error("setuid");
      const int code = thrown_by([&] { seal_streams(Root::open((box.path() / "root").string())); });
      char text[16] = {};
      expect(mode == 0666 ? code == EPERM : code == 0 && ::read(0, text, sizeof text) == 4, "as it may be");
    });
}

TEST_CASE("a fifo that has a name works as before, and its mode can't be changed") {
  const Sandbox box;
  const std::string path = (box.path() / "fifo").string();
  box.dir("root");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int both = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(both >= 0);
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNS, [&] {
    ::dup2(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC), 0);
    ::fcntl(0, F_SETFL, 0);
    ::dup2(::open(path.c_str(), O_WRONLY | O_CLOEXEC), 1);
    seal_streams(Root::open((box.path() / "root").string()));
    char text[16] = {};
    expect(::write(1, "text", 4) == 4 && ::read(0, text, sizeof text) == 4, "through it");
    expect((::fcntl(0, F_GETFL) & O_NONBLOCK) == 0, "and a reader waits as before");
    for (const int fd : {0, 1}) expect(::fchmod(fd, 0666) < 0 && errno == EROFS, "its mode stays");
  });
}

TEST_CASE("a terminal of the container's own keeps its name") {
  if (!is_root()) SKIP_TEST("needs root");
  const Sandbox box;
  const std::string terminals = box.dir("root/dev/pts");
  in_child(CLONE_NEWNS, [&] {
    if (::mount("devpts", terminals.c_str(), "devpts", 0, "newinstance,ptmxmode=666") < 0)
      throw Error("mount");
    const int master = ::open((terminals + "/ptmx").c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ::unlockpt(master) < 0) throw Error("open", "ptmx");
    ::dup2(::open((terminals + "/0").c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC), 0);
    seal_streams(Root::open((box.path() / "root").string()));
    char name[256] = {};
    expect(::readlink("/proc/self/fd/0", name, sizeof name - 1) > 0 && name == terminals + "/0", name);
  });
}

TEST_CASE("a socket that leads into another network is refused") {
  if (!is_root()) SKIP_TEST("needs root");
  const int outside = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int any_name = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int datagrams = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  in_child(CLONE_NEWNET, [&] {
    for (const int stream : {0, 1, 2}) {
      for (const int fd : {outside, any_name, datagrams}) {
        ::dup2(fd, stream);
        expect(thrown_by(refuse_foreign_sockets) == EPERM, "it is refused");
      }
      ::dup2(pair[0], stream);
      expect(thrown_by(refuse_foreign_sockets) == 0, "one that leads to its other end is not");
      ::dup2(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), stream);
      expect(thrown_by(refuse_foreign_sockets) == 0, "nor one of this network");
    }
  });
  in_child(0, [&] {
    ::dup2(outside, 0);
    expect(thrown_by(refuse_foreign_sockets) == 0, "where the network is shared it is its own");
  });
}
