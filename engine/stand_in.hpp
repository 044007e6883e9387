// What stands on the host for a program that has joined a container and stays there by itself
// (ExecOptions::until).
#pragma once

#include <sys/types.h>

namespace luabox {

/// Passes signals on to `program`, a child, and ends with its status; ends it when the process of the pidfd
/// `first` has ended: in a pid namespace that is the host's the kernel doesn't. All signals are blocked:
/// those that came before wait for it.
///
/// Where it `carries`, what comes out of descriptor 0, a pipe's reading end, goes into descriptor 1, a
/// regular file: the container has the pipe, and never the file (engine/relay.hpp says why). Who goes on to
/// write when `program` has ended is served, too, until a signal that means to end comes.
[[noreturn]] void stand_in(pid_t program, int first, bool carries);

}  // namespace luabox
