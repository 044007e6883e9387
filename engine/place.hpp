// A file that was looked at once: what is told of it is true of the descriptor, wherever its path leads
// later.
#pragma once

#include <sys/types.h>

#include <string>

#include "engine/fd.hpp"

namespace luabox {

struct Place {
  Fd fd;  ///< O_PATH
  std::string
      path;  ///< without symlinks, as this process sees it; of a namespace or pipe what the kernel calls it
  dev_t device = 0;
  ino_t inode = 0;
  uid_t owner = 0;
  bool directory = false;

  /// What `name` leads to, symlinks followed. Throws Error("open", name).
  static Place at(const std::string& name);
  /// What the descriptor is of. `name` is for errors.
  static Place of(Fd fd, const std::string& name);
};

/// What an open descriptor leads to, by readlink(2) of /proc/self/fd: "/etc/passwd", "net:[4026531840]".
/// `name` is for errors.
std::string path_of(int fd, const std::string& name);

}  // namespace luabox
