#include "bindings/trace.hpp"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstring>
#include <lua.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "bindings/lua.hpp"
#include "engine/error.hpp"

namespace luabox::trace {
namespace {

// Only what is written takes memory: at some 250 bytes an event, this is a few hundred thousand of them.
constexpr size_t kCapacity = size_t{64} << 20U;
constexpr uint32_t kMagic = 0x6c625472;
/// The texts of an event, in the order in which they are kept.
constexpr std::array kFields = {&Kept::primitive, &Kept::arguments, &Kept::result,
                                &Kept::failure,   &Kept::where,     &Kept::key};
constexpr size_t kTexts = kFields.size();

struct Shared {
  std::atomic<size_t> used;
  std::atomic<uint32_t> dropped;
  std::atomic<uint32_t> number;
};

/// Followed by its texts; the next one begins at a multiple of 8.
struct Record {
  uint32_t magic;
  uint32_t size;
  uint32_t track;
  uint32_t made;
  int64_t start_ns, duration_ns;
  std::array<uint32_t, kTexts> lengths;
};

Shared* shared = nullptr;
Shared* to_leave = nullptr;
uint32_t track = 0;       // whose child this process is
uint32_t cloning = 0;     // the number of the clone that is under way
unsigned generation = 0;  // in which `track` was set

char* records() { return reinterpret_cast<char*>(shared + 1); }

/// The first event of a child finds the clone that made it still under way.
void notice_child() {
  if (lua::generation == generation) return;
  generation = lua::generation;
  track = cloning;
}

/// Most are told by their first letter.
bool is(const gate::Event& event, const char* name) {
  return event.primitive[0] == name[0] && std::strcmp(event.primitive, name) == 0;
}

void keep(const gate::Event& event, uint32_t made, int64_t duration_ns) {
  const std::array<std::string_view, kTexts> texts = {event.primitive, event.arguments, event.result,
                                                      event.failure,   event.where,     event.key};
  Record record = {0, sizeof(Record), track, made, event.start_ns, duration_ns, {}};
  for (size_t i = 0; i < kTexts; ++i) {
    record.lengths[i] = static_cast<uint32_t>(texts[i].size());
    record.size += record.lengths[i];
  }
  record.size = (record.size + 7U) & ~7U;
  const size_t at = shared->used.fetch_add(record.size);
  if (at + record.size > kCapacity - sizeof(Shared)) {
    shared->dropped.fetch_add(1);
    return;
  }
  char* to = records() + at;
  std::memcpy(to, &record, sizeof record);
  char* text = to + sizeof record;
  for (const auto& each : texts) text = std::copy(each.begin(), each.end(), text);
  // Whole from here on: a child that is killed in between leaves a gap.
  reinterpret_cast<std::atomic<uint32_t>*>(to)->store(kMagic, std::memory_order_release);
}

/// In Lua's registry: the table in which the library says what it works on (errors.lua), and its fields.
struct Site {
  int table = LUA_NOREF, start = 0, where = 0, key = 0;
};
Site site;

int reference_to(lua_State* L, const char* text) {
  lua_pushstring(L, text);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

void find_site(lua_State* L) {
  luaL_getmetatable(L, "luabox.site");
  if (!lua_istable(L, -1)) return lua_pop(L, 1);
  site = {luaL_ref(L, LUA_REGISTRYINDEX), reference_to(L, "start"), reference_to(L, "where"),
          reference_to(L, "key")};
}

/// Pushes a field of the table that is at the top but `below`.
void push_field(lua_State* L, int name, int below) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, name);
  lua_rawget(L, -2 - below);
}

/// The user's line that asked for the start with that number; 0 for none. To look for it takes longer than
/// everything else about an event.
const std::string& line_of_start(lua_State* L, double number) {
  static double known = 0;
  static std::string line;
  if (number == 0 || number != known) line = lua::users_line(L);
  known = number;
  return line;
}

/// The line that asks: the user's own frame, or what the library says that it is working on.
void find_place(lua_State* L, gate::Event& event) {
  if (site.table == LUA_NOREF) {
    event.where = lua::users_line(L);
    return;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, site.table);
  push_field(L, site.start, 0);
  event.where = line_of_start(L, lua_tonumber(L, -1));
  if (event.where.empty()) {
    push_field(L, site.where, 1);
    push_field(L, site.key, 2);
    if (lua_isstring(L, -2)) event.where = lua_tostring(L, -2);
    if (lua_isstring(L, -1)) event.key = lua_tostring(L, -1);
    lua_pop(L, 2);
  }
  lua_pop(L, 2);
}

void began(lua_State* L, gate::Event& event) {
  if (shared == nullptr) return;
  notice_child();
  find_place(L, event);
  if (is(event, "clone")) cloning = ++shared->number;
  if (!is(event, "exec") && !is(event, "init")) return;
  event.start_ns = gate::now_ns();
  keep(event, 0, -1);
  // The script itself, or what shares its memory: it has this until the exec.
  if (generation == 1 || shares_memory()) return;
  to_leave = std::exchange(shared, nullptr);
}

void ended(lua_State* /*L*/, const gate::Event& event) {
  if (shared != nullptr) keep(event, is(event, "clone") ? cloning : 0, event.duration_ns);
}

/// The event at `at`; nothing where there is none: a child was killed while it wrote. Others may write to the
/// record: it is copied first, and then checked.
std::optional<Kept> event_at(size_t at, size_t end, size_t& size) {
  Record record;
  std::memcpy(&record, records() + at, sizeof record);
  if (record.magic != kMagic || record.size < sizeof record || record.size > end - at) return std::nullopt;
  Kept event = {};
  event.start_ns = record.start_ns, event.duration_ns = record.duration_ns;
  event.track = record.track, event.made = record.made;
  size_t text = sizeof record;
  for (size_t i = 0; i < kTexts; ++i) {
    const size_t length = std::min<size_t>(record.lengths[i], record.size - text);
    event.*kFields[i] = {records() + at + text, length};
    text += length;
  }
  size = record.size & ~size_t{7};
  return event;
}

}  // namespace

int begin(lua_State* L) {
  lua::no_more_arguments(L, 0);
  if (shared != nullptr) return 0;
  void* memory =
      ::mmap(nullptr, kCapacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw Error("mmap", "the trace's memory");
  static_assert(sizeof(Shared) % 8 == 0);
  shared = new (memory) Shared{};
  generation = lua::generation;
  find_site(L);
  gate::watch({began, ended});
  return 0;
}

Apart::Apart() : track_(track), generation_(generation) {}
Apart::~Apart() { track = track_, generation = generation_; }

void leave() {
  if (to_leave != nullptr) ::munmap(to_leave, kCapacity);
  to_leave = nullptr;
}

Account account() {
  Account account;
  if (shared == nullptr) return account;
  account.dropped = shared->dropped.load();
  const size_t end = std::min(shared->used.load(), kCapacity - sizeof(Shared));
  account.events.reserve(end / 200);
  for (size_t at = 0; at + sizeof(Record) <= end;) {
    size_t size = 8;
    if (const auto event = event_at(at, end, size)) account.events.push_back(*event);
    at += size;
  }
  return account;
}

}  // namespace luabox::trace
