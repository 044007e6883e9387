#include "engine/archive.hpp"

#include <malloc.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "engine/tree.hpp"
#include "tests/engine/tar.hpp"

using namespace luabox;
using namespace luabox::test;
namespace fs = std::filesystem;

namespace {

std::string attribute(const std::string& path, const std::string& name) {
  std::string value(256, '\0');
  const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
  return size < 0 ? "none" : value.substr(0, static_cast<size_t>(size));
}

}  // namespace

// ---- nothing outside

TEST_CASE("a file behind a symlink to the outside lands inside the image") {
  Image image;
  image.import(Tar()
                   .directory("tmp")
                   .symlink("out", image.outside)
                   .directory(image.outside)
                   .file("out/file", "evil")
                   .end());
  CHECK(image.outside_untouched());
  CHECK(image.read(image.outside + "/file") == "evil");
}

TEST_CASE("a symlink that climbs ends at the image's root") {
  Image image;
  image.import(Tar().symlink("up", "../../../../..").file("up/climbed", "x").end());
  CHECK(image.read("climbed") == "x");
  CHECK(image.outside_untouched());
}

TEST_CASE("an absolute name is taken from the image's root") {
  Image image;
  image.import(Tar().file("/etc/passwd", "image's own").end());
  CHECK(image.read("etc/passwd") == "image's own");
}

TEST_CASE("a name with .. is refused, whatever it leads to") {
  for (const std::string name : {"../outside/file", "a/../../outside/file", "..", "a/..", "/..", "./.."}) {
    Image image;
    CHECK_THAT(image.refusal(Tar().file(name, "evil").end()), Catch::Contains("'..' is refused"));
    CHECK(image.outside_untouched());
  }
}

TEST_CASE("a file takes the place of a symlink and not of its target") {
  Image image;
  image.import(Tar().symlink("link", image.outside + "/file").file("link", "evil").end());
  CHECK(image.outside_untouched());
  CHECK(image.read("link") == "evil");
  CHECK(S_ISREG(image.stat("link").st_mode));
}

TEST_CASE("a directory member does not change what a symlink of its name leads to") {
  Image image;
  image.import(Tar().symlink("link", image.outside).directory("link", 0700).end());
  CHECK(S_ISDIR(image.stat("link").st_mode));
  CHECK(image.outside_untouched());
}

TEST_CASE("a hard link to the outside is refused or stays inside") {
  Image image;
  CHECK_THAT(image.refusal(Tar().hard_link("a", image.outside + "/file").end()),
             Catch::Contains("not in the archive"));
  CHECK_THAT(image.refusal(Tar().hard_link("b", "../outside/file").end()),
             Catch::Contains("'..' is refused"));
  CHECK_THAT(image.refusal(Tar().symlink("s", image.outside).hard_link("c", "s/file").end()),
             Catch::Contains("not in the archive"));
  CHECK(image.outside_untouched());
  CHECK(fs::hard_link_count(image.outside + "/file") == 1);
}

TEST_CASE("a hard link to a symlink links the symlink, and writing to it does not follow") {
  Image image;
  image.import(Tar()
                   .symlink("s", image.outside + "/file")
                   .hard_link("h", "s")
                   .add({.name = "h", .mode = 0777}, "evil")
                   .end());
  CHECK(image.outside_untouched());
  CHECK(S_ISLNK(image.stat("s").st_mode));
  CHECK(image.read("h") == "evil");
}

TEST_CASE("a parent that was cached is looked up again once a symlink takes its place") {
  Image image;
  image.import(Tar()
                   .directory("a")
                   .directory("b")
                   .symlink("s", "a")
                   .file("s/1", "1")
                   .symlink("s", "b")
                   .file("s/2", "2")
                   .end());
  CHECK(image.exists("a/1"));
  CHECK(image.exists("b/2"));
  CHECK_FALSE(image.exists("a/2"));
}

TEST_CASE("odd names are harmless") {
  Image image;
  image.import(Tar().directory(".").directory("./").file("./a//./b/", "").file("line\nbreak", "x").end());
  CHECK(S_ISDIR(image.stat("a").st_mode));
  CHECK(image.exists("line\nbreak"));
  CHECK_THAT(image.refusal(Tar().file(".", "x").end()), Catch::Contains("only a directory"));
  CHECK_THAT(image.refusal(Tar().symlink("/", "/etc").end()), Catch::Contains("only a directory"));
  CHECK(image.refusal(Tar().file("bad\n\x1b[2J/../x", "x").end()).find('\x1b') == std::string::npos);
}

