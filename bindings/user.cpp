// luabox.sys.user: engine/user.hpp and attributes.hpp for Lua.
#include "engine/user.hpp"

#include "bindings/lua.hpp"
#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/attributes.hpp"

namespace luabox {

// ---- how the values cross

namespace {
struct MapLine {
  IdMap map;
};
}  // namespace

template <>
struct lua::Options<IdMap> {
  static constexpr auto fields = std::tuple(field("inside", &IdMap::inside),
                                            field("outside", &IdMap::outside), field("count", &IdMap::count));
};
/// "0 100000 65536" or { inside = 0, outside = 100000, count = 65536 }.
template <>
struct lua::Value<MapLine> {
  static MapLine check(lua_State* L, int index) {
    if (lua_type(L, index) == LUA_TSTRING) return {IdMap::parse(Value<std::string>::check(L, index))};
    return {Value<IdMap>::check(L, index)};
  }
};
template <>
struct lua::Words<Setgroups> {
  static constexpr std::array<std::pair<std::string_view, Setgroups>, 2> all = {
      {{"allow", Setgroups::allow}, {"deny", Setgroups::deny}}};
};

namespace {
struct MapOptions {
  std::vector<MapLine> uid, gid;
  std::optional<Setgroups> setgroups;
};
}  // namespace

template <>
struct lua::Options<MapOptions> {
  static constexpr auto fields = std::tuple(field("uid", &MapOptions::uid), field("gid", &MapOptions::gid),
                                            field("setgroups", &MapOptions::setgroups));
};
template <>
struct lua::Options<Ids> {
  static constexpr auto fields = std::tuple(
      field("uid", &Ids::uid), field("gid", &Ids::gid), field("groups", &Ids::groups),
      field("keep_groups", &Ids::keep_groups), field("keep_capabilities", &Ids::keep_capabilities));
};
template <>
struct lua::Options<IdRange> {
  static constexpr auto fields = std::tuple(field("first", &IdRange::first), field("count", &IdRange::count));
};
template <>
struct lua::Options<SubordinateIds> {
  static constexpr auto fields =
      std::tuple(field("uid", &SubordinateIds::uid), field("gid", &SubordinateIds::gid));
};
template <>
struct lua::Options<User> {
  static constexpr auto fields =
      std::tuple(field("uid", &User::uid), field("gid", &User::gid), field("groups", &User::groups),
                 field("name", &User::name), field("home", &User::home), field("shell", &User::shell));
};

namespace {
struct Limit {
  Bound bound;
};
struct LimitOptions {
  std::optional<Limit> soft, hard;
};
/// An octal string, as chmod(1) takes it, or a number.
struct Mask {
  unsigned bits;
};
}  // namespace

/// "unlimited" or a number; numbers beyond 2^53 as strings.
template <>
struct lua::Value<Limit> {
  static Limit check(lua_State* L, int index) {
    if (lua_type(L, index) == LUA_TSTRING) return {parse_bound(Value<std::string>::check(L, index))};
    return {Value<uint64_t>::check(L, index)};
  }
  static void push(lua_State* L, const Limit& limit) {
    if (limit.bound)
      Value<uint64_t>::push(L, *limit.bound);
    else
      lua_pushliteral(L, "unlimited");
  }
};
template <>
struct lua::Options<LimitOptions> {
  static constexpr auto fields =
      std::tuple(field("soft", &LimitOptions::soft), field("hard", &LimitOptions::hard));
};
template <>
struct lua::Value<Mask> {
  static Mask check(lua_State* L, int index) {
    if (lua_type(L, index) == LUA_TSTRING) return {parse_mask(Value<std::string>::check(L, index))};
    return {Value<unsigned>::check(L, index)};
  }
};

template <>
struct lua::Words<Policy> {
  static constexpr std::array<std::pair<std::string_view, Policy>, 5> all = {
      {{"normal", Policy::normal},
       {"batch", Policy::batch},
       {"idle", Policy::idle},
       {"fifo", Policy::fifo},
       {"round_robin", Policy::round_robin}}};
};
template <>
struct lua::Options<Scheduling> {
  static constexpr auto fields =
      std::tuple(field("policy", &Scheduling::policy), field("priority", &Scheduling::priority));
};
template <>
struct lua::Words<IoClass> {
  static constexpr std::array<std::pair<std::string_view, IoClass>, 4> all = {
      {{"none", IoClass::none},
       {"realtime", IoClass::realtime},
       {"best_effort", IoClass::best_effort},
       {"idle", IoClass::idle}}};
};
template <>
struct lua::Options<IoPriority> {
  static constexpr auto fields =
      std::tuple(field("class", &IoPriority::io_class), field("level", &IoPriority::level));
};

// ---- the functions

namespace {

void write_maps(lua::ProcessId process, const MapOptions& options) {
  IdMaps maps = {.setgroups = options.setgroups};
  for (const auto& line : options.uid) maps.uid.push_back(line.map);
  for (const auto& line : options.gid) maps.gid.push_back(line.map);
  write_id_maps(process.pid, maps);
}

User lookup(const lua::Bytes& passwd, const lua::Bytes& group, const std::string& who) {
  return lookup_user(passwd.data, group.data, who);
}

/// Without options it only reads; one of the two bounds alone leaves the other.
LimitOptions limit(const std::string& name, std::optional<LimitOptions> wanted) {
  const Rlimit old = rlimit_of(name);
  if (wanted)
    set_rlimit(name,
               {wanted->soft.value_or(Limit{old.soft}).bound, wanted->hard.value_or(Limit{old.hard}).bound});
  return {Limit{old.soft}, Limit{old.hard}};
}

unsigned mask_new_files(Mask mask) { return set_umask(mask.bits); }

constexpr lua::Entry kFunctions[] = {
    {"write_id_maps",
     lua::fn<&write_maps>},  // (process, { uid = { "0 100000 65536" }, gid = ..., setgroups = "deny" })
    {"set_ids", lua::fn<&set_ids>},  // { uid = 1000, gid = 1000, groups = {}, keep_capabilities = true }
    {"subids", lua::fn<&subordinate_ids>, false},  // (user) -> { uid = { { first =, count = } }, gid = ... }
    {"lookup", lua::fn<&lookup>,
     false},                      // (passwd text, group text, "name[:group]") -> { uid, gid, groups, ... }
    {"rlimit", lua::fn<&limit>},  // (name [, { soft = 64, hard = "unlimited" }]) -> the old ones
    {"nice", lua::fn<&set_nice>},
    {"oom_score_adj", lua::fn<&set_oom_score_adj>},
    {"umask", lua::fn<&mask_new_files>},         // "022" or a number -> the old one, a number
    {"personality", lua::fn<&set_personality>},  // "linux32", "linux no_randomize"
    {"scheduling", lua::fn<&set_scheduling>},    // { policy = "fifo", priority = 10 }
    {"affinity", lua::fn<&set_affinity>},        // { 0, 1 }
    {"io_priority", lua::fn<&set_io_priority>},  // { class = "best_effort", level = 7 }
};

}  // namespace

int open_user(lua_State* L) { return lua::module(L, "user.", kFunctions); }

}  // namespace luabox
