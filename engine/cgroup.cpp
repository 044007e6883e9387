#include "engine/cgroup.hpp"

#include <dirent.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <sstream>
#include <thread>

#include "engine/device_filter.hpp"
#include "engine/error.hpp"

namespace luabox {
namespace {

using std::chrono::milliseconds;

// ---- waiting

/// Waits a little longer each time, until a deadline: exits, freezes and removals are asynchronous in the
/// kernel.
class Patience {
 public:
  explicit Patience(milliseconds limit) : deadline_(std::chrono::steady_clock::now() + limit) {}
  /// False, at once, when the time is up.
  bool wait() {
    if (std::chrono::steady_clock::now() >= deadline_) return false;
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(pause_ * 2, std::chrono::microseconds(10000));
    return true;
  }

 private:
  std::chrono::steady_clock::time_point deadline_;
  std::chrono::microseconds pause_{50};
};

constexpr milliseconds kStopTimeout{10000};
constexpr milliseconds kExitTimeout{500};  // for processes that are exiting
constexpr milliseconds kDestructorTimeout{50};

// ---- control files

/// The text of a file that this kernel, or this cgroup, may not have.
std::optional<std::string> optional_file(const std::string& path) {
  try {
    return read_file(path);
  } catch (const Error& error) {
    if (error.code() == ENOENT || error.code() == EOPNOTSUPP || error.code() == ENODEV) return std::nullopt;
    throw;
  }
}

/// Writes where there is such a file; false where there is none.
bool try_write(const std::string& path, std::string_view text) {
  // Asked first: on v1 most are not there, and the first exception of a static program costs milliseconds.
  if (::access(path.c_str(), F_OK) < 0 && errno == ENOENT) return false;
  try {
    write_file(path, text);
    return true;
  } catch (const Error& error) {
    if (error.code() == ENOENT || error.code() == EOPNOTSUPP) return false;
    throw;
  }
}

std::optional<uint64_t> number_in(const std::optional<std::string>& text) {
  uint64_t number = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc())
    return std::nullopt;
  return number;
}

/// "key 123" in a file of such lines.
std::optional<uint64_t> field(const std::optional<std::string>& text, const std::string& key) {
  if (!text) return std::nullopt;
  std::istringstream lines(*text);
  for (std::string name, rest; lines >> name && std::getline(lines, rest);)
    if (name == key) return number_in(rest.substr(std::min<size_t>(1, rest.size())));
  return std::nullopt;
}

std::optional<double> scaled(std::optional<uint64_t> number, double unit) {
  if (!number) return std::nullopt;
  return static_cast<double>(*number) * unit;
}

constexpr uint64_t kNoLimit =
    (uint64_t{1} << 63U) - (uint64_t{1} << 20U);  // v1's "no limit" depends on the page size

std::optional<uint64_t> limit_in(const std::optional<std::string>& text) {
  const auto number = number_in(text);
  return number && *number < kNoLimit ? number : std::nullopt;
}

// ---- trees of cgroups

std::vector<std::string> sub_directories(const Fd& directory) {
  Fd again = Fd::open_at(directory.get(), ".", O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(again.get()), ::closedir);
  if (!listing) throw Error("fdopendir");
  again.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

/// Calls enter(directory) for a cgroup and all below it, and leave(parent, name) for those below it, deepest
/// first. A cgroup may nest deeper than a path or the descriptor table is long, and may change meanwhile: two
/// descriptors walk, and what is gone is passed over.
template <class Enter, class Leave>
void walk(const std::string& path, const Enter& enter, const Leave& leave) {
  struct Level {
    std::string name;
    std::vector<std::string> below;
  };
  Fd here(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!here && errno == ENOENT) return;
  if (!here) throw Error("open", path);
  enter(here);
  std::vector<Level> levels;
  levels.push_back({"", sub_directories(here)});
  for (;;) {
    if (!levels.back().below.empty()) {
      const std::string name = std::move(levels.back().below.back());
      levels.back().below.pop_back();
      Fd next(::openat(here.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!next && errno == ENOENT) continue;
      if (!next) throw Error("open", name, errno, "below " + path);
      here = std::move(next);
      enter(here);
      levels.push_back({name, sub_directories(here)});
      continue;
    }
    const std::string name = std::move(levels.back().name);
    levels.pop_back();
    if (levels.empty()) return;
    here = Fd::open_at(here.get(), "..", O_RDONLY | O_DIRECTORY);
    leave(here, name);
  }
}

constexpr auto kIgnoreLeaving = [](const Fd&, const std::string&) {};

void read_processes(const Fd& directory, std::set<pid_t>& pids) {
  const Fd file(::openat(directory.get(), "cgroup.procs", O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return;
  if (!file) throw Error("open", "cgroup.procs");
  std::string text;
  try {
    text = read_all(file.get(), "cgroup.procs");
  } catch (const Error& error) {
    // A threaded v2 cgroup's processes are listed by the domain above it; a removed one has none.
    if (error.code() == EOPNOTSUPP || error.code() == ENODEV) return;
    throw;
  }
  std::istringstream lines(text);
  for (pid_t pid = 0; lines >> pid;) pids.insert(pid);
}

std::set<pid_t> processes_below(const std::vector<std::string>& paths) {
  std::set<pid_t> pids;
  for (const auto& path : paths)
    walk(
        path, [&](const Fd& directory) { read_processes(directory, pids); }, kIgnoreLeaving);
  return pids;
}

// ---- killing

/// Sends SIGKILL to every process, and never to one that got the number of a process that left: a pidfd is
/// opened first, and the number must still be in the cgroup after that.
void signal_all(const std::vector<std::string>& paths) {
  constexpr size_t at_once = 256;  // well below the usual limit of descriptors
  const auto found = processes_below(paths);
  const std::vector<pid_t> pids(found.begin(), found.end());
  for (size_t start = 0; start < pids.size(); start += at_once) {
    std::vector<std::pair<pid_t, Fd>> opened;
    for (size_t i = start; i < std::min(pids.size(), start + at_once); ++i)
      if (Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pids[i], 0))); pidfd)
        opened.emplace_back(pids[i], std::move(pidfd));
    const auto still = processes_below(paths);
    for (const auto& [pid, pidfd] : opened)
      if (still.count(pid) != 0)
        ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);  // it may be gone: fine
  }
}

void thaw_v1(const std::vector<std::string>& paths) {
  const auto thaw_one = [](const Fd& directory) {
    const Fd state(::openat(directory.get(), "freezer.state", O_WRONLY | O_CLOEXEC));
    if (state && ::write(state.get(), "THAWED", 6) < 0 && errno != ENODEV)
      throw Error("write", "freezer.state");
  };
  for (const auto& path : paths) walk(path, thaw_one, kIgnoreLeaving);
}

/// Kills all that is in the cgroups at `paths`, which are spent after it: nothing may be born in them any
/// more.
void kill_all(const std::vector<std::string>& paths) {
  if (processes_below(paths).count(::getpid()) != 0)
    throw Error("kill cgroup", paths.front(), EDEADLK, "the calling process is in it");
  bool at_once = true;
  for (const auto& path : paths) {
    if (try_write(path + "/cgroup.kill", "1")) continue;
    at_once = false;
    // Whichever of these there is keeps processes from forking while the others are being killed.
    try_write(path + "/pids.max", "0");
    if (!try_write(path + "/freezer.state", "FROZEN")) try_write(path + "/cgroup.freeze", "1");
  }
  for (Patience patience(kStopTimeout);;) {
    if (!at_once) {
      signal_all(paths);
      thaw_v1(paths);  // v1 holds back SIGKILL from what is frozen
    }
    const auto left = processes_below(paths);
    if (left.empty()) return;
    if (!patience.wait())
      throw Error("kill cgroup", paths.front(), ETIMEDOUT,
                  std::to_string(left.size()) + " processes are left");
  }
}

// ---- removing

void remove_sub_directories(const std::string& path) {
  walk(
      path, [](const Fd&) {},
      [&](const Fd& parent, const std::string& name) {
        if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT && errno != EBUSY)
          throw Error("rmdir", path + "/.../" + name);
      });
}

