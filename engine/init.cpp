#include "engine/init.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>

#include "engine/fd.hpp"

// The whole file of engine/init_program.cpp.
__asm__(
    ".section .rodata\n"
    ".balign 16\n"
    "luabox_init_program:\n"
    ".incbin \"" LUABOX_INIT_PROGRAM
    "\"\n"
    "luabox_init_program_end:\n"
    ".previous\n");
extern "C" const char luabox_init_program[], luabox_init_program_end[];

namespace luabox {

Fd small_init_file() {
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
#ifdef MFD_EXEC
  Fd file(::memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
  if (!file) file = Fd(::memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING));
#else
  Fd file(::memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING));
#endif
  const ssize_t size = luabox_init_program_end - luabox_init_program;
  if (!file || ::write(file.get(), luabox_init_program, static_cast<size_t>(size)) != size) return {};
  if (::fchmod(file.get(), 0555) < 0 || ::fcntl(file.get(), F_ADD_SEALS, kSeals) < 0) return {};
  return file;
}

void enter_small_init(const Fd& file, pid_t program, bool held) {
  char name[] = "init", pid[16], nothing[] = "";
  std::snprintf(pid, sizeof pid, "%d", program);
  char* const arguments[] = {name, pid, held ? nothing : nullptr, nullptr};
  char* const environment[] = {nullptr};
  ::syscall(SYS_execveat, file.get(), "", arguments, environment, AT_EMPTY_PATH);
}

}  // namespace luabox
