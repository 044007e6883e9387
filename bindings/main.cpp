// luabox COMMAND ...: hands the command line to scripts/library/main.lua.
#include <sys/auxv.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <lua.hpp>
#include <string_view>

#include "bindings/heap.hpp"
#include "bindings/lua.hpp"
#include "bindings/policy.hpp"
#include "bindings/policy_state.hpp"
#include "bindings/state.hpp"
#include "engine/error.hpp"
#include "engine/exec.hpp"
#include "engine/handover.hpp"
#include "engine/nftables.hpp"
#include "engine/self.hpp"

namespace {

constexpr int kFailed = 125;

int fail(const char* why) {
  std::fprintf(stderr, "luabox: %s\n", why);
  return kFailed;
}

/// What an error that nobody caught says: a text, or an error table's message.
const char* told(lua_State* L) {
  if (lua_istable(L, -1)) lua_getfield(L, -1, "message");
  return lua_isstring(L, -1) ? lua_tostring(L, -1) : "an error without a text";
}

/// Runs the command line, or ends what a luabox before this one was called for (engine/monitor.hpp).
int run(lua_State* L, int argc, char** argv, bool resumes) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "luabox.main");
  if (lua_pcall(L, 1, 1, 0) != 0) return fail(told(L));
  if (resumes) {
    lua_getfield(L, -1, "resume");
    if (lua_pcall(L, 0, 1, 0) != 0) return fail(told(L));
    return static_cast<int>(lua_tointeger(L, -1));
  }
  lua_createtable(L, argc, 0);
  for (int i = 1; i < argc; ++i) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  if (lua_pcall(L, 1, 1, 0) != 0) return fail(told(L));
  return static_cast<int>(lua_tointeger(L, -1));
}

/// Set-uid, the caller's variables say nothing of where luabox finds and puts its files: it works with more
/// rights than he has.
void forget_callers_variables() {
  if (::getauxval(AT_SECURE) == 0) return;
  for (const char* name : {"HOME", "LUABOX_HINTS", "LUABOX_IMAGES", "LUABOX_PATH", "LUABOX_STATE",
                           "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"})
    ::unsetenv(name);
}

}  // namespace

int main(int argc, char** argv) {
  // A file that may not grow (RLIMIT_FSIZE) is an error, EFBIG, as a disk that is full. A command gets its
  // default back.
  ::signal(SIGXFSZ, SIG_IGN);
  // Who starts it may ignore that his children end, which goes on past an exec: of luabox's own, no status
  // would be left.
  ::signal(SIGCHLD, SIG_DFL);
  try {
    // What the linker has just made becomes the program that is installed (CMakeLists.txt).
    if (!luabox::heap::is_there() && argc == 3 && std::string_view(argv[1]) == "--prepare-heap")
      return luabox::heap::prepare(argv[2], luabox::state_to_prepare, luabox::prepared_policies), 0;
    luabox::enter_protected(argv);
    forget_callers_variables();
    luabox::remember_command_line(argc, argv);
    const bool resumes = luabox::handed_over("monitor") != nullptr;
    // To end what was agreed to is never refused.
    if (!resumes) luabox::policy::begin(argc > 1 ? argv[1] : nullptr);
    lua_State* L = luabox::new_state();
    lua_gc(L, LUA_GCSTOP,
           0);  // nothing becomes garbage while scripts are loaded; cli.lua and run.lua start it
    const int status = run(L, argc, argv, resumes);
    luabox::lua::undo_everything();  // what a script left
    luabox::policy::end();
    luabox::leave_firewall_socket();
    std::fflush(nullptr);
    ::_exit(status);  // what is left is memory, which to give back piece by piece takes longer
  } catch (const luabox::Error& error) {
    if (::access("/proc/self/exe", F_OK) != 0)
      return fail("/proc is not mounted here, and luabox can't work without it");
    return fail(error.what());
  }
}
