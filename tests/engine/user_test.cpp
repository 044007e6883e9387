#include "engine/user.hpp"

#include <grp.h>

#include <csignal>

#include "engine/security.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "app:x:1000:100:An app:/srv/app:/bin/app\n"
    "twin:x:1000:200::relative:\n"
    "1001:x:7:7::/seven:\n";
constexpr const char* kGroup =
    "root:x:0:\n"
    "users:x:100:\n"
    "audio:x:29:app,root\n"
    "video:x:44:x,app\n"
    "again:x:29:app\n"
    "apple:x:45:apple,ap\n";

/// A child in a user namespace of its own that waits while `body` writes its maps, then reports its
/// /proc/self/FILE.
std::string mapped(const std::string& file, const std::function<void(pid_t)>& body) {
  int go[2], report[2];
  REQUIRE(::pipe(go) == 0);
  REQUIRE(::pipe(report) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    ::close(go[1]);
    if (::unshare(CLONE_NEWUSER) != 0 || ::write(report[1], "u", 1) != 1 || ::read(go[0], &byte, 1) != 1)
      ::_exit(1);
    const std::string text = slurp("/proc/self/" + file);
    ::_exit(::write(report[1], text.data(), text.size()) < 0 ? 1 : 0);
  }
  ::close(report[1]);
  ::close(go[0]);
  char buffer[4096];
  REQUIRE(::read(report[0], buffer, 1) == 1);
  std::string text;
  try {
    body(child);
    if (::write(go[1], "x", 1) == 1)
      for (ssize_t count; (count = ::read(report[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<size_t>(count));
  } catch (...) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(go[1]);
    ::close(report[0]);
    throw;
  }
  ::close(go[1]);
  ::close(report[0]);
  ::waitpid(child, nullptr, 0);
  return text;
}

std::vector<unsigned> numbers(const std::string& text) {
  std::istringstream in(text);
  std::vector<unsigned> list;
  for (unsigned number = 0; in >> number;) list.push_back(number);
  return list;
}

std::vector<IdMap> lines(size_t count) {
  std::vector<IdMap> map;
  for (uint32_t i = 0; i < count; ++i) map.push_back({i * 2, 1000 + i * 2, 1});
  return map;
}

}  // namespace

TEST_CASE("a map is three numbers") {
  CHECK(IdMap::parse("0 100000 65536") == IdMap{0, 100000, 65536});
  CHECK(IdMap::parse("  5   6 7 ") == IdMap{5, 6, 7});
  CHECK(IdMap::parse("0 0 4294967295") == IdMap{0, 0, 4294967295});
  check_id_map({IdMap::parse("0 0 4294967295")});
  CHECK(code_of([] { check_id_map({IdMap::parse("4294967295 0 1")}); }) == EINVAL);
  for (const std::string text : {"", "0 1", "0 1 2 3", "-1 0 1", "0 0 4294967296", "a b c", "0 1 2\n3 4 5"})
    CHECK(code_of([&] { IdMap::parse(text); }) == EINVAL);
}

TEST_CASE("a map that the kernel would refuse is refused with the reason") {
  const auto reason = [](const std::vector<IdMap>& map) -> std::string {
    try {
      check_id_map(map);
    } catch (const Error& error) {
      return error.hint();
    }
    return "";
  };
  CHECK(reason({{0, 1000, 1}, {1, 2000, 10}}).empty());
  CHECK_THAT(reason({{0, 1000, 10}, {5, 3000, 1}}), Catch::Contains("overlaps '0 1000 10' inside"));
  CHECK_THAT(reason({{0, 1000, 10}, {10, 1009, 1}}), Catch::Contains("outside"));
  CHECK_THAT(reason({{0, 0, 0}}), Catch::Contains("count is 0"));
  CHECK_THAT(reason({{1, 0, 4294967295}}), Catch::Contains("4294967294"));
  CHECK(reason({{0, 0, 4294967295}}).empty());
  CHECK_THAT(reason({}), Catch::Contains("no id"));
  CHECK(reason(lines(340)).empty());
  CHECK_THAT(reason(lines(341)), Catch::Contains("340"));
}

TEST_CASE("a child's ids are mapped as its parent writes them") {
  if (!is_root()) SKIP_TEST("needs root");
  const IdMaps maps = {
      .uid = {{0, 100000, 1000}, {1000, 5000, 1}}, .gid = {{0, 200000, 10}}, .setgroups = Setgroups::deny};
  const auto write = [&](pid_t child) { write_id_maps(child, maps); };
  CHECK(numbers(mapped("uid_map", write)) == std::vector<unsigned>{0, 100000, 1000, 1000, 5000, 1});
  CHECK(numbers(mapped("gid_map", write)) == std::vector<unsigned>{0, 200000, 10});
  CHECK(mapped("setgroups", write) == "deny\n");
  CHECK(numbers(mapped("uid_map", [](pid_t child) { write_id_maps(child, {.uid = lines(340)}); })).size() ==
        1020);
}

TEST_CASE("a map is written once, and the second time says so") {
  if (!is_root()) SKIP_TEST("needs root");
  mapped("uid_map", [](pid_t child) {
    write_id_maps(child, {.uid = {{0, 0, 1}}});
    CHECK(code_of([&] { write_id_maps(child, {.uid = {{0, 0, 1}}}); }) == EPERM);
  });
}

TEST_CASE("without privileges one's own id can be mapped, and more is EPERM with what it takes") {
  if (!is_root()) SKIP_TEST("needs root, to become nobody in particular");
  in_child(0, [] {
    set_ids({.uid = 1000, .gid = 1000});
    dumpable(Dumpable::yes);  // a change of ids has made its /proc files root's
    expect(::unshare(CLONE_NEWUSER) == 0, "a user namespace");
    try {
      write_id_maps(::getpid(), {.uid = {{0, 1000, 2}}});
      expect(false, "EPERM");
    } catch (const Error& error) {
      expect(error.code() == EPERM && error.hint().find("newuidmap") != std::string::npos, error.what());
    }
    write_id_maps(::getpid(), {.uid = {{0, 1000, 1}}, .gid = {{0, 1000, 1}}, .setgroups = Setgroups::deny});
    expect(::getuid() == 0 && ::getgid() == 0, "root inside");
    set_ids({.uid = 0, .gid = 0});  // setgroups is denied, and there are none to drop
    expect(code_of([] { set_ids({.uid = 0, .gid = 0, .groups = {5}}); }) == EPERM, "a group can't be joined");
    expect(code_of([] { set_ids({.uid = 5, .gid = 0}); }) == EINVAL, "an id that isn't mapped");
  });
}

TEST_CASE("a process that changed its ids can't change back") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    set_ids({.uid = 1000, .gid = 1001, .groups = {5, 6}});
    gid_t groups[8];
    expect(::getgroups(8, groups) == 2 && groups[0] == 5 && groups[1] == 6, "the groups that were asked for");
    expect(::setresuid(0, 0, 0) != 0 && ::setresgid(0, 0, 0) != 0, "root is out of reach");
    const auto status = slurp("/proc/self/status");
    expect(status.find("Uid:\t1000\t1000\t1000\t1000") != std::string::npos, "all uids");
    expect(status.find("Gid:\t1001\t1001\t1001\t1001") != std::string::npos, "all gids");
    expect(status.find("CapPrm:\t0000000000000000") != std::string::npos, "no capability");
  });
  CHECK(code_of([] { set_ids({.uid = 4294967295, .gid = 0}); }) == EINVAL);
}

