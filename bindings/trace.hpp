// The trace: every primitive that passed the gate, of this process and of the children of its clones.
//
// An event is written into memory that all of them share, so that what a child did is known although it has
// become another program, and a start pays for no system call. scripts/library/chrome.lua makes the file of
// it, at the end.
#pragma once

struct lua_State;

namespace luabox::trace {

/// gate.trace(): events are kept from here on. May be called again, to no effect.
int begin(lua_State* L);

/// gate.events() -> a list of { primitive, arguments, result, failure, where, key, start, duration, track,
/// made }, in the order of their ends, and how many there was no room for. Times are microseconds. `track` is
/// 0 for this process, for the child of a clone the `made` of that clone's event. A duration is nil for what
/// never came back: an exec.
int events(lua_State* L);

/// For a child that stays this program once the command of its `init` runs: its parent's memory is not its
/// business. Later than the event, for in a process that has run on several processors it takes an interrupt
/// of each.
void leave();

}  // namespace luabox::trace
