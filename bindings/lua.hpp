// The Lua border: C++ signatures as Lua functions.
//
// fn<&function> is the lua_CFunction for an engine function: its C++ signature is the argument list, so types
// are checked and messages are uniform for free. fn<&Type::method> takes the object first; a `&&` method uses
// the object up. How a type crosses is told once, by specialising one of:
//
//   Words<E>     an enum as words            Options<S>   a struct as a table with named fields
//   Class<T>     an owned value as userdata  Value<T>     anything else
//
// Errors. guard() turns luabox::Error and bad arguments into Lua error tables (see push_error). It never has
// `catch (...)`: LuaJIT's own errors unwind as foreign C++ exceptions and run destructors on their way.
//
// Generations. Each userdata carries the generation of the process that made it. In the child of a clone,
// __gc does nothing for the parent's objects: the child must not remove its parent's cgroup.
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <lua.hpp>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "bindings/gate.hpp"
#include "engine/error.hpp"
#include "engine/nearest.hpp"
#include "engine/process.hpp"

namespace luabox::lua {

// ---- registration

/// A C++ function as Lua calls it, and what stands in for its result where it is not called.
struct Function {
  lua_CFunction call;
  void (*push_stand_in)(lua_State* L);  ///< nullptr: it has no result
};

/// One Lua function of a module or class.
struct Entry {
  const char* name;
  Function function;
  /// true, or changes: the gate guards it. See gate::Passage.
  gate::Passage passage = gate::Passage::changes;
};

inline constexpr gate::Passage reads = gate::Passage::reads;

/// Pushes a new table with `entries`; `prefix` ("mount.") is how the gate names them.
void push_functions(lua_State* L, const char* prefix, const Entry* entries, size_t count);

// ---- errors

/// A value of the wrong kind; `where` says which: "argument 2", "option 'source'".
class BadArgument : public std::exception {
 public:
  explicit BadArgument(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }
  /// The same, one level further out: "option 'mounts': " + text.
  BadArgument inside(const std::string& where) const { return BadArgument(where + ": " + text_); }

