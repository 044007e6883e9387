// Which devices a cgroup v2 may use: an eBPF program in the place of v1's devices controller.
//
// The kernel asks the program for every open and mknod of a device node by a process in the cgroup; what no
// rule allows is EPERM. Programs of the cgroups above are asked as well, so a container can only be narrowed.
// See Documentation/admin-guide/cgroup-v2.rst, "Device controller", and bpf(2).
#pragma once

#include <string>
#include <vector>

namespace luabox {

/// Allows the cgroup in `directory` (of the v2 hierarchy) what the rules say and nothing else, whatever was
/// said before. A rule is as v1's devices.allow takes it, already checked: "c 1:3 rwm", "b *:* m". The
/// program goes with the cgroup. Throws Error (EPERM without CAP_BPF and CAP_SYS_ADMIN, EINVAL from a kernel
/// without CONFIG_CGROUP_BPF).
void attach_device_filter(const std::string& directory, const std::vector<std::string>& rules);

}  // namespace luabox
