// The one place that every primitive passes on its way from Lua to the engine.
//
// A module registers its functions as Entry tables (bindings/lua.hpp); what is registered is called through
// gate::pass. While nobody watches, passing costs one branch. A watcher sees each call with its arguments,
// duration and outcome, in the parent and in the child of a clone alike. `-v` is a watcher; explain, trace
// and policy hang here too.
#pragma once

#include <string>

struct lua_State;

namespace luabox::gate {

struct Event {
  const char* primitive;  ///< "mount.attach"
  std::string arguments;  ///< as the script wrote them, shortened
  std::string failure;    ///< empty when it succeeded
  double start_us;        ///< CLOCK_MONOTONIC
  double duration_us;
  int pid;  ///< as the host numbers it, 0 when unknown
};

using Watcher = void (*)(const Event&);

/// Sets the watcher, or none with nullptr. Inherited by the child of a clone.
void watch(Watcher watcher);

/// The name of the primitive called last, without its module: "attach". A literal.
const char* current();

/// The lua_CFunction behind every registered primitive. Upvalues: the Entry, the full name.
int pass(lua_State* L);

}  // namespace luabox::gate
