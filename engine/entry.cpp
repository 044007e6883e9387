// The program's ELF entry point, before the C library: enters the protected view of the binary
// (engine/self.hpp) with bare system calls.
//
// Starting a C library costs as much as the exec does (several times that where it is glibc's own start, see
// engine/start.cpp), and a process that enters itself again would pay it twice. Better still, it need not
// exec at all: nothing has been written yet, so the program's segments can be mapped anew out of the view,
// which then becomes what /proc/self/exe is (PR_SET_MM_MAP, prctl(2)); the kernel does that only where
// nothing of the file that it was is mapped any more. This is a shortcut only: where it is refused the view
// is exec'd, and where that fails the C library starts, and main's enter_protected() does the whole of it, or
// refuses. Nothing here may call a function: no relocation has been applied.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)

#include <elf.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "engine/bare_call.hpp"

/// Where the linker has put the beginning of the program: ld(1).
[[gnu::visibility("hidden")]] extern const Elf64_Ehdr elf_header asm("__ehdr_start");

namespace {

constexpr long kReadOnly = 1;  // ST_RDONLY
constexpr unsigned long kPage = 4096;

using luabox::bare::address;
using luabox::bare::call;

/// Whether "/dev/fd/" or "/proc/self/fd/" is in `text`: a descriptor that is to stay open, which takes main's
/// longer way.
[[gnu::always_inline]] inline bool names_descriptor(const char* text) {
  const char device[] = {'/', 'd', 'e', 'v', '/', 'f', 'd', '/'};
  const char process[] = {'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'f', 'd', '/'};
  for (; *text != '\0'; ++text) {
    unsigned same = 0;
    while (same < sizeof device && text[same] == device[same]) ++same;
    if (same == sizeof device) return true;
    same = 0;
    while (same < sizeof process && text[same] == process[same]) ++same;
    if (same == sizeof process) return true;
  }
  return false;
}

/// Whether the environment has LUABOX_HANDOVER... (engine/handover.hpp): main sees to what stays open then.
[[gnu::always_inline]] inline bool is_handed_over(char** environment) {
  const char wanted[] = {'L', 'U', 'A', 'B', 'O', 'X', '_', 'H', 'A', 'N', 'D', 'O', 'V', 'E', 'R'};
  for (; *environment != nullptr; ++environment) {
    unsigned same = 0;
    while (same < sizeof wanted && (*environment)[same] == wanted[same]) ++same;
    if (same == sizeof wanted) return true;
  }
  return false;
}

[[gnu::always_inline]] inline bool map_over(unsigned long start, unsigned long length, long protection,
                                            long file, unsigned long offset) {
  unsigned long result;
  register long r10 __asm__("r10") = MAP_PRIVATE | MAP_FIXED;
  register long r8 __asm__("r8") = file;
  register unsigned long r9 __asm__("r9") = offset;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(SYS_mmap), "D"(start), "S"(length), "d"(protection), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result == start;
}

/// Maps every segment anew, out of `file`, and notes where they lie. What is there is what was there, even
/// where it ends half-way.
[[gnu::always_inline]] inline bool map_segments(long file, prctl_mm_map& layout) {
  char* const program = reinterpret_cast<char*>(const_cast<Elf64_Ehdr*>(&elf_header));
  const auto* const segments = reinterpret_cast<const Elf64_Phdr*>(program + elf_header.e_phoff);
  for (unsigned i = 0; i < elf_header.e_phnum; ++i) {
    const Elf64_Phdr& segment = segments[i];
    if (segment.p_type != PT_LOAD) continue;
    const unsigned long start = segment.p_vaddr & ~(kPage - 1), end = segment.p_vaddr + segment.p_filesz;
    const long protection = ((segment.p_flags & PF_R) != 0 ? PROT_READ : 0) |
                            ((segment.p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
                            ((segment.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
    if (!map_over(start, end - start, protection, file, segment.p_offset & ~(kPage - 1))) return false;
    if ((segment.p_flags & PF_X) != 0) layout.start_code = segment.p_vaddr, layout.end_code = end;
    if ((segment.p_flags & PF_W) == 0) continue;
    layout.start_data = segment.p_vaddr, layout.end_data = end;
    // The rest of its last page is the beginning of .bss.
    char* rest = program + (end - static_cast<unsigned long>(address(program)));
    unsigned long left = -end & (kPage - 1);
    __asm__ volatile("rep stosb" : "+D"(rest), "+c"(left) : "a"(0) : "memory");
  }
  return true;
}

/// Where the arguments and the environment lie: one text after the other, above the stack.
[[gnu::always_inline]] inline void note_stack(long* stack, prctl_mm_map& layout) {
  char** const arguments = reinterpret_cast<char**>(stack + 1);
  char** const environment = arguments + stack[0] + 1;
  char** last = environment;
  while (*last != nullptr) ++last;
  const bool empty = last == environment;
  const char* end = empty ? arguments[stack[0] - 1] : last[-1];
  while (*end != '\0') ++end;
  layout.start_stack = static_cast<unsigned long>(address(stack));
  layout.arg_start = static_cast<unsigned long>(address(arguments[0]));
  layout.env_end = static_cast<unsigned long>(address(end + 1));
  layout.arg_end = layout.env_start =
      empty ? layout.env_end : static_cast<unsigned long>(address(environment[0]));
}

/// Makes the program that runs one of the view's, whose descriptor is `tree`.
[[gnu::always_inline]] inline bool enter_in_place(long* stack, long tree) {
  const char view[] = {'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'f', 'd', '/', '3', 0};
  if (tree != 3 || stack[0] < 1) return false;
  const long file = call(SYS_open, address(view), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  prctl_mm_map layout;
  note_stack(stack, layout);
  bool entered = map_segments(file, layout);
  layout.start_brk = layout.brk = static_cast<unsigned long>(call(SYS_brk, 0));
  layout.auxv = nullptr;  // as it is
  layout.auxv_size = 0;
  layout.exe_fd = static_cast<unsigned>(file);
  entered = entered && call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, address(&layout), sizeof layout, 0) == 0;
  call(SYS_close, file);
  return entered;
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
  if (is_handed_over(arguments + stack[0] + 1)) return;
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
    if (enter_in_place(stack, tree)) {
      call(SYS_close, tree);
      return;
    }
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
    "  mov %rbx, %rdi\n"
    "  call luabox_start\n"
    "  mov %r12, %rdx\n"
    "  mov %rbx, %rsp\n"
    "  xor %ebx, %ebx\n"
    "  jmp _start\n");

#endif
