#include "bindings/policy_kinds.hpp"

namespace luabox::policy {
namespace {

struct KindOf {
  std::string_view name;  // a whole name, or the beginning of one that ends in '.' or ':'
  const char* kind;       // nullptr: it only reads, or only waits
};

/// The first that fits. What is not here is of the kind of its module, so a new primitive is governed
/// unasked.
constexpr KindOf kKinds[] = {{"clone", "clone"},
                             {"unshare", "clone"},
                             {"setns", "setns"},
                             {"namespace", "setns"},
                             {"exec", "program"},
                             {"init", "program"},
                             {"network_ahead", nullptr},  // nobody is in it before a clone
                             {"take_network", nullptr},
                             {"seal_streams", nullptr},  // protects the host
                             {"open_up_pipes", nullptr},
                             {"refuse_foreign_sockets", nullptr},
                             {"relay", nullptr},
                             {"relay:", nullptr},
                             {"exit", nullptr},
                             {"helper:wait", nullptr},
                             {"running process:wait", nullptr},
                             {"process:kill", "process"},
                             {"process:", nullptr},
                             {"parent:", nullptr},
                             {"descriptor:", nullptr},
                             {"lock:", nullptr},
                             {"port:", nullptr},
                             {"signals:", nullptr},
                             {"root:mknod", "device"},
                             {"root:kind", nullptr},
                             {"root:list", nullptr},
                             {"root:read", nullptr},
                             {"root:", "file"},
                             {"mount.root", nullptr},
                             {"mount.is_procfs", nullptr},
                             {"mount.verify_procfs", nullptr},
                             {"mount.tree_size", nullptr},
                             {"mount.remove_tree", "file"},
                             {"mount:root", nullptr},
                             {"mount.", "mount"},
                             {"mount:", "mount"},
                             {"security.set_capabilities", "capability"},
                             {"security.apply", "capability"},
                             {"security.limit_bounding", "capability"},
                             {"security.seccomp", "seccomp"},
                             {"security.filter", "seccomp"},
                             {"security.profile_for", "seccomp"},
                             {"filter:", "seccomp"},
                             {"security.", "user"},
                             {"cgroup.host", nullptr},
                             {"cgroup.keys", nullptr},
                             {"cgroup.plan", nullptr},
                             {"cgroup.planned_paths", nullptr},
                             {"cgroup:read", nullptr},
                             {"cgroup:plan", nullptr},
                             {"cgroup:exists", nullptr},
                             {"cgroup:frozen", nullptr},
                             {"cgroup:processes", nullptr},
                             {"cgroup:oom_event", nullptr},
                             {"cgroup:oom_kills", nullptr},
                             {"cgroup:stats", nullptr},
                             {"cgroup.", "cgroup"},
                             {"cgroup:", "cgroup"},
                             {"net.links", nullptr},
                             {"net.find", nullptr},
                             {"net.addresses", nullptr},
                             {"net.routes", nullptr},
                             {"net.local_device", nullptr},
                             {"net.forwarding", nullptr},
                             {"net.rate", nullptr},
                             {"net.firewalls", nullptr},
                             {"net.hold_port", nullptr},
                             {"net.user_of_port", nullptr},
                             {"net.firewall", "nftables"},
                             {"net.remove_firewall", "nftables"},
                             {"net.", "interface"},
                             {"terminal.forward_signals", nullptr},
                             {"terminal.supervise", nullptr},
                             {"monitor.", nullptr},
                             {"file.", "file"},
                             {"user.", "user"},
                             {"terminal.", "terminal"},
                             {"archive.", "archive"}};

}  // namespace

const char* kind_of(std::string_view primitive) {
  for (const auto& each : kKinds) {
    const bool beginning = each.name.back() == '.' || each.name.back() == ':';
    if (beginning ? primitive.compare(0, each.name.size(), each.name) == 0 : primitive == each.name)
      return each.kind;
  }
  return "process";
}

}  // namespace luabox::policy
