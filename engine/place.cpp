#include "engine/place.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "engine/error.hpp"

namespace luabox {

std::string path_of(int fd, const std::string& name) {
  std::array<char, 4096> path;
  const ssize_t length = ::readlink(fd_path(fd).c_str(), path.data(), path.size());
  if (length <= 0 || static_cast<size_t>(length) >= path.size()) throw Error("readlink", name);
  return {path.data(), static_cast<size_t>(length)};
}

Place Place::of(Fd fd, const std::string& name) {
  struct stat found;
  if (::fstat(fd.get(), &found) < 0) throw Error("stat", name);
  std::string path = path_of(fd.get(), name);
  return {std::move(fd), std::move(path), found.st_dev, found.st_ino, found.st_uid, S_ISDIR(found.st_mode)};
}

Place Place::at(const std::string& name) { return of(Fd::open(name, O_PATH), name); }

}  // namespace luabox
