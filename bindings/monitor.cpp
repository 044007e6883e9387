// luabox.sys.monitor: engine/monitor.hpp and background.hpp for Lua. What they begin, the library ends
// (scripts/library/monitor.lua): under policies it is not within a script's reach.
#include "engine/monitor.hpp"

#include "bindings/lock.hpp"
#include "bindings/policy.hpp"
#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/background.hpp"

namespace luabox {
namespace {

/// monitor.become(processes, signals, relays, locks, note): waits for those that are not known to have ended.
/// Returns where it can't be done, also where there is something else that is to be undone at the end.
int become(lua_State* L) {
  lua::no_more_arguments(L, 5);
  Watched watched;
  std::vector<const void*> known;
  for (const auto* box : lua::boxes<Process>(L, 1)) known.push_back(box);
  for (auto* process : lua::objects<Process>(L, 1))
    if (!process->known_to_have_ended()) watched.processes.push_back(process);
  watched.signals = &lua::argument<ForwardedSignals>(L, 2);
  watched.relays = lua::objects<Relay>(L, 3);
  for (auto* lock : lua::objects<Lock>(L, 4)) watched.locks.push_back(lock);
  watched.note = lua::argument<std::string>(L, 5);
  if (lua::undoes_more_than(known)) return 0;
  policy::stand_down();
  become_monitor(watched);
  return 0;
}

template <class T>
void push_list(lua_State* L, std::vector<T>& values, const char* field) {
  lua_createtable(L, static_cast<int>(values.size()), 0);
  for (size_t i = 0; i < values.size(); ++i) {
    lua::push(L, std::move(values[i]));
    lua_rawseti(L, -2, static_cast<int>(i + 1));
  }
  lua_setfield(L, -2, field);
}

/// monitor.resumed() -> { processes =, locks =, note =, lost = an error or nil }; nil where no monitor was
/// before.
int resumed(lua_State* L) {
  lua::no_more_arguments(L, 0);
  auto left = monitored();
  if (!left) return 0;
  lua_createtable(L, 0, 4);
  push_list(L, left->processes, "processes");
  push_list(L, left->locks, "locks");
  lua::push(L, left->note);
  lua_setfield(L, -2, "note");
  if (left->lost) lua::push_error(L, *left->lost);
  if (left->lost) lua_setfield(L, -2, "lost");
  return 1;
}

}  // namespace

int open_monitor(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"become", lua::fn<&become>, false},
      {"resumed", lua::fn<&resumed>, false},
      {"run_in_background", lua::fn<&run_in_background>,
       false},                                            // monitor.run_in_background() -> exit status
      {"in_background", lua::fn<&in_background>, false},  // monitor.in_background() -> bool
      {"ready", lua::fn<&tell_ready>, false}};  // monitor.ready(text): it is printed, and who waits goes on
  return lua::module(L, "monitor.", functions);
}

}  // namespace luabox
