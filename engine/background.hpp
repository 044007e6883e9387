// Running on while the caller goes on.
#pragma once

#include <string>

namespace luabox {

/// Starts this program again with the same arguments, in a session of its own (setsid(2)), and waits until it
/// has called tell_ready() or has ended; signals that end or concern it are passed on meanwhile. Returns 0 or
/// its status, as a shell tells it.
int run_in_background();

/// Whether this process is the one that was started so.
bool in_background();

/// Writes `text` to standard output, and lets the caller of run_in_background() return. Throws where either
/// can't be told: EPIPE where nobody reads, or the caller is no more.
void tell_ready(const std::string& text);

}  // namespace luabox
