#include "engine/relay.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

/// Opens `path` as the descriptor.
void open_as(int fd, const std::string& path, int flags) {
  expect(::dup2(Fd::open(path, flags | O_CREAT, 0600).get(), fd) == fd, "dup2");
}

/// A child that takes the relay's pipes and writes `text` to both outputs in turn, a byte at a time; done
/// when this returns.
void write_from_child(const Relay& relay, const std::string& text) {
  const pid_t child = ::fork();
  if (child == 0) {
    relay.enter();
    for (size_t i = 0; i < text.size(); ++i)
      if (::write(i % 2 == 0 ? 1 : 2, &text[i], 1) != 1) ::_exit(errno);
    ::_exit(0);
  }
  int status = 0;
  expect(::waitpid(child, &status, 0) == child && status == 0, "the child has written");
}

int code_of_finish(Relay& relay) {
  try {
    relay.finish();
    return 0;
  } catch (const Error& error) {
    return error.code();
  }
}

}  // namespace

TEST_CASE("what is no file needs no relay") {
  const Sandbox box;
  const std::string file = box.file("input", "text");
  in_child(0, [&] {
    open_as(1, "/dev/null", O_WRONLY);
    open_as(2, file, O_RDONLY);
    expect(!Relay::of({1, 2}), "a device, and a file that is to be read");
    ::close(1);
    expect(!Relay::of({1}), "none is open");
    expect(!Relay::of({}), "none is asked for");
    bool refused = false;
    try {
      Relay::of({0});
    } catch (const Error&) {
      refused = true;
    }
    expect(refused, "an input is none");
  });
}

TEST_CASE("both outputs of one file keep their order, and each file gets its own") {
  const Sandbox box;
  const std::string both = (box.path() / "both").string(), other = (box.path() / "other").string();
  in_child(0, [&] {
    open_as(1, both, O_WRONLY | O_APPEND);
    ::dup2(1, 2);
    auto relay = Relay::of({1, 2});
    expect(relay.has_value(), "a relay");
    const pid_t child = ::fork();
    if (child == 0) relay->finish(), ::_exit(0);  // it is not the child's to end
    int status = 0;
    expect(::waitpid(child, &status, 0) == child && status == 0, "the child goes on");
    write_from_child(*relay, "in its order");
    relay->finish();
    expect(code_of_finish(*relay) == 0, "again it does nothing");
    open_as(2, other, O_WRONLY);
    auto apart = Relay::of({1, 2});
    write_from_child(*apart, "-+-+");
    apart->finish();
    auto one = Relay::of({2});
    write_from_child(*one, "");
  });
  CHECK(slurp(both) == "in its order--");
  CHECK(slurp(other) == "++");
}

TEST_CASE("a child has a pipe, not the file, and none of the relay's memory") {
  const Sandbox box;
  const std::string path = (box.path() / "file").string();
  in_child(0, [&] {
    open_as(1, path, O_RDWR);
    const auto relay = Relay::of({1});
    const pid_t child = ::fork();
    if (child == 0) {
      relay->enter();
      struct stat status = {};
      char byte = 0;
      const bool sealed = ::fstat(1, &status) == 0 && S_ISFIFO(status.st_mode) && ::fchmod(1, 04777) == 0 &&
                          ::read(1, &byte, 1) < 0 && ::ftruncate(1, 0) < 0;
      ::_exit(sealed ? 0 : 1);
    }
    int status = 0;
    expect(::waitpid(child, &status, 0) == child && status == 0, "it can't reach the file");
    struct stat found = {};
    expect(::stat(path.c_str(), &found) == 0 && (found.st_mode & 07777U) == 0600, "its mode is as it was");
  });
}

TEST_CASE("a file that takes no more is told, also to who writes") {
  const Sandbox box;
  const std::string path = (box.path() / "file").string();
  in_child(0, [&] {
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {100, 100};
    expect(::setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
    open_as(1, path, O_WRONLY);
    auto relay = Relay::of({1});
    const pid_t child = ::fork();
    if (child == 0) {
      relay->enter();
      ::close_range(3, ~0U, 0);  // as an exec does
      const std::string text(4096, 'x');
      for (int i = 0; i < 100000; ++i)
        if (::write(1, text.data(), text.size()) < 0) ::_exit(errno == EPIPE ? 0 : 1);
      ::_exit(2);
    }
    int status = 0;
    expect(::waitpid(child, &status, 0) == child && status == 0, "EPIPE");
    expect(code_of_finish(*relay) == EFBIG, "EFBIG");
  });
  CHECK(slurp(path) == std::string(100, 'x'));
}

TEST_CASE("what is left to somebody else stays in its pipe until it is carried again") {
  const Sandbox box;
  const std::string path = (box.path() / "file").string();
  in_child(0, [&] {
    const Fd file = Fd::open(path, O_WRONLY | O_CREAT, 0600);
    auto relay = Relay::into(file.get());
    auto [wait, go] = open_pipe();
    const pid_t child = ::fork();
    if (child == 0) {
      relay.enter();
      char byte = 0;
      const bool written =
          ::write(1, "a", 1) == 1 && ::read(wait.get(), &byte, 1) == 1 && ::write(2, "b", 1) == 1;
      ::_exit(written ? 0 : 1);
    }
    for (int i = 0; i < 1000 && slurp(path) != "a"; ++i) ::usleep(5000);
    const auto outputs = relay.pause();
    expect(outputs.size() == 1 && outputs[0].to == file.get() && !relay.failed(), "one pipe, of the file");
    expect(::write(go.get(), "x", 1) == 1, "write");
    int status = 0;
    expect(::waitpid(child, &status, 0) == child && status == 0, "the child has written");
    ::usleep(50000);
    expect(slurp(path) == "a", "nobody has carried it");
    relay.resume();
    relay.resume();
    relay.finish();
    expect(relay.pause().empty(), "nothing is left to be carried");
  });
  CHECK(slurp(path) == "ab");
}

TEST_CASE("much goes through whole, while nobody waits for it") {
  const Sandbox box;
  const std::string path = (box.path() / "file").string();
  constexpr size_t kPieces = 3000;
  in_child(0, [&] {
    open_as(1, path, O_WRONLY);
    auto relay = Relay::of({1});
    const pid_t child = ::fork();
    if (child == 0) {
      relay->enter();
      const std::string text(4096, 'x');
      for (size_t i = 0; i < kPieces; ++i)
        if (::write(1, text.data(), text.size()) != static_cast<ssize_t>(text.size())) ::_exit(1);
      ::_exit(0);
    }
    int status = 0;
    expect(::waitpid(child, &status, 0) == child && status == 0, "all was written");
    relay->finish();
  });
  CHECK(slurp(path).size() == kPieces * 4096);
}
