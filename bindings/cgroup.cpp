// luabox.sys.cgroup: engine/cgroup.hpp for Lua.
#include "engine/cgroup.hpp"

#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/cgroup_keys.hpp"

namespace luabox {

namespace lua {

/// true, a number, a string or a list of strings.
template <>
struct Value<CgroupValue> {
  static CgroupValue check(lua_State* L, int index) {
    switch (lua_type(L, index)) {
      case LUA_TBOOLEAN:
        return Value<bool>::check(L, index);
      case LUA_TNUMBER:
        return Value<double>::check(L, index);
      case LUA_TSTRING:
        return Value<std::string>::check(L, index);
      case LUA_TTABLE:
        return Value<std::vector<std::string>>::check(L, index);
      default:
        throw expected(L, index, "a number, a string, true, false or a list of strings");
    }
  }
};

template <>
struct Options<CgroupOptions> {
  static constexpr auto fields =
      std::tuple(field("parent", &CgroupOptions::parent), field("controllers", &CgroupOptions::controllers));
};

struct PlanOptions {
  std::string name = "NAME";
  std::string parent = CgroupOptions().parent;
};
template <>
struct Options<PlanOptions> {
  static constexpr auto fields =
      std::tuple(field("name", &PlanOptions::name), field("parent", &PlanOptions::parent));
};

template <>
struct Options<CgroupWrite> {
  static constexpr auto fields =
      std::tuple(field("controller", &CgroupWrite::controller), field("file", &CgroupWrite::file),
                 field("value", &CgroupWrite::value), field("path", &CgroupWrite::path));
};
template <>
struct Options<CgroupKey> {
  static constexpr auto fields =
      std::tuple(field("controller", &CgroupKey::controller), field("v1", &CgroupKey::v1),
                 field("v2", &CgroupKey::v2), field("words", &CgroupKey::words),
                 field("access", &CgroupKey::access), field("note", &CgroupKey::note));
};
template <>
struct Options<CgroupHierarchy> {
  static constexpr auto fields =
      std::tuple(field("version", &CgroupHierarchy::version), field("mount", &CgroupHierarchy::mount),
                 field("base", &CgroupHierarchy::base), field("controllers", &CgroupHierarchy::controllers),
                 field("writable", &CgroupHierarchy::writable));
};
template <>
struct Options<CgroupCpuStats> {
  static constexpr auto fields =
      std::tuple(field("usage", &CgroupCpuStats::usage), field("user", &CgroupCpuStats::user),
                 field("system", &CgroupCpuStats::system), field("throttled", &CgroupCpuStats::throttled));
};
template <>
struct Options<CgroupMemoryStats> {
  static constexpr auto fields =
      std::tuple(field("usage", &CgroupMemoryStats::usage), field("peak", &CgroupMemoryStats::peak),
                 field("limit", &CgroupMemoryStats::limit), field("cache", &CgroupMemoryStats::cache),
                 field("anon", &CgroupMemoryStats::anon));
};
template <>
struct Options<CgroupPidsStats> {
  static constexpr auto fields =
      std::tuple(field("current", &CgroupPidsStats::current), field("limit", &CgroupPidsStats::limit));
};
template <>
struct Options<CgroupIoStats> {
  static constexpr auto fields = std::tuple(
      field("read_bytes", &CgroupIoStats::read_bytes), field("write_bytes", &CgroupIoStats::write_bytes),
      field("reads", &CgroupIoStats::reads), field("writes", &CgroupIoStats::writes));
};
template <>
struct Options<CgroupPressure> {
  static constexpr auto fields =
      std::tuple(field("cpu", &CgroupPressure::cpu), field("memory", &CgroupPressure::memory),
                 field("io", &CgroupPressure::io));
};
template <>
struct Options<CgroupStats> {
  static constexpr auto fields =
      std::tuple(field("cpu", &CgroupStats::cpu), field("memory", &CgroupStats::memory),
                 field("pids", &CgroupStats::pids), field("io", &CgroupStats::io),
                 field("pressure", &CgroupStats::pressure));
};

}  // namespace lua

namespace {

Cgroup create(const std::string& name, const CgroupOptions& options) { return Cgroup::create(name, options); }
void add(Cgroup& cgroup, lua::ProcessId process) { cgroup.add(process.pid); }
Cgroup open(const std::vector<std::string>& paths, const std::optional<std::string>& parent) {
  return Cgroup::open(paths, parent.value_or(CgroupOptions().parent));
}
/// g:keep(): nothing is undone with it any more
int keep(lua_State* L) {
  lua::no_more_arguments(L, 1);
  lua::argument<Cgroup&>(L, 1).keep();
  lua::forget_undoing(lua_touserdata(L, 1));
  return 0;
}
std::vector<CgroupHierarchy> host() { return CgroupHost::local()->hierarchies(); }
std::vector<CgroupWrite> plan(const CgroupValues& values, const lua::PlanOptions& options) {
  return plan_cgroup_writes(*CgroupHost::local(), options.name, {options.parent, {}}, values);
}
std::vector<std::string> planned_paths(const std::string& name, const std::optional<CgroupValues>& values,
                                       const CgroupOptions& options) {
  return planned_cgroup_paths(*CgroupHost::local(), name, options, values.value_or(CgroupValues{}));
}
void remove_path(const std::string& path, const std::optional<std::string>& parent) {
  remove_cgroup_path(path, parent.value_or(CgroupOptions().parent));
}

}  // namespace

const lua::Entry lua::Class<Cgroup>::methods[] = {
    {"hierarchies", fn<&Cgroup::hierarchies>,
     false},  // g:hierarchies() -> { { version, mount, controllers }, ... } that it has a part in
    {"write", fn<&Cgroup::write>},           // g:write { memory = "100MiB", cpu = 0.2, ["pids.max"] = 50 }
    {"read", fn<&Cgroup::read>, reads},      // g:read "memory" -> "104857600"
    {"plan", fn<&Cgroup::plan>, reads},      // g:plan { ... } -> { { controller, file, value, path }, ... }
    {"add", fn<&add>},                       // g:add(pid or process)
    {"paths", fn<&Cgroup::paths>, false},    // g:paths() -> the directories made so far
    {"exists", fn<&Cgroup::exists>, reads},  // g:exists() -> true or false
    {"processes", fn<&Cgroup::processes>, reads},  // g:processes() -> list of pids
    {"freeze", fn<&Cgroup::freeze>},               // g:freeze()
    {"thaw", fn<&Cgroup::thaw>},                   // g:thaw()
    {"frozen", fn<&Cgroup::frozen>, reads},        // g:frozen() -> whether what is born in it stands still
    {"kill", fn<&Cgroup::kill>},                   // g:kill(); nothing may enter it afterwards
    {"remove", fn<&Cgroup::remove>},               // g:remove()
    {"keep", fn<&keep>, false},                    // g:keep(): it outlives the object
    {"oom_event", fn<&Cgroup::oom_eventfd>},  // g:oom_event() -> descriptor, readable when memory ran out
    {"oom_kills", fn<&Cgroup::oom_kills>, reads},  // g:oom_kills() -> count, nil where memory is not counted
    {"stats", fn<&Cgroup::stats>, reads},  // g:stats() -> { cpu = { usage ... }, memory, pids, io, pressure }
};

int open_cgroup(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"create",
       lua::fn<&create>},  // cgroup.create("demo", { parent = "luabox", controllers = { "freezer" } })
      {"open", lua::fn<&open>, lua::reads},  // cgroup.open(g:paths(), "luabox"): one that is there already
      {"host", lua::fn<&host>,
       lua::reads},  // cgroup.host() -> { { version, mount, base, controllers, writable }, ... }
      {"keys", lua::fn<&cgroup_keys>,
       lua::reads},  // cgroup.keys() -> { { controller, v1, v2, words, access, note }, ... }
      {"v2_weight", lua::fn<&v2_weight>, false},  // cgroup.v2_weight("cpu.shares", 1024) -> 100
      {"plan", lua::fn<&plan>, lua::reads},  // cgroup.plan({ memory = 1e8 }, { name = "demo" }) -> as g:plan
      {"planned_paths", lua::fn<&planned_paths>,
       lua::reads},  // cgroup.planned_paths("demo", { memory = 1e8 }, { controllers = ... })
      {"remove_path",
       lua::fn<&remove_path>},  // cgroup.remove_path("/sys/fs/cgroup/memory/luabox/demo", "luabox")
  };
  return lua::module(L, "cgroup.", functions);
}

}  // namespace luabox
