#include "engine/kept_policies.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "engine/fd.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

#define NEEDS_ROOT \
  if (!is_root()) SKIP_TEST("needs root")

const std::vector<PolicyFile> kFiles = {{"10-a.lua", "/p/10-a.lua", "rule a"},
                                        {"20-b.lua", "/p/20-b.lua", "rule b\n"}};

/// Two pieces of memory, as the prepared state and the shelf are: the first always full, the second not.
class Memory {
 public:
  static constexpr size_t kRoom = 8192, kAll = 4 * kRoom;
  explicit Memory(std::string first = "first", std::string second = std::string(5000, '2'))
      : first_(std::move(first)), second_(std::move(second)) {}
  Memory(const Memory&) = delete;
  ~Memory() {
    for (char* at : at_) ::munmap(at, kAll);
  }
  std::vector<KeptMemory> kept() {
    clear();
    std::copy(first_.begin(), first_.end(), at_[0]);
    std::copy(second_.begin(), second_.end(), at_[1]);
    return {piece(0, first_.size()), piece(1, second_.size())};
  }
  std::vector<KeptMemory> room() { return {piece(0, first_.size()), piece(1, kRoom)}; }
  void clear() {
    for (char* at : at_) std::fill(at, at + kRoom, 'x');
  }
  bool is_back() const {
    return std::string(at_[0], first_.size()) == first_ && std::string(at_[1], second_.size()) == second_;
  }
  bool is_untouched() const {
    return std::string(at_[0], kRoom) == std::string(kRoom, 'x') &&
           std::string(at_[1], kRoom) == std::string(kRoom, 'x');
  }

