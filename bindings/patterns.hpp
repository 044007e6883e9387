// string.find that an interrupt can end.
//
// A pattern may take years, and nothing reaches into the C function that matches it. So it runs in a Lua
// state of its own, which has nothing but `string`: the signal handler jumps out of it, and the state is
// given up as it stands, with its memory. luaL_newstate's allocator takes that from mmap(2) alone and shares
// nothing with others.
#pragma once

#include <lua.hpp>

namespace luabox::patterns {

/// find(subject, pattern, init, plain) -> what string.find gives; false, message for a bad pattern. Raises
/// Error{"find", EINTR} when it was ended.
int find(lua_State* L);

/// In the signal handler: does not return if find() is at work.
void give_up();

}  // namespace luabox::patterns
