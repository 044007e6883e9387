// The file that a command's name stands for, and why it could not be executed.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "engine/bare_call.hpp"
#include "engine/error.hpp"

namespace luabox {

/// What the command may be, in turn, as execvp(3): itself with a '/' in it, else its name in each folder of
/// the PATH of `environment`, that of the program to be and not of this process.
std::vector<std::string> command_files(const std::string& name, const std::vector<std::string>& environment);

/// Why nothing was executed: file number `at` of them, or each.
struct Attempt {
  size_t at;
  int code;  ///< the last one's, never 0
};

/// Executes the first that can be. Bare system calls alone.
[[gnu::always_inline]] inline Attempt exec_one_of(const char* const* files, char* const* arguments,
                                                  char* const* environment) {
  Attempt last = {0, ENOENT};
  for (; files[last.at] != nullptr; ++last.at) {
    const long file = bare::address(files[last.at]);
    last.code =
        static_cast<int>(-bare::call(SYS_execve, file, bare::address(arguments), bare::address(environment)));
    const bool there = bare::call(SYS_faccessat, AT_FDCWD, file, F_OK) == 0;
    if (last.code == ENOENT ? there : last.code != ENOTDIR && last.code != EACCES) break;
  }
  return last;
}

/// ENOENT where there is no such program, or its interpreter or loader: the hint names it; EACCES, also of
/// these; ENOEXEC (a foreign architecture: named); EPERM where it has file capabilities that this process may
/// not have: named. Reads the container's own files only.
Error why_not_executed(const std::string& name, const std::vector<std::string>& environment,
                       const Attempt& failed);

}  // namespace luabox
