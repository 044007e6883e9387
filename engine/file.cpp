#include "engine/file.hpp"

#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"

namespace luabox {

void make_directories(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return;
  const auto slash = path.find_last_of('/');
  if (errno != ENOENT || slash == std::string::npos || slash == 0) throw Error("mkdir", path);
  make_directories(path.substr(0, slash), mode);
  if (::mkdir(path.c_str(), mode) < 0 && errno != EEXIST) throw Error("mkdir", path);
}

void make_directory(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) < 0) throw Error("mkdir", path);
}

std::string make_temporary(const std::string& prefix) {
  std::string path = prefix + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw Error("mkdtemp", path);
  return path;
}

std::vector<std::string> list_directory(const std::string& path, size_t limit) {
  constexpr size_t kMost = 32768, kUsual = 64;  // bytes: of a reading, of an entry
  std::vector<std::string> names;
  const Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    if (errno == ENOENT) return names;
    throw Error("open", path);
  }
  // readdir(3) has the kernel tell a thousand names where the first few are wanted.
  std::vector<char> entries(limit == 0 ? kMost : std::min(kMost, (limit + 4) * kUsual));
  while (limit == 0 || names.size() < limit) {
    const ssize_t size = ::getdents64(folder.get(), entries.data(), entries.size());
    if (size < 0) throw Error("getdents64", path);
    if (size == 0) break;
    for (ssize_t at = 0; at < size && (limit == 0 || names.size() < limit);) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries.data() + at);
      at += entry->d_reclen;
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<std::string> kind_of(const std::string& path) {
  struct stat found;
  if (::lstat(path.c_str(), &found) < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw Error("stat", path);
  }
  switch (found.st_mode & S_IFMT) {
    case S_IFDIR:
      return "directory";
    case S_IFREG:
      return "file";
    case S_IFLNK:
      return "symlink";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    default:
      return "device";
  }
}

void create_file(const std::string& path, std::string_view text, unsigned mode) {
  const Fd file = Fd::open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  write_all(file.get(), text, path);
}

void append_to_file(const std::string& path, std::string_view text) {
  const Fd file = Fd::open(path, O_WRONLY | O_APPEND | O_NOFOLLOW);
  write_all(file.get(), text, path);
}

/// Beside `path`; the longest names lose their end.
static std::string unfinished(const std::string& path) {
  const std::string suffix = ".new" + std::to_string(::getpid());
  const size_t name = path.find_last_of('/') + 1;  // npos + 1 is 0
  return path.substr(0, std::min(path.size(), name + NAME_MAX - suffix.size())) + suffix;
}

void replace_file(const std::string& path, std::string_view text, unsigned mode) {
  const std::string temporary = unfinished(path);
  ::unlink(temporary.c_str());  // of a process of this number that was killed
  try {
    create_file(temporary, text, mode);
    rename_file(temporary, path, Replace::yes);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
}

void rename_file(const std::string& from, const std::string& to, Replace replace) {
  const unsigned flags = replace == Replace::no         ? RENAME_NOREPLACE
                         : replace == Replace::exchange ? RENAME_EXCHANGE
                                                        : 0;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) < 0)
    throw Error("rename", from + " to " + to);
}

bool remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  if ((errno == EISDIR || errno == EPERM) && ::rmdir(path.c_str()) == 0) return true;
  throw Error("remove", path);
}

static std::string identity_in(const struct stat& found) {
  return std::to_string(found.st_dev) + "-" + std::to_string(found.st_ino);
}

std::string identity_of(const std::string& path) {
  struct stat found;
  if (::stat(path.c_str(), &found) < 0) throw Error("stat", path);
  return identity_in(found);
}

std::string Lock::identity() const {
  struct stat found;
  if (::fstat(fd_.get(), &found) < 0) throw Error("stat", "lock");
  return identity_in(found);
}

std::optional<Lock> Lock::take(const std::string& path, Options options) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));  // a fifo is no place to stand still at
  if (!fd && errno == ENOENT) {
    if (!options.create) return std::nullopt;
    fd = Fd::open(path, O_RDWR | O_CREAT, 0600);
  }
  if (!fd) throw Error("open", path);
  const int how = (options.shared ? LOCK_SH : LOCK_EX) | (options.wait ? 0 : LOCK_NB);
  while (::flock(fd.get(), how) < 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    if (errno != EINTR) throw Error("flock", path);
    check_interrupt("flock");
  }
  fd.set_aside();
  return Lock(std::move(fd));
}

}  // namespace luabox
