#include "engine/self.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/handover.hpp"
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

/// Closes what is above 2, but for `all_kept`: -1 is none.
void close_others(std::vector<int> all_kept) {
  unsigned next = STDERR_FILENO + 1;
  std::sort(all_kept.begin(), all_kept.end());
  for (const int kept : all_kept) {
    if (kept < static_cast<int>(next)) continue;
    const auto number = static_cast<unsigned>(kept);
    if (number > next && ::close_range(next, number - 1, 0) < 0) throw Error("close_range");
    next = number + 1;
  }
  if (::close_range(next, ~0U, 0) < 0) throw Error("close_range");
}

/// The descriptor that execute_copy left; -1 where it has not.
int origin() {
  const char* const text = ::secure_getenv(kOrigin);
  const int number = text != nullptr ? std::atoi(text) : -1;
  return number > STDERR_FILENO && ::fcntl(number, F_GETFD) >= 0 ? number : -1;
}

Fd& known_origin() {
  static Fd file;
  return file;
}

/// A copy takes megabytes of memory: what is to be executed later is what it is a copy of.
void execute_copy(char** argv) {
  const Fd copy = sealed_copy();
  const Fd original(::open(kSelf, O_PATH));
  if (original) ::setenv(kOrigin, std::to_string(original.get()).c_str(), 1);
  ::fexecve(copy.get(), argv, environ);
}

/// What the caller left open (CVE-2024-21626) is nobody's business here, least of all a container's; but for
/// what an argument names, and what was handed over (engine/handover.hpp). Before a monitor all was luabox's
/// own.
void close_callers(char** argv) {
  if (handed_over("monitor") != nullptr) return;
  const char* const ready = handed_over("background");
  auto kept = named_descriptors(argv);
  kept.push_back(ready != nullptr ? std::atoi(ready) : -1);
  kept.push_back(origin());
  close_others(kept);
}

/// The numbers that arguments name are nobody else's: where nothing is open there, something is that can't be
/// opened (ENXIO).
void hold_named(char** argv) {
  for (const int named : named_descriptors(argv)) {
    if (::fcntl(named, F_GETFD) >= 0) continue;
    Fd nothing(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!nothing) throw Error("socket", "/dev/fd/" + std::to_string(named));
    if (nothing.get() == named)
      nothing.release();
    else
      ::dup3(nothing.get(), named, O_CLOEXEC);  // EBADF: there can be no such number
  }
}

}  // namespace

std::vector<int> named_descriptors(char* const* argv) {
  std::vector<int> named;
  for (char* const* argument = argv; *argument != nullptr && std::strcmp(*argument, "--") != 0; ++argument)
    for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
      const std::string_view text = *argument;
      const size_t at = text.rfind(folder);  // it may be "--log-file=/dev/fd/7"
      if (at == std::string_view::npos) continue;
      int number = -1;
      const auto [end, error] =
          std::from_chars(text.data() + at + folder.size(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size() && number > STDERR_FILENO)
        named.push_back(number);
    }
  return named;
}

Fd open_self() {
  if (known_origin()) return known_origin().duplicate(kSelf);
  return Fd::open(kSelf, O_PATH);
}

bool is_protected() {
  const Fd self(::open(kSelf, O_RDONLY | O_CLOEXEC));
  if (!self) return false;
  struct statvfs mount;
  if (::fstatvfs(self.get(), &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0) return true;
  const int seals = ::fcntl(self.get(), F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

void enter_protected(char** argv) {
  if (::prctl(PR_SET_DUMPABLE, 0) < 0) throw Error("prctl", "PR_SET_DUMPABLE");
  close_callers(argv);
  hold_named(argv);
  if (is_protected()) {
    if (::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0) throw Error("close_range");
    ::prctl(PR_SET_NAME, "luabox");  // by a descriptor it was executed under another
    known_origin() = Fd(origin());
    ::unsetenv(kOrigin);
    accept_handover();
    return hold_closed_streams();
  }
  if (const Fd self = read_only_mount())
    ::fexecve(self.get(), argv, environ);
  else
    execute_copy(argv);
  throw Error("exec", "a protected view of luabox's own binary");
}

}  // namespace luabox
