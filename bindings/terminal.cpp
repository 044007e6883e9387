// luabox.sys.terminal: engine/terminal.hpp and engine/supervisor.hpp for Lua.
#include "engine/terminal.hpp"

#include <unistd.h>

#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/supervisor.hpp"

namespace luabox {

template <>
struct lua::Options<WindowSize> {
  static constexpr auto fields =
      std::tuple(field("rows", &WindowSize::rows), field("columns", &WindowSize::columns));
};
template <>
struct lua::Class<ForwardedSignals> {
  static constexpr auto name = "signals";
  static constexpr Entry methods[] = {{"pending", fn<&ForwardedSignals::pending>, false}};
};

namespace {

/// terminal.open(ptmx descriptor | nil) -> master, slave
int open(lua_State* L) {
  Pty pty = lua_isnoneornil(L, 1) ? open_pty() : open_pty(lua::argument<Fd>(L, 1).get());
  lua::push(L, std::move(pty.master));
  lua::push(L, std::move(pty.slave));
  return 2;
}

/// Puts the slave in the place of those of descriptors 0 to 2 that are terminals now: the caller's own never
/// goes inside.
void use(Fd& slave) {
  for (int fd = 0; fd <= 2; ++fd)
    if (::isatty(fd) == 1 && ::dup2(slave.get(), fd) < 0) throw Error("dup2");
}
void set_owner(Fd& slave, int uid, int gid) {
  if (::fchown(slave.get(), static_cast<uid_t>(uid), static_cast<gid_t>(gid)) < 0)
    throw Error("chown", "terminal");
}

ForwardedSignals forward_signals() { return {}; }

/// terminal.supervise(process, signals, master) -> exit status
int supervise_process(Process& process, const ForwardedSignals& signals, std::optional<int> master) {
  return supervise(process, signals, master.value_or(-1)).shell();
}

}  // namespace

int open_terminal(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"open", lua::fn<&open>},                        // terminal.open(ptmx) -> master, slave
      {"use", lua::fn<&use>},                          // terminal.use(slave)
      {"set_owner", lua::fn<&set_owner>},              // terminal.set_owner(slave, uid, gid)
      {"size", lua::fn<&window_size>, false},          // terminal.size(fd) -> { rows =, columns = } or nil
      {"set_size", lua::fn<&set_window_size>},         // terminal.set_size(fd, { rows =, columns = })
      {"forward_signals", lua::fn<&forward_signals>},  // terminal.forward_signals() -> signals
      {"supervise", lua::fn<&supervise_process>}};  // terminal.supervise(process, signals, master) -> status
  return lua::module(L, "terminal.", functions);
}

}  // namespace luabox