 private:
  std::string text_;
};

/// "expected a string, got nil" for the value at `index`.
BadArgument expected(lua_State* L, int index, const std::string& what);

/// Pushes an error table: op, path, errno, code ("ENOENT"), message, hint, where (the first line that is the
/// user's own), traceback.
void push_error(lua_State* L, const Error& error);
void push_error(lua_State* L, const BadArgument& error);

/// Runs `body`; an engine error becomes a Lua error after every C++ frame has been left.
template <class Body>
int guard(lua_State* L, Body&& body) {
  try {
    return body(L);
  } catch (const Error& error) {
    push_error(L, error);
  } catch (const BadArgument& error) {
    push_error(L, error);
  } catch (const std::bad_alloc&) {
    push_error(L, Error("memory", "", ENOMEM));
  } catch (const std::exception& error) {
    push_error(L, Error("internal error", error.what(), EINVAL));
  }
  return lua_error(L);
}

/// "golang.lua:12" for the innermost frame that is not luabox's own; "" when there is none.
std::string users_line(lua_State* L);

/// The nearest of `known` to `name` as " (did you mean 'x'?)"; where none is near, all of them: ", expected
/// one of 'a', 'b'".
std::string suggestion_or_all(std::string_view name, const std::vector<std::string_view>& known);

/// Another in the child of each clone.
extern unsigned generation;
void next_generation();

// ---- values

template <class T>
struct Words;  // static constexpr std::array<std::pair<std::string_view, T>, N> all
template <class T>
struct Options;  // static constexpr auto fields = std::tuple(field("name", &T::name), ...)
template <class T>
struct Class;  // static constexpr auto name; static constexpr Entry methods[]

template <class S, class M>
struct Field {
  std::string_view name;
  M S::*member;
};
template <class S, class M>
constexpr Field<S, M> field(std::string_view name, M S::*member) {
  return {name, member};
}

template <class T>
concept HasWords = requires {
  Words<T>::all;
};
template <class T>
concept HasOptions = requires {
  Options<T>::fields;
};
template <class T>
concept HasClass = requires {
  Class<T>::name;
};

template <class T>
struct Value;

template <class T>
auto check(lua_State* L, int index) {
  return Value<T>::check(L, index);
}
template <class T>
void push(lua_State* L, T&& value) {
  Value<std::remove_cvref_t<T>>::push(L, std::forward<T>(value));
}

template <>
struct Value<bool> {
  static bool check(lua_State* L, int index) {
    if (!lua_isboolean(L, index)) throw expected(L, index, "true or false");
    return lua_toboolean(L, index) != 0;
  }
  static void push(lua_State* L, bool value) { lua_pushboolean(L, value); }
};

template <std::integral T>
struct Value<T> {
  static T check(lua_State* L, int index) {
    if (lua_type(L, index) != LUA_TNUMBER) throw expected(L, index, "a whole number");
    const double number = lua_tonumber(L, index);
    // 2^63 as a double is just out of range, so the comparison is exact on both sides.
    if (number != std::floor(number) || number < static_cast<double>(std::numeric_limits<T>::min()) ||
        number >= static_cast<double>(std::numeric_limits<T>::max()) + 1.0)
      throw expected(L, index, "a whole number in range");
    return static_cast<T>(number);
  }
  static void push(lua_State* L, T value) { lua_pushnumber(L, static_cast<lua_Number>(value)); }
};

template <>
struct Value<double> {
  static double check(lua_State* L, int index) {
    if (lua_type(L, index) != LUA_TNUMBER || std::isnan(lua_tonumber(L, index)))
      throw expected(L, index, "a number");
    return lua_tonumber(L, index);
  }
  static void push(lua_State* L, double value) { lua_pushnumber(L, value); }
};

template <>
struct Value<std::string> {
  /// Numbers are not strings here, and a string that goes to the kernel has no NUL in it; use Bytes for data.
  static std::string check(lua_State* L, int index);
  static void push(lua_State* L, const std::string& value) { lua_pushlstring(L, value.data(), value.size()); }
};

/// A string that may hold any byte.
struct Bytes {
  std::string data;
};
template <>
struct Value<Bytes> {
  static Bytes check(lua_State* L, int index);
  static void push(lua_State* L, const Bytes& value) {
    lua_pushlstring(L, value.data.data(), value.data.size());
  }
};

template <class T>
struct Value<std::optional<T>> {
  static std::optional<T> check(lua_State* L, int index) {
    if (lua_isnoneornil(L, index)) return std::nullopt;
    return Value<T>::check(L, index);
  }
  template <class Optional>
  static void push(lua_State* L, Optional&& value) {
    if (value)
      Value<T>::push(L, *std::forward<Optional>(value));
    else
      lua_pushnil(L);
  }
};

/// The string at `index` as a name, which has no NUL in it: what stands behind one would be lost.
std::string name_at(lua_State* L, int index);

/// Throws BadArgument when the table has other keys than 1 to `length`.
void no_other_keys(lua_State* L, int table, size_t length);

/// A Lua array. Holes and other keys are errors.
template <class T>
struct Value<std::vector<T>> {
  static std::vector<T> check(lua_State* L, int index) {
    if (!lua_istable(L, index)) throw expected(L, index, "a list");
    const size_t length = lua_objlen(L, index);
    std::vector<T> list;
    list.reserve(length);
    for (size_t i = 1; i <= length; ++i) {
      lua_rawgeti(L, index, static_cast<int>(i));
      try {
        list.push_back(Value<T>::check(L, lua_gettop(L)));
      } catch (const BadArgument& error) {
        throw error.inside("item " + std::to_string(i));
      }
      lua_pop(L, 1);
    }
    no_other_keys(L, index, length);
    return list;
  }
  static void push(lua_State* L, const std::vector<T>& list) {
    lua_createtable(L, static_cast<int>(list.size()), 0);
    for (size_t i = 0; i < list.size(); ++i) {
      Value<T>::push(L, list[i]);
      lua_rawseti(L, -2, static_cast<int>(i + 1));
    }
  }
};

/// A Lua table with string keys.
template <class T>
struct Value<std::map<std::string, T>> {
  static std::map<std::string, T> check(lua_State* L, int index) {
    if (!lua_istable(L, index)) throw expected(L, index, "a table");
    std::map<std::string, T> map;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
      const int top = lua_gettop(L);
      if (lua_type(L, top - 1) != LUA_TSTRING) throw BadArgument("expected only names as keys");
      const std::string key = name_at(L, top - 1);
      try {
        map.emplace(key, Value<T>::check(L, top));
      } catch (const BadArgument& error) {
        throw error.inside("'" + key + "'");
      }
      lua_pop(L, 1);
    }
    return map;
  }
  static void push(lua_State* L, const std::map<std::string, T>& map) {
    lua_createtable(L, 0, static_cast<int>(map.size()));
    for (const auto& [key, value] : map) {
      Value<T>::push(L, value);
      lua_setfield(L, -2, key.c_str());
    }
  }
};