void remove_tree(const std::string& path, milliseconds limit) {
  for (Patience patience(limit);;) {
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return;
    if (errno != EBUSY && errno != ENOTEMPTY) throw Error("rmdir", path);
    remove_sub_directories(path);
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return;
    if (patience.wait()) continue;
    const size_t left = processes_below({path}).size();
    throw Error("remove cgroup", path, EBUSY,
                std::to_string(left) + (left == 1 ? " process is" : " processes are") + " still in it");
  }
}

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

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  for (std::string one; words >> one;)
    if (one == word) return true;
  return false;
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

std::string write_hint(const CgroupStep& step, int code) {
  if (code == ENOENT && (step.file.starts_with("memory.memsw.") || step.file.starts_with("memory.swap.")))
    return "this kernel does not count swap; boot it with swapaccount=1";
  if (code == ENOENT && step.file.starts_with("blkio.weight"))
    return "this kernel has no such file; the bfq scheduler's is blkio.bfq.weight";
  if (code == ENOENT) return "this kernel has no such file";
  if (code == EBUSY && step.file.starts_with("memory.")) return "more is in use than that";
  if (code == EINVAL && step.file.starts_with("cpu.cfs_"))
    return "'" + step.value + "' is refused: more than the cgroup above has?";
  if (code == EINVAL) return "the kernel refuses '" + step.value + "'";
  if (code == ENODEV) return "there is no such device";
  return "";
}

