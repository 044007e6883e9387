#include "engine/streams.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/root.hpp"

namespace luabox {
namespace {

constexpr unsigned kMemoryDevices = 1, kNull = 3;

bool is_null(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(kMemoryDevices, kNull);
}

bool is_null(int fd) {
  struct stat status;
  return ::fstat(fd, &status) == 0 && is_null(status);
}

bool is_for_reading(int mode) { return (mode & O_ACCMODE) == O_RDONLY; }

bool is_own(int fd) {
  struct stat status;
  return ::fstat(fd, &status) == 0 && status.st_uid == ::geteuid();
}

constexpr const char* kNames[] = {"standard input", "standard output", "standard error"};
constexpr const char* kWayOut = "a container would have all of the host's files beneath it";
constexpr const char* kNoneHere = "the container has none, and must not get the host's as it is";

/// What the O_PATH descriptor `node` leads to, opened as `mode` (F_GETFL) says; none where that is refused.
Fd reopen(const Fd& node, int mode) {
  const std::string path = "/proc/self/fd/" + std::to_string(node.get());
  return Fd(::open(path.c_str(), (mode & (O_ACCMODE | O_APPEND | O_NONBLOCK)) | O_CLOEXEC | O_NOCTTY));
}

/// What is in the place of it may be anything, and is hostile.
Fd null_device_of(const Root& root) {
  try {
    Fd node = root.find("/dev/null");
    return node && is_null(node.get()) ? std::move(node) : Fd();
  } catch (const Error&) {
    return {};
  }
}

void restrict_mount(const Fd& tree, uint64_t attribute, const char* name) {
  mount_attr attributes = {};
  attributes.attr_set = attribute;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
    throw Error("mount_setattr", name);
}

/// The host's, by a mount of its own that is read-only: to change its mode or owner is a write to the mount,
/// what is written to the device is none. No descriptor where this process may not mount.
Fd sealed_null_device() {
  Fd tree(::open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree && errno == EPERM) return tree;
  if (!tree) throw Error("open_tree", "/dev/null");
  if (!is_null(tree.get())) throw Error::invalid("open_tree", "/dev/null", "is not the null device");
  restrict_mount(tree, MOUNT_ATTR_RDONLY, "/dev/null");
  return tree;
}

/// The null device for `fd`, which is the host's; none where it may stay. `node` is what opens as one, once
/// that is known.
Fd null_device(const Root& root, int fd, int mode, Fd& node) {
  if (!node) node = null_device_of(root);
  Fd own = node ? reopen(node, mode) : Fd();
  if (own) return own;
  node = sealed_null_device();
  if (!node && is_own(fd)) throw Error("open_tree", "/dev/null", EPERM, kNoneHere);
  if (!node) return {};
  own = reopen(node, mode);
  if (!own) throw Error("open", "/dev/null");
  return own;
}

/// Memory (/dev/zero) or a terminal, which open anew as what they are (kernel documentation's
/// admin-guide/devices.txt). Not ptmx: each open of it makes another terminal.
bool is_plain_device(const struct stat& status) {
  constexpr unsigned kConsoles = 4, kTerminals = 5, kMultiplexer = 2, kFirst = 136, kLast = 143;
  const unsigned kind = major(status.st_rdev);
  return S_ISCHR(status.st_mode) &&
         (kind == kMemoryDevices || kind == kConsoles || (kind >= kFirst && kind <= kLast) ||
          (kind == kTerminals && minor(status.st_rdev) != kMultiplexer));
}

/// What `fd` leads to, by a mount of its own that is read-only, opened as it was and at the same place in it.
/// None where no path leads to it, or this process may not open it.
Fd sealed(int fd, int mode, const struct stat& file) {
  char path[PATH_MAX] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  if (::readlink(link.c_str(), path, sizeof path - 1) < 0) return {};
  const Fd tree(::open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
  struct stat found;
  if (!tree || ::fstat(tree.get(), &found) < 0) return {};
  if (found.st_dev != file.st_dev || found.st_ino != file.st_ino) return {};
  restrict_mount(tree, MOUNT_ATTR_RDONLY, kNames[fd]);
  Fd own = reopen(tree, mode);
  if (!own || S_ISCHR(file.st_mode)) return own;
  // A read-only mount lets a disk be opened for writing.
  if (S_ISBLK(file.st_mode) && is_for_reading(mode)) restrict_mount(tree, MOUNT_ATTR_NODEV, kNames[fd]);
  const off_t place = ::lseek(fd, 0, SEEK_CUR);
  return place >= 0 && ::lseek(own.get(), place, SEEK_SET) == place ? std::move(own) : Fd();
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

void seal_streams(const Root& root) {
  Fd node;
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    struct stat status;
    if (::fstat(fd, &status) < 0) continue;
    if (S_ISDIR(status.st_mode)) throw Error("use", kNames[fd], EISDIR, kWayOut);
    const int mode = ::fcntl(fd, F_GETFL);
    if (mode < 0) throw Error("fcntl", "F_GETFL");
    const bool input = S_ISREG(status.st_mode) && is_for_reading(mode);
    Fd own;
    if (is_null(status))
      own = null_device(root, fd, mode, node);
    else if (input || S_ISBLK(status.st_mode) || is_plain_device(status))
      own = sealed(fd, mode, status);
    if (own && ::dup2(own.get(), fd) < 0) throw Error("dup2", std::to_string(fd));
  }
}

}  // namespace luabox
