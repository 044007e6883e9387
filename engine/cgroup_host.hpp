// Where this machine's cgroup hierarchies are.
//
// A host has cgroup v1 hierarchies (one for each controller, or some together), one v2 hierarchy, or both.
// All that luabox makes is below one directory of each hierarchy, its base: the highest cgroup, on the way
// from the top of the mount down to the one that we are in, that we may write to. For root that is the top,
// so that a container's limits don't depend on the shell that started it; for others it is what was delegated
// to them. See cgroups(7), Documentation/admin-guide/cgroup-v2.rst ("Delegation").
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace luabox {

struct CgroupHierarchy {
  int version = 0;                       ///< 1 or 2
  std::string mount;                     ///< "/sys/fs/cgroup/memory"
  std::string base;                      ///< the directory in it below which ours are made
  std::vector<std::string> controllers;  ///< v1: as mounted together; v2: those that the base has been given
  bool writable = true;                  ///< whether we may make cgroups in the base
};

class CgroupHost {
 public:
  explicit CgroupHost(std::vector<CgroupHierarchy> hierarchies) : hierarchies_(std::move(hierarchies)) {}

  /// This process's own, read once, and again only in another mount namespace or as another user.
  static std::shared_ptr<const CgroupHost> local();

  /// What is asked about a directory while the bases are looked for.
  struct Probe {
    std::function<bool(const std::string& directory)> writable;
    std::function<std::string(const std::string& directory)> v2_controllers;
  };
  /// From the texts of /proc/self/mountinfo and /proc/self/cgroup. Named v1 hierarchies have no controller
  /// and are left out.
  static CgroupHost parse(std::string_view mountinfo, std::string_view self, const Probe& probe);

  const std::vector<CgroupHierarchy>& hierarchies() const { return hierarchies_; }

  /// The hierarchy that has `controller`, v1 first; nullptr where none has it. v1 and v2 names are one
  /// ("blkio" is "io"). Every v2 cgroup can do what "freezer", "cpuacct" and "cgroup" (the core files) stand
  /// for.
  const CgroupHierarchy* find(std::string_view controller) const;
  /// The v2 hierarchy, or nullptr.
  const CgroupHierarchy* unified() const;
  /// Nothing but v2.
  bool is_pure_v2() const { return hierarchies_.size() == 1 && hierarchies_[0].version == 2; }

  /// Why find() has no answer, and who can change that.
  std::string why_missing(std::string_view controller) const;

 private:
  std::vector<CgroupHierarchy> hierarchies_;
};

/// "blkio" is "io" on v2, "cpuacct" a part of "cpu"; "" for what every v2 cgroup can do without a controller.
std::string_view v2_controller(std::string_view controller);

/// Why a process of a user's can't be put into the v2 cgroup `directory`, though that is the user's own, and
/// what to do. The kernel asks for the cgroup above both, the one that it leaves and the one that it enters,
/// to be the user's too (cgroup-v2.rst, "Delegation Containment"): a login session's and a unit's have none.
std::string cgroup_entry_hint(const std::string& directory);

}  // namespace luabox
