#include "engine/self.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <string_view>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/streams.hpp"

namespace luabox {
namespace {

constexpr const char* kSelf = "/proc/self/exe";
constexpr int kMostTries = 50;
constexpr useconds_t kPause = 10000;  // microseconds
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

/// A read-only view of the file that nothing else can reach; no descriptor where this process may not mount.
Fd read_only_mount() {
  Fd tree(::open_tree(AT_FDCWD, kSelf, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree) return tree;
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) return Fd();
  return tree;
}

Fd sealed_copy() {
  const Fd original = Fd::open(kSelf, O_RDONLY);
  struct stat size;
  if (::fstat(original.get(), &size) < 0) throw Error("stat", kSelf);
#ifdef MFD_EXEC
  Fd copy(::memfd_create("luabox", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
  if (!copy)  // Linux before 6.3 does not know MFD_EXEC
    copy = Fd(::memfd_create("luabox", MFD_CLOEXEC | MFD_ALLOW_SEALING));
#else
  Fd copy(::memfd_create("luabox", MFD_CLOEXEC | MFD_ALLOW_SEALING));
#endif
  if (!copy) throw Error("memfd_create", "luabox");
  for (off_t left = size.st_size; left > 0;) {
    const ssize_t count = ::sendfile(copy.get(), original.get(), nullptr, static_cast<size_t>(left));
    if (count <= 0) throw Error("sendfile", "a sealed copy of luabox");
    left -= count;
  }
  if (::fchmod(copy.get(), 0555) < 0) throw Error("fchmod", "a sealed copy of luabox");
  // Busy: a page of it is still on some processor's list of new ones.
  for (int tries = 0; ::fcntl(copy.get(), F_ADD_SEALS, kSeals) < 0; ++tries) {
    if (errno != EBUSY || tries == kMostTries) throw Error("fcntl", "F_ADD_SEALS");
    ::usleep(kPause);
  }
  return copy;
}

/// The descriptor that an argument "/dev/fd/N" means (a shell's <(...)); -1 where none does.
int named_descriptor(char** argv) {
  for (char** argument = argv; *argument != nullptr && std::strcmp(*argument, "--") != 0; ++argument)
    for (const std::string_view prefix : {"/dev/fd/", "/proc/self/fd/"}) {
      const std::string_view text = *argument;
      if (text.substr(0, prefix.size()) != prefix) continue;
      int number = -1;
      const auto [end, error] =
          std::from_chars(text.data() + prefix.size(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size() && number > STDERR_FILENO) return number;
    }
  return -1;
}

/// Closes what is above 2, but for `kept`.
void close_others(int kept) {
  if (kept > 3 && ::close_range(3, static_cast<unsigned>(kept) - 1, 0) < 0) throw Error("close_range");
  if (::close_range(kept >= 3 ? static_cast<unsigned>(kept) + 1 : 3, ~0U, 0) < 0) throw Error("close_range");
}

}  // namespace

bool is_protected() {
  const Fd self(::open(kSelf, O_RDONLY | O_CLOEXEC));
  if (!self) return false;
  struct statvfs mount;
  if (::fstatvfs(self.get(), &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0) return true;
  const int seals = ::fcntl(self.get(), F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

void enter_protected(char** argv, char** environment) {
  if (::prctl(PR_SET_DUMPABLE, 0) < 0) throw Error("prctl", "PR_SET_DUMPABLE");
  // What the caller left open (CVE-2024-21626) is nobody's business here, least of all a container's.
  const int kept = named_descriptor(argv);
  close_others(kept);
  if (is_protected()) {
    if (kept >= 0) ::fcntl(kept, F_SETFD, FD_CLOEXEC);  // EBADF: its reader will say so
    return hold_closed_streams();
  }
  Fd self = read_only_mount();
  if (!self) self = sealed_copy();
  ::fexecve(self.get(), argv, environment);
  throw Error("exec", "a protected view of luabox's own binary");
}

}  // namespace luabox