void check_in_force(const std::string& path, const CgroupStep& step) {
  const auto wanted = number_in(step.value);
  if (!wanted || step.value.starts_with('-')) return;
  const std::string held = read_file(path);
  const auto number = number_in(held);
  if (number && *number <= *wanted) return;
  throw Error("write", path, EOPNOTSUPP,
              "the kernel took " + step.value + " but holds " + held.substr(0, held.find('\n')));
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
    throw Error("write", path, error.code(), write_hint(step, error.code()));
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
  if (made.host_->is_pure_v2()) made.make(made.host_->hierarchies()[0]);
  for (const auto* hierarchy : above)
    if (made.parts_.empty() || made.parts_[0].hierarchy != hierarchy) made.make(*hierarchy);
  for (const auto& controller : options.controllers) made.need(controller);
  return made;
}

Cgroup::~Cgroup() {
  if (!owned_) return;
  own_all();
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

const Cgroup::Part* Cgroup::part(const std::string& controller) const {
  const auto* hierarchy = host_->find(controller);
  for (const auto& part : parts_)
    if (part.hierarchy == hierarchy) return &part;
  return nullptr;
}

std::string Cgroup::path_in(const CgroupHierarchy& hierarchy) const {
  return hierarchy.base + "/" + parent_ + "/" + name_;
}

/// A name is one cgroup's in all hierarchies.
void Cgroup::claim() const {
  for (const auto& hierarchy : host_->hierarchies())
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
  for (const auto& hierarchy : host_->hierarchies()) {
    const bool known = std::any_of(parts_.begin(), parts_.end(),
                                   [&](const Part& part) { return part.hierarchy == &hierarchy; });
    if (!known && is_there(path_in(hierarchy))) parts_.push_back({&hierarchy, path_in(hierarchy)});
  }
}

void Cgroup::make(const CgroupHierarchy& hierarchy) {
  const std::string path = path_in(hierarchy);
  if (parts_.empty()) {
    claim();
  } else if (made_from_below(hierarchy)) {
    parts_.push_back({&hierarchy, path});
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
  parts_.push_back({&hierarchy, path});
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
  const CgroupHierarchy& hierarchy = hierarchy_of(*host_, controller);
  if (!part(controller)) make(hierarchy);
  if (hierarchy.version == 2) delegate(hierarchy, controller);
}

void Cgroup::write(const CgroupValues& values) {
  whole();
  const auto steps = plan_cgroup(*host_, values, reader());
  for (const auto& step : steps) need(step.controller);
  apply(steps);
}

void Cgroup::apply(const std::vector<CgroupStep>& steps) {
  std::vector<CgroupStep> left(steps);
  for (size_t i = 0; i < left.size(); ++i) {
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
  return with_paths(*host_, parent_ + "/" + name_, plan_cgroup(*host_, values, reader()));
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
  return read_cgroup_key(*host_, key, reader());
}

void Cgroup::add(pid_t pid) {
  whole();
  if (pid <= 0) throw Error::invalid("cgroup add", std::to_string(pid), "expected a process id");
  if (killed_) throw Error("cgroup add", parent_ + "/" + name_, EPERM, "it was killed; make another");
  for (const auto& part : parts_) write_file(part.path + "/cgroup.procs", std::to_string(pid));
}

CgroupEntry Cgroup::join_descriptors() const {
  whole();
  if (killed_) throw Error("enter cgroup", parent_ + "/" + name_, EPERM, "it was killed; make another");
  CgroupEntry entry;
  for (const auto& part : parts_) {
    if (part.hierarchy->version == 2)
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
  for (const auto& part : parts_) list.push_back(*part.hierarchy);
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
  const bool v2 = part.hierarchy->version == 2;
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
  const bool v2 = part.hierarchy->version == 2;
  write_file(part.path + (v2 ? "/cgroup.freeze" : "/freezer.state"), v2 ? "0" : "THAWED");
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

// ---- events and figures

std::optional<uint64_t> Cgroup::oom_kills() const {
  const Part* memory = part("memory");
  if (!memory) return std::nullopt;
  return field(file("memory", memory->hierarchy->version == 1 ? "memory.oom_control" : "memory.events"),
               "oom_kill");
}

Fd Cgroup::oom_eventfd() const {
  const Part* memory = part("memory");
  if (!memory) throw Error("watch memory of cgroup", parent_ + "/" + name_, ENOENT, "it has no memory part");
  if (memory->hierarchy->version == 2) {
    Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch) throw Error("inotify_init1");
    const std::string events = memory->path + "/memory.events";
    if (::inotify_add_watch(watch.get(), events.c_str(), IN_MODIFY) < 0)
      throw Error("inotify_add_watch", events);
    return watch;
  }
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) throw Error("eventfd");
  const Fd control = Fd::open(memory->path + "/memory.oom_control", O_RDONLY);
  write_file(memory->path + "/cgroup.event_control",
             std::to_string(event.get()) + " " + std::to_string(control.get()));
  return event;
}

namespace {

/// One file of the part that a controller has, or nothing.
using Files =
    std::function<std::optional<std::string>(const std::string& controller, const std::string& name)>;

CgroupCpuStats cpu_stats(const Files& file, int version) {
  CgroupCpuStats cpu;
  if (version == 2) {
    const auto stat = file("cgroup", "cpu.stat");
    cpu.usage = scaled(field(stat, "usage_usec"), 1e-6);
    cpu.user = scaled(field(stat, "user_usec"), 1e-6);
    cpu.system = scaled(field(stat, "system_usec"), 1e-6);
    cpu.throttled = scaled(field(stat, "throttled_usec"), 1e-6);
  } else {
    cpu.usage = scaled(number_in(file("cpuacct", "cpuacct.usage")), 1e-9);
    cpu.user = scaled(number_in(file("cpuacct", "cpuacct.usage_user")), 1e-9);
    cpu.system = scaled(number_in(file("cpuacct", "cpuacct.usage_sys")), 1e-9);
    cpu.throttled = scaled(field(file("cpu", "cpu.stat"), "throttled_time"), 1e-9);
  }
  return cpu;
}

CgroupMemoryStats memory_stats(const Files& file, int version) {
  const auto stat = file("memory", "memory.stat");
  if (version == 2)
    return {number_in(file("memory", "memory.current")), number_in(file("memory", "memory.peak")),
            limit_in(file("memory", "memory.max")), field(stat, "file"), field(stat, "anon")};
  return {number_in(file("memory", "memory.usage_in_bytes")),
          number_in(file("memory", "memory.max_usage_in_bytes")),
          limit_in(file("memory", "memory.limit_in_bytes")), field(stat, "total_cache"),
          field(stat, "total_rss")};
}

/// v2: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..."
CgroupIoStats io_stats_v2(const std::string& stat) {
  CgroupIoStats io;
  std::istringstream words(stat);
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    const uint64_t number = number_in(word.substr(equals + 1)).value_or(0);
    word.resize(equals);
    if (word == "rbytes") io.read_bytes += number;
    if (word == "wbytes") io.write_bytes += number;
    if (word == "rios") io.reads += number;
    if (word == "wios") io.writes += number;
  }
  return io;
}

/// v1: "8:0 Read 1", one file for bytes and one for operations.
void add_io_v1(const std::string& stat, uint64_t& reads, uint64_t& writes) {
  std::istringstream lines(stat);
  uint64_t number = 0;
  for (std::string device, what; lines >> device && device != "Total" && lines >> what >> number;) {
    if (what == "Read") reads += number;
    if (what == "Write") writes += number;
  }
}

CgroupIoStats io_stats(const Files& file, int version) {
  if (version == 2) return io_stats_v2(file("io", "io.stat").value_or(""));
  CgroupIoStats io;
  add_io_v1(file("io", "blkio.throttle.io_service_bytes_recursive").value_or(""), io.read_bytes,
            io.write_bytes);
  add_io_v1(file("io", "blkio.throttle.io_serviced_recursive").value_or(""), io.reads, io.writes);
  return io;
}

/// "some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS"
std::optional<double> stalled(const std::optional<std::string>& pressure) {
  const size_t total = pressure ? pressure->find("total=") : std::string::npos;
  if (total == std::string::npos) return std::nullopt;
  return scaled(number_in(pressure->substr(total + 6)), 1e-6);
}

}  // namespace

CgroupStats Cgroup::stats() const {
  whole();
  const Files files = reader();
  const auto version = [&](const char* controller) {
    const Part* found = part(controller);
    return found ? found->hierarchy->version : 0;
  };
  CgroupStats stats;
  if (version("cpuacct") == 1 || version("cpu") == 1)
    stats.cpu = cpu_stats(files, 1);
  else if (version("cgroup") == 2)
    stats.cpu = cpu_stats(files, 2);
  if (const int memory = version("memory"); memory == 1 || (memory == 2 && files("memory", "memory.current")))
    stats.memory = memory_stats(files, memory);
  if (const auto current = files("pids", "pids.current"))
    stats.pids = CgroupPidsStats{number_in(current), limit_in(files("pids", "pids.max"))};
  if (const int io = version("io"); io == 1 || (io == 2 && files("io", "io.stat")))
    stats.io = io_stats(files, io);
  if (version("cgroup") == 2)
    stats.pressure =
        CgroupPressure{stalled(files("cgroup", "cpu.pressure")), stalled(files("cgroup", "memory.pressure")),
                       stalled(files("cgroup", "io.pressure"))};
  return stats;
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

/// Opens a directory of a cgroup file system without following a symbolic link anywhere; nothing when it is
/// gone.
Fd open_cgroup_directory(const std::string& path) {
  open_how how = {};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  Fd directory(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (!directory && errno == ENOENT) return directory;
  if (!directory)
    throw Error("remove cgroup", path, errno, errno == ELOOP ? "a cgroup's path has no symbolic links" : "");
  struct statfs about = {};
  if (::fstatfs(directory.get(), &about) < 0) throw Error("fstatfs", path);
  if (about.f_type != CGROUP_SUPER_MAGIC && about.f_type != CGROUP2_SUPER_MAGIC)
    throw Error::invalid("remove cgroup", path, "is not on a cgroup file system");
  return directory;
}

}  // namespace

Cgroup Cgroup::open(const std::vector<std::string>& paths, const std::string& parent,
                    std::shared_ptr<const CgroupHost> host) {
  const std::string first = paths.empty() ? "" : paths.front();
  Cgroup found(first.substr(first.rfind('/') + 1), parent, std::move(host));
  found.keep();
  for (const auto& path : paths) {
    const CgroupHierarchy* its = nullptr;
    for (const auto& hierarchy : found.host_->hierarchies())
      if (path.starts_with(hierarchy.mount + "/") && (!its || its->mount.size() < hierarchy.mount.size()))
        its = &hierarchy;
    if (!its) throw Error::invalid("open cgroup", path, "it is in no hierarchy of this host");
    if (!open_cgroup_directory(path)) throw Error("open cgroup", path, ENOENT, "it is gone");
    found.parts_.push_back({its, path});
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
  if (!open_cgroup_directory(above.substr(0, above.size() - end.size())) || !open_cgroup_directory(path))
    return;
  // The common end: its processes are gone and it has no cgroups in it.
  if (::rmdir(path.c_str()) == 0) return;
  kill_all({path});
  remove_tree(path, kExitTimeout);
}

}  // namespace luabox
