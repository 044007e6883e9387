#include "engine/init.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>

#include "engine/program_file.hpp"

namespace luabox {

Fd small_init_file() { return program_file(SmallProgram::init, 0555); }

void enter_small_init(const Fd& file, pid_t program, bool held) {
  char name[] = "init", pid[16], nothing[] = "";
  std::snprintf(pid, sizeof pid, "%d", program);
  char* const arguments[] = {name, pid, held ? nothing : nullptr, nullptr};
  char* const environment[] = {nullptr};
  ::syscall(SYS_execveat, file.get(), "", arguments, environment, AT_EMPTY_PATH);
}

}  // namespace luabox