 private:
  KeptMemory piece(int number, size_t size) { return {reinterpret_cast<std::byte*>(at_[number]), size}; }
  static char* page() {
    return static_cast<char*>(
        ::mmap(nullptr, kAll, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  std::string first_, second_;
  char* at_[2] = {page(), page()};
};

/// Whether what the memory was is back after a restore; that it is as it was is checked where it is not.
bool found_in(const std::string& folder, const std::vector<PolicyFile>& files, Memory& memory) {
  memory.clear();
  const bool found = restore_policies(folder, files, memory.room());
  CHECK((found ? memory.is_back() : memory.is_untouched()));
  return found;
}

void write(const std::string& file, const std::string& text) {
  const Fd opened = Fd::open(file, O_WRONLY | O_TRUNC);
  write_all(opened.get(), text, file);
}

}  // namespace

TEST_CASE("what policies were loaded to is found again, by root, for the same policies alone") {
  NEEDS_ROOT;
  Sandbox box;
  Memory memory;
  const std::string folder = box.dir("state");
  CHECK_FALSE(found_in(folder, kFiles, memory));
  keep_policies(folder, kFiles, memory.kept());
  CHECK(found_in(folder, kFiles, memory));
  struct stat found;
  REQUIRE(::stat((folder + "/.policies").c_str(), &found) == 0);
  CHECK(found.st_uid == 0);
  CHECK((found.st_mode & 07777U) == 0600);

  auto others = kFiles;
  others[0].text = "rule c";
  CHECK_FALSE(found_in(folder, others, memory));
  others = kFiles, others[1].name = "30-b.lua";
  CHECK_FALSE(found_in(folder, others, memory));
  others = kFiles, others.pop_back();
  CHECK_FALSE(found_in(folder, others, memory));
  others = kFiles, others.push_back({"30-c.lua", "", ""});
  CHECK_FALSE(found_in(folder, others, memory));
  // The same bytes, otherwise divided.
  others = {{"10-a.lua", "", "rule a2"}, {"0-b.lua", "", "rule b\n"}};
  CHECK_FALSE(found_in(folder, others, memory));
  CHECK_FALSE(found_in(folder, {}, memory));

  keep_policies(folder, others, memory.kept());
  CHECK(found_in(folder, others, memory));
  CHECK_FALSE(found_in(folder, kFiles, memory));
}

TEST_CASE("a file of loaded policies is none where somebody else than root could have written it") {
  NEEDS_ROOT;
  Sandbox box;
  Memory memory;
  const std::string outer = box.dir("outer"), folder = box.dir("outer/state"), file = folder + "/.policies";
  keep_policies(folder, kFiles, memory.kept());
  REQUIRE(found_in(folder, kFiles, memory));
  const auto doubtful = [&](const std::string& path, unsigned uid, unsigned mode) {
    struct stat before;
    REQUIRE(::stat(path.c_str(), &before) == 0);
    REQUIRE((::chown(path.c_str(), uid, 0) == 0 && ::chmod(path.c_str(), mode) == 0));
    CHECK_FALSE(found_in(folder, kFiles, memory));
    REQUIRE((::chown(path.c_str(), 0, 0) == 0 && ::chmod(path.c_str(), before.st_mode & 07777U) == 0));
    CHECK(found_in(folder, kFiles, memory));
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
  keep_policies(folder, kFiles, memory.kept());
  CHECK(::access(file.c_str(), F_OK) < 0);
  REQUIRE(::chmod(folder.c_str(), 01777) == 0);
  keep_policies(folder, kFiles, memory.kept());
  CHECK(::access(file.c_str(), F_OK) < 0);
}

TEST_CASE("a file of loaded policies that is cut short, longer or another build's is none") {
  NEEDS_ROOT;
  Sandbox box;
  Memory memory;
  const std::string folder = box.dir("state"), file = folder + "/.policies";
  keep_policies(folder, kFiles, memory.kept());
  const std::string whole = read_file(file);
  for (size_t size = 0; size < whole.size(); size += size + 200 < whole.size() ? 61 : 1) {
    write(file, whole.substr(0, size));
    CHECK_FALSE(found_in(folder, kFiles, memory));
    write(file, whole.substr(0, size) + std::string(whole.size() - size, '\0'));
    CHECK_FALSE(found_in(folder, kFiles, memory));
  }
  write(file, whole + "x");
  CHECK_FALSE(found_in(folder, kFiles, memory));
  std::string other = whole;
  ++other[std::string("luabox policies ").size()];  // the first byte of the build's number
  write(file, other);
  CHECK_FALSE(found_in(folder, kFiles, memory));
  write(file, whole);
  CHECK(found_in(folder, kFiles, memory));
}

TEST_CASE("what is done in memory that was put back does not reach the file") {
  NEEDS_ROOT;
  Sandbox box;
  Memory memory;
  const std::string folder = box.dir("state"), file = folder + "/.policies";
  keep_policies(folder, kFiles, memory.kept());
  const std::string whole = read_file(file);
  REQUIRE(found_in(folder, kFiles, memory));
  memory.clear();
  CHECK(read_file(file) == whole);
  CHECK(found_in(folder, kFiles, memory));
}

TEST_CASE("policies that were loaded to other memory are none") {
  NEEDS_ROOT;
  Sandbox box;
  Memory memory, larger("first", std::string(2 * Memory::kRoom, '3')), longer("first, and more");
  const std::string folder = box.dir("state");
  keep_policies(folder, kFiles, larger.kept());
  CHECK_FALSE(found_in(folder, kFiles, memory));
  keep_policies(folder, kFiles, longer.kept());
  CHECK_FALSE(found_in(folder, kFiles, memory));
  keep_policies(folder, kFiles, {memory.kept()[0]});
  CHECK_FALSE(found_in(folder, kFiles, memory));
  auto shifted = memory.kept();
  shifted[1] = shifted[1].subspan(1);  // from no page's beginning on
  REQUIRE(::unlink((folder + "/.policies").c_str()) == 0);
  keep_policies(folder, kFiles, shifted);
  CHECK(::access((folder + "/.policies").c_str(), F_OK) < 0);
}

TEST_CASE("an ordinary user keeps no loaded policies") {
  NEEDS_ROOT;
  Sandbox box;
  Memory memory;
  const std::string folder = box.dir("state");
  keep_policies(folder, kFiles, memory.kept());
  for (const std::string& path : {std::string(box.path()), folder, folder + "/.policies"})
    REQUIRE(::chmod(path.c_str(), 0755) == 0);  // it is not that he can't
  REQUIRE(::seteuid(1000) == 0);
  const bool found = found_in(folder, kFiles, memory);
  keep_policies(folder, kFiles, Memory("other").kept());
  REQUIRE(::seteuid(0) == 0);
  CHECK_FALSE(found);
  CHECK(found_in(folder, kFiles, memory));
}
