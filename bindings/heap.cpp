#include "bindings/heap.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <lua.hpp>
#include <utility>

#include "engine/file.hpp"

namespace luabox::heap {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kSize = 1 << 20;  // bytes; what is not used is never read from the disk
constexpr size_t kPolicies = 256 << 10;

/// Zeroes when the linker has made it, the heap in the finished program. The first page says where the state
/// is.
struct Section {
  lua_State* state;
  size_t fresh;  ///< of `memory`: what a start makes begins there
  Policies policies;
  alignas(kPage) std::byte memory[kSize];
  alignas(kPage) std::byte policy_memory[kPolicies];
};
[[gnu::section(".luaheap")]] alignas(kPage) Section section = {};

bool preparing = false;
size_t given = 0;  // of section.memory

}  // namespace
}  // namespace luabox::heap

// LuaJIT's allocator gets its memory with mmap, and nothing else can be told to it from outside
// (-Wl,--wrap=mmap64).
extern "C" {
void* real_mmap(void*, size_t, int, int, int, off64_t) asm("__real_mmap64");
void* mmap_for_lua(void*, size_t, int, int, int, off64_t) asm("__wrap_mmap64");

void* mmap_for_lua(void* address, size_t length, int protection, int flags, int fd, off64_t offset) {
  using namespace luabox::heap;
  if (!preparing) return real_mmap(address, length, protection, flags, fd, offset);
  if (length > kSize - given) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  given += length;
  return section.memory + given - length;
}
}

namespace luabox::heap {
namespace {

constexpr size_t kLargest = 65536;  // a gap

/// Where what is allocated next begins, when no gap takes it.
std::byte* end_of(lua_State* L) {
  void* pool = nullptr;
  const lua_Alloc allocate = lua_getallocf(L, &pool);
  void* const end = allocate(pool, nullptr, 0, kLargest);
  allocate(pool, end, kLargest, 0);
  return static_cast<std::byte*>(end);
}

/// A start makes some thousand strings. Where that made the table of strings grow, each string there is would
/// be written to: so it grows before, to the end of the heap. A collection would have it shrink again: the
/// strings for which it grows stay until the first.
void make_room_for_strings(lua_State* L) {
  constexpr int kMost = 20000;
  constexpr std::ptrdiff_t kLeastTable = 8192;
  lua_checkstack(L, 1);
  std::byte* end = end_of(L);
  for (int i = 0; i < kMost; ++i) {
    lua_pushfstring(L, "room for string %d", i);
    lua_pop(L, 1);
    std::byte* const before = std::exchange(end, end_of(L));
    if (end - before >= kLeastTable) return;
  }
}

/// Fills the gaps that garbage left between the objects: what a start makes would be strewn over all pages,
/// each of which has to be copied to be written. After it the allocator takes from the end.
void fill_gaps(lua_State* L) {
  void* pool = nullptr;
  const lua_Alloc allocate = lua_getallocf(L, &pool);
  void* const end = end_of(L);
  for (size_t size = kLargest; size >= 16; size -= 16) {
    void* filler = allocate(pool, nullptr, 0, size);
    while (filler != nullptr && filler < end) filler = allocate(pool, nullptr, 0, size);
    allocate(pool, filler, size, 0);
  }
}

constexpr size_t kState = 7 * kPage,  // the state itself, which comes first
    kTable = 8 * kPage,               // the table of strings, made last
    kFresh = 20 * kPage;

/// What each start writes to, in two calls: a page fault costs a fraction of what it copies, but in a virtual
/// machine that traps them many times as much. Where the kernel can't (before 5.14) each page comes by
/// itself.
void copy_what_will_be_written() {
#ifdef MADV_POPULATE_WRITE
  ::madvise(section.memory, kState, MADV_POPULATE_WRITE);
  const size_t begin = (section.fresh - kTable) & ~(kPage - 1);
  ::madvise(section.memory + begin, kTable + kFresh, MADV_POPULATE_WRITE);
#endif
}

}  // namespace

bool is_there() { return section.state != nullptr; }

lua_State* take() {
  lua_State* const state = section.state;
  copy_what_will_be_written();
  section.state = nullptr;
  return state;
}

const Policies& policies() { return section.policies; }

void prepare(const char* file, lua_State* (*make)(), Policies (*make_policies)(std::byte*, size_t)) {
  preparing = true;
  lua_State* const state = make();
  lua_gc(state, LUA_GCCOLLECT, 0);
  lua_gc(state, LUA_GCSTOP, 0);
  make_room_for_strings(state);
  section.fresh = static_cast<size_t>(end_of(state) - section.memory);
  fill_gaps(state);
  preparing = false;
  section.state = state;
  section.policies = make_policies(section.policy_memory, kPolicies);
  replace_file(file, {reinterpret_cast<const char*>(&section), sizeof section});
}

}  // namespace luabox::heap
