// The init of a container that an ordinary user can join, and of one whose set-up shares its parent's memory.
//
// An init that is a copy of luabox can't be dumpable: its memory is luabox's. And to a process that is not,
// the kernel asks for CAP_SYS_PTRACE in the user namespace in which its program was executed
// (ptrace(2), "Ptrace access mode checking"), for luabox's that of the host: only root can open the
// namespaces of such an init. A program that is executed inside answers to the container's user namespace,
// whose owner has all capabilities in it from outside, and whose processes have CAP_SYS_PTRACE only where the
// script grants it. It has no memory of luabox's any more, and its file is sealed. See user_namespaces(7),
// memfd_create(2), execveat(2).
#pragma once

#include <sys/types.h>

#include "engine/fd.hpp"

namespace luabox {

/// The program's file: in memory, sealed, closed by an exec. None where the kernel refuses it.
Fd small_init_file();

/// This process, an init whose `program` runs, with all signals blocked, becomes a program of a few pages
/// that does the same. Returns where the kernel refuses it; then this process is as it was.
void enter_small_init(const Fd& file, pid_t program, bool held);

}  // namespace luabox
