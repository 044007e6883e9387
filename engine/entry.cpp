// The program's ELF entry point, before the C library: enters the protected view of the binary
// (engine/self.hpp) with bare system calls.
//
// Starting a C library costs several times what the exec does (hundreds of CPUID instructions, each a trap in
// a virtual machine), and a process that enters itself again would pay it twice. This is a shortcut only:
// where anything here fails the C library starts, and main's enter_protected() does the whole of it, or
// refuses. Nothing here may call a function: no relocation has been applied.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "engine/bare_call.hpp"

namespace {

constexpr long kReadOnly = 1;  // ST_RDONLY

using luabox::bare::address;
using luabox::bare::call;

/// Whether `text` begins with "/dev/fd/" or "/proc/self/fd/": a descriptor that is to stay open, which takes
/// main's longer way.
[[gnu::always_inline]] inline bool names_descriptor(const char* text) {
  const char device[] = {'/', 'd', 'e', 'v', '/', 'f', 'd', '/'};
  const char process[] = {'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'f', 'd', '/'};
  unsigned same = 0;
  while (same < sizeof device && text[same] == device[same]) ++same;
  if (same == sizeof device) return true;
  same = 0;
  while (same < sizeof process && text[same] == process[same]) ++same;
  return same == sizeof process;
}

}  // namespace

/// `stack` is what the kernel hands a new program: argc, argv, 0, environment, 0 (System V ABI, AMD64
/// supplement, 3.4.1).
extern "C" [[gnu::used, gnu::optimize("no-stack-protector")]] void luabox_enter_early(long* stack) {
  const char self[] = {'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'e', 'x', 'e', 0};
  const char empty[] = {0};
  char** const arguments = reinterpret_cast<char**>(stack + 1);
  for (long i = 0; i < stack[0]; ++i)
    if (names_descriptor(arguments[i])) return;
  if (call(SYS_close_range, 3, ~0U, 0) < 0) return;
  const long opened = call(SYS_open, address(self), O_PATH | O_CLOEXEC);
  if (opened < 0) return;
  struct statfs mount;
  mount.f_flags = 0;  // no initializer: it could become a call of memset
  const bool known = call(SYS_fstatfs, opened, address(&mount)) == 0;
  call(SYS_close, opened);
  if (!known || (mount.f_flags & kReadOnly) != 0) return;

  const long tree = call(SYS_open_tree, AT_FDCWD, address(self), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return;
  struct mount_attr attributes;
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  attributes.attr_clr = attributes.propagation = attributes.userns_fd = 0;
  if (call(SYS_mount_setattr, tree, address(empty), AT_EMPTY_PATH, address(&attributes), sizeof attributes) ==
      0) {
    call(SYS_execveat, tree, address(empty), address(arguments), address(arguments + stack[0] + 1),
         AT_EMPTY_PATH);
  }
  call(SYS_close, tree);
}

// rdx is the C library's (a function for atexit), and the stack must be as the kernel left it.
__asm__(
    ".globl luabox_entry\n"
    ".type luabox_entry, @function\n"
    "luabox_entry:\n"
    "  mov %rsp, %rdi\n"
    "  mov %rsp, %rbx\n"
    "  mov %rdx, %r12\n"
    "  and $-16, %rsp\n"
    "  call luabox_enter_early\n"
    "  mov %r12, %rdx\n"
    "  mov %rbx, %rsp\n"
    "  xor %ebx, %ebx\n"
    "  jmp _start\n");

#endif
