// The program that engine/init.hpp puts in an init's place. Its argument is the pid of the container's
// command; a second one says that it waits for its release.
#include <sys/prctl.h>

#include "engine/bare_program.hpp"
#include "engine/init_loop.hpp"

extern "C" [[noreturn, gnu::used]] void luabox_program(long* stack) {
  // In the container's processes' sight from here on; it has nothing that could be read, but its state is its
  // own.
  luabox::bare::call(SYS_prctl, PR_SET_DUMPABLE, 0);
  const char name[] = "init";
  luabox::bare::call(SYS_prctl, PR_SET_NAME, luabox::bare::address(name));
  char* const argument = reinterpret_cast<char**>(stack + 1)[1];
  char* rest = argument;
  const long program = luabox::bare::take_number(rest);
  for (char* digit = argument; *digit != '\0'; ++digit) *digit = '\0';  // `ps` shows "init"
  luabox::refuse_all_but_the_loop();
  if (*stack > 2) luabox::release(program);
  luabox::serve_as_init(program);
}
