// luabox.sys itself: engine/process.hpp, exec.hpp, namespaces.hpp for Lua.
#include "engine/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "bindings/policy.hpp"
#include "bindings/state.hpp"
#include "bindings/trace.hpp"
#include "bindings/values.hpp"
#include "engine/exec.hpp"
#include "engine/helper.hpp"
#include "engine/interrupt.hpp"
#include "engine/nearest.hpp"
#include "engine/network_ahead.hpp"
#include "engine/nftables.hpp"
#include "engine/relay.hpp"
#include "engine/streams.hpp"

namespace luabox {
namespace {

constexpr int kSetupFailed = 125;
constexpr size_t kLongestField = 7000;  // the eight of an error fit into one message of the channel

// ---- the child's side

/// child body: parent:send(text [, descriptor])
class ParentEnd {
 public:
  explicit ParentEnd(Channel* channel) : channel_(channel) {}
  void send(const std::string& text, std::optional<int> fd) {
    channel_->send(Message::Kind::data, text, fd.value_or(-1));
  }

 private:
  Channel* channel_;
};

/// Raw, and only texts and numbers: a script may raise any table, and nothing may be raised here.
std::string text_field(lua_State* L, int table, const char* name) {
  lua_pushstring(L, name);
  lua_rawget(L, table);
  const std::string text = lua_isstring(L, -1) ? lua_tostring(L, -1) : "";
  lua_pop(L, 1);
  return text.substr(0, kLongestField);
}

/// What was raised, as the fields that cross the channel.
std::string failure_fields(lua_State* L) {
  const int raised = lua_gettop(L);
  if (!lua_istable(L, raised)) {
    const char* text = lua_tostring(L, raised);
    return encode_fields({{"op", "script"}, {"message", text ? text : luaL_typename(L, raised)}});
  }
  std::map<std::string, std::string> fields;
  for (const char* name : {"op", "errno", "code", "hint", "message", "where", "traceback"})
    fields[name] = text_field(L, raised, name);
  fields["object"] = text_field(L, raised, "path");
  return encode_fields(fields);
}

/// The length of the "file:12" that `text` begins with; 0 when it does not.
size_t place_in(std::string_view text) {
  for (size_t end = text.find(": ", 1); end != std::string_view::npos; end = text.find(": ", end + 1)) {
    const size_t colon = text.find_last_not_of("0123456789", end - 1);
    if (colon != std::string_view::npos && colon + 1 < end && text[colon] == ':') return end;
  }
  return 0;
}

/// In the place of a table at the top: "{ code = 1 }", as the parent would tell it.
void show_table(lua_State* L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "luabox.values");
  if (lua_pcall(L, 1, 1, 0) == 0 && lua_istable(L, -1)) {
    lua_getfield(L, -1, "show");
    lua_pushvalue(L, -3);
    lua_pcall(L, 1, 1, 0);
  }
}

/// A plain error("...") of a script becomes a table with its line and traceback, as the engine's errors are;
/// so does whatever else is no such table.
int complete_error(lua_State* L) {
  if (lua_istable(L, 1) && !text_field(L, 1, "message").empty()) return 1;
  if (lua_type(L, 1) == LUA_TSTRING || !luaL_callmeta(L, 1, "__tostring")) lua_pushvalue(L, 1);
  if (lua_istable(L, -1)) show_table(L);
  const std::string text = lua_isstring(L, -1) ? lua_tostring(L, -1) : luaL_typename(L, 1);
  const size_t place = place_in(text);
  lua_newtable(L);
  lua_pushliteral(L, "script");
  lua_setfield(L, -2, "op");
  lua::push(L, place > 0 ? text.substr(place + 2) : text);
  lua_setfield(L, -2, "message");
  lua::push(L, text.substr(0, place));
  lua_setfield(L, -2, "where");
  luaL_traceback(L, L, nullptr, 1);
  lua_setfield(L, -2, "traceback");
  return 1;
}

/// What a child made is destroyed here where it shares memory: in the parent its descriptors would be others,
/// and its memory nobody's.
void leave_nothing() {
  if (shares_memory()) lua::undo_everything();
}

/// Runs the function at the top. noexcept: an error of Lua's that is left (out of memory) ends the child
/// here. Above are the parent's frames, with its pcalls.
[[noreturn]] void run_in_child(lua_State* L, Channel& channel) noexcept {
  // The parent's objects are only borrowed from here on: what ends them, a script's finalizers too, is the
  // parent's to run. And a collection would touch (and so copy) every page.
  lua::next_generation();
  lua_gc(L, LUA_GCSTOP, 0);
  policy::enter_child();
  const int handler = lua_gettop(L);
  lua_pushcfunction(L, complete_error);
  lua_insert(L, handler);
  lua::push(L, ParentEnd(&channel));
  if (lua_pcall(L, 1, 0, handler) != 0)
    channel.send(Message::Kind::failure, failure_fields(L));
  else
    channel.send(
        Message::Kind::failure,
        encode_fields({{"op", "clone"}, {"message", "clone: the function returned; it must end in exec"}}));
  leave_nothing();
  ::_exit(kSetupFailed);
}

/// While a child shares this state: it has a coroutine of its own, and what it has changed of what is noted
/// about the process is put right behind it.
class Sharing {
 public:
  explicit Sharing(lua_State* L) : L_(L), own_(lua::generation) { collect(); }
  Sharing(const Sharing&) = delete;
  Sharing& operator=(const Sharing&) = delete;
  ~Sharing() {
    const unsigned child = std::exchange(lua::generation, own_);
    lua::forget_undoing_of(child);
    // The child's coroutine is what LuaJIT takes for the running one, until another is entered.
    lua_pushcfunction(L_, [](lua_State*) { return 0; });
    lua_pcall(L_, 0, 0, 0);
    lua_gc(L_, LUA_GCRESTART, -1);
  }

