// luabox.sys.json: JSON for Lua, read by nlohmann-json. A table with the keys 1..n is an array, an empty one
// too; any other is an object.
#include "bindings/json.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/lua.hpp"
#include "bindings/state.hpp"

namespace luabox {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kDeepest = 100;

/// Blanks. The library's row of 512 is doubled at most once for a level: those of a wide one it would read
/// from behind that.
constexpr int kWidest = 16;

struct EncodeOptions {
  std::optional<int> indent;  // nothing: one line
};

// ---- Lua to text: written as it is walked, since a request to the policies is encoded at each start

bool is_array(lua_State* L, int index) {
  size_t count = 0;
  bool named = false;
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1), ++count)
    named |= lua_type(L, -2) != LUA_TNUMBER;
  return !named && count == lua_objlen(L, index);
}

std::string_view text_at(lua_State* L, int index) {
  size_t size = 0;
  const char* text = lua_tolstring(L, index, &size);
  return {text, size};
}

/// Bytes that are no UTF-8 become U+FFFD: JSON has no other way to carry them.
std::string by_library(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// What becomes of a number that is none, or infinite.
enum class NoNumber { becomes_null, is_refused };

class Writer {
 public:
  Writer(lua_State* state, NoNumber no_number) : L(state), no_number_(no_number) {}
  std::string text;

  void write(int index, size_t depth = 0) {
    luaL_checkstack(L, 4, "json.encode");
    switch (lua_type(L, index)) {
      case LUA_TNIL:
        text += "null";
        return;
      case LUA_TBOOLEAN:
        text += lua_toboolean(L, index) != 0 ? "true" : "false";
        return;
      case LUA_TNUMBER:
        return write_number(lua_tonumber(L, index));
      case LUA_TSTRING:
        return append_json(text_at(L, index), text);
      case LUA_TTABLE:
        if (depth > kDeepest) throw Error::invalid("json.encode", "", "the table is nested too deeply");
        return is_array(L, index) ? write_array(index, depth) : write_object(index, depth);
      default:
        throw lua::expected(L, index, "a value that JSON can hold");
    }
  }

 private:
  void write_number(double number) {
    if (no_number_ == NoNumber::is_refused && !std::isfinite(number))
      throw lua::BadArgument("expected a value that JSON can hold, got the number " + std::to_string(number));
    if (number == std::floor(number) && std::fabs(number) < 9.007199254740992e15)
      text += std::to_string(static_cast<int64_t>(number));
    else
      text += by_library(number);
  }

  void write_array(int index, size_t depth) {
    text += '[';
    const int size = static_cast<int>(lua_objlen(L, index));
    for (int i = 1; i <= size; ++i) {
      if (i > 1) text += ',';
      lua_rawgeti(L, index, i);
      write(lua_gettop(L), depth + 1);
      lua_pop(L, 1);
    }
    text += ']';
  }

  /// By name: the same table always gives the same text.
  void write_object(int index, size_t depth) {
    std::vector<std::string_view> names;  // the table's own, as long as it is not changed
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING)
        throw Error::invalid("json.encode", "", "an object's keys must be strings");
      names.push_back(text_at(L, -2));
    }
    std::sort(names.begin(), names.end());
    text += '{';
    for (const auto& name : names) {
      if (&name != names.data()) text += ',';
      append_json(name, text);
      text += ':';
      lua_pushlstring(L, name.data(), name.size());
      lua_rawget(L, index);
      write(lua_gettop(L), depth + 1);
      lua_pop(L, 1);
    }
    text += '}';
  }

  lua_State* L;
  NoNumber no_number_;
};

std::string written(lua_State* L, int index, NoNumber no_number) {
  Writer writer(L, no_number);
  writer.write(index);
  return std::move(writer.text);
}

// ---- text to Lua: pushed as it is read

/// The library's reader tells it what stands in the text; false ends the reading.
class Pusher {
 public:
  explicit Pusher(lua_State* state) : L(state) {}
  bool too_deep = false;

