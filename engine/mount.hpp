// Mounts as values.
//
// A Mount is a detached tree: a descriptor that no path leads to. It is given its flags while detached, so no
// process ever sees it half configured, and destroying it undoes it. attach() is the only step that changes
// the mount namespace. The functions below it work on paths of this mount namespace, as mount(8) does. A
// failure leaves the namespace as it was, but where something else is said. See open_tree(2), fsopen(2),
// mount_setattr(2), move_mount(2); util-linux has the pages that man-pages lacks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/fd.hpp"
#include "engine/root.hpp"

namespace luabox {

/// At most one of noatime, relatime and strictatime.
struct MountFlags {
  bool read_only = false, nosuid = false, nodev = false, noexec = false, nosymfollow = false;
  bool noatime = false, relatime = false, strictatime = false, nodiratime = false;
};

/// Flags to set and flags to clear; all others stay. A cleared atime flag leaves relatime.
struct FlagChange : MountFlags {
  MountFlags clear;
  bool recursive = true;
};

enum class Propagation { private_, shared, slave, unbindable };

struct CopyOptions {
  bool recursive = true;  ///< with everything mounted below
};

/// The value of a file system's option; empty for an option that has none ("userxattr").
struct FsValue {
  std::string text;
  FsValue() = default;
  FsValue(std::string value) : text(std::move(value)) {}
  FsValue(const char* value) : text(value) {}
};
using FsOptions = std::map<std::string, FsValue>;

struct MakeOptions {
  std::string source;  ///< a device for some types; empty: the type's name
  FsOptions options;
  /// The mount's own. Where the file system itself must be read-only, it has the option "ro".
  MountFlags flags;
};

struct AttachOptions {
  std::optional<TargetKind> create = {};  ///< makes a missing target, as Root::ensure_target does
  bool no_symlinks = false;               ///< a symlink anywhere in the target is ELOOP
};

class Mount {
 public:
  /// Copies what is mounted at `source`, a directory or a file; symlinks are followed.
  static Mount copy_of(const std::string& source, const CopyOptions& options);
  /// The same for a path inside `root`. Before Linux 6.15 `root` must be of this mount namespace, not of a
  /// detached tree.
  static Mount copy_in(const Root& root, const std::string& source, const CopyOptions& options);
  /// A new file system. Where it refuses an option, the error's hint is the kernel's own message.
  static Mount make(const std::string& type, const MakeOptions& options);

  /// Sets flags on every mount of the tree; flags that are set stay set. All are changed, or none.
  void restrict_to(const MountFlags& flags);
  void set_flags(const FlagChange& change);
  /// Of every mount of the tree.
  void set_propagation(Propagation propagation);
  /// Maps the owners of all files as the user namespace `userns` (a descriptor) does. Once, and before
  /// anything else can see the tree.
  void set_idmap(int userns);

  /// Another descriptor for the same tree.
  Mount duplicate() const { return {tree_.duplicate(name_), name_}; }
  /// Whether the tree's root is a directory; else it is a single file.
  bool is_directory() const;
  /// The tree's own directory as a root, to fill it before it is attached. Before Linux 6.15 nothing can be
  /// mounted in it till then.
  Root root() const;

  /// Makes the tree visible at `target`, resolved inside `root`. Returns what was made for it, as
  /// Root::ensure_target does; this stays when the mount itself fails.
  std::vector<std::string> attach(const Root& root, const std::string& target,
                                  const AttachOptions& options) &&;
  /// The same at a path of this process's view, which must exist.
  void attach_at(const std::string& target) &&;

 private:
  Mount(Fd tree, std::string name) : tree_(std::move(tree)), name_(std::move(name)) {}
  friend class FsContext;

