#include "engine/mount.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "engine/error.hpp"
#include "engine/streams.hpp"

namespace luabox {
namespace {

// linux/magic.h and fs/proc/internal.h: the root of every procfs.
constexpr auto kProcMagic = 0x9fa0;
constexpr ino_t kProcRootInode = 1;
/// fsconfig(2) takes strings of up to 255 bytes.
constexpr size_t kLongestValue = 255;

uint64_t attributes(const MountFlags& flags) {
  if (flags.noatime + flags.relatime + flags.strictatime > 1)
    throw Error::invalid("mount flags", "", "only one of noatime, relatime and strictatime can hold");
  uint64_t bits = MOUNT_ATTR_RELATIME;
  if (flags.read_only) bits |= MOUNT_ATTR_RDONLY;
  if (flags.nosuid) bits |= MOUNT_ATTR_NOSUID;
  if (flags.nodev) bits |= MOUNT_ATTR_NODEV;
  if (flags.noexec) bits |= MOUNT_ATTR_NOEXEC;
  if (flags.nosymfollow) bits |= MOUNT_ATTR_NOSYMFOLLOW;
  if (flags.noatime) bits |= MOUNT_ATTR_NOATIME;
  if (flags.strictatime) bits |= MOUNT_ATTR_STRICTATIME;
  if (flags.nodiratime) bits |= MOUNT_ATTR_NODIRATIME;
  return bits;
}

bool has_atime(const MountFlags& flags) { return flags.noatime || flags.relatime || flags.strictatime; }

/// mount_setattr(2) on `path` beneath `fd`, or on `fd` itself where `path` is empty.
void set_attributes(int fd, const std::string& path, bool recursive, mount_attr attr,
                    const std::string& name) {
  // A remount (MS_BIND|MS_REMOUNT) reaches only the topmost mount and leaves the ones below writable;
  // AT_RECURSIVE changes all of them, or fails and changes none.
  const unsigned flags = (path.empty() ? AT_EMPTY_PATH : 0U) | (recursive ? AT_RECURSIVE : 0U);
  if (::mount_setattr(fd, path.c_str(), flags, &attr, sizeof attr) < 0) throw Error("mount_setattr", name);
}

void change_flags(int fd, const std::string& path, const FlagChange& change, const std::string& name) {
  mount_attr attr = {};
  attr.attr_set = attributes(change);
  attr.attr_clr = attributes(change.clear) & ~static_cast<uint64_t>(MOUNT_ATTR__ATIME);
  // The atime flags are one field: to set any of its values the whole is cleared.
  if (has_atime(change) || has_atime(change.clear)) attr.attr_clr |= MOUNT_ATTR__ATIME;
  if (attr.attr_set != 0 || attr.attr_clr != 0) set_attributes(fd, path, change.recursive, attr, name);
}

uint64_t propagation_bits(Propagation propagation) {
  switch (propagation) {
    case Propagation::private_:
      return MS_PRIVATE;
    case Propagation::shared:
      return MS_SHARED;
    case Propagation::slave:
      return MS_SLAVE;
    case Propagation::unbindable:
      return MS_UNBINDABLE;
  }
  return MS_PRIVATE;
}

/// open_tree(2) of `path` beneath `fd`, or of `fd` itself where `path` is empty.
Fd clone_tree(int fd, const char* path, const CopyOptions& options, const std::string& name) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path == '\0' ? AT_EMPTY_PATH : 0U) |
                         (options.recursive ? AT_RECURSIVE : 0U);
  Fd tree(::open_tree(fd, path, flags));
  if (!tree) throw Error("open_tree", name);
  return tree;
}

