// A control group as an owned value: one directory below luabox's own in each hierarchy that is needed.
//
// A Cgroup makes a hierarchy's directory when a key of that hierarchy is first written or its controller is
// named (a memory cgroup costs ten times the others); on a host with nothing but v2 its one directory is made
// at once. It owns what it made: remove() removes it and says what stands in the way, and so does the
// destructor, silently, unless keep() was called. Neither kills; kill() does.
//
// A name such as "build/a" is a cgroup below another: "build" must be there, and what limits it limits all
// that is below it together. So "build/a" gets a directory in every hierarchy in which "build" has one, and
// where it needs one more, "build" gets that too.
//
// A cgroup that was killed is spent: some kernels kill at once whatever is born into it later, so entering it
// is refused. See cgroups(7), Documentation/admin-guide/cgroup-v1/, cgroup-v2.rst.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/cgroup_host.hpp"
#include "engine/cgroup_keys.hpp"
#include "engine/fd.hpp"

namespace luabox {

struct CgroupOptions {
  /// The directory of each base in which it is made, made itself where it is missing; "luabox/build" is the
  /// cgroup "build".
  std::string parent = "luabox";
  std::vector<std::string> controllers;  ///< hierarchies to make in advance: those of these controllers
};

/// How a process enters when it is born, in a fiftieth of the time that writing its pid to cgroup.procs takes
/// on v1 (which waits for an RCU grace period).
struct CgroupEntry {
  std::vector<Fd> tasks;  ///< v1: the child, while it has one thread, writes "0" to each
  Fd v2_directory;        ///< clone3's CLONE_INTO_CGROUP; no descriptor where there is no v2 part
};

/// Seconds of CPU time; bytes. What the kernel does not count is nothing.
struct CgroupCpuStats {
  std::optional<double> usage, user, system, throttled;
};
struct CgroupMemoryStats {
  std::optional<uint64_t> usage, peak, limit, cache, anon;
};
struct CgroupPidsStats {
  std::optional<uint64_t> current, limit;
};
/// Sums over all devices.
struct CgroupIoStats {
  uint64_t read_bytes = 0, write_bytes = 0, reads = 0, writes = 0;
};
/// Seconds in which at least one task waited for it.
struct CgroupPressure {
  std::optional<double> cpu, memory, io;
};
struct CgroupStats {
  std::optional<CgroupCpuStats> cpu;
  std::optional<CgroupMemoryStats> memory;
  std::optional<CgroupPidsStats> pids;
  std::optional<CgroupIoStats> io;
  std::optional<CgroupPressure> pressure;
};

/// One line of a plan: what is written to which path.
struct CgroupWrite {
  std::string controller, file, value, path;
};

class Cgroup {
 public:
  /// Throws EEXIST when a directory of that name is there already, in any hierarchy, and ENOENT when the
  /// cgroup above is not; whatever was made until then is removed.
  static Cgroup create(const std::string& name, const CgroupOptions& options = {},
                       std::shared_ptr<const CgroupHost> host = CgroupHost::local());

  /// One that is there already, by the directories that paths() gave; it stays when this value goes. Throws
  /// ENOENT when one of them is gone, EINVAL for what is no cgroup directory.
  static Cgroup open(const std::vector<std::string>& paths, const std::string& parent = "luabox");

  Cgroup(Cgroup&&) = default;
  Cgroup& operator=(Cgroup&&) = delete;
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;
  ~Cgroup();

  /// Checks all of `values`, then makes what directories they need, then writes them in order. A limit in
  /// bytes is read back and must be in force, and what is frozen stands still. A failure in the kernel leaves
  /// what was written before it. Throws EBUSY for a hierarchy in which the cgroups below have no part:
  /// nothing would hold for them.
  void write(const CgroupValues& values);
  /// What write(values) would do.
  std::vector<CgroupWrite> plan(const CgroupValues& values) const;
  /// In the scale of `key`'s name; see read_cgroup_key.
  std::string read(const std::string& key) const;

