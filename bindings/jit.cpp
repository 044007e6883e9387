// What LuaJIT's compiler knows of the processor: what every one of the architecture has, and no more. It is
// asked when the JIT library is opened, by CPUID instructions that a virtual machine traps; without them that
// belongs to the prepared heap (bindings/heap.hpp), which serves any machine. This takes the place of what
// asks (-Wl,--wrap): lj_arch.h and lib_jit.c of LuaJIT, jit_cpudetect.
#if defined(__x86_64__)

#include <cstdint>

extern "C" {
int ask_nothing(uint32_t function, uint32_t result[4]) asm("__wrap_lj_vm_cpuid");

int ask_nothing(uint32_t, uint32_t[4]) { return 0; }
}

#endif
