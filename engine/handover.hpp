// What luabox gets from the process that it was before (engine/monitor.hpp), or that has started it in the
// background (engine/background.hpp): a text in its environment, and descriptors that the exec left open.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace luabox {

constexpr const char* kHandover = "LUABOX_HANDOVER";
constexpr const char* kOrigin = "LUABOX_HANDOVER_ORIGIN";  ///< engine/self.hpp: a descriptor

/// The text behind "KIND ", where this process was handed one of this `kind` over ("monitor"); nullptr where
/// it was not, and where privileges were gained by its exec (AT_SECURE): the caller's environment says
/// nothing then.
const char* handed_over(std::string_view kind);

/// It stays handed over, but is in nobody's environment any more. Call once, where it is settled which file
/// this process runs from (engine/self.hpp).
void accept_handover();

/// The environment of this process with `text` of this `kind` in it, for an exec: execve(2).
std::vector<std::string> environment_with(std::string_view kind, std::string_view text);

/// Nothing was handed over, from here on.
void forget_handover();

}  // namespace luabox
