#include "bindings/chrome.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <lua.hpp>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "bindings/json.hpp"
#include "bindings/lua.hpp"
#include "bindings/trace.hpp"

namespace luabox::chrome {
namespace {

using trace::Kept;
using Events = std::vector<Kept>;

/// The process of each track.
using Processes = std::map<uint32_t, int64_t>;

/// Clones say which they made: "process 4711".
Processes processes_of(const Events& events) {
  Processes processes = {{0, ::getpid()}};
  constexpr std::string_view kResult = "process ";
  for (const Kept& event : events) {
    if (event.made == 0 || !event.result.starts_with(kResult)) continue;
    int64_t pid = 0;
    const std::string_view number = event.result.substr(kResult.size());
    std::from_chars(number.data(), number.data() + number.size(), pid);
    processes[event.made] = pid;
  }
  return processes;
}

/// What never came back is an exec: it ends when the other side learns of it, or with the last event.
int64_t end_of(const Kept& event, const Events& events) {
  if (event.duration_ns >= 0) return event.start_ns + event.duration_ns;
  for (const Kept& other : events) {
    const bool learns = other.primitive == "process:settle" || other.primitive == "process:release";
    const int64_t end = other.start_ns + other.duration_ns;
    if (learns && other.track != event.track && other.duration_ns >= 0 && end > event.start_ns) return end;
  }
  const Kept& last = events.back();
  return std::max(event.start_ns, last.start_ns + std::max<int64_t>(last.duration_ns, 0));
}

void write_number(int64_t number, std::string& text) {
  char digits[24];
  text.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

/// Nanoseconds as microseconds: "12.345".
void write_time(int64_t nanoseconds, std::string& text) {
  write_number(nanoseconds / 1000, text);
  char rest[4] = {'.', '0', '0', '0'};
  for (int64_t at = 3, left = nanoseconds % 1000; at > 0; --at, left /= 10)
    rest[at] = static_cast<char>('0' + left % 10);
  text.append(rest, sizeof rest);
}

void write_process(int64_t pid, std::string& text) {
  text += ",\"pid\":";
  write_number(pid, text);
  text += ",\"tid\":";
  write_number(pid, text);
}

void write_metadata(const char* name, int64_t pid, const std::string& argument, std::string& text) {
  text.append("{\"ph\":\"M\",\"name\":\"").append(name).append("\"");
  write_process(pid, text);
  text.append(",\"args\":{").append(argument).append("}},\n");
}

void name_tracks(const Processes& processes, std::string& text) {
  for (const auto& [track, pid] : processes) {
    write_metadata("process_name", pid, track > 0 ? R"("name":"luabox, inside")" : R"("name":"luabox")",
                   text);
    write_metadata("thread_name", pid, track > 0 ? R"("name":"child")" : R"("name":"parent")", text);
    write_metadata("process_sort_index", pid, "\"sort_index\":" + std::to_string(track), text);
  }
}

/// "mount" of "mount.attach" and "mount:attach".
std::string_view category_of(std::string_view primitive) {
  const size_t end = primitive.find_first_of(".:");
  return end == std::string_view::npos ? "process" : primitive.substr(0, end);
}

/// Lines of fields, each looked for once.
class Lines {
 public:
  Lines(lua_State* state, int function) : L(state), line_of_(function) {}

  std::string_view of(const Kept& event) {
    if (event.key.empty()) return event.where;
    const auto [found, is_new] = known_.try_emplace({event.where, event.key});
    if (is_new) found->second = asked(event);
    return found->second;
  }

 private:
  std::string asked(const Kept& event) {
    lua_pushvalue(L, line_of_);
    lua_pushlstring(L, event.where.data(), event.where.size());
    lua_pushlstring(L, event.key.data(), event.key.size());
    lua_call(L, 2, 1);
    std::string line = lua_isstring(L, -1) ? lua_tostring(L, -1) : "";
    lua_pop(L, 1);
    return line;
  }

  lua_State* L;
  int line_of_;
  std::map<std::pair<std::string_view, std::string_view>, std::string> known_;
};

void write_argument(const char* name, std::string_view value, std::string& text) {
  if (value.empty()) return;
  if (text.back() != '{') text += ',';
  text.append(1, '"').append(name).append("\":");
  append_json(value, text);
}

void write_event(const Kept& event, int64_t pid, int64_t end, std::string_view line, std::string& text) {
  text += R"({"ph":"X","cat":)";
  append_json(category_of(event.primitive), text);
  text += ",\"name\":";
  append_json(event.primitive, text);
  write_process(pid, text);
  text += ",\"ts\":";
  write_time(event.start_ns, text);
  text += ",\"dur\":";
  write_time(std::max<int64_t>(end - event.start_ns, 0), text);
  text += ",\"args\":{";
  write_argument("arguments", event.arguments, text);
  write_argument("result", event.result, text);
  write_argument("failure", event.failure, text);
  write_argument("where", line, text);
  text += "}},\n";
}

}  // namespace

int text(lua_State* L) {
  const auto head = lua::argument<std::string>(L, 1);
  if (!lua_isfunction(L, 2)) throw lua::expected(L, 2, "a function").inside("argument 2");
  lua::no_more_arguments(L, 2);
  trace::Account account = trace::account();
  Events& events = account.events;
  std::stable_sort(events.begin(), events.end(),
                   [](const Kept& a, const Kept& b) { return a.start_ns < b.start_ns; });
  Processes processes = processes_of(events);
  Lines lines(L, 2);
  std::string text = head + "\n";
  text.reserve(events.size() * 320 + 1000);
  name_tracks(processes, text);
  for (const Kept& event : events)
    write_event(event, processes[event.track], end_of(event, events), lines.of(event), text);
  text.resize(text.size() - 2);
  text.append("\n],\"otherData\":{\"luabox\":\"" LUABOX_VERSION "\",\"dropped\":");
  write_number(account.dropped, text);
  text += "}}\n";
  lua_pushlstring(L, text.data(), text.size());
  lua::push(L, account.dropped);
  return 2;
}

}  // namespace luabox::chrome
