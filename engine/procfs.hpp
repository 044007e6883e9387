// The process's own files in /proc, proven to be the kernel's.
//
// A rootfs may put anything at /proc, and a mount may cover a file in a real one: a label or a map written
// there would go nowhere. What open_proc returns lies on the same procfs mount as /proc itself, with nothing
// mounted over it (openat2(2), RESOLVE_NO_XDEV), and that mount is procfs's own root.
#pragma once

#include <string>
#include <string_view>

#include "engine/fd.hpp"

namespace luabox {

/// Opens /proc/`file` ("self/attr/exec"). Throws Error("open", "/proc/..."): EXDEV where something is mounted
/// over it, ENOTSUP where /proc is no procfs.
Fd open_proc(const std::string& file, int flags);

/// One write(2) of `text` to /proc/`file`, opened by open_proc.
void write_proc(const std::string& file, std::string_view text);

/// write_proc to /proc/self/`file`, which is root's while this process is not dumpable: an ordinary user's
/// becomes dumpable for it (engine/dumpable.hpp).
void write_own_proc(const std::string& file, std::string_view text);

}  // namespace luabox
