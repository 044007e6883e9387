// luabox.sys.log: spdlog for Lua, synchronous, this translation unit only.
//
// Errors are told on standard error as "luabox: ...". `-v` adds a line for each primitive that passes the
// gate, in parent and child.
#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "bindings/lua.hpp"
#include "bindings/state.hpp"
#include "engine/escaped.hpp"
#include "engine/fd.hpp"

namespace luabox {
namespace {

enum class Format { text, json };

struct Setup {
  bool verbose = false;
  std::optional<std::string> file;
  Format format = Format::text;
};

Format format = Format::text;
bool verbose = false;

std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("luabox", std::make_shared<spdlog::sinks::stderr_sink_st>());
    made->set_pattern("luabox: %v");
    return made;
  }();
  return instance;
}

/// One JSON object a line: time, level, and the fields.
void write_json(spdlog::level::level_enum level, const nlohmann::ordered_json& fields) {
  logger()->log(level, fields.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

/// Lines and their indents stay, all else that a terminal would obey doesn't, whoever's text it is.
std::string shown(const std::string& text) {
  std::string result;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find_first_of("\n\t", at), text.size());
    result += escaped(std::string_view(text).substr(at, end - at));
    if (end < text.size()) result += text[end];
    at = end + 1;
  }
  return result;
}

void write(spdlog::level::level_enum level, const std::string& text) {
  if (format == Format::json)
    write_json(level, {{"message", text}});
  else
    logger()->log(level, shown(text));
}

void tell_primitive(lua_State* /*L*/, const gate::Event& event) {
  if (format == Format::json)
    return write_json(spdlog::level::info, {{"primitive", event.primitive},
                                            {"arguments", event.arguments},
                                            {"pid", event.pid},
                                            {"us", event.duration_ns / 1000},
                                            {"failure", event.failure}});
  logger()->info("[{}] {}({}) {:.0f} us{}", event.pid, event.primitive, escaped(event.arguments),
                 static_cast<double>(event.duration_ns) / 1e3,
                 event.failure.empty() ? "" : ": " + event.failure);
}

/// What can't be written to the file: told once, where errors are else told.
void tell_lost(const std::string& why) {
  static bool told = false;
  if (!std::exchange(told, true)) std::fprintf(stderr, "luabox: the log is not whole: %s\n", why.c_str());
}

void set_up(Setup setup) {
  format = setup.format;
  verbose = setup.verbose;
  if (setup.file) {
    // spdlog's own error is no sentence, and it would make the folder.
    Fd::open(*setup.file, O_WRONLY | O_CREAT | O_APPEND, 0644);
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_st>(*setup.file);
    logger() = std::make_shared<spdlog::logger>("luabox", std::move(sink));
    logger()->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    logger()->set_error_handler(tell_lost);
  }
  // The object is closed by the message's own brace: see write_json.
  if (setup.format == Format::json)
    logger()->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","event":%v})");
  logger()->flush_on(spdlog::level::trace);
  if (setup.verbose) gate::watch({nullptr, tell_primitive});
}

void error(const std::string& text) { write(spdlog::level::err, text); }
void warning(const std::string& text) { write(spdlog::level::warn, text); }
void info(const std::string& text) { write(spdlog::level::info, text); }
void detail(const std::string& text) {
  if (verbose) info(text);
}

}  // namespace

template <>
struct lua::Words<Format> {
  static constexpr std::array<std::pair<std::string_view, Format>, 2> all{
      {{"text", Format::text}, {"json", Format::json}}};
};
template <>
struct lua::Options<Setup> {
  static constexpr auto fields = std::tuple(field("verbose", &Setup::verbose), field("file", &Setup::file),
                                            field("format", &Setup::format));
};

int open_log(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"set_up", lua::fn<&set_up>, false},  // log.set_up { verbose =, file =, format = "text" | "json" }
      {"error", lua::fn<&error>, false},    // log.error(text)
      {"warning", lua::fn<&warning>, false},
      {"info", lua::fn<&info>, false},
      {"detail", lua::fn<&detail>, false}};  // log.detail(text): what -v tells
  return lua::module(L, "log.", functions);
}

}  // namespace luabox
