#include "engine/root.hpp"

#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "engine/error.hpp"
#include "engine/no_umask.hpp"
#include "engine/tree.hpp"

namespace luabox {
namespace {

/// As the kernel's MAXSYMLINKS.
constexpr int kMostSymlinks = 40;
/// openat2 answers EAGAIN to a ".." while anything on the machine is renamed or mounted; each try is a new
/// race.
constexpr int kMostTries = 256;

FileKind kind_of_mode(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return FileKind::directory;
    case S_IFREG:
      return FileKind::file;
    case S_IFLNK:
      return FileKind::symlink;
    case S_IFIFO:
      return FileKind::fifo;
    case S_IFSOCK:
      return FileKind::socket;
    default:
      return FileKind::device;
  }
}

const char* describe(FileKind kind) {
  switch (kind) {
    case FileKind::directory:
      return "is a directory";
    case FileKind::file:
      return "is a file";
    case FileKind::symlink:
      return "is a symlink";
    case FileKind::device:
      return "is a device";
    case FileKind::fifo:
      return "is a fifo";
    case FileKind::socket:
      return "is a socket";
  }
  return "";
}

struct stat status_of(int fd, const std::string& name) {
  struct stat status;
  if (::fstat(fd, &status) < 0) throw Error("stat", name);
  return status;
}

/// Which mount `fd` is on, statx(2).
uint64_t mount_of(int fd, const std::string& name) {
  struct statx status = {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) < 0) throw Error("statx", name);
  return status.stx_mnt_id;
}

Error cannot_open(const std::string& name) {
  const int code = errno;
  const char* hint = code == ELOOP    ? "a symlink that is not followed: a loop, or a magic link of /proc"
                     : code == EAGAIN ? "the tree is being changed"
                                      : "";
  return Error("open", name, code, hint);
}

/// Puts the names of `path` on top of `names`, the first one last. Empty ones and "." lead nowhere.
void push_names(std::vector<std::string>& names, std::string_view path) {
  const size_t bottom = names.size();
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (!name.empty() && name != ".") names.emplace_back(name);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  std::reverse(names.begin() + static_cast<std::ptrdiff_t>(bottom), names.end());
}

std::string link_target(int symlink, const std::string& name) {
  char target[PATH_MAX];
  const ssize_t length = ::readlinkat(symlink, "", target, sizeof target);
  if (length < 0) throw Error("readlink", name);
  return {target, static_cast<size_t>(length)};
}

/// A file of these looks like any other, and reading it may do something: /proc/kmsg forgets what it gave.
void require_stored(int file, const std::string& name) {
  struct statfs system;
  if (::fstatfs(file, &system) < 0) throw Error("fstatfs", name);
  for (const long made_up : {PROC_SUPER_MAGIC, SYSFS_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC,
                             CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC})
    if (system.f_type == made_up)
      throw Error::invalid("read", name, "it is the kernel's own, expected a file of the image's");
}

/// Opens what an O_PATH descriptor holds: nobody can put a device in its place meanwhile.
Fd reopen(const Fd& found, int flags, const std::string& name) {
  const struct stat wanted = status_of(found.get(), name);
  if (!S_ISREG(wanted.st_mode))
    throw Error("open", name, S_ISDIR(wanted.st_mode) ? EISDIR : EINVAL,
                std::string(describe(kind_of_mode(wanted.st_mode))) + ", expected a regular file");
  Fd file(::open(fd_path(found.get()).c_str(), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file)
    throw Error("open", name, errno,
                errno == ENOENT        ? "is /proc mounted?"
                : errno == EWOULDBLOCK ? "a process has a lease on it, fcntl(2)"
                                       : "");
  const struct stat got = status_of(file.get(), name);
  if (got.st_dev != wanted.st_dev || got.st_ino != wanted.st_ino)
    throw Error("open", name, ELOOP, "/proc is not procfs");
  return file;
}

}  // namespace

FileKind kind_of(int fd, const std::string& name) { return kind_of_mode(status_of(fd, name).st_mode); }

// ---- resolution

Root Root::open(const std::string& path) { return {Fd::open(path, O_PATH | O_DIRECTORY), path}; }