bool is_directory(int fd) {
  struct stat status;
  return ::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

void attach_tree(int tree, int target, const std::string& name) {
  if (::move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0) return;
  const int code = errno;
  const bool directory = is_directory(tree);
  if (directory == is_directory(target)) throw Error("move_mount", name, code);
  throw Error(
      "move_mount", name, directory ? ENOTDIR : EISDIR,
      directory ? "a directory can't be mounted on a file" : "a file can't be mounted on a directory");
}

std::string octal(FileMode mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%o", mode.bits);
  return text;
}

template <class T>
void add(FsOptions& options, const char* name, const std::optional<T>& value) {
  if (!value) return;
  if constexpr (std::is_same_v<T, FsValue>)
    options[name] = *value;
  else if constexpr (std::is_same_v<T, FileMode>)
    options[name] = octal(*value);
  else if constexpr (std::is_same_v<T, bool>)
    options[name] = *value ? "on" : "off";
  else
    options[name] = std::to_string(*value);
}

}  // namespace

// ---- new file systems

/// A file system that is being configured, fsopen(2).
class FsContext {
 public:
  explicit FsContext(const std::string& type)
      : type_(type), context_(::fsopen(type.c_str(), FSOPEN_CLOEXEC)) {
    if (!context_)
      throw Error("fsopen", type, errno, errno == ENODEV ? "this kernel has no such file system" : "");
  }

  void set(const std::string& key, const FsValue& value) {
    const bool flag = value.text.empty();
    if (::fsconfig(context_.get(), flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key.c_str(),
                   flag ? nullptr : value.text.c_str(), 0) < 0)
      throw failed("fsconfig", " " + key + (flag ? "" : "=" + value.text));
  }

  Mount create(const MountFlags& flags) && {
    if (::fsconfig(context_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
      throw failed("fsconfig", " create");
    Fd tree(::fsmount(context_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes(flags))));
    if (!tree) throw failed("fsmount", "");
    return {std::move(tree), type_};
  }

 private:
  /// The kernel tells its reasons in the context's log, one for each read: "e tmpfs: Bad value for 'size'".
  Error failed(const std::string& op, const std::string& step) {
    const int code = errno;
    std::string reasons;
    char buffer[1024];
    for (ssize_t length; (length = ::read(context_.get(), buffer, sizeof buffer)) > 0;) {
      std::string_view line(buffer, static_cast<size_t>(length));
      if (line.size() > 2 && line[1] == ' ') line.remove_prefix(2);
      while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
      reasons += (reasons.empty() ? "" : "; ") + std::string(line);
    }
    if (reasons.empty() && code == ELOOP && type_ == "overlay")
      reasons = "two of its folders are the same, or one lies in another";
    return Error(op, type_ + step, code, reasons);
  }

  const std::string type_;
  const Fd context_;
};

Mount Mount::make(const std::string& type, const MakeOptions& options) {
  FsContext context(type);
  context.set("source", options.source.empty() ? type : options.source);
  for (const auto& [key, value] : options.options) context.set(key, value);
  return std::move(context).create(options.flags);
}

Mount make_proc(const ProcOptions& options) {
  FsOptions list;
  add(list, "hidepid", options.hidepid);
  add(list, "subset", options.subset);
  add(list, "gid", options.gid);
  return Mount::make("proc", {"", std::move(list), options});
}

Mount make_sysfs(const SealedFlags& options) { return Mount::make("sysfs", {"", {}, options}); }

Mount make_mqueue(const SealedFlags& options) { return Mount::make("mqueue", {"", {}, options}); }

Mount make_tmpfs(const TmpfsOptions& options) {
  FsOptions list;
  add(list, "size", options.size);
  add(list, "nr_inodes", options.inodes);
  add(list, "mode", options.mode);
  add(list, "uid", options.uid);
  add(list, "gid", options.gid);
  return Mount::make("tmpfs", {"", std::move(list), options});
}

Mount make_devpts(const DevptsOptions& options) {
  FsOptions list;
  list["newinstance"] = {};
  list["mode"] = octal(options.mode);
  list["ptmxmode"] = octal(options.ptmxmode);
  add(list, "gid", options.gid);
  return Mount::make("devpts", {"", std::move(list), options});
}

Mount make_cgroup(const CgroupMountOptions& options) {
  const bool v1 = !options.controllers.empty() || !options.name.empty();
  if (v1 == options.v2)
    throw Error::invalid("mount", "cgroup", "expected either v2, or a v1 hierarchy by controllers or name");
  if (options.v2) return Mount::make("cgroup2", {"cgroup", {}, options});
  FsOptions list;
  for (const auto& controller : options.controllers) list[controller] = {};
  if (options.controllers.empty()) list["none"] = {};
  if (!options.name.empty()) list["name"] = options.name;
  return Mount::make("cgroup", {"", std::move(list), options});
}

// ---- overlay

namespace {

/// Another working directory, for a while.
class WorkingDirectory {
 public:
  explicit WorkingDirectory(const std::string& path) : before_(Fd::open(".", O_PATH | O_DIRECTORY)) {
    if (::chdir(path.c_str()) < 0) throw Error("chdir", path);
  }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;
  ~WorkingDirectory() {
    // Going back to a directory that is open fails only where its permissions were taken away meanwhile.
    static_cast<void>(!::fchdir(before_.get()));
  }

