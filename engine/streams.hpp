// Descriptors 0 to 2, as the caller gave them.
#pragma once

namespace luabox {

/// Takes the numbers of those that the caller closed, so that nothing opened later becomes an input that is
/// read or an output that is written. What stands in for them fails like a closed one (EBADF), and goes with
/// an exec.
void hold_closed_streams();

/// In a process that has its own "/": what is the host's /dev/null becomes the one that is here, because root
/// of a container could chmod and chown the host's by its descriptor (fchmod(2)). Where none is here it
/// stays.
void replace_null_devices();

}  // namespace luabox
