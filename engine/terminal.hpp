// Terminals: a pseudo-terminal for a container, and the caller's own in raw mode. See pty(7), termios(3),
// ioctl_tty(2).
#pragma once

#include <termios.h>

#include <optional>
#include <utility>

#include "engine/fd.hpp"

namespace luabox {

struct WindowSize {
  unsigned short rows = 0, columns = 0;
};

/// The two ends of a pseudo-terminal.
struct Pty {
  Fd master, slave;
};

/// A new pty of the devpts instance whose "ptmx" is `ptmx` (opened O_PATH or O_RDWR); the slave is opened
/// through the master (TIOCGPTPEER), never by a name in the container. Throws EINVAL when `ptmx` is not on a
/// devpts file system.
Pty open_pty(int devpts_ptmx);
/// A new pty of the host's own /dev/pts.
Pty open_pty();

/// Nothing when `fd` is no terminal.
std::optional<WindowSize> window_size(int fd);
void set_window_size(int fd, WindowSize size);

/// The terminal `fd` passes every byte as it is, until this goes. `fd` is borrowed.
class RawMode {
 public:
  explicit RawMode(int fd);
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  ~RawMode();

 private:
  int fd_;
  termios before_;
};

}  // namespace luabox
