#include "engine/responder.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

Responder echo() {
  return Responder::start(
      "echo", [] { return std::string("ready"); },
      [](const std::string& question) { return question + "!"; });
}

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

TEST_CASE("a helper tells once what it prepared, and answers each question") {
  Responder helper = echo();
  CHECK(helper.ask("first", 5) == "first!");
  CHECK(helper.ready(5) == "ready");
  CHECK(helper.ready(5) == "ready");
  CHECK(helper.ask("", 5) == "!");
  const std::string zeros("a\0b", 3);
  CHECK(helper.ask(zeros, 5) == zeros + "!");
}

TEST_CASE("a helper that was ended is gone, and whoever asks it is told") {
  in_child(0, [] {
    Responder helper = echo();
    expect(helper.ask("first", 5) == "first!", "it answers");
    helper.end();
    helper.end();
    expect(::waitpid(-1, nullptr, __WALL) < 0 && errno == ECHILD, "there is no child");
    int code = 0;
    try {
      helper.ask("second", 5);
    } catch (const Error& error) {
      code = error.code();
    }
    expect(code == EPIPE, "EPIPE");
  });
}

TEST_CASE("it has the first question while it still prepares, and answers it after that") {
  Responder helper = Responder::start(
      "early",
      [] {
        std::vector<pollfd> all;
        for (int fd = 3; fd < 64; ++fd)  // one that isn't open would be told at once
          if (::fcntl(fd, F_GETFD) >= 0) all.push_back({fd, POLLIN, 0});
        for (int round = 0; round < 100; ++round) {
          ::poll(all.data(), all.size(), 20);
          for (const auto& each : all)
            if ((each.revents & POLLIN) != 0) return std::string("asked");
        }
        return std::string("not asked");
      },
      [](const std::string& question) { return question + "!"; });
  CHECK(helper.ask("first", 5) == "first!");
  CHECK(helper.ready(5) == "asked");
}

TEST_CASE("the longest question passes, a longer one is refused and the next is answered") {
  Responder helper = echo();
  const std::string longest(Responder::kLongest, 'x');
  CHECK(helper.ask(longest, 5).size() == longest.size() + 1);
  CHECK(code_of([&] { helper.ask(longest + "x", 5); }) == EMSGSIZE);
  CHECK(helper.ask("next", 5) == "next!");
}

TEST_CASE("a helper that gives no answer in time is given up for good") {
  Responder helper = Responder::start(
      "slow", [] { return std::string("ready"); },
      [](const std::string&) {
        for (;;) ::pause();
        return std::string();
      });
  CHECK(seconds_of([&] { CHECK(code_of([&] { helper.ask("?", 0.2); }) == ETIMEDOUT); }) < 2);
  CHECK(code_of([&] { helper.ask("?", 5); }) == EPIPE);
  CHECK(helper.ready(5) == "ready");  // what it had said before stays true
}

TEST_CASE("one that does not get ready in time never answers") {
  Responder helper = Responder::start(
      "stuck",
      [] {
        for (;;) ::pause();
        return std::string();
      },
      [](const std::string&) { return std::string("late"); });
  CHECK(code_of([&] { helper.ready(0.1); }) == ETIMEDOUT);
  CHECK(code_of([&] { helper.ready(5); }) == EPIPE);
  CHECK(code_of([&] { helper.ask("?", 5); }) == EPIPE);
}

TEST_CASE("a question to one that does not get ready in time is given up for good") {
  Responder helper = Responder::start(
      "stuck",
      [] {
        for (;;) ::pause();
        return std::string();
      },
      [](const std::string&) { return std::string("late"); });
  CHECK(seconds_of([&] { CHECK(code_of([&] { helper.ask("?", 0.2); }) == ETIMEDOUT); }) < 2);
  CHECK(code_of([&] { helper.ask("?", 5); }) == EPIPE);
  CHECK(code_of([&] { helper.ready(5); }) == EPIPE);
}

TEST_CASE("one that dies is an error at once, and stays one") {
  Responder helper = Responder::start(
      "dying", [] { return std::string("ready"); },
      [](const std::string&) {
        ::_exit(0);
        return std::string();
      });
  CHECK(seconds_of([&] { CHECK(code_of([&] { helper.ask("?", 5); }) == EPIPE); }) < 4);
  CHECK(code_of([&] { helper.ask("?", 5); }) == EPIPE);
}

TEST_CASE(
    "it has nothing open but its socket and /dev/null, a process group of its own, and can gain nothing") {
  const int secret = ::open("/etc/passwd", O_RDONLY);  // without close-on-exec, and inherited
  REQUIRE(secret >= 0);
  Responder helper = Responder::start(
      "looking", [] { return std::string("ready"); },
      [](const std::string&) {
        std::string found;
        for (int fd = 0; fd < 200; ++fd)
          if (::fcntl(fd, F_GETFD) >= 0) found += fd < 3 ? std::to_string(fd) : "s";
        rlimit core;
        ::getrlimit(RLIMIT_CORE, &core);
        std::ifstream status("/proc/self/status");
        for (std::string line; std::getline(status, line);)
          if (line.compare(0, 11, "NoNewPrivs:") == 0) found += line.back();
        return found + (::getpgid(0) == ::getpid() ? " own" : " shared") + std::to_string(core.rlim_cur) +
               std::filesystem::current_path().string();
      });
  CHECK(helper.ask("?", 5) == "012s1 own0/");
  ::close(secret);
}

TEST_CASE("a child that separates asks for itself, and takes no answer of its parent's") {
  Responder helper = echo();
  REQUIRE(helper.ask("parent", 5) == "parent!");
  const pid_t child = ::fork();
  if (child == 0) {
    bool right = true;
    try {
      helper.separate();
      for (int i = 0; i < 200; ++i)
        right &= helper.ask("c" + std::to_string(i), 5) == "c" + std::to_string(i) + "!";
    } catch (const Error&) {
      right = false;
    }
    ::_exit(right ? 0 : 1);
  }
  for (int i = 0; i < 200; ++i)
    REQUIRE(helper.ask("p" + std::to_string(i), 5) == "p" + std::to_string(i) + "!");
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(helper.ask("still", 5) == "still!");  // the child's end took nothing away
}

TEST_CASE("an answer without a byte is no answer") {
  Responder helper = Responder::start(
      "empty", [] { return std::string("ready"); }, [](const std::string&) { return std::string(); });
  CHECK(code_of([&] { helper.ask("?", 5); }) == EPIPE);
}

TEST_CASE("it ends with the object") {
  int pid = 0;
  {
    Responder helper = Responder::start(
        "short", [] { return std::to_string(::getpid()); },
        [](const std::string& question) { return question; });
    pid = std::stoi(helper.ready(5));
    CHECK(::kill(pid, 0) == 0);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, __WALL) == pid);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
}
