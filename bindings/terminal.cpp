// luabox.sys.terminal: engine/terminal.hpp, supervisor.hpp, line_editor.hpp and interrupt.hpp for Lua.
#include "engine/terminal.hpp"

#include <unistd.h>

#include <csignal>
#include <cstring>

#include "bindings/patterns.hpp"
#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/interrupt.hpp"
#include "engine/line_editor.hpp"
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
/// signals:release(): no longer held back
static int release_signals(lua_State* L) {
  lua::Value<ForwardedSignals>::use_up(L, 1, "release");
  return 0;
}
const lua::Entry lua::Class<ForwardedSignals>::methods[] = {
    {"pending", fn<&ForwardedSignals::pending>, false}, {"release", fn<&release_signals>, false}};

template <>
struct lua::Class<Interrupts> {
  static constexpr auto name = "interrupts";
  static const Entry methods[3];
};
template <>
struct lua::Class<LineEditor> {
  static constexpr auto name = "editor";
  static const Entry methods[2];
};

namespace {

// ---- interrupts

lua_State* interrupted_state =
    nullptr;  // the main thread, which no collector takes; a hook is for all of them
volatile sig_atomic_t hook_reached = 0;
volatile sig_atomic_t editing = 0;
constexpr int kPatience = 3;
constexpr int kSignalled = 128;
volatile sig_atomic_t rounds = 0;  // of the seconds for the Lua code to answer in, since it did
constexpr int kRounds = 3;

/// The first interrupt is raised once, so that what it interrupts can clean up; from the second on it is
/// raised at each instruction of the user's own code: no loop around pcall survives that, while the library's
/// undoing is left in peace.
void raise_interrupt(lua_State* L, lua_Debug* at) {
  hook_reached = 1;
  if (interrupts_are_held()) return;
  const bool again = interrupts() > 1 || rounds >= kRounds;
  if (again)
    lua_sethook(L, raise_interrupt, LUA_MASKCOUNT, 1);
  else
    lua_sethook(L, nullptr, 0, 0);
  lua_getinfo(L, "Sl", at);
  if (again && std::strncmp(at->source, "@luabox:", 8) == 0) return;
  if (!again && interrupt_was_thrown()) return;
  lua::push_error(L, Error("interrupted", std::string("SIG") + ::sigabbrev_np(interrupted()), EINTR));
  lua_pushliteral(L, "interrupted");
  lua_setfield(L, -2, "message");
  lua_error(L);
}

/// In the signal handler. Where Lua code is not reached (in string.rep, say), the third one ends luabox.
void on_interrupt(int signal) {
  if (editing != 0) return;
  if (interrupts() >= kPatience && hook_reached == 0) {
    constexpr char text[] =
        "luabox: what runs can't be interrupted: ended; 'luabox gc' removes what is left\n";
    if (::write(STDERR_FILENO, text, sizeof text - 1) < 0) ::_exit(kSignalled + signal);
    ::_exit(kSignalled + signal);
  }
  lua_sethook(interrupted_state, raise_interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
  patterns::give_up();
  await_answer();
}

/// A compiled loop, or a read that waits, is ended as without a handler. What answered and goes on is asked
/// again, as by a second signal.
void on_deadline(int) {
  if (interrupted() == 0) return;
  if (hook_reached == 0 && !interrupt_was_thrown()) {
    ::signal(interrupted(), SIG_DFL);
    ::raise(interrupted());
  }
  rounds = rounds + 1;
  if (rounds >= kRounds)
    lua_sethook(interrupted_state, raise_interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
  else
    await_answer();
}

/// terminal.interrupts(seconds) -> interrupts. Compiled loops don't see them: jit.off() first, or `seconds`
/// after which the signal ends luabox all the same.
int catch_interrupts(lua_State* L) {
  lua::no_more_arguments(L, 1);
  const int seconds = lua::argument<std::optional<int>>(L, 1).value_or(0);
  if (seconds < 0) throw lua::BadArgument("argument 1: expected a number of seconds");
  interrupted_state = main_thread(L);
  lua::push(L, Interrupts({&on_interrupt, &on_deadline, static_cast<unsigned>(seconds)}));
  return 1;
}

/// interrupts:clear() -> "INT", "TERM", "HUP" or nil: what came since the last time
std::optional<std::string> clear(Interrupts&) {
  const int signal = interrupted();
  lua_sethook(interrupted_state, nullptr, 0, 0);
  forget_interrupts();
  hook_reached = 0;
  rounds = 0;
  if (signal == 0) return std::nullopt;
  return signal == SIGINT ? "INT" : signal == SIGTERM ? "TERM" : "HUP";
}

/// interrupts:ignore(): nothing comes of them any more
void ignore(Interrupts& interrupts) {
  interrupts.ignore();
  lua_sethook(interrupted_state, nullptr, 0, 0);
}

/// interrupts:release(): signals do again what they did before
int release_interrupts(lua_State* L) {
  lua::Value<Interrupts>::use_up(L, 1, "release");
  return 0;
}

/// terminal.undisturbed(f, ...) -> what f returns. An interrupt waits until it has ended, and so does a
/// script's own hook. The third interrupt does not wait.
int undisturbed(lua_State* L) {
  if (!lua_isfunction(L, 1)) throw lua::expected(L, 1, "a function").inside("argument 1");
  const lua_Hook hook = lua_gethook(L);
  const int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  const bool outer = hold_interrupts(true);
  lua_sethook(L, nullptr, 0, 0);
  const int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  hold_interrupts(outer);
  // Not in the place of the one that an interrupt has set meanwhile.
  if (lua_gethook(L) == nullptr) lua_sethook(L, hook, mask, count);
  if (status != 0) return lua_error(L);
  return lua_gettop(L);
}

// ---- the line editor

/// What complete(text before the cursor) returns: start, words. An error in it completes nothing.
Completion ask(lua_State* L, int function, const std::string& before) {
  const int top = lua_gettop(L);
  Completion found;
  lua_pushvalue(L, function);
  lua::push(L, before);
  if (lua_pcall(L, 1, 2, 0) == 0 && lua_isnumber(L, -2) && lua_istable(L, -1)) {
    found.start = static_cast<size_t>(lua_tointeger(L, -2)) - 1;
    found.words = lua::check<std::vector<std::string>>(L, lua_gettop(L));
  }
  lua_settop(L, top);
  return found;
}

/// editor:read(prompt, complete) -> line; nil at the end of the input; nil, "INT" when a signal came
int read_line(lua_State* L) {
  lua::no_more_arguments(L, 3);
  lua_settop(L, 3);
  auto& editor = lua::argument<LineEditor&>(L, 1);
  const auto prompt = lua::argument<std::string>(L, 2);
  editing = 1;
  const auto line = editor.read(prompt, [L](const std::string& before) { return ask(L, 3, before); });
  editing = 0;
  lua::push(L, line);
  return 1;
}

LineEditor make_editor() { return {}; }

}  // namespace

const lua::Entry lua::Class<Interrupts>::methods[] = {{"clear", fn<&clear>, false},
                                                      {"ignore", fn<&ignore>, false},
                                                      {"release", fn<&release_interrupts>, false}};
const lua::Entry lua::Class<LineEditor>::methods[] = {{"read", fn<&read_line>, false},
                                                      {"remember", fn<&LineEditor::remember>, false}};

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

/// terminal.supervise(processes, signals, master number or nil, seconds or nil) -> whether all have ended
int supervise_all(lua_State* L) {
  lua::no_more_arguments(L, 4);
  const auto processes = lua::objects<Process>(L, 1);
  const auto& signals = lua::argument<ForwardedSignals>(L, 2);
  const int master = lua::argument<std::optional<int>>(L, 3).value_or(-1);
  const auto seconds = lua::argument<std::optional<double>>(L, 4);
  if (seconds && *seconds < 0) throw lua::BadArgument("argument 4: expected seconds, 0 or more");
  lua::push(L, supervise(processes, signals, master, seconds.value_or(-1)));
  return 1;
}

}  // namespace

int open_terminal(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"open", lua::fn<&open, Fd>},                    // terminal.open(root) -> master, slave
      {"use", lua::fn<&use>},                          // terminal.use(slave, { all = })
      {"set_owner", lua::fn<&set_owner>},              // terminal.set_owner(slave, uid, gid)
      {"size", lua::fn<&window_size>, false},          // terminal.size(fd) -> { rows =, columns = } or nil
      {"set_size", lua::fn<&set_window_size>},         // terminal.set_size(fd, { rows =, columns = })
      {"forward_signals", lua::fn<&forward_signals>},  // terminal.forward_signals() -> signals
      {"supervise", lua::fn<&supervise_all, bool>},  // terminal.supervise({ process, ... }, signals, master)
      {"interrupts", lua::fn<&catch_interrupts>,
       false},                                        // terminal.interrupts(seconds) -> interrupts:clear()
      {"undisturbed", lua::fn<&undisturbed>, false},  // terminal.undisturbed(f, ...) -> what f returns
      {"find", {patterns::find, nullptr}, false},     // terminal.find(text, pattern, init, plain)
      {"editor", lua::fn<&make_editor>, false}};      // terminal.editor() -> editor:read, editor:remember
  return lua::module(L, "terminal.", functions);
}

}  // namespace luabox
