#include "engine/cgroup.hpp"

#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "engine/cgroup_files.hpp"
#include "engine/cgroup_tree.hpp"
#include "engine/device_filter.hpp"
#include "engine/error.hpp"

namespace luabox {
namespace {

using namespace cgroups;

// ---- names

std::vector<std::string> components(const std::string& path) {
  std::vector<std::string> parts;
  std::istringstream stream(path);
  for (std::string part; std::getline(stream, part, '/');) parts.push_back(part);
  return parts;
}

void check_component(const std::string& component, const std::string& whole) {
  const bool plain = !component.empty() && component.size() <= 200 && component != "." && component != ".." &&
                     std::none_of(component.begin(), component.end(),
                                  [](unsigned char c) { return c < ' ' || c == '/' || c == 127; });
  if (!plain)
    throw Error::invalid("cgroup name", "'" + whole + "'",
                         "expected a plain name, without '/', '..' or control characters");
}

void check_names(const std::string& name, const std::string& parent) {
  check_component(name, name);
  if (parent.empty() || parent.back() == '/') check_component("", parent);
  for (const auto& component : components(parent)) check_component(component, parent);
}

/// Where a cgroup lies: "build/a" in "luabox" is "a" in "luabox/build".
struct Place {
  std::string name, parent;
};

Place place_of(const std::string& name, const std::string& parent) {
  const size_t slash = name.rfind('/');
  Place place = slash == std::string::npos
                    ? Place{name, parent}
                    : Place{name.substr(slash + 1), parent + "/" + name.substr(0, slash)};
  check_names(place.name, place.parent);
  return place;
}

bool is_there(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

/// The hierarchies in which the cgroup above has a directory. None for the folder of luabox's own, which
/// limits nothing.
std::vector<const CgroupHierarchy*> inherited(const CgroupHost& host, const std::string& parent) {
  std::vector<const CgroupHierarchy*> list;
  if (parent.find('/') == std::string::npos) return list;
  for (const auto& hierarchy : host.hierarchies())
    if (is_there(hierarchy.base + "/" + parent)) list.push_back(&hierarchy);
  if (list.empty())
    throw Error("cgroup", parent, ENOENT,
                "there is no such cgroup; make it, and write its limits, before those below it");
  return list;
}

const CgroupHierarchy& hierarchy_of(const CgroupHost& host, const std::string& controller) {
  if (const auto* found = host.find(controller)) return *found;
  throw Error("cgroup controller", controller, EOPNOTSUPP, host.why_missing(controller));
}

std::vector<CgroupWrite> with_paths(const CgroupHost& host, const std::string& below,
                                    std::vector<CgroupStep> steps) {
  std::vector<CgroupWrite> writes;
  for (auto& step : steps) {
    std::string path = hierarchy_of(host, step.controller).base + "/" + below + "/" + step.file;
    writes.push_back(
        {std::move(step.controller), std::move(step.file), std::move(step.value), std::move(path)});
  }
  return writes;
}

// ---- making

/// A new v1 cpuset has no CPUs and no memory, and nothing may enter it; v2 inherits.
void inherit_cpuset(const std::string& path) {
  const std::string above = path.substr(0, path.rfind('/'));
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"})
    if (read_file(path + file).size() <= 1) write_file(path + file, read_file(above + file));
}

void enable_below(const std::string& directory, const std::string& controller) {
  const std::string file = directory + "/cgroup.subtree_control";
  if (has_word(read_file(file), controller)) return;
  try {
    write_file(file, "+" + controller);
  } catch (const Error& error) {
    std::string hint;
    if (error.code() == ENOENT)
      hint = "the cgroup " + directory + " has no controller '" + controller + "'; delegate it: echo +" +
             controller + " > " + directory.substr(0, directory.rfind('/')) + "/cgroup.subtree_control";
    if (error.code() == EBUSY)
      hint = "processes are in " + directory +
             " itself, and v2 then gives no controllers to cgroups below it; move them to one of those";
    if (error.code() == EACCES || error.code() == EPERM)
      hint = "the cgroup " + directory + " was not delegated to this user; systemd does so with Delegate=yes";
    throw Error("enable cgroup controller '" + controller + "'", file, error.code(), hint);
  }
}

std::string mkdir_hint(const CgroupHierarchy& hierarchy, int code) {
  if (code == ENOENT) return "";
  if (code != EACCES && code != EPERM) return "no cgroup can be made below " + hierarchy.base;
  return hierarchy.version == 2
             ? "no cgroup is delegated to this user; systemd does so: systemd-run --user --scope -p "
               "Delegate=yes"
             : "no cgroup is delegated to this user; on version 1 only root can do so, by mkdir and chown";
}

/// Why the kernel did not take it; `path` is the file.
std::string write_hint(const std::string& path, const CgroupStep& step, int code) {
  if (code == ENOENT && (step.file.starts_with("memory.memsw.") || step.file.starts_with("memory.swap.")))
    return "this kernel does not count swap; boot it with swapaccount=1";
  if (code == ENOENT && step.file.starts_with("blkio.weight"))
    return "this kernel has no such file; the bfq scheduler's is blkio.bfq.weight";
  if (code == ENOENT) return "this kernel has no such file";
  if (code == EBUSY && step.file.starts_with("memory.")) return "more is in use than that";
  struct stat about = {};
  if ((code == EINVAL || code == EACCES) && ::stat(path.c_str(), &about) == 0 && (about.st_mode & 0222U) == 0)
    return "this kernel's file can only be read";
  if (code == EOPNOTSUPP && step.file == "memory.kmem.limit_in_bytes")
    return "this kernel has no limit for its own memory alone; it counts in memory.limit_in_bytes";
  if (code == EOPNOTSUPP && step.file.find(".bfq.") != std::string::npos)
    return "that disk's scheduler is not bfq";
  if (code == EOPNOTSUPP && step.file == "io.weight")
    return "that disk has no weights: io.cost.qos of the topmost cgroup turns them on";
  if (code == EOPNOTSUPP) return "this kernel can't do that";
  if (code == EINVAL && step.file.starts_with("cpu.cfs_"))
    return "'" + step.value + "' is refused: more than the cgroup above has?";
  if (code == EINVAL) return "the kernel refuses '" + step.value + "'";
  if (code == ERANGE && step.file.starts_with("cpuset."))
    return "this host does not have all of '" + step.value + "'";
  if (code == ENODEV) return "there is no such device";
  return "";
}

void check_in_force(const std::string& path, const CgroupStep& step) {
  const auto wanted = number_in(step.value);
  if (!wanted || step.value.starts_with('-')) return;
  const std::string held = read_file(path);
  const auto number = number_in(held);
  if (number && *number <= *wanted) return;
  if (step.file == "memory.kmem.limit_in_bytes")  // since 5.16 it is taken and forgotten, or refused
    throw Error("write", path, EOPNOTSUPP, write_hint(path, step, EOPNOTSUPP));
  throw Error("write", path, EOPNOTSUPP,
              "the kernel took " + step.value + " but holds " + held.substr(0, held.find('\n')));
}

bool freezes(const CgroupStep& step) {
  return (step.file == "freezer.state" && step.value == "FROZEN") ||
         (step.file == "cgroup.freeze" && step.value == "1");
}

void attach_devices(const std::string& directory, const std::string& text) {
  std::istringstream lines(text);
  std::vector<std::string> rules;
  for (std::string rule; std::getline(lines, rule);) rules.push_back(rule);
  attach_device_filter(directory, rules);
}

void write_step(const std::string& directory, const CgroupStep& step) {
  if (step.file == kDeviceProgram) return attach_devices(directory, step.value);
  const std::string path = directory + "/" + step.file;
  try {
    write_file(path, step.value);
  } catch (const Error& error) {
    throw Error("write", path, error.code(), write_hint(path, step, error.code()));
  }
  if (step.read_back) check_in_force(path, step);
}

}  // namespace

// ---- Cgroup

Cgroup Cgroup::create(const std::string& name, const CgroupOptions& options,
                      std::shared_ptr<const CgroupHost> host) {
  Place place = place_of(name, options.parent);
  for (const auto& controller : options.controllers) hierarchy_of(*host, controller);
  const auto above = inherited(*host, place.parent);
  Cgroup made(std::move(place.name), std::move(place.parent), std::move(host));
  if (made.host().is_pure_v2()) made.make(made.host().hierarchies()[0]);
  for (const auto* hierarchy : above)
    if (!made.part_in(*hierarchy)) made.make(*hierarchy);
  for (const auto& controller : options.controllers) made.need(controller);
  made.complete_ = true;
  return made;
}

Cgroup::~Cgroup() {
  if (!owned_) return;
  if (complete_) own_all();
  for (const auto& part : parts_) {
    try {
      remove_tree(part.path, kDestructorTimeout);
    } catch (const Error&) {  // in use: whoever recorded the path removes it later
    }
  }
}

void Cgroup::whole() const {
  if (removed_) throw Error("cgroup", parent_ + "/" + name_, ENOENT, "it was removed");
}

const CgroupHost& Cgroup::host() const {
  if (!host_) host_ = CgroupHost::local();
  return *host_;
}

const CgroupHierarchy& Cgroup::hierarchy_with(const std::string& path) const {
  const CgroupHierarchy* its = nullptr;
  for (const auto& hierarchy : host().hierarchies())
    if (path.starts_with(hierarchy.mount + "/") && (!its || its->mount.size() < hierarchy.mount.size()))
      its = &hierarchy;
  if (!its) throw Error::invalid("open cgroup", path, "it is in no hierarchy of this host");
  return *its;
}

const Cgroup::Part* Cgroup::part_in(const CgroupHierarchy& hierarchy) const {
  for (const auto& part : parts_)
    if (&hierarchy_with(part.path) == &hierarchy) return &part;
  return nullptr;
}

const Cgroup::Part* Cgroup::part(const std::string& controller) const {
  const auto* hierarchy = host().find(controller);
  return hierarchy ? part_in(*hierarchy) : nullptr;
}

std::string Cgroup::path_in(const CgroupHierarchy& hierarchy) const {
  return hierarchy.base + "/" + parent_ + "/" + name_;
}

/// A name is one cgroup's in all hierarchies.
void Cgroup::claim() const {
  for (const auto& hierarchy : host().hierarchies())
    if (is_there(path_in(hierarchy)))
      throw Error("mkdir", path_in(hierarchy), EEXIST, "cgroup " + parent_ + "/" + name_ + " exists already");
}

/// Whether the directory was made for the cgroups below. Throws when some of them have no part in that
/// hierarchy.
bool Cgroup::made_from_below(const CgroupHierarchy& hierarchy) const {
  const std::string path = path_in(hierarchy), inside = path + "/";
  bool any = false;
  for (const auto& part : parts_) {
    struct stat about = {};
    if (::stat(part.path.c_str(), &about) < 0 || about.st_nlink <= 2)
      continue;  // none below: the common case
    for (const auto& name : sub_directories(Fd::open(part.path, O_RDONLY | O_DIRECTORY))) {
      any = true;
      if (!is_there(inside + name))
        throw Error(
            "mkdir", path, EBUSY,
            "the cgroup " + name + " below it has no part in that hierarchy; write it before that is made");
    }
  }
  return any && is_there(path);
}

/// Takes over what the cgroups below it made of it.
void Cgroup::own_all() {
  if (parts_.empty()) return;
  for (const auto& hierarchy : host().hierarchies())
    if (!part_in(hierarchy) && is_there(path_in(hierarchy)))
      parts_.push_back({hierarchy.version, path_in(hierarchy)});
}

void Cgroup::make(const CgroupHierarchy& hierarchy) {
  const std::string path = path_in(hierarchy);
  if (parts_.empty()) {
    claim();
  } else if (made_from_below(hierarchy)) {
    parts_.push_back({hierarchy.version, path});
    return;
  }
  const auto& controllers = hierarchy.controllers;
  const bool cpuset = hierarchy.version == 1 &&
                      std::find(controllers.begin(), controllers.end(), "cpuset") != controllers.end();
  int made = ::mkdir(path.c_str(), 0755);
  if (made < 0 && errno == ENOENT) {
    std::string above = hierarchy.base;
    for (const auto& component : components(parent_)) {
      above += "/" + component;
      if (::mkdir(above.c_str(), 0755) < 0 && errno != EEXIST)
        throw Error("mkdir", above, errno, mkdir_hint(hierarchy, errno));
    }
    made = ::mkdir(path.c_str(), 0755);
  }
  if (made < 0 && errno == EEXIST)
    throw Error("mkdir", path, EEXIST, "cgroup " + parent_ + "/" + name_ + " exists already");
  if (made < 0) throw Error("mkdir", path, errno, mkdir_hint(hierarchy, errno));
  parts_.push_back({hierarchy.version, path});
  if (!cpuset) return;
  std::string above = hierarchy.base;
  for (const auto& component : components(parent_)) inherit_cpuset(above += "/" + component);
  inherit_cpuset(path);
}

void Cgroup::delegate(const CgroupHierarchy& hierarchy, const std::string& controller) {
  const std::string name(v2_controller(controller));
  if (name.empty() || delegated_.count(name) != 0) return;
  const std::string path = part(controller)->path;
  if (!has_word(read_file(path + "/cgroup.controllers"), name)) {
    std::string directory = hierarchy.base;
    enable_below(directory, name);
    for (const auto& component : components(parent_)) enable_below(directory += "/" + component, name);
  }
  std::istringstream words(read_file(path + "/cgroup.controllers"));
  for (std::string word; words >> word;) delegated_.insert(word);
}

void Cgroup::need(const std::string& controller) {
  const CgroupHierarchy& hierarchy = hierarchy_of(host(), controller);
  if (!part(controller)) make(hierarchy);
  if (hierarchy.version == 2) delegate(hierarchy, controller);
}

void Cgroup::write(const CgroupValues& values) {
  whole();
  const auto steps = plan_cgroup(host(), values, reader());
  for (const auto& step : steps) need(step.controller);
  apply(steps);
}

void Cgroup::apply(const std::vector<CgroupStep>& steps) {
  std::vector<CgroupStep> left(steps);
  for (size_t i = 0; i < left.size(); ++i) {
    if (freezes(left[i])) {
      freeze();
      continue;
    }
    const auto sum =
        std::find_if(left.begin() + static_cast<std::ptrdiff_t>(i), left.end(),
                     [](const CgroupStep& step) { return step.file == "memory.memsw.limit_in_bytes"; });
    try {
      write_step(part(left[i].controller)->path, left[i]);
    } catch (const Error& error) {
      // Memory can't be raised above the sum of memory and swap that is still in force: the sum goes first
      // then.
      if (error.code() != EINVAL || left[i].file != "memory.limit_in_bytes" || sum == left.end()) throw;
      write_step(part(sum->controller)->path, *sum);
      write_step(part(left[i].controller)->path, left[i]);
    }
  }
}

std::vector<CgroupWrite> Cgroup::plan(const CgroupValues& values) const {
  return with_paths(host(), parent_ + "/" + name_, plan_cgroup(host(), values, reader()));
}

std::optional<std::string> Cgroup::file(const std::string& controller, const std::string& name) const {
  const Part* found = part(controller);
  return found ? optional_file(found->path + "/" + name) : std::nullopt;
}

CgroupReader Cgroup::reader() const {
  return [this](const std::string& controller, const std::string& name) { return file(controller, name); };
}

std::string Cgroup::read(const std::string& key) const {
  whole();
  return read_cgroup_key(host(), key, [this](const std::string& controller, const std::string& name) {
    auto text = file(controller, name);
    if (const Part* found = part(controller); found && !text)
      throw Error("read", found->path + "/" + name, ENOENT, "this kernel has no such file");
    return text;
  });
}

void Cgroup::add(pid_t pid) {
  whole();
  if (pid <= 0) throw Error::invalid("cgroup add", std::to_string(pid), "expected a process id");
  if (killed_) throw Error("cgroup add", parent_ + "/" + name_, EPERM, "it was killed; make another");
  for (const auto& part : parts_) {
    try {
      write_file(part.path + "/cgroup.procs", std::to_string(pid));
    } catch (const Error& error) {
      if (part.version != 2 || (error.code() != EACCES && error.code() != EPERM)) throw;
      throw Error(error.op(), error.object(), error.code(), cgroup_entry_hint(part.path));
    }
  }
}

CgroupEntry Cgroup::join_descriptors() const {
  whole();
  if (killed_) throw Error("enter cgroup", parent_ + "/" + name_, EPERM, "it was killed; make another");
  CgroupEntry entry;
  for (const auto& part : parts_) {
    if (part.version == 2)
      entry.v2_directory = Fd::open(part.path, O_RDONLY | O_DIRECTORY);
    else
      entry.tasks.push_back(Fd::open(part.path + "/tasks", O_WRONLY));
  }
  return entry;
}

std::vector<std::string> Cgroup::paths() const {
  std::vector<std::string> list;
  for (const auto& part : parts_) list.push_back(part.path);
  return list;
}

std::vector<CgroupHierarchy> Cgroup::hierarchies() const {
  std::vector<CgroupHierarchy> list;
  for (const auto& part : parts_) list.push_back(hierarchy_with(part.path));
  return list;
}

bool Cgroup::exists() const {
  return !parts_.empty() && std::all_of(parts_.begin(), parts_.end(), [](const Part& part) {
    return ::access(part.path.c_str(), F_OK) == 0;
  });
}

std::vector<pid_t> Cgroup::processes() const {
  const auto found = processes_below(paths());
  return {found.begin(), found.end()};
}

const Cgroup::Part& Cgroup::freezer() const {
  whole();
  if (const Part* found = part("freezer")) return *found;
  throw Error("freeze cgroup", parent_ + "/" + name_, EOPNOTSUPP,
              "it was made without the controller 'freezer'; name it when creating the cgroup");
}

void Cgroup::freeze() {
  const Part& part = freezer();
  const bool v2 = part.version == 2;
  for (Patience patience(kStopTimeout);;) {
    // The v1 freezer may stay FREEZING for ever; asking again ends that (seen with 6.1 and 6.12).
    write_file(part.path + (v2 ? "/cgroup.freeze" : "/freezer.state"), v2 ? "1" : "FROZEN");
    if (v2 ? field(read_file(part.path + "/cgroup.events"), "frozen") == 1U
           : has_word(read_file(part.path + "/freezer.state"), "FROZEN"))
      return;
    if (patience.wait()) continue;
    thaw();
    throw Error("freeze cgroup", part.path, ETIMEDOUT);
  }
}

void Cgroup::thaw() {
  const Part& part = freezer();
  const bool v2 = part.version == 2;
  write_file(part.path + (v2 ? "/cgroup.freeze" : "/freezer.state"), v2 ? "0" : "THAWED");
}

bool Cgroup::frozen() const {
  whole();
  return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) {
    if (part.version == 2)
      return read_file(part.path + "/cgroup.freeze").starts_with('1') ||
             field(read_file(part.path + "/cgroup.events"), "frozen") == 1U;
    // Of version 1 the freezer's hierarchy alone has the file.
    const auto state = optional_file(part.path + "/freezer.state");
    return state && !has_word(*state, "THAWED");
  });
}

