#include "bindings/heap.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <lua.hpp>

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

/// Fills the gaps that garbage left between the objects: what a start makes would be strewn over all pages,
/// each of which has to be copied to be written. After it the allocator takes from the end.
void fill_gaps(lua_State* L) {
  constexpr size_t kLargest = 65536;
  void* pool = nullptr;
  const lua_Alloc allocate = lua_getallocf(L, &pool);
  void* const end = allocate(pool, nullptr, 0, kLargest);
  allocate(pool, end, kLargest, 0);
  for (size_t size = kLargest; size >= 16; size -= 16) {
    void* filler = allocate(pool, nullptr, 0, size);
    while (filler != nullptr && filler < end) filler = allocate(pool, nullptr, 0, size);
    allocate(pool, filler, size, 0);
  }
}

}  // namespace

bool is_there() { return section.state != nullptr; }

lua_State* take() {
  lua_State* const state = section.state;
  section.state = nullptr;
  return state;
}

const Policies& policies() { return section.policies; }

void prepare(const char* file, lua_State* (*make)(), Policies (*make_policies)(std::byte*, size_t)) {
  preparing = true;
  lua_State* const state = make();
  lua_gc(state, LUA_GCCOLLECT, 0);
  lua_gc(state, LUA_GCSTOP, 0);
  fill_gaps(state);
  preparing = false;
  section.state = state;
  section.policies = make_policies(section.policy_memory, kPolicies);
  replace_file(file, {reinterpret_cast<const char*>(&section), sizeof section});
}

}  // namespace luabox::heap
