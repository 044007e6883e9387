#include "engine/extract.hpp"

#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "engine/error.hpp"
#include "engine/escaped.hpp"

namespace luabox {
namespace {

constexpr mode_t kPermissions = 07777;
constexpr uint32_t kNobody = UINT32_MAX;  // (uid_t)-1: chown takes it for "leave as it is"

[[noreturn]] void fail(const Member& member, int code = errno, const std::string& hint = {}) {
  throw Error("import", printable(member.path), code, hint);
}

[[noreturn]] void refuse(const Member& member, const std::string& reason) {
  throw Error::invalid("import", printable(member.path), reason);
}

/// "a/b" for "/a//./b/", "" for the directory itself.
std::string normal(const Member& member, const std::string& name, const char* what) {
  std::string path;
  for (size_t start = 0; start < name.size();) {
    const size_t end = std::min(name.find('/', start), name.size());
    const std::string_view part(name.data() + start, end - start);
    start = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") refuse(member, std::string(what) + " leads out of the archive: '..' is refused");
    if (!path.empty()) path += '/';
    path += part;
  }
  return path;
}

std::pair<std::string, std::string> split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

bool begins(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

/// The owner to give, in the range of uid_t; `now` where all stays ours.
uint32_t owner(const Member& member, int64_t id, uint32_t now, Owner choice) {
  if (choice == Owner::own) return now;
  if (id < 0 || id >= kNobody)
    refuse(member, "its owner " + std::to_string(id) + " is not a user or group id");
  return static_cast<uint32_t>(id);
}

struct Ids {
  uid_t uid;
  gid_t gid;
};

Ids owners(const Member& member, const struct stat& now, Owner choice) {
  return {owner(member, member.uid, now.st_uid, choice), owner(member, member.gid, now.st_gid, choice)};
}

bool differ(const Ids& wanted, const struct stat& now) {
  return wanted.uid != now.st_uid || wanted.gid != now.st_gid;
}

/// A directory that the archive does not mention.
Member implied(const std::string& path) {
  Member member;
  member.path = path;
  member.mode = S_IFDIR | 0755;
  return member;
}

[[noreturn]] void fail_chown(const Member& member, const Ids& ids) {
  const std::string hint = "owner " + std::to_string(ids.uid) + ":" + std::to_string(ids.gid);
  fail(member, errno, errno == EINVAL ? hint + " has no number in this user namespace" : hint);
}

}  // namespace

std::string printable(const std::string& name) {
  constexpr size_t kLongest = 200;
  const std::string text = escaped(name.substr(0, kLongest));
  return name.size() > kLongest ? text + "..." : text;
}

// ---- names

Extractor::Extractor(int directory, ExtractOptions options) : root_(directory), options_(options) {
  struct stat now = {};
  if (::fstat(root_, &now) < 0) throw Error("import", "the directory");
  remember(now, std::make_unique<Member>(implied(".")));
}

Fd Extractor::open_beneath(const std::string& path, uint64_t flags) const {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    const long fd = ::syscall(SYS_openat2, root_, path.empty() ? "." : path.c_str(), &how, sizeof how);
    // A rename elsewhere while a symlink's ".." was being followed.
    if (fd < 0 && errno == EAGAIN) continue;
    return Fd(static_cast<int>(fd));
  }
}

/// Makes a directory that the archive does not mention: finished at once, since its mode takes away no way
/// into it.
Fd Extractor::make_implied(int parent, const std::string& name, const std::string& path) {
  if (::mkdirat(parent, name.c_str(), 0700) < 0) return {};
  Fd made(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat now = {};
  if (!made || ::fstat(made.get(), &now) < 0) return {};
  settle(made.get(), implied(path));
  remember(now, nullptr);
  return made;
}

/// The directory `path`, made with its parents where missing.
Fd Extractor::directory(const std::string& path) {
  const auto open = [&](size_t length) { return open_beneath(path.substr(0, length), O_PATH | O_DIRECTORY); };
  Fd found = open(path.size());
  if (found || errno != ENOENT) return found;
  // How much of it is there is found by halves: each look walks all the way, which symlinks can make long.
  std::vector<size_t> ends;
  for (size_t end = path.find('/'); end < path.size(); end = path.find('/', end + 1)) ends.push_back(end);
  ends.push_back(path.size());
  found = open(0);
  auto missing = std::partition_point(ends.begin(), ends.end() - 1, [&](size_t end) {
    Fd there = open(end);
    if (!there) return false;
    found = std::move(there);
    return true;
  });
  size_t start = missing == ends.begin() ? 0 : *(missing - 1) + 1;
  for (; found && missing != ends.end(); start = *missing++ + 1)
    found = make_implied(found.get(), path.substr(start, *missing - start), path.substr(0, *missing));
  return found;
}

/// Where `path` is to be made. The parent stays open for the next member, which is most often in the same
/// directory.
Extractor::Place Extractor::place(const Member& member, const std::string& path) {
  auto [up, name] = split(path);
  if (!parent_ || up != parent_path_) {
    parent_ = directory(up);
    if (!parent_) {
      const bool dangling = errno == EEXIST;
      fail(member, dangling ? ENOENT : errno, dangling ? "a symlink before it leads nowhere" : "");
    }
    parent_path_ = std::move(up);
  }
  return {parent_.get(), std::move(name)};
}

/// Removes what an earlier member left at `place`, so that this one can be made there.
void Extractor::clear(const Place& place, const Member& member) {
  struct stat old = {};
  if (::fstatat(place.parent, place.name.c_str(), &old, AT_SYMLINK_NOFOLLOW) < 0) fail(member);
  const bool directory = S_ISDIR(old.st_mode);
  if (::unlinkat(place.parent, place.name.c_str(), directory ? AT_REMOVEDIR : 0) < 0)
    fail(member, errno, directory ? "a directory stands in its place" : "");
  if (directory) by_inode_.erase(old.st_ino);
  // A path that led through what is gone may lead elsewhere now. `place` is used up by its owner before the
  // next lookup.
  parent_path_ = "/";
}

// ---- members

void Extractor::add(const Member& member, const std::function<void(int)>& contents) {
  const std::string path = normal(member, member.path, "its name");
  if (!member.hard_link && S_ISDIR(member.mode)) return add_directory(member, path);
  if (path.empty()) refuse(member, "only a directory can be the archive's root");
  if (S_ISSOCK(member.mode)) {
    ++skipped_.sockets;
    return;
  }
  const Place at = place(member, path);
  if (member.hard_link) return add_hard_link(member, at);
  switch (member.mode & S_IFMT) {
    case S_IFREG:
      return add_file(member, at, contents);
    case S_IFCHR:
    case S_IFBLK:
      return add_device(member, at);
    case S_IFIFO:
      return add_other(member, at,
                       [&] { return ::mkfifoat(at.parent, at.name.c_str(), member.mode & 0777); });
    case S_IFLNK:
      return add_other(member, at,
                       [&] { return ::symlinkat(member.link.c_str(), at.parent, at.name.c_str()); });
    default:
      refuse(member, "it is of no known type");
  }
}

/// In the order in which they were made, so that parents come before what is in them.
void Extractor::remember(const struct stat& made, std::unique_ptr<Member> wanted) {
  const auto [found, is_new] = by_inode_.try_emplace(made.st_ino, directories_.size());
  if (is_new) directories_.push_back({made.st_ino, nullptr});
  if (wanted) directories_[found->second].wanted = std::move(wanted);
}

Fd Extractor::make_directory(const Member& member, const std::string& path) {
  const Place at = place(member, path);
  const auto open = [&] {
    return ::openat(at.parent, at.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  };
  const auto make = [&] { return ::mkdirat(at.parent, at.name.c_str(), 0700); };
  if (make() < 0 && errno != EEXIST) fail(member);
  Fd made(open());
  if (made || (errno != ENOTDIR && errno != ELOOP)) return made;
  clear(at, member);
  if (make() < 0) fail(member);
  return Fd(open());
}

void Extractor::add_directory(const Member& member, const std::string& path) {
  const Fd made = path.empty() ? open_beneath("", O_RDONLY | O_DIRECTORY) : make_directory(member, path);
  struct stat now = {};
  if (!made || ::fstat(made.get(), &now) < 0) fail(member);
  set_xattrs(made.get(), member);
  auto wanted = std::make_unique<Member>();
  wanted->path = path.empty() ? "." : path;
  wanted->mode = member.mode;
  wanted->uid = member.uid;
  wanted->gid = member.gid;
  wanted->mtime = member.mtime;
  remember(now, std::move(wanted));
}

void Extractor::add_file(const Member& member, const Place& place, const std::function<void(int)>& contents) {
  // Not setuid before it is whole and has its owner; writable by us for as long as it takes to give it user.*
  // attributes.
  const mode_t mode = (member.mode & 0777) | (member.xattrs.empty() ? 0 : S_IWUSR);
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  Fd file;
  replacing(place, member, [&] {
    file = Fd(::openat(place.parent, place.name.c_str(), flags, mode));
    return file.get();
  });
  if (!file) fail(member);
  contents(file.get());
  settle(file.get(), member);
}

void Extractor::add_hard_link(const Member& member, const Place& place) {
  const std::string target = normal(member, member.link, "its link");
  const std::pair<std::string, std::string> parts = split(target);
  const Fd above = open_beneath(parts.first, O_PATH | O_DIRECTORY);
  const char* name = parts.second.c_str();
  struct stat old = {}, now = {};
  if (!above || target.empty() || ::fstatat(above.get(), name, &old, AT_SYMLINK_NOFOLLOW) < 0)
    fail(member, ENOENT, "it links to " + printable(member.link) + ", which is not in the archive before it");
  if (S_ISDIR(old.st_mode)) refuse(member, "it links to a directory");
  const auto link = [&] { return ::linkat(above.get(), name, place.parent, place.name.c_str(), 0) == 0; };
  if (link()) return;
  if (errno != EEXIST) fail(member);
  // A link to itself is there already; clearing its place first would lose the file.
  if (::fstatat(place.parent, place.name.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == old.st_ino)
    return;
  clear(place, member);
  if (!link()) fail(member);
}

void Extractor::add_device(const Member& member, const Place& place) {
  const bool whiteout = S_ISCHR(member.mode) && member.device == 0;
  if (options_.devices == Devices::refuse) refuse(member, "it is a device node");
  if (options_.devices == Devices::skip || whiteout) {
    ++skipped_.devices;
    return;
  }
  const mode_t mode = member.mode & (S_IFMT | 0777);
  const auto make = [&] { return ::mknodat(place.parent, place.name.c_str(), mode, member.device); };
  if (replacing(place, member, make)) return settle_name(place, member);
  if (errno != EPERM) fail(member);
  ++skipped_.devices;
}

/// What has no contents: made by `make`, then given its owner, mode and time by name.
void Extractor::add_other(const Member& member, const Place& place, const std::function<int()>& make) {
  if (!replacing(place, member, make)) fail(member);
  settle_name(place, member);
}

/// Whether `make` succeeded, once what stood in its way was removed; errno tells why not.
bool Extractor::replacing(const Place& place, const Member& member, const std::function<int()>& make) {
  if (make() >= 0) return true;
  if (errno != EEXIST) return false;
  clear(place, member);
  return make() >= 0;
}

// ---- owner, mode, attributes, time

/// Only what differs is changed: most files are made right, and each change is a write to the file system's
/// journal.
void Extractor::settle(int fd, const Member& member) {
  struct stat now = {};
  if (::fstat(fd, &now) < 0) fail(member);
  const Ids ids = owners(member, now, options_.owner);
  // chown drops setuid and capabilities: it goes first.
  if (differ(ids, now) && ::fchown(fd, ids.uid, ids.gid) < 0) fail_chown(member, ids);
  if (!S_ISDIR(now.st_mode)) set_xattrs(fd, member);
  if ((now.st_mode & kPermissions) != (member.mode & kPermissions) &&
      ::fchmod(fd, member.mode & kPermissions) < 0)
    fail(member);
  const timespec times[2] = {{0, UTIME_OMIT}, member.mtime};
  if (::futimens(fd, times) < 0) fail(member);
}

void Extractor::settle_name(const Place& place, const Member& member) {
  const char* name = place.name.c_str();
  struct stat now = {};
  if (::fstatat(place.parent, name, &now, AT_SYMLINK_NOFOLLOW) < 0) fail(member);
  const Ids ids = owners(member, now, options_.owner);
  if (differ(ids, now) && ::fchownat(place.parent, name, ids.uid, ids.gid, AT_SYMLINK_NOFOLLOW) < 0)
    fail_chown(member, ids);
  const bool other_mode = (now.st_mode & kPermissions) != (member.mode & kPermissions);
  if (!S_ISLNK(now.st_mode) && other_mode &&
      ::fchmodat(place.parent, name, member.mode & kPermissions, AT_SYMLINK_NOFOLLOW) < 0)
    fail(member);
  const timespec times[2] = {{0, UTIME_OMIT}, member.mtime};
  if (::utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) < 0) fail(member);
}

void Extractor::set_xattrs(int fd, const Member& member) {
  for (const auto& [name, value] : member.xattrs) {
    const bool capability = name == "security.capability";
    const bool wanted = (capability && options_.owner == Owner::keep) ||
                        (begins(name, "user.") && !begins(name, "user.overlay."));
    if (wanted && ::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
    // A file system without user.*, or no right to give capabilities: the image is still good without.
    if (wanted && errno != ENOTSUP && !(capability && errno == EPERM))
      fail(member, errno, "its attribute " + printable(name));
    ++skipped_.xattrs;
  }
}

void Extractor::finish() {
  // From the leaves up: a directory may take away our own way into it.
  for (auto at = directories_.rbegin(); at != directories_.rend(); ++at) {
    if (!at->wanted) continue;
    const Fd found = open_beneath(at->wanted->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!found && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) fail(*at->wanted);
    struct stat now = {};
    if (found && ::fstat(found.get(), &now) < 0) fail(*at->wanted);
    // A later member took its place.
    if (!found || now.st_ino != at->inode) continue;
    settle(found.get(), *at->wanted);
  }
}

}  // namespace luabox
