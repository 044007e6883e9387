#include "engine/compiled_policies.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "engine/fd.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

#define NEEDS_ROOT \
  if (!is_root()) SKIP_TEST("needs root")

using Code = std::vector<std::string>;

const std::vector<PolicyFile> kFiles = {{"10-a.lua", "/p/10-a.lua", "rule a"},
                                        {"20-b.lua", "/p/20-b.lua", "rule b\n"}};
const Code kCode = {std::string("\033LJ\0a", 5), "b"};

Code found_in(const std::string& folder, const std::vector<PolicyFile>& files) {
  const CompiledPolicies found = read_compiled(folder, files);
  return {found.code.begin(), found.code.end()};
}

void write(const std::string& file, const std::string& text) {
  const Fd opened = Fd::open(file, O_WRONLY | O_TRUNC);
  write_all(opened.get(), text, file);
}

}  // namespace

TEST_CASE("what policies were compiled to is found again, by root, for the same policies alone") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string folder = box.dir("state");
  CHECK(found_in(folder, kFiles).empty());
  keep_compiled(folder, kFiles, kCode);
  CHECK(found_in(folder, kFiles) == kCode);
  struct stat found;
  REQUIRE(::stat((folder + "/.policies").c_str(), &found) == 0);
  CHECK(found.st_uid == 0);
  CHECK((found.st_mode & 07777U) == 0600);

  auto others = kFiles;
  others[0].text = "rule c";
  CHECK(found_in(folder, others).empty());
  others = kFiles, others[1].name = "30-b.lua";
  CHECK(found_in(folder, others).empty());
  others = kFiles, others.pop_back();
  CHECK(found_in(folder, others).empty());
  others = kFiles, others.push_back({"30-c.lua", "", ""});
  CHECK(found_in(folder, others).empty());
  // The same bytes, otherwise divided.
  others = {{"10-a.lua", "", "rule a2"}, {"0-b.lua", "", "rule b\n"}};
  CHECK(found_in(folder, others).empty());
  CHECK(found_in(folder, {}).empty());

  keep_compiled(folder, others, kCode);
  CHECK(found_in(folder, others) == kCode);
  CHECK(found_in(folder, kFiles).empty());
}

TEST_CASE("a file of compiled policies is none where somebody else than root could have written it") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string outer = box.dir("outer"), folder = box.dir("outer/state"), file = folder + "/.policies";
  keep_compiled(folder, kFiles, kCode);
  REQUIRE(found_in(folder, kFiles) == kCode);
  const auto doubtful = [&](const std::string& path, unsigned uid, unsigned mode) {
    struct stat before;
    REQUIRE(::stat(path.c_str(), &before) == 0);
    REQUIRE((::chown(path.c_str(), uid, 0) == 0 && ::chmod(path.c_str(), mode) == 0));
    CHECK(found_in(folder, kFiles).empty());
    REQUIRE((::chown(path.c_str(), 0, 0) == 0 && ::chmod(path.c_str(), before.st_mode & 07777U) == 0));
    CHECK(found_in(folder, kFiles) == kCode);
  };
  doubtful(file, 1000, 0600);
  doubtful(file, 0, 0620);
  doubtful(file, 0, 0602);
  doubtful(folder, 1000, 0755);
  doubtful(folder, 0, 0777);
  doubtful(outer, 1000, 0755);
  doubtful(outer, 0, 0772);

  // It is not written where it would not be read, either.
  ::unlink(file.c_str());
  REQUIRE(::chmod(folder.c_str(), 0777) == 0);
  keep_compiled(folder, kFiles, kCode);
  CHECK(::access(file.c_str(), F_OK) < 0);
  REQUIRE(::chmod(folder.c_str(), 01777) == 0);
  keep_compiled(folder, kFiles, kCode);
  CHECK(::access(file.c_str(), F_OK) < 0);
}

TEST_CASE("a file of compiled policies that is cut short, longer or another build's is none") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string folder = box.dir("state"), file = folder + "/.policies";
  keep_compiled(folder, kFiles, kCode);
  const std::string whole = read_file(file);
  for (size_t size = 0; size < whole.size(); ++size) {
    write(file, whole.substr(0, size));
    CHECK(found_in(folder, kFiles).empty());
    write(file, whole.substr(0, size) + std::string(whole.size() - size, '\0'));
    CHECK(found_in(folder, kFiles).empty());
  }
  write(file, whole + "x");
  CHECK(found_in(folder, kFiles).empty());
  std::string other = whole;
  ++other[std::string("luabox policies ").size()];  // the first byte of the build's number
  write(file, other);
  CHECK(found_in(folder, kFiles).empty());
  write(file, whole);
  CHECK(found_in(folder, kFiles) == kCode);
}

TEST_CASE("an ordinary user keeps no compiled policies") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string folder = box.dir("state");
  keep_compiled(folder, kFiles, kCode);
  for (const std::string& path : {std::string(box.path()), folder, folder + "/.policies"})
    REQUIRE(::chmod(path.c_str(), 0755) == 0);  // it is not that he can't
  REQUIRE(::seteuid(1000) == 0);
  const Code found = found_in(folder, kFiles);
  keep_compiled(folder, kFiles, {"x", "y"});
  REQUIRE(::seteuid(0) == 0);
  CHECK(found.empty());
  CHECK(found_in(folder, kFiles) == kCode);
}