TEST_CASE("names at the limits of tar and of Linux") {
  Image image;
  const std::string longest(255, 'n');
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "d/";
  image.import(
      Tar().pax({{"path", longest}}).file("x", "pax").gnu_long('L', deep + "f").file("y", "gnu").end());
  CHECK(image.read(longest) == "pax");
  CHECK(image.read(deep + "f") == "gnu");
  CHECK_THAT(image.refusal(Tar().pax({{"path", longest + "n"}}).file("x", "x").end()),
             Catch::Contains("too long"));
  CHECK_THAT(image.refusal(
                 Tar().gnu_long('L', std::string(500000, '/') + std::string(5000, 'x')).file("x", "x").end()),
             Catch::Contains("too long"));
  std::string deeper;
  for (int i = 0; i < 100000; ++i) deeper += "d/";
  CHECK_THAT(image.refusal(Tar().gnu_long('L', deeper).directory("x").end()), Catch::Contains("too long"));
  const std::string target(3000, 't');
  image.import(Tar().gnu_long('K', target).symlink("long", "x").end());
  CHECK(fs::read_symlink(image.root + "/long") == target);
}

// ---- later members replace earlier ones

TEST_CASE("a later member takes an earlier one's place, and a directory stays") {
  Image image;
  image.import(Tar()
                   .file("a", "1")
                   .file("a", "2")
                   .directory("d", 0700)
                   .file("d/kept", "k")
                   .directory("d", 0711)
                   .directory("empty")
                   .file("empty", "now a file")
                   .file("f", "x")
                   .directory("f")
                   .file("l", "x")
                   .symlink("l", "a")
                   .end());
  CHECK(image.read("a") == "2");
  CHECK(image.read("d/kept") == "k");
  CHECK((image.stat("d").st_mode & 07777) == 0711);
  CHECK(image.read("empty") == "now a file");
  CHECK(S_ISDIR(image.stat("f").st_mode));
  CHECK(S_ISLNK(image.stat("l").st_mode));
  CHECK_THAT(image.refusal(Tar().directory("full").file("full/x", "x").file("full", "y").end()),
             Catch::Contains("a directory stands in its place"));
}

TEST_CASE("replacing one name of a file leaves its other names alone") {
  Image image;
  image.import(Tar().file("a", "old").hard_link("b", "a").file("a", "new").end());
  CHECK(image.read("a") == "new");
  CHECK(image.read("b") == "old");
}

TEST_CASE("a hard link to itself keeps the file") {
  Image image;
  image.import(Tar().file("a", "kept").hard_link("a", "a").hard_link("b", "a").hard_link("b", "a").end());
  CHECK(image.read("a") == "kept");
  CHECK(image.stat("b").st_nlink == 2);
}

// ---- what is kept

TEST_CASE("modes are exact under any umask, setuid included, and a directory's is set at the end") {
  Image image;
  const mode_t before = ::umask(077);
  image.import(Tar()
                   .add({.name = "su", .mode = 04755}, "x")
                   .add({.name = "ro", .mode = 0444}, "x")
                   .directory("shut", 0555)
                   .file("shut/in", "x")
                   .directory("sticky", 01777)
                   .add({.name = "pipe", .type = '6', .mode = 0666})
                   .file("implied/f", "x")
                   .end());
  ::umask(before);
  const auto mode = [&](const char* name) { return image.stat(name).st_mode & 07777; };
  CHECK(mode("su") == 04755);
  CHECK(mode("ro") == 0444);
  CHECK(mode("shut") == 0555);
  CHECK(mode("sticky") == 01777);
  CHECK(mode("pipe") == 0666);
  CHECK(mode("implied") == 0755);
  CHECK(mode(".") == 0755);
}

TEST_CASE("owners are kept up to the last number, and setuid survives them") {
  if (!is_root()) SKIP_TEST("needs root");
  Image image;
  image.import(Tar()
                   .add({.name = "su", .mode = 06755, .uid = 1000, .gid = 50}, "x")
                   .pax({{"uid", "4294967294"}, {"gid", "3000000000"}})
                   .directory("big")
                   .add({.name = "link", .type = '2', .link = "su", .uid = 7, .gid = 8})
                   .end());
  CHECK(image.stat("su").st_uid == 1000);
  CHECK((image.stat("su").st_mode & 07777) == 06755);
  CHECK(image.stat("big").st_uid == 4294967294);
  CHECK(image.stat("big").st_gid == 3000000000);
  CHECK(image.stat("link").st_gid == 8);
  for (const std::string id : {"4294967295", "4294967296", "-1"})
    CHECK_THAT(image.refusal(Tar().pax({{"uid", id}}).file("nobody", "x").end()),
               Catch::Contains("is not a user or group id"));
}

