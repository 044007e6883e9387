#include "bindings/policy_state.hpp"

#include <cstdlib>
#include <cstring>
#include <lua.hpp>

#include "bindings/json.hpp"
#include "bindings/lua.hpp"
#include "bindings/policy_host.hpp"
#include "bindings/policy_shelf.hpp"
#include "bindings/state.hpp"
#include "engine/error.hpp"
#include "engine/kept_policies.hpp"

namespace luabox {
namespace {

constexpr size_t kMemory = 64U << 20U;
constexpr size_t kShelf = 16U << 20U;  // some thousand rules
constexpr int kStrings = 1200;
constexpr uintptr_t kShelfAt = 0x2000'0000'0000;  // where neither the kernel nor a sanitizer has anything
constexpr size_t kWorthKeeping = 8U << 10U;       // what is less is loaded as quickly as it is mapped
constexpr int kInstructions = 20'000'000;         // a tenth of a second
constexpr const char* kSpent = "it takes too long";

// ---- memory and instructions

PolicyShelf shelf;
bool shelf_alone = false;  // while the state is prepared

bool is_prepared(const void* block) {
  const heap::Policies& prepared = heap::policies();
  return block >= prepared.memory && block < prepared.memory + prepared.used;
}

size_t used = 0;
bool overflowed = false;  // something that was loaded is not on the shelf

void* fresh_block(size_t size) {
  void* block = shelf.take(size);
  if (block != nullptr || shelf_alone) return block;
  overflowed = true;
  return std::malloc(size);
}

void* moved_block(void* block, size_t old_size, size_t size) {
  if (block == nullptr) return fresh_block(size);
  const bool prepared = is_prepared(block);
  if (!prepared && !shelf.holds(block)) return std::realloc(block, size);
  if (prepared ? size <= old_size : shelf.resize(block, old_size, size)) return block;
  void* fresh = fresh_block(size);
  if (fresh != nullptr) std::memcpy(fresh, block, old_size);
  return fresh;
}

void* allocate(void*, void* block, size_t old_size, size_t size) {
  if (block == nullptr) old_size = 0;
  if (size == 0) {
    if (!is_prepared(block) && !shelf.holds(block)) std::free(block);
    used -= old_size;
    return nullptr;
  }
  if (size > old_size && used + (size - old_size) > kMemory) return nullptr;
  void* fresh = moved_block(block, old_size, size);
  if (fresh != nullptr) used += size - old_size;
  return fresh;
}

void spent(lua_State* L, lua_Debug*) {
  lua_sethook(L, spent, LUA_MASKCOUNT, 1);
  lua_pushstring(L, kSpent);  // without a line: it would be the evaluator's
  lua_error(L);
}

void open_some_libraries(lua_State* L) {
  static constexpr luaL_Reg libraries[] = {{"", luaopen_base},
                                           {LUA_TABLIBNAME, luaopen_table},
                                           {LUA_STRLIBNAME, luaopen_string},
                                           {LUA_MATHLIBNAME, luaopen_math},
                                           {LUA_BITLIBNAME, luaopen_bit}};
  for (const auto& library : libraries) {
    lua_pushcfunction(L, library.func);
    lua_pushstring(L, library.name);
    lua_call(L, 1, 0);
  }
}

/// The evaluator, a table of functions, goes into the registry.
int open_evaluator(lua_State* L) {
  open_some_libraries(L);
  const EmbeddedScript* script = find_embedded("policy/evaluator");
  if (script == nullptr || luaL_loadbuffer(L, reinterpret_cast<const char*>(script->code), script->size,
                                           "@luabox:policy/evaluator.lua") != 0)
    return luaL_error(L, "the evaluator is missing");
  policy_host::push(L);
  lua_call(L, 1, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "evaluator");
  return 0;
}

/// With everything but policies, and nothing collected: what is loaded stays. nullptr without memory.
lua_State* new_policy_state() {
  lua_State* const L = lua_newstate(allocate, nullptr);
  if (L == nullptr) return nullptr;
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  lua_gc(L, LUA_GCSTOP, 0);
  return lua_cpcall(L, open_evaluator, nullptr) == 0 ? L : nullptr;
}

/// Makes the table of strings wide enough for those of some hundred rules: to make it wider touches every
/// string that is there, and each page of the prepared state that is touched is copied.
int widen_strings(lua_State* L) {
  for (int i = 0; i < kStrings; ++i) lua_pushfstring(L, "%d", i), lua_pop(L, 1);
  return 0;
}

std::string_view text_at(lua_State* L, int index) {
  size_t size = 0;
  const char* text = lua_tolstring(L, index, &size);
  return {text, size};
}

/// Pushes what the text at `index` says, or said the last time; nil for an empty one.
void push_facts(lua_State* L, int index) {
  if (text_at(L, index).empty()) return lua_pushnil(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "facts' text");
  const bool known = lua_rawequal(L, -1, index) != 0;
  lua_pop(L, 1);
  if (!known) {
    push_json(L, text_at(L, index));
    lua_setfield(L, LUA_REGISTRYINDEX, "facts");
    lua_pushvalue(L, index);
    lua_setfield(L, LUA_REGISTRYINDEX, "facts' text");
  }
  lua_getfield(L, LUA_REGISTRYINDEX, "facts");
}

/// function(name, text, facts): calls evaluator[name](decoded text, decoded facts), returns JSON.
int run(lua_State* L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "evaluator");
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  return lua::guard(L, [](lua_State* state) {
    push_json(state, text_at(state, 2));
    push_facts(state, 3);
    lua_call(state, 2, 1);
    lua::push(state, json_of(state, lua_gettop(state)));
    return 1;
  });
}

/// function(name): calls evaluator.load(name), returns the file's problem or nil.
int load_file(lua_State* L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "evaluator");
  lua_getfield(L, -1, "load");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

std::string quoted(lua_State* L, const std::string& text) {
  lua_settop(L, 0);
  lua_pushlstring(L, text.data(), text.size());
  return json_of(L, 1);
}

std::string raised(lua_State* L) {
  if (lua_istable(L, -1)) lua_getfield(L, -1, "message");
  return lua_isstring(L, -1) ? lua_tostring(L, -1) : "an error without a text";
}

std::string refused(lua_State* L, const std::string& why) {
  const std::string text = quoted(L, why);
  return R"({"allow":false,"error":)" + text + R"(,"reason":)" + text + "}";
}

/// The rule or file that was at work, for a failure that the evaluator did not live to tell.
std::string at_work(lua_State* L) {
  lua_settop(L, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, "evaluator");
  if (!lua_istable(L, -1)) return "";
  lua_getfield(L, -1, "at_work");
  return lua_isstring(L, -1) ? lua_tostring(L, -1) : "";
}

}  // namespace

