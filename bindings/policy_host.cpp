#include "bindings/policy_host.hpp"

#include <pwd.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <lua.hpp>
#include <string>
#include <vector>

#include "bindings/json.hpp"
#include "bindings/lua.hpp"
#include "bindings/policy_kinds.hpp"
#include "engine/fd.hpp"
#include "engine/mount_lines.hpp"
#include "engine/nearest.hpp"

namespace luabox::policy_host {
namespace {

bool has_looked = false;

/// A function that looks at it.
template <lua_CFunction function>
int looking(lua_State* L) {
  has_looked = true;
  return function(L);
}

Fd& audit_file() {
  static Fd file;
  return file;
}

/// host.audit_to(path): raises when it can't be written.
int audit_to(lua_State* L) {
  return lua::guard(L, [](lua_State* state) {
    audit_file() =
        Fd::open(luaL_checkstring(state, 1), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
    return 0;
  });
}

/// host.audit(table): one line, one write. Raises when it could not be written whole.
int audit(lua_State* L) {
  return lua::guard(L, [](lua_State* state) {
    if (audit_file()) write_all(audit_file().get(), json_of(state, 1) + "\n", "the audit log");
    return 0;
  });
}

int encode(lua_State* L) {
  return lua::guard(L, [](lua_State* state) {
    lua::push(state, json_of(state, 1));
    return 1;
  });
}

/// host.resolve(path) -> the path without symlinks; nil when there is nothing
int resolve(lua_State* L) {
  char* found = ::realpath(luaL_checkstring(L, 1), nullptr);
  if (found == nullptr) return 0;
  lua_pushstring(L, found);
  std::free(found);
  return 1;
}

/// The mounts as they are while one question is answered.
std::vector<MountLine>& mounts_now() {
  static std::vector<MountLine> lines;
  return lines;
}

bool lies_in(std::string_view path, std::string_view folder) {
  return folder == "/" || (path.substr(0, folder.size()) == folder &&
                           (path.size() == folder.size() || path[folder.size()] == '/'));
}

/// host.origin(path) -> where a path without symlinks lies in its file system, "8:1/etc/ssl": the same for
/// each mount of it.
int origin(lua_State* L) {
  return lua::guard(L, [](lua_State* state) {
    const std::string_view path = luaL_checkstring(state, 1);
    if (mounts_now().empty()) mounts_now() = mount_lines(read_file("/proc/self/mountinfo"));
    const MountLine* deepest = nullptr;
    for (const auto& mount : mounts_now())
      if (lies_in(path, mount.point) && (deepest == nullptr || mount.point.size() >= deepest->point.size()))
        deepest = &mount;
    if (deepest == nullptr) return 0;
    const std::string_view rest = deepest->point == "/" ? path : path.substr(deepest->point.size());
    std::string text = deepest->device + (deepest->root == "/" ? "" : deepest->root);
    if (rest != "/") text += rest;
    lua::push(state, text);
    return 1;
  });
}

/// host.user(uid) -> name or nil
int user(lua_State* L) {
  const auto wanted = static_cast<uid_t>(luaL_checknumber(L, 1));
  FILE* passwd = std::fopen("/etc/passwd", "re");
  if (passwd == nullptr) return 0;
  int results = 0;
  while (const struct passwd* entry = ::fgetpwent(passwd))
    if (entry->pw_uid == wanted) {
      lua_pushstring(L, entry->pw_name);
      results = 1;
      break;
    }
  std::fclose(passwd);
  return results;
}

/// host.uid() -> who runs this
int uid(lua_State* L) {
  lua_pushnumber(L, ::getuid());
  return 1;
}

/// host.time() -> { unix, year, month, day, hour, minute, weekday = "mon", text }
int now(lua_State* L) {
  timespec clock;
  ::clock_gettime(CLOCK_REALTIME, &clock);
  tm parts;
  ::localtime_r(&clock.tv_sec, &parts);
  const auto set = [L](const char* name, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
  };
  lua_createtable(L, 0, 8);
  set("unix", static_cast<double>(clock.tv_sec));
  set("year", parts.tm_year + 1900);
  set("month", parts.tm_mon + 1);
  set("day", parts.tm_mday);
  set("hour", parts.tm_hour);
  set("minute", parts.tm_min);
  static constexpr const char* days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
  lua_pushstring(L, days[parts.tm_wday]);
  lua_setfield(L, -2, "weekday");
  char text[40];
  ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &parts);
  lua_pushstring(L, text);
  lua_setfield(L, -2, "text");
  return 1;
}

const PolicyFile* loading = nullptr;

/// host.chunk() -> the function that the file is, or nil and the problem
int chunk(lua_State* L) {
  const std::string& text = loading->text;
  if (text.empty() || text[0] != LUA_SIGNATURE[0]) {
    const std::string name = "@" + loading->name;
    if (luaL_loadbufferx(L, text.data(), text.size(), name.c_str(), "t") == 0) return 1;
  } else {
    lua_pushfstring(L, "%s is bytecode, expected a policy in text", loading->name.c_str());
  }
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/// host.set_scope(function, table): all that a policy has.
int set_scope(lua_State* L) {
  lua_settop(L, 2);
  lua_setfenv(L, 1);
  return 0;
}

/// host.suggestion(name, names) -> " (did you mean 'check'?)" or ""
int suggestion(lua_State* L) {
  return lua::guard(L, [](lua_State* state) {
    const auto name = lua::check<std::string>(state, 1);
    const auto names = lua::check<std::vector<std::string>>(state, 2);
    lua::push(state, luabox::suggestion(name, {names.begin(), names.end()}));
    return 1;
  });
}

/// host.kind_of(primitive) -> "mount", nil for one that no rule is asked about
int kind_of_primitive(lua_State* L) {
  lua_pushstring(L, policy::kind_of(luaL_checkstring(L, 1)));
  return 1;
}

/// host.where() -> "10-site.lua:4", the line that called the function which asks
int where(lua_State* L) {
  lua_Debug frame;
  if (lua_getstack(L, 2, &frame) == 0 || lua_getinfo(L, "Sl", &frame) == 0) return 0;
  lua_pushfstring(L, "%s:%d", frame.short_src, frame.currentline);
  return 1;
}

constexpr luaL_Reg kHost[] = {{"suggestion", suggestion},
                              {"kind_of", kind_of_primitive},
                              {"where", where},
                              {"audit_to", looking<audit_to>},
                              {"audit", looking<audit>},
                              {"encode", encode},
                              {"resolve", looking<resolve>},
                              {"uid", looking<uid>},
                              {"origin", looking<origin>},
                              {"user", looking<user>},
                              {"time", looking<now>},
                              {"chunk", chunk},
                              {"set_scope", set_scope},
                              {nullptr, nullptr}};

}  // namespace

void push(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kHost);
}

void set_loading(const PolicyFile& file) { loading = &file; }

void forget_mounts() { mounts_now().clear(); }

bool looked() { return has_looked; }

}  // namespace luabox::policy_host
