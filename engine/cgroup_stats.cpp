// What a cgroup has used, and what happened in it: engine/cgroup.hpp.
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include <functional>
#include <sstream>

#include "engine/cgroup.hpp"
#include "engine/cgroup_files.hpp"
#include "engine/error.hpp"

namespace luabox {

using namespace cgroups;

std::optional<uint64_t> Cgroup::oom_kills() const {
  const Part* memory = part("memory");
  if (!memory) return std::nullopt;
  return field(file("memory", memory->version == 1 ? "memory.oom_control" : "memory.events"), "oom_kill");
}

Fd Cgroup::oom_eventfd() const {
  const Part* memory = part("memory");
  if (!memory) throw Error("watch memory of cgroup", parent_ + "/" + name_, ENOENT, "it has no memory part");
  if (memory->version == 2) {
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

std::optional<double> scaled(std::optional<uint64_t> number, double unit) {
  if (!number) return std::nullopt;
  return static_cast<double>(*number) * unit;
}

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
    return found ? found->version : 0;
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

}  // namespace luabox
