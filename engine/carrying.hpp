// What is the same wherever bytes are carried from a container's pipe into a file: in a thread
// (engine/relay.hpp), by a monitor (engine/monitor.hpp), by a stand-in (engine/stand_in.hpp). Without the C
// library.
#pragma once

#include <cerrno>
#include <cstddef>

namespace luabox {

/// Bytes that a pipe may hold (/proc/sys/fs/pipe-max-size): so much is still taken at an end. Who has the
/// other end elsewhere may write on and on.
constexpr size_t kMostInPipe = 1U << 20U;

/// Of a disk that is full now.
[[gnu::always_inline]] inline bool is_full(long code) { return code == ENOSPC || code == EDQUOT; }

/// Whether who writes goes on though `to` could not take it: a file that is luabox's own, of a container that
/// nobody stands by, may have room again.
[[gnu::always_inline]] inline bool may_pass(int to, long code) { return to > 2 && is_full(code); }

}  // namespace luabox
