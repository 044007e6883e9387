// A program of a few pages and no library, embedded in luabox (engine/init_program.cpp,
// engine/monitor_program.cpp). Include this once, and write luabox_program.
#pragma once

#include "engine/bare_call.hpp"

/// Where it starts. `stack` is what the kernel hands a new program: argc, argv, 0, environment, 0.
extern "C" [[noreturn, gnu::used]] void luabox_program(long* stack);

#if defined(__x86_64__)
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov %rsp, %rdi\n"
    "  xor %ebp, %ebp\n"
    "  and $-16, %rsp\n"
    "  call luabox_program\n");
#elif defined(__aarch64__)
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov x0, sp\n"
    "  b luabox_program\n");
#endif

namespace luabox::bare {

/// The number at `text`, which is then what stands behind it.
[[gnu::always_inline]] inline long take_number(char*& text) {
  long value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
  return value;
}

}  // namespace luabox::bare
