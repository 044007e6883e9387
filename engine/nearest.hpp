// The known name that a misspelt one was probably meant to be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace luabox {

/// "unknown WHAT 'name' (did you mean 'x'?)"; without the question where nothing known is near.
std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string_view>& known);

}  // namespace luabox
