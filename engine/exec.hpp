// The end of a child's set-up: another program takes its place, directly or below an init of our own.
#pragma once

#include <string>
#include <vector>

namespace luabox {

class Filter;

/// Two descriptors; -1 where nothing is carried. Borrowed.
struct Carried {
  int from = -1;  ///< a pipe's reading end
  int to = -1;    ///< a regular file
};

struct ExecOptions {
  /// At least one; the first is looked for in the PATH of `environment` unless it holds a '/'.
  std::vector<std::string> arguments;
  /// "NAME=value"; nothing is inherited.
  std::vector<std::string> environment;
  /// setsid(2) first, so that the caller's terminal can't be reached by job control or TIOCSTI.
  bool new_session = false;
  /// With new_session: descriptor 0 becomes the controlling terminal.
  bool controlling_terminal = false;
  /// exec_below_init only: this process stands outside of the program's pid namespace, which it has joined
  /// for its children. The program ends when this process does.
  bool joined = false;
  /// With joined: this process stays when its parent ends, and the program ends when the process of this
  /// pidfd does, the container's first. -1: it ends with its parent. Borrowed.
  int until = -1;
  /// With until: what comes out of the one goes into the other (engine/stand_in.hpp).
  Carried carried = {};
  /// exec_below_init only: once the program runs the init becomes a small program (engine/init.hpp), so that
  /// the ordinary user who made the user namespace can join it. One that shares its parent's memory does so
  /// anyway, and fails where it can't.
  bool small_init = false;
  /// The program's own system call filter, the last thing before execve: an init is not behind it, but may do
  /// no more than an init has to once the program runs. Borrowed.
  const Filter* filter = nullptr;
  bool log_refused = false;  ///< the kernel logs what `filter` does not allow
  /// exec_below_init only, and not in a child that shares its parent's memory: called in the init once the
  /// program runs, or waits for nothing but the init.
  void (*once_running)() = nullptr;
  /// exec_below_init only: once the program runs, nothing of this process's memory is left but code and a
  /// page or two of stack. For an executable that is linked statically and not position independent: the code
  /// of any other would go, too.
  bool give_memory_back = false;
};

/// execve(2), with only descriptors 0 to 2, default signal handlers and an empty signal mask. Returns by
/// throwing only: ENOENT when there is no such program (or its interpreter or loader: the hint names it),
/// EACCES, ENOEXEC (a foreign architecture: named).
[[noreturn]] void exec(const ExecOptions& options);

/// Becomes an init (pid 1 of a pid namespace): starts the program as a child, passes every signal on to it,
/// reaps orphans, and ends with its status, 128 + N for a signal. The pid namespace then ends with it. Its
/// arguments and environment are cleared before there is another process. Throws as exec() does, in the
/// child.
[[noreturn]] void exec_below_init(const ExecOptions& options);

/// Remembers where the command line and the environment lie, for an init that must not have the host's. Call
/// once, first thing in main.
void remember_command_line(int argc, char** argv);

/// A list that execve(2) takes, of `texts`, which stay where they are.
std::vector<char*> pointers_to(const std::vector<std::string>& texts);

/// The arguments that the command line holds.
std::vector<std::string> command_line();

/// What an init that shared its parent's memory had cleared there, so that its container does not see it,
/// stands there again.
void show_command_line();

}  // namespace luabox
