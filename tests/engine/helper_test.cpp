#include "engine/helper.hpp"

#include <csignal>

#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

TEST_CASE("a helper is found only where root alone can put one") {
  CHECK(find_helper("sh").value_or("") == "/usr/bin/sh");
  CHECK_FALSE(find_helper("no-such-program"));
  CHECK_THROWS_AS(find_helper("../bin/sh"), Error);
  CHECK_THROWS_AS(find_helper(""), Error);
}

TEST_CASE("a helper gets nothing of its caller's") {
  const Fd held = Fd::open("/etc/passwd", O_RDONLY);
  const Fd inheritable(::dup(held.get()));
  Helper helper = Helper::start(
      {"sh", "-c", "pwd; env | sort; ls /proc/self/fd | wc -w; read line || echo nothing to read"});
  CHECK(helper.wait(10).value_or(ExitStatus{99, 0}).code == 0);
  const std::string said = helper.output();
  CHECK(said.find("/; ") == 0);
  CHECK(said.find("LC_ALL=C; ") != std::string::npos);
  CHECK(said.find("HOME") == std::string::npos);
  CHECK(said.find("4; nothing to read") != std::string::npos);  // 0, 1, 2 and the listed folder
}

TEST_CASE("a helper that fails tells its status and what it said") {
  Helper helper = Helper::start({"sh", "-c", "echo first; echo second >&2; exit 3"});
  CHECK(helper.wait(-1)->code == 3);
  CHECK(helper.output() == "first; second");
  CHECK_FALSE(helper.kill(SIGTERM));
}

TEST_CASE("a helper that says too much is not held up, and ends with its object") {
  int pid = 0;
  {
    Helper helper = Helper::start({"sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; exec sleep 1000"});
    pid = helper.pid();
    CHECK_FALSE(helper.wait(0.2));
    CHECK(helper.output().size() <= 4096);
  }
  CHECK(::kill(pid, 0) < 0);
}

TEST_CASE("what is no program can't be started") {
  CHECK(code_of([] { Helper::start({"no-such-program"}); }) == ENOENT);
  CHECK_THROWS_AS(Helper::start({}), Error);
}
