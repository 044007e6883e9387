// What engine tests share: a folder of their own, children in namespaces of their own, the mount table.
#pragma once

#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>

#include "engine/error.hpp"

namespace luabox::test {

/// An empty folder that goes with the test.
class Sandbox {
 public:
  Sandbox() {
    std::string pattern = (std::filesystem::temp_directory_path() / "luabox-test-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw Error("mkdtemp", pattern);
    path_ = pattern;
  }
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  ~Sandbox() {
    std::error_code ignored;  // a test that failed may have left it busy
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  /// A new folder in it.
  std::string dir(const std::string& name) const {
    std::filesystem::create_directories(path_ / name);
    return (path_ / name).string();
  }
  std::string file(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline std::string mount_table() { return slurp("/proc/self/mountinfo"); }

/// Runs `body` in a forked child that has unshared `namespaces` (CLONE_NEW* flags; mounts are made private).
/// What it throws, or a `check` that is false, fails the test with its text. The child always ends by _exit.
inline void in_child(int namespaces, const std::function<void()>& body) {
  int channel[2];
  REQUIRE(::pipe(channel) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(channel[0]);
    std::string failure;
    try {
      if (namespaces != 0 && ::unshare(namespaces) != 0) throw Error("unshare");
      if ((namespaces & CLONE_NEWNS) != 0 &&
          ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        throw Error("mount", "private /");
      body();
    } catch (const std::exception& error) {
      failure = error.what();
    }
    if (::write(channel[1], failure.data(), failure.size()) < 0) ::_exit(2);
    ::_exit(failure.empty() ? 0 : 1);
  }
  ::close(channel[1]);
  std::string failure;
  char buffer[4096];
  for (ssize_t count; (count = ::read(channel[0], buffer, sizeof buffer)) > 0;)
    failure.append(buffer, static_cast<size_t>(count));
  ::close(channel[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  INFO("in the child: " << failure);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

/// For use in in_child, where Catch2's own macros would count in the wrong process.
inline void expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error("expected: " + what);
}

/// The errno of the Error that `body` throws; 0 when it throws none.
inline int code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return 0;
}

inline bool is_root() { return ::geteuid() == 0; }

}  // namespace luabox::test

/// Ends a test that can't run here: ctest reports it as skipped.
#define SKIP_TEST(why)        \
  do {                        \
    WARN("skipped: " << why); \
    return;                   \
  } while (false)
