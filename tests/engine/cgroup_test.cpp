#include "engine/cgroup.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <iostream>
#include <thread>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;
using namespace std::string_literals;

namespace {

bool can_make() {
  const auto host = CgroupHost::local();
  return is_root() && host->find("memory") && host->find("pids") && host->find("cpu");
}

#define NEEDS_CGROUPS \
  if (!can_make()) SKIP_TEST("needs root and the cgroup controllers memory, pids and cpu")

/// A parent of the test's own in every hierarchy; at the end nothing may be left in it.
class Parent {
 public:
  Parent() : name_("luabox-test-" + std::to_string(::getpid())) {}
  Parent(const Parent&) = delete;
  Parent& operator=(const Parent&) = delete;
  ~Parent() {
    for (const auto& hierarchy : CgroupHost::local()->hierarchies()) {
      const std::string path = hierarchy.base + "/" + name_;
      const bool gone = ::rmdir(path.c_str()) == 0 || errno == ENOENT;
      INFO(path);
      CHECK(gone);
    }
  }
  const std::string& name() const { return name_; }
  CgroupOptions with(std::vector<std::string> controllers) const { return {name_, std::move(controllers)}; }

 private:
  std::string name_;
};

/// Memory shared with the children.
struct Shared {
  std::atomic<long> count{0};
  std::atomic<bool> stop{false};
};
std::shared_ptr<Shared> shared() {
  void* page = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  return {new (page) Shared, [](Shared* one) { ::munmap(one, sizeof *one); }};
}

/// Forks a child that enters by itself before `body` runs; its exit code is what `body` returns.
pid_t inside(const Cgroup& cgroup, const std::function<int()>& body) {
  const CgroupEntry entry = cgroup.join_descriptors();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child > 0) return child;
  try {
    for (const auto& tasks : entry.tasks) write_all(tasks.get(), "0", "tasks");
    if (entry.v2_directory) write_file_at(entry.v2_directory.get(), "cgroup.procs", "0");
    ::_exit(body());
  } catch (const std::exception&) {
    ::_exit(99);
  }
}

int status_of(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

void pause_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

/// Touches as much memory as is asked for.
int touch(size_t bytes) {
  auto* memory = static_cast<volatile char*>(
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (size_t i = 0; i < bytes; i += 4096) memory[i] = 1;
  return 0;
}

void sleep_until_killed() {
  for (;;) ::pause();
}

const char* const mountinfo_docker =
    "30 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "31 30 0:29 /docker/abc /sys/fs/cgroup/my\\040cpu rw,relatime shared:7 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
    "33 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
    "34 30 0:29 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct\n";

}  // namespace

TEST_CASE("a host's hierarchies are read from mountinfo, with escapes, and named ones left out") {
  const CgroupHost::Probe root = {[](const std::string&) { return true; },
                                  [](const std::string&) { return "memory pids"; }};
  const auto host = CgroupHost::parse(
      mountinfo_docker, "3:cpu,cpuacct:/docker/abc\n2:name=systemd:/x\n0::/user.slice/me\n", root);
  REQUIRE(host.hierarchies().size() == 2);
  CHECK(host.find("cpuacct")->base == "/sys/fs/cgroup/my cpu");
  CHECK(host.find("cpu") == host.find("cpuacct"));
  CHECK(host.find("memory")->base == "/sys/fs/cgroup/unified");
  CHECK(host.find("freezer") == host.unified());
  CHECK(host.find("io") == nullptr);
  CHECK_FALSE(host.is_pure_v2());
}

TEST_CASE("without privilege the base is the highest cgroup above our own that may be written to") {
  const std::string mountinfo = "33 30 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
  const auto base = [&](const std::string& own, const std::string& writable) {
    const CgroupHost::Probe probe = {[&](const std::string& path) { return path.rfind(writable, 0) == 0; },
                                     [](const std::string&) { return ""; }};
    return CgroupHost::parse(mountinfo, "0::" + own + "\n", probe).hierarchies()[0].base;
  };
  CHECK(base("/user/me/shell", "/sys/fs/cgroup/user/me") == "/sys/fs/cgroup/user/me");
  CHECK(base("/user/me/shell", "/nowhere") == "/sys/fs/cgroup/user/me/shell");
  CHECK(base("/../other", "/nowhere") == "/sys/fs/cgroup");
}

TEST_CASE("only the hierarchies that a key needs are made, and all go with the value") {
  NEEDS_CGROUPS;
  const Parent parent;
  std::vector<std::string> paths;
  {
    Cgroup cgroup = Cgroup::create("demo", parent.with({}));
    CHECK(cgroup.paths().size() == (CgroupHost::local()->is_pure_v2() ? 1 : 0));
    cgroup.write({{"memory", "64MiB"s}, {"pids", 20.0}});
    paths = cgroup.paths();
    CHECK(paths == planned_cgroup_paths(*CgroupHost::local(), "demo", parent.with({}),
                                        {{"memory", 1.0}, {"pids", 1.0}}));
    CHECK(cgroup.exists());
    CHECK(cgroup.read("memory.max") == "67108864");
    CHECK(cgroup.read("pids") == "20");
  }
  for (const auto& path : paths) CHECK(::access(path.c_str(), F_OK) < 0);
}

TEST_CASE("a bad key is refused before any directory is made") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({}));
  const size_t before = cgroup.paths().size();
  CHECK(code_of([&] { cgroup.write({{"memory", "64MiB"s}, {"pidz", 20.0}}); }) == EINVAL);
  CHECK(code_of([&] { cgroup.write({{"memory", "64 miles"s}, {"pids", 20.0}}); }) == EINVAL);
  CHECK(cgroup.paths().size() == before);
}

