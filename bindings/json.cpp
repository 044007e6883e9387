// luabox.sys.json: nlohmann-json for Lua. A table with the keys 1..n is an array, an empty one too; any other
// is an object.
#include "bindings/json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "bindings/lua.hpp"
#include "bindings/state.hpp"

namespace luabox {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kDeepest = 100;

struct EncodeOptions {
  int indent = -1;
};

Json to_json(lua_State* L, int index, int depth);

bool is_array(lua_State* L, int index) {
  size_t count = 0;
  bool named = false;
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1), ++count)
    named |= lua_type(L, -2) != LUA_TNUMBER;
  return !named && count == lua_objlen(L, index);
}

Json table_to_json(lua_State* L, int index, int depth) {
  if (depth > kDeepest) throw Error::invalid("json.encode", "", "the table is nested too deeply");
  if (is_array(L, index)) {
    Json array = Json::array();
    for (size_t i = 1; i <= lua_objlen(L, index); ++i) {
      lua_rawgeti(L, index, static_cast<int>(i));
      array.push_back(to_json(L, lua_gettop(L), depth + 1));
      lua_pop(L, 1);
    }
    return array;
  }
  std::map<std::string, Json> sorted;  // the same table always gives the same text
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      throw Error::invalid("json.encode", "", "an object's keys must be strings");
    sorted.emplace(lua_tostring(L, -2), to_json(L, lua_gettop(L), depth + 1));
  }
  return Json(sorted);
}

Json to_json(lua_State* L, int index, int depth) {
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      return nullptr;
    case LUA_TBOOLEAN:
      return lua_toboolean(L, index) != 0;
    case LUA_TNUMBER: {
      const double number = lua_tonumber(L, index);
      if (number == std::floor(number) && std::fabs(number) < 9.007199254740992e15)
        return static_cast<int64_t>(number);
      return number;
    }
    case LUA_TSTRING:
      return lua::Value<lua::Bytes>::check(L, index).data;
    case LUA_TTABLE:
      return table_to_json(L, index, depth);
    default:
      throw lua::expected(L, index, "a value that JSON can hold");
  }
}

void push_value(lua_State* L, const Json& value, int depth) {
  if (depth > kDeepest) throw Error::invalid("json.decode", "", "the text is nested too deeply");
  luaL_checkstack(L, 4, "json.decode");
  if (value.is_boolean()) {
    lua_pushboolean(L, value.get<bool>());
  } else if (value.is_number()) {
    lua_pushnumber(L, value.get<double>());
  } else if (value.is_string()) {
    lua::push(L, value.get<std::string>());
  } else if (value.is_array()) {
    lua_createtable(L, static_cast<int>(value.size()), 0);
    for (size_t i = 0; i < value.size(); ++i) {
      push_value(L, value[i], depth + 1);
      lua_rawseti(L, -2, static_cast<int>(i + 1));
    }
  } else if (value.is_object()) {
    lua_newtable(L);
    for (const auto& [key, member] : value.items()) {
      push_value(L, member, depth + 1);
      lua_setfield(L, -2, key.c_str());
    }
  } else {
    lua_pushnil(L);
  }
}

}  // namespace

std::string json_of(lua_State* L, int index) {
  return to_json(L, index, 0).dump(-1, ' ', false, Json::error_handler_t::replace);
}

void push_json(lua_State* L, std::string_view text) {
  const Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) throw Error::invalid("json.decode", "", "this is no JSON");
  push_value(L, value, 0);
}

template <>
struct lua::Options<EncodeOptions> {
  static constexpr auto fields = std::tuple(field("indent", &EncodeOptions::indent));
};

namespace {

int encode(lua_State* L) {
  lua::no_more_arguments(L, 2);
  const int indent = lua::argument<EncodeOptions>(L, 2).indent;
  // Bytes that are no UTF-8 become U+FFFD: JSON has no other way to carry them.
  lua::push(L, to_json(L, 1, 0).dump(indent, ' ', false, Json::error_handler_t::replace));
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
