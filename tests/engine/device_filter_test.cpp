#include "engine/device_filter.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/cgroup_host.hpp"
#include "engine/fd.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

/// A cgroup of the test's own in the v2 hierarchy; "" where there is none.
class V2Cgroup {
 public:
  V2Cgroup() {
    const auto* v2 = CgroupHost::local()->unified();
    if (v2 == nullptr) return;
    path_ = v2->base + "/luabox-test-devices" + std::to_string(::getpid());
    std::filesystem::create_directory(path_);
  }
  V2Cgroup(const V2Cgroup&) = delete;
  V2Cgroup& operator=(const V2Cgroup&) = delete;
  ~V2Cgroup() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  const std::string& path() const { return path_; }
  /// The errno of open(2) by a process in the cgroup; 0 when it opened.
  int open_inside(const std::string& device, int flags) const {
    const pid_t child = ::fork();
    if (child == 0) {
      write_file(path_ + "/cgroup.procs", "0");
      const int fd = ::open(device.c_str(), flags | O_CLOEXEC);
      ::_exit(fd >= 0 ? 0 : errno);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  }

 private:
  std::string path_;
};

}  // namespace

TEST_CASE("a device that no rule allows can't be opened in a v2 cgroup") {
  const V2Cgroup cgroup;
  if (!is_root() || cgroup.path().empty()) SKIP_TEST("needs root and a v2 hierarchy");
  REQUIRE(cgroup.open_inside("/dev/zero", O_RDONLY) == 0);
  attach_device_filter(cgroup.path(), {"c 1:3 rwm", "c 1:5 w", "c 1:* m", "b *:* m"});
  CHECK(cgroup.open_inside("/dev/null", O_RDWR) == 0);
  CHECK(cgroup.open_inside("/dev/zero", O_WRONLY) == 0);
  CHECK(cgroup.open_inside("/dev/zero", O_RDONLY) == EPERM);
  CHECK(cgroup.open_inside("/dev/zero", O_RDWR) == EPERM);
  CHECK(cgroup.open_inside("/dev/urandom", O_RDONLY) == EPERM);
}

TEST_CASE("no rule allows nothing, wildcards allow their kind, and the last rules said are in force") {
  const V2Cgroup cgroup;
  if (!is_root() || cgroup.path().empty()) SKIP_TEST("needs root and a v2 hierarchy");
  attach_device_filter(cgroup.path(), {});
  CHECK(cgroup.open_inside("/dev/null", O_RDONLY) == EPERM);
  attach_device_filter(cgroup.path(), {"c *:* rwm"});
  CHECK(cgroup.open_inside("/dev/null", O_RDONLY) == 0);
}

TEST_CASE("a rule that is none is refused") {
  const V2Cgroup cgroup;
  if (!is_root() || cgroup.path().empty()) SKIP_TEST("needs root and a v2 hierarchy");
  CHECK(code_of([&] { attach_device_filter(cgroup.path(), {"nonsense"}); }) == EINVAL);
}