 private:
  const Fd before_;
};

/// What is written to: a symlink would lead the writes elsewhere. A descriptor's own name is no path.
Fd open_written(const std::string& path) {
  constexpr std::string_view kDescriptors = "/proc/self/fd/";
  const bool held =
      path.starts_with(kDescriptors) && path.find('/', kDescriptors.size()) == std::string::npos;
  return Fd::open(path, O_PATH | O_DIRECTORY | (held ? 0 : O_NOFOLLOW));
}

/// The layers, open, and their names for the kernel.
class Layers {
 public:
  explicit Layers(const std::vector<std::string>& paths, bool written = false) {
    for (const auto& path : paths)
      open_.push_back(written ? open_written(path) : Fd::open(path, O_PATH | O_DIRECTORY));
  }
  std::vector<std::string> names(const std::string& prefix) const {
    std::vector<std::string> list;
    for (const auto& layer : open_) list.push_back(prefix + std::to_string(layer.get()));
    return list;
  }

 private:
  std::vector<Fd> open_;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ":") + name;
  return text;
}

FsOptions overlay_options(const OverlayOptions& options) {
  FsOptions list = options.options;
  if (options.userxattr) list["userxattr"] = {};
  if (options.volatile_) list["volatile"] = {};
  if (!options.redirect_dir.empty()) list["redirect_dir"] = options.redirect_dir;
  add(list, "metacopy", options.metacopy);
  add(list, "index", options.index);
  return list;
}

}  // namespace

Mount make_overlay(const OverlayOptions& options) {
  if (options.lower.empty())
    throw Error::invalid("mount", "overlay", "expected at least one lower directory");
  if (options.upper.empty() != options.work.empty())
    throw Error::invalid("mount", "overlay", "expected both upper and work, or neither");
  const bool writable = !options.upper.empty();
  const Layers lower(options.lower);
  const Layers upper(writable ? std::vector{options.upper, options.work} : std::vector<std::string>{}, true);

  // "/proc/self/fd/10:/proc/self/fd/11:..." is short enough for a dozen layers. From within that directory
  // "10:11:..." names them.
  std::string prefix = "/proc/self/fd/";
  std::optional<WorkingDirectory> inside;
  if (joined(lower.names(prefix)).size() > kLongestValue) {
    inside.emplace(prefix);
    prefix.clear();
  }

  FsContext context("overlay");
  context.set("source", "overlay");
  const auto names = lower.names(prefix);
  if (const std::string all = joined(names); all.size() <= kLongestValue)
    context.set("lowerdir", all);
  else
    for (const auto& name : names) context.set("lowerdir+", name);
  if (writable) {
    context.set("upperdir", upper.names(prefix)[0]);
    context.set("workdir", upper.names(prefix)[1]);
  }
  for (const auto& [key, value] : overlay_options(options)) context.set(key, value);
  return std::move(context).create(options);
}

// ---- detached trees

Mount Mount::copy_of(const std::string& source, const CopyOptions& options) {
  if (source.empty()) throw Error("open_tree", source, ENOENT);
  return {clone_tree(AT_FDCWD, source.c_str(), options, source), source};
}