 private:
  /// Each restart puts the collector off until there is as much again: where there is, it is called here.
  void collect() {
    static int kept = lua_gc(L_, LUA_GCCOUNT, 0);
    if (lua_gc(L_, LUA_GCCOUNT, 0) < 2 * kept) return;
    lua_gc(L_, LUA_GCCOLLECT, 0);
    kept = lua_gc(L_, LUA_GCCOUNT, 0);
  }

  lua_State* L_;
  unsigned own_;
  trace::Apart trace_;
};

Process clone_sharing(lua_State* L, const CloneOptions& options) {
  lua_State* const child = lua_newthread(L);
  lua_pushvalue(L, 2);
  lua_xmove(L, child, 1);
  const Sharing sharing(L);
  return Process::clone(options, [child](Channel& channel) { run_in_child(child, channel); });
}

}  // namespace

struct CloneRequest {
  Namespaces namespaces;
  Cgroup* cgroup = nullptr;
  bool released = false, vfork = false;
  Fd* network = nullptr;
};
template <>
struct lua::Options<CloneRequest> {
  static constexpr auto fields =
      std::tuple(field("namespaces", &CloneRequest::namespaces), field("cgroup", &CloneRequest::cgroup),
                 field("released", &CloneRequest::released), field("vfork", &CloneRequest::vfork),
                 field("network", &CloneRequest::network));
};

struct ExecRequest {
  std::vector<std::string> environment;
  bool session = false, terminal = false, joined = false, small = false, log_refused = false;
  std::optional<int> until;
  Fd* carried_from = nullptr;
  Fd* carried_to = nullptr;
  Filter* filter = nullptr;
};
template <>
struct lua::Options<ExecRequest> {
  static constexpr auto fields =
      std::tuple(field("environment", &ExecRequest::environment), field("session", &ExecRequest::session),
                 field("terminal", &ExecRequest::terminal), field("joined", &ExecRequest::joined),
                 field("until_end", &ExecRequest::until), field("carried_from", &ExecRequest::carried_from),
                 field("carried_to", &ExecRequest::carried_to), field("small", &ExecRequest::small),
                 field("filter", &ExecRequest::filter), field("log_refused", &ExecRequest::log_refused));
};
struct SetnsRequest {
  std::optional<Namespaces> namespaces;
};
template <>
struct lua::Options<SetnsRequest> {
  static constexpr auto fields = std::tuple(field("namespaces", &SetnsRequest::namespaces));
};
template <>
struct lua::Options<TimeOffsets> {
  static constexpr auto fields =
      std::tuple(field("monotonic", &TimeOffsets::monotonic), field("boottime", &TimeOffsets::boottime));
};
template <>
struct lua::Class<ParentEnd> {
  static constexpr auto name = "parent";
  static constexpr Entry methods[] = {{"send", fn<&ParentEnd::send>}};  // parent:send(text, fd)
};