bool PolicyState::run_limited(int arguments, std::string& why) {
  lua_sethook(state_, spent, LUA_MASKCOUNT, kInstructions);
  const bool failed = lua_pcall(state_, arguments, 1, 0) != 0;
  lua_sethook(state_, nullptr, 0, 0);
  if (!failed) return true;
  why = raised(state_);
  const std::string where = at_work(state_);
  if (!where.empty()) why = where + ": " + why;
  // Garbage of a policy that ran out of memory is not the next question's.
  lua_gc(state_, LUA_GCCOLLECT, 0);
  return false;
}

std::string PolicyState::call(const char* function, std::string_view argument, std::string_view facts) {
  lua_settop(state_, 0);
  lua_pushcfunction(state_, run);
  lua_pushstring(state_, function);
  lua_pushlstring(state_, argument.data(), argument.size());
  lua_pushlstring(state_, facts.data(), facts.size());
  std::string why;
  if (run_limited(3, why)) return lua_tostring(state_, -1);
  return refused(state_, why);
}

/// What stands first on the shelf: where the rest of what is kept can be found again.
struct Roots {
  lua_State* state;
  size_t shelf, used;  // bytes of the shelf, of all memory
};

/// What of the shelf and of the prepared state there is now.
std::vector<KeptMemory> loaded_memory(size_t of_shelf) {
  const heap::Policies& prepared = heap::policies();
  return {{prepared.memory, prepared.used}, {shelf.begin(), of_shelf}};
}