  /// Moves a process, with all its threads, into every directory made so far. On v1 this takes milliseconds:
  /// see CgroupEntry.
  void add(pid_t pid);
  CgroupEntry join_descriptors() const;

  /// The directories made so far.
  std::vector<std::string> paths() const;
  /// The hierarchies that these lie in.
  std::vector<CgroupHierarchy> hierarchies() const;
  bool exists() const;
  /// Process ids, of sub-cgroups too; 0 stands for one that has no number in this pid namespace.
  std::vector<pid_t> processes() const;

  /// Stops every process until thaw(). Throws ETIMEDOUT, and thaws, when they don't stop within ten seconds.
  void freeze();
  void thaw();
  /// Whether what is born in it stands still: it, or one above it, is frozen or is being frozen. On v1
  /// SIGKILL waits for the thaw, too.
  bool frozen() const;

  /// SIGKILLs every process and waits until none is left; ETIMEDOUT after ten seconds. Processes that fork
  /// meanwhile don't escape.
  void kill();

  /// Removes the directories and the sub-cgroups made in them. Kills nothing: EBUSY when processes are left
  /// after a short wait for those that are exiting. What is gone already is no error.
  void remove();

  /// From now on the directories outlive this value.
  void keep() { owned_ = false; }

  /// Processes that the OOM killer took; nothing where memory is not counted.
  std::optional<uint64_t> oom_kills() const;
  /// Becomes readable when the cgroup ran out of memory (v1: eventfd, v2: inotify on memory.events, which
  /// other events touch as well: ask oom_kills). Throws ENOENT without a memory part.
  Fd oom_eventfd() const;
  CgroupStats stats() const;

 private:
  struct Part {
    int version;  ///< of its hierarchy
    std::string path;
  };
  Cgroup(std::string name, std::string parent, std::shared_ptr<const CgroupHost> host)
      : name_(std::move(name)), parent_(std::move(parent)), host_(std::move(host)) {}

  void need(const std::string& controller);
  void make(const CgroupHierarchy& hierarchy);
  void delegate(const CgroupHierarchy& hierarchy, const std::string& controller);
  void apply(const std::vector<CgroupStep>& steps);
  const CgroupHost& host() const;
  const CgroupHierarchy& hierarchy_with(const std::string& path) const;
  const Part* part_in(const CgroupHierarchy& hierarchy) const;
  const Part* part(const std::string& controller) const;
  std::optional<std::string> file(const std::string& controller, const std::string& name) const;
  CgroupReader reader() const;
  void whole() const;
  const Part& freezer() const;
  std::string path_in(const CgroupHierarchy& hierarchy) const;
  void claim() const;
  bool made_from_below(const CgroupHierarchy& hierarchy) const;
  void own_all();

  std::string name_, parent_;
  mutable std::shared_ptr<const CgroupHost> host_;  ///< read when it is first asked for
  std::vector<Part> parts_;
  std::set<std::string> delegated_;
  bool owned_ = true;
  bool complete_ = false;  ///< what else has its name is of the cgroups below it
  bool killed_ = false;
  bool removed_ = false;
};

/// What writing `values` to the cgroup `name` would do. Nothing is made or written.
std::vector<CgroupWrite> plan_cgroup_writes(const CgroupHost& host, const std::string& name,
                                            const CgroupOptions& options, const CgroupValues& values);
/// The directories that create(name, options) and write(values) make, to be recorded before they are made.
std::vector<std::string> planned_cgroup_paths(const CgroupHost& host, const std::string& name,
                                              const CgroupOptions& options, const CgroupValues& values);

/// Kills what is in one cgroup's directory and removes it: for what a dead luabox left behind. The path must
/// be HIERARCHY/PARENT/NAME on a cgroup file system, without symbolic links; anything else is EINVAL. One
/// that is gone is no error.
void remove_cgroup_path(const std::string& path, const std::string& parent = "luabox");

}  // namespace luabox
