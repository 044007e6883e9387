#include "bindings/lua.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/interrupt.hpp"
#include "engine/process.hpp"

namespace luabox::lua {
namespace {

constexpr const char* kErrorClass = "luabox.error";

void set(lua_State* L, const char* key, const std::string& value) {
  if (value.empty()) return;
  lua_pushlstring(L, value.data(), value.size());
  lua_setfield(L, -2, key);
}

/// Completes the error table at the top of the stack.
void finish(lua_State* L, const std::string& message) {
  set(L, "message", message);
  set(L, "where", users_line(L));
  luaL_traceback(L, L, nullptr, 0);
  lua_setfield(L, -2, "traceback");
  luaL_getmetatable(L, kErrorClass);
  if (lua_isnil(L, -1)) {  // nobody required the library: a plain table still has everything
    lua_pop(L, 1);
    return;
  }
  lua_setmetatable(L, -2);
}

/// As it was raised in the child: the child's own message, line and traceback.
void push_child_error(lua_State* L, const ChildError& error) {
  const auto field = [&](const char* name) {
    const auto found = error.fields().find(name);
    return found == error.fields().end() ? std::string() : found->second;
  };
  set(L, "op", error.op());
  set(L, "path", error.object());
  set(L, "hint", error.hint());
  set(L, "code", field("code"));
  if (!field("errno").empty()) {
    set(L, "code", errno_name(error.code()));
    lua_pushinteger(L, error.code());
    lua_setfield(L, -2, "errno");
  }
  finish(L, field("message").empty() ? error.what() : field("message"));
  set(L, "where", field("where"));
  set(L, "traceback", field("traceback"));
}

}  // namespace

unsigned generation = 1;

namespace {

/// Puts the table of functions that are known to be the library's on the stack: its keys are weak. To ask it
/// costs a fraction of what LuaJIT takes to say where a function was written.
void push_library_functions(lua_State* L) {
  if (luaL_newmetatable(L, "luabox.library_functions") == 0) return;
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

/// Whether the frame is C's or the library's; `known` is the index of the table above.
bool is_library(lua_State* L, lua_Debug& frame, int known) {
  lua_getinfo(L, "f", &frame);
  bool library = lua_iscfunction(L, -1) != 0;
  if (!library) {
    lua_pushvalue(L, -1);
    lua_rawget(L, known);
    library = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
  }
  if (!library) {
    lua_getinfo(L, "Sl", &frame);
    library = frame.currentline <= 0 || std::strncmp(frame.source, "@luabox:", 8) == 0;
    if (library) {
      lua_pushvalue(L, -1);
      lua_pushboolean(L, 1);
      lua_rawset(L, known);
    }
  }
  lua_pop(L, 1);
  return library;
}

}  // namespace

std::string users_line(lua_State* L) {
  lua_Debug frame;
  std::string line;
  const int top = lua_gettop(L);
  push_library_functions(L);
  for (int level = 0; line.empty() && lua_getstack(L, level, &frame) == 1; ++level) {
    if (is_library(L, frame, top + 1)) continue;
    line = std::string(frame.source[0] == '@' ? frame.source + 1 : frame.short_src) + ":" +
           std::to_string(frame.currentline);
  }
  lua_settop(L, top);
  return line;
}

void next_generation() {
  static unsigned latest = generation;
  generation = ++latest;
}

namespace {

struct Undoing {
  unsigned made_in;
  void* box;
  void (*undo)(void*);
};

std::vector<Undoing>& undoing() {
  static std::vector<Undoing> list;
  return list;
}

}  // namespace

void remember_undoing(void* box, void (*undo)(void* box)) { undoing().push_back({generation, box, undo}); }

void forget_undoing(void* box) {
  auto& list = undoing();
  // From the back: what was made last goes first, most of the time.
  const auto found =
      std::find_if(list.rbegin(), list.rend(), [&](const auto& each) { return each.box == box; });
  if (found != list.rend()) list.erase(std::next(found).base());
}

void undo_everything() {
  auto& list = undoing();
  for (size_t i = list.size(); i-- > 0;) {
    const auto [made_in, box, undo] = list[i];
    if (made_in != generation) continue;
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    undo(box);
    i = std::min(i, list.size());
  }
}

bool undoes_more_than(const std::vector<const void*>& boxes) {
  return std::any_of(undoing().begin(), undoing().end(), [&](const Undoing& each) {
    return each.made_in == generation && std::find(boxes.begin(), boxes.end(), each.box) == boxes.end();
  });
}

void forget_undoing_of(unsigned child) {
  std::erase_if(undoing(), [&](const Undoing& each) { return each.made_in == child; });
}

void push_functions(lua_State* L, const char* prefix, const Entry* entries, size_t count) {
  lua_createtable(L, 0, static_cast<int>(count));
  for (size_t i = 0; i < count; ++i) {
    lua_pushlightuserdata(L, const_cast<Entry*>(&entries[i]));
    lua_pushfstring(L, "%s%s", prefix, entries[i].name);
    lua_pushcclosure(L, gate::pass, 2);
    lua_setfield(L, -2, entries[i].name);
  }
}

bool push_metatable(lua_State* L, const char* name) {
  return luaL_newmetatable(L, (std::string("luabox.") + name).c_str()) != 0;
}

namespace {

constexpr const char* kStandIns = "luabox.stand_ins";

}  // namespace

void mark_stand_in(lua_State* L) {
  if (luaL_newmetatable(L, kStandIns)) {  // a table with weak keys, that is its own metatable
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -2);
  }
  lua_pushvalue(L, -2);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

bool is_stand_in(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA) return false;
  lua_pushvalue(L, index);
  luaL_getmetatable(L, kStandIns);
  bool found = false;
  if (lua_istable(L, -1)) {
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    found = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return found;
}

namespace {

constexpr size_t kMostQuoted = 100;  // of a value in an error, which is one sentence

/// In quotes, on one line.
std::string quoted(const char* text, size_t length) {
  std::string result = "'";
  for (const char byte : std::string_view(text, std::min(length, kMostQuoted)))
    result += static_cast<unsigned char>(byte) < ' ' ? "\\" + std::to_string(byte) : std::string(1, byte);
  return result + (length > kMostQuoted ? "...'" : "'");
}

}  // namespace

BadArgument expected(lua_State* L, int index, const std::string& what) {
  std::string got = luaL_typename(L, index);
  if (lua_type(L, index) == LUA_TNUMBER) got = lua_pushfstring(L, "the number %f", lua_tonumber(L, index));
  if (lua_type(L, index) == LUA_TSTRING) {
    size_t length = 0;
    const char* text = lua_tolstring(L, index, &length);
    got = quoted(text, length);
  }
  if (lua_isnone(L, index)) got = "nothing";
  return BadArgument("expected " + what + ", got " + got);
}

void push_error(lua_State* L, const Error& error) {
  lua_createtable(L, 0, 8);
  if (const auto* from_child = dynamic_cast<const ChildError*>(&error))
    return push_child_error(L, *from_child);
  if (error.code() == EINTR) note_interrupt_thrown();
  set(L, "op", error.op());
  set(L, "path", error.object());
  set(L, "code", errno_name(error.code()));
  set(L, "hint", error.hint());
  lua_pushinteger(L, error.code());
  lua_setfield(L, -2, "errno");
  finish(L, error.what());
}

void push_error(lua_State* L, const BadArgument& error) {
  lua_createtable(L, 0, 8);
  set(L, "op", gate::current());
  set(L, "code", "EINVAL");
  lua_pushinteger(L, EINVAL);
  lua_setfield(L, -2, "errno");
  finish(L, std::string(gate::current()) + ": " + error.what());
}

std::string suggestion_or_all(std::string_view name, const std::vector<std::string_view>& known) {
  if (std::string near = suggestion(name, known); !near.empty()) return near;
  std::string all;
  for (const auto& each : known)
    all += (all.empty() ? ", expected one of '" : ", '") + std::string(each) + "'";
  return all;
}

void no_more_arguments(lua_State* L, int count) {
  if (lua_gettop(L) <= count) return;
  throw BadArgument("expected " + std::to_string(count) + (count == 1 ? " argument" : " arguments") +
                    ", got " + std::to_string(lua_gettop(L)));
}

std::string name_at(lua_State* L, int index) {
  size_t length = 0;
  const char* text = lua_tolstring(L, index, &length);
  std::string name(text, length);
  if (name.find('\0') != std::string::npos)
    throw BadArgument("expected names without NUL bytes, got " + quoted(text, length));
  return name;
}

void no_other_keys(lua_State* L, int table, size_t length) {
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1), ++count)
    if (lua_type(L, -2) == LUA_TSTRING)
      throw BadArgument(std::string("expected a list, but it has the key '") + lua_tostring(L, -2) + "'");
  if (count != length) throw BadArgument("expected a list without holes");
}

std::string Value<std::string>::check(lua_State* L, int index) {
  std::string text = Value<Bytes>::check(L, index).data;
  if (text.find('\0') != std::string::npos) throw BadArgument("expected a string without NUL bytes");
  return text;
}

Bytes Value<Bytes>::check(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TSTRING) throw expected(L, index, "a string");
  size_t length = 0;
  const char* text = lua_tolstring(L, index, &length);
  return {std::string(text, length)};
}

}  // namespace luabox::lua
