// luabox.sys.file: engine/file.hpp for Lua.
#include "engine/file.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "bindings/lock.hpp"
#include "bindings/state.hpp"
#include "engine/no_umask.hpp"
#include "engine/policy_files.hpp"

namespace luabox {
namespace {

/// Of a file: a number up to 07777.
struct ModeBits {
  unsigned bits;
};
struct Mode {
  std::optional<ModeBits> mode;  // by default 0755, less the umask
};
struct WriteOptions {
  std::optional<ModeBits> mode;  // by default 0644, less the umask
  bool create = false;           // the file must not exist yet
};
struct RenameOptions {
  Replace replace = Replace::no;
};
struct ListOptions {
  unsigned limit = 0;
};

/// Calls `make` with the mode that is asked for, or the usual one, which leaves the caller's umask its say.
template <typename F>
void with_mode(std::optional<ModeBits> asked, unsigned usual, F make) {
  std::optional<NoUmask> exactly;
  if (asked) exactly.emplace();
  make(asked ? asked->bits : usual);
}

void make_directories_with(const std::string& path, Mode options) {
  with_mode(options.mode, 0755, [&](unsigned mode) { make_directories(path, mode); });
}
void make_directory_with(const std::string& path, Mode options) {
  with_mode(options.mode, 0755, [&](unsigned mode) { make_directory(path, mode); });
}
std::vector<std::string> list(const std::string& path, ListOptions options) {
  return list_directory(path, options.limit);
}
lua::Bytes read(const std::string& path) { return {read_file(path)}; }
void write(const std::string& path, const lua::Bytes& text, WriteOptions options) {
  with_mode(options.mode, 0644, [&](unsigned mode) {
    if (options.create) return create_file(path, text.data, mode);
    replace_file(path, text.data, mode);
  });
}
void append(const std::string& path, const lua::Bytes& text) { append_to_file(path, text.data); }
void set(const std::string& path, const lua::Bytes& text, WriteFileOptions options) {
  write_file(path, text.data, options);
}
void rename(const std::string& from, const std::string& to, RenameOptions options) {
  rename_file(from, to, options.replace);
}
struct TrustedRead {
  PolicyOwner owner = PolicyOwner::caller;
};
/// file.read_trusted(path, { owner = "root" | "caller" }) -> text, nil where there is none; raises where
/// others could have written it
std::optional<lua::Bytes> read_only_if_trusted(const std::string& path, TrustedRead options) {
  std::optional<std::string> text = read_trusted(path, options.owner);
  if (!text) return std::nullopt;
  return lua::Bytes{std::move(*text)};
}
/// file.status(path) -> { kind =, uid =, gid =, mode = "0755", size = } of the name, nil when there is none
int status(lua_State* L) {
  const auto path = lua::argument<std::string>(L, 1);
  struct stat found;
  if (::lstat(path.c_str(), &found) < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return 0;
    throw Error("stat", path);
  }
  lua_createtable(L, 0, 5);
  lua::push(L, kind_of(path));
  lua_setfield(L, -2, "kind");
  lua::push(L, found.st_uid);
  lua_setfield(L, -2, "uid");
  lua::push(L, found.st_gid);
  lua_setfield(L, -2, "gid");
  lua::push(L, static_cast<double>(found.st_size));
  lua_setfield(L, -2, "size");
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", found.st_mode & 07777U);
  lua::push(L, std::string(mode));
  lua_setfield(L, -2, "mode");
  return 1;
}
/// file.device(path) -> { type =, major =, minor =, mode = }, nil when it is no device
int device(lua_State* L) {
  struct stat found;
  if (::stat(lua::argument<std::string>(L, 1).c_str(), &found) < 0 ||
      !(S_ISCHR(found.st_mode) || S_ISBLK(found.st_mode)))
    return 0;
  lua_createtable(L, 0, 4);
  lua::push(L, std::string(S_ISBLK(found.st_mode) ? "block" : "char"));
  lua_setfield(L, -2, "type");
  lua::push(L, major(found.st_rdev));
  lua_setfield(L, -2, "major");
  lua::push(L, minor(found.st_rdev));
  lua_setfield(L, -2, "minor");
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", found.st_mode & 0777U);
  lua::push(L, std::string(mode));
  lua_setfield(L, -2, "mode");
  return 1;
}
bool is_terminal(int fd) { return ::isatty(fd) == 1; }
std::string absolute(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) throw Error("resolve", path);
  std::string text = resolved;
  ::free(resolved);
  return text;
}

}  // namespace