Mount Mount::copy_in(const Root& root, const std::string& source, const CopyOptions& options) {
  const Fd found = root.resolve(source);
  return {clone_tree(found.get(), "", options, root.label(source)), root.label(source)};
}

void Mount::restrict_to(const MountFlags& flags) { change_flags(tree_.get(), "", {flags, {}}, name_); }

void Mount::set_flags(const FlagChange& change) { change_flags(tree_.get(), "", change, name_); }

void Mount::set_propagation(Propagation propagation) {
  mount_attr attr = {};
  attr.propagation = propagation_bits(propagation);
  set_attributes(tree_.get(), "", true, attr, name_);
}

void Mount::set_idmap(int userns) {
  mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<uint64_t>(userns);
  try {
    set_attributes(tree_.get(), "", true, attr, name_);
  } catch (const Error& error) {
    if (error.code() != EINVAL && error.code() != EPERM) throw;
    throw Error(error.op(), error.object(), error.code(),
                error.code() == EPERM
                    ? "an id map takes privileges over the file system, and is set once"
                    : "the file system, or one mounted below, has no id-mapped mounts here");
  }
}

bool Mount::is_directory() const { return kind_of(tree_.get(), name_) == FileKind::directory; }

Root Mount::root() const { return {tree_.duplicate(name_), name_ + ":"}; }

std::vector<std::string> Mount::attach(const Root& root, const std::string& target,
                                       const AttachOptions& options) && {
  std::vector<std::string> made;
  const Fd found = options.create ? root.open_target(target, {*options.create, options.no_symlinks}, made)
                                  : root.resolve(target, {.no_symlinks = options.no_symlinks});
  attach_tree(tree_.get(), found.get(), root.label(target));
  tree_.close();
  return made;
}

void Mount::attach_at(const std::string& target) && {
  attach_tree(tree_.get(), Fd::open(target, O_PATH).get(), target);
  tree_.close();
}

// ---- paths of this mount namespace

void bind_mount(const std::string& source, const std::string& target, const BindOptions& options) {
  Mount tree = Mount::copy_of(source, {options.recursive});
  tree.restrict_to(options);
  std::move(tree).attach_at(target);
}

void remount(const std::string& path, const FlagChange& change) {
  change_flags(AT_FDCWD, path, change, path);
}

void set_propagation(const std::string& path, Propagation propagation, const PropagationOptions& options) {
  mount_attr attr = {};
  attr.propagation = propagation_bits(propagation);
  set_attributes(AT_FDCWD, path, options.recursive, attr, path);
}

void move_mount(const std::string& from, const std::string& to) {
  if (::move_mount(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(),
                   MOVE_MOUNT_F_SYMLINKS | MOVE_MOUNT_T_SYMLINKS) < 0)
    throw Error("move_mount", from + " to " + to);
}

void umount(const std::string& path, const UmountOptions& options) {
  const int flags = (options.detach ? MNT_DETACH : 0) | (options.force ? MNT_FORCE : 0) |
                    (options.follow ? 0 : UMOUNT_NOFOLLOW);
  if (::umount2(path.c_str(), flags) < 0)
    throw Error("umount", path, errno, errno == EINVAL ? "nothing is mounted there" : "");
}

// ---- the root of a container

void pivot_root(const Root& root) {
  seal_streams(root);
  const Fd old = Fd::open("/", O_PATH | O_DIRECTORY);
  if (::fchdir(root.fd()) < 0) throw Error("fchdir", root.name());
  // With "." for both, the old root is stacked on the new one: no directory has to be made for it,
  // pivot_root(2).
  if (::syscall(SYS_pivot_root, ".", ".") < 0) {
    const int code = errno;
    const bool unfit = code == EINVAL || code == EBUSY;
    throw Error("pivot_root", root.name(), code, unfit ? "expected a mount point, in private mounts" : "");
  }
  // Whatever is still shared with another namespace would be unmounted there too.
  mount_attr attr = {};
  attr.propagation = MS_PRIVATE;
  set_attributes(old.get(), "", true, attr, "the old root");
  if (::umount2(".", MNT_DETACH) < 0) throw Error("umount", "the old root");
  if (::chdir("/") < 0) throw Error("chdir", "/");
}

