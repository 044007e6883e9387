// Members of an archive as files beneath a directory, whatever the archive says.
//
// The members are hostile: their names, their order and what they link to. A name is resolved beneath the
// directory's descriptor with openat2(RESOLVE_IN_ROOT), so that a symlink made by an earlier member leads
// where it would lead inside a container and never outside; its last component is never followed. A name with
// ".." is refused, an absolute one is taken from the directory. As with tar, a later member takes the place
// of an earlier one: a directory stays, anything else but a full directory is removed.
//
// Modes are exact whatever the umask; setuid, setgid and sticky are kept. Of the extended attributes
// security.capability and user.* are kept. trusted.* and user.overlay.* are dropped, because they would steer
// an overlay mount over the image; so is a character device 0:0, which overlayfs takes for a whiteout. See
// openat2(2), xattr(7), Documentation/filesystems/overlayfs.rst.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/fd.hpp"

namespace luabox {

enum class Devices {
  keep,    ///< made where we may; counted as skipped where mknod gives EPERM
  skip,    ///< counted as skipped
  refuse,  ///< the first one is an error
};

enum class Owner {
  keep,  ///< the archive's numbers
  own,   ///< all is ours, which needs no privilege; capabilities of files are dropped
};

struct ExtractOptions {
  Devices devices = Devices::keep;
  Owner owner = Owner::keep;
};

/// One member, independent of the archive's format.
struct Member {
  std::string path;
  mode_t mode = 0;  ///< type and permissions; no type for a hard link
  int64_t uid = 0, gid = 0;
  timespec mtime = {0, UTIME_OMIT};
  std::string link;  ///< where a symlink or hard link leads
  bool hard_link = false;
  dev_t device = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

struct Skipped {
  uint64_t devices = 0;
  uint64_t sockets = 0;
  uint64_t xattrs = 0;
};

class Extractor {
 public:
  /// `directory` stays the caller's, exists and should be out of others' reach: members appear in it with the
  /// modes they ask for. Directories that the archive does not mention, itself included, become 0755.
  Extractor(int directory, ExtractOptions options);
  Extractor(const Extractor&) = delete;
  Extractor& operator=(const Extractor&) = delete;

  /// Makes `member`; `contents` fills a regular file's descriptor. Throws Error("import", the member's name).
  void add(const Member& member, const std::function<void(int)>& contents);

  /// Gives the directories their modes and times, which must wait until nothing more is made in them.
  void finish();

  const Skipped& skipped() const { return skipped_; }

 private:
  struct Place {
    int parent;  // of parent_
    std::string name;
  };
  struct Directory {
    ino_t inode;
    std::unique_ptr<Member> wanted;  // without xattrs; nothing for what is finished: it was not mentioned
  };

  Place place(const Member& member, const std::string& path);
  Fd directory(const std::string& path);
  Fd make_implied(int parent, const std::string& name, const std::string& path);
  Fd open_beneath(const std::string& path, uint64_t flags) const;
  void remember(const struct stat& made, std::unique_ptr<Member> wanted);
  void clear(const Place& place, const Member& member);

  Fd make_directory(const Member& member, const std::string& path);
  void add_directory(const Member& member, const std::string& path);
  void add_file(const Member& member, const Place& place, const std::function<void(int)>& contents);
  void add_hard_link(const Member& member, const Place& place);
  void add_device(const Member& member, const Place& place);
  bool replacing(const Place& place, const Member& member, const std::function<int()>& make);
  void add_other(const Member& member, const Place& place, const std::function<int()>& make);

  void settle(int fd, const Member& member);
  void settle_name(const Place& place, const Member& member);
  void set_xattrs(int fd, const Member& member);

  int root_;
  ExtractOptions options_;
  Skipped skipped_;
  std::string parent_path_;
  Fd parent_;
  std::vector<Directory> directories_;          // parents before what is in them
  std::unordered_map<ino_t, size_t> by_inode_;  // into directories_
};

/// `name` fit for a message: control characters escaped, shortened.
std::string printable(const std::string& name);

}  // namespace luabox