template <>
struct lua::Value<ModeBits> {
  static ModeBits check(lua_State* L, int index) {
    constexpr unsigned kMost = 07777;
    const auto bits = Value<unsigned>::check(L, index);
    if (bits > kMost) throw expected(L, index, "a mode up to 4095 (07777)");
    return {bits};
  }
  static void push(lua_State* L, ModeBits mode) { Value<unsigned>::push(L, mode.bits); }
};
template <>
struct lua::Words<PolicyOwner> {
  static constexpr std::array<std::pair<std::string_view, PolicyOwner>, 2> all{
      {{"root", PolicyOwner::root}, {"caller", PolicyOwner::caller}}};
};
template <>
struct lua::Options<TrustedRead> {
  static constexpr auto fields = std::tuple(field("owner", &TrustedRead::owner));
};
template <>
struct lua::Options<Mode> {
  static constexpr auto fields = std::tuple(field("mode", &Mode::mode));
};
template <>
struct lua::Options<ListOptions> {
  static constexpr auto fields = std::tuple(field("limit", &ListOptions::limit));
};
template <>
struct lua::Options<WriteOptions> {
  static constexpr auto fields =
      std::tuple(field("mode", &WriteOptions::mode), field("create", &WriteOptions::create));
};
template <>
struct lua::Options<WriteFileOptions> {
  static constexpr auto fields = std::tuple(field("wait", &WriteFileOptions::wait));
};
template <>
struct lua::Words<Replace> {
  static constexpr std::array<std::pair<std::string_view, Replace>, 3> all{
      {{"no", Replace::no}, {"yes", Replace::yes}, {"exchange", Replace::exchange}}};
};
template <>
struct lua::Options<RenameOptions> {
  static constexpr auto fields = std::tuple(field("replace", &RenameOptions::replace));
};
template <>
struct lua::Options<Lock::Options> {
  static constexpr auto fields =
      std::tuple(field("shared", &Lock::Options::shared), field("wait", &Lock::Options::wait),
                 field("create", &Lock::Options::create));
};
const lua::Entry lua::Class<Lock>::methods[] = {{"release", fn<&Lock::release>},  // lock:release() uses it up
                                                {"identity", fn<&Lock::identity>, false}};

int open_file(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"make_directories", lua::fn<&make_directories_with>},  // file.make_directories(path, { mode = })
      {"make_directory",
       lua::fn<&make_directory_with>},          // file.make_directory(path, { mode = }): raises EEXIST
      {"temporary", lua::fn<&make_temporary>},  // file.temporary(prefix) -> path
      {"list", lua::fn<&list>, false},          // file.list(path, { limit = }) -> names
      {"kind", lua::fn<&kind_of>, false},       // file.kind(path) -> "directory" ... or nil
      {"read", lua::fn<&read>, false},          // file.read(path) -> text
      {"read_trusted", lua::fn<&read_only_if_trusted>, false},  // file.read_trusted(path, { owner = })
      {"write", lua::fn<&write>},                  // file.write(path, text, { mode =, create = })
      {"append", lua::fn<&append>},                // file.append(path, text): to a file that is there
      {"set", lua::fn<&set>},                      // file.set(path, text, { wait = }): one write
      {"rename", lua::fn<&rename>},                // file.rename(from, to, { replace = "no" })
      {"remove", lua::fn<&remove_file>},           // file.remove(path) -> whether there was one
      {"lock", lua::fn<&Lock::take>},              // file.lock(path, { shared = }) -> lock or nil
      {"absolute", lua::fn<&absolute>, false},     // file.absolute(path) -> the path without symlinks
      {"identity", lua::fn<&identity_of>, false},  // file.identity(path) -> "device-inode"
      {"status", lua::fn<&status>, false},  // file.status(path) -> { kind, uid, gid, mode, size } or nil
      {"device", lua::fn<&device>, false},  // file.device(path) -> { type, major, minor, mode } or nil
      {"is_terminal", lua::fn<&is_terminal>, false}};  // file.is_terminal(fd)
  return lua::module(L, "file.", functions);
}

}  // namespace luabox
