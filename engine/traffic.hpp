// How fast an interface may send: a token bucket as its queue.
//
// What is sent by an interface is shaped: packets wait, and beyond a twentieth of a second are dropped. What
// it receives can't wait, so each side limits what it sends. See tc-tbf(8), linux/pkt_sched.h.
#pragma once

#include <cstdint>
#include <string>

namespace luabox::traffic {

/// Makes a token bucket of `bits` per second (8000 to 10^12) the queue of interface `name`, in the place of
/// what is there. ENODEV where there is no such interface; ENOENT where the kernel has no token bucket
/// (sch_tbf).
void limit_rate(const std::string& name, uint64_t bits);

/// Bits per second, 0 where there is no token bucket.
uint64_t rate(const std::string& name);

}  // namespace luabox::traffic