template <HasWords T>
struct Value<T> {
  static T check(lua_State* L, int index) {
    std::vector<std::string_view> known;
    std::string choices;
    const bool is_text = lua_type(L, index) == LUA_TSTRING;
    size_t length = 0;
    const char* text = is_text ? lua_tolstring(L, index, &length) : "";
    for (const auto& [word, value] : Words<T>::all) {
      if (is_text && word == std::string_view(text, length)) return value;
      known.push_back(word);
      choices += (choices.empty() ? "'" : ", '") + std::string(word) + "'";
    }
    if (!is_text) throw expected(L, index, "one of " + choices);
    const std::string got = name_at(L, index);
    throw BadArgument("unknown word '" + got + "'" + suggestion(got, known) + ", expected one of " + choices);
  }
  static void push(lua_State* L, T value) {
    for (const auto& [word, known] : Words<T>::all)
      if (known == value) return lua_pushlstring(L, word.data(), word.size());
    lua_pushnil(L);
  }
};

/// One options table; nil or nothing is the default. An unknown field is an error that names the nearest
/// known one.
template <HasOptions T>
struct Value<T> {
  static T check(lua_State* L, int index) {
    T options{};
    if (lua_isnoneornil(L, index)) return options;
    if (!lua_istable(L, index)) throw expected(L, index, "a table of options");
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
      const int top = lua_gettop(L);
      set(L, top - 1, top, options);
      lua_pop(L, 1);
    }
    return options;
  }
  static void push(lua_State* L, const T& options) {
    lua_newtable(L);
    std::apply(
        [&](const auto&... fields) {
          ((Value<std::remove_cvref_t<decltype(options.*fields.member)>>::push(L, options.*fields.member),
            lua_setfield(L, -2, std::string(fields.name).c_str())),
           ...);
        },
        Options<T>::fields);
  }

 private:
  static void set(lua_State* L, int key, int value, T& options) {
    if (lua_type(L, key) != LUA_TSTRING) throw BadArgument("expected only named options");
    const std::string name = name_at(L, key);
    bool found = false;
    std::vector<std::string_view> known;
    const auto one = [&](const auto& field) {
      known.push_back(field.name);
      if (field.name != name) return;
      found = true;
      try {
        options.*field.member = Value<std::remove_cvref_t<decltype(options.*field.member)>>::check(L, value);
      } catch (const BadArgument& error) {
        throw error.inside("option '" + name + "'");
      }
    };
    std::apply([&](const auto&... fields) { (one(fields), ...); }, Options<T>::fields);
    if (!found) throw BadArgument("unknown option '" + name + "'" + suggestion_or_all(name, known));
  }
};

// ---- owned values as userdata

template <class T>
struct Box {
  unsigned made_in;
  const char* used_by;  // the method that used the value up, nullptr while it is whole
  alignas(T) unsigned char storage[sizeof(T)];
  T& value() { return *std::launder(reinterpret_cast<T*>(storage)); }
};

/// A class whose destructor undoes something outside this process says `static constexpr bool undoes = true`.
/// Its living objects are listed here, so that the end of the process need not take the whole state apart to
/// find them. In a child that shares its parent's memory all that it makes are listed: nothing of them is the
/// parent's but that memory.
template <class T>
concept Undoes = requires {
  Class<T>::undoes;
};
void remember_undoing(void* box, void (*undo)(void* box));
void forget_undoing(void* box);
/// Destroys the listed objects that this process made, the newest first. For the end of the process.
void undo_everything();

/// Whether this process has made one that is none of `boxes`.
bool undoes_more_than(const std::vector<const void*>& boxes);

/// In the parent, behind that child: what it made is no longer listed.
void forget_undoing_of(unsigned child);

/// Pushes the metatable of class `name`, made by `build` at first.
bool push_metatable(lua_State* L, const char* name);

/// Notes the object at the top of the stack as a stand-in: one that stands for nothing.
void mark_stand_in(lua_State* L);
bool is_stand_in(lua_State* L, int index);

template <class T>
concept Duplicates = requires(const T& value) {
  { value.duplicate() } -> std::same_as<T>;
};

