// The memory into which a site's policies are loaded (bindings/policy_state.hpp).
#pragma once

#include <sys/mman.h>

#include <bit>
#include <cstddef>
#include <cstdint>

namespace luabox {

/// What is loaded stays as long as the state does: it is given out from the front of one piece of memory, and
/// never taken back. That is quicker than malloc, and fewer pages: each costs more than what is done in it.
class PolicyShelf {
 public:
  void build(std::byte* memory, size_t size) {
    begin_ = next_ = memory;
    end_ = begin_ + size;
  }
  /// In new memory, at `preferred` where that is free. Where there is none it has no room, and everything is
  /// malloc's.
  void build(size_t size, uintptr_t preferred) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* memory = ::mmap(std::bit_cast<void*>(preferred), size, PROT_READ | PROT_WRITE,
                          flags | MAP_FIXED_NOREPLACE, -1, 0);
    if (memory == MAP_FAILED) memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory != MAP_FAILED) build(static_cast<std::byte*>(memory), size);
  }
  /// `size` bytes of it have been put back.
  void fill(size_t size) { next_ = begin_ + size; }
  /// What is allocated from here on is not to stay.
  void close() { end_ = next_; }
  bool holds(const void* block) const { return block >= begin_ && block < next_; }
  bool is_at(uintptr_t address) const { return reinterpret_cast<uintptr_t>(begin_) == address; }
  std::byte* begin() const { return begin_; }
  size_t used() const { return static_cast<size_t>(next_ - begin_); }
  size_t size() const { return static_cast<size_t>(end_ - begin_); }
  /// nullptr when there is no room left.
  void* take(size_t size) {
    if (rounded(size) > room()) return nullptr;
    next_ += rounded(size);
    return next_ - rounded(size);
  }
  /// Whether the block of `old_size` could be made one of `size` where it lies.
  bool resize(void* block, size_t old_size, size_t size) {
    if (rounded(size) <= rounded(old_size)) return true;
    const size_t more = rounded(size) - rounded(old_size);
    if (static_cast<std::byte*>(block) + rounded(old_size) != next_ || more > room()) return false;
    next_ += more;
    return true;
  }

 private:
  static size_t rounded(size_t size) { return (size + 15) & ~size_t{15}; }
  size_t room() const { return static_cast<size_t>(end_ - next_); }
  std::byte *begin_ = nullptr, *next_ = nullptr, *end_ = nullptr;
};

}  // namespace luabox
