// Descriptors 0 to 2, as the caller gave them.
#pragma once

namespace luabox {

class Root;

/// Takes the numbers of those that the caller closed, so that nothing opened later becomes an input that is
/// read or an output that is written. What stands in for them fails like a closed one (EBADF), and goes with
/// an exec.
void hold_closed_streams();

/// For a process that is about to leave its "/" for `root`: what is the host's /dev/null becomes that of
/// `root`, because root of a container could chmod and chown the host's by its descriptor (fchmod(2)). Where
/// `root` has none that opens, it stays the host's, by a read-only mount that no path leads to. Throws where
/// neither can be and this process's user owns the host's.
///
/// A file that was opened to be read, at the place that was reached, or is the input, a fifo that has a name,
/// a disk, a terminal and memory (/dev/zero) are opened anew by such a mount too: root of a container could
/// open what is to be read for writing by /proc/self/fd, and change the mode and owner of all. Throws where
/// that can't be, and this process could do so: a file that it may write to or owns, a fifo that it owns, by
/// a name that is not here. A disk or device stays then. A directory is refused: all of the host's files
/// would be beneath it.
void seal_streams(const Root& root);

/// Lets everybody open the pipes among the streams by what is their name inside (/dev/stdout), whoever the
/// container's user is: only who has them gets there (proc(5), /proc/pid/fd). Before the container's ids are
/// taken on; another user's stay as they are.
void open_up_pipes();

/// For a process that is in its network namespace: throws where a stream is a socket by which it would have
/// another one. Who has a socket of IP can connect it to something else (connect(2), AF_UNSPEC), and one of
/// unix(7) that is not connected to any abstract name there.
void refuse_foreign_sockets();

}  // namespace luabox
