#include "engine/mount_lines.hpp"

#include <catch2/catch.hpp>

#include "tests/engine/sandbox.hpp"

using namespace luabox;

TEST_CASE("a line of mountinfo says what of a file system lies where, blanks and all") {
  const auto lines = mount_lines(
      "36 31 8:1 /srv/a\\040b /mnt/tab\\011\\134x rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
      "37 36 0:33 / / rw - tmpfs none rw\n");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].device == "8:1");
  CHECK(lines[0].root == "/srv/a b");
  CHECK(lines[0].point == "/mnt/tab\t\\x");
  CHECK(lines[0].rest == "rw,relatime shared:1 - ext4 /dev/sda1 rw");
  CHECK(lines[1].root == "/");
  CHECK(lines[1].point == "/");
}

TEST_CASE("a text that is no mountinfo has nothing to say") {
  CHECK(mount_lines("").empty());
  const auto lines = mount_lines("36 31");
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].point.empty());
  CHECK(mount_lines(test::mount_table()).front().device.find(':') != std::string::npos);
}
