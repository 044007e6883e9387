#include "engine/process.hpp"

#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <csignal>

#include "engine/cgroup.hpp"
#include "engine/user.hpp"
#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

#define NEEDS_ROOT \
  if (!is_root()) SKIP_TEST("needs root")

bool is_zombie_or_child(int pid) { return ::waitpid(pid, nullptr, WNOHANG) >= 0; }

/// A process between us and the child that `body` makes; it tells the child's number, then waits to be
/// killed.
struct Middle {
  explicit Middle(const std::function<int()>& body) {
    auto [reader, writer] = make_pipe();
    std::fflush(nullptr);  // or the child would write it too
    pid = ::fork();
    if (pid == 0) {
      const int child = body();
      if (::write(writer.get(), &child, sizeof child) != sizeof child) ::_exit(1);
      for (;;) ::pause();
    }
    int child = 0;
    REQUIRE(::read(reader.get(), &child, sizeof child) == sizeof child);
    child_fd = open_process(child);
  }
  Middle(const Middle&) = delete;
  Middle& operator=(const Middle&) = delete;
  ~Middle() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  pid_t pid;
  Fd child_fd;
};

}  // namespace

TEST_CASE("a child does nothing before its release, and its exit status comes back") {
  Sandbox box;
  const std::string mark = (box.path() / "mark").string();
  Process process = Process::clone({}, [&](Channel&) {
    write_all(Fd::open(mark, O_CREAT | O_WRONLY, 0600).get(), "ran", mark);
    exec({{"/bin/sh", "-c", "exit 7"}, {}});
  });
  ::usleep(50000);
  CHECK_FALSE(std::filesystem::exists(mark));
  CHECK_FALSE(process.wait(0));
  process.release();
  CHECK(slurp(mark) == "ran");
  const auto ended = process.wait();
  REQUIRE(ended);
  CHECK(ended->code == 7);
  CHECK(ended->signal == 0);
  CHECK(ended->shell() == 7);
  CHECK(process.wait(0)->code == 7);
}

TEST_CASE("a child that is made released runs without a word of its parent's, and can't be released") {
  Sandbox box;
  const std::string mark = (box.path() / "mark").string();
  CloneOptions options;
  options.released = true;
  Process process = Process::clone(options, [&](Channel&) {
    write_all(Fd::open(mark, O_CREAT | O_WRONLY, 0600).get(), "ran", mark);
    exec({{"/bin/sh", "-c", "exit 7"}, {}});
  });
  CHECK(process.wait(20).has_value());
  CHECK(std::filesystem::exists(mark));
  CHECK_THROWS_WITH(process.go(), Catch::Contains("released already"));
  process.settle();
  CHECK(process.wait()->code == 7);
}

TEST_CASE("what a child that is made released throws is thrown by settle") {
  CloneOptions options;
  options.released = true;
  Process process = Process::clone(options, [](Channel&) { throw Error("mount", "nowhere", ENOENT); });
  CHECK_THROWS_WITH(process.settle(), Catch::Contains("nowhere"));
}

TEST_CASE("release comes back when the program runs, not before and not when it ends") {
  Process process = Process::clone({}, [](Channel&) { exec({{"sleep", "100"}, {}}); });
  process.release();
  const std::string name = slurp("/proc/" + std::to_string(process.pid()) + "/comm");
  CHECK(name == "sleep\n");
  CHECK_FALSE(process.wait(0));
  CHECK(process.kill(SIGTERM));
  CHECK(process.wait()->signal == SIGTERM);
  CHECK(process.wait()->shell() == 128 + SIGTERM);
}

TEST_CASE("what the child throws is thrown by release, whole") {
  Process process =
      Process::clone({}, [](Channel&) { throw Error("mount", "/some where/\xff", EBUSY, "it is\nin use"); });
  try {
    process.release();
    FAIL("nothing was thrown");
  } catch (const ChildError& error) {
    CHECK(error.op() == "mount");
    CHECK(error.object() == "/some where/\xff");
    CHECK(error.code() == EBUSY);
    CHECK(error.hint() == "it is\nin use");
  }
  CHECK_FALSE(is_zombie_or_child(process.pid()));
  CHECK(process.wait()->code == 125);
}

TEST_CASE("the child's own fields come with its error") {
  Process process = Process::clone({}, [](Channel& parent) {
    parent.send(Message::Kind::failure,
                encode_fields({{"op", "x"}, {"errno", "2"}, {"message", "m"}, {"where", "a.lua:4"}}));
    ::_exit(1);
  });
  try {
    process.release();
    FAIL("nothing was thrown");
  } catch (const ChildError& error) {
    CHECK(error.code() == ENOENT);
    CHECK(error.fields().at("where") == "a.lua:4");
    CHECK(error.fields().at("message") == "m");
  }
}

