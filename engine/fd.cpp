#include "engine/fd.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "engine/carrying.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"

namespace luabox {
namespace {

void write_once(const Fd& file, const std::string& path, std::string_view text) {
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  if (written < 0) throw Error("write", path);
  if (static_cast<size_t>(written) != text.size()) throw Error("write", path, EIO, "short write");
}

constexpr int kAside = 512,  // half of what a process may have where nobody changed it
    kFew = 64;

int aside = 0;         // at most that many: those that were closed since are counted, too
bool crowded = false;  // others have numbers from kAside on
std::optional<rlimit> limit_before;

bool raise_descriptor_limit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max) return false;
  const rlimit before = limit;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) return false;
  limit_before = before;
  return true;
}

}  // namespace

Fd::Fd(int fd) : fd_(fd) {
  if (fd >= kAside) crowded = true;
}

void Fd::set_aside() {
  if (fd_ < kFew || fd_ >= kAside) return;
  int moved = ::fcntl(fd_, F_DUPFD_CLOEXEC, kAside);
  if (moved < 0 && raise_descriptor_limit()) moved = ::fcntl(fd_, F_DUPFD_CLOEXEC, kAside);
  if (moved < 0) return;
  close();
  fd_ = moved;
  ++aside;
}

bool many_aside() { return aside >= kFew && !crowded; }

void leave_what_is_aside() {
  if (::close_range(kAside, ~0U, CLOSE_RANGE_UNSHARE) < 0) throw Error("close_range");
}

void restore_descriptor_limit() {
  if (limit_before && ::setrlimit(RLIMIT_NOFILE, &*limit_before) < 0) throw Error("setrlimit", "nofile");
}

Fd Fd::duplicate(const std::string& name) const {
  Fd copy(::fcntl(fd_, F_DUPFD_CLOEXEC, 0));
  if (!copy) throw Error("dup", name);
  return copy;
}

void Fd::close() noexcept {
  // Linux frees the number even when close fails, so there is nothing to try again.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Fd Fd::open(const std::string& path, int flags, unsigned mode) {
  return open_at(AT_FDCWD, path, flags, mode);
}

Fd Fd::open_at(int directory, const std::string& path, int flags, unsigned mode) {
  Fd fd(::openat(directory, path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) throw Error("open", path);
  return fd;
}

std::pair<Fd, Fd> open_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) throw Error("pipe");
  std::pair<Fd, Fd> pipe{ends[0], ends[1]};
  if (::fchmod(ends[0], 0666) < 0) throw Error("fchmod", "pipe");
  return pipe;
}

Fd sealed_text(std::string_view text) {
  constexpr const char* kName = "text";
  Fd file(::memfd_create(kName, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) throw Error("memfd_create", kName);
  write_all(file.get(), text, kName);
  if (::lseek(file.get(), 0, SEEK_SET) < 0) throw Error("lseek", kName);
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
    throw Error("fcntl", "F_ADD_SEALS");
  return file;
}

std::string fd_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

static bool is_end(int fd, int code, size_t length) {
  if (code == EAGAIN) return length > 0;
  const bool terminal = code == EIO && ::isatty(fd) == 1;
  errno = code;
  return terminal;
}

std::string read_all(int fd, const std::string& name, size_t limit) {
  // One byte more than it has: the second read is its end. What the kernel makes has no size.
  struct stat found;
  const bool sized = ::fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > 0;
  std::string text;
  size_t length = 0;
  text.resize(sized ? std::min(static_cast<size_t>(found.st_size), limit) + 1 : 4096);
  for (;;) {
    if (length == text.size()) text.resize(2 * length);
    const ssize_t count = ::read(fd, text.data() + length, text.size() - length);
    if (count < 0 && errno == EINTR) {
      check_interrupt("read");
      continue;
    }
    if (count < 0 && !is_end(fd, errno, length)) throw Error("read", name);
    if (count <= 0) break;
    length += static_cast<size_t>(count);
    if (length > limit) throw Error("read", name, EFBIG);
  }
  text.resize(length);
  return text;
}

std::string read_until_end_of(int writer, int fd, const std::string& name, size_t limit) {
  constexpr size_t kChunk = 16384;
  std::string text;
  bool ended = false;
  // What poll(2) has promised may be gone: who writes may read, too.
  if (::fcntl(fd, F_SETFL, O_NONBLOCK) < 0) throw Error("fcntl", name);
  for (size_t most = SIZE_MAX; most > 0;) {
    pollfd ready[] = {{fd, POLLIN, 0}, {ended ? -1 : writer, POLLIN, 0}};
    if (::poll(ready, 2, ended ? 0 : -1) < 0) {
      if (errno != EINTR) throw Error("poll", name);
      check_interrupt("read");
      continue;
    }
    if (ready[1].revents != 0) ended = true, most = kMostInPipe;
    if (ready[0].revents == 0 && ready[1].revents != 0) continue;
    if (ready[0].revents == 0) break;
    const size_t length = text.size(), wanted = std::min(kChunk, most);
    text.resize(length + wanted);
    const ssize_t count = ::read(fd, text.data() + length, wanted);
    if (count < 0 && errno != EINTR && errno != EAGAIN) throw Error("read", name);
    text.resize(length + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) break;
    if (text.size() > limit) throw Error("read", name, EFBIG);
    if (ended && count > 0) most -= static_cast<size_t>(count);
  }
  return text;
}

std::string read_file(const std::string& path, size_t limit) {
  return read_all(Fd::open(path, O_RDONLY).get(), path, limit);
}

void write_all(int fd, std::string_view text, const std::string& name) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error("write", name);
    text.remove_prefix(static_cast<size_t>(count));
  }
}

void write_file(const std::string& path, std::string_view text, const WriteFileOptions& options) {
  write_once(Fd::open(path, O_WRONLY | (options.wait ? 0 : O_NONBLOCK)), path, text);
}

void write_file_at(int directory, const std::string& path, std::string_view text) {
  write_once(Fd::open_at(directory, path, O_WRONLY), path, text);
}

}  // namespace luabox
