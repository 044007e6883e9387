// The one place that every primitive passes on its way from Lua to the engine.
//
// A module registers its functions as Entry tables (bindings/lua.hpp); what is registered is called through
// gate::pass. While nobody asked for more, passing costs one branch. What hangs here, in the parent and in
// the child of a clone alike:
//
//   watchers   see each call with its arguments, duration and outcome: `-v`, and the trace
//   (bindings/trace.cpp) pretence   gives the call to a Lua function instead of the engine: `luabox explain`
//
// A primitive gets all of it by being registered.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/fd.hpp"

struct lua_State;

namespace luabox::gate {

/// How a primitive passes. `open`: it only reads this process's memory or a trusted file, nobody sees it.
/// `reads`: seen, but a pretence lets it through to the kernel, for it changes nothing. `changes`: the rest.
struct Passage {
  enum Kind : unsigned char { open, reads, changes } kind;
  constexpr Passage(Kind which) : kind(which) {}
  constexpr Passage(bool gated) : kind(gated ? changes : open) {}
};

struct Event {
  const char* primitive;  ///< "mount.attach"
  std::string arguments;  ///< as the script wrote them, shortened
  std::string result;     ///< the first, as a script would write it
  std::string failure;    ///< empty when it succeeded
  std::string where;      ///< "golang.lua:4"; empty when no line of the user's is known
  std::string key;        ///< the field of the table at `where` that asked for it, if that is known
  int64_t start_ns;       ///< CLOCK_REALTIME: the one clock that a time namespace does not shift
  int64_t duration_ns;
  int pid;  ///< as its own namespace numbers it
};

/// Each may be nullptr. `began` is called before the primitive, with its name alone.
struct Watcher {
  void (*began)(lua_State* L, Event& event);
  void (*ended)(lua_State* L, const Event& event);
};

/// CLOCK_REALTIME, as the times of an event are.
int64_t now_ns();

/// Adds a watcher, for good. Inherited by the child of a clone.
void watch(Watcher watcher);

/// Adds the arguments that stand in the stack's first `count` places.
void describe(lua_State* L, int count, Event& event);

/// What a governor has for the gate.
struct Passing {
  std::vector<luabox::Fd> held;  ///< they live until the primitive has returned
  std::string changed_by;        ///< who replaced arguments: an error of the primitive's says so, too
};

/// Is called before each gated primitive, with its arguments on the stack, and raises what is refused. It may
/// replace arguments.
using Governor = void (*)(lua_State* L, const char* primitive, Passing& passing);

/// Sets the governor. Inherited by the child of a clone.
void govern(Governor governor);

/// For the governor alone: it has nothing to say about any primitive, and is never called again.
void rest();

/// The name of the primitive called last, without its module: "attach". A literal.
const char* current();

/// The lua_CFunction behind every registered primitive. Upvalues: the Entry, its full name.
int pass(lua_State* L);

}  // namespace luabox::gate