template <HasClass T>
struct Value<T> {
  static bool is(lua_State* L, int index) {
    if (lua_touserdata(L, index) == nullptr || !lua_getmetatable(L, index)) return false;
    const bool same = lua_topointer(L, -1) == known_in(L).table;
    lua_pop(L, 1);
    return same;
  }
  static Box<T>& box(lua_State* L, int index) {
    if (!is(L, index)) throw expected(L, index, std::string("a ") + Class<T>::name);
    return *static_cast<Box<T>*>(lua_touserdata(L, index));
  }
  static T& check(lua_State* L, int index) {
    Box<T>& found = box(L, index);
    if (found.used_by)
      throw BadArgument(std::string("the ") + Class<T>::name + " was already used up by " + found.used_by);
    return found.value();
  }
  static void push(lua_State* L, T&& value) {
    void* memory = lua_newuserdata(L, sizeof(Box<T>));
    auto* made = new (memory) Box<T>{generation, nullptr, {}};
    new (made->storage) T(std::move(value));
    if (is_listed()) remember_undoing(made, undo);
    metatable(L);
    lua_setmetatable(L, -2);
  }
  /// An object with nothing in it: of the right class, and used up from the beginning, so that no engine
  /// function can ever be given it.
  static void push_stand_in(lua_State* L) {
    new (lua_newuserdata(L, sizeof(Box<T>))) Box<T>{generation, "a pretence", {}};
    metatable(L);
    lua_setmetatable(L, -2);
    mark_stand_in(L);
  }
  /// After this the object answers every method with an error that names `method`. A child that shares its
  /// parent's memory uses up a duplicate: the object stays the parent's.
  static T use_up(lua_State* L, int index, const char* method) {
    T& whole = check(L, index);
    Box<T>& used = box(L, index);
    if (shares_memory() && used.made_in != generation) {
      if constexpr (Duplicates<T>)
        return whole.duplicate();
      else
        throw BadArgument(std::string("the ") + Class<T>::name + " is the parent's, whose memory is shared");
    }
    T value = std::move(whole);
    if (is_listed()) forget_undoing(&used);
    used.value().~T();
    used.used_by = method;
    return value;
  }

 private:
  /// Whether the first argument is an object of this class. Asks no registry: a state that is closed has it
  /// no more.
  static bool is_own(lua_State* L) {
    if (lua_touserdata(L, 1) == nullptr || !lua_getmetatable(L, 1)) return false;
    lua_pushliteral(L, "__gc");
    lua_rawget(L, -2);
    const bool own = lua_tocfunction(L, -1) == collect;
    lua_pop(L, 2);
    return own;
  }
  static bool is_listed() { return Undoes<T> || shares_memory(); }
  static void undo(void* memory) {
    auto& dying = *static_cast<Box<T>*>(memory);
    if (!dying.used_by && dying.made_in == generation) dying.value().~T();
    dying.used_by = "the garbage collector";
  }
  /// __gc, which a script can reach by debug.getmetatable.
  static int collect(lua_State* L) {
    if (!is_own(L)) return 0;
    if (is_listed()) forget_undoing(lua_touserdata(L, 1));
    undo(lua_touserdata(L, 1));
    return 0;
  }
  /// The metatable by its address and its number in the registry: to find it by its name takes longer than
  /// most methods. It lives as long as its state, of which there are few.
  struct Known {
    const void* registry = nullptr;
    const void* table = nullptr;
    int reference = LUA_NOREF;
  };
  static const Known& known_in(lua_State* L) {
    static Known known;
    const void* registry = lua_topointer(L, LUA_REGISTRYINDEX);
    if (known.registry == registry) return known;
    make_metatable(L);
    const void* table = lua_topointer(L, -1);
    known = {registry, table, luaL_ref(L, LUA_REGISTRYINDEX)};
    return known;
  }
  static void metatable(lua_State* L) { lua_rawgeti(L, LUA_REGISTRYINDEX, known_in(L).reference); }
  static void make_metatable(lua_State* L) {
    if (!push_metatable(L, Class<T>::name)) return;
    push_functions(L, (std::string(Class<T>::name) + ":").c_str(), Class<T>::methods,
                   std::size(Class<T>::methods));
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pushstring(L, Class<T>::name);
    lua_setfield(L, -2, "__metatable");
  }
};

/// An object that stays the script's own; nullptr for nil.
template <HasClass T>
struct Value<T*> {
  static T* check(lua_State* L, int index) {
    return lua_isnoneornil(L, index) ? nullptr : &Value<T>::check(L, index);
  }
};

// ---- functions

template <class T>
decltype(auto) argument(lua_State* L, int index) {
  using Bare = std::remove_cvref_t<T>;
  try {
    if constexpr (HasClass<Bare>)
      return static_cast<Bare&>(Value<Bare>::check(L, index));
    else
      return Value<Bare>::check(L, index);
  } catch (const BadArgument& error) {
    throw error.inside("argument " + std::to_string(index));
  }
}

/// No more arguments than the function takes: a forgotten brace must not pass silently.
void no_more_arguments(lua_State* L, int count);

