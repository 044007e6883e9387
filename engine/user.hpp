// Users: who a process is, and how the ids inside a user namespace map to those outside.
//
// See user_namespaces(7), setresuid(2), subuid(5). The texts of passwd(5) and group(5) that are parsed here
// come from an image: they are hostile input and are never read by the C library.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luabox {

/// `count` ids: inside, inside + 1, ... are outside, outside + 1, ... to the parent namespace.
struct IdMap {
  uint32_t inside = 0;
  uint32_t outside = 0;
  uint32_t count = 1;
  bool operator==(const IdMap&) const = default;

  /// "0 100000 65536". Throws Error (EINVAL).
  static IdMap parse(const std::string& text);
};

enum class Setgroups { allow, deny };

struct IdMaps {
  std::vector<IdMap> uid = {}, gid = {};
  /// Whether setgroups(2) works inside. Nothing: the kernel's own default, allow. Without CAP_SETGID outside,
  /// a gid map takes deny.
  std::optional<Setgroups> setgroups = {};
};

/// Throws Error (EINVAL) where the kernel would only say "invalid": an empty list, a count of 0, ids beyond
/// 2^32-2, ranges that overlap, more than 340 of them.
void check_id_map(const std::vector<IdMap>& map);

/// Writes /proc/PID's setgroups, uid_map and gid_map, once in a user namespace's life. Where a list is empty
/// that map is not written. `pid` is a child of the caller that waits, so its number can't be reused. Throws
/// Error; EPERM comes with what it takes.
void write_id_maps(pid_t pid, const IdMaps& maps);

struct Ids {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};  ///< supplementary; empty drops all
  bool keep_groups = false;        ///< setgroups(2) is known to be denied: nothing is asked; without groups
  bool keep_capabilities = false;  ///< the permitted set survives, see capabilities.hpp
};

/// Groups, then group, then user, real, effective and saved alike; read back. For a process with one thread.
/// Throws Error; after one the process is fit only to exit. Where the namespace denies setgroups(2), an empty
/// list of groups leaves them as they are: the kernel has made sure that they are the caller's own.
void set_ids(const Ids& ids);

/// The login that this session began with, which no setuid changes (/proc/PID/loginuid, audit's); nothing
/// outside a session, or on a kernel without audit.
std::optional<uid_t> login_uid();

struct IdRange {
  uint32_t first = 0;
  uint32_t count = 0;
};

struct SubordinateIds {
  std::vector<IdRange> uid, gid;
};

/// What /etc/subuid and /etc/subgid grant to `user`, by name or by number. A file that is missing grants
/// nothing.
SubordinateIds subordinate_ids(const std::string& user);

/// The ranges of `user` in the text of such a file; malformed lines grant nothing.
std::vector<IdRange> parse_subordinate(std::string_view text, const std::string& user);

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};  ///< supplementary, `gid` among them, without repetition
  std::string name;                ///< empty where the text knows no such uid
  std::string home = "/";
  std::string shell;
};

/// The user that "name", "name:group", "1000" or "1000:1000" means in an image with these passwd and group
/// files. A number need not be listed; a name must be. An explicit group leaves no others, as with docker.
/// Malformed lines and ids beyond 2^32-2 are passed over. Throws Error (ENOENT) for an unknown name.
User lookup_user(std::string_view passwd, std::string_view group, const std::string& who);

}  // namespace luabox
