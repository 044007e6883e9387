#include "bindings/gate.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <lua.hpp>
#include <utility>
#include <vector>

#include "bindings/chrome.hpp"
#include "bindings/state.hpp"
#include "bindings/trace.hpp"
#include "bindings/values.hpp"

namespace luabox::gate {
namespace {

constexpr size_t kLongestArgument = 120;
constexpr int kDeepestTable = 2;

std::vector<Watcher> watchers;
bool hooked = false;  // a watcher, a pretence or a governor
Governor governor = nullptr;
const char* called_last = "";

/// Asked for once in each process.
int own_pid() {
  static int pid = 0;
  static unsigned generation = 0;
  if (generation != lua::generation) pid = ::getpid(), generation = lua::generation;
  return pid;
}

void written(lua_State* L, int index, int depth, std::string& text);

void written_table(lua_State* L, int index, int depth, std::string& text) {
  const size_t start = text.size();
  const int top = lua_gettop(L);
  text += '{';
  lua_pushnil(L);
  while (text.size() - start < kLongestArgument && lua_next(L, index) != 0) {
    text += text.size() - start > 1 ? ", " : " ";
    if (lua_type(L, -2) == LUA_TSTRING) text.append(lua_tostring(L, -2)).append(" = ");
    written(L, lua_gettop(L), depth + 1, text);
    lua_pop(L, 1);
  }
  lua_settop(L, top);
  text += text.size() - start > 1 ? " }" : "}";
}

void written_text(lua_State* L, int index, std::string& text) {
  size_t length = 0;
  const char* bytes = lua_tolstring(L, index, &length);
  text += '"';
  const size_t shown = std::min(length, kLongestArgument), start = text.size();
  text.append(bytes, shown);
  std::replace_if(
      text.begin() + static_cast<std::ptrdiff_t>(start), text.end(),
      [](char each) { return static_cast<unsigned char>(each) < ' '; }, ' ');  // one primitive, one line
  text += length > shown ? "...\"" : "\"";
}

void written_number(double value, std::string& text) {
  char number[32];
  if (value == std::floor(value) && std::abs(value) < 1e14) {
    text.append(number, std::to_chars(number, number + sizeof number, static_cast<int64_t>(value)).ptr);
    return;
  }
  std::snprintf(number, sizeof number, "%.14g", value);
  text += number;
}

/// What its class calls itself, in its metatable; nil for an object of no class.
void push_class_name(lua_State* L, int index) {
  static int field = LUA_NOREF;
  if (field == LUA_NOREF) {
    lua_pushliteral(L, "__metatable");
    field = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  if (!lua_getmetatable(L, index)) return lua_pushnil(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, field);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

/// "mount"; of a process also its number.
void written_object(lua_State* L, int index, std::string& text) {
  if (lua::Value<Process>::is(L, index) && lua::Value<Process>::box(L, index).used_by == nullptr) {
    text.append("process ").append(std::to_string(lua::Value<Process>::check(L, index).pid()));
    return;
  }
  push_class_name(L, index);
  text += lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "object";
  lua_pop(L, 1);
}

/// Adds the value as a script would write it, shortened.
void written(lua_State* L, int index, int depth, std::string& text) {
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      text += "nil";
      break;
    case LUA_TBOOLEAN:
      text += lua_toboolean(L, index) ? "true" : "false";
      break;
    case LUA_TNUMBER:
      written_number(lua_tonumber(L, index), text);
      break;
    case LUA_TSTRING:
      return written_text(L, index, text);
    case LUA_TTABLE:
      if (depth < kDeepestTable) return written_table(L, index, depth, text);
      text += "{...}";
      break;
    case LUA_TUSERDATA:
      return written_object(L, index, text);
    default:
      text += luaL_typename(L, index);
  }
}

std::string failure_of(lua_State* L) {
  if (!lua_istable(L, -1)) return lua_isstring(L, -1) ? lua_tostring(L, -1) : "error";
  lua_getfield(L, -1, "message");
  std::string text = lua_isstring(L, -1) ? lua_tostring(L, -1) : "error";
  lua_pop(L, 1);
  return text;
}

void tell_began(lua_State* L, Event& event) {
  for (const Watcher& watcher : watchers)
    if (watcher.began) watcher.began(L, event);
}

const lua::Entry* to_call = nullptr;

int call_entry(lua_State* L) { return to_call->function.call(L); }

/// Pushes the function that calls what `to_call` is then. There is one: a function of its own for each call
/// would be garbage, whose collection in the parent copies the pages that it shares with a child.
void push_call(lua_State* L) {
  static int reference = LUA_NOREF;
  if (reference == LUA_NOREF) {
    lua_pushcfunction(L, call_entry);
    reference = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
}

/// The last event that ended: its texts' memory is the next one's.
Event past = {};

Event event_of(const char* primitive) {
  Event event = std::move(past);
  event.primitive = primitive;
  for (auto* text : {&event.arguments, &event.result, &event.failure, &event.where, &event.key})
    text->clear();
  event.pid = own_pid();
  return event;
}

int watched(lua_State* L, const lua::Entry& entry, const char* name) {
  Event event = event_of(name);
  const int arguments = lua_gettop(L);
  describe(L, arguments, event);
  push_call(L);
  lua_insert(L, 1);
  tell_began(L, event);
  event.start_ns = now_ns();  // what it takes to tell is not the primitive's
  to_call = &entry;
  const bool failed = lua_pcall(L, arguments, LUA_MULTRET, 0) != 0;
  event.duration_ns = now_ns() - event.start_ns;
  if (failed)
    event.failure = failure_of(L);
  else if (lua_gettop(L) > 0)
    written(L, 1, 0, event.result);
  for (const Watcher& watcher : watchers)
    if (watcher.ended) watcher.ended(L, event);
  past = std::move(event);
  if (failed) return lua_error(L);
  return lua_gettop(L);
}

// ---- a pretence

bool pretending = false;
constexpr const char* kPretence = "luabox.pretence";

bool asks_stand_in(lua_State* L) {
  for (int i = 1; i <= lua_gettop(L); ++i)
    if (lua::is_stand_in(L, i)) return true;
  return false;
}

/// What only reads answers from the kernel, if it can: its object, or what it asks for, may only be
/// pretended. Then the arguments are gone, and the result is at the top.
bool answered(lua_State* L, const lua::Entry& entry) {
  if (entry.passage.kind == Passage::changes || asks_stand_in(L)) return false;
  const int arguments = lua_gettop(L);
  lua_pushcfunction(L, entry.function.call);
  for (int i = 1; i <= arguments; ++i) lua_pushvalue(L, i);
  const bool failed = lua_pcall(L, arguments, LUA_MULTRET, 0) != 0;
  if (!failed) return true;
  // An error of the arguments' is one in a real run, too.
  const bool wrong = lua_istable(L, -1) && (lua_getfield(L, -1, "code"), lua_isstring(L, -1)) &&
                     std::string(lua_tostring(L, -1)) == "EINVAL";
  if (wrong) lua_settop(L, arguments + 1), lua_error(L);
  lua_settop(L, arguments);
  return false;
}

/// pretence(name, whether it only reads, stand-in, arguments ...) -> results; true alone as the result of
/// `exec` ends the function of a clone, which is a coroutine then.
int pretend(lua_State* L, const lua::Entry& entry, const char* name) {
  const int arguments = lua_gettop(L);
  if (entry.passage.kind == Passage::open && !asks_stand_in(L)) return entry.function.call(L);
  const bool real = answered(L, entry);
  const int results = lua_gettop(L) - arguments;
  luaL_getmetatable(L, kPretence);
  lua_pushstring(L, name);
  lua_pushboolean(L, entry.passage.kind != Passage::changes);
  if (real && results > 0)
    lua_pushvalue(L, arguments + 1);
  else if (!real && entry.function.push_stand_in)
    entry.function.push_stand_in(L);
  else
    lua_pushnil(L);
  for (int i = 1; i <= arguments; ++i) lua_pushvalue(L, i);
  const int base = arguments + results;
  lua_call(L, arguments + 3, LUA_MULTRET);
  if (real) return lua_settop(L, base), results;
  if (lua_gettop(L) > base && lua_islightuserdata(L, base + 1)) return lua_yield(L, 0);
  return lua_gettop(L) - base;
}

/// gate.pretend(function or nil)
int set_pretence(lua_State* L) {
  lua_settop(L, 1);
  if (!lua_isnil(L, 1) && !lua_isfunction(L, 1)) throw lua::expected(L, 1, "a function").inside("argument 1");
  lua_setfield(L, LUA_REGISTRYINDEX, kPretence);
  luaL_getmetatable(L, kPretence);
  pretending = !lua_isnil(L, -1);
  hooked = pretending || !watchers.empty() || governor != nullptr;
  lua_pushlightuserdata(L, &pretending);
  return 1;
}

// ---- policies

int called(lua_State* L, const lua::Entry& entry, const char* name) {
  return watchers.empty() ? entry.function.call(L) : watched(L, entry, name);
}

/// The primitive of the upvalues, which was agreed to.
int agreed(lua_State* L) {
  return called(L, *static_cast<const lua::Entry*>(lua_touserdata(L, lua_upvalueindex(1))),
                lua_tostring(L, lua_upvalueindex(2)));
}

/// "mtu: expected a whole number" is the rule's doing, where a rule changed it.
int raise_changed(lua_State* L, const std::string& by) {
  if (lua_istable(L, -1)) {
    const std::string text = failure_of(L) + " (with what " + by + " made of it)";
    lua_pushlstring(L, text.data(), text.size());
    lua_setfield(L, -2, "message");
  }
  return lua_error(L);
}

int governed(lua_State* L, const lua::Entry& entry, const char* name) {
  Passing passing;
  governor(L, name, passing);
  if (passing.changed_by.empty()) return called(L, entry, name);
  const int arguments = lua_gettop(L);
  lua_pushlightuserdata(L, const_cast<lua::Entry*>(&entry));
  lua_pushstring(L, name);
  lua_pushcclosure(L, agreed, 2);
  lua_insert(L, 1);
  return lua_pcall(L, arguments, LUA_MULTRET, 0) == 0 ? lua_gettop(L) : raise_changed(L, passing.changed_by);
}

/// A pretence under policies: they are asked as they would be.
int foreseen(lua_State* L, const lua::Entry& entry, const char* name) {
  Passing passing;
  if (governor != nullptr && entry.passage.kind != Passage::open) governor(L, name, passing);
  return pretend(L, entry, name);
}

/// gate.passage(function) -> "mount.bind", "changes": its name and how it passes; nothing for what is no
/// primitive.
int passage_of(lua_State* L) {
  if (!lua_iscfunction(L, 1) || lua_tocfunction(L, 1) != pass) return 0;
  lua_getupvalue(L, 1, 2);
  lua_getupvalue(L, 1, 1);
  const auto& entry = *static_cast<const lua::Entry*>(lua_touserdata(L, -1));
  constexpr const char* words[] = {"open", "reads", "changes"};
  lua_pop(L, 1);
  lua_pushstring(L, words[entry.passage.kind]);
  return 2;
}

}  // namespace

int64_t now_ns() {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void watch(Watcher watcher) {
  watchers.push_back(watcher);
  hooked = true;
}

void govern(Governor now) {
  governor = now;
  hooked = true;
}

void rest() {
  governor = nullptr;
  hooked = pretending || !watchers.empty();
}

const char* current() { return called_last; }

void describe(lua_State* L, int count, Event& event) {
  for (int i = 1; i <= count; ++i) {
    if (i > 1) event.arguments += ", ";
    written(L, i, 0, event.arguments);
  }
}

int pass(lua_State* L) {
  const auto& entry = *static_cast<const lua::Entry*>(lua_touserdata(L, lua_upvalueindex(1)));
  called_last = entry.name;
  if (!hooked) [[likely]]
    return entry.function.call(L);
  const char* name = lua_tostring(L, lua_upvalueindex(2));
  if (pretending) return foreseen(L, entry, name);
  if (entry.passage.kind == Passage::open) return entry.function.call(L);
  return governor == nullptr ? called(L, entry, name) : governed(L, entry, name);
}

}  // namespace luabox::gate

namespace luabox {

int open_gate(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      // gate.pretend(function(name, reads, stand_in, ...) ... end), gate.pretend(nil) -> what ends a clone's
      // function
      {"pretend", lua::fn<&gate::set_pretence>, false},
      // gate.modules() -> the tables of luabox.sys; gate.passage(function) -> "mount.bind", "changes"
      {"modules", lua::fn<&module_names>, false},
      {"passage", lua::fn<&gate::passage_of>, false},
      {"trace", lua::fn<&trace::begin>, false},        // gate.trace(): from here on, see bindings/trace.hpp
      {"trace_text", lua::fn<&chrome::text>, false}};  // see bindings/chrome.hpp
  return lua::module(L, "gate.", functions);
}

}  // namespace luabox
