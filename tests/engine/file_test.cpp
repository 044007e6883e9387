#include "engine/file.hpp"

#include <sys/stat.h>

#include <csignal>

#include "engine/process.hpp"
#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

unsigned mode_of(const std::string& path) {
  struct stat found;
  if (::lstat(path.c_str(), &found) < 0) throw Error("lstat", path);
  return found.st_mode & 07777U;
}

}  // namespace

TEST_CASE("missing folders are made, and those that exist are left as they are") {
  Sandbox box;
  const std::string kept = box.dir("kept");
  REQUIRE(::chmod(kept.c_str(), 0701) == 0);
  make_directories(kept + "/a/b/c/", 0750);
  CHECK(mode_of(kept) == 0701);
  CHECK(mode_of(kept + "/a") == 0750);
  CHECK(mode_of(kept + "/a/b/c") == 0750);
  make_directories(kept + "/a/b/c", 0700);
  CHECK(mode_of(kept + "/a/b/c") == 0750);
  make_directories("/");
}

TEST_CASE("a folder can't be made below a file") {
  Sandbox box;
  const std::string file = box.file("file", "");
  CHECK(code_of([&] { make_directories(file + "/below"); }) == ENOTDIR);
  CHECK(code_of([&] { make_directory(file); }) == EEXIST);
}

TEST_CASE("two temporary folders are never the same, and only their owner sees into them") {
  Sandbox box;
  const std::string prefix = (box.path() / "t-").string();
  const std::string first = make_temporary(prefix), second = make_temporary(prefix);
  CHECK(first != second);
  CHECK(first.substr(0, prefix.size()) == prefix);
  CHECK(mode_of(first) == 0700);
  CHECK(code_of([&] { make_temporary(prefix + "none/"); }) == ENOENT);
}

TEST_CASE("a folder's names are sorted, at most as many as asked for, and a missing folder has none") {
  Sandbox box;
  for (const char* name : {"c", "a", ".hidden", "b"}) box.file(name, "");
  const std::string path = box.path().string();
  CHECK(list_directory(path) == std::vector<std::string>{".hidden", "a", "b", "c"});
  CHECK(list_directory(path, 2).size() == 2);
  CHECK(list_directory(path + "/none").empty());
  CHECK(code_of([&] { list_directory(path + "/a"); }) == ENOTDIR);
}

TEST_CASE("a name is told as what it is, a symlink as a symlink") {
  Sandbox box;
  const std::string path = box.path().string();
  box.file("file", "");
  REQUIRE(::symlink("nowhere", (path + "/link").c_str()) == 0);
  REQUIRE(::mkfifo((path + "/fifo").c_str(), 0600) == 0);
  CHECK(kind_of(path) == "directory");
  CHECK(kind_of(path + "/file") == "file");
  CHECK(kind_of(path + "/link") == "symlink");
  CHECK(kind_of(path + "/fifo") == "fifo");
  CHECK(kind_of("/dev/null") == "device");
  CHECK(kind_of(path + "/none") == std::nullopt);
  CHECK(kind_of(path + "/file/below") == std::nullopt);
}

TEST_CASE("a new file is never written over one that is there, not even through a symlink") {
  Sandbox box;
  const std::string path = box.file("there", "old"), target = (box.path() / "target").string();
  CHECK(code_of([&] { create_file(path, "new"); }) == EEXIST);
  CHECK(slurp(path) == "old");

  REQUIRE(::symlink(target.c_str(), (box.path() / "link").c_str()) == 0);
  CHECK(code_of([&] { create_file((box.path() / "link").string(), "new"); }) == EEXIST);
  CHECK_FALSE(std::filesystem::exists(target));

  create_file(target, "text", 0600);
  CHECK(slurp(target) == "text");
  CHECK(mode_of(target) == 0600);
}

TEST_CASE("text is added to the end of a file that is there, and not through a symlink") {
  Sandbox box;
  const std::string path = box.file("journal", "one\n"), link = (box.path() / "link").string();
  append_to_file(path, "two\n");
  CHECK(slurp(path) == "one\ntwo\n");
  CHECK(code_of([&] { append_to_file((box.path() / "none").string(), "text"); }) == ENOENT);
  REQUIRE(::symlink(path.c_str(), link.c_str()) == 0);
  CHECK(code_of([&] { append_to_file(link, "three\n"); }) == ELOOP);
  CHECK(slurp(path) == "one\ntwo\n");
}

