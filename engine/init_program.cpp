// The program that engine/init.hpp puts in an init's place: a page of code and no library. Its argument is
// the pid of the container's command; a second one says that it waits for its release.
#include <sys/prctl.h>

#include "engine/init_loop.hpp"

namespace {

long number(const char* text) {
  long value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
  return value;
}

}  // namespace

/// `stack` is what the kernel hands a new program: argc, argv, 0, environment, 0.
extern "C" [[noreturn, gnu::used]] void luabox_init(long* stack) {
  // In the container's processes' sight from here on; it has nothing that could be read, but its state is its
  // own.
  luabox::bare::call(SYS_prctl, PR_SET_DUMPABLE, 0);
  const char name[] = "init";
  luabox::bare::call(SYS_prctl, PR_SET_NAME, luabox::bare::address(name));
  char* const argument = reinterpret_cast<char**>(stack + 1)[1];
  const long program = number(argument);
  for (char* digit = argument; *digit != '\0'; ++digit) *digit = '\0';  // `ps` shows "init"
  luabox::refuse_all_but_the_loop();
  if (*stack > 2) luabox::release(program);
  luabox::serve_as_init(program);
}

#if defined(__x86_64__)
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov %rsp, %rdi\n"
    "  xor %ebp, %ebp\n"
    "  and $-16, %rsp\n"
    "  call luabox_init\n");
#elif defined(__aarch64__)
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov x0, sp\n"
    "  b luabox_init\n");
#endif
