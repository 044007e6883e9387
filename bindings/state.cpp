#include "bindings/state.hpp"

#include <algorithm>
#include <lua.hpp>

#include "bindings/gate.hpp"
#include "bindings/heap.hpp"
#include "bindings/lua.hpp"
#include "engine/fd.hpp"

namespace luabox {
namespace {

const std::string kLibrary = "luabox.";

/// "luabox.stdlib" -> "stdlib", "luabox.commands.run" -> "commands/run", "luabox.meta.sys" ->
/// "meta/sys", "luabox.schema" -> "library/schema", "argparse" as it is.
std::string embedded_name(std::string name) {
  if (name.compare(0, kLibrary.size(), kLibrary) != 0) return name;
  name.erase(0, kLibrary.size());
  if (name.compare(0, 9, "commands.") == 0) return "commands/" + name.substr(9);
  if (name.compare(0, 5, "meta.") == 0) return "meta/" + name.substr(5);
  return name == "stdlib" ? name : "library/" + name;
}

/// LUABOX_SCRIPTS names a checkout's folder; ignored where privileges were gained on exec.
const char* scripts_folder() {
  static const char* const folder = ::secure_getenv("LUABOX_SCRIPTS");
  return folder != nullptr && *folder != '\0' ? folder : nullptr;
}

/// A document as a module: its text.
int return_text(lua_State* L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  return 1;
}

/// The first of package.loaders: those of LuaJIT ask the dynamic linker for each module that is not in
/// package.preload, or search the disk.
int load_embedded(lua_State* L) {
  const std::string name = embedded_name(luaL_checkstring(L, 1));
  const EmbeddedScript* script = find_embedded(name);
  if (script == nullptr) {
    lua_pushfstring(L, "\n\tno script '%s' in luabox", name.c_str());
    return 1;
  }
  std::string_view code(reinterpret_cast<const char*>(script->code), script->size);
  std::string of_checkout;
  if (scripts_folder() != nullptr && name != "argparse")
    code = of_checkout =
        read_file(std::string(scripts_folder()) + (name == "stdlib" ? "/../" : "/") + name + ".lua");
  if (name.compare(0, 5, "meta/") == 0) {
    lua_pushlstring(L, code.data(), code.size());
    lua_pushcclosure(L, return_text, 1);
    return 1;
  }
  const int failed = luaL_loadbuffer(L, code.data(), code.size(), ("@luabox:" + name + ".lua").c_str());
  if (failed) return lua_error(L);
  // It calls primitives, which ends every trace: compiling it costs a start more than it gains. What a script
  // does by itself is compiled.
  luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
  return 1;
}

int open_ffi_on_demand(lua_State* L) { return luaopen_ffi(L); }

void open_library(lua_State* L, const luaL_Reg& library) {
  lua_pushcfunction(L, library.func);
  lua_pushstring(L, library.name);
  lua_call(L, 1, 0);
}

void open_libraries(lua_State* L) {
  static constexpr luaL_Reg libraries[] = {{"", luaopen_base},
                                           {LUA_LOADLIBNAME, luaopen_package},
                                           {LUA_TABLIBNAME, luaopen_table},
                                           {LUA_IOLIBNAME, luaopen_io},
                                           {LUA_OSLIBNAME, luaopen_os},
                                           {LUA_STRLIBNAME, luaopen_string},
                                           {LUA_MATHLIBNAME, luaopen_math},
                                           {LUA_DBLIBNAME, luaopen_debug},
                                           {LUA_BITLIBNAME, luaopen_bit}};
  for (const auto& library : libraries) open_library(L, library);
}

void open_jit(lua_State* L) { open_library(L, {LUA_JITLIBNAME, luaopen_jit}); }

/// package.loaders = { embedded, preload, the rest ... }
void install_loader(lua_State* L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, open_ffi_on_demand);
  lua_setfield(L, -2, "ffi");
  lua_pushcfunction(L, open_sys);
  lua_setfield(L, -2, "luabox.sys");
  lua_pop(L, 1);

  lua_getfield(L, -1, "loaders");
  for (int i = static_cast<int>(lua_objlen(L, -1)); i >= 1; --i) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushcfunction(L, lua::fn<&load_embedded>.call);
  lua_rawseti(L, -2, 1);
  lua_pop(L, 2);
}

constexpr luaL_Reg kModules[] = {
    {"mount", open_mount},       {"net", open_net},        {"cgroup", open_cgroup},
    {"security", open_security}, {"user", open_user},      {"archive", open_archive},
    {"terminal", open_terminal}, {"file", open_file},      {"json", open_json},
    {"log", open_log},           {"gate", open_gate},      {"running", open_running},
    {"policy", open_policy},     {"monitor", open_monitor}};

/// The submodule of luabox.sys (at 1) that has a primitive called `name`, which is left on the stack; nullptr
/// and nothing where none has.
const char* module_with(lua_State* L, const std::string& name) {
  for (const auto& module : kModules) {
    lua_getfield(L, 1, module.name);
    lua_pushlstring(L, name.data(), name.size());
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_isfunction(L, -1)) return module.name;
    lua_pop(L, 1);
  }
  return nullptr;
}

