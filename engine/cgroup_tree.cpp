#include "engine/cgroup_tree.hpp"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <sstream>

#include "engine/cgroup_files.hpp"
#include "engine/error.hpp"

namespace luabox::cgroups {

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

namespace {

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

}  // namespace

std::set<pid_t> processes_below(const std::vector<std::string>& paths) {
  std::set<pid_t> pids;
  for (const auto& path : paths)
    walk(
        path, [&](const Fd& directory) { read_processes(directory, pids); }, kIgnoreLeaving);
  return pids;
}

// ---- killing

namespace {

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

}  // namespace

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

namespace {

void remove_sub_directories(const std::string& path) {
  walk(
      path, [](const Fd&) {},
      [&](const Fd& parent, const std::string& name) {
        if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT && errno != EBUSY)
          throw Error("rmdir", path + "/.../" + name);
      });
}

}  // namespace

void remove_tree(const std::string& path, std::chrono::milliseconds limit) {
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

}  // namespace luabox::cgroups
