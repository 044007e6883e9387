#include "engine/root.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;
namespace fs = std::filesystem;

namespace {

mode_t mode_of(const fs::path& path) {
  struct stat status;
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

size_t count(const fs::path& directory) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

/// A process that keeps exchanging two names until it goes.
class Flipper {
 public:
  Flipper(const fs::path& one, const fs::path& other) : child_(::fork()) {
    REQUIRE(child_ >= 0);
    if (child_ > 0) return;
    for (;;)
      if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) < 0) ::_exit(1);
  }
  Flipper(const Flipper&) = delete;
  Flipper& operator=(const Flipper&) = delete;
  ~Flipper() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

 private:
  pid_t child_;
};

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a path inside a root never leads out of it") {
  Sandbox box;
  box.file("outside/secret", "host");
  const fs::path tree = box.dir("root");
  box.file("root/outside/secret", "guest");
  fs::create_symlink(box.path() / "outside", tree / "absolute");
  fs::create_symlink("../../outside", tree / "relative");
  fs::create_symlink("/outside/secret", tree / "link");
  const Root root = Root::open(tree);

  CHECK(root.read("/outside/secret", {}) == "guest");
  CHECK(root.read("../../outside/secret", {}) == "guest");
  CHECK(root.read("relative/secret", {}) == "guest");
  CHECK(root.read("link", {}) == "guest");
  CHECK(code_of([&] { root.read("absolute/secret", {}); }) == ENOENT);

  root.write("absolute/new", "text", {});  // made where the link points to inside the root
  CHECK(slurp(tree / box.path().relative_path() / "outside/new") == "text");
  CHECK(count(box.path() / "outside") == 1);
}

TEST_CASE("the magic links of proc are refused") {
  Sandbox box;
  fs::create_symlink("/proc/self/root", box.path() / "way-out");
  const Root host = Root::open("/");
  CHECK(code_of([&] { host.resolve("/proc/self/root/etc"); }) == ELOOP);
  CHECK(code_of([&] { host.ensure_target("/proc/self/root/tmp/x", {}); }) == ELOOP);
  CHECK(code_of([&] { host.resolve((box.path() / "way-out").string()); }) == ELOOP);
}

TEST_CASE("a loop of symlinks is ELOOP and says so") {
  Sandbox box;
  fs::create_symlink("b", box.path() / "a");
  fs::create_symlink("a", box.path() / "b");
  const Root root = Root::open(box.path());
  CHECK(code_of([&] { root.ensure_target("/a/x", {}); }) == ELOOP);
  CHECK(code_of([&] { root.write("a", "", {}); }) == ELOOP);
  CHECK_THAT(message_of([&] { root.read("a", {}); }),
             Catch::Contains("/a: Too many levels") && Catch::Contains("a loop"));
}

TEST_CASE("kind tells what is there, following symlinks unless told not to") {
  Sandbox box;
  const Root root = Root::open(box.path());
  box.file("file", "");
  box.dir("directory");
  fs::create_symlink("/directory", box.path() / "symlink");
  root.mknod("fifo", {.type = NodeType::fifo});
  const int sock = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr address{AF_UNIX, {}};
  CHECK(::bind(sock, &address, sizeof address.sa_family) == 0);

  CHECK(root.kind("file", {}) == FileKind::file);
  CHECK(root.kind("directory", {}) == FileKind::directory);
  CHECK(root.kind("symlink", {}) == FileKind::directory);
  CHECK(root.kind("symlink", {.follow = false}) == FileKind::symlink);
  CHECK(root.kind("fifo", {}) == FileKind::fifo);
  CHECK(root.kind("none", {}) == std::nullopt);
  CHECK(root.kind("file/none", {}) == std::nullopt);
  CHECK(Root::open("/dev").kind("null", {}) == FileKind::device);
  CHECK(root.list("/") == std::vector<std::string>{"directory", "fifo", "file", "symlink"});
  ::close(sock);
}

TEST_CASE("a fifo or a device in place of a file is refused, and nobody waits") {
  Sandbox box;
  const Root root = Root::open(box.path());
  root.mknod("fifo", {.type = NodeType::fifo});
  ::alarm(10);
  CHECK_THAT(message_of([&] { root.write("fifo", "x", {}); }),
             Catch::Contains("is a fifo, expected a regular file"));
  CHECK_THAT(message_of([&] { root.read("fifo", {}); }), Catch::Contains("is a fifo"));
  CHECK(code_of([&] { root.list("fifo"); }) == ENOTDIR);
  CHECK(code_of([&] { Root::open("/dev").read("zero", {}); }) == EINVAL);
  CHECK(code_of([&] { root.read("/", {}); }) == EISDIR);
  const Root proc = Root::open("/proc");
  CHECK(proc.read("self/comm", {}) != "");
  CHECK_THAT(message_of([&] { proc.read("self/comm", {.stored = true}); }),
             Catch::Contains("the kernel's own"));
  ::alarm(0);
}

TEST_CASE("a file with a lease is not waited for, and the error says so") {
  Sandbox box;
  const Root root = Root::open(box.path());
  const auto path = box.file("leased", "text");
  ::signal(SIGIO, SIG_IGN);
  const Fd leased = Fd::open(path, O_RDONLY);
  REQUIRE(::fcntl(leased.get(), F_SETLEASE, F_WRLCK) == 0);
  CHECK_THROWS_WITH(root.read("/leased", {}), Catch::Contains("(a process has a lease on it, fcntl(2))"));
}

