// A primitive as the rules see it, and what they change in it.
#pragma once

#include "bindings/gate.hpp"

namespace luabox::policy {

/// The gate's governor: asks the site's rules about the primitive whose arguments are the stack's, if some
/// rule is about its kind. Raises what they refuse, puts what they changed in the place of the arguments, and
/// for a path that they were told of one that leads to the same file and to nothing else.
void govern(lua_State* L, const char* primitive, gate::Passing& passing);

}  // namespace luabox::policy
