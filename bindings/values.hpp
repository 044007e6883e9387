// Values that several modules share, as Lua sees them.
#pragma once

#include <signal.h>

#include <cstring>

#include "bindings/lua.hpp"
#include "engine/capabilities.hpp"
#include "engine/cgroup.hpp"
#include "engine/fd.hpp"
#include "engine/namespaces.hpp"
#include "engine/process.hpp"
#include "engine/relay.hpp"
#include "engine/root.hpp"
#include "engine/seccomp.hpp"
#include "engine/supervisor.hpp"

namespace luabox::lua {

/// An owned descriptor: fd:number(), fd:readable(seconds), fd:read(limit), fd:close() uses it up.
template <>
struct Class<Fd> {
  static constexpr auto name = "descriptor";
  static const Entry methods[4];
};

/// "uts ipc pid" or { "uts", "ipc", "pid" }.
template <>
struct Value<Namespaces> {
  static Namespaces check(lua_State* L, int index) {
    if (!lua_istable(L, index)) return Namespaces::parse(Value<std::string>::check(L, index));
    std::string words;
    for (const auto& word : Value<std::vector<std::string>>::check(L, index)) words += word + " ";
    return Namespaces::parse(words);
  }
  static void push(lua_State* L, const Namespaces& value) { Value<std::string>::push(L, value.words()); }
};

/// A list of names: { "chown", "CAP_KILL" }.
template <>
struct Value<CapabilitySet> {
  static CapabilitySet check(lua_State* L, int index) {
    return CapabilitySet::of(Value<std::vector<std::string>>::check(L, index));
  }
  static void push(lua_State* L, CapabilitySet set) { Value<std::vector<std::string>>::push(L, set.names()); }
};

template <>
struct Options<CapabilitySets> {
  static constexpr auto fields = std::tuple(
      field("effective", &CapabilitySets::effective), field("permitted", &CapabilitySets::permitted),
      field("inheritable", &CapabilitySets::inheritable), field("bounding", &CapabilitySets::bounding),
      field("ambient", &CapabilitySets::ambient));
};

/// A signal: "TERM", "SIGTERM" or a number.
struct Signal {
  int number;
};
template <>
struct Value<Signal> {
  static Signal check(lua_State* L, int index) {
    if (lua_type(L, index) == LUA_TNUMBER) {
      const int number = Value<int>::check(L, index);
      if (number < 0 || number >= _NSIG) throw expected(L, index, "a signal");
      return {number};
    }
    const std::string word = Value<std::string>::check(L, index);
    const std::string name = word.compare(0, 3, "SIG") == 0 ? word.substr(3) : word;
    std::vector<std::string_view> known;
    for (int number = 1; number < _NSIG; ++number) {
      const char* abbreviation = ::sigabbrev_np(number);
      if (abbreviation == nullptr) continue;
      if (name == abbreviation) return {number};
      known.emplace_back(abbreviation);
    }
    throw BadArgument("unknown signal '" + word + "'" + suggestion(name, known));
  }
};

/// A process object or a pid.
struct ProcessId {
  int pid;
};
template <>
struct Class<Process> {
  static constexpr auto name = "process";
  static constexpr bool undoes = true;
  static const Entry methods[10];
};
/// A directory that plays "/": see bindings/mount.cpp.
template <>
struct Class<Root> {
  static constexpr auto name = "root";
  static const Entry methods[14];
};
/// A cgroup: see bindings/cgroup.cpp.
template <>
struct Class<Cgroup> {
  static constexpr auto name = "cgroup";
  static constexpr bool undoes = true;
  static const Entry methods[17];
};
/// Output on its way into a file: see bindings/process.cpp.
template <>
struct Class<Relay> {
  static constexpr auto name = "relay";
  static const Entry methods[2];
};
/// A system call filter: see bindings/security.cpp.
template <>
struct Class<Filter> {
  static constexpr auto name = "filter";
  static const Entry methods[2];
};
/// Signals held back for whoever passes them on: signals:pending().
template <>
struct Class<ForwardedSignals> {
  static constexpr auto name = "signals";
  static const Entry methods[2];
};

/// The objects of the list that is argument `index`, which keeps them alive.
template <HasClass T>
std::vector<Box<T>*> boxes(lua_State* L, int index) {
  std::vector<Box<T>*> list;
  const auto wrong = [index](const std::string& text) {
    return BadArgument(text).inside("argument " + std::to_string(index));
  };
  if (!lua_istable(L, index)) throw expected(L, index, "a list").inside("argument " + std::to_string(index));
  for (size_t i = 1; i <= lua_objlen(L, index); ++i) {
    lua_rawgeti(L, index, static_cast<int>(i));
    try {
      Value<T>::check(L, lua_gettop(L));
    } catch (const BadArgument& error) {
      throw wrong(error.inside("item " + std::to_string(i)).what());
    }
    list.push_back(&Value<T>::box(L, lua_gettop(L)));
    lua_pop(L, 1);
  }
  return list;
}
template <HasClass T>
std::vector<T*> objects(lua_State* L, int index) {
  std::vector<T*> list;
  for (auto* box : boxes<T>(L, index)) list.push_back(&box->value());
  return list;
}

template <>
struct Value<ProcessId> {
  static ProcessId check(lua_State* L, int index) {
    if (lua_type(L, index) == LUA_TUSERDATA) return {Value<Process>::check(L, index).pid()};
    const int pid = Value<int>::check(L, index);
    if (pid < 0) throw expected(L, index, "a process");
    return {pid};
  }
};

}  // namespace luabox::lua