TEST_CASE("a reader of a file that is replaced sees the old text or the new one, never a part") {
  Sandbox box;
  const std::string path = box.file("state", std::string(100000, 'a'));
  Process writer = Process::clone({}, [&](Channel& parent) {
    parent.send(Message::Kind::exec);
    parent.close();
    for (int i = 0;; ++i) replace_file(path, std::string(100000, i % 2 == 0 ? 'b' : 'a'));
  });
  writer.release();
  for (int i = 0; i < 300; ++i) {
    const std::string text = slurp(path);
    REQUIRE(text.size() == 100000);
    REQUIRE(text.find_first_not_of(text[0]) == std::string::npos);
  }
  CHECK(writer.kill(SIGKILL));
}

TEST_CASE("a symlink is replaced, not what it leads to") {
  Sandbox box;
  const std::string target = box.file("target", "kept"), link = (box.path() / "link").string();
  REQUIRE(::symlink(target.c_str(), link.c_str()) == 0);
  replace_file(link, "new");
  CHECK(kind_of(link) == "file");
  CHECK(slurp(link) == "new");
  CHECK(slurp(target) == "kept");
}

TEST_CASE("a file that can't be replaced leaves no other name behind") {
  Sandbox box;
  const std::string busy = box.dir("folder");
  CHECK(code_of([&] { replace_file(busy, "text"); }) == EISDIR);
  CHECK(list_directory(box.path().string()) == std::vector<std::string>{"folder"});
}

TEST_CASE("a rename replaces, refuses or exchanges as it was told") {
  Sandbox box;
  const std::string one = box.file("one", "1"), two = box.file("two", "2");
  CHECK(code_of([&] { rename_file(one, two, Replace::no); }) == EEXIST);
  CHECK(slurp(two) == "2");
  rename_file(one, two, Replace::exchange);
  CHECK(slurp(one) == "2");
  CHECK(slurp(two) == "1");
  rename_file(one, two, Replace::yes);
  CHECK(slurp(two) == "2");
  CHECK(kind_of(one) == std::nullopt);
}

TEST_CASE("files, symlinks and empty folders are removed, full folders are not") {
  Sandbox box;
  const std::string file = box.file("full/file", ""), folder = box.dir("full"), empty = box.dir("empty");
  const std::string link = (box.path() / "link").string();
  REQUIRE(::symlink(folder.c_str(), link.c_str()) == 0);
  CHECK(code_of([&] { remove_file(folder); }) == ENOTEMPTY);
  CHECK(remove_file(empty));
  CHECK(remove_file(link));
  CHECK(kind_of(folder) == "directory");
  CHECK(remove_file(file));
  CHECK_FALSE(remove_file(file));
}

TEST_CASE("a lock keeps others out until it is given back") {
  Sandbox box;
  const std::string path = (box.path() / "lock").string();
  auto held = Lock::take(path, {});
  REQUIRE(held);
  CHECK(kind_of(path) == "file");
  CHECK_FALSE(Lock::take(path, {}));
  CHECK_FALSE(Lock::take(path, {.shared = true}));
  std::move(*held).release();
  CHECK(Lock::take(path, {}));
  CHECK(Lock::take(box.path().string(), {}));  // a folder
}

TEST_CASE("shared locks stand beside each other, but not beside an exclusive one") {
  Sandbox box;
  const std::string path = (box.path() / "lock").string();
  const auto first = Lock::take(path, {.shared = true}), second = Lock::take(path, {.shared = true});
  CHECK(first);
  CHECK(second);
  CHECK_FALSE(Lock::take(path, {}));
}

TEST_CASE("whoever waits for a lock gets it when its holder is killed") {
  Sandbox box;
  const std::string path = (box.path() / "lock").string();
  Process holder = Process::clone({}, [&](Channel& parent) {
    const auto lock = Lock::take(path, {});
    parent.send(lock ? Message::Kind::exec : Message::Kind::failure);
    parent.close();
    ::pause();
  });
  holder.release();
  CHECK_FALSE(Lock::take(path, {}));
  Process waiter = Process::clone({}, [&](Channel& parent) {
    parent.send(Message::Kind::exec);
    parent.close();
    ::_exit(Lock::take(path, {.wait = true}) ? 0 : 1);
  });
  waiter.release();
  CHECK_FALSE(waiter.wait(0.2));
  holder.kill(SIGKILL);
  const auto ended = waiter.wait(10);
  REQUIRE(ended);
  CHECK(ended->code == 0);
}

TEST_CASE("a lock in a folder that is not there is an error, not a refusal") {
  Sandbox box;
  CHECK(code_of([&] { Lock::take((box.path() / "none/lock").string(), {}); }) == ENOENT);
}
