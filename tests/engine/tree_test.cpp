#include "engine/tree.hpp"

#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;
namespace fs = std::filesystem;

TEST_CASE("a tree is removed, and what its symlinks lead to stays") {
  Sandbox box;
  box.file("outside/file", "kept");
  box.file("tree/a/b/file", "");
  box.dir("tree/a/empty");
  fs::create_symlink(box.path() / "outside", box.path() / "tree/a/link");
  fs::create_symlink("/", box.path() / "tree/slash");
  REQUIRE(::mkfifo((box.path() / "tree/fifo").c_str(), 0600) == 0);
  remove_tree((box.path() / "tree").string() + "/");
  CHECK(!fs::exists(box.path() / "tree"));
  CHECK(slurp(box.path() / "outside/file") == "kept");

  fs::create_symlink(box.path() / "outside", box.path() / "link");
  remove_tree(box.path() / "link");
  CHECK(fs::exists(box.path() / "outside/file"));
  CHECK(!fs::is_symlink(box.path() / "link"));
}

TEST_CASE("removing what is not there is fine, and a path without a name is not") {
  Sandbox box;
  remove_tree(box.path() / "none");
  remove_tree(box.path() / "none/deeper");
  for (const char* path : {"/", "", ".", "..", "x/.", "x/.."})
    CHECK(code_of([&] { remove_tree(path); }) == EINVAL);
  CHECK(code_of([&] { remove_tree_at(AT_FDCWD, "a/b"); }) == EINVAL);
}

TEST_CASE("a tree of 10000 levels is removed with few descriptors") {
  if (::access("/dev/shm", W_OK) == 0)
    ::setenv("TMPDIR", "/dev/shm", 1);  // seconds, where a disk takes a minute
  Sandbox box;
  in_child(0, [&] {
    const rlimit few{16, 16};
    ::setrlimit(RLIMIT_NOFILE, &few);
    expect(::chdir(box.path().c_str()) == 0 && ::mkdir("deep", 0755) == 0, "a folder");
    expect(::chdir("deep") == 0, "to be in it");
    for (int i = 0; i < 10000; ++i) {
      expect(::mkdir("directory", 0755) == 0 && ::mkdir("side", 0755) == 0, "a level");
      expect(::chdir("directory") == 0, "a way down");
    }
    expect(::chdir("/") == 0, "a way back");
    expect(tree_size(box.path() / "deep") < 1U << 30U, "a size");
    remove_tree(box.path() / "deep");
  });
  CHECK(!fs::exists(box.path() / "deep"));
}

TEST_CASE("removal stops at a mount and leaves what is in it") {
  if (!is_root()) SKIP_TEST("needs root");
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    box.file("source/file", "kept");
    box.dir("tree/a/mounted");
    const auto target = box.file("tree/b/mounted", "");
    // A bind mount of the same file system: st_dev alone would not tell.
    expect(::mount((box.path() / "source").c_str(), (box.path() / "tree/a/mounted").c_str(), nullptr, MS_BIND,
                   nullptr) == 0,
           "a mount");
    expect(code_of([&] { remove_tree(box.path() / "tree/a"); }) == EBUSY, "EBUSY for a directory");
    expect(slurp(box.path() / "source/file") == "kept", "the mounted file");
    expect(::mount((box.path() / "source/file").c_str(), target.c_str(), nullptr, MS_BIND, nullptr) == 0,
           "a mount");
    expect(code_of([&] { remove_tree(box.path() / "tree/b"); }) == EBUSY, "EBUSY for a file");
    expect(slurp(target) == "kept", "the mounted file");
    expect(code_of([&] { remove_tree(box.path() / "tree/a/mounted"); }) == EBUSY, "EBUSY for the top");
  });
}

TEST_CASE("a directory that is moved away meanwhile takes the removal nowhere else") {
  Sandbox box;
  const fs::path outside = box.dir("outside"), tree = box.path() / "tree";
  const auto kept = [&](int i) { return outside / ("s" + std::to_string(i)) / "kept"; };
  for (int i = 0; i < 8; ++i) box.file(fs::relative(kept(i), box.path()), "");
  const pid_t mover = ::fork();
  REQUIRE(mover >= 0);
  if (mover == 0) {
    for (std::error_code ignored;;) {  // out and in again, beside directories whose names exist outside too
      for (int i = 0; i < 8; ++i) fs::create_directories(tree / "a" / ("s" + std::to_string(i)), ignored);
      fs::create_directories(tree / "a/b/c/d/e", ignored);
      for (int i = 0; i < 10; ++i) {
        fs::rename(tree / "a/b", outside / "b", ignored);
        fs::rename(outside / "b", tree / "a/b", ignored);
      }
    }
  }
  for (int i = 0; i < 2000; ++i) code_of([&] { remove_tree(tree); });
  ::kill(mover, SIGKILL);
  ::waitpid(mover, nullptr, 0);
  for (int i = 0; i < 8; ++i) CHECK(fs::exists(kept(i)));
}

TEST_CASE("an immutable file is an error that names it") {
  Sandbox box;
  const auto file = box.file("tree/a/fixed", "");
  const Fd fd = Fd::open(file, O_RDONLY);
  int flags = FS_IMMUTABLE_FL;
  if (::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) < 0) SKIP_TEST("no immutable files here");
  std::string object;
  try {
    remove_tree(box.path() / "tree");
  } catch (const Error& error) {
    object = error.object();
    CHECK(error.code() == EPERM);
  }
  CHECK(object == file);
  flags = 0;
  CHECK(::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) == 0);
}

TEST_CASE("an owner removes directories that were made inaccessible") {
  Sandbox box;
  box.file("tree/closed/file", "");
  box.file("tree/fixed/deeper/file", "");
  fs::permissions(box.path() / "tree/closed", fs::perms::none);
  fs::permissions(box.path() / "tree/fixed", fs::perms::owner_read | fs::perms::owner_exec);
  in_child(0, [&] {
    if (is_root()) {
      for (const auto& entry : fs::recursive_directory_iterator(box.path()))
        expect(::lchown(entry.path().c_str(), 65534, 65534) == 0, "another owner");
      expect(::lchown(box.path().c_str(), 65534, 65534) == 0, "another owner");
      expect(::setgid(65534) == 0 && ::setuid(65534) == 0, "no privilege");
    }
    remove_tree(box.path() / "tree");
  });
  CHECK(!fs::exists(box.path() / "tree"));
}

TEST_CASE("a size counts a file with two links once and no mount") {
  Sandbox box;
  const auto file = box.file("tree/file", std::string(100000, 'x'));
  const auto one = tree_size(box.path() / "tree");
  fs::create_hard_link(file, box.path() / "tree/same");
  CHECK(one >= 100000);
  CHECK(tree_size(box.path() / "tree") == one);
  box.file("tree/sub/other", std::string(50000, 'x'));
  CHECK(tree_size(box.path() / "tree") >= one + 50000);
  CHECK(tree_size(file) >= 100000);
  CHECK(code_of([&] { tree_size(box.path() / "none"); }) == ENOENT);
}

TEST_CASE("an entry is told as what it is itself") {
  Sandbox box;
  box.dir("tree/directory");
  fs::create_symlink("directory", box.path() / "tree/link");
  std::string seen;
  each_entry(Fd::open(box.path() / "tree", O_RDONLY | O_DIRECTORY), "tree",
             [&](const std::string& name, bool is_directory) { seen += is_directory ? "" : name; });
  CHECK(seen == "link");
}
