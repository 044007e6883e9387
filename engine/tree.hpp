// Directory trees that others filled: walked, measured and removed without trusting a name in them.
//
// A walk never follows a symlink and never enters a mount. It holds two descriptors and no stack frame for a
// level, so depth costs memory only; on its way up it checks that ".." is the directory it came from. See
// openat2(2), getdents(2).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/fd.hpp"

namespace luabox {

/// Calls `visit` for everything in `directory` (a descriptor open for reading, used up) but "." and "..", one
/// at a time: a directory may hold more names than memory does. `is_directory` tells of the entry itself, not
/// of what a symlink leads to. `path` is for the error.
using EntryVisit = std::function<void(const std::string& name, bool is_directory)>;
void each_entry(Fd directory, const std::string& path, const EntryVisit& visit);

/// Removes `path` with everything below it; one that doesn't exist is fine. The parents of `path` are the
/// caller's and may be symlinks; its last name may not be "", "." or "..". Something mounted below is EBUSY,
/// and what was removed before it stays removed. A directory that its owner made inaccessible is opened up
/// first. Throws Error("remove", the path that could not be removed).
void remove_tree(const std::string& path);

/// The same for `name`, one name, in the directory `parent`.
void remove_tree_at(int parent, const std::string& name);

/// Bytes of disk that `path` and everything below it use, as du(1) counts: a file with several links once,
/// mounts below left out.
uint64_t tree_size(const std::string& path);

}  // namespace luabox
