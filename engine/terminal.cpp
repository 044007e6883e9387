#include "engine/terminal.hpp"

#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "engine/error.hpp"

namespace luabox {

Pty open_pty(int devpts_ptmx) {
  struct statfs file_system;
  if (::fstatfs(devpts_ptmx, &file_system) < 0) throw Error("statfs", "ptmx");
  if (file_system.f_type != DEVPTS_SUPER_MAGIC)
    throw Error::invalid("open", "ptmx", "it is not on a devpts file system");
  Pty pty;
  pty.master = Fd::open(fd_path(devpts_ptmx), O_RDWR | O_NOCTTY);
  int locked = 0;
  if (::ioctl(pty.master.get(), TIOCSPTLCK, &locked) < 0) throw Error("ioctl", "TIOCSPTLCK");
  pty.slave = Fd(::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.slave) throw Error("ioctl", "TIOCGPTPEER");
  return pty;
}

Pty open_pty() { return open_pty(Fd::open("/dev/pts/ptmx", O_PATH).get()); }

std::optional<WindowSize> window_size(int fd) {
  winsize size = {};
  if (::ioctl(fd, TIOCGWINSZ, &size) < 0) return std::nullopt;
  return WindowSize{size.ws_row, size.ws_col};
}

void set_window_size(int fd, WindowSize size) {
  const winsize native = {size.rows, size.columns, 0, 0};
  if (::ioctl(fd, TIOCSWINSZ, &native) < 0) throw Error("ioctl", "TIOCSWINSZ");
}

RawMode::RawMode(int fd) : fd_(fd), before_() {
  if (::tcgetattr(fd_, &before_) < 0) throw Error("tcgetattr");
  termios raw = before_;
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd_, TCSADRAIN, &raw) < 0) throw Error("tcsetattr");
}

RawMode::~RawMode() {
  // The terminal may be gone with its window: there is nothing to restore then.
  ::tcsetattr(fd_, TCSADRAIN, &before_);
}

}  // namespace luabox
