// luabox.sys.terminal: engine/terminal.hpp and engine/supervisor.hpp for Lua.
#include "engine/terminal.hpp"

#include <unistd.h>

#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/supervisor.hpp"

namespace luabox {

struct UseOptions {
  bool all = false;
};
template <>
struct lua::Options<UseOptions> {
  static constexpr auto fields = std::tuple(field("all", &UseOptions::all));
};
template <>
struct lua::Options<WindowSize> {
  static constexpr auto fields =
      std::tuple(field("rows", &WindowSize::rows), field("columns", &WindowSize::columns));
};
const lua::Entry lua::Class<ForwardedSignals>::methods[] = {
    {"pending", fn<&ForwardedSignals::pending>, false}};

namespace {

/// terminal.open(root | nil) -> master, slave: of the devpts that is mounted on the root's /dev/pts, or of
/// the host's own
int open(lua_State* L) {
  lua::no_more_arguments(L, 1);
  Pty pty =
      lua_isnoneornil(L, 1) ? open_pty() : open_pty(lua::argument<Root>(L, 1).resolve("/dev/pts/ptmx").get());
  lua::push(L, std::move(pty.master));
  lua::push(L, std::move(pty.slave));
  return 2;
}

/// Puts the slave in the place of those of descriptors 0 to 2 that are terminals now, or of all: the caller's
/// own never goes inside.
void use(Fd& slave, UseOptions options) {
  for (int fd = 0; fd <= 2; ++fd)
    if ((options.all || ::isatty(fd) == 1) && ::dup2(slave.get(), fd) < 0) throw Error("dup2");
}
void set_owner(Fd& slave, int uid, int gid) {
  if (::fchown(slave.get(), static_cast<uid_t>(uid), static_cast<gid_t>(gid)) < 0)
    throw Error("chown", "terminal");
}

ForwardedSignals forward_signals() { return {}; }

/// terminal.supervise(processes, signals, master number or nil)
int supervise_all(lua_State* L) {
  if (!lua_istable(L, 1)) throw lua::expected(L, 1, "a list of processes").inside("argument 1");
  lua_settop(L, 3);
  std::vector<Process*> processes;
  for (size_t i = 1; i <= lua_objlen(L, 1); ++i) {
    lua_rawgeti(L, 1, static_cast<int>(i));  // stays on the stack, and so alive
    processes.push_back(&lua::argument<Process>(L, lua_gettop(L)));
  }
  supervise(processes, lua::argument<ForwardedSignals>(L, 2),
            lua::argument<std::optional<int>>(L, 3).value_or(-1));
  return 0;
}

}  // namespace

int open_terminal(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"open", lua::fn<&open>},                        // terminal.open(root) -> master, slave
      {"use", lua::fn<&use>},                          // terminal.use(slave, { all = })
      {"set_owner", lua::fn<&set_owner>},              // terminal.set_owner(slave, uid, gid)
      {"size", lua::fn<&window_size>, false},          // terminal.size(fd) -> { rows =, columns = } or nil
      {"set_size", lua::fn<&set_window_size>},         // terminal.set_size(fd, { rows =, columns = })
      {"forward_signals", lua::fn<&forward_signals>},  // terminal.forward_signals() -> signals
      {"supervise", lua::fn<&supervise_all>}};  // terminal.supervise({ process, ... }, signals, master)
  return lua::module(L, "terminal.", functions);
}

}  // namespace luabox
