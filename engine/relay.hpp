// What a container writes, on its way into the caller's files.
//
// With such a file itself as its descriptor, root of a container could read and cut off what is in it, and
// make a set-uid program of it (fchmod(2)). It gets a pipe, and a thread of this process carries the bytes.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "engine/fd.hpp"

namespace luabox {

class Relay {
 public:
  /// For those of `descriptors`, 1 and 2, that are regular files open for writing; nothing where none is.
  /// Both of one file have one pipe: what is written to them stays in its order.
  static std::optional<Relay> of(const std::vector<int>& descriptors);

  Relay(Relay&&) noexcept;
  Relay& operator=(Relay&&) = delete;
  ~Relay();

  /// In the child of a clone: the pipes take the places of the descriptors.
  void enter() const;

  /// Carries what was written up to now, and ends: who goes on to write gets EPIPE. Throws what a file could
  /// not take; whoever wrote that was told by EPIPE, too. Does nothing when it is called again,
  /// nor in the child of a clone.
  void finish();

  struct Carrier;  ///< the thread's

 private:
  Relay(std::unique_ptr<Carrier, void (*)(Carrier*)> carrier, std::array<int, 2> pipe_of);
  void begin();

  std::unique_ptr<Carrier, void (*)(Carrier*)> carrier_;
  std::array<Fd, 2> writers_;
  std::array<int, 2> pipe_of_;  // descriptors 1 and 2: which of the writers, or -1
  Fd stop_;
  int owner_ = 0;  // the process that has the thread; 0 before there is one
};

}  // namespace luabox