namespace {

/// sys.clone(options, function(parent) ... end) -> process
int clone(lua_State* L) {
  const auto request = lua::argument<CloneRequest>(L, 1);
  if (!lua_isfunction(L, 2)) throw lua::expected(L, 2, "a function").inside("argument 2");
  lua::no_more_arguments(L, 2);
  CloneOptions options;
  options.namespaces = request.namespaces;
  options.released = request.released;
  // It may be any descriptor, and rules about who joins what are about setns.
  if (request.network && policy::active())
    throw lua::BadArgument(
        "option 'network': a child can't be born in a namespace that is there where policies are in force");
  if (request.network) options.network = request.network->get();
  const CgroupEntry entry = request.cgroup ? request.cgroup->join_descriptors() : CgroupEntry();
  for (const auto& tasks : entry.tasks) options.cgroup_tasks.push_back(tasks.get());
  options.cgroup_directory = entry.v2_directory.get();
  options.vfork = request.vfork && !policy::active();  // a child that is asked about speaks to them itself
  if (options.vfork) {
    lua::push(L, clone_sharing(L, options));
  } else {
    lua::push(L, Process::clone(options, [L](Channel& channel) { run_in_child(L, channel); }));
  }
  return 1;
}

#ifdef __SANITIZE_ADDRESS__
constexpr bool kStatic = false;
#else
constexpr bool kStatic = true;  // CMakeLists.txt
#endif

int number_of(const Fd* descriptor) { return descriptor != nullptr ? descriptor->get() : -1; }

void check_environment(const std::vector<std::string>& environment) {
  for (size_t i = 0; i < environment.size(); ++i)
    if (const size_t end = environment[i].find('='); end == 0 || end == std::string::npos)
      throw lua::BadArgument("argument 2: option 'environment': item " + std::to_string(i + 1) +
                             ": expected 'NAME=value', got '" + environment[i] + "'");
}

/// Static: where the parent's memory is shared, nobody would free what an exec leaves behind.
const ExecOptions& leaving(std::vector<std::string> arguments, ExecRequest request) {
  static ExecOptions options;
  check_environment(request.environment);
  options = {std::move(arguments),
             std::move(request.environment),
             request.session,
             request.terminal,
             request.joined,
             request.until.value_or(-1),
             {number_of(request.carried_from), number_of(request.carried_to)},
             request.small,
             request.filter,
             request.log_refused,
             &trace::leave,
             kStatic};
  leave_nothing();
  return options;
}
void exec_program(std::vector<std::string> arguments, ExecRequest request) {
  exec(leaving(std::move(arguments), std::move(request)));
}
void exec_init(std::vector<std::string> arguments, ExecRequest request) {
  exec_below_init(leaving(std::move(arguments), std::move(request)));
}

/// sys.setns(what, { namespaces = }): what is a process or pid (namespaces says which), a path, or a
/// descriptor.
int setns(lua_State* L) {
  const auto request = lua::argument<SetnsRequest>(L, 2);
  const Namespaces wanted = request.namespaces.value_or(Namespaces());
  if (lua_type(L, 1) == LUA_TSTRING) {
    const std::string path = lua::argument<std::string>(L, 1);
    enter_namespace(open_namespace(path).get(), wanted);
  } else if (lua::Value<Fd>::is(L, 1)) {
    enter_namespace(lua::argument<Fd>(L, 1).get(), wanted);
  } else {
    if (wanted.flags() == 0)
      throw lua::BadArgument("a process needs the option 'namespaces', such as \"net uts\"");
    enter_namespaces_of(lua::argument<lua::ProcessId>(L, 1).pid, wanted);
  }
  return 0;
}

Fd open_namespace_of(lua::ProcessId process, const std::string& word) {
  return open_namespace(process.pid, word);
}

void change_directory(const std::string& path) {
  if (::chdir(path.c_str()) < 0) throw Error("chdir", path);
}
void new_session() {
  if (::setsid() < 0) throw Error("setsid");
}
/// sys.random(bytes) -> that many, as lower case hexadecimal
std::string random_hex(int bytes) {
  constexpr int kMost = 256;  // what getrandom(2) gives whole
  if (bytes < 1 || bytes > kMost) throw lua::BadArgument("argument 1: expected 1 to 256 bytes");
  std::string noise(static_cast<size_t>(bytes), '\0'), text;
  if (::getrandom(noise.data(), noise.size(), 0) != static_cast<ssize_t>(noise.size()))
    throw Error("getrandom");
  for (const char byte : noise) {
    constexpr const char* digits = "0123456789abcdef";
    text += {digits[static_cast<unsigned char>(byte) >> 4U], digits[static_cast<unsigned char>(byte) & 15U]};
  }
  return text;
}
/// sys.errors() -> a list of { code =, name = "ENOENT", text = "No such file or directory" }
int errors(lua_State* L) {
  lua::no_more_arguments(L, 0);
  lua_newtable(L);
  int count = 0;
  for (const ErrnoName& each : errno_names()) {
    lua_createtable(L, 0, 3);
    lua::push(L, each.code);
    lua_setfield(L, -2, "code");
    lua::push(L, each.name);
    lua_setfield(L, -2, "name");
    lua::push(L, each.text);
    lua_setfield(L, -2, "text");
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}
std::string version() { return LUABOX_VERSION; }
int own_pid() { return ::getpid(); }
int own_uid() { return static_cast<int>(::geteuid()); }
int own_gid() { return static_cast<int>(::getegid()); }
double monotonic() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}
void sleep_for(double seconds) {
  timespec left = {static_cast<time_t>(seconds), static_cast<long>((seconds - std::floor(seconds)) * 1e9)};
  while (::nanosleep(&left, &left) < 0 && errno == EINTR) check_interrupt("sleep");
}
/// sys.exit(status): ends this process at once; in the child of a clone too, without touching what the parent
/// owns.
void exit_now(int status) {
  if (parent_channel() == nullptr) {
    lua::undo_everything();
    policy::end();
    leave_firewall_socket();
  }
  std::fflush(nullptr);
  ::_exit(status);
}

/// fd:readable(seconds) -> whether it can be read without waiting, after at most that long
bool readable(Fd& fd, std::optional<double> timeout) {
  pollfd ready = {fd.get(), POLLIN, 0};
  const int count = ::poll(&ready, 1, static_cast<int>(std::clamp(timeout.value_or(0), 0.0, 2e6) * 1000));
  if (count < 0 && errno != EINTR) throw Error("poll", "descriptor");
  if (count < 0) check_interrupt("poll");
  return count > 0;
}

/// fd:read([limit [, process]]) -> everything up to its end, or the process's; more than `limit` bytes
/// (16 MiB) is EFBIG
lua::Bytes read_descriptor(Fd& fd, std::optional<double> limit, Process* process) {
  constexpr double kMost = 1U << 30U;
  const auto most = static_cast<size_t>(std::clamp(limit.value_or(16U << 20U), 0.0, kMost));
  if (process != nullptr) return {read_until_end_of(process->pidfd(), fd.get(), "descriptor", most)};
  return {read_all(fd.get(), "descriptor", most)};
}

/// sys.pipe() -> reader, writer
int make_pipe(lua_State* L) {
  lua::no_more_arguments(L, 0);
  auto [reader, writer] = open_pipe();
  lua::push(L, std::move(reader));
  lua::push(L, std::move(writer));
  return 2;
}
std::optional<Fd> taken_network() {
  Fd ready = take_network();
  return ready ? std::optional<Fd>(std::move(ready)) : std::nullopt;
}
bool is_fifo(const std::string& path) {
  struct stat found;
  return ::stat(path.c_str(), &found) == 0 && S_ISFIFO(found.st_mode);
}
Fd output_file(const std::string& path) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!file) throw Error("open", path, errno, errno == ENXIO && is_fifo(path) ? "nobody reads from it" : "");
  ::fcntl(file.get(), F_SETFL, ::fcntl(file.get(), F_GETFL) & ~O_NONBLOCK);  // its reader may be slow
  return file;
}
/// sys.relay(descriptors, file): with `file` both outputs, whatever they are, lead there
std::optional<Relay> relay(const std::vector<int>& descriptors, Fd* file) {
  return file != nullptr ? Relay::into(file->get()) : Relay::of(descriptors);
}
Fd text_file(const lua::Bytes& text) { return sealed_text(text.data); }
/// sys.redirect(descriptor or number, number): the second becomes a copy of the first
int redirect(lua_State* L) {
  const int from = lua_type(L, 1) == LUA_TNUMBER ? lua::argument<int>(L, 1) : lua::argument<Fd>(L, 1).get();
  const int to = lua::argument<int>(L, 2);
  lua::no_more_arguments(L, 2);
  if (to < 0 || to > 2) throw lua::BadArgument("argument 2: expected 0, 1 or 2");
  if (::dup2(from, to) < 0) throw Error("dup2", std::to_string(to));
  return 0;
}