bool PolicyState::restore() {
  if (!restore_policies(keep_in_, files_, loaded_memory(shelf.size()))) return false;
  const auto& roots = *reinterpret_cast<const Roots*>(shelf.begin());
  state_ = roots.state;
  shelf.fill(roots.shelf);
  used = roots.used;
  return true;
}

/// Only where the next start would come to the same.
void PolicyState::keep() {
  if (policy_host::looked() || overflowed) return;
  *reinterpret_cast<Roots*>(shelf.begin()) = {state_, shelf.used(), used};
  keep_policies(keep_in_, files_, loaded_memory(shelf.used()));
}

void PolicyState::load_files(std::string& problem) {
  for (const auto& file : files_) {
    policy_host::set_loading(file);
    lua_settop(state_, 0);
    lua_pushcfunction(state_, load_file);
    lua_pushlstring(state_, file.name.data(), file.name.size());
    if (run_limited(1, problem) && lua_isnil(state_, -1)) continue;
    if (problem.empty()) problem = raised(state_);
    return;
  }
  lua_settop(state_, 0);
}

heap::Policies prepared_policies(std::byte* memory, size_t size) {
  shelf.build(memory, size);
  shelf_alone = true;
  lua_State* const state = new_policy_state();
  if (state == nullptr || lua_cpcall(state, widen_strings, nullptr) != 0)
    throw Error("prepare", "the policies", ENOMEM);
  lua_gc(state, LUA_GCCOLLECT, 0);
  lua_gc(state, LUA_GCSTOP, 0);
  return {state, memory, shelf.used()};
}

/// From what was kept, or from their texts.
std::string PolicyState::load_into_state() {
  size_t length = 0;
  for (const auto& file : files_) length += file.text.size();
  shelf.build(kShelf, kShelfAt);
  const bool keeps = !keep_in_.empty() && length >= kWorthKeeping && shelf.is_at(kShelfAt);
  if (keeps && restore()) return "";
  if (keeps) shelf.take(sizeof(Roots));
  used = heap::policies().used;
  state_ = heap::policies().state != nullptr ? heap::policies().state : new_policy_state();
  std::string problem;
  if (state_ == nullptr) return "no memory for the policies";
  load_files(problem);
  if (keeps && problem.empty()) keep();
  return problem;
}

/// A start waits for the first answer, and not yet for this: what it takes is brought near, all of the rules,
/// and by a question that none of them hears of the pages and the code that each needs.
void PolicyState::warm_up() {
  constexpr size_t kLine = 64;
  for (size_t at = 0; at < shelf.used(); at += kLine)
    static_cast<void>(*const_cast<const volatile std::byte*>(shelf.begin() + at));
  call("answer", R"({"op":"allowed","dry":true,"request":{}})");
}

std::string PolicyState::load() {
  const std::string problem = load_into_state();
  if (state_ == nullptr) {
    refusal_ = R"({"allow":false,"error":")" + problem + R"("})";
    return refusal_;
  }
  std::string summary = problem.empty() ? call("summary", "{}") : refused(state_, problem);
  if (problem.empty())
    warm_up();
  else
    refusal_ = summary;
  lua_gc(state_, LUA_GCRESTART, -1);  // once there is as much again: to mark a page is to copy it
  shelf.close();
  return summary;
}

std::string PolicyState::answer(const std::string& question) {
  if (!refusal_.empty()) return refusal_;
  policy_host::forget_mounts();
  const std::string_view text = question;
  const size_t end = text.find('\n');
  return call("answer", text.substr(end + 1), text.substr(0, end == std::string::npos ? 0 : end));
}

}  // namespace luabox
