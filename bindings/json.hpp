// Lua values as JSON text, and back; for bindings that send them somewhere. See bindings/json.cpp.
#pragma once

#include <string>
#include <string_view>

struct lua_State;

namespace luabox {

/// The value at `index` (positive). Throws Error or lua::BadArgument where JSON has no such value.
std::string json_of(lua_State* L, int index);

/// Pushes what `text` says; throws Error when it is no JSON.
void push_json(lua_State* L, std::string_view text);

}  // namespace luabox
