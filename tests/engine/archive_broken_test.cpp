#include <unistd.h>

#include <random>

#include "engine/archive.hpp"
#include "tests/engine/tar.hpp"

using namespace luabox;
using namespace luabox::test;
namespace fs = std::filesystem;

TEST_CASE("an archive cut at any block, and within any, is an error") {
  const std::string tar = small_tar();
  {
    Image image;
    CHECK(image.refusal(tar).empty());
  }
  for (size_t length = 0; length < tar.size(); length += kBlock / 2) {
    Image image;
    INFO("cut at " << length);
    CHECK_THAT(image.refusal(tar.substr(0, length)),
               Catch::Contains("cut off") || Catch::Contains("not a tar") || Catch::Contains("is broken"));
  }
}

TEST_CASE("a compressed archive is imported whole, and an error wherever it is cut") {
  std::mt19937 random(1);
  for (const std::string tool : {"gzip", "bzip2", "xz", "zstd"}) {
    Image image;
    const std::string packed = compressed(image.box, tool, small_tar());
    CHECK(image.import(packed).compression == tool);
    CHECK(image.read("last") == std::string(512, 'l'));
    for (int i = 0; i < 50; ++i) {
      Image other;
      const size_t length = random() % packed.size();
      INFO(tool << " cut at " << length << " of " << packed.size());
      CHECK_FALSE(other.refusal(packed.substr(0, length)).empty());
    }
  }
}

TEST_CASE(
    "a wrong checksum and garbage after a compressed stream are errors, zeros and a second stream are not") {
  for (const std::string tool : {"gzip", "bzip2", "xz", "zstd"}) {
    Image image;
    INFO(tool);
    const std::string tar = small_tar(), packed = compressed(image.box, tool, tar);
    std::string wrong = packed;
    wrong[wrong.size() - 5] ^= 1;
    CHECK_THAT(image.refusal(wrong), Catch::Contains("data is broken"));
    CHECK_THAT(image.refusal(packed + "garbage"), Catch::Contains("data is broken"));
    CHECK(image.refusal(packed + std::string(600000, '\0')).empty());
    const size_t half = tar.size() / 2;
    CHECK(image
              .refusal(compressed(image.box, tool, tar.substr(0, half)) +
                       compressed(image.box, tool, tar.substr(half)))
              .empty());
  }
}

TEST_CASE("a sparse file's map that is no map is told") {
  Image image;
  CHECK_THAT(image.refusal(Tar().pax({{"GNU.sparse.map", "-1"}}).file("x", "x").end()),
             Catch::Contains("the archive is broken: what it says of a member can't be read"));
}

TEST_CASE("what is no tar is called so, and an empty one too") {
  Image image;
  CHECK_THAT(image.refusal(""), Catch::Contains("it is empty"));
  CHECK_THAT(image.refusal("#!/bin/sh\necho no\n"), Catch::Contains("not a tar archive"));
  CHECK_THAT(image.refusal(std::string(100000, 'x')), Catch::Contains("not a tar archive"));
  CHECK_THAT(image.refusal(std::string(10240, '\0')), Catch::Contains("the archive is empty"));
  std::string wrong = small_tar();
  wrong[kBlock] ^= 1;
  CHECK_FALSE(image.refusal(wrong).empty());
}

TEST_CASE("what follows the end of a plain tar is ignored, as tar does") {
  Image image;
  CHECK(image.refusal(small_tar() + "whatever").empty());
}

TEST_CASE("a single block of zeros between members is no end, but a hole in the archive") {
  const std::string tar = small_tar();
  for (const std::string& rest : {tar, std::string(kBlock, 'x'), std::string(kBlock - 1, '\0') + "x"}) {
    Image image;
    CHECK_THAT(image.refusal(tar.substr(0, tar.size() - 2 * kBlock) + std::string(kBlock, '\0') + rest),
               Catch::Contains("a block of zeros stands"));
  }
}

TEST_CASE("an archive longer than max_bytes is refused before it is unpacked") {
  Image image;
  const std::string bomb =
      compressed(image.box, "gzip", Tar().file("zeros", std::string(50U << 20U, '\0')).end());
  const auto refusal = image.refusal(bomb, {.max_bytes = 1U << 20U});
  CHECK_THAT(refusal, Catch::Contains("more than 1048576 bytes when unpacked"));
  CHECK(image.stat("zeros").st_size < (2 << 20));
}

TEST_CASE("a full disk names the member that did not fit") {
  if (!is_root()) SKIP_TEST("needs root");
  Image image;
  const std::string archive = image.box.file("a.tar", Tar().file("big", std::string(4U << 20U, 'x')).end());
  in_child(CLONE_NEWNS, [&] {
    if (::mount("tmpfs", image.root.c_str(), "tmpfs", 0, "size=1m") != 0) throw Error("mount");
    try {
      import_file(archive, image.root);
      expect(false, "an error");
    } catch (const Error& error) {
      expect(error.code() == ENOSPC && error.object() == "big", error.what());
    }
  });
}

TEST_CASE("a signal ends an import that waits for its input") {
  Image image;
  in_child(0, [&] {
    const ForwardedSignals signals;
    int ends[2];
    expect(::pipe2(ends, O_CLOEXEC) == 0, "a pipe");
    expect(::kill(::getpid(), SIGWINCH) == 0 && ::kill(::getpid(), SIGTERM) == 0, "signals");
    const int code = code_of([&] {
      import_archive({ends[0], "pipe"}, Fd::open(image.root, O_RDONLY).get(), {.signals = &signals});
    });
    expect(code == EINTR, "EINTR, got " + std::to_string(code));
  });
}

TEST_CASE("progress counts up to the source's size and may end the import") {
  Image image;
  const std::string archive = image.box.file("a.tar", Tar().file("f", std::string(2U << 20U, 'x')).end());
  ImportProgress last;
  int calls = 0;
  import_file(archive, image.root, {}, [&](const ImportProgress& p) {
    CHECK(p.read >= last.read);
    last = p;
    ++calls;
  });
  CHECK(calls > 4);
  CHECK(last.read == last.total);
  CHECK(last.total == fs::file_size(archive));
  CHECK(last.bytes == 2U << 20U);
  CHECK_THROWS_AS(
      import_file(archive, image.root, {}, [](const ImportProgress&) { throw std::runtime_error("stop"); }),
      std::runtime_error);
}

TEST_CASE("no mutation of an archive crashes the import or reaches outside") {
  std::mt19937 random(42);
  const std::string tar = small_tar();
  Image image;
  for (int round = 0; round < 500; ++round) {
    std::string mutated = tar;
    for (unsigned i = 0; i < 1 + random() % 8; ++i)
      mutated[random() % mutated.size()] = static_cast<char>(random());
    if (round % 2 == 0) {  // a right checksum, so that the mutation gets past it
      for (size_t at = 0; at + kBlock <= mutated.size(); at += kBlock) {
        if (mutated.compare(at + 257, 5, "ustar") != 0) continue;
        unsigned sum = 8 * ' ';
        for (size_t i = 0; i < kBlock; ++i)
          if (i < 148 || i >= 156) sum += static_cast<unsigned char>(mutated[at + i]);
        std::snprintf(mutated.data() + at + 148, 8, "%06o", sum);
      }
    }
    fs::remove_all(image.root);
    fs::create_directory(image.root);
    image.refusal(mutated);
    REQUIRE(image.outside_untouched());
    REQUIRE(std::distance(fs::directory_iterator(image.box.path()), fs::directory_iterator()) == 3);
  }
}