/// fd:close()
int close_fd(lua_State* L) {
  lua::Value<Fd>::use_up(L, 1, "close");
  return 0;
}

bool in_child() { return parent_channel() != nullptr; }

// ---- methods of a helper

/// A wait's timeout; -1, for ever, where none was said.
double patience(std::optional<double> seconds) {
  if (seconds && *seconds < 0) throw lua::BadArgument("argument 2: expected seconds, 0 or more");
  return seconds.value_or(-1);
}

std::optional<int> wait_helper(Helper& helper, std::optional<double> timeout) {
  const auto ended = helper.wait(patience(timeout));
  return ended ? std::optional<int>(ended->shell()) : std::nullopt;
}
bool kill_helper(Helper& helper, lua::Signal signal) { return helper.kill(signal.number); }

// ---- methods of a process

std::optional<int> wait_shell(Process& process, std::optional<double> timeout) {
  const auto ended = process.wait(patience(timeout));
  return ended ? std::optional<int>(ended->shell()) : std::nullopt;
}
std::optional<std::map<std::string, int>> status(Process& process) {
  const auto ended = process.wait(0);
  if (!ended) return std::nullopt;
  if (ended->signal != 0) return std::map<std::string, int>{{"signal", ended->signal}};
  return std::map<std::string, int>{{"code", ended->code}};
}
bool kill(Process& process, lua::Signal signal) { return process.kill(signal.number); }

