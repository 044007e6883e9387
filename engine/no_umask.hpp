#pragma once

#include <sys/stat.h>

namespace luabox {

/// While it lives modes are meant as they are written. The umask belongs to the process, which has one thread
/// that makes files.
class NoUmask {
 public:
  NoUmask() : before_(::umask(0)) {}
  NoUmask(const NoUmask&) = delete;
  NoUmask& operator=(const NoUmask&) = delete;
  ~NoUmask() { ::umask(before_); }

 private:
  const mode_t before_;
};

}  // namespace luabox