TEST_CASE("a name that is taken is refused and what it names left alone") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup first = Cgroup::create("demo", parent.with({"pids"}));
  try {
    Cgroup::create("demo", parent.with({"memory", "pids"}));
    FAIL("made twice");
  } catch (const Error& error) {
    CHECK(error.code() == EEXIST);
    CHECK(error.hint() == "cgroup " + parent.name() + "/demo exists already");
  }
  CHECK(first.exists());
  for (const auto& bad : {"", "..", "a/", "/a", "demo/../x", "a\nb", "."})
    CHECK(code_of([&] { Cgroup::create(bad, parent.with({"pids"})); }) == EINVAL);
  CHECK(code_of([&] { Cgroup::create("a/b", parent.with({"pids"})); }) == ENOENT);
  for (const auto& bad : {"", "../up", "/", "a//b", "a/"})
    CHECK(code_of([&] { Cgroup::create("x", {bad, {"pids"}}); }) == EINVAL);
}

TEST_CASE("a process beyond its memory limit is killed and counted") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({"memory"}));
  cgroup.write({{"memory", "8MiB"s}});
  if (CgroupHost::local()->find("memory")->version == 2 ||
      ::access((cgroup.paths()[0] + "/memory.memsw.limit_in_bytes").c_str(), F_OK) == 0)
    cgroup.write({{"swap", 0.0}});
  const Fd event = cgroup.oom_eventfd();
  CHECK(cgroup.oom_kills() == 0U);
  const int status = status_of(inside(cgroup, [] { return touch(64U << 20U); }));
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
  CHECK(cgroup.oom_kills() == 1U);
  pollfd ready = {event.get(), POLLIN, 0};
  CHECK(::poll(&ready, 1, 1000) == 1);
  CHECK(status_of(inside(cgroup, [] { return touch(1U << 20U); })) == 0);
}

TEST_CASE("a fork beyond the limit of pids gives EAGAIN") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({}));
  cgroup.write({{"pids", 2.0}});
  const pid_t child = inside(cgroup, [] {
    const pid_t one = ::fork();
    if (one == 0) sleep_until_killed();
    const int result = ::fork() < 0 ? errno : 0;
    ::kill(one, SIGKILL);
    return result;
  });
  CHECK(WEXITSTATUS(status_of(child)) == EAGAIN);
}

