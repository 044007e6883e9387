// Files of the host that luabox itself keeps: state, images, locks.
//
// These follow paths by their string and are for trusted folders only; what lies inside a rootfs goes through
// Root (engine/root.hpp).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/fd.hpp"

namespace luabox {

/// mkdir -p: makes what is missing with `mode`; what exists is left as it is.
void make_directories(const std::string& path, unsigned mode = 0755);

/// Makes one folder that must not exist yet. Throws Error (EEXIST, ...).
void make_directory(const std::string& path, unsigned mode = 0755);

/// Makes an empty folder PREFIXxxxxxx with mode 0700; returns its path.
std::string make_temporary(const std::string& prefix);

/// The names in a folder, sorted, without "." and ".."; at most `limit` (0: all). A missing folder has none.
std::vector<std::string> list_directory(const std::string& path, size_t limit = 0);

/// "directory", "file", "symlink", "device", "fifo", "socket"; nothing when there is no such name. Does not
/// follow the last symlink.
std::optional<std::string> kind_of(const std::string& path);

/// Writes a file whole: under another name first, then renamed into place. Readers see the old text or the
/// new one.
void replace_file(const std::string& path, std::string_view text, unsigned mode = 0644);
/// Makes a new file; throws EEXIST where there is one.
void create_file(const std::string& path, std::string_view text, unsigned mode = 0644);

/// Adds to the end of a file that is there, in one write: a reader sees all of it, or (of a process that was
/// killed) a beginning.
void append_to_file(const std::string& path, std::string_view text);

enum class Replace { no, yes, exchange };
/// renameat2(2). With Replace::no an existing target is EEXIST.
void rename_file(const std::string& from, const std::string& to, Replace replace);

/// unlink(2) or, for an empty folder, rmdir(2). False when there was nothing.
bool remove_file(const std::string& path);

/// "device-inode": the same for every name of a file or a folder.
std::string identity_of(const std::string& path);

/// flock(2) on a file or a folder; given back when it goes, or when the process ends in
/// whatever way. The lock belongs to the open file description: a child of a clone may hold it too until it
/// execs. See Fd::set_aside.
class Lock {
 public:
  struct Options {
    bool shared = false;
    bool wait = false;
    bool create = true;  ///< a file that is missing, as 0600
  };
  /// Nothing when another holds it and `wait` is false, or when there is nothing and `create` is false.
  static std::optional<Lock> take(const std::string& path, Options options);
  void release() && { fd_.close(); }
  /// What an exec has left (engine/monitor.hpp).
  static Lock adopt(Fd locked) { return Lock(std::move(locked)); }
  int number() const { return fd_.get(); }
  /// identity_of what is locked, whatever its path leads to by now.
  std::string identity() const;

 private:
  explicit Lock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace luabox
