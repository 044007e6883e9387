// luabox.sys.running: engine/running.hpp for Lua.
#include "engine/running.hpp"

#include "bindings/state.hpp"
#include "bindings/values.hpp"

namespace luabox {

template <>
struct lua::Class<Running> {
  static constexpr auto name = "running process";
  static const Entry methods[9];
};

namespace {

/// running:namespaces() -> { { kind = "net", descriptor = fd }, ... }, in the order in which to enter them
int namespaces(lua_State* L) {
  auto found = lua::argument<Running>(L, 1).foreign_namespaces();
  lua_createtable(L, static_cast<int>(found.size()), 0);
  for (size_t i = 0; i < found.size(); ++i) {
    lua_createtable(L, 0, 2);
    lua::push(L, found[i].first);
    lua_setfield(L, -2, "kind");
    lua::push(L, std::move(found[i].second));
    lua_setfield(L, -2, "descriptor");
    lua_rawseti(L, -2, static_cast<int>(i + 1));
  }
  return 1;
}

bool kill(Running& process, lua::Signal signal) { return process.kill(signal.number); }
bool wait_for(Running& process, std::optional<double> timeout) {
  return process.wait_for_end(timeout.value_or(-1));
}

}  // namespace

const lua::Entry lua::Class<Running>::methods[] = {
    {"pid", fn<&Running::pid>, false},
    {"pidfd", fn<&Running::pidfd>, false},  // running:pidfd() -> its number
    {"alive", fn<&Running::alive>, false},
    {"wait", fn<&wait_for>},  // running:wait([seconds]) -> whether it ended
    {"kill", fn<&kill>},      // running:kill("TERM") -> whether it was there
    {"namespaces", fn<&namespaces>},
    {"root", fn<&Running::root>},  // running:root() -> root
    {"raise_limits", fn<&Running::raise_limits>},
    {"adopt_limits", fn<&Running::adopt_limits>},
};

int open_running(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"find", lua::fn<&Running::find>},             // running.find(pid, start time) -> running; ESRCH
      {"start_time", lua::fn<&start_time>, false}};  // running.start_time(pid) -> clock ticks, as text
  return lua::module(L, "running.", functions);
}

}  // namespace luabox