TEST_CASE("a quota of a fifth of a CPU gives about a fifth") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({}));
  cgroup.write({{"cpu", "20%"s}});
  CHECK(cgroup.read("cpu") == "0.2");
  const pid_t child = inside(cgroup, [] {
    for (;;) {
    }
    return 0;
  });
  pause_ms(1000);
  ::kill(child, SIGKILL);
  rusage used = {};
  int status = 0;
  REQUIRE(::wait4(child, &status, 0, &used) == child);
  const double seconds = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  CHECK(seconds < 0.45);
  CHECK(cgroup.stats().cpu->throttled > 0.0);
}

TEST_CASE("a frozen process makes no step until it is thawed") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({"freezer"}));
  const auto state = shared();
  const pid_t child = inside(cgroup, [&] {
    for (;; ::usleep(200)) ++state->count;
    return 0;
  });
  while (state->count == 0) pause_ms(1);
  cgroup.freeze();
  CHECK(cgroup.read("freezer") == "frozen");
  const long frozen = state->count;
  pause_ms(50);
  CHECK(state->count == frozen);
  cgroup.thaw();
  for (int i = 0; i < 1000 && state->count == frozen; ++i) pause_ms(5);  // others may spin
  CHECK(state->count > frozen);
  cgroup.freeze();
  cgroup.kill();
  CHECK(WTERMSIG(status_of(child)) == SIGKILL);
}

TEST_CASE("whatever freezes a cgroup, all in it stand still when the write returns") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({"freezer"}));
  const auto state = shared();
  std::vector<pid_t> children;
  for (int i = 0; i < 30; ++i)
    children.push_back(inside(cgroup, [&] {
      for (;;) ++state->count;
      return 0;
    }));
  while (state->count == 0) pause_ms(1);
  for (int round = 0; round < 5; ++round) {
    cgroup.write({{"freezer", true}});
    CHECK(cgroup.read("freezer") == "frozen");
    const long frozen = state->count;
    pause_ms(20);
    CHECK(state->count == frozen);
    cgroup.write({{"freezer", false}});
  }
  cgroup.kill();
  for (const pid_t child : children) CHECK(WTERMSIG(status_of(child)) == SIGKILL);
}

TEST_CASE("a cgroup is frozen with the one above it") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup above = Cgroup::create("above", parent.with({"freezer"}));
  Cgroup below = Cgroup::create("above/below", parent.with({}));
  CHECK_FALSE(below.frozen());
  above.freeze();
  CHECK(below.frozen());
  Cgroup later = Cgroup::create("above/later", parent.with({}));
  CHECK(later.frozen());
  above.thaw();
  CHECK_FALSE(below.frozen());
  CHECK_FALSE(later.frozen());
  below.freeze();
  CHECK(below.frozen());
  CHECK_FALSE(above.frozen());
}

TEST_CASE("killing empties a cgroup that holds a fork bomb") {
  NEEDS_CGROUPS;
  const Parent parent;
  const std::string with = GENERATE("pids", "freezer");
  Cgroup cgroup = Cgroup::create("bomb", parent.with({with}));
  if (with == "pids") cgroup.write({{"pids", 100.0}});
  const auto state = shared();
  // Each forks one that goes on and exits itself: by the time its number is read it is another's. At most 40
  // at once.
  const pid_t child = inside(cgroup, [&] {
    for (int i = 0; i < 40; ++i)
      if (::fork() == 0) break;
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
         std::chrono::steady_clock::now() < end && !state->stop;) {
      ++state->count;
      if (::fork() > 0) ::_exit(0);
    }
    return 0;
  });
  while (state->count < 500) pause_ms(1);
  CHECK_FALSE(cgroup.processes().empty());
  cgroup.kill();
  CHECK(cgroup.processes().empty());
  const long after = state->count;
  pause_ms(50);
  CHECK(state->count == after);
  state->stop = true;
  status_of(child);
  CHECK(code_of([&] { cgroup.join_descriptors(); }) == EPERM);
  cgroup.remove();
}

