#include "bindings/gate.hpp"

#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <lua.hpp>

#include "bindings/lua.hpp"

namespace luabox::gate {
namespace {

constexpr size_t kLongestArgument = 120;
constexpr int kDeepestTable = 2;

Watcher watcher = nullptr;
const char* called_last = "";

double now_us() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

std::string written(lua_State* L, int index, int depth);

std::string written_table(lua_State* L, int index, int depth) {
  std::string text = "{";
  const int top = lua_gettop(L);
  lua_pushnil(L);
  while (text.size() < kLongestArgument && lua_next(L, index) != 0) {
    text += text.size() > 1 ? ", " : " ";
    if (lua_type(L, -2) == LUA_TSTRING) text += std::string(lua_tostring(L, -2)) + " = ";
    text += written(L, lua_gettop(L), depth + 1);
    lua_pop(L, 1);
  }
  lua_settop(L, top);
  return text + (text.size() > 1 ? " }" : "}");
}

/// The value as a script would write it, shortened.
std::string written(lua_State* L, int index, int depth) {
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      return "nil";
    case LUA_TBOOLEAN:
      return lua_toboolean(L, index) ? "true" : "false";
    case LUA_TNUMBER: {
      char number[32];
      std::snprintf(number, sizeof number, "%.14g", lua_tonumber(L, index));
      return number;
    }
    case LUA_TSTRING: {
      std::string text = lua_tostring(L, index);
      for (char& byte : text)
        if (static_cast<unsigned char>(byte) < ' ') byte = ' ';  // one primitive, one line
      return '"' + (text.size() > kLongestArgument ? text.substr(0, kLongestArgument) + "..." : text) + '"';
    }
    case LUA_TTABLE:
      return depth < kDeepestTable ? written_table(L, index, depth) : "{...}";
    case LUA_TUSERDATA: {
      std::string name = "object";
      if (luaL_getmetafield(L, index, "__metatable")) {
        if (lua_type(L, -1) == LUA_TSTRING) name = lua_tostring(L, -1);
        lua_pop(L, 1);
      }
      return name;
    }
    default:
      return luaL_typename(L, index);
  }
}

std::string failure_of(lua_State* L) {
  if (!lua_istable(L, -1)) return lua_isstring(L, -1) ? lua_tostring(L, -1) : "error";
  lua_getfield(L, -1, "message");
  std::string text = lua_isstring(L, -1) ? lua_tostring(L, -1) : "error";
  lua_pop(L, 1);
  return text;
}

int watched(lua_State* L, const lua::Entry& entry, const char* name) {
  Event event{name, {}, {}, 0, 0, static_cast<int>(::getpid())};
  const int arguments = lua_gettop(L);
  for (int i = 1; i <= arguments; ++i) event.arguments += (i > 1 ? ", " : "") + written(L, i, 0);

  lua_pushcfunction(L, entry.call);
  lua_insert(L, 1);
  event.start_us = now_us();
  const bool failed = lua_pcall(L, arguments, LUA_MULTRET, 0) != 0;
  event.duration_us = now_us() - event.start_us;
  if (failed) event.failure = failure_of(L);
  if (watcher) watcher(event);
  if (failed) return lua_error(L);
  return lua_gettop(L);
}

}  // namespace

void watch(Watcher now) { watcher = now; }

const char* current() { return called_last; }

int pass(lua_State* L) {
  const auto& entry = *static_cast<const lua::Entry*>(lua_touserdata(L, lua_upvalueindex(1)));
  called_last = entry.name;
  if (watcher == nullptr || !entry.gated) [[likely]]
    return entry.call(L);
  return watched(L, entry, lua_tostring(L, lua_upvalueindex(2)));
}

}  // namespace luabox::gate