TEST_CASE("modes are meant as written, whatever the umask") {
  Sandbox box;
  const Root root = Root::open(box.path());
  const mode_t before = ::umask(077);
  root.make_directory("a/b/c", {FileMode{01777}});
  root.write("a/file", "text", {.mode = {0666}});
  root.ensure_target("t/file", {.kind = TargetKind::file});
  root.mknod("fifo", {.type = NodeType::fifo, .mode = {0622}});
  CHECK(::umask(before) == 077);
  CHECK(mode_of(box.path() / "a/b") == 0755);
  CHECK(mode_of(box.path() / "a/b/c") == 01777);
  CHECK(mode_of(box.path() / "a/file") == 0666);
  CHECK(mode_of(box.path() / "t/file") == 0644);
  CHECK(mode_of(box.path() / "fifo") == 0622);
  root.chmod("a/file", {0400});
  CHECK(mode_of(box.path() / "a/file") == 0400);
}

TEST_CASE("write replaces, appends and makes parents, and read has a limit") {
  Sandbox box;
  const Root root = Root::open(box.path());
  root.write("/etc/app/motd", "hello world\n", {});
  root.write("/etc/app/motd", "hello\n", {});
  root.write("/etc/app/motd", std::string_view("\0x", 2), {.append = true});
  CHECK(root.read("etc/app/motd", {}) == std::string("hello\n\0x", 8));
  CHECK(code_of([&] { root.read("etc/app/motd", {.limit = 7}); }) == EFBIG);
  CHECK(code_of([&] { root.write("etc/app", "", {}); }) == EISDIR);
  CHECK(code_of([&] { root.write("etc/app/motd/x", "", {}); }) == ENOTDIR);
}

TEST_CASE("write follows a dangling symlink inside the root") {
  Sandbox box;
  const Root root = Root::open(box.path());
  root.symlink("../run/resolve/stub.conf", "/etc/resolv.conf");
  root.write("/etc/resolv.conf", "nameserver 10.0.0.1\n", {});
  CHECK(slurp(box.path() / "run/resolve/stub.conf") == "nameserver 10.0.0.1\n");
}

TEST_CASE("nodes, links, owners and removal act on the name itself") {
  if (!is_root()) SKIP_TEST("needs root");
  Sandbox box;
  const Root root = Root::open(box.path());
  root.mknod("dev/null", {.major = 1, .minor = 3, .mode = {0620}, .uid = 7, .gid = 8});
  struct stat status;
  REQUIRE(::stat((box.path() / "dev/null").c_str(), &status) == 0);
  CHECK(S_ISCHR(status.st_mode));
  CHECK(status.st_rdev == makedev(1, 3));
  CHECK((status.st_mode & 07777) == 0620);
  CHECK((status.st_uid == 7 && status.st_gid == 8));
  CHECK(code_of([&] { root.mknod("dev/null", {}); }) == EEXIST);

  root.symlink("null", "dev/link");
  root.chown("dev/link", {.uid = 9, .gid = {}});
  REQUIRE(::lstat((box.path() / "dev/null").c_str(), &status) == 0);
  CHECK((status.st_uid == 9 && status.st_gid == 8));
  CHECK(code_of([&] { root.symlink("elsewhere", "dev/link"); }) == EEXIST);
  root.remove("dev/link");
  CHECK(root.kind("dev/null", {}) == FileKind::device);
  CHECK(code_of([&] { root.remove("dev"); }) == ENOTEMPTY);
  root.remove("dev/null");
  root.remove("dev/");
  CHECK(root.kind("dev", {}) == std::nullopt);
  CHECK(code_of([&] { root.remove("none/x"); }) == ENOENT);
  CHECK(root.kind("none", {}) == std::nullopt);
  for (const char* path : {"", "/", ".", "a/..", "//"}) CHECK(code_of([&] { root.remove(path); }) == EINVAL);
}

TEST_CASE("ensure_target tells what it made, and nothing when it was there") {
  Sandbox box;
  box.dir("root/usr/share");
  fs::create_symlink("usr/share", box.path() / "root/link");
  const Root root = Root::open(box.dir("root"));
  CHECK(root.ensure_target("/link/../a/./b//file", {.kind = TargetKind::file}) ==
        std::vector<std::string>{"/usr/a", "/usr/a/b", "/usr/a/b/file"});
  CHECK(root.ensure_target("/usr/a/b", {}).empty());
  CHECK(root.ensure_target("/", {}).empty());
  CHECK_THAT(message_of([&] { root.ensure_target("/usr/a/b/file", {}); }),
             Catch::Contains("/usr/a/b/file: Not a directory (is a file, expected a directory)"));
  CHECK_THAT(message_of([&] { root.ensure_target("/usr", {.kind = TargetKind::file}); }),
             Catch::Contains("is a directory, expected a file"));
  CHECK(code_of([&] { root.ensure_target("/link/x", {.no_symlinks = true}); }) == ELOOP);
  CHECK(code_of([&] { root.ensure_target("", {}); }) == ENOENT);
  CHECK(root.ensure_target("/usr/x", {.no_symlinks = true}) == std::vector<std::string>{"/usr/x"});
}

TEST_CASE("nothing is made outside while a directory and a symlink change places") {
  Sandbox box;
  const fs::path outside = box.dir("outside"), tree = box.dir("root");
  box.dir("root/data");
  fs::create_symlink(outside, tree / "link");
  const Root root = Root::open(tree);
  const Flipper flipper(tree / "data", tree / "link");
  for (int i = 0; i < 2000; ++i) {
    const std::string name = "data/x" + std::to_string(i);
    try {
      root.ensure_target(name + "/y", {});
      root.write(name + "/z", "text", {});
      root.symlink("x", name + "/l");
    } catch (const Error& error) {
      const bool expected = error.code() == EAGAIN || error.code() == ENOENT || error.code() == EEXIST;
      if (!expected) FAIL(error.what());
    }
  }
  CHECK(count(outside) == 0);
}