TEST_CASE("an exception that is no Error of the engine's still reaches the parent") {
  Process process = Process::clone({}, [](Channel&) { throw std::runtime_error("out of ideas"); });
  CHECK_THROWS_WITH(process.release(), Catch::Contains("out of ideas"));
}

TEST_CASE("a body that returns is an error") {
  Process process = Process::clone({}, [](Channel&) {});
  CHECK_THROWS_WITH(process.release(), Catch::Contains("returned"));
  CHECK(process.wait()->code == 125);
}

TEST_CASE("a child that ends before its exec is an error, whatever its status") {
  for (const int status : {0, 3}) {
    Process process = Process::clone({}, [=](Channel&) { ::_exit(status); });
    try {
      process.release();
      FAIL("it passed for a success");
    } catch (const Error& error) {
      CHECK(error.object() == "exit " + std::to_string(status));
    }
    CHECK_FALSE(is_zombie_or_child(process.pid()));
  }
}

TEST_CASE("a child that is killed before its exec is an error that names the signal") {
  Process during = Process::clone({}, [](Channel&) { ::raise(SIGKILL); });
  CHECK_THROWS_WITH(during.release(), Catch::Contains("signal 9"));
  CHECK(during.wait()->signal == SIGKILL);

  Process before = Process::clone({}, [](Channel&) { exec({{"true"}, {}}); });
  CHECK(before.kill(SIGKILL));
  CHECK_THROWS_WITH(before.release(), Catch::Contains("signal 9"));
}

TEST_CASE("a process is released once") {
  Process process = sleeper();
  CHECK(code_of([&] { process.release(); }) == EINVAL);
}

TEST_CASE("texts and descriptors that the child sent before its exec are there after the release") {
  Process process = Process::clone({}, [](Channel& parent) {
    auto [reader, writer] = make_pipe();
    write_all(writer.get(), "from inside", "pipe");
    writer.close();
    parent.send(Message::Kind::data, "pipe", reader.get());
    parent.send(Message::Kind::data, "text");
    exec({{"true"}, {}});
  });
  process.release();
  const auto first = process.next_message(), second = process.next_message();
  REQUIRE((first && second));
  CHECK(first->text == "pipe");
  CHECK(read_all(first->fd.get(), "pipe") == "from inside");
  CHECK(second->text == "text");
  CHECK_FALSE(second->fd);
  CHECK_FALSE(process.next_message());
}

TEST_CASE("among many descriptors a child gets all but those that are set aside, and none that came later") {
  const Fd early = Fd::open("/dev/null", O_RDONLY);
  std::vector<Fd> kept;
  for (int i = 0; i < 200; ++i) {
    kept.push_back(Fd::open("/dev/null", O_RDONLY));
    kept.back().set_aside();
    CHECK(::fcntl(kept.back().get(), F_GETFD) == FD_CLOEXEC);
  }
  REQUIRE(many_aside());
  const int aside = kept.back().get();
  const Fd late = Fd::open("/dev/null", O_RDONLY);
  auto [reader, writer] = make_pipe();
  Process process = Process::clone({}, [&, number = writer.get()](Channel& parent) {
    std::string found;
    for (const int fd : {early.get(), late.get(), aside, number})
      found += ::fcntl(fd, F_GETFD) < 0 ? '-' : '+';
    parent.send(Message::Kind::data, found);
    exec({{"true"}, {}});
  });
  writer.close();
  auto [other_reader, other_writer] = make_pipe();
  other_writer.close();
  CHECK(readable(other_reader.get(), 0));  // the end of file: the child, that waits, has no copy
  process.release();
  CHECK(process.next_message()->text == "++-+");
  CHECK(readable(reader.get(), 5));
  CHECK(process.wait()->code == 0);
  CHECK(::fcntl(aside, F_GETFD) == FD_CLOEXEC);
}

TEST_CASE(
    "a child has the limit of descriptors that its parent was given, though the parent had to raise it") {
  rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit narrow = {520, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &narrow) == 0);
  std::vector<Fd> kept;
  for (int i = 0; i < 600; ++i) {
    kept.push_back(Fd::open("/dev/null", O_RDONLY));
    kept.back().set_aside();
  }
  Process process = Process::clone({}, [](Channel& parent) {
    rlimit limit = {};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    parent.send(Message::Kind::data, std::to_string(limit.rlim_cur));
    exec({{"true"}, {}});
  });
  process.release();
  CHECK(process.next_message()->text == "520");
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("a child can't signal what its parent made") {
  Process first = sleeper();
  Process second = Process::clone({}, [&](Channel&) { first.kill(SIGKILL); });
  CHECK(code_of([&] { second.release(); }) == EPERM);
  CHECK_FALSE(first.wait(0));
}

