// A static program tells its unwind tables to libgcc when it starts, which then sorts all of them at the
// first throw: 3 ms, as long as a container takes, and LuaJIT throws when it merely gives a trace up. These
// take the place of the two functions that tell (-Wl,--wrap): the unwinder finds the tables by
// PT_GNU_EH_FRAME instead, which the linker has sorted (-Wl,--eh-frame-hdr). See unwind-dw2-fde-dip.c and
// crtstuff.c of GCC.

extern "C" {
void ignore_tables(const void* tables, void* object) asm("__wrap___register_frame_info");
void* forget_tables(const void* tables) asm("__wrap___deregister_frame_info");

void ignore_tables(const void*, void*) {}
void* forget_tables(const void*) { return nullptr; }
}