void change_root(const Root& root) {
  seal_streams(root);
  if (::fchdir(root.fd()) < 0) throw Error("fchdir", root.name());
  if (::chroot(".") < 0) throw Error("chroot", root.name());
  if (::chdir("/") < 0) throw Error("chdir", "/");
}

bool is_procfs(const Root& root, const std::string& path) {
  const Fd found = root.resolve(path);
  struct statfs system;
  struct stat status;
  if (::fstatfs(found.get(), &system) < 0) throw Error("statfs", root.label(path));
  if (::fstat(found.get(), &status) < 0) throw Error("stat", root.label(path));
  return system.f_type == kProcMagic && status.st_ino == kProcRootInode;
}

void verify_procfs(const Root& root, const std::string& path) {
  if (!is_procfs(root, path))
    throw Error::invalid("verify_procfs", root.label(path), "is not the root of a procfs");
}

namespace {

/// What is at `path`, to be mounted over.
Fd find_covered(const Root& root, const std::string& path, const char* op) {
  Fd target = root.find(path);
  if (target && root.is_itself(target))
    throw Error::invalid(op, root.label(path), "is the root itself, which nothing can be mounted over");
  return target;
}

/// What is put over masked paths, made once for a list.
class Covers {
 public:
  void put_on(const Fd& target, const std::string& name) {
    if (is_directory(target.get()))
      cover_directory(target.get(), name);
    else
      cover_file(target.get(), name);
  }

 private:
  /// Read-only, so that the node itself is out of reach: it is the host's, and root inside could chmod it.
  /// What is written to a device is no write to its mount.
  void cover_file(int target, const std::string& name) {
    const Fd copy = clone_tree(null(), "", {.recursive = false}, "/dev/null");
    mount_attr attr = {};
    attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    set_attributes(copy.get(), "", false, attr, name);
    attach_tree(copy.get(), target, name);
  }

  int null() {
    if (null_) return null_.get();
    Fd null = Fd::open("/dev/null", O_PATH | O_NOFOLLOW);
    struct stat status;
    if (::fstat(null.get(), &status) < 0) throw Error("stat", "/dev/null");
    if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3))
      throw Error::invalid("mask", "/dev/null", "is not the null device");
    null_ = std::move(null);
    return null_.get();
  }

  /// The first directory gets the file system itself; once that is attached it can be copied, by Linux
  /// before 6.15 too.
  void cover_directory(int target, const std::string& name) {
    if (empty_)
      return attach_tree(clone_tree(empty_->fd(), "", {.recursive = false}, "tmpfs").get(), target, name);
    const MountFlags sealed{.read_only = true, .nosuid = true, .nodev = true, .noexec = true};
    const Mount empty = Mount::make("tmpfs", {"", {{"ro", {}}, {"mode", "555"}}, sealed});
    empty_ = empty.root();
    attach_tree(empty_->fd(), target, name);
  }

  Fd null_;
  std::optional<Root> empty_;
};

}  // namespace

void mask(const Root& root, const std::vector<std::string>& paths) {
  Covers covers;
  const auto cover = [&](const Root& view) {
    for (const auto& path : paths)
      if (const Fd target = find_covered(view, path, "mask")) covers.put_on(target, view.label(path));
  };
  cover(root);
  if (const auto seen = root.seen_otherwise()) cover(*seen);
}

namespace {

void read_only_in(const Root& root, const std::vector<std::string>& paths) {
  mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  for (const auto& path : paths) {
    const Fd target = find_covered(root, path, "make_read_only");
    if (!target) continue;
    const Fd copy = clone_tree(target.get(), "", {.recursive = true}, root.label(path));
    set_attributes(copy.get(), "", true, attr, root.label(path));
    attach_tree(copy.get(), target.get(), root.label(path));
  }
}

}  // namespace

void make_read_only(const Root& root, const std::vector<std::string>& paths) {
  read_only_in(root, paths);
  if (const auto seen = root.seen_otherwise()) read_only_in(*seen, paths);
}

}  // namespace luabox