std::string Root::label(const std::string& path) const {
  std::string text = name_;
  while (!text.empty() && text.back() == '/') text.pop_back();
  return text + (path.empty() || path.front() != '/' ? "/" : "") + path;
}

Fd Root::copy() const { return directory_.duplicate(name_); }

void Root::pin(const std::string& path, const Root& mounted) { pins_.push_back({path, mounted.copy()}); }

std::optional<Root> Root::seen_otherwise() const {
  for (const Pin& pin : pins_) {
    const Fd seen(open_beneath(fd(), pin.path.c_str(), {}));
    if (!seen || mount_of(seen.get(), pin.path) != mount_of(pin.mounted.get(), pin.path))
      return Root(copy(), name_);
  }
  return std::nullopt;
}

/// The last one holds: it was mounted over the others.
const Root::Pin* Root::pin_of(std::string_view path) const noexcept {
  const auto covers = [&](const Pin& pin) {
    return path.starts_with(pin.path) && (path.size() == pin.path.size() || path[pin.path.size()] == '/');
  };
  const auto found = std::find_if(pins_.rbegin(), pins_.rend(), covers);
  return found == pins_.rend() ? nullptr : &*found;
}

int Root::openat2(const std::string& path, const Resolution& how) const noexcept {
  const Pin* pin = pin_of(path);
  if (pin == nullptr) return open_beneath(directory_.get(), path.c_str(), how);
  const char* rest = path.c_str() + pin->path.size();
  return open_beneath(pin->mounted.get(), *rest == '\0' ? "." : rest, how);
}

int Root::open_beneath(int from, const char* path, const Resolution& how) noexcept {
  open_how request = {};
  request.flags = how.flags | O_CLOEXEC;
  request.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (how.no_symlinks ? RESOLVE_NO_SYMLINKS : 0U);
  for (int tries = 1;; ++tries) {
    const long opened = ::syscall(SYS_openat2, from, path, &request, sizeof request);
    if (opened >= 0 || tries == kMostTries || (errno != EAGAIN && errno != EINTR))
      return static_cast<int>(opened);
  }
}

Fd Root::find(const std::string& path, const Resolution& how) const {
  Fd found(openat2(path, how));
  if (!found && errno != ENOENT) throw cannot_open(label(path));
  return found;
}

Fd Root::resolve(const std::string& path, const Resolution& how) const {
  Fd found = find(path, how);
  if (!found) throw Error("open", label(path), ENOENT);
  return found;
}

bool Root::is_itself(const Fd& found) const {
  const struct stat own = status_of(fd(), name_), other = status_of(found.get(), name_);
  return own.st_dev == other.st_dev && own.st_ino == other.st_ino &&
         mount_of(fd(), name_) == mount_of(found.get(), name_);
}

// ---- creation

struct Root::Creation {
  TargetKind kind;
  mode_t mode;
  bool no_symlinks;
  std::vector<std::string>* made;  ///< nullptr: nobody asks
};

/// Walks a path one name at a time, never letting the kernel follow a symlink, and makes what is missing.
/// Every level stays open, so
/// ".." is the level below and the walk can't leave the root, whatever is moved meanwhile.
class Root::Walk {
 public:
  Walk(const Root& root, const Creation& what) : root_(root), what_(what) {}

  Fd run(const std::string& path) {
    if (path.empty()) throw Error("open", root_.label(path), ENOENT);
    const NoUmask exact;
    push_names(names_, path);
    while (!names_.empty()) {
      const std::string name = std::move(names_.back());
      names_.pop_back();
      if (name != "..")
        enter(name);
      else if (!levels_.empty())
        levels_.pop_back();
    }
    return levels_.empty() ? root_.resolve("/") : std::move(levels_.back().fd);
  }

 private:
  struct Level {
    Fd fd;
    std::string path;
  };

