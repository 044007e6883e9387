// The C library's start, without asking the processor what it is.
//
// glibc's own start runs some seventy CPUID instructions, to choose among its functions for strings and
// memory. In a virtual machine each is a trap, of seven microseconds where this was measured, and together
// they were a fifth of a container's whole time (docs/design.md, "One file"). Here none is run: the functions
// are those that every processor of the architecture has. Nor are tunables read (GLIBC_TUNABLES, ld.so(8)).
// Otherwise this does for a static program what csu/libc-start.c does, by glibc's own functions and in its
// order. Where glibc is another version than the one that this was written for, or privileges were gained
// (AT_SECURE, getauxval(3)), its own start runs.
#include <features.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#if __GLIBC__ == 2 && __GLIBC_MINOR__ == 36

#include <elf.h>

#include <cstddef>
#include <cstdlib>

namespace {

/// struct cpu_features. What is zero is not there.
struct Processor {
  int kind;
  unsigned identity[4];
  struct {
    unsigned there[4], usable[4];
  } leaves[9];
  unsigned preferred, isa_levels;
  unsigned long xsave_size, xsave_full_size;
  unsigned long data_cache, shared_cache;  // bytes, as is the rest
  unsigned long non_temporal, rep_movsb, rep_movsb_stop, rep_stosb;
};

}  // namespace

// What the parts of glibc have for each other, and what the linker makes: ld(1).
#define OF_PROGRAM [[gnu::visibility("hidden")]] extern
extern "C" {
OF_PROGRAM char** environment asm("__environ");
OF_PROGRAM void* stack_end asm("__libc_stack_end");
OF_PROGRAM const unsigned long* random_bytes asm("_dl_random");
OF_PROGRAM size_t signal_stack asm("_dl_minsigstacksize");
OF_PROGRAM Processor processor asm("_dl_x86_cpu_features");
OF_PROGRAM unsigned long non_temporal asm("__x86_shared_non_temporal_threshold");
OF_PROGRAM unsigned long rep_movsb_stop asm("__x86_rep_movsb_stop_threshold");

OF_PROGRAM void read_auxiliary_vector(Elf64_auxv_t*) asm("_dl_aux_init");
OF_PROGRAM void set_up_thread() asm("__libc_setup_tls");
OF_PROGRAM void initialize_early(bool initial) asm("__libc_early_init");
OF_PROGRAM void initialize_first(int argc, char** argv, char** environment) asm("__libc_init_first");
OF_PROGRAM int at_exit(void (*function)(void*), void* argument, void* object) asm("__cxa_atexit");
OF_PROGRAM int program_main(int argc, char** argv) asm("main");

using Initializer = void (*)(int, char**, char**);
using Finisher = void (*)();
OF_PROGRAM const Initializer before_init[] asm("__preinit_array_start");
OF_PROGRAM const Initializer end_before_init[] asm("__preinit_array_end");
OF_PROGRAM void init() asm("_init");
OF_PROGRAM const Initializer after_init[] asm("__init_array_start");
OF_PROGRAM const Initializer end_after_init[] asm("__init_array_end");
OF_PROGRAM const Finisher before_fini[] asm("__fini_array_start");
OF_PROGRAM const Finisher end_before_fini[] asm("__fini_array_end");
OF_PROGRAM void fini() asm("_fini");

/// A function that is there in more than one form: where its address is wanted, and what chooses it
/// (R_X86_64_IRELATIVE).
struct Indirect {
  const void** place;
  unsigned long kind;
  const void* (*choose)();
};
static_assert(sizeof(Indirect) == sizeof(Elf64_Rela));
OF_PROGRAM const Indirect indirect[] asm("__rela_iplt_start");
OF_PROGRAM const Indirect end_indirect[] asm("__rela_iplt_end");
}
#undef OF_PROGRAM

namespace {

constexpr int kOther = 4;                // arch_kind_other: nothing special is known of it
constexpr unsigned kBaseline = 1;        // GNU_PROPERTY_X86_ISA_1_BASELINE
constexpr unsigned long kRepeat = 2048;  // bytes: glibc's own, as the next is three quarters of the cache
constexpr unsigned long kNonTemporal = 768 << 10;  // that it takes for granted
constexpr size_t kSignalStack = 16 << 10;          // bytes: kernels before 5.14 don't tell
constexpr unsigned long kCanary = ~0xffUL;         // its lowest byte ends a string that runs into it

/// Only what every processor of the architecture has. A library that a script loads (ffi.load) gets a copy.
[[gnu::always_inline]] inline void describe_processor() {
  processor.kind = kOther;
  processor.isa_levels = kBaseline;
  processor.rep_movsb = processor.rep_stosb = kRepeat;
  processor.non_temporal = processor.rep_movsb_stop = non_temporal = rep_movsb_stop = kNonTemporal;
}

void finish(void*) {
  for (const Finisher* each = end_before_fini; each > before_fini;) (*--each)();
  fini();
}

void initialize(int argc, char** argv) {
  for (const Initializer* each = before_init; each < end_before_init; ++each)
    (*each)(argc, argv, environment);
  init();
  for (const Initializer* each = after_init; each < end_after_init; ++each) (*each)(argc, argv, environment);
}

}  // namespace

/// `stack` is what the kernel hands a new program (System V ABI, AMD64 supplement, 3.4.1). Returns where the
/// C library's own start is to run.
extern "C" [[gnu::used, gnu::optimize("no-stack-protector", "no-tree-loop-distribute-patterns")]] void
luabox_start(long* stack) {
  const auto argc = static_cast<int>(stack[0]);
  char** const argv = reinterpret_cast<char**>(stack + 1);
  char** end = argv + argc + 1;
  while (*end != nullptr) ++end;
  auto* const vector = reinterpret_cast<Elf64_auxv_t*>(end + 1);
  for (const Elf64_auxv_t* each = vector; each->a_type != AT_NULL; ++each)
    if (each->a_type == AT_SECURE && each->a_un.a_val != 0) return;

  environment = argv + argc + 1;
  stack_end = stack;
  read_auxiliary_vector(vector);
  describe_processor();
  if (signal_stack == 0) signal_stack = kSignalStack;
  for (const Indirect* each = indirect; each < end_indirect; ++each) *each->place = each->choose();
  set_up_thread();
  __asm__ volatile("mov %0, %%fs:0x28" : : "r"(random_bytes[0] & kCanary));  // of the frames
  __asm__ volatile("mov %0, %%fs:0x30" : : "r"(random_bytes[1]));            // of stored pointers
  initialize_early(true);
  initialize_first(argc, argv, environment);
  at_exit(finish, nullptr, nullptr);
  initialize(argc, argv);
  std::exit(program_main(argc, argv));
}

#else

extern "C" [[gnu::used]] void luabox_start(long*) {}

#endif
#endif