TEST_CASE("a wait with a timeout comes back when the time is over") {
  Process process = sleeper();
  const auto start = std::chrono::steady_clock::now();
  CHECK_FALSE(process.wait(0.3));
  CHECK(seconds_since(start) >= 0.29);
  CHECK(seconds_since(start) < 5);
  CHECK_FALSE(process.wait(0));
}

TEST_CASE("a signal does not shorten a wait") {
  Process process = sleeper();
  struct sigaction ignore = {}, before;
  ignore.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGALRM, &ignore, &before) == 0);
  const itimerval soon = {{0, 0}, {0, 50000}};
  REQUIRE(::setitimer(ITIMER_REAL, &soon, nullptr) == 0);
  const auto start = std::chrono::steady_clock::now();
  CHECK_FALSE(process.wait(0.4));
  CHECK(seconds_since(start) >= 0.39);
  ::sigaction(SIGALRM, &before, nullptr);
}

TEST_CASE("a process that nobody waited for is killed and reaped when its value goes") {
  Fd watch;
  int pid = 0;
  {
    Process process = sleeper();
    pid = process.pid();
    watch = open_process(pid);
    Process moved = std::move(process);
    CHECK_FALSE(readable(watch.get(), 0));
  }
  CHECK(readable(watch.get(), 0));
  CHECK_FALSE(is_zombie_or_child(pid));

  {
    Process unreleased = Process::clone({}, [](Channel&) { exec({{"true"}, {}}); });
    pid = unreleased.pid();
  }
  CHECK_FALSE(is_zombie_or_child(pid));
}

TEST_CASE("a child dies with its parent, before the release") {
  std::unique_ptr<Process> kept;
  const Middle middle([&] {
    kept = std::make_unique<Process>(Process::clone({}, [](Channel&) { ::pause(); }));
    return kept->pid();
  });
  CHECK_FALSE(readable(middle.child_fd.get(), 0.1));
  ::kill(middle.pid, SIGKILL);
  CHECK(readable(middle.child_fd.get(), 5));
}

TEST_CASE("a child dies with its parent, between the release and the exec") {
  std::unique_ptr<Process> kept;
  const Middle middle([&] {
    kept = std::make_unique<Process>(Process::clone({}, [](Channel&) { ::pause(); }));
    kept->go();
    return kept->pid();
  });
  CHECK_FALSE(readable(middle.child_fd.get(), 0.1));
  ::kill(middle.pid, SIGKILL);
  CHECK(readable(middle.child_fd.get(), 5));
}

TEST_CASE("a program dies with its parent, also when it changed its ids before the exec") {
  for (const bool other_user : {false, true}) {
    if (other_user && !is_root()) continue;
    std::unique_ptr<Process> kept;
    const Middle middle([&] {
      kept = std::make_unique<Process>(Process::clone({}, [=](Channel&) {
        if (other_user && ::setresuid(65534, 65534, 65534) < 0) throw Error("setresuid");
        exec({{"sleep", "100"}, {}});
      }));
      kept->release();
      return kept->pid();
    });
    CHECK_FALSE(readable(middle.child_fd.get(), 0.1));
    ::kill(middle.pid, SIGKILL);
    INFO("as another user: " << other_user);
    CHECK(readable(middle.child_fd.get(), 5));
  }
}

TEST_CASE("a program below an init dies with luabox, and so does the init") {
  NEEDS_ROOT;
  std::unique_ptr<Process> kept;
  const Middle middle([&] {
    kept = std::make_unique<Process>(Process::clone(in_namespaces("pid"), [](Channel&) {
      exec_below_init({{"sh", "-c", "trap '' TERM; sleep 100"}, {}});
    }));
    kept->release();
    return kept->pid();
  });
  ::kill(middle.pid, SIGKILL);
  CHECK(readable(middle.child_fd.get(), 5));
}

TEST_CASE("a process that has ended can't be signalled, even when its number lives again") {
  NEEDS_ROOT;
  in_child(CLONE_NEWPID, [] {
    const pid_t init = ::fork();  // the first in the pid namespace: numbers can be chosen in it
    if (init == 0) {
      Process process = Process::clone({}, [](Channel&) { ::_exit(0); });
      process.go();
      int wanted = process.pid();
      ::waitpid(wanted, nullptr, 0);  // behind its back: the number is free
      clone_args arguments = {};
      arguments.set_tid = reinterpret_cast<uintptr_t>(&wanted);
      arguments.set_tid_size = 1;
      arguments.exit_signal = SIGCHLD;
      const long stranger = ::syscall(SYS_clone3, &arguments, sizeof arguments);
      if (stranger == 0)
        for (;;) ::pause();
      if (stranger != wanted) ::_exit(2);
      if (process.kill(SIGKILL)) ::_exit(3);
      ::usleep(20000);
      ::_exit(::waitpid(wanted, nullptr, WNOHANG) == 0 ? 0 : 4);
    }
    int status = 0;
    ::waitpid(init, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0,
           "the stranger to live, not status " + std::to_string(status));
  });

  Process waited = sleeper();
  CHECK(waited.kill(SIGKILL));
  waited.wait();
  CHECK_FALSE(waited.kill(SIGKILL));
}

