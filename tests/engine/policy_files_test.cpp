#include "engine/policy_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

#define NEEDS_ROOT \
  if (!is_root()) SKIP_TEST("needs root")

/// What read_policies says against the folder; empty when it takes it.
std::string problem_of(const std::string& folder, PolicyOwner owner = PolicyOwner::root) {
  try {
    read_policies(folder, owner);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void mode(const std::string& path, unsigned wanted) { REQUIRE(::chmod(path.c_str(), wanted) == 0); }
void give(const std::string& path, unsigned uid) { REQUIRE(::chown(path.c_str(), uid, 0) == 0); }

}  // namespace

TEST_CASE("policies are read in order of name, and nothing else of their folder is") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string folder = box.dir("policies");
  for (const auto* name : {"20-b.lua", "10-a.lua", "9-c.lua", "notes.txt", ".hidden.lua", ".lua"})
    box.file(std::string("policies/") + name, name);
  box.dir("policies/tests");
  const auto files = read_policies(folder, PolicyOwner::root);
  REQUIRE(files.size() == 3);
  CHECK(files[0].name == "10-a.lua");
  CHECK(files[1].name == "20-b.lua");
  CHECK(files[2].name == "9-c.lua");
  CHECK(files[0].path == folder + "/10-a.lua");
  CHECK(files[0].text == "10-a.lua");
}

TEST_CASE("a folder that isn't there has no policies, one that can't be looked at is an error") {
  Sandbox box;
  CHECK(read_policies(box.path() / "none", PolicyOwner::root).empty());
  const std::string file = box.file("file", "");
  CHECK(code_of([&] { read_policies(file + "/below", PolicyOwner::root); }) == ENOTDIR);
  CHECK(code_of([&] { read_policies(file, PolicyOwner::root); }) == ENOTDIR);
}

TEST_CASE("a file or folder that others can write is refused by name") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string folder = box.dir("outer/policies"), outer = box.dir("outer");
  const std::string file = box.file("outer/policies/1.lua", "");
  REQUIRE(problem_of(folder).empty());
  for (const unsigned bits : {0020U, 0002U}) {
    mode(file, 0644 | bits);
    CHECK(has(problem_of(folder), file));
    CHECK(has(problem_of(folder), "others can write"));
    mode(file, 0644);
    mode(folder, 0755 | bits);
    CHECK(has(problem_of(folder), folder));
    mode(folder, 0755);
    mode(outer, 0755 | bits);
    CHECK(has(problem_of(folder), "others can write"));
    mode(outer, 0755);
  }
  CHECK(problem_of(folder).empty());
}

TEST_CASE("a sticky folder on the way is fine, as the folder of the policies it is not") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string folder = box.dir("outer/policies"), outer = box.dir("outer");
  box.file("outer/policies/1.lua", "");
  mode(outer, 01777);
  CHECK(problem_of(folder).empty());
  mode(folder, 01777);
  CHECK(has(problem_of(folder), "others can write"));
}

TEST_CASE("what belongs to somebody else is refused, wherever on the way it is") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string folder = box.dir("outer/policies"), outer = box.dir("outer");
  const std::string file = box.file("outer/policies/1.lua", "");
  for (const auto& each : {file, folder, outer}) {
    give(each, 12345);
    CHECK(has(problem_of(folder), each));
    CHECK(has(problem_of(folder), "does not belong to root"));
    CHECK(problem_of(folder, PolicyOwner::any).empty());
    give(each, 0);
  }
  CHECK(problem_of(folder).empty());
}

TEST_CASE("a file is opened as what it is: no symlink, device, fifo or folder is taken for one") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string folder = box.dir("policies");
  const std::string other = box.file("other.lua", ""), path = folder + "/1.lua";
  REQUIRE(::symlink(other.c_str(), path.c_str()) == 0);
  CHECK(code_of([&] { read_policies(folder, PolicyOwner::root); }) == ELOOP);
  REQUIRE(::unlink(path.c_str()) == 0);
  REQUIRE(::mkfifo(path.c_str(), 0644) == 0);
  CHECK(has(problem_of(folder), "no regular file"));  // and does not wait for a writer
  REQUIRE(::unlink(path.c_str()) == 0);
  box.dir("policies/1.lua");
  CHECK(has(problem_of(folder), "no regular file"));
}

TEST_CASE("a symlink to the folder is followed once, and each folder that it leads through is checked") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string theirs = box.dir("theirs"), folder = box.dir("theirs/policies");
  box.file("theirs/policies/1.lua", "");
  const std::string link = box.path() / "link";
  REQUIRE(::symlink(folder.c_str(), link.c_str()) == 0);
  CHECK(problem_of(link).empty());
  CHECK(read_policies(link, PolicyOwner::root)[0].path == folder + "/1.lua");
  give(theirs, 12345);
  CHECK(has(problem_of(link), theirs));
}

TEST_CASE("a policy that is too long is an error, not a part of one") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string folder = box.dir("policies");
  box.file("policies/1.lua", std::string((1U << 20U) + 1, '-'));
  CHECK_FALSE(problem_of(folder).empty());
}

TEST_CASE("only root writes a file where nobody else owns or can write it or a folder above") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string outer = box.dir("outer"), file = box.file("outer/script.lua", "");
  CHECK(only_root_writes(file));
  CHECK_FALSE(only_root_writes(outer));
  CHECK_FALSE(only_root_writes("outer/script.lua"));
  CHECK_FALSE(only_root_writes(""));
  CHECK_FALSE(only_root_writes(file + ".none"));
  mode(file, 0664);
  CHECK_FALSE(only_root_writes(file));
  mode(file, 0644);
  give(outer, 12345);
  CHECK_FALSE(only_root_writes(file));
  give(outer, 0);
  const std::string link = box.path() / "outer" / "link.lua";
  REQUIRE(::symlink(file.c_str(), link.c_str()) == 0);
  CHECK_FALSE(only_root_writes(link));
}