void Cgroup::kill() {
  whole();
  if (parts_.empty()) return;
  killed_ = true;
  kill_all(paths());
}

void Cgroup::remove() {
  own_all();
  while (!parts_.empty()) {
    remove_tree(parts_.back().path, kExitTimeout);
    parts_.pop_back();
  }
  removed_ = true;
}

// ---- plans, and what others left behind

std::vector<CgroupWrite> plan_cgroup_writes(const CgroupHost& host, const std::string& name,
                                            const CgroupOptions& options, const CgroupValues& values) {
  const Place place = place_of(name, options.parent);
  return with_paths(host, place.parent + "/" + place.name, plan_cgroup(host, values));
}

std::vector<std::string> planned_cgroup_paths(const CgroupHost& host, const std::string& name,
                                              const CgroupOptions& options, const CgroupValues& values) {
  const Place place = place_of(name, options.parent);
  std::vector<std::string> paths;
  const auto add = [&](const CgroupHierarchy& hierarchy) {
    const std::string path = hierarchy.base + "/" + place.parent + "/" + place.name;
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  };
  if (host.is_pure_v2()) add(host.hierarchies()[0]);
  for (const auto* hierarchy : inherited(host, place.parent)) add(*hierarchy);
  for (const auto& controller : options.controllers) add(hierarchy_of(host, controller));
  for (const auto& step : plan_cgroup(host, values)) add(hierarchy_of(host, step.controller));
  return paths;
}

