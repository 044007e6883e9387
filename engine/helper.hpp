// Programs of the host's that do for an ordinary user what takes privilege or time: newuidmap, newgidmap,
// pasta.
//
// Such a program is trusted, so it is looked for only where nobody but root can put one, and gets nothing of
// the caller's: an environment of two variables, "/" as its folder, /dev/null as its input, a pipe for what
// it says, no other descriptor, default signal handlers. See posix_spawn(3), pidfd_open(2).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/fd.hpp"
#include "engine/process.hpp"

namespace luabox {

/// The path of `name` in /usr/bin, /usr/sbin, /bin, /sbin or /usr/local/bin; nothing where no such file is
/// executable, root's, and in a folder of root's that nobody else may write to.
std::optional<std::string> find_helper(const std::string& name);

class Helper {
 public:
  /// Starts `arguments`, of which the first is find_helper's. Throws Error (ENOENT: no such program).
  static Helper start(std::vector<std::string> arguments);

  Helper(Helper&& other) noexcept = default;
  Helper& operator=(Helper&&) = delete;
  /// Kills and reaps it if it still runs.
  ~Helper();

  int pid() const { return pid_; }
  /// How it ended; nothing when `seconds` (negative: for ever) are over.
  std::optional<ExitStatus> wait(double seconds);
  /// What it has written since the last call, in one line, at most 4096 bytes.
  std::string output();
  /// False when it has ended.
  bool kill(int signal) const;

 private:
  Helper(int pid, Fd pidfd, Fd output) : pid_(pid), pidfd_(std::move(pidfd)), output_(std::move(output)) {}

  int pid_;
  Fd pidfd_, output_;
  std::optional<ExitStatus> ended_;
};

/// Kills every process of this user whose command line has `argument`, and waits up to a second for its end:
/// a helper whose parent was killed. Nothing is signalled by a number that may have been used again.
void end_helpers(const std::string& argument);

}  // namespace luabox
