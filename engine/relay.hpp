// What a container writes, on its way into the caller's files.
//
// With such a file itself as its descriptor, root of a container could read and cut off what is in it, and
// make a set-uid program of it (fchmod(2)). It gets a pipe, and a thread of this process carries the bytes.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "engine/error.hpp"
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

  /// The same for both, whatever they are, with `file` for what comes of them; borrowed.
  static Relay into(int file);

  /// In the child of a clone: the pipes take the places of the descriptors.
  void enter() const;

  /// Carries what was written up to now, and ends: who goes on to write gets EPIPE. Throws what a file could
  /// not take; whoever wrote that was told by EPIPE, too, but where into() leads to a disk that is full:
  /// there what has no room is lost, and the next tried again. Does nothing when it is called again, nor in
  /// the child of a clone.
  void finish();

  /// A pipe's reading end, and the file that its bytes are for; this object's.
  struct Output {
    int from, to;
  };
  /// Leaves the carrying to somebody else (engine/monitor.hpp): what comes from now on stays in the pipes. No
  /// child enters it any more.
  std::vector<Output> pause();
  /// Behind pause(): whether finish() would throw.
  bool failed() const;
  /// Carries again, where it was left to somebody.
  void resume();

  /// What finish() throws where the file `to` could not take what was written.
  static Error failure(int to, int code);

  struct Carrier;  ///< the thread's

 private:
  Relay(std::unique_ptr<Carrier, void (*)(Carrier*)> carrier, std::array<int, 2> pipe_of);
  static Relay with(std::array<int, 2> pipe_of, std::array<int, 2> files);
  void begin(std::array<int, 2> files);
  void start_thread();
  void end_thread();

  std::unique_ptr<Carrier, void (*)(Carrier*)> carrier_;
  std::array<Fd, 2> writers_;
  std::array<int, 2> pipe_of_;  // descriptors 1 and 2: which of the writers, or -1
  Fd stop_;
  int owner_ = 0;  // the process that has the thread; 0 before there is one
};

}  // namespace luabox
