#include "engine/tree.hpp"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "engine/error.hpp"

namespace luabox {
namespace {

/// A process that keeps adding files while they are removed: after so many rounds it has won.
constexpr int kMostRounds = 8;

using FileId = std::pair<dev_t, ino_t>;

struct stat status_of(int fd, const std::string& name) {
  struct stat status;
  if (::fstat(fd, &status) < 0) throw Error("stat", name);
  return status;
}

FileId id_of(const struct stat& status) { return {status.st_dev, status.st_ino}; }

/// Opens the directory `name` for reading, itself and not what it may lead to. EXDEV where something is
/// mounted on it.
Fd open_here(int parent, const std::string& name) {
  open_how how = {};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
  return Fd(static_cast<int>(::syscall(SYS_openat2, parent, name.c_str(), &how, sizeof how)));
}

/// What is done on the way. `directory` holds `name`; `path` is for errors.
class Visitor {
 public:
  Visitor() = default;
  Visitor(const Visitor&) = delete;
  Visitor& operator=(const Visitor&) = delete;
  virtual ~Visitor() = default;
  virtual Fd open(int directory, const std::string& name, const std::string& path) = 0;
  virtual void file(int directory, const std::string& name, const std::string& path) = 0;
  /// After everything in it. false: it has been filled again, walk it once more.
  virtual bool leave(int directory, const std::string& name, const std::string& path) = 0;
};

/// A walk in depth, children before their directory, with only the current directory open.
class Walk {
 public:
  Walk(int top, const std::string& path, Visitor& visitor) : top_(top), path_(path), visitor_(visitor) {}

  void run(const std::string& name) {
    enter(top_, name);
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.directories.empty()) {
        leave();
        continue;
      }
      const std::string next = std::move(level.directories.back());
      level.directories.pop_back();
      path_ += "/" + next;
      enter(current_.get(), next);
    }
  }

 private:
  struct Level {
    std::string name;
    FileId id;
    std::vector<std::string> directories;  ///< still to be walked
    int rounds = 0;
  };

  void enter(int parent, const std::string& name) {
    Fd directory = visitor_.open(parent, name, path_);
    if (!directory) {  // the visitor has done with it
      shorten_path();
      return;
    }
    levels_.push_back({name, id_of(status_of(directory.get(), path_)), {}});
    current_ = std::move(directory);
    read();
  }

  /// Visits the files of the current directory and notes its directories.
  void read() {
    Fd copy(::fcntl(current_.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) throw Error("dup", path_);
    if (::lseek(copy.get(), 0, SEEK_SET) < 0) throw Error("lseek", path_);
    each_entry(std::move(copy), path_, [this](const std::string& name, bool is_directory) {
      if (is_directory)
        levels_.back().directories.push_back(name);
      else
        visitor_.file(current_.get(), name, path_ + "/" + name);
    });
  }

  void leave() {
    Level& level = levels_.back();
    Fd parent;
    if (levels_.size() > 1) {
      parent = Fd::open_at(current_.get(), "..", O_RDONLY | O_DIRECTORY);
      // Who moves a directory while it is walked would have the rest of the walk done elsewhere.
      if (id_of(status_of(parent.get(), path_)) != levels_[levels_.size() - 2].id)
        throw Error("walk", path_, EAGAIN, "it was moved meanwhile");
    }
    if (!visitor_.leave(parent ? parent.get() : top_, level.name, path_)) {
      if (++level.rounds == kMostRounds) throw Error("remove", path_, ENOTEMPTY, "it is being filled");
      return read();
    }
    levels_.pop_back();
    current_ = std::move(parent);
    shorten_path();
  }

  void shorten_path() {
    if (!levels_.empty()) path_.erase(path_.rfind('/'));
  }

  const int top_;
  std::string path_;
  Visitor& visitor_;
  Fd current_;
  std::vector<Level> levels_;
};

class Remover : public Visitor {
 public:
  Fd open(int directory, const std::string& name, const std::string& path) override {
    Fd opened = open_here(directory, name);
    if (!opened && errno == EACCES && ::fchmodat(directory, name.c_str(), S_IRWXU, AT_SYMLINK_NOFOLLOW) == 0)
      opened = open_here(directory, name);
    if (opened) {
      const struct stat status = status_of(opened.get(), path);
      // Only for its owner without privilege; where it fails, the removal tells why.
      if ((status.st_mode & S_IRWXU) != S_IRWXU && ::geteuid() == status.st_uid)
        static_cast<void>(::fchmod(opened.get(), S_IRWXU));
      return opened;
    }
    if (errno == ENOENT) return {};
    if (errno == EXDEV) throw Error("remove", path, EBUSY, "something is mounted there");
    if (errno != ENOTDIR && errno != ELOOP) throw Error("remove", path);
    file(directory, name, path);  // no directory any more
    return {};
  }

