// A lock of a file, as Lua sees it: see bindings/file.cpp.
#pragma once

#include "bindings/lua.hpp"
#include "engine/file.hpp"

namespace luabox::lua {

template <>
struct Class<Lock> {
  static constexpr auto name = "lock";
  static const Entry methods[2];
};

}  // namespace luabox::lua
