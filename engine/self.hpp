// Keeping luabox's own binary out of a container's reach.
//
// A process in a container can reach the program that runs beside it, or that it is itself about to become,
// through /proc/PID/exe: a command of "/proc/self/exe", a script with "#!/proc/self/exe", an ELF loader of
// the image's choosing (CVE-2019-5736). The process that sets a container up therefore never runs from a
// writable mount: it enters itself again through a detached, read-only mount of its own file (open_tree(2),
// mount_setattr(2); needs CAP_SYS_ADMIN), or through a sealed copy in memory (memfd_create(2)).
#pragma once

#include <vector>

#include "engine/fd.hpp"

namespace luabox {

/// Call first thing in main. Returns at once when this process already runs from such a file; else it execs
/// and does not return. Throws Error when neither way works: nothing may go on then. Also makes the process
/// not dumpable, so that no other process of the same user can read its memory and descriptors (prctl(2),
/// PR_SET_DUMPABLE).
/// Descriptors above 2 that the caller left open are closed, but for those that an argument names
/// (named_descriptors): an exec closes these; 0 to 2 are never free (engine/streams.hpp).
void enter_protected(char** argv);

/// Those that arguments before "--" mean by "/dev/fd/N" (a shell's <(...)). In a process that was entered
/// nothing of its own has such a number: where the caller had nothing open, nothing can be read or written.
std::vector<int> named_descriptors(char* const* argv);

/// The file that this program lies in, to be executed again (O_PATH, execveat(2)): what it was started from,
/// which a sealed copy is a copy of.
Fd open_self();

/// Whether /proc/self/exe can't be opened for writing through any path: it lies on a read-only mount or is
/// sealed.
bool is_protected();

}  // namespace luabox
