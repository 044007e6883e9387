// What a site's policies were loaded to, in a file that root keeps for the next start.
//
// It is the memory of the state that they were loaded into, put back at the addresses at which it lay: it may
// point into itself and into the program, which is not position independent (docs/design.md, "One file").
//
// It is code that runs with root's rights, so it is read by root only, and only from a file that nobody but
// root can have written: the file and each folder on its way are looked at as the policies themselves are
// (engine/policy_files.hpp). It is of one build of luabox and of one set of policies: it holds their whole
// text, which is compared with what was read, and looked at, for this start. The text stands last, so a file
// that was cut short is none.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/policy_files.hpp"

namespace luabox {

/// A piece of memory, from the beginning of a page on, that lies at the same address in each process of a
/// build.
using KeptMemory = std::span<std::byte>;

/// Puts what FOLDER/.policies has for `files` into these pieces, whose pages are a copy of the file's
/// (mmap(2), MAP_PRIVATE); they may be larger than what was kept. False where there is any doubt: then
/// nothing was touched. Throws Error where only a part could be put there.
bool restore_policies(const std::string& folder, const std::vector<PolicyFile>& files,
                      const std::vector<KeptMemory>& memory);

/// Makes it the file of what `files` were loaded to. Does nothing where it can't be written, or somebody else
/// than root could: the next start loads them again.
void keep_policies(const std::string& folder, const std::vector<PolicyFile>& files,
                   const std::vector<KeptMemory>& memory);

}  // namespace luabox
