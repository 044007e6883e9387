#include "bindings/patterns.hpp"

#include <csetjmp>
#include <csignal>

#include "bindings/lua.hpp"
#include "engine/interrupt.hpp"

namespace luabox::patterns {
namespace {

lua_State* side = nullptr;
volatile sig_atomic_t matching = 0;
sigjmp_buf out;

constexpr int kFind = 1;     // the slots of the side's stack that stay
constexpr int kSubject = 2;  // a loop over a long text copies it once

/// The subject that the side has; kept alive by L's registry, so that its address tells it.
const char* subject = nullptr;
char subject_key = 0;

void open_side() {
  side = luaL_newstate();
  if (side == nullptr) throw Error("luaL_newstate", "", ENOMEM);
  lua_pushcfunction(side, luaopen_string);
  lua_call(side, 0, 1);
  lua_getfield(side, -1, "find");
  lua_replace(side, kFind);
  lua_settop(side, kFind);
  subject = nullptr;
}

void copy_subject(lua_State* L) {
  size_t size = 0;
  const char* text = lua_tolstring(L, 1, &size);
  if (text == subject) return;
  lua_settop(side, kFind);
  lua_pushlstring(side, text, size);
  lua_pushlightuserdata(L, &subject_key);
  lua_pushvalue(L, 1);
  lua_rawset(L, LUA_REGISTRYINDEX);
  subject = text;
}

/// lua_pcall, of which nothing is left when the handler jumped. Only what a jump may leave lives in this
/// frame.
bool call_side(int arguments, int& status) {
  if (sigsetjmp(out, 1) != 0) return false;
  matching = 1;
  if (interrupted() == 0) status = lua_pcall(side, arguments, LUA_MULTRET, 0);
  matching = 0;
  return interrupted() == 0;
}

/// Copies what lies above `base` on the side's stack.
int push_results(lua_State* L, int base) {
  const int count = lua_gettop(side) - base;
  luaL_checkstack(L, count, "too many captures");
  for (int i = base + 1; i <= base + count; ++i) {
    size_t size = 0;
    if (lua_type(side, i) == LUA_TNUMBER) {
      lua_pushnumber(L, lua_tonumber(side, i));
    } else if (const char* text = lua_tolstring(side, i, &size)) {
      lua_pushlstring(L, text, size);
    } else {
      lua_pushnil(L);
    }
  }
  lua_settop(side, base);
  return count;
}

int find_in_side(lua_State* L) {
  lua::no_more_arguments(L, 4);
  for (int i = 1; i <= 2; ++i)
    if (lua_isstring(L, i) == 0)
      throw lua::expected(L, i, "a string").inside("argument " + std::to_string(i));
  if (side == nullptr) open_side();
  copy_subject(L);
  lua_settop(side, kSubject);
  lua_pushvalue(side, kFind);
  lua_pushvalue(side, kSubject);
  size_t size = 0;
  const char* pattern = lua_tolstring(L, 2, &size);
  lua_pushlstring(side, pattern, size);
  lua_pushnumber(side, lua_tonumber(L, 3));
  lua_pushboolean(side, lua_toboolean(L, 4));
  int status = 0;
  if (!call_side(4, status)) {
    side = nullptr;  // left as it stands: it may have been anywhere
    matching = 0;
    check_interrupt("find");
  }
  if (status == 0) return push_results(L, kSubject);
  lua_pushboolean(L, 0);
  return 1 + push_results(L, kSubject);
}

}  // namespace

int find(lua_State* L) { return lua::guard(L, find_in_side); }

void give_up() {
  if (matching != 0) siglongjmp(out, 1);
}

}  // namespace luabox::patterns
