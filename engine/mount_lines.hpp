// The mounts of a process as its /proc/self/mountinfo lists them: proc_pid_mountinfo(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace luabox {

struct MountLine {
  std::string device;  ///< "8:1"
  std::string root;    ///< what of the file system is mounted: "/", "/etc"
  std::string point;   ///< where
  std::string rest;    ///< "rw,relatime shared:1 - ext4 /dev/sda1 rw"
};

/// In the order of the text, in which the later of two on one point lies above.
std::vector<MountLine> mount_lines(std::string_view mountinfo);

}  // namespace luabox