template <class R, class Call>
int results(lua_State* L, Call&& call) {
  if constexpr (std::is_void_v<R>) {
    call();
    return 0;
  } else {
    push(L, call());
    return 1;
  }
}

template <auto F>
struct Caller;

template <class R, class... A, R (*F)(A...)>
requires(!std::is_same_v<decltype(F), lua_CFunction>) struct Caller<F> {
  static int call(lua_State* L) {
    no_more_arguments(L, sizeof...(A));
    return apply(L, std::index_sequence_for<A...>());
  }
  template <size_t... I>
  static int apply(lua_State* L, std::index_sequence<I...>) {
    // Braces fix the order of evaluation: the first wrong argument is the one reported.
    std::tuple<decltype(argument<A>(L, 1))...> values{argument<A>(L, static_cast<int>(I) + 1)...};
    return results<R>(L, [&]() -> decltype(auto) { return F(static_cast<A&&>(std::get<I>(values))...); });
  }
};

template <class T, class R, class Method, class... A>
struct MethodCaller {
  template <auto F>
  static int call(lua_State* L) {
    no_more_arguments(L, sizeof...(A) + 1);
    return apply<F>(L, std::index_sequence_for<A...>());
  }
  template <auto F, size_t... I>
  static int apply(lua_State* L, std::index_sequence<I...>) {
    T& self = argument<T&>(L, 1);
    std::tuple<decltype(argument<A>(L, 1))...> values{argument<A>(L, static_cast<int>(I) + 2)...};
    if constexpr (std::is_rvalue_reference_v<Method>) {
      T object = Value<T>::use_up(L, 1, gate::current());
      return results<R>(L, [&]() -> decltype(auto) {
        return (std::move(object).*F)(static_cast<A&&>(std::get<I>(values))...);
      });
    } else {
      return results<R>(
          L, [&]() -> decltype(auto) { return (self.*F)(static_cast<A&&>(std::get<I>(values))...); });
    }
  }
};

template <class T, class R, class... A, R (T::*F)(A...)>
struct Caller<F> {
  static int call(lua_State* L) { return MethodCaller<T, R, T&, A...>::template call<F>(L); }
};
template <class T, class R, class... A, R (T::*F)(A...) const>
struct Caller<F> {
  static int call(lua_State* L) { return MethodCaller<T, R, T&, A...>::template call<F>(L); }
};
template <class T, class R, class... A, R (T::*F)(A...) &&>
struct Caller<F> {
  static int call(lua_State* L) { return MethodCaller<T, R, T&&, A...>::template call<F>(L); }
};
template <int (*F)(lua_State*)>
struct Caller<F> {  // a function that speaks to Lua itself
  static int call(lua_State* L) { return F(L); }
};

template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;

/// A plausible value of R: an object with nothing in it, an empty text or list, 0, false; nil when there is
/// no other.
template <class R>
void push_stand_in(lua_State* L) {
  using Bare = std::remove_cvref_t<R>;
  if constexpr (is_optional<Bare>)
    push_stand_in<typename Bare::value_type>(L);
  else if constexpr (HasClass<Bare>)
    Value<Bare>::push_stand_in(L);
  else if constexpr (std::is_default_constructible_v<Bare>)
    Value<Bare>::push(L, Bare{});
  else
    lua_pushnil(L);
}

template <class F>
struct ResultOf;
template <class R, class... A>
struct ResultOf<R (*)(A...)> : std::type_identity<R> {};
template <class T, class R, class... A>
struct ResultOf<R (T::*)(A...)> : std::type_identity<R> {};
template <class T, class R, class... A>
struct ResultOf<R (T::*)(A...) const> : std::type_identity<R> {};
template <class T, class R, class... A>
struct ResultOf<R (T::*)(A...) &&> : std::type_identity<R> {};
template <>
struct ResultOf<lua_CFunction> : std::type_identity<void> {};  // it says so itself: fn<&f, Process>

template <auto F>
int call(lua_State* L) {
  return guard(L, [](lua_State* state) { return Caller<F>::call(state); });
}

/// The Lua function for `F`, whose result is an R.
template <auto F, class R = typename ResultOf<decltype(F)>::type>
constexpr Function fn = {&call<F>, [] {
                           if constexpr (std::is_void_v<R>)
                             return nullptr;
                           else
                             return &push_stand_in<R>;
                         }()};

/// Opens a module: pushes a table with `functions`; "mount." is the prefix under which the gate names them.
template <size_t N>
int module(lua_State* L, const char* prefix, const Entry (&functions)[N]) {
  push_functions(L, prefix, functions, N);
  return 1;
}

}  // namespace luabox::lua
