#include "engine/program_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>

// The whole files that were linked before (engine/generated.cmake).
#define LUABOX_EMBED(symbol, file)     \
  __asm__(                             \
      ".section .rodata\n"             \
      ".balign 16\n" #symbol           \
      ":\n"                            \
      ".incbin \"" file "\"\n" #symbol \
      "_end:\n"                        \
      ".previous\n")

LUABOX_EMBED(luabox_init_program, LUABOX_INIT_PROGRAM);
LUABOX_EMBED(luabox_monitor_program, LUABOX_MONITOR_PROGRAM);
extern "C" const char luabox_init_program[], luabox_init_program_end[];
extern "C" const char luabox_monitor_program[], luabox_monitor_program_end[];

namespace luabox {
namespace {

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

struct Embedded {
  const char* name;
  std::string_view bytes;
};

Embedded embedded(SmallProgram program) {
  const auto between = [](const char* from, const char* to) {
    return std::string_view(from, static_cast<size_t>(to - from));
  };
  if (program == SmallProgram::init) return {"init", between(luabox_init_program, luabox_init_program_end)};
  return {"luabox", between(luabox_monitor_program, luabox_monitor_program_end)};
}

}  // namespace

Fd program_file(SmallProgram program, unsigned mode) {
  const auto [name, bytes] = embedded(program);
#ifdef MFD_EXEC
  Fd file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
  if (!file) file = Fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
#else
  Fd file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
#endif
  if (!file || ::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return {};
  if (::fchmod(file.get(), mode) < 0 || ::fcntl(file.get(), F_ADD_SEALS, kSeals) < 0) return {};
  return file;
}

}  // namespace luabox