  bool null() { return lua_pushnil(L), keep(); }
  bool boolean(bool value) { return lua_pushboolean(L, value), keep(); }
  bool number_integer(int64_t value) { return number(static_cast<double>(value)); }
  bool number_unsigned(uint64_t value) { return number(static_cast<double>(value)); }
  bool number_float(double value, const std::string&) { return number(value); }
  bool string(const std::string& value) { return lua_pushlstring(L, value.data(), value.size()), keep(); }
  bool binary(const Json::binary_t&) { return false; }
  bool key(const std::string& name) { return lua_pushlstring(L, name.data(), name.size()), true; }
  bool start_object(size_t) { return open(-1); }
  bool start_array(size_t) { return open(0); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) { return false; }

 private:
  bool number(double value) { return lua_pushnumber(L, value), keep(); }

  bool open(int filled) {
    too_deep = open_.size() > kDeepest;
    if (too_deep) return false;
    luaL_checkstack(L, 4, "json.decode");
    lua_newtable(L);
    open_.push_back(filled);
    return true;
  }
  bool close() {
    open_.pop_back();
    return keep();
  }
  /// The value at the top goes where it belongs.
  bool keep() {
    if (open_.empty()) return true;
    if (open_.back() < 0)
      lua_rawset(L, -3);
    else
      lua_rawseti(L, -2, ++open_.back());
    return true;
  }

  lua_State* L;
  std::vector<int> open_;  // how many values an array has; -1 for an object
};

}  // namespace

/// What isn't plain is left to the library. A text may lie in memory that others write to: each byte is read
/// once.
void append_json(std::string_view value, std::string& text) {
  const size_t start = text.size();
  text.resize(start + 2 * value.size() + 2);
  char* to = text.data() + start;
  *to++ = '"';
  for (const char each : value) {
    if (each < ' ' || each > '~') {
      text.resize(start);
      text += by_library(value);
      return;
    }
    if (each == '"' || each == '\\') *to++ = '\\';
    *to++ = each;
  }
  *to++ = '"';
  text.resize(static_cast<size_t>(to - text.data()));
}

std::string json_of(lua_State* L, int index) { return written(L, index, NoNumber::becomes_null); }

void push_json(lua_State* L, std::string_view text) {
  const int top = lua_gettop(L);
  luaL_checkstack(L, 4, "json.decode");
  Pusher pusher(L);
  // To the library's reader a NUL is the end of the text, whatever stands behind it.
  if (text.find('\0') == std::string_view::npos && Json::sax_parse(text, &pusher)) return;
  lua_settop(L, top);
  throw Error::invalid("json.decode", "",
                       pusher.too_deep ? "the text is nested too deeply" : "this is no JSON");
}

template <>
struct lua::Options<EncodeOptions> {
  static constexpr auto fields = std::tuple(field("indent", &EncodeOptions::indent));
};

namespace {

int encode(lua_State* L) {
  lua::no_more_arguments(L, 2);
  const auto indent = lua::argument<EncodeOptions>(L, 2).indent;
  if (indent && (*indent < 0 || *indent > kWidest))
    throw lua::BadArgument("argument 2: option 'indent': expected 0 to 16 blanks, got " +
                           std::to_string(*indent));
  const std::string text = written(L, 1, NoNumber::is_refused);
  lua::push(L, indent ? Json::parse(text).dump(*indent) : text);
  return 1;
}

int decode(lua_State* L) {
  lua::no_more_arguments(L, 1);
  push_json(L, lua::argument<lua::Bytes>(L, 1).data);
  return 1;
}

}  // namespace

int open_json(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"encode", lua::fn<&encode>, false},   // json.encode(value, { indent = 2 }) -> text
      {"decode", lua::fn<&decode>, false}};  // json.decode(text) -> value
  return lua::module(L, "json.", functions);
}

}  // namespace luabox
