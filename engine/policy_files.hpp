// The files of a site's policies, read so that nobody but their owner can have written them.
//
// A folder of policies is looked at component by component, without symlinks, and every directory on the way
// must belong to root and be writable by nobody else (a sticky one such as /tmp may be: nobody can replace
// root's names in it). So must each file. What is read is what was checked: a file's descriptor, and the
// names of directories that nobody else can give to others.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fd.hpp"

namespace luabox {

struct PolicyFile {
  std::string name;  ///< "10-site.lua"
  std::string path;  ///< "/etc/luabox/policy.d/10-site.lua"
  std::string text;
};

enum class PolicyOwner {
  root,    ///< root alone
  caller,  ///< root, or who runs this process
  any,     ///< not checked: for a look at policies that are not in force
};

/// The *.lua of `folder` in order of name; none where there is no such folder. Throws Error (EPERM) that
/// names the folder or file that somebody else could have written.
std::vector<PolicyFile> read_policies(const std::string& folder, PolicyOwner owner);

/// One file, open for reading, looked at in the same way; nullopt where there is none. Symlinks of `path` are
/// followed first, and what they lead to is checked. Throws Error (EPERM) that names what somebody else could
/// have written.
std::optional<Fd> open_trusted(const std::string& path, PolicyOwner owner);
/// Its text, up to `limit` bytes.
std::optional<std::string> read_trusted(const std::string& path, PolicyOwner owner, size_t limit = 1U << 20U);

/// The folder's path without symlinks, where nobody but root can put a file into it, or another folder into
/// its place.
std::optional<std::string> folder_of_root(const std::string& folder);

/// Whether nobody but root can have written the file at `path`, an absolute path without symlinks.
bool only_root_writes(const std::string& path);

/// Whether `text` has the word as a name of its own: what it does not have it can't call.
bool has_name(std::string_view text, std::string_view word);

}  // namespace luabox
