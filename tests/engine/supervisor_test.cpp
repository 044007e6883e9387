#include "engine/supervisor.hpp"

#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "engine/terminal.hpp"
#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

/// A supervisor in a process of its own, with the test at its descriptors 0 and 1 and its status as a shell
/// would tell it.
class Supervised {
 public:
  enum class With { pipes, terminal };

  Supervised(With with, const std::vector<std::string>& scripts) {
    auto [in_reader, in_writer] = make_pipe();
    auto [out_reader, out_writer] = make_pipe();
    in = std::move(in_writer), out = std::move(out_reader);
    std::fflush(nullptr);  // or the child would write it too
    pid = ::fork();
    if (pid == 0) {
      ::dup2(in_reader.get(), 0);
      ::dup2(out_writer.get(), 1);
      in.close(), out.close(), in_reader.close(), out_writer.close();
      run(with, scripts);
    }
  }
  Supervised(const Supervised&) = delete;
  Supervised& operator=(const Supervised&) = delete;
  ~Supervised() {
    if (pid <= 0) return;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  /// Reads until `text` has come; what came.
  std::string until(std::string_view text) {
    std::string got;
    char byte;
    while (!got.ends_with(text) && readable(out.get(), 10) && ::read(out.get(), &byte, 1) == 1) got += byte;
    return got;
  }
  void signal(int number) const { ::kill(pid, number); }
  /// Waits at most ten seconds; -1 when it is still there.
  int status() {
    const Fd watch = open_process(pid);
    if (!readable(watch.get(), 10)) return -1;
    int status = 0;
    ::waitpid(std::exchange(pid, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  Fd in, out;
  pid_t pid;

 private:
  [[noreturn]] static void run(With with, const std::vector<std::string>& scripts) {
    try {
      const ForwardedSignals signals;
      Pty pty;
      if (with == With::terminal) pty = open_pty();
      std::vector<Process> processes;
      processes.reserve(scripts.size());
      for (const auto& script : scripts) processes.push_back(start(script, pty));
      pty.slave.close();
      std::vector<Process*> watched;
      for (auto& process : processes) process.release(), watched.push_back(&process);
      supervise(watched, signals, pty.master.get());
      ::_exit(processes.front().wait()->shell());
    } catch (const std::exception& error) {
      write_all(1, error.what(), "output");
      ::_exit(99);
    }
  }
  static Process start(const std::string& script, const Pty& pty) {
    return Process::clone({}, [&](Channel&) {
      for (int fd = 0; pty.slave && fd <= 2; ++fd) ::dup2(pty.slave.get(), fd);
      ExecOptions options{{"/bin/sh", "-c", script}, {}};
      options.new_session = static_cast<bool>(pty.slave);
      exec(options);
    });
  }
};

using With = Supervised::With;

constexpr const char* kWait = "echo ready; while :; do sleep 0.05; done";

}  // namespace

TEST_CASE("a supervisor ends when its process ends, with its status at hand") {
  Supervised quick(With::pipes, {"exit 5"});
  CHECK(quick.status() == 5);
  Supervised with_terminal(With::terminal, {"exit 6"});
  CHECK(with_terminal.status() == 6);
}

TEST_CASE("every signal that a supervisor passes on reaches the process, and none ends the supervisor") {
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT}) {
    Supervised one(With::pipes, {"trap 'exit 42' " + std::to_string(signal) + "; " + kWait});
    INFO("signal " << signal);
    CHECK_THAT(one.until("ready"), Catch::Contains("ready"));
    one.signal(signal);
    CHECK(one.status() == 42);
  }
}

TEST_CASE("a signal reaches all processes, and the supervisor stays until the last has ended") {
  const std::string script = std::string("trap 'sleep 0.3; echo ended; exit 3' TERM; ") + kWait;
  Supervised three(With::pipes, {script, script, script});
  for (int i = 0; i < 3; ++i) three.until("ready");
  three.signal(SIGTERM);
  CHECK(three.status() == 3);
  const std::string rest = read_all(three.out.get(), "output");
  CHECK(rest.size() >= 3 * std::string("ended\n").size());
}

TEST_CASE("a signal that comes before the process runs is passed on as soon as it does") {
  in_child(0, [] {
    const ForwardedSignals signals;
    ::kill(::getpid(), SIGTERM);
    Process process = sleeper();
    supervise({&process}, signals, -1);
    expect(process.wait()->signal == SIGTERM, "it to end by SIGTERM");
  });
}

TEST_CASE("pending signals are taken back, and told when they meant to end") {
  in_child(0, [] {
    sigset_t before, after;
    ::sigprocmask(SIG_BLOCK, nullptr, &before);
    {
      ForwardedSignals first;
      const ForwardedSignals signals = std::move(first);
      expect(!signals.pending(), "nothing pending");
      ::kill(::getpid(), SIGUSR1);
      expect(!signals.pending(), "SIGUSR1 not to be an end");
      ::kill(::getpid(), SIGTERM);
      expect(signals.pending(), "SIGTERM to be an end");
      expect(!signals.pending(), "it to be taken");
    }
    ::sigprocmask(SIG_BLOCK, nullptr, &after);
    expect(::sigismember(&after, SIGTERM) == ::sigismember(&before, SIGTERM), "the mask as before");
  });
}

TEST_CASE("bytes go both ways through a terminal, and what is left at the end comes too") {
  Supervised cat(With::terminal, {"stty -echo raw; echo ready; head -c 11; echo; seq 20000; exit 4"});
  cat.until("ready");
  write_all(cat.in.get(), "hello world", "input");
  const std::string text = cat.until("20000");
  CHECK_THAT(text, Catch::Contains("hello world"));
  CHECK_THAT(text, Catch::Contains("\n10000\n"));
  CHECK(cat.status() == 4);
}

TEST_CASE("the last words of a process that ends at once are not lost") {
  for (int i = 0; i < 20; ++i) {
    Supervised brief(With::terminal, {"echo last words"});
    CHECK(brief.status() == 0);
    CHECK(read_all(brief.out.get(), "output") == "last words\r\n");
  }
}

TEST_CASE("an input that ends does not end the supervisor, nor spin it") {
  Supervised one(With::terminal, {"echo ready; sleep 0.5; echo later; exit 2"});
  one.until("ready");
  one.in.close();
  CHECK_THAT(one.until("later"), Catch::Contains("later"));
  CHECK(one.status() == 2);
}

TEST_CASE("a signal gets through while nobody reads the output") {
  Sandbox box;
  const std::string mark = (box.path() / "mark").string();
  Supervised flood(With::terminal, {"echo ready; exec yes 0123456789012345678901234567890123456789",
                                    "trap 'echo > " + mark + "; exit' TERM; while :; do sleep 0.05; done"});
  flood.until("ready");
  ::usleep(
      300000);  // the pipe is full by now; a reader that takes a little and stops makes room for a little
  char page[8192];
  REQUIRE(::read(flood.out.get(), page, sizeof page) > 0);
  ::usleep(100000);
  flood.signal(SIGTERM);
  ::usleep(500000);
  CHECK(std::filesystem::exists(mark));
  std::thread reader([&] {  // what it holds at the end is written out: that needs a reader
    char buffer[65536];
    while (::read(flood.out.get(), buffer, sizeof buffer) > 0) {
    }
  });
  CHECK(flood.status() == 128 + SIGTERM);
  reader.join();
}

TEST_CASE("a supervisor whose process has ended can be ended while nobody reads what is left") {
  Supervised full(With::terminal, {"head -c 100000 /dev/zero | tr '\\0' x; exit 3"});
  ::usleep(700000);
  CHECK_FALSE(readable(open_process(full.pid).get(), 0));  // more is left than the pipe holds
  full.signal(SIGUSR1);
  ::usleep(200000);
  CHECK_FALSE(readable(open_process(full.pid).get(), 0));
  full.signal(SIGTERM);
  CHECK(full.status() == 3);
}

TEST_CASE("more typed ahead than a program reads does not stop its output") {
  Supervised busy(With::terminal, {"stty -echo raw; echo ready; sleep 1; echo alive; exec sleep 100"});
  busy.until("ready");
  REQUIRE(::fcntl(busy.in.get(), F_SETFL, O_NONBLOCK) == 0);
  const std::string block(4096, 'x');
  for (int i = 0; i < 100; ++i) {
    if (::write(busy.in.get(), block.data(), block.size()) < 0) ::usleep(2000);
  }
  CHECK_THAT(busy.until("alive"), Catch::Contains("alive"));
  busy.signal(SIGTERM);
  CHECK(busy.status() == 128 + SIGTERM);
}