  Fd tree_;
  std::string name_;
};

// ---- file systems with safe defaults: a script that wants less writes `nosuid = false`

/// nosuid, nodev, noexec.
struct SealedFlags : MountFlags {
  SealedFlags() { nosuid = nodev = noexec = true; }
};
struct ProcOptions : SealedFlags {
  std::optional<FsValue> hidepid = {};  ///< 0, 1, 2 or "ptraceable"; proc(5)
  std::optional<FsValue> subset = {};   ///< "pid"
  std::optional<gid_t> gid = {};        ///< may see what hidepid hides
};
struct TmpfsOptions : MountFlags {
  TmpfsOptions() { nosuid = nodev = true; }
  std::optional<FsValue> size = {};    ///< bytes, or "64m", "20%"; the kernel's default is half of memory
  std::optional<FsValue> inodes = {};  ///< a number, or "10k"
  std::optional<FileMode> mode = {};   ///< of its directory, 01777 if not given
  std::optional<uid_t> uid = {};
  std::optional<gid_t> gid = {};
};
struct DevptsOptions : MountFlags {
  DevptsOptions() { nosuid = noexec = true; }
  FileMode mode{0620};      ///< of a terminal
  FileMode ptmxmode{0666};  ///< of its ptmx; the kernel's own default is 0
  std::optional<gid_t> gid = {};
};
struct CgroupMountOptions : SealedFlags {
  bool v2 = false;
  std::vector<std::string> controllers;  ///< of a v1 hierarchy, exactly as it is mounted elsewhere
  std::string name;                      ///< of a v1 hierarchy without controllers: "systemd"
};
struct OverlayOptions : MountFlags {
  std::vector<std::string> lower;  ///< directories, the topmost first
  std::string upper, work;         ///< both or none; none is read-only
  bool userxattr = false, volatile_ = false;
  std::optional<bool> metacopy = {}, index = {};
  std::string redirect_dir;  ///< "on", "off", "follow", "nofollow"
  FsOptions options;         ///< any other
};

Mount make_proc(const ProcOptions& options);
Mount make_sysfs(const SealedFlags& options);
Mount make_mqueue(const SealedFlags& options);
Mount make_tmpfs(const TmpfsOptions& options);
Mount make_devpts(const DevptsOptions& options);
Mount make_cgroup(const CgroupMountOptions& options);
/// The layers are opened here and reach the kernel as descriptors, so their paths may hold ':' and ',' and be
/// of any length. Needs /proc. More layers than fit into one option of 256 bytes (about 60) need Linux 6.8.
Mount make_overlay(const OverlayOptions& options);

// ---- paths of this mount namespace

struct BindOptions : MountFlags {
  bool recursive = true;
};
struct PropagationOptions {
  bool recursive = true;
};
struct UmountOptions {
  bool detach = false;  ///< out of sight now, gone when the last user is (MNT_DETACH)
  bool force = false;   ///< MNT_FORCE
  bool follow = false;  ///< a symlink as the last name
};

/// The flags hold for everything mounted below `source` too.
void bind_mount(const std::string& source, const std::string& target, const BindOptions& options);
/// `path` must be a mount point, here and in the next.
void remount(const std::string& path, const FlagChange& change);
void set_propagation(const std::string& path, Propagation propagation, const PropagationOptions& options);
void move_mount(const std::string& from, const std::string& to);
void umount(const std::string& path, const UmountOptions& options);

// ---- the root of a container

/// Makes `root`, a mount point, the "/" of this mount namespace and detaches the old one with everything
/// mounted in it, which is made private first: no other namespace notices. Descriptors that are open still
/// lead out, but for /dev/null as 0 to 2 (engine/streams.hpp). After a failure the process must not go on.
void pivot_root(const Root& root);
/// chroot(2) and chdir("/"), with 0 to 2 as above: no barrier for a process with CAP_SYS_CHROOT.
void change_root(const Root& root);

/// `path` is the root directory of a procfs, by its inode and not by its name.
bool is_procfs(const Root& root, const std::string& path);
/// Throws EINVAL unless is_procfs.
void verify_procfs(const Root& root, const std::string& path);

/// Hides what is at `paths`: a directory behind an empty read-only one, anything else behind /dev/null. A
/// path that doesn't exist is passed over (ENOENT only); one that leads to the root itself is EINVAL. After a
/// failure the first ones are hidden.
void mask(const Root& root, const std::vector<std::string>& paths);
/// Makes what is at `paths`, and everything mounted below, read-only; all other flags stay. Missing paths and
/// failures as above.
void make_read_only(const Root& root, const std::vector<std::string>& paths);

}  // namespace luabox
