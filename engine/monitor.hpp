// What stands by containers for long: not luabox, but a program of a page that does only this.
//
// A luabox that waits for its containers keeps its scripts and its heap, some 350 kB. become_monitor()
// executes a small program in its place, which waits for the processes, passes signals on, and carries what
// they write into the caller's files; when all have ended it executes luabox again, the same file with the
// same arguments, which takes over by monitored(). It is one process all the while: its number, its children,
// what it holds open and locked, and signals that wait stay (execve(2)).
//
// The program is not dumpable. An ordinary user's is not so from the beginning: its file can't be read
// (execve(2), prctl(2) PR_SET_DUMPABLE).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/error.hpp"
#include "engine/file.hpp"
#include "engine/process.hpp"
#include "engine/relay.hpp"
#include "engine/supervisor.hpp"

namespace luabox {

/// What the next luabox gets. All are borrowed.
struct Watched {
  std::vector<const Process*> processes;  ///< at most kMostMonitored, none of which is known to have ended
  const ForwardedSignals* signals = nullptr;
  std::vector<Relay*> relays;
  std::vector<const Lock*> locks;
  std::string note;  ///< no NUL in it
};

/// Returns only where it can't be done; then this process has what it needs to stand by itself: no namespace
/// that was made ahead (engine/network_ahead.hpp), and relays that no child enters. Files, folders, pipes and
/// sockets of the Internet (a port that is held) stay open, whoever opened them; other descriptors are
/// closed.
void become_monitor(const Watched& watched);

/// The same objects in the same order, in the luabox that follows.
struct Monitored {
  std::vector<Process> processes;
  std::vector<Lock> locks;
  std::string note;
  /// What a file could not take of what was written, as Relay::finish() throws it.
  std::optional<Error> lost;
};

/// Nothing in any other process. Once: what is held open otherwise is closed, but for sockets, which stay
/// until this process ends.
std::optional<Monitored> monitored();

}  // namespace luabox
