// What a site's policies were compiled to, in a file that root keeps for the next start.
//
// It is code that runs with root's rights, so it is read by root only, and only from a file that nobody but
// root can have written: the file and each folder on its way are looked at as the policies themselves are
// (engine/policy_files.hpp). It is of one build of luabox and of one set of policies: it holds their whole
// text, which is compared with what was read, and looked at, for this start. The text stands last, so a file
// that was cut short is none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/policy_files.hpp"

namespace luabox {

struct CompiledPolicies {
  std::string file;                    ///< what was read
  std::vector<std::string_view> code;  ///< in it: one for each of the policies, in their order; or none
};

/// What FOLDER/.policies has for `files`; no code where there is any doubt.
CompiledPolicies read_compiled(const std::string& folder, const std::vector<PolicyFile>& files);

/// Makes it the file of `code`, one for each of `files`. Does nothing where it can't be written, or somebody
/// else than root could: the next start compiles them again.
void keep_compiled(const std::string& folder, const std::vector<PolicyFile>& files,
                   const std::vector<std::string>& code);

}  // namespace luabox
