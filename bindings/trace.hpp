// The trace: every primitive that passed the gate, of this process and of the children of its clones.
//
// An event is written into memory that all of them share, so that what a child did is known although it has
// become another program, and a start pays for no system call. bindings/chrome.cpp makes a text of them, at
// the end.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

struct lua_State;

namespace luabox::trace {

/// gate.trace(): events are kept from here on. May be called again, to no effect.
int begin(lua_State* L);

/// An event as it was kept; see gate::Event. Its texts lie in the shared memory: others may write there.
struct Kept {
  std::string_view primitive, arguments, result, failure, where, key;
  int64_t start_ns;
  int64_t duration_ns;  ///< negative for what never came back: an exec
  uint32_t track;       ///< 0 for this process, for the child of a clone the `made` of that clone's event
  uint32_t made;        ///< 0 for all but clones
};

struct Account {
  std::vector<Kept> events;  ///< in the order of their ends
  uint32_t dropped = 0;      ///< there was no room for so many
};

/// What was kept up to now.
Account account();

/// Around a child that shares this process's memory: what it notes of itself is not so here.
class Apart {
 public:
  Apart();
  Apart(const Apart&) = delete;
  Apart& operator=(const Apart&) = delete;
  ~Apart();

 private:
  uint32_t track_;
  unsigned generation_;
};

/// For a child that stays this program once the command of its `init` runs: its parent's memory is not its
/// business. Later than the event, for in a process that has run on several processors it takes an interrupt
/// of each.
void leave();

}  // namespace luabox::trace
