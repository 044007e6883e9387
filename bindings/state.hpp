// Lua states and what is built into them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

struct lua_State;

namespace luabox {

/// A script that is part of the binary: LuaJIT bytecode with debug information, chunk name
/// "@luabox:NAME.lua".
struct EmbeddedScript {
  const char* name;  ///< "stdlib", "commands/run", "library/schema", "argparse"
  const unsigned char* code;
  size_t size;
};
extern const EmbeddedScript embedded_scripts[];
extern const size_t embedded_script_count;

/// A state with the Lua libraries, `luabox.sys` and the embedded scripts within reach of require:
/// "luabox.stdlib" is stdlib.lua, "luabox.schema" is scripts/library/schema.lua, "luabox.commands.run" is
/// scripts/commands/run.lua, "argparse" Debian's argparse.
/// Comes from the prepared heap (bindings/heap.hpp) where there is one.
lua_State* new_state();

/// A state for the prepared heap: as above but without the JIT, and with the scripts that a start needs
/// loaded.
lua_State* state_to_prepare();

/// The thread that the state of `L` began with.
lua_State* main_thread(lua_State* L);

/// The module that this binary was built with, or nullptr.
const EmbeddedScript* find_embedded(std::string_view name);

/// Opens luabox.sys: one table, a field for each module.
int open_sys(lua_State* L);
/// The names of those fields: "mount", "net", ...
std::vector<std::string> module_names();

// The modules, one file each: bindings/NAME.cpp.
int open_mount(lua_State* L);
int open_net(lua_State* L);
int open_cgroup(lua_State* L);
int open_security(lua_State* L);
int open_user(lua_State* L);
int open_archive(lua_State* L);
int open_process(lua_State* L);
int open_running(lua_State* L);
int open_terminal(lua_State* L);
int open_file(lua_State* L);
int open_monitor(lua_State* L);
int open_json(lua_State* L);
int open_log(lua_State* L);
int open_gate(lua_State* L);
int open_policy(lua_State* L);

}  // namespace luabox
