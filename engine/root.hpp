// A directory that plays "/".
//
// A Root is a descriptor. Every path given to it is resolved beneath it by the kernel (openat2,
// RESOLVE_IN_ROOT): "..", absolute paths and symlinks end at this root as they would after chroot, whoever
// changes the tree meanwhile; the magic links of /proc are refused (ELOOP). What is inside is hostile:
// nothing here opens a device or waits at a fifo. What creates something creates its missing parents too
// (mode 0755, owned by the caller), also where a dangling symlink points, and means its mode whatever the
// umask. An Error's object is the root's name and the path. See openat2(2), path_resolution(7).
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/fd.hpp"

namespace luabox {

enum class FileKind { directory, file, symlink, device, fifo, socket };

/// Permission bits, 0 to 07777.
struct FileMode {
  unsigned bits;
};

struct KindOptions {
  bool follow = true;  ///< false: of a symlink itself
};
struct DirectoryOptions {
  FileMode mode{0755};  ///< of the last directory, where it is made
};
struct WriteOptions {
  FileMode mode{0644};  ///< where the file is made; one that exists keeps its own
  bool append = false;
  /// The file must be on the mount that is at this path: nothing that was mounted over it is written to.
  std::optional<std::string> on = {};
};
struct ReadOptions {
  size_t limit = 16U << 20U;  ///< a longer file is EFBIG
  bool stored = false;        ///< EINVAL for what the kernel makes up as it is read
};

enum class NodeType { character, block, fifo };
struct NodeOptions {
  NodeType type = NodeType::character;
  unsigned major = 0, minor = 0;
  FileMode mode{0666};
  std::optional<uid_t> uid = {};
  std::optional<gid_t> gid = {};
};
struct OwnerOptions {
  std::optional<uid_t> uid = {};
  std::optional<gid_t> gid = {};
};

/// The two kinds that a mount tells apart: a directory goes on a directory, anything else on anything else.
enum class TargetKind { directory, file };
struct TargetOptions {
  TargetKind kind = TargetKind::directory;
  bool no_symlinks = false;  ///< a symlink anywhere in the path is ELOOP
};

class Root {
 public:
  /// The directory at `path` of this process's own view; symlinks are followed.
  static Root open(const std::string& path);
  /// `directory` may be an O_PATH descriptor. `name` is for errors.
  Root(Fd directory, std::string name) : directory_(std::move(directory)), name_(std::move(name)) {}

  int fd() const { return directory_.get(); }
  const std::string& name() const { return name_; }
  /// "rootfs/etc/motd": how errors call `path`.
  std::string label(const std::string& path) const;

  /// From now on what lies at `path`, written just so, and below it is looked for in `mounted`, a mount that
  /// is attached there: who renames the mount point meanwhile has nothing else taken for it. Nothing is made
  /// below. Both roots stay as they are.
  void pin(const std::string& path, const Root& mounted);
  /// This root without its pins, where by one of their paths something else is seen than the mount that is
  /// pinned.
  std::optional<Root> seen_otherwise() const;

  /// What is at `path`; nothing where there is nothing.
  std::optional<FileKind> kind(const std::string& path, const KindOptions& options) const;
  /// The names in a directory, sorted.
  std::vector<std::string> list(const std::string& path) const;

  /// mkdir -p: fine where it exists, ENOTDIR where something else does.
  void make_directory(const std::string& path, const DirectoryOptions& options) const;
  /// Replaces the text of a regular file, or makes one. Needs /proc to be mounted, as read does.
  void write(const std::string& path, std::string_view text, const WriteOptions& options) const;
  std::string read(const std::string& path, const ReadOptions& options) const;
  /// EEXIST where there is something at `path`. `target` is any text.
  void symlink(const std::string& target, const std::string& path) const;
  void mknod(const std::string& path, const NodeOptions& options) const;
  /// Of what `path` leads to.
  void chown(const std::string& path, const OwnerOptions& options) const;
  void chmod(const std::string& path, FileMode mode) const;
  /// The directory becomes this process's working directory: found as everything here, entered with this
  /// process's own rights.
  void enter(const std::string& path) const;
  /// A file, a symlink itself, or an empty directory.
  void remove(const std::string& path) const;

  /// Sees to it that `path` can be mounted on. Returns what was made for it, parents first, as paths without
  /// symlinks: an owner removes them last to first. ENOTDIR or EISDIR where the other kind is there.
  std::vector<std::string> ensure_target(const std::string& path, const TargetOptions& options) const;

  // For the engine.

  struct Resolution {
    unsigned long long flags = O_PATH;
    bool no_symlinks = false;
  };
  /// Opens `path`. Throws Error("open").
  Fd resolve(const std::string& path, const Resolution& how) const;
  Fd resolve(const std::string& path) const { return resolve(path, {}); }
  /// The same, but no descriptor where nothing is there (ENOENT only).
  Fd find(const std::string& path, const Resolution& how) const;
  Fd find(const std::string& path) const { return find(path, {}); }
  /// Whether `found` is this directory itself, by the mount that it is held by: what is mounted on it is
  /// passed over by every path that begins here.
  bool is_itself(const Fd& found) const;
  /// ensure_target, returning the target; adds to `made`.
  Fd open_target(const std::string& path, const TargetOptions& options, std::vector<std::string>& made) const;

 private:
  struct Place;
  struct Creation;
  class Walk;
  enum class Parents { must_exist, are_made };
  int openat2(const std::string& path, const Resolution& how) const noexcept;
  static int open_beneath(int from, const char* path, const Resolution& how) noexcept;
  Fd make(const std::string& path, const Creation& what) const;
  struct Pin {
    std::string path;
    Fd mounted;
  };
  Fd copy() const;
  const Pin* pin_of(std::string_view path) const noexcept;
  Place place_of(const std::string& path, Parents parents) const;

  Fd directory_;
  std::string name_;
  std::vector<Pin> pins_;
};

/// What `fd` is, from fstat(2). `name` is for the error only.
FileKind kind_of(int fd, const std::string& name);

}  // namespace luabox
