// A network namespace that is made before it is needed.
//
// To make one is the longest single step of a start (300 to 500 us, as long as all mounts together), and it
// needs nothing of what the script says. So it is made by a thread, beside a start's other work, which then
// finds it ready. The thread runs no code but a few bare system calls: no other ever stands beside this
// process's own (engine/process.hpp says why), and whatever must be alone waits for its end.
//
// It is a matter of time only. A namespace that could not be made ahead is made by the clone that needs it,
// whose errors are told.
#pragma once

#include "engine/fd.hpp"

namespace luabox {

/// Begins to make one, for the next clone of this process that asks for a network namespace and for no user
/// namespace (which would have to own it). Does nothing where one is ready or in the making.
void make_network_ahead();

/// Waits until the thread has ended, if there is one: unshare(2) and setns(2) want a process of one thread.
void settle_network();

/// The namespace that was made, if there is one; waits for it. A namespace is given once.
Fd take_network();

/// While this stands the process is in a namespace that was made ahead, so that a clone is born in it:
/// whoever has the child's number finds its network there. Where there is none, or no way back would be
/// certain, it stays where it is.
class InReadyNetwork {
 public:
  /// Waits for the thread and takes the namespace if it is `wanted`; else the thread may go on beside the
  /// clone, which copies nothing that it uses.
  explicit InReadyNetwork(bool wanted);
  /// The one that was taken. Throws where it can't be entered.
  explicit InReadyNetwork(int taken);
  InReadyNetwork(const InReadyNetwork&) = delete;
  InReadyNetwork& operator=(const InReadyNetwork&) = delete;
  ~InReadyNetwork() { leave(); }

  bool entered() const { return static_cast<bool>(own_); }
  /// In the child: it belongs here. What is being made is the parent's.
  void stay();
  /// Back to the process's own. A process that can't return ends: it would do the rest of its work, and its
  /// clearing up, in the wrong network.
  void leave();

 private:
  bool enter(int ready);

  Fd own_;
};

}  // namespace luabox