TEST_CASE("all files are ours with Owner::own, also for nobody") {
  Image image;
  REQUIRE(::chown(image.box.path().c_str(), 65534, 65534) == 0);
  REQUIRE(::chown(image.root.c_str(), 65534, 65534) == 0);
  const std::string archive =
      image.box.file("a.tar", Tar()
                                  .pax({{"SCHILY.xattr.security.capability", "junk"}})
                                  .add({.name = "f", .mode = 04755, .uid = 1000}, "x")
                                  .directory("shut", 0)
                                  .file("shut/in", "x")
                                  .file("late/within/f", "x")  // mentioned after what is in it
                                  .directory("late/within", 0700)
                                  .directory("late", 0)
                                  .add({.name = "null", .type = '3', .major = 1, .minor = 3})
                                  .end());
  in_child(0, [&] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) throw Error("setuid");
    const auto result = import_file(archive, image.root, {.owner = Owner::own});
    expect(result.skipped.devices == 1, "one device was skipped");
    expect(result.skipped.xattrs == 1, "one attribute was skipped");
  });
  CHECK(image.stat("f").st_uid == 65534);
  CHECK((image.stat("shut").st_mode & 07777) == 0);
  CHECK((image.stat("late").st_mode & 07777) == 0);
  CHECK((image.stat("late/within").st_mode & 07777) == 0700);
  CHECK_FALSE(image.exists("null"));
}

TEST_CASE("times are kept to the nanosecond, before 1970 too") {
  Image image;
  image.import(Tar()
                   .pax({{"mtime", "1234567890.123456789"}})
                   .file("f", "x")
                   .pax({{"mtime", "-1.25"}})
                   .symlink("s", "f")
                   .directory("d")
                   .file("d/later", "x")
                   .end());
  CHECK(image.stat("f").st_mtim.tv_sec == 1234567890);
  CHECK(image.stat("f").st_mtim.tv_nsec == 123456789);
  CHECK(image.stat("s").st_mtim.tv_sec == -2);
  CHECK(image.stat("s").st_mtim.tv_nsec == 750000000);
  CHECK(image.stat("d").st_mtim.tv_sec == 1000000000);
}

TEST_CASE("names are bytes: they are neither converted nor normalised") {
  Image image;
  const std::string decomposed = "e\xcc\x81", invalid = "\xff\xfe";
  image.import(Tar()
                   .pax({{"path", decomposed}})
                   .file("x", "d")
                   .pax({{"path", invalid}})
                   .file("y", "i")
                   .file("\xe9", "l")
                   .end());
  CHECK(image.read(decomposed) == "d");
  CHECK(image.read(invalid) == "i");
  CHECK(image.read("\xe9") == "l");
}

