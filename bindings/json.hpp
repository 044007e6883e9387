// Lua values as JSON text, and back; for bindings that send them somewhere. See bindings/json.cpp.
#pragma once

#include <string>
#include <string_view>

struct lua_State;

namespace luabox {

/// The value at `index` (positive); a number that is none, or infinite, is null. Throws Error or
/// lua::BadArgument where JSON has no such value.
std::string json_of(lua_State* L, int index);

/// Adds a string. Bytes that are no UTF-8 become U+FFFD.
void append_json(std::string_view value, std::string& text);

/// Pushes what `text` says; throws Error when it is no JSON.
void push_json(lua_State* L, std::string_view text);

}  // namespace luabox