TEST_CASE("a signal number that is none is an error") {
  const Process process = sleeper();
  CHECK(code_of([&] { process.kill(9999); }) == EINVAL);
  CHECK(process.kill(0));
}

TEST_CASE("a child is in the namespaces that were asked for, and in no other new ones") {
  NEEDS_ROOT;
  const auto wanted = Namespaces::parse("uts ipc pid net mnt cgroup");
  Process process = sleeper({wanted, {}, -1});
  for (const auto& [word, flag] : Namespaces::all()) {
    const std::string name(word);
    const auto theirs =
        std::filesystem::read_symlink("/proc/" + std::to_string(process.pid()) + "/ns/" + name);
    INFO(name);
    CHECK((theirs != std::filesystem::read_symlink("/proc/self/ns/" + name)) == wanted.has(flag));
  }
}

TEST_CASE("namespaces that can't be made are named, and no process is left") {
  in_child(0, [] {
    if (is_root() && ::setresuid(65534, 65534, 65534) < 0) throw Error("setresuid");
    try {
      Process::clone(in_namespaces("uts mount"), [](Channel&) { ::_exit(0); });
      expect(false, "an error");
    } catch (const Error& error) {
      expect(error.op() == "clone" && error.object() == "mnt uts", "what was asked for to be named");
      expect(error.code() == EPERM, "EPERM");
    }
    expect(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD, "no child");
  });
}

TEST_CASE("a child is born in its cgroup, and that is the root of its cgroup namespace") {
  const auto host = CgroupHost::local();
  if (!is_root() || !host->find("pids")) SKIP_TEST("needs root and the cgroup controller pids");
  const std::string parent = "luabox-test-process-" + std::to_string(::getpid());
  {
    const Cgroup cgroup = Cgroup::create("child", {parent, {"pids"}});
    const CgroupEntry entry = cgroup.join_descriptors();
    CloneOptions options{Namespaces(CLONE_NEWCGROUP), {}, entry.v2_directory.get()};
    for (const auto& tasks : entry.tasks) options.cgroup_tasks.push_back(tasks.get());
    const auto inside = outcome_of(options, [] { exec({{"cat", "/proc/self/cgroup"}, {}}); });
    Process outside = sleeper({Namespaces(), options.cgroup_tasks, options.cgroup_directory});

    const std::string own = "/" + parent + "/child";
    CHECK_THAT(slurp("/proc/" + std::to_string(outside.pid()) + "/cgroup"), Catch::Contains(own));
    CHECK_THAT(inside.output, !Catch::Contains(parent));
    const std::string controller = entry.tasks.empty() ? "0::/" : ":pids:/";
    CHECK_THAT(inside.output, Catch::Contains(controller + "\n"));
  }
  for (const auto& hierarchy : host->hierarchies()) ::rmdir((hierarchy.base + "/" + parent).c_str());
}

TEST_CASE("what was written to a stream before the clone is not written twice") {
  Sandbox box;
  const std::string path = (box.path() / "out").string();
  FILE* stream = std::fopen(path.c_str(), "w");
  std::fputs("once", stream);
  Process process = Process::clone({}, [](Channel&) { std::exit(0); });
  CHECK_THROWS_AS(process.release(), Error);
  std::fclose(stream);
  CHECK(slurp(path) == "once");
}

TEST_CASE("an ordinary user who is not dumpable maps the ids of a child, and the child isn't dumpable then") {
  NEEDS_ROOT;
  in_child(0, [] {
    set_ids({.uid = 1000, .gid = 1000});
    expect(::prctl(PR_SET_DUMPABLE, 0) == 0, "not dumpable");
    CloneOptions options;
    options.namespaces = Namespaces(CLONE_NEWUSER);
    Process process = Process::clone(options, [](Channel&) {
      const bool closed = ::prctl(PR_GET_DUMPABLE) == 0;
      exec({{"/bin/sh", "-c", closed ? "exit $(id -u)" : "exit 9"}, {}});
    });
    expect(::prctl(PR_GET_DUMPABLE) == 0, "the parent is not dumpable again");
    write_id_maps(process.pid(),
                  {.uid = {{0, 1000, 1}}, .gid = {{0, 1000, 1}}, .setgroups = Setgroups::deny});
    process.release();
    expect(process.wait()->code == 0, "it is root in there");
  });
}
