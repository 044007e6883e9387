#include "engine/streams.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/root.hpp"
#include "engine/vfork.hpp"

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
constexpr const char* kAsItIs =
    "it can't be opened anew by a read-only mount, and a container must not get it as it is: use a pipe";
constexpr const char* kForeign =
    "a socket of another network namespace would be the container's way into that network: use a pipe";
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

/// Whether it is one of the terminals of `root` itself, which are not the host's to protect.
bool is_own_terminal(const Root& root, const struct stat& status) {
  if (!S_ISCHR(status.st_mode)) return false;
  try {
    const Fd terminals = root.find("/dev/pts");
    struct stat found;
    return terminals && ::fstat(terminals.get(), &found) == 0 && found.st_dev == status.st_dev;
  } catch (const Error&) {
    return false;
  }
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

bool has_place(const struct stat& file) { return S_ISREG(file.st_mode) || S_ISBLK(file.st_mode); }

/// What `fd` leads to, by a mount of its own that is read-only, opened as `mode` says and at the same place
/// in it. None where no path leads to it; where this process may not mount, and errno is EPERM, or not open
/// it.
Fd sealed_here(int fd, int mode, const struct stat& file) {
  char path[PATH_MAX] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  if (::readlink(link.c_str(), path, sizeof path - 1) < 0) return {};
  const Fd tree(::open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
  struct stat found;
  if (!tree || ::fstat(tree.get(), &found) < 0) return {};
  errno = ENOENT;
  if (found.st_dev != file.st_dev || found.st_ino != file.st_ino) return {};
  restrict_mount(tree, MOUNT_ATTR_RDONLY, kNames[fd]);
  Fd own = reopen(tree, mode);
  if (!own || !has_place(file)) return own;
  // A read-only mount lets a disk be opened for writing.
  if (S_ISBLK(file.st_mode) && is_for_reading(mode)) restrict_mount(tree, MOUNT_ATTR_NODEV, kNames[fd]);
  const off_t place = ::lseek(fd, 0, SEEK_CUR);
  return place >= 0 && ::lseek(own.get(), place, SEEK_SET) == place ? std::move(own) : Fd();
}

/// What a child finds for its parent, whose memory and descriptors are its own.
struct Apart {
  int fd, mode;
  const struct stat& file;
  int found = -1, error = 0;
};

[[noreturn]] void seal_apart(void* data) {
  auto& apart = *static_cast<Apart*>(data);
  try {
    Fd own = sealed_here(apart.fd, apart.mode, apart.file);
    apart.error = errno;
    apart.found = own ? own.release() : -1;
  } catch (const Error& error) {
    apart.error = error.code();
  }
  ::_exit(0);
}

/// As an ordinary user may mount: in a user namespace, which is another process's for a moment.
Fd sealed_by_another(int fd, int mode, const struct stat& file) {
  if (!can_vfork()) return {};
  Apart apart{fd, mode, file};
  clone_args arguments = {};
  arguments.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_FILES;
  arguments.exit_signal = SIGCHLD;
  const long pid = vfork_child(arguments, seal_apart, &apart);
  if (pid > 0) ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
  errno = pid < 0 ? static_cast<int>(-pid) : apart.error;
  return Fd(apart.found);
}

Fd sealed(int fd, int mode, const struct stat& file) {
  Fd own = sealed_here(fd, mode, file);
  return own || errno != EPERM ? std::move(own) : sealed_by_another(fd, mode, file);
}

/// Whether this process could do to what `fd` leads to what it must not: write to it, or change its mode. One
/// without any name is nobody's but its caller's.
bool is_in_reach(int fd, const struct stat& file) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return file.st_nlink > 0 &&
         (file.st_uid == ::geteuid() || ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0);
}

/// A file that is to be read.
Fd sealed_file(int fd, int mode, const struct stat& file) {
  if ((mode & O_ACCMODE) == O_WRONLY)
    throw Error("use", kNames[fd], EBADF, "it is a file that is open for writing alone");
  Fd own = sealed(fd, (mode & ~O_ACCMODE) | O_RDONLY, file);
  if (!own && is_in_reach(fd, file)) throw Error("use", kNames[fd], EPERM, kAsItIs);
  return own;
}

bool is_pipe(int fd) {
  struct statfs found;
  return ::fstatfs(fd, &found) == 0 && found.f_type == PIPEFS_MAGIC;
}

/// A fifo that has a name, which a pipe has not.
Fd sealed_fifo(int fd, int mode, const struct stat& file) {
  if (is_pipe(fd)) return {};
  Fd own = sealed(fd, mode | O_NONBLOCK, file);
  if (own && ::fcntl(own.get(), F_SETFL, mode & (O_APPEND | O_NONBLOCK)) < 0)
    throw Error("fcntl", kNames[fd]);
  if (!own && file.st_nlink > 0 && file.st_uid == ::geteuid()) throw Error("use", kNames[fd], EPERM, kAsItIs);
  return own;
}

/// Whether the socket `fd` leads nowhere but to its other end: one of UNIX(7) that has one, or waits for
/// some.
bool is_cable(int fd) {
  int domain = 0, type = 0, listens = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX) return false;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type == SOCK_DGRAM) return false;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0) return true;
  sockaddr_storage other;
  size = sizeof other;
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&other), &size) == 0;
}

/// The network namespace that a socket was made in; 0 where the kernel does not tell (before 5.14).
uint64_t network_of(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return ::getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 ? cookie : 0;
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
    Fd own;
    if (is_null(status))
      own = null_device(root, fd, mode, node);
    else if (S_ISREG(status.st_mode) && (fd == STDIN_FILENO || is_for_reading(mode)))
      own = sealed_file(fd, mode, status);
    else if (S_ISFIFO(status.st_mode))
      own = sealed_fifo(fd, mode, status);
    else if (S_ISBLK(status.st_mode) || (is_plain_device(status) && !is_own_terminal(root, status)))
      own = sealed(fd, mode, status);
    if (own && ::dup2(own.get(), fd) < 0) throw Error("dup2", std::to_string(fd));
  }
}

void open_up_pipes() {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd)
    if (is_pipe(fd)) ::fchmod(fd, 0666);
}

void refuse_foreign_sockets() {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    struct stat status;
    if (::fstat(fd, &status) < 0 || !S_ISSOCK(status.st_mode) || is_cable(fd)) continue;
    const Fd here(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const uint64_t network = network_of(fd);
    if (network == 0 || !here || network != network_of(here.get()))
      throw Error("use", kNames[fd], EPERM, kForeign);
  }
}

}  // namespace luabox
