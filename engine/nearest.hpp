// The known name that a misspelt one was probably meant to be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace luabox {

/// The known name from which the fewest insertions, deletions, substitutions and swaps of neighbours lead to
/// `name`, the first of several; "" where none is near.
std::string_view nearest(std::string_view name, const std::vector<std::string_view>& known);

/// " (did you mean 'x'?)" for the nearest, or "".
std::string suggestion(std::string_view name, const std::vector<std::string_view>& known);

/// "unknown WHAT 'name' (did you mean 'x'?)"; without the question where nothing known is near.
std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string_view>& known);

}  // namespace luabox