TEST_CASE("capabilities and user attributes are kept, what steers overlayfs is dropped") {
  if (!is_root()) SKIP_TEST("needs root");
  Image image;
  const std::string capability("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  const auto result = image.import(Tar()
                                       .pax({{"SCHILY.xattr.security.capability", capability},
                                             {"SCHILY.xattr.user.note", "a=b\nc"},
                                             {"SCHILY.xattr.user.overlay.opaque", "y"}})
                                       .add({.name = "ping", .mode = 0555, .uid = 5}, "x")
                                       .pax({{"SCHILY.xattr.trusted.overlay.opaque", "y"},
                                             {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
                                             {"SCHILY.xattr.user.dir", "d"}})
                                       .directory("d")
                                       .end());
  CHECK(attribute(image.root + "/ping", "security.capability") == capability);
  CHECK(attribute(image.root + "/ping", "user.note") == "a=b\nc");
  CHECK(attribute(image.root + "/ping", "user.overlay.opaque") == "none");
  CHECK(attribute(image.root + "/d", "trusted.overlay.opaque") == "none");
  CHECK(attribute(image.root + "/d", "trusted.overlay.redirect") == "none");
  CHECK(attribute(image.root + "/d", "user.dir") == "d");
  CHECK((image.stat("ping").st_mode & 07777) == 0555);
  CHECK(result.skipped.xattrs == 3);
}

TEST_CASE("device nodes are made, skipped or refused, and a whiteout is never made") {
  if (!is_root()) SKIP_TEST("needs root");
  const std::string tar = Tar()
                              .add({.name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3})
                              .add({.name = "whiteout", .type = '3'})
                              .end();
  Image kept, skipped, refused;
  CHECK(kept.import(tar).skipped.devices == 1);
  CHECK(kept.stat("null").st_rdev == makedev(1, 3));
  CHECK((kept.stat("null").st_mode & 07777) == 0666);
  CHECK_FALSE(kept.exists("whiteout"));
  CHECK(skipped.import(tar, {.devices = Devices::skip}).skipped.devices == 2);
  CHECK_FALSE(skipped.exists("null"));
  CHECK_THAT(refused.refusal(tar, {.devices = Devices::refuse}), Catch::Contains("it is a device node"));
}

TEST_CASE("what an archive says of one member fills no memory") {
  Image image;
  const auto sparse = [](size_t pieces) {
    std::string map = std::to_string(pieces) + "\n";
    for (size_t i = 0; i < pieces; ++i) map += "0\n0\n";
    map.resize((map.size() + kBlock - 1) / kBlock * kBlock, '\0');
    return Tar()
        .pax({{"GNU.sparse.major", "1"},
              {"GNU.sparse.minor", "0"},
              {"GNU.sparse.name", "sparse"},
              {"GNU.sparse.realsize", "4096"}})
        .file("GNUSparseFile.0/sparse", map)
        .end();
  };
  CHECK(image.refusal(sparse(100000)).empty());
  CHECK_THAT(image.refusal(sparse(8000000)), Catch::Contains("more than 16 MiB"));
  CHECK_THAT(image.refusal(Tar().pax({{"comment", std::string(20U << 20U, 'x')}}).file("x", "x").end()),
             Catch::Contains("Special header too large"));
  // It is not the contents that are counted, read or passed over.
  CHECK(image.refusal(Tar().file("large", std::string(40U << 20U, 'x')).file("next", "x").end()).empty());
  CHECK(image.read("next") == "x");
}

TEST_CASE("directories that an archive does not mention fill no memory, however deep") {
  constexpr int kMembers = 40, kDepth = 400;
  std::string deep;
  for (int i = 0; i < kDepth; ++i) deep += "d/";
  Tar tar;
  for (int i = 0; i < kMembers; ++i) tar.gnu_long('L', std::to_string(i) + "/" + deep + "f").file("x", "x");
  tar.file("large", std::string(1U << 20U, 'x'));  // progress is told while it is read
  Image image;
  const size_t before = ::mallinfo2().uordblks;
  size_t most = before;
  import_file(image.box.file("a.tar", tar.end()), image.root, {},
              [&](const ImportProgress&) { most = std::max(most, ::mallinfo2().uordblks); });
  CHECK(image.read("39/" + deep + "f") == "x");
  CHECK(most - before < 4U << 20U);
}

TEST_CASE(
    "an archive that goes deep through symlinks is made, and not looked up from the top for each step") {
  constexpr int kSteps = 8, kDepth = 500;
  std::string deep, way;
  for (int i = 0; i < kDepth; ++i) deep += "/d";
  Tar tar;
  for (int i = 0; i < kSteps; ++i) {
    way = (i == 0 ? "a" : std::to_string(i - 1)) + deep;
    tar.gnu_long('L', way + "/f").file("x", "x");
    tar.gnu_long('K', way).symlink(std::to_string(i), "x");
  }
  Image image;
  image.import(tar.end());
  CHECK(image.read(way + "/f") == "x");
  CHECK((image.stat(way).st_mode & 07777) == 0755);
  remove_tree(image.root);
}

TEST_CASE("a sparse file keeps its holes and its size") {
  Image image;
  const std::string data(4096, 'd');
  image.import(Tar()
                   .pax({{"GNU.sparse.major", "1"},
                         {"GNU.sparse.minor", "0"},
                         {"GNU.sparse.name", "sparse"},
                         {"GNU.sparse.realsize", "104857600"}})
                   .file("x", "1\n52428800\n4096\n" + std::string(kBlock - 16, '\0') + data)
                   .end());
  CHECK(image.stat("sparse").st_size == 104857600);
  CHECK(image.stat("sparse").st_blocks < 100);
  CHECK(image.read("sparse").substr(52428800, 4096) == data);
}

TEST_CASE("a v7 archive, which knows no directories and no ustar, is a tar") {
  Image image;
  Tar tar;
  tar.file("old/", "").file("old/f", "seven");
  for (const size_t at : {0U, 512U}) {
    unsigned sum = 0;
    std::memset(tar.bytes.data() + at + 257, 0, 255);
    tar.bytes[at + 156] = '\0';
    std::memset(tar.bytes.data() + at + 148, ' ', 8);
    for (size_t i = at; i < at + kBlock; ++i) sum += static_cast<unsigned char>(tar.bytes[i]);
    std::snprintf(tar.bytes.data() + at + 148, 8, "%06o", sum);
  }
  image.import(tar.end());
  CHECK(image.read("old/f") == "seven");
}
