#include "engine/user.hpp"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/procfs.hpp"

namespace luabox {
namespace {

constexpr size_t kMaxMapLines = 340;   // UID_GID_MAP_MAX_EXTENTS, since Linux 4.15
constexpr uint64_t kIds = 0xffffffff;  // 2^32-1 is "no change" to the kernel, not an id
constexpr size_t kMaxGroups = 65536;   // NGROUPS_MAX
constexpr size_t kMaxTable = 4U << 20U;

/// A whole decimal number; nothing for anything else.
std::optional<uint32_t> parse_number(std::string_view text) {
  uint32_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// One that is an id.
std::optional<uint32_t> parse_id(std::string_view text) {
  const auto number = parse_number(text);
  return number == kIds ? std::nullopt : number;
}

/// Cuts the text before the next `separator` off `rest`.
std::string_view take(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return field;
}

/// The line's fields; nothing where there are not N of them.
template <size_t N>
std::optional<std::array<std::string_view, N>> fields(std::string_view line) {
  if (static_cast<size_t>(std::count(line.begin(), line.end(), ':')) != N - 1) return std::nullopt;
  std::array<std::string_view, N> list;
  for (auto& field : list) field = take(line, ':');
  return list;
}

// ---- maps

std::string describe(const IdMap& map) {
  return std::to_string(map.inside) + " " + std::to_string(map.outside) + " " + std::to_string(map.count);
}

void require_no_overlap(const std::vector<IdMap>& map, uint32_t IdMap::*side, const char* name) {
  std::vector<IdMap> sorted = map;
  std::sort(sorted.begin(), sorted.end(),
            [side](const IdMap& a, const IdMap& b) { return a.*side < b.*side; });
  for (size_t i = 1; i < sorted.size(); ++i)
    if (uint64_t{sorted[i - 1].*side} + sorted[i - 1].count > sorted[i].*side)
      throw Error::invalid("id map", describe(sorted[i]),
                           "overlaps '" + describe(sorted[i - 1]) + "' " + name);
}

void write_map(pid_t pid, const std::string& file, const std::vector<IdMap>& map) {
  if (map.empty()) return;
  std::string text;
  for (const auto& line : map) text += describe(line) + "\n";
  try {
    write_proc(std::to_string(pid) + "/" + file, text);
  } catch (const Error& error) {
    if (error.code() != EPERM) throw;
    throw Error(error.op(), error.object(), EPERM,
                "without privileges a map is one line, for one's own id, with setgroups denied; more takes "
                "newuidmap and newgidmap, "
                "and a map is written once");
  }
}

// ---- passwd and group

/// Calls `each` with the fields of every well-formed line.
template <size_t N, class Each>
void for_each_entry(std::string_view text, Each&& each) {
  while (!text.empty()) {
    const std::string_view line = take(text, '\n');
    if (line.find('\0') != std::string_view::npos) continue;  // an environment could not hold it
    if (const auto entry = fields<N>(line)) each(*entry);
  }
}

void take_over(User& user, const std::array<std::string_view, 7>& entry, uid_t uid, gid_t gid) {
  user.uid = uid;
  user.gid = gid;
  user.name = entry[0];
  if (entry[5].starts_with('/')) user.home = entry[5];
  user.shell = entry[6];
}

/// The first entry of that name, else of that number.
bool find_user(std::string_view passwd, std::string_view who, User& user) {
  bool named = false, numbered = false;
  const auto number = parse_id(who);
  for_each_entry<7>(passwd, [&](const auto& entry) {
    const auto uid = parse_id(entry[2]), gid = parse_id(entry[3]);
    if (named || !uid || !gid || entry[0].empty()) return;
    named = entry[0] == who;
    if (named || (number == uid && !numbered)) take_over(user, entry, *uid, *gid);
    numbered = numbered || number == uid;
  });
  return named || numbered;
}

gid_t find_group(std::string_view group, std::string_view which) {
  std::optional<gid_t> found;
  for_each_entry<4>(group, [&](const auto& entry) {
    if (!found && entry[0] == which) found = parse_id(entry[2]);
  });
  if (!found) found = parse_id(which);
  if (!found)
    throw Error("lookup", "group " + std::string(which), ENOENT, "the image's /etc/group doesn't have it");
  return *found;
}

/// The primary group among them: else a set-group-id program would be rid of it, and of what a file refuses
/// to that group.
std::vector<gid_t> groups_of(const User& user, std::string_view group) {
  std::vector<gid_t> list = {user.gid};
  for_each_entry<4>(group, [&](const auto& entry) {
    const auto gid = parse_id(entry[2]);
    std::string_view members = entry[3];
    bool member = false;
    while (!members.empty() && !member) member = take(members, ',') == user.name;
    if (gid && member && list.size() < kMaxGroups) list.push_back(*gid);
  });
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

// ---- ids

bool setgroups_denied() {
  const Fd file = open_proc("self/setgroups", O_RDONLY);
  return read_all(file.get(), "/proc/self/setgroups").starts_with("deny");
}

void set_groups(const std::vector<gid_t>& groups) {
  if (::syscall(SYS_setgroups, groups.size(), groups.data()) == 0) return;
  const int code = errno;
  if (code == EPERM && groups.empty() && setgroups_denied()) return;
  throw Error("setgroups", std::to_string(groups.size()) + " groups", code);
}

void verify_ids(const Ids& ids) {
  uid_t uid[3] = {};
  gid_t gid[3] = {};
  if (::getresuid(&uid[0], &uid[1], &uid[2]) != 0 || ::getresgid(&gid[0], &gid[1], &gid[2]) != 0)
    throw Error("getresuid");
  const bool right = std::all_of(uid, uid + 3, [&](uid_t id) { return id == ids.uid; }) &&
                     std::all_of(gid, gid + 3, [&](gid_t id) { return id == ids.gid; });
  if (!right)
    throw Error("set_ids", std::to_string(ids.uid) + ":" + std::to_string(ids.gid), EPERM,
                "the ids didn't take");
}

}  // namespace

IdMap IdMap::parse(const std::string& text) {
  std::string_view rest = text;
  const auto next = [&rest] {
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    return parse_number(take(rest, ' '));
  };
  const auto inside = next(), outside = next(), count = next();
  if (!inside || !outside || !count || rest.find_first_not_of(' ') != std::string_view::npos)
    throw Error::invalid("id map", text, "a map is 'INSIDE OUTSIDE COUNT', three whole numbers");
  return {*inside, *outside, *count};
}

void check_id_map(const std::vector<IdMap>& map) {
  if (map.empty()) throw Error::invalid("id map", "", "it maps no id");
  if (map.size() > kMaxMapLines)
    throw Error::invalid("id map", std::to_string(map.size()) + " lines", "the kernel takes at most 340");
  for (const auto& line : map) {
    if (line.count == 0) throw Error::invalid("id map", describe(line), "it maps no id, the count is 0");
    if (uint64_t{line.inside} + line.count > kIds || uint64_t{line.outside} + line.count > kIds)
      throw Error::invalid("id map", describe(line), "ids end at 4294967294");
  }
  require_no_overlap(map, &IdMap::inside, "inside");
  require_no_overlap(map, &IdMap::outside, "outside");
}

void write_id_maps(pid_t pid, const IdMaps& maps) {
  for (const auto* map : {&maps.uid, &maps.gid})
    if (!map->empty()) check_id_map(*map);
  // Before the gid map: once that is written, setgroups can't be changed.
  if (maps.setgroups)
    write_proc(std::to_string(pid) + "/setgroups", *maps.setgroups == Setgroups::deny ? "deny" : "allow");
  write_map(pid, "uid_map", maps.uid);
  write_map(pid, "gid_map", maps.gid);
}

void set_ids(const Ids& ids) {
  if (ids.uid == kIds || ids.gid == kIds) throw Error::invalid("set_ids", "4294967295", "it is no id");
  if (ids.keep_groups && !ids.groups.empty())
    throw Error::invalid("set_ids", std::to_string(ids.groups.size()) + " groups",
                         "groups and keep_groups can't both be meant");
  if (ids.keep_capabilities && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
    throw Error("prctl", "keep capabilities");
  if (!ids.keep_groups) set_groups(ids.groups);
  // The raw calls: glibc's would signal other threads, and in the child of a raw clone its idea of them is
  // the parent's.
  if (::syscall(SYS_setresgid, ids.gid, ids.gid, ids.gid) != 0)
    throw Error("setresgid", std::to_string(ids.gid));
  if (::syscall(SYS_setresuid, ids.uid, ids.uid, ids.uid) != 0)
    throw Error("setresuid", std::to_string(ids.uid));
  verify_ids(ids);
}

std::vector<IdRange> parse_subordinate(std::string_view text, const std::string& user) {
  std::vector<IdRange> list;
  for_each_entry<3>(text, [&](const auto& entry) {
    const auto first = parse_id(entry[1]), count = parse_number(entry[2]);
    if (entry[0] == user && !user.empty() && first && count && *count > 0 &&
        uint64_t{*first} + *count <= kIds)
      list.push_back({*first, *count});
  });
  return list;
}

SubordinateIds subordinate_ids(const std::string& user) {
  const auto read = [](const char* path) {
    return ::access(path, F_OK) == 0 ? read_file(path, kMaxTable) : std::string();
  };
  return {parse_subordinate(read("/etc/subuid"), user), parse_subordinate(read("/etc/subgid"), user)};
}

User lookup_user(std::string_view passwd, std::string_view group, const std::string& who) {
  std::string_view rest = who;
  const bool explicit_group = who.find(':') != std::string::npos;
  const std::string_view name = take(rest, ':');

  User user;
  if (!find_user(passwd, name, user)) {
    const auto uid = parse_id(name);
    if (!uid)
      throw Error("lookup", "user " + std::string(name), ENOENT, "the image's /etc/passwd doesn't have it");
    user.uid = *uid;
  }
  if (explicit_group) user.gid = find_group(group, rest);
  user.groups = groups_of(user, explicit_group || user.name.empty() ? "" : group);
  return user;
}

std::optional<uid_t> login_uid() {
  try {
    const std::string text = read_file("/proc/self/loginuid");
    uid_t id = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (problem == std::errc() && id != static_cast<uid_t>(-1)) return id;
  } catch (const Error&) {
    // A kernel without audit, or a /proc that is gone: then nobody knows.
  }
  return std::nullopt;
}

}  // namespace luabox
