#include "engine/cgroup_host.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/mount_lines.hpp"

namespace luabox {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

struct CgroupMount {
  int version = 0;
  std::string root, point;
  std::vector<std::string> options;
};

/// Of "rw,relatime [optional ...] - cgroup SOURCE rw,devices".
bool parse_mount(const MountLine& line, CgroupMount& mount) {
  const size_t dash = line.rest.find(" - cgroup");
  if (dash == std::string::npos) return false;
  const auto after = split(std::string_view(line.rest).substr(dash + 3), ' ');
  if (after.size() < 3 || (after[0] != "cgroup" && after[0] != "cgroup2")) return false;
  mount = {after[0] == "cgroup" ? 1 : 2, line.root, line.point, split(after[2], ',')};
  return true;
}

struct Membership {
  std::vector<std::string> controllers;  // empty: v2
  std::string path;
};

/// "4:cpu,cpuacct:/path", "0::/path"
std::vector<Membership> parse_memberships(std::string_view self) {
  std::vector<Membership> list;
  for (const auto& line : split(self, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    list.push_back(
        {split(std::string_view(line).substr(first + 1, second - first - 1), ','), line.substr(second + 1)});
  }
  return list;
}

/// The mounted part of `path`, a cgroup's path in its hierarchy: the components below the mount's root. None
/// where the cgroup is outside what is mounted, as in a container whose cgroup namespace differs from the
/// mount's.
std::vector<std::string> below(const std::string& root, const std::string& path) {
  const auto top = split(root, '/');
  auto parts = split(path, '/');
  if (parts.size() < top.size() || !std::equal(top.begin(), top.end(), parts.begin()) ||
      std::find(parts.begin(), parts.end(), "..") != parts.end())
    return {};
  parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(top.size()));
  return parts;
}

struct Base {
  std::string directory;
  bool writable;
};

Base base_of(const std::string& point, const std::vector<std::string>& own, const CgroupHost::Probe& probe) {
  std::string directory = point;
  if (probe.writable(directory)) return {directory, true};
  for (const auto& component : own) {
    directory += "/" + component;
    if (probe.writable(directory)) return {directory, true};
  }
  return {directory, false};  // making something there fails, and tells why
}

bool may_write(const std::string& directory) {
  return ::faccessat(AT_FDCWD, directory.c_str(), W_OK, AT_EACCESS) == 0 &&
         ::faccessat(AT_FDCWD, (directory + "/cgroup.procs").c_str(), W_OK, AT_EACCESS) == 0;
}

}  // namespace

std::string_view v2_controller(std::string_view controller) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> other_names = {
      {{"blkio", "io"},
       {"cpuacct", ""},
       {"freezer", ""},
       {"perf_event", ""},
       {"cgroup", ""},
       {"devices", ""}}};
  for (const auto& [v1, v2] : other_names)
    if (controller == v1) return v2;
  return controller;
}

CgroupHost CgroupHost::parse(std::string_view mountinfo, std::string_view self, const Probe& probe) {
  const auto memberships = parse_memberships(self);
  std::vector<CgroupHierarchy> found;
  for (const auto& line : mount_lines(mountinfo)) {
    CgroupMount mount;
    if (!parse_mount(line, mount)) continue;
    for (const auto& [controllers, path] : memberships) {
      const bool same = mount.version == 2 ? controllers.empty()
                                           : !controllers.empty() && controllers[0].rfind("name=", 0) != 0 &&
                                                 std::find(mount.options.begin(), mount.options.end(),
                                                           controllers[0]) != mount.options.end();
      // A hierarchy may be mounted many times, as containers do; the first is the host's own.
      const bool known =
          std::any_of(found.begin(), found.end(), [&, &names = controllers](const auto& other) {
            return other.version == mount.version && (mount.version == 2 || other.controllers == names);
          });
      if (!same || known) continue;
      const Base base = base_of(mount.point, below(mount.root, path), probe);
      found.push_back({mount.version, mount.point, base.directory,
                       mount.version == 2 ? split(probe.v2_controllers(base.directory), ' ') : controllers,
                       base.writable});
    }
  }
  return CgroupHost(std::move(found));
}

std::shared_ptr<const CgroupHost> CgroupHost::local() {
  static std::shared_ptr<const CgroupHost> known;
  static ino_t known_in = 0;
  static uid_t known_as = 0;
  struct stat mounts = {};
  if (::stat("/proc/self/ns/mnt", &mounts) < 0) throw Error("stat", "/proc/self/ns/mnt");
  if (known && known_in == mounts.st_ino && known_as == ::geteuid()) return known;

  const auto controllers = [](const std::string& directory) {
    std::string text = read_file(directory + "/cgroup.controllers");
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
  };
  known = std::make_shared<const CgroupHost>(
      parse(read_file("/proc/self/mountinfo"), read_file("/proc/self/cgroup"), {may_write, controllers}));
  known_in = mounts.st_ino;
  known_as = ::geteuid();
  return known;
}

const CgroupHierarchy* CgroupHost::unified() const {
  for (const auto& hierarchy : hierarchies_)
    if (hierarchy.version == 2) return &hierarchy;
  return nullptr;
}

const CgroupHierarchy* CgroupHost::find(std::string_view controller) const {
  const auto has = [](const CgroupHierarchy& hierarchy, std::string_view name) {
    return std::find(hierarchy.controllers.begin(), hierarchy.controllers.end(), name) !=
           hierarchy.controllers.end();
  };
  for (const auto& hierarchy : hierarchies_)
    if (hierarchy.version == 1 &&
        (has(hierarchy, controller) || (controller == "io" && has(hierarchy, "blkio"))))
      return &hierarchy;
  const CgroupHierarchy* v2 = unified();
  const std::string_view name = v2_controller(controller);
  return v2 && (name.empty() || has(*v2, name)) ? v2 : nullptr;
}

std::string CgroupHost::why_missing(std::string_view controller) const {
  if (hierarchies_.empty()) return "no cgroup file system is mounted here";
  const CgroupHierarchy* v2 = unified();
  const std::string name(v2_controller(controller));
  if (!v2 && controller == "cgroup") return "no cgroup hierarchy of version 2 is mounted here";
  if (!v2) return "no cgroup hierarchy with the controller '" + std::string(controller) + "' is mounted here";
  if (controller == "net_cls" || controller == "net_prio")
    return "cgroup v2 has no controller '" + name + "', and no v1 hierarchy with it is mounted here";
  std::string why = "the cgroup " + v2->base + " has no controller '" + name + "'";
  if (v2->base == v2->mount) return why + ", nor has a v1 hierarchy that is mounted here";
  return why + "; whoever owns the one above must delegate it: echo +" + name + " > " +
         v2->base.substr(0, v2->base.rfind('/')) + "/cgroup.subtree_control, or systemd's Delegate=" + name;
}

std::string cgroup_entry_hint(const std::string& directory) {
  std::string own = "the cgroup that it is in";
  for (const auto& [controllers, path] : parse_memberships(read_file("/proc/self/cgroup")))
    if (controllers.empty()) own = path;
  return "the kernel lets no process from " + own + " into " + directory +
         ": the cgroup above both must be this user's own; start luabox from one that is, as by systemd-run "
         "--user "
         "--scope -p Delegate=yes luabox ..., or run it as root";
}

}  // namespace luabox
