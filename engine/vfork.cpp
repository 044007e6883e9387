#include "engine/vfork.hpp"

#include <sched.h>
#include <sys/syscall.h>

#include <cerrno>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

namespace luabox {
namespace {

#ifdef __SANITIZE_ADDRESS__
/// The child never returns from its functions, which would take the marks of their frames away, and free what
/// they hold.
class Unreturning {
 public:
  Unreturning() { __lsan_disable(); }
  Unreturning(const Unreturning&) = delete;
  Unreturning& operator=(const Unreturning&) = delete;
  ~Unreturning() {
    __lsan_enable();
    constexpr size_t kDeepest = 512 << 10;
    ASAN_UNPOISON_MEMORY_REGION(static_cast<char*>(__builtin_frame_address(0)) - kDeepest, kDeepest);
  }
};
#else
struct Unreturning {};
#endif

}  // namespace

#if defined(__x86_64__)

bool can_vfork() { return true; }

[[gnu::noinline]] long vfork_child(clone_args arguments, void (*body)(void*), void* data) {
  [[maybe_unused]] const Unreturning unreturning;
  arguments.flags |= CLONE_VM | CLONE_VFORK;
  long result = SYS_clone3;
  // The child's stack goes on below what this function may have there (the red zone), so that nothing of the
  // parent's frames is written to.
  __asm__ volatile(
      "syscall\n"
      "test %%rax, %%rax\n"
      "jnz 1f\n"
      "xor %%ebp, %%ebp\n"
      "sub $128, %%rsp\n"
      "and $-16, %%rsp\n"
      "mov %[data], %%rdi\n"
      "call *%[body]\n"
      "ud2\n"
      "1:\n"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof arguments), [body] "r"(body), [data] "r"(data)
      : "rcx", "r11", "memory");
  return result;
}

#else

bool can_vfork() { return false; }

long vfork_child(clone_args, void (*)(void*), void*) { return -ENOSYS; }

#endif

}  // namespace luabox
