#include "engine/streams.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

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

TEST_CASE("/dev/null of another place becomes the one that is here") {
  const Sandbox box;
  const std::string other = (box.path() / "null").string();
  if (::mknod(other.c_str(), S_IFCHR | 0666, makedev(1, 3)) < 0 || ::open(other.c_str(), O_RDONLY) < 0) {
    WARN("skipped: no device can be made here");
    return;
  }
  in_child(0, [&] {
    ::dup2(::open(other.c_str(), O_RDONLY), 0);
    replace_null_devices();
    struct stat input, here;
    ::fstat(0, &input);
    ::stat("/dev/null", &here);
    expect(input.st_ino == here.st_ino && input.st_dev == here.st_dev, "replaced");
    expect((::fcntl(0, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == O_RDONLY, "as it was opened");
  });
}
