#include "engine/procfs.hpp"

#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/dumpable.hpp"
#include "engine/error.hpp"

namespace luabox {
namespace {

Fd proc_root() {
  constexpr ino_t kProcRootInode = 1;  // PROC_ROOT_INO, fixed in the kernel
  Fd root = Fd::open("/proc", O_PATH | O_DIRECTORY);
  struct statfs filesystem = {};
  struct stat inode = {};
  if (::fstatfs(root.get(), &filesystem) != 0 || ::fstat(root.get(), &inode) != 0)
    throw Error("stat", "/proc");
  if (filesystem.f_type != PROC_SUPER_MAGIC || inode.st_ino != kProcRootInode)
    throw Error("open", "/proc", ENOTSUP, "it is not the kernel's procfs");
  return root;
}

}  // namespace

Fd open_proc(const std::string& file, int flags) {
  const Fd root = proc_root();
  open_how how = {};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  Fd fd(static_cast<int>(::syscall(SYS_openat2, root.get(), file.c_str(), &how, sizeof how)));
  if (!fd) throw Error("open", "/proc/" + file);
  return fd;
}

void write_proc(const std::string& file, std::string_view text) {
  const Fd fd = open_proc(file, O_WRONLY);
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  if (written < 0) throw Error("write", "/proc/" + file);
  if (static_cast<size_t>(written) != text.size()) throw Error("write", "/proc/" + file, EIO, "short write");
}

void write_own_proc(const std::string& file, std::string_view text) {
  try {
    return write_proc("self/" + file, text);
  } catch (const Error& error) {
    if (error.op() != "open" || error.code() != EACCES) throw;
  }
  const Dumpable own_files;
  write_proc("self/" + file, text);
}

}  // namespace luabox