/// process:message() -> text, descriptor
int message(lua_State* L) {
  auto next = lua::argument<Process>(L, 1).next_message();
  if (!next) return 0;
  lua::push(L, next->text);
  if (!next->fd) return 1;
  lua::push(L, std::move(next->fd));
  return 2;
}

std::optional<std::string> nearest_of(const lua::Bytes& name, const std::vector<lua::Bytes>& names) {
  std::vector<std::string_view> known;
  known.reserve(names.size());
  for (const auto& each : names) known.emplace_back(each.data);
  const std::string_view found = nearest(name.data, known);
  return found.empty() ? std::nullopt : std::optional<std::string>(found);
}

}  // namespace

const lua::Entry lua::Class<Fd>::methods[] = {{"number", fn<&Fd::get>, false},  // fd:number()
                                              {"readable", fn<&readable>, false},
                                              {"read", fn<&read_descriptor>},
                                              {"close", fn<&close_fd>, false}};  // fd:close() uses it up

const lua::Entry lua::Class<Process>::methods[] = {
    {"pid", fn<&Process::pid>, false},   // process:pid()
    {"release", fn<&Process::release>},  // process:release(): until the exec; raises what the child raised
    {"go", fn<&Process::go>},            // process:go(), process:settle(): release in two
    {"settle", fn<&Process::settle>},
    {"wait",
     fn<&wait_shell>},  // process:wait(timeout) -> exit status, 128 + N for a signal; nil when time is over
    {"status", fn<&status>, false},    // process:status() -> { code = } or { signal = }, nil while it runs
    {"detach", fn<&Process::detach>},  // process:detach(): it is not ended with this object
    {"kill", fn<&kill>},               // process:kill("TERM") -> whether it was there
    {"message", fn<&message>, false},  // process:message() -> text, descriptor
    {"pidfd", fn<&Process::pidfd>, false}};  // process:pidfd() -> its number