TEST_CASE("removing takes along the cgroups made inside, however deep, and names what is in the way") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({"pids"}));
  const std::string path = cgroup.paths()[0];
  Fd here = Fd::open(path, O_RDONLY | O_DIRECTORY);
  for (int depth = 0; depth < 250; ++depth) {  // longer than a path may be
    const std::string name = "a-cgroup-with-a-name-of-some-length";
    REQUIRE(::mkdirat(here.get(), name.c_str(), 0755) == 0);
    if (depth == 0) REQUIRE(::mkdirat(here.get(), "beside", 0755) == 0);
    here = Fd::open_at(here.get(), name, O_RDONLY | O_DIRECTORY);
  }
  here.close();
  const pid_t child = inside(cgroup, [] {
    sleep_until_killed();
    return 0;
  });
  while (cgroup.processes().empty()) pause_ms(1);
  try {
    cgroup.remove();
    FAIL("removed with a process in it");
  } catch (const Error& error) {
    CHECK(error.code() == EBUSY);
    CHECK(error.hint() == "1 process is still in it");
  }
  cgroup.kill();
  status_of(child);
  cgroup.remove();
  CHECK(::access(path.c_str(), F_OK) < 0);
  CHECK_FALSE(cgroup.exists());
  cgroup.remove();
  CHECK(code_of([&] { cgroup.write({{"pids", 1.0}}); }) == ENOENT);
}

TEST_CASE("a limit can be raised and lowered together with its sum with swap") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({"memory"}));
  try {
    for (const double memory : {64e6, 256e6, 32e6}) {
      cgroup.write({{"memory", memory}, {"swap", 1e6}});
      CHECK(std::stod(cgroup.read("memory")) == Approx(memory).margin(4096));
      CHECK(std::stod(cgroup.read("swap")) == Approx(1e6).margin(8192));
    }
    cgroup.write({{"swap", 2e6}});
    CHECK(std::stod(cgroup.read("swap")) == Approx(2e6).margin(8192));
    for (const double memory : {64e6, 32e6}) {
      cgroup.write({{"memory", memory}});
      CHECK(std::stod(cgroup.read("memory")) == Approx(memory).margin(4096));
      CHECK(std::stod(cgroup.read("swap")) == Approx(2e6).margin(8192));
    }
    cgroup.write({{"memory", "max"s}, {"swap", "max"s}});
    CHECK(cgroup.read("memory") == "max");
  } catch (const Error& error) {
    if (error.code() != ENOENT) throw;
    SKIP_TEST("this kernel does not count swap");
  }
}

TEST_CASE("processes can enter a cpuset as soon as it is made") {
  NEEDS_CGROUPS;
  if (!CgroupHost::local()->find("cpuset")) SKIP_TEST("no cpuset controller");
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({"cpuset"}));
  CHECK(status_of(inside(cgroup, [] { return 0; })) == 0);
  cgroup.write({{"cpuset", "0"s}});
  const int status = status_of(inside(cgroup, [] {
    cpu_set_t cpus;
    return ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 98;
  }));
  CHECK(WEXITSTATUS(status) == 1);
}

TEST_CASE("a denied device can't be opened") {
  NEEDS_CGROUPS;
  if (!CgroupHost::local()->find("devices")) SKIP_TEST("no devices controller");
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({}));
  cgroup.write({{"devices", std::vector{"c 1:3 rw"s}}});
  const int status = status_of(inside(cgroup, [] {
    return code_of([] { Fd::open("/dev/null", O_RDWR); }) == 0
               ? code_of([] { Fd::open("/dev/zero", O_RDONLY); })
               : 98;
  }));
  CHECK(WEXITSTATUS(status) == EPERM);
}

TEST_CASE("figures are seconds and bytes, and only of what was made") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({"memory", "pids", "cpuacct"}));
  cgroup.write({{"pids", 7.0}});
  CHECK(status_of(inside(cgroup, [] { return touch(4U << 20U); })) == 0);
  const CgroupStats stats = cgroup.stats();
  CHECK(stats.cpu->usage > 0.0);
  CHECK(stats.cpu->usage < 5.0);
  CHECK(stats.memory->usage.has_value());
  CHECK_FALSE(stats.memory->limit.has_value());
  if (stats.memory->peak) CHECK(stats.memory->peak >= 4U << 20U);
  CHECK(stats.pids->current == 0U);
  CHECK(stats.pids->limit == 7U);
  if (CgroupHost::local()->is_pure_v2()) return;  // there the parent's controllers are every child's
  const Cgroup small = Cgroup::create("small", parent.with({"pids"}));
  CHECK_FALSE(small.stats().memory.has_value());
  CHECK_FALSE(small.oom_kills().has_value());
}

