#include "engine/security.hpp"

#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <csignal>

#include "engine/procfs.hpp"
#include "engine/user.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

/// A copy of id(1) that is set-user-ID root.
std::string setuid_id(const Sandbox& box) {
  std::string copy = box.dir("bin") + "/id";
  std::filesystem::copy_file("/usr/bin/id", copy);
  ::chmod(copy.c_str(), 04755);
  ::chmod(box.path().c_str(), 0755);
  return copy;
}

/// The effective user that `program` (id) runs as when user 1000 starts it.
std::string effective_user(const std::string& program, const std::string& output,
                           const std::function<void()>& before) {
  const int file = ::open(output.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666);
  in_child(0, [&] {
    set_ids({.uid = 1000, .gid = 1000});
    before();
    ::dup2(file, 1);
    ::execl(program.c_str(), "id", "-u", nullptr);
    throw Error("exec", program);
  });
  ::close(file);
  return slurp(output);
}

}  // namespace

TEST_CASE("a setuid program gives nothing after no_new_privs") {
  if (!is_root()) SKIP_TEST("needs root");
  Sandbox box;
  const std::string program = setuid_id(box), output = box.file("out", "");
  if (effective_user(program, output, [] {}) != "0\n") SKIP_TEST("set-user-ID has no effect where tests are");
  CHECK(effective_user(program, output, no_new_privs) == "1000\n");
}

TEST_CASE("a session keyring is new, empty and its possessor's alone") {
  in_child(0, [] {
    const auto first = session_keyring(std::nullopt);
    if (!first) return;  // a kernel without keyrings
    const long key = ::syscall(SYS_add_key, "user", "luabox-test", "secret", 6, KEY_SPEC_SESSION_KEYRING);
    expect(key > 0, "a key can be added");
    const auto second = session_keyring("luabox-test");
    expect(second && *second != *first, "the second keyring is another one");
    expect(::syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "luabox-test", 0) < 0,
           "the key is out of reach");
    char description[256] = {};
    expect(
        ::syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, description, sizeof description) > 0,
        "it is described");
    expect(std::string(description).find(";3f000000;") != std::string::npos,
           std::string("possessor only, not ") + description);
  });
}

TEST_CASE("a named session keyring is not joined by the next who asks for the name") {
  in_child(0, [] {
    const auto mine = session_keyring("luabox-test-shared");
    if (!mine) return;
    const pid_t other = ::fork();
    if (other == 0) {
      session_keyring(std::nullopt);  // possesses the first no more
      const auto theirs = session_keyring("luabox-test-shared");
      ::_exit(theirs && *theirs != *mine ? 0 : 1);
    }
    int status = 0;
    ::waitpid(other, &status, 0);
    expect(status == 0, "another keyring");
  });
}

TEST_CASE("a label for a module that isn't active is an error that names it") {
  const auto active = lsm();
  for (const auto& [module, sentence] :
       {std::pair{Lsm::apparmor, "AppArmor"}, std::pair{Lsm::selinux, "SELinux"}}) {
    if (active == module) continue;
    try {
      exec_label(module, "some_label");
      FAIL("it was taken");
    } catch (const Error& error) {
      CHECK(error.code() == ENOSYS);
      CHECK_THAT(error.hint(), Catch::Contains(std::string("no ") + sentence));
    }
  }
}

TEST_CASE("a file of /proc that something else covers is not written") {
  if (!is_root()) SKIP_TEST("needs root");
  Sandbox box;
  const auto decoy = box.file("decoy", "");
  in_child(CLONE_NEWNS, [&] {
    const std::string covered = "/proc/" + std::to_string(::getpid()) + "/oom_score_adj";
    expect(::mount(decoy.c_str(), covered.c_str(), nullptr, MS_BIND, nullptr) == 0, "the decoy is mounted");
    expect(code_of([] { write_proc("self/oom_score_adj", "500"); }) == EXDEV, "a covered file is EXDEV");
    expect(::mount("tmpfs", "/proc", "tmpfs", 0, nullptr) == 0, "tmpfs on /proc");
    expect(code_of([] { write_proc("self/oom_score_adj", "500"); }) == ENOTSUP,
           "a /proc that is no procfs is ENOTSUP");
  });
  in_child(CLONE_NEWNS, [&] {
    expect(::mount("/proc/sys", "/proc", nullptr, MS_BIND, nullptr) == 0, "a part of procfs on /proc");
    expect(code_of([] { write_proc("kernel/hostname", "x"); }) == ENOTSUP, "a part of procfs is ENOTSUP");
  });
  CHECK(slurp(decoy).empty());
}

TEST_CASE("a process that is not dumpable keeps its /proc files from its user") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    set_ids({.uid = 1000, .gid = 1000});
    dumpable(Dumpable::yes);
    const auto owner = [] {
      struct stat file = {};
      ::stat("/proc/self/mem", &file);
      return file.st_uid;
    };
    expect(owner() == 1000, "its own while dumpable");
    dumpable(Dumpable::no);
    expect(owner() == 0, "root's when not");
  });
}

TEST_CASE("the death of the parent sends the signal that was asked for") {
  in_child(0, [] {
    child_subreaper(Subreaper::yes);  // so that the orphan comes to us
    int ready[2];
    expect(::pipe(ready) == 0, "a pipe");
    const pid_t middle = ::fork();
    if (middle == 0) {
      if (::fork() == 0) {
        parent_death_signal(SIGKILL);
        if (::write(ready[1], "x", 1) == 1) ::pause();
        ::_exit(0);
      }
      char byte = 0;
      ::_exit(::read(ready[0], &byte, 1) == 1 ? 0 : 1);
    }
    int status = 0;
    expect(::waitpid(middle, &status, 0) == middle && status == 0, "the parent ended");
    expect(::wait(&status) > 0, "the orphan is ours");
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "killed");
  });
}