  void file(int directory, const std::string& name, const std::string& path) override {
    if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return;
    if (errno == EISDIR) return;  // a directory by now; its parent is found not empty and read again
    throw failed(path);
  }

  bool leave(int directory, const std::string& name, const std::string& path) override {
    if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno == ENOTEMPTY || errno == EEXIST) return false;
    throw failed(path);
  }

 private:
  static Error failed(const std::string& path) {
    const int code = errno;
    const char* hint = code == EBUSY   ? "something is mounted there"
                       : code == EPERM ? "immutable or not yours"
                                       : "";
    return Error("remove", path, code, hint);
  }
};

class Measurer : public Visitor {
 public:
  Fd open(int directory, const std::string& name, const std::string& path) override {
    Fd opened = open_here(directory, name);
    if (opened) {
      add(status_of(opened.get(), path));
    } else if (errno == ENOTDIR || errno == ELOOP) {
      file(directory, name, path);
    } else if (errno != ENOENT && errno != EXDEV) {
      throw Error("open", path);
    }
    return opened;
  }

  void file(int directory, const std::string& name, const std::string& path) override {
    struct stat status;
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
      add(status);
    else if (errno != ENOENT)
      throw Error("stat", path);
  }

  bool leave(int, const std::string&, const std::string&) override { return true; }

  uint64_t bytes = 0;

 private:
  void add(const struct stat& status) {
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 && !counted_.insert(id_of(status)).second) return;
    bytes += static_cast<uint64_t>(status.st_blocks) *
             512;  // st_blocks counts 512 bytes whatever the file system, stat(2)
  }

  std::set<FileId> counted_;
};

struct Place {
  Fd parent;
  std::string name;
};

/// `path` as a name in its parent directory; nothing where the parent does not exist.
std::optional<Place> place_of(const std::string& op, std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..")
    throw Error::invalid(op, path, "expected a path that ends in a name");
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  Fd directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory && errno == ENOENT) return std::nullopt;
  if (!directory) throw Error("open", parent);
  return Place{std::move(directory), name};
}

}  // namespace

void each_entry(Fd directory, const std::string& path, const EntryVisit& visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(directory.get()), ::closedir);
  if (!stream) throw Error("opendir", path);
  directory.release();  // the stream's now
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr && errno != 0) throw Error("readdir", path);
    if (entry == nullptr) return;
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    bool is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN) {  // not every file system tells
      struct stat status;
      is_directory = ::fstatat(::dirfd(stream.get()), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                     S_ISDIR(status.st_mode);
    }
    visit(name, is_directory);
  }
}

void remove_tree(const std::string& path) {
  const auto place = place_of("remove", path);
  if (!place) return;
  Remover remover;
  Walk(place->parent.get(), path, remover).run(place->name);
}

void remove_tree_at(int parent, const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    throw Error::invalid("remove", name, "expected one name");
  Remover remover;
  Walk(parent, name, remover).run(name);
}

uint64_t tree_size(const std::string& path) {
  const auto place = place_of("size", path);
  struct stat status;
  if (!place || ::fstatat(place->parent.get(), place->name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0)
    throw Error("stat", path, ENOENT);
  Measurer measurer;
  Walk(place->parent.get(), path, measurer).run(place->name);
  return measurer.bytes;
}

}  // namespace luabox
