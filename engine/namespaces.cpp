#include "engine/namespaces.hpp"

#include <linux/sched.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

// After <unistd.h>: the ioctls of ioctl_ns(2).
#include <linux/nsfs.h>

#include "engine/error.hpp"
#include "engine/network_ahead.hpp"

namespace luabox {

const std::vector<std::pair<std::string_view, uint64_t>>& Namespaces::all() {
  static const std::vector<std::pair<std::string_view, uint64_t>> types = {
      {"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},  {"uts", CLONE_NEWUTS},       {"ipc", CLONE_NEWIPC},
      {"pid", CLONE_NEWPID},   {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};
  return types;
}

Namespaces Namespaces::parse(std::string_view words) {
  uint64_t flags = 0;
  while (!words.empty()) {
    const auto start = words.find_first_not_of(" \t,");
    if (start == std::string_view::npos) break;
    words.remove_prefix(start);
    const auto word = words.substr(0, words.find_first_of(" \t,"));
    words.remove_prefix(word.size());
    uint64_t flag = word == "mount" ? CLONE_NEWNS : 0;
    for (const auto& [name, value] : all())
      if (name == word) flag = value;
    if (flag == 0)
      throw Error::invalid("namespaces", std::string(word),
                           "expected some of mount uts ipc pid net user cgroup time");
    flags |= flag;
  }
  return Namespaces(flags);
}

std::string Namespaces::words() const {
  std::string text;
  for (const auto& [name, flag] : all())
    if (has(flag)) text += (text.empty() ? "" : " ") + std::string(name);
  return text;
}

void unshare(Namespaces namespaces) {
  settle_network();
  if (::unshare(static_cast<int>(namespaces.flags())) < 0) throw Error("unshare", namespaces.words());
}

Fd open_namespace(int pid, std::string_view word) {
  const std::string name = word == "mount" ? "mnt" : std::string(word);
  return open_namespace((pid == 0 ? "/proc/self" : "/proc/" + std::to_string(pid)) + "/ns/" + name);
}

Fd open_namespace(const std::string& path) {
  Fd fd = Fd::open(path, O_RDONLY | O_NONBLOCK);
  if (::ioctl(fd.get(), NS_GET_NSTYPE) < 0) throw Error::invalid("open", path, "this is no namespace");
  return fd;
}

void enter_namespace(int fd, Namespaces type) {
  settle_network();
  if (::setns(fd, static_cast<int>(type.flags())) == 0) return;
  const int code = errno, kind = ::ioctl(fd, NS_GET_NSTYPE);
  const bool other =
      code == EINVAL && kind > 0 && type.flags() != 0 && !type.has(static_cast<uint64_t>(kind));
  throw Error(
      "setns", type.words(), code,
      other ? "it is a namespace of another kind, " + Namespaces(static_cast<uint64_t>(kind)).words() : "");
}

void enter_namespaces_of(int pid, Namespaces namespaces) {
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) throw Error("pidfd_open", std::to_string(pid));
  enter_namespace(process.get(), namespaces);
}

void set_time_offsets(TimeOffsets offsets) {
  const auto line = [](const char* clock, double seconds) {
    const double whole = std::floor(seconds);
    char text[96];
    std::snprintf(text, sizeof text, "%s %.0f %.0f\n", clock, whole, (seconds - whole) * 1e9);
    return std::string(text);
  };
  write_file("/proc/self/timens_offsets",
             line("monotonic", offsets.monotonic) + line("boottime", offsets.boottime));
}

void set_hostname(const std::string& name) {
  if (::sethostname(name.data(), name.size()) < 0) throw Error("sethostname", name);
}

void set_domainname(const std::string& name) {
  if (::setdomainname(name.data(), name.size()) < 0) throw Error("setdomainname", name);
}

}  // namespace luabox
