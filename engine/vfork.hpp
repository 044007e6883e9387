// A child that shares its parent's memory, while the parent stands still: vfork(2) with the flags of
// clone3(2).
//
// No page table is copied, no page is copied because one of the two wrote to it, and the child's exec takes
// nothing down: for a process of a few megabytes that is half of what a container takes. The price is the
// child's care: what it writes is the parent's, and what it leaves half done is left so.
//
// CLONE_VFORK also keeps such a child from the OOM killer (mm/oom_kill.c, in_vfork), which would end all that
// share its memory. A cgroup that is too small for the child is ENOMEM to its calls, but a page fault that
// can't be served ends it at whatever instruction it is: a caller gives such a child room.
#pragma once

#include <linux/sched.h>

namespace luabox {

/// Whether this processor is known here.
bool can_vfork();

/// clone3(2) with CLONE_VM and CLONE_VFORK. The child calls `body(data)` on the same stack, further down, and
/// must not return from it. Returns the child's pid once it has executed a program or ended, or -errno.
long vfork_child(clone_args arguments, void (*body)(void*), void* data);

}  // namespace luabox
