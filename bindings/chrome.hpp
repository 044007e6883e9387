// A trace as text in Chrome's trace event format, which Perfetto and chrome://tracing open.
//
// Source: "Trace Event Format" (catapult): complete events, and metadata that names processes and threads.
#pragma once

struct lua_State;

namespace luabox::chrome {

/// gate.trace_text(head, line_of) -> the text, and how many events there was no room for. One event on a
/// line, in the order of their beginnings; `head` is what stands before them. Times are microseconds,
/// processes are as the host numbers them. line_of(where, key) -> the line on which a field was written.
int text(lua_State* L);

}  // namespace luabox::chrome