template <>
struct lua::Class<Helper> {
  static constexpr auto name = "helper";
  static constexpr Entry methods[] = {
      {"pid", fn<&Helper::pid>, false},
      {"wait", fn<&wait_helper>},               // helper:wait(timeout) -> exit status, as process:wait
      {"kill", fn<&kill_helper>},               // helper:kill("TERM") -> whether it was there
      {"output", fn<&Helper::output>, false}};  // helper:output() -> what it has said since the last call
};

const lua::Entry lua::Class<Relay>::methods[] = {
    {"enter", fn<&Relay::enter>},     // relay:enter(): in a child, before its exec
    {"finish", fn<&Relay::finish>}};  // relay:finish(): raises what a file could not take

int open_process(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"clone", lua::fn<&clone, Process>},  // sys.clone({ namespaces = "uts pid" }, function(parent) ... end)
      {"exec",
       lua::fn<&exec_program>},       // sys.exec({ "/bin/sh" }, { environment = {}, session =, terminal = })
      {"init", lua::fn<&exec_init>},  // sys.init(arguments, options): as exec, below an init of our own
      {"helper",
       lua::fn<&Helper::start>},  // sys.helper { "newuidmap", ... } -> helper: a program of the host's
      {"end_helpers", lua::fn<&end_helpers>},  // sys.end_helpers(argument): those whose parent was killed
      {"find_helper", lua::fn<&find_helper>, false},     // sys.find_helper "pasta" -> its path or nil
      {"unshare", lua::fn<&unshare>},                    // sys.unshare "net uts"
      {"network_ahead", lua::fn<&make_network_ahead>},   // sys.network_ahead(): for the next clone
      {"take_network", lua::fn<&taken_network>, false},  // sys.take_network() -> descriptor or nil
      {"setns", lua::fn<&setns>},  // sys.setns(pid | path | descriptor, { namespaces = })
      {"namespace", lua::fn<&open_namespace_of>, lua::reads},  // sys.namespace(pid, "net") -> descriptor
      {"time_offsets", lua::fn<&set_time_offsets>},            // sys.time_offsets { boottime = 3600 }
      {"sethostname", lua::fn<&set_hostname>},
      {"setdomainname", lua::fn<&set_domainname>},
      {"chdir", lua::fn<&change_directory>},
      {"setsid", lua::fn<&new_session>},
      {"pipe", lua::fn<&make_pipe>},       // sys.pipe() -> reader, writer
      {"text_file", lua::fn<&text_file>},  // sys.text_file(text) -> descriptor, to be read by somebody else
      {"output_file", lua::fn<&output_file>},  // sys.output_file(path) -> descriptor; appends, made as 0600
      {"redirect", lua::fn<&redirect>},        // sys.redirect(descriptor, 0 | 1 | 2)
      {"relay", lua::fn<&relay>},              // sys.relay({ 1, 2 }, file) -> relay, nil where none is a file
      {"seal_streams", lua::fn<&seal_streams>},  // sys.seal_streams(root): before leaving "/" for it
      {"open_up_pipes", lua::fn<&open_up_pipes>},
      {"refuse_foreign_sockets", lua::fn<&refuse_foreign_sockets>},
      {"exit", lua::fn<&exit_now>},
      {"in_child", lua::fn<&in_child>, false},  // sys.in_child(): in the function of a clone
      {"sleep", lua::fn<&sleep_for>, false},
      {"random", lua::fn<&random_hex>, false},  // sys.random(4) -> 8 hexadecimal digits
      {"nearest", lua::fn<&nearest_of>,
       false},                              // sys.nearest("memroy", { "memory", "cpu" }) -> "memory" or nil
      {"errors", lua::fn<&errors>, false},  // sys.errors() -> { code =, name =, text = }, each errno
      {"version", lua::fn<&version>, false},
      {"pid", lua::fn<&own_pid>, false},
      {"uid", lua::fn<&own_uid>, false},
      {"gid", lua::fn<&own_gid>, false},
      {"monotonic", lua::fn<&monotonic>, false}};
  return lua::module(L, "", functions);
}

}  // namespace luabox
