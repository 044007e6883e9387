// luabox.sys.archive: engine/archive.hpp for Lua.
#include "engine/archive.hpp"

#include <unistd.h>

#include "bindings/state.hpp"
#include "bindings/values.hpp"

namespace luabox {
namespace {

/// A Lua function kept for as long as this lives.
class Callback {
 public:
  Callback() = default;
  explicit Callback(lua_State* L) : L_(L), reference_(luaL_ref(L, LUA_REGISTRYINDEX)) {}
  Callback(Callback&& other) noexcept
      : L_(other.L_), reference_(std::exchange(other.reference_, LUA_NOREF)) {}
  Callback& operator=(Callback&& other) noexcept {
    std::swap(L_, other.L_);
    std::swap(reference_, other.reference_);
    return *this;
  }
  ~Callback() {
    if (L_ != nullptr) luaL_unref(L_, LUA_REGISTRYINDEX, reference_);
  }
  explicit operator bool() const { return L_ != nullptr; }

  /// What the function raises stays at the top of the stack while this crosses the engine's frames.
  struct Failed {};
  template <class T>
  void operator()(const T& value) const {
    lua_rawgeti(L_, LUA_REGISTRYINDEX, reference_);
    lua::push(L_, value);
    if (lua_pcall(L_, 1, 0, 0) != 0) throw Failed{};
  }

 private:
  lua_State* L_ = nullptr;
  int reference_ = LUA_NOREF;
};

struct ImportRequest {
  Devices devices = Devices::keep;
  Owner owner = Owner::keep;
  std::optional<uint64_t> max_bytes;
  bool sync = false;
  const ForwardedSignals* signals = nullptr;
  Callback progress;
};

}  // namespace

template <>
struct lua::Value<Callback> {
  static Callback check(lua_State* L, int index) {
    if (!lua_isfunction(L, index)) throw expected(L, index, "a function");
    lua_pushvalue(L, index);
    return Callback(L);
  }
};
template <>
struct lua::Value<const ForwardedSignals*> {
  static const ForwardedSignals* check(lua_State* L, int index) {
    return &Value<ForwardedSignals>::check(L, index);
  }
};
template <>
struct lua::Words<Devices> {
  static constexpr std::array<std::pair<std::string_view, Devices>, 3> all{
      {{"keep", Devices::keep}, {"skip", Devices::skip}, {"refuse", Devices::refuse}}};
};
template <>
struct lua::Words<Owner> {
  static constexpr std::array<std::pair<std::string_view, Owner>, 2> all{
      {{"keep", Owner::keep}, {"own", Owner::own}}};
};
template <>
struct lua::Options<ImportRequest> {
  static constexpr auto fields =
      std::tuple(field("devices", &ImportRequest::devices), field("owner", &ImportRequest::owner),
                 field("max_bytes", &ImportRequest::max_bytes), field("sync", &ImportRequest::sync),
                 field("signals", &ImportRequest::signals), field("progress", &ImportRequest::progress));
};
template <>
struct lua::Options<ImportProgress> {
  static constexpr auto fields =
      std::tuple(field("members", &ImportProgress::members), field("bytes", &ImportProgress::bytes),
                 field("read", &ImportProgress::read), field("total", &ImportProgress::total));
};
template <>
struct lua::Options<Skipped> {
  static constexpr auto fields =
      std::tuple(field("devices", &Skipped::devices), field("sockets", &Skipped::sockets),
                 field("xattrs", &Skipped::xattrs));
};
template <>
struct lua::Options<ImportResult> {
  static constexpr auto fields =
      std::tuple(field("members", &ImportResult::members), field("bytes", &ImportResult::bytes),
                 field("read", &ImportResult::read), field("compression", &ImportResult::compression),
                 field("format", &ImportResult::format), field("skipped", &ImportResult::skipped));
};

namespace {

/// A fifo that nobody writes to yet is no place to stand still at, where signals are held back for the import
/// to look at.
Fd open_source(const std::string& path, bool signals_are_held) {
  if (!signals_are_held) return Fd::open(path, O_RDONLY);
  Fd file = Fd::open(path, O_RDONLY | O_NONBLOCK);
  if (::fcntl(file.get(), F_SETFL, 0) < 0) throw Error("fcntl", path);
  return file;
}

/// archive.import(source, directory, options) -> result; the source is a path, "-" for standard input, or a
/// descriptor.
int import(lua_State* L) {
  lua::no_more_arguments(L, 3);
  ArchiveSource source{STDIN_FILENO, "standard input"};
  std::optional<std::string> path;  // of what is to be opened
  if (lua_isuserdata(L, 1))
    source = {lua::argument<Fd>(L, 1).get(), "archive"};
  else if (auto given = lua::argument<std::string>(L, 1); given != "-")
    path = std::move(given);
  const auto folder = lua::argument<std::string>(L, 2);
  const auto request = lua::argument<ImportRequest>(L, 3);
  Fd file;
  if (path) {
    file = open_source(*path, request.signals != nullptr);
    source = {file.get(), *path};
  }
  const Fd directory = Fd::open(folder, O_RDONLY | O_DIRECTORY);
  const ImportOptions options{request.devices, request.owner, request.max_bytes, request.signals,
                              request.sync};
  std::function<void(const ImportProgress&)> progress;
  if (request.progress) progress = std::cref(request.progress);
  std::optional<ImportResult> result;
  try {
    result = import_archive(source, directory.get(), options, progress);
  } catch (const Callback::Failed&) {
  }
  if (!result) return lua_error(L);
  lua::push(L, *result);
  return 1;
}

}  // namespace

int open_archive(lua_State* L) {
  // archive.import(source, directory, { devices =, owner =, max_bytes =, sync =, signals =, progress = }) ->
  // result
  static constexpr lua::Entry functions[] = {{"import", lua::fn<&import, ImportResult>}};
  return lua::module(L, "archive.", functions);
}

}  // namespace luabox