TEST_CASE("a user of an image is found by name or number, with the groups that list it") {
  const User app = lookup_user(kPasswd, kGroup, "app");
  CHECK(app.uid == 1000);
  CHECK(app.gid == 100);
  CHECK(app.groups == std::vector<gid_t>{29, 44, 100});
  CHECK(app.home == "/srv/app");
  CHECK(app.shell == "/bin/app");
  CHECK(lookup_user(kPasswd, kGroup, "1000").name == "app");
  CHECK(lookup_user(kPasswd, kGroup, "1000").groups == app.groups);
  CHECK(lookup_user(kPasswd, kGroup, "1001").uid == 7);  // a name of digits goes before a number
  CHECK(lookup_user(kPasswd, kGroup, "twin").home == "/");
  CHECK(lookup_user("", "", "4242").uid == 4242);
  CHECK(lookup_user("", "", "4242").gid == 0);
  CHECK(lookup_user("", "", "4242").groups == std::vector<gid_t>{0});
}

TEST_CASE("an explicit group replaces the user's own and leaves no others") {
  CHECK(lookup_user(kPasswd, kGroup, "app:video").gid == 44);
  CHECK(lookup_user(kPasswd, kGroup, "app:video").groups == std::vector<gid_t>{44});
  CHECK(lookup_user(kPasswd, kGroup, "app:4711").gid == 4711);
  CHECK(lookup_user("", "", "5:6").gid == 6);
}

TEST_CASE("an unknown name is ENOENT, and no number is made of it") {
  for (const std::string who : {"nobody", "", ":", "app:", "app:nogroup", "-1", "4294967295", "4294967296",
                                "1000 ", "+5", "0x0", "1:2:3"})
    CHECK(code_of([&] { lookup_user(kPasswd, kGroup, who); }) == ENOENT);
}

TEST_CASE("no line of a hostile passwd file makes a user root") {
  const std::string hostile =
      "app:x:-1:0::/:\n"
      "app:x:4294967296:0::/:\n"
      "app:x:4294967295:0::/:\n"
      "app:x::0::/:\n"
      "app:x:0\n"
      "app\n"
      ":x:0:0::/:\n"
      "app:x:0x0:0::/:\n"
      "app:x: 0:0::/:\n"
      "app:x:0:0::/::extra\n" +
      std::string(1U << 20U, ':') + "\n" + std::string(1U << 20U, 'a') + "\nother:x:5:5::/:";
  CHECK(code_of([&] { lookup_user(hostile, "", "app"); }) == ENOENT);
  CHECK(lookup_user(hostile, "", "other").uid == 5);
  CHECK(lookup_user(std::string("a\0b:x:1:1::/:\n", 14), "", "7").uid == 7);
}

TEST_CASE("subordinate ids are those of the user's own lines that make sense") {
  const std::string text = "app:100000:65536\nother:1:1\napp:x:1\napp:5:0\napp:4294967290:100\napp:300000:1";
  const auto ranges = parse_subordinate(text, "app");
  REQUIRE(ranges.size() == 2);
  CHECK(ranges[0].first == 100000);
  CHECK(ranges[0].count == 65536);
  CHECK(ranges[1].first == 300000);
  CHECK(parse_subordinate(":1:1\n", "").empty());
  REQUIRE(parse_subordinate("app:0:4294967295\n", "app").size() == 1);
  CHECK(parse_subordinate("app:1:4294967295\n", "app").empty());
}