/// Opens one submodule of luabox.sys when it is first touched: a run pays only for what it uses.
int open_on_demand(lua_State* L) {
  const std::string name = lua_isstring(L, 2) ? lua_tostring(L, 2) : "";
  for (const auto& module : kModules) {
    if (name != module.name) continue;
    lua_pushcfunction(L, module.func);
    lua_call(L, 0, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
  }
  const char* const home = module_with(L, name);
  // The two that change what "/" is stand beside exec, too.
  if (home != nullptr && (name == "pivot_root" || name == "chroot")) return 1;
  std::vector<std::string_view> known;
  for (const auto& module : kModules) known.emplace_back(module.name);
  const std::string there =
      home != nullptr ? std::string(" (it is luabox.sys.") + home + "." + name + ")" : "";
  return lua::guard(L, [&](lua_State*) -> int {
    throw Error::invalid("luabox.sys", name,
                         "no such primitive" + (there.empty() ? suggestion(name, known) : there));
  });
}

constexpr const char* kMainThread = "luabox.main_thread";

lua_State* empty_state() {
  lua_State* L = luaL_newstate();
  if (L == nullptr) throw Error("luaL_newstate", "", ENOMEM);
  lua_pushthread(L);
  lua_setfield(L, LUA_REGISTRYINDEX, kMainThread);
  open_libraries(L);
  install_loader(L);
  return L;
}

/// What a start of a container and an exec into one load.
constexpr const char* kPrepared[] = {
    "luabox.main",      "luabox.cli",         "luabox.commands.run", "luabox.commands.exec", "luabox.stdlib",
    "luabox.etc",       "luabox.lifecycle",   "luabox.limits",       "luabox.confinement",   "luabox.program",
    "luabox.schema",    "luabox.shared_lock", "luabox.state",        "luabox.units",         "luabox.users",
    "luabox.execution", "luabox.running",     "luabox.policy",       "luabox.sandbox",       "luabox.trace",
    "luabox.sys"};

/// While scripts are loaded for every later start none may ask this one's host.
void refuse(lua_State* L, const char* name, gate::Passing&) {
  luaL_error(L, "%s is called while the scripts are loaded", name);
}

}  // namespace

const EmbeddedScript* find_embedded(std::string_view name) {
  const auto* end = embedded_scripts + embedded_script_count;
  const auto* found =
      std::find_if(embedded_scripts, end, [&](const auto& script) { return script.name == name; });
  return found == end ? nullptr : found;
}

std::vector<std::string> module_names() {
  std::vector<std::string> names;
  for (const auto& module : kModules) names.emplace_back(module.name);
  return names;
}

int open_sys(lua_State* L) {
  open_process(L);  // the primitives that stand in luabox.sys itself: clone, exec, setns, sethostname, ...
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, open_on_demand);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  return 1;
}

lua_State* main_thread(lua_State* L) {
  lua_getfield(L, LUA_REGISTRYINDEX, kMainThread);
  lua_State* const thread = lua_tothread(L, -1);
  lua_pop(L, 1);
  return thread;
}

lua_State* new_state() {
  // package.path is made from these when the library is opened.
  const bool own_path = ::getenv("LUA_PATH") != nullptr || ::getenv("LUA_CPATH") != nullptr;
  const bool prepared = heap::is_there() && !own_path && scripts_folder() == nullptr;
  if (prepared) return heap::take();
  lua_State* const L = empty_state();
  open_jit(L);
  return L;
}

lua_State* state_to_prepare() {
  for (const char* name : {"LUA_PATH", "LUA_CPATH"}) ::unsetenv(name);
  gate::govern(refuse);
  lua_State* L = empty_state();
  for (const char* name : kPrepared) {
    lua_getglobal(L, "require");
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
  }
  for (const auto& module : kModules) {  // luabox.sys is the last of them
    lua_getfield(L, -1, module.name);
    lua_pop(L, 1);
  }
  lua_settop(L, 0);
  open_jit(L);  // the last: nothing is compiled here
  return L;
}

}  // namespace luabox