namespace {

/// A directory of a cgroup file system, opened without following a symbolic link anywhere; no descriptor when
/// it is gone.
struct CgroupDirectory {
  Fd descriptor;
  int version = 0;
};

CgroupDirectory open_cgroup_directory(const std::string& path) {
  open_how how = {};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  CgroupDirectory directory{
      Fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)))};
  if (!directory.descriptor && errno == ENOENT) return directory;
  if (!directory.descriptor)
    throw Error("open cgroup", path, errno, errno == ELOOP ? "a cgroup's path has no symbolic links" : "");
  struct statfs about = {};
  if (::fstatfs(directory.descriptor.get(), &about) < 0) throw Error("fstatfs", path);
  if (about.f_type != CGROUP_SUPER_MAGIC && about.f_type != CGROUP2_SUPER_MAGIC)
    throw Error::invalid("open cgroup", path, "is not on a cgroup file system");
  directory.version = about.f_type == CGROUP_SUPER_MAGIC ? 1 : 2;
  return directory;
}

}  // namespace

Cgroup Cgroup::open(const std::vector<std::string>& paths, const std::string& parent) {
  const std::string first = paths.empty() ? "" : paths.front();
  Cgroup found(first.substr(first.rfind('/') + 1), parent, nullptr);
  found.keep();
  for (const auto& path : paths) {
    const auto directory = open_cgroup_directory(path);
    if (!directory.descriptor) throw Error("open cgroup", path, ENOENT, "it is gone");
    found.parts_.push_back({directory.version, path});
  }
  return found;
}

void remove_cgroup_path(const std::string& path, const std::string& parent) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? "" : path.substr(slash + 1);
  check_names(name, parent);
  const std::string above = path.substr(0, slash), end = "/" + parent;
  if (!path.starts_with('/') || !above.ends_with(end) || above.size() == end.size() ||
      ("/" + path + "/").find("/../") != std::string::npos)
    throw Error::invalid("remove cgroup", path, "expected HIERARCHY/" + parent + "/NAME");
  // The hierarchy itself must be one too: a hierarchy that is mounted at ".../luabox" is not a parent of
  // ours.
  if (!open_cgroup_directory(above.substr(0, above.size() - end.size())).descriptor ||
      !open_cgroup_directory(path).descriptor)
    return;
  // The common end: its processes are gone and it has no cgroups in it.
  if (::rmdir(path.c_str()) == 0) return;
  kill_all({path});
  remove_tree(path, kExitTimeout);
}

}  // namespace luabox