  void enter(const std::string& name) {
    const std::string path = (levels_.empty() ? "" : levels_.back().path) + "/" + name;
    Fd next = open_or_make(levels_.empty() ? root_.fd() : levels_.back().fd.get(), name, path);
    const FileKind kind = kind_of(next.get(), root_.label(path));
    if (kind == FileKind::symlink) {
      if (what_.no_symlinks || ++symlinks_ > kMostSymlinks) throw Error("open", root_.label(path), ELOOP);
      const std::string target = link_target(next.get(), root_.label(path));
      if (target.compare(0, 1, "/") == 0) levels_.clear();
      push_names(names_, target);
      return;
    }
    if (kind != FileKind::directory && !names_.empty()) throw Error("open", root_.label(path), ENOTDIR);
    levels_.push_back({std::move(next), path});
  }

  Fd open_or_make(int parent, const std::string& name, const std::string& path) {
    const bool last = names_.empty();
    const bool file = last && what_.kind == TargetKind::file;
    const mode_t mode = last ? what_.mode : 0755;
    for (int tries = 1;; ++tries) {
      Fd found(::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      if (found) return found;
      if (errno != ENOENT || tries == kMostTries) throw cannot_open(root_.label(path));
      const int made =
          file ? ::mknodat(parent, name.c_str(), S_IFREG | mode, 0) : ::mkdirat(parent, name.c_str(), mode);
      if (made < 0 && errno != EEXIST) throw Error(file ? "create" : "mkdir", root_.label(path));
      if (made == 0 && what_.made) what_.made->push_back(path);
    }
  }

  const Root& root_;
  const Creation& what_;
  std::vector<std::string> names_;  ///< still to be walked, the next one last
  std::vector<Level> levels_;       ///< without the root itself
  int symlinks_ = 0;
};

Fd Root::make(const std::string& path, const Creation& what) const {
  if (pin_of(path) != nullptr) throw Error("open", label(path), ENOENT);
  return Walk(*this, what).run(path);
}

Fd Root::open_target(const std::string& path, const TargetOptions& options,
                     std::vector<std::string>& made) const {
  Fd target = find(path, {.no_symlinks = options.no_symlinks});
  if (!target) {
    const bool directory = options.kind == TargetKind::directory;
    target = make(path, {options.kind, directory ? 0755U : 0644U, options.no_symlinks, &made});
  }
  const FileKind found = kind_of(target.get(), label(path));
  if ((found == FileKind::directory) != (options.kind == TargetKind::directory))
    throw Error("target", label(path), found == FileKind::directory ? EISDIR : ENOTDIR,
                std::string(describe(found)) + ", expected a " +
                    (options.kind == TargetKind::directory ? "directory" : "file"));
  return target;
}

std::vector<std::string> Root::ensure_target(const std::string& path, const TargetOptions& options) const {
  std::vector<std::string> made;
  open_target(path, options, made);
  return made;
}

/// A name in the root itself, at which nothing can be followed.
static bool is_name(const std::string& path) {
  return !path.empty() && path.find('/') == std::string::npos && path != "." && path != "..";
}

void Root::make_directory(const std::string& path, const DirectoryOptions& options) const {
  if (is_name(path) && pin_of(path) == nullptr) {
    const NoUmask exact;
    if (::mkdirat(fd(), path.c_str(), options.mode.bits) == 0) return;
    if (errno != EEXIST) throw Error("mkdir", label(path));
  }
  Fd found = find(path);
  if (!found) found = make(path, {TargetKind::directory, options.mode.bits, false, nullptr});
  const FileKind kind = kind_of(found.get(), label(path));
  if (kind != FileKind::directory)
    throw Error("mkdir", label(path), ENOTDIR, std::string(describe(kind)) + ", expected a directory");
}

/// A name in a directory that is open: what the calls need that make or remove the name itself.
struct Root::Place {
  Fd parent;  ///< none: the root itself
  int directory;
  std::string name;
};

Root::Place Root::place_of(const std::string& path, Parents parents) const {
  std::string_view rest = path;
  while (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  const size_t slash = rest.rfind('/');
  const std::string name(slash == std::string_view::npos ? rest : rest.substr(slash + 1));
  if (name.empty() || name == "." || name == "..")
    throw Error::invalid("path", label(path), "expected a path that ends in a name");
  const std::string parent(slash == std::string_view::npos ? "" : rest.substr(0, slash));
  if (parent.empty()) return {Fd(), directory_.get(), name};
  Fd directory = find(parent, {.flags = O_PATH | O_DIRECTORY});
  if (!directory && parents == Parents::must_exist) throw Error("open", label(parent), ENOENT);
  if (!directory) directory = make(parent, {TargetKind::directory, 0755, false, nullptr});
  const int fd = directory.get();
  return {std::move(directory), fd, name};
}

void Root::symlink(const std::string& target, const std::string& path) const {
  const Place place = place_of(path, Parents::are_made);
  if (::symlinkat(target.c_str(), place.directory, place.name.c_str()) < 0)
    throw Error("symlink", label(path));
}

void Root::mknod(const std::string& path, const NodeOptions& options) const {
  const Place place = place_of(path, Parents::are_made);
  const mode_t type = options.type == NodeType::character ? S_IFCHR
                      : options.type == NodeType::block   ? S_IFBLK
                                                          : S_IFIFO;
  {
    const NoUmask exact;
    const dev_t device = options.type == NodeType::fifo ? 0 : makedev(options.major, options.minor);
    if (::mknodat(place.directory, place.name.c_str(), type | options.mode.bits, device) < 0)
      throw Error("mknod", label(path));
  }
  if (!options.uid && !options.gid) return;
  if (::fchownat(place.directory, place.name.c_str(), options.uid.value_or(-1), options.gid.value_or(-1),
                 AT_SYMLINK_NOFOLLOW) < 0)
    throw Error("chown", label(path));
}

// ---- files

void Root::write(const std::string& path, std::string_view text, const WriteOptions& options) const {
  Fd found = find(path);
  if (!found) found = make(path, {TargetKind::file, options.mode.bits, false, nullptr});
  if (options.on && mount_of(found.get(), label(path)) != mount_of(resolve(*options.on).get(), *options.on))
    throw Error("write", label(path), EXDEV, "it is not on the mount at " + *options.on);
  const Fd file = reopen(found, O_WRONLY | (options.append ? O_APPEND : O_TRUNC), label(path));
  write_all(file.get(), text, label(path));
}

std::string Root::read(const std::string& path, const ReadOptions& options) const {
  const Fd found = resolve(path);
  if (options.stored) require_stored(found.get(), label(path));
  const Fd file = reopen(found, O_RDONLY, label(path));
  return read_all(file.get(), label(path), options.limit);
}

void Root::chown(const std::string& path, const OwnerOptions& options) const {
  const Fd found = resolve(path);
  if (::fchownat(found.get(), "", options.uid.value_or(-1), options.gid.value_or(-1), AT_EMPTY_PATH) < 0)
    throw Error("chown", label(path));
}

void Root::chmod(const std::string& path, FileMode mode) const {
  constexpr long fchmodat2 = 452;  // Linux 6.6; in no header here
  const Fd found = resolve(path);
  if (::syscall(fchmodat2, found.get(), "", mode.bits, AT_EMPTY_PATH) == 0) return;
  if (errno != ENOSYS || ::chmod(fd_path(found.get()).c_str(), mode.bits) < 0)
    throw Error("chmod", label(path));
}

void Root::enter(const std::string& path) const {
  const Fd directory = resolve(path, {.flags = O_PATH | O_DIRECTORY});
  if (::fchdir(directory.get()) < 0) throw Error("chdir", label(path));
}

void Root::remove(const std::string& path) const {
  const Place place = place_of(path, Parents::must_exist);
  if (::unlinkat(place.directory, place.name.c_str(), 0) == 0) return;
  if (errno == EISDIR && ::unlinkat(place.directory, place.name.c_str(), AT_REMOVEDIR) == 0) return;
  throw Error("remove", label(path));
}

std::optional<FileKind> Root::kind(const std::string& path, const KindOptions& options) const {
  const Fd found(openat2(path, {.flags = O_PATH | (options.follow ? 0U : O_NOFOLLOW)}));
  if (found) return kind_of(found.get(), label(path));
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw cannot_open(label(path));
}

std::vector<std::string> Root::list(const std::string& path) const {
  std::vector<std::string> names;
  each_entry(resolve(path, {.flags = O_RDONLY | O_DIRECTORY}), label(path),
             [&](const std::string& name, bool) { names.push_back(name); });
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace luabox
