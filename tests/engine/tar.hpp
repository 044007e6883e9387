// Archives made member by member, as no tar program would, and folders to import them into.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include "engine/archive.hpp"
#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "tests/engine/sandbox.hpp"

namespace luabox::test {

constexpr size_t kBlock = 512;

/// What a header says; `type` is tar's type flag.
struct Header {
  std::string name;
  char type = '0';
  std::string link = {};
  unsigned mode = 0644;
  uint64_t uid = 0, gid = 0;
  uint64_t size = 0;
  uint64_t mtime = 1000000000;
  unsigned major = 0, minor = 0;
};

/// A tar written by hand, so that it can say what no tar program would.
class Tar {
 public:
  Tar& add(const Header& header, const std::string& contents = {}) {
    std::array<char, kBlock> block = {};
    const auto text = [&](size_t at, size_t room, const std::string& value) {
      std::memcpy(block.data() + at, value.data(), std::min(room, value.size()));
    };
    const auto number = [&](size_t at, size_t room, uint64_t value) {
      std::string digits(room - 1, '0');
      for (size_t i = digits.size(); i-- > 0; value /= 8) digits[i] = static_cast<char>('0' + value % 8);
      text(at, room, digits);
    };
    text(0, 100, header.name);
    number(100, 8, header.mode);
    number(108, 8, header.uid);
    number(116, 8, header.gid);
    number(124, 12, contents.empty() ? header.size : contents.size());
    number(136, 12, header.mtime);
    text(148, 8, "        ");
    block[156] = header.type;
    text(157, 100, header.link);
    text(257, 8, std::string("ustar\00000", 8));
    number(329, 8, header.major);
    number(337, 8, header.minor);
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    number(148, 7, sum);
    bytes.append(block.data(), kBlock);
    bytes += contents;
    bytes.append((kBlock - contents.size() % kBlock) % kBlock, '\0');
    return *this;
  }
  /// pax records for the next member.
  Tar& pax(const std::map<std::string, std::string>& records) {
    std::string text;
    for (const auto& [key, value] : records) {
      const size_t rest = key.size() + value.size() + 3;
      size_t length = rest + 1;
      while (length != rest + std::to_string(length).size()) ++length;
      text.append(std::to_string(length)).append(" ").append(key).append("=").append(value).append("\n");
    }
    return add({.name = "PaxHeader", .type = 'x'}, text);
  }
  /// A GNU long name ('L') or long link ('K') for the next member.
  Tar& gnu_long(char type, const std::string& value) {
    return add({.name = "././@LongLink", .type = type}, value + std::string(1, '\0'));
  }
  Tar& directory(const std::string& name, unsigned mode = 0755) {
    return add({.name = name, .type = '5', .mode = mode});
  }
  Tar& symlink(const std::string& name, const std::string& target) {
    return add({.name = name, .type = '2', .link = target, .mode = 0777});
  }
  Tar& hard_link(const std::string& name, const std::string& target) {
    return add({.name = name, .type = '1', .link = target});
  }
  Tar& file(const std::string& name, const std::string& contents) { return add({.name = name}, contents); }
  std::string end() const { return bytes + std::string(2 * kBlock, '\0'); }

  std::string bytes;
};

inline ImportResult import_file(const std::string& archive, const std::string& directory,
                                const ImportOptions& options = {},
                                const std::function<void(const ImportProgress&)>& progress = {}) {
  const Fd source = Fd::open(archive, O_RDONLY);
  return import_archive({source.get(), "a.tar"}, Fd::open(directory, O_RDONLY | O_DIRECTORY).get(), options,
                        progress);
}

/// A folder to import into, with a folder beside it that no import may touch.
struct Image {
  ImportResult import(const std::string& bytes, const ImportOptions& options = {}) {
    return import_file(box.file("a.tar", bytes), root, options);
  }
  /// The error's text; "" when it was imported.
  std::string refusal(const std::string& bytes, const ImportOptions& options = {}) {
    try {
      import(bytes, options);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }
  struct stat stat(const std::string& name) const {
    struct stat found = {};
    if (::lstat((root + "/" + name).c_str(), &found) < 0) throw Error("lstat", name);
    return found;
  }
  std::string read(const std::string& name) const { return slurp(root + "/" + name); }
  bool exists(const std::string& name) const {
    return std::filesystem::symlink_status(root + "/" + name).type() != std::filesystem::file_type::not_found;
  }
  bool outside_untouched() const {
    return slurp(outside + "/file") == "precious" &&
           std::distance(std::filesystem::directory_iterator(outside),
                         std::filesystem::directory_iterator()) == 1 &&
           std::filesystem::status(outside + "/file").permissions() == std::filesystem::perms(0640);
  }

  Image() {
    std::filesystem::permissions(box.file("outside/file", "precious"), std::filesystem::perms(0640));
  }
  Sandbox box;
  std::string root = box.dir("root"), outside = box.dir("outside");
};

inline std::string small_tar() {
  return Tar()
      .directory("etc")
      .file("etc/motd", std::string(1500, 'm'))
      .pax({{"path", "etc/long"}, {"mtime", "1.5"}})
      .file("x", "long")
      .gnu_long('L', "etc/" + std::string(200, 'n'))
      .file("y", "gnu")
      .symlink("lib", "etc")
      .hard_link("motd", "etc/motd")
      .file("last", std::string(512, 'l'))
      .end();
}

inline std::string compressed(const Sandbox& box, const std::string& tool, const std::string& bytes) {
  const std::string plain = box.file("plain", bytes), packed = (box.path() / "packed").string();
  REQUIRE(std::system((tool + " -c < " + plain + " > " + packed).c_str()) == 0);
  return slurp(packed);
}

}  // namespace luabox::test