TEST_CASE("a kept cgroup outlives its value, and its recorded path is enough to kill and remove it") {
  NEEDS_CGROUPS;
  const Parent parent;
  std::vector<std::string> paths;
  pid_t child = 0;
  {
    Cgroup cgroup = Cgroup::create("demo", parent.with({"pids", "memory"}));
    cgroup.keep();
    paths = cgroup.paths();
    child = inside(cgroup, [] {
      sleep_until_killed();
      return 0;
    });
    while (cgroup.processes().empty()) pause_ms(1);
  }
  for (const auto& path : paths) {
    REQUIRE(::access(path.c_str(), F_OK) == 0);
    remove_cgroup_path(path, parent.name());
    CHECK(::access(path.c_str(), F_OK) < 0);
    remove_cgroup_path(path, parent.name());
  }
  CHECK(WTERMSIG(status_of(child)) == SIGKILL);
}

TEST_CASE("removal by path refuses whatever is not a cgroup below a parent of ours") {
  NEEDS_CGROUPS;
  const Parent parent;
  const Sandbox box;
  const Cgroup cgroup = Cgroup::create("demo", parent.with({"pids"}));
  const std::string path = cgroup.paths()[0], base = CgroupHost::local()->find("pids")->base;
  const std::string fake = box.dir("luabox/demo");
  std::filesystem::create_directory_symlink(base, box.path() / "link");
  const auto refused = [](const std::string& one, const std::string& below) {
    return code_of([&] { remove_cgroup_path(one, below); });
  };
  CHECK(refused(path, "luabox") == EINVAL);
  CHECK(refused(fake, "luabox") == EINVAL);
  CHECK(refused(base, "luabox") == EINVAL);
  CHECK(refused("", "luabox") == EINVAL);
  CHECK(refused("/" + parent.name() + "/demo", parent.name()) == EINVAL);
  CHECK(refused(base + "/" + parent.name() + "/../" + parent.name() + "/demo", parent.name()) == EINVAL);
  CHECK(refused(box.path() / "link" / parent.name() / "demo", parent.name()) == ELOOP);
  CHECK(cgroup.exists());
  CHECK(std::filesystem::exists(fake));
}

TEST_CASE("the calling process is not killed with the cgroup that it is in") {
  NEEDS_CGROUPS;
  const Parent parent;
  Cgroup cgroup = Cgroup::create("demo", parent.with({"pids"}));
  const pid_t child = inside(cgroup, [&] { return code_of([&] { cgroup.kill(); }); });
  CHECK(WEXITSTATUS(status_of(child)) == EDEADLK);
}

TEST_CASE("a user to whom nothing was delegated is told so") {
  NEEDS_CGROUPS;
  in_child(0, [] {
    expect(::setresuid(65534, 65534, 65534) == 0, "setresuid");
    try {
      Cgroup::create("demo", {"luabox-test-nobody", {"pids"}});
      expect(false, "an error");
    } catch (const Error& error) {
      expect(error.code() == EACCES, error.what());
      expect(error.hint().find("no cgroup is delegated to this user") == 0, error.what());
    }
  });
}

TEST_CASE("making, limiting, entering and removing a cgroup takes well under a millisecond") {
  NEEDS_CGROUPS;
  const Parent parent;
  const Cgroup holds_the_parent = Cgroup::create("first", parent.with({"memory", "pids", "cpu"}));
  double best = 1e9;
  for (int i = 0; i < 50; ++i) {
    const auto start = std::chrono::steady_clock::now();
    Cgroup cgroup = Cgroup::create("demo", parent.with({}));
    cgroup.write({{"memory", 64e6}, {"pids", 20.0}, {"cpu", 0.5}});
    const CgroupEntry entry = cgroup.join_descriptors();
    cgroup.remove();
    best = std::min(
        best, std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::cout << "cgroup of memory, pids and cpu: " << best << " us\n";
  CHECK(best < 20000);  // a machine in software emulation runs this too
}
