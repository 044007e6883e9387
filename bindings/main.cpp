// luabox COMMAND ...: hands the command line to scripts/commands through luabox.main.
#include <unistd.h>

#include <cstdio>
#include <lua.hpp>

#include "bindings/state.hpp"

int main(int argc, char** argv) {
  lua_State* L = luabox::new_state();
  lua_getglobal(L, "require");
  lua_pushstring(L, "luabox.main");
  if (lua_pcall(L, 1, 1, 0) != 0) {
    std::fprintf(stderr, "luabox: %s\n", lua_tostring(L, -1));
    return 125;
  }
  lua_createtable(L, argc, 0);
  for (int i = 1; i < argc; ++i) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  if (lua_pcall(L, 1, 1, 0) != 0) {
    luaL_callmeta(L, -1, "__tostring");
    std::fprintf(stderr, "luabox: %s\n", lua_tostring(L, -1));
    return 125;
  }
  return static_cast<int>(lua_tointeger(L, -1));
}
