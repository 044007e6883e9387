#include "engine/streams.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "engine/error.hpp"
#include "engine/fd.hpp"

namespace luabox {
namespace {

constexpr unsigned kMemoryDevices = 1, kNull = 3;

bool is_null(int fd) {
  struct stat status;
  return ::fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) &&
         status.st_rdev == makedev(kMemoryDevices, kNull);
}

bool is_closed(int fd) { return ::fcntl(fd, F_GETFD) < 0 && errno == EBADF; }

enum class End { reading, writing };

/// The end of a pipe whose other end is closed, above the streams.
Fd end_of_pipe(End wanted) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) throw Error("pipe2");
  const Fd reader(ends[0]), writer(ends[1]);
  Fd end(::fcntl(wanted == End::reading ? ends[0] : ends[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!end) throw Error("fcntl", "F_DUPFD_CLOEXEC");
  return end;
}

}  // namespace

void hold_closed_streams() {
  bool closed[STDERR_FILENO + 1];
  bool any = false;
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) any |= closed[fd] = is_closed(fd);
  if (!any) return;
  // The wrong ends: neither can be used as the stream that it stands for, and no file is behind them.
  const Fd input = end_of_pipe(End::writing), output = end_of_pipe(End::reading);
  for (int fd = 0; fd <= STDERR_FILENO; ++fd)
    if (closed[fd] && ::dup3(fd == STDIN_FILENO ? input.get() : output.get(), fd, O_CLOEXEC) < 0)
      throw Error("dup3", std::to_string(fd));
}

void replace_null_devices() {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    if (!is_null(fd)) continue;
    const int mode = ::fcntl(fd, F_GETFL);
    if (mode < 0) throw Error("fcntl", "F_GETFL");
    // Whatever else is called so: neither waited for nor kept.
    const Fd own(::open("/dev/null", (mode & O_ACCMODE) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!own || !is_null(own.get())) return;
    if (::fcntl(own.get(), F_SETFL, mode) < 0) throw Error("fcntl", "F_SETFL");
    if (::dup2(own.get(), fd) < 0) throw Error("dup2", std::to_string(fd));
  }
}

}  // namespace luabox
