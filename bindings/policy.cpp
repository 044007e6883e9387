// luabox.sys.policy, and the policies' hold on the gate: engine/policy_files.hpp and engine/responder.hpp for
// Lua.
#include "bindings/policy.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <set>

#include "bindings/gate.hpp"
#include "bindings/json.hpp"
#include "bindings/lua.hpp"
#include "bindings/policy_state.hpp"
#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/policy_files.hpp"
#include "engine/responder.hpp"

namespace luabox {
namespace {

constexpr const char* kFolder = "/etc/luabox/policy.d";
constexpr double kDeadline = 1.5;  // with what comes before and after it, a refusal within two seconds

/// What a rule said no to.
class Refusal : public Error {
 public:
  Refusal(const std::string& rule, const std::string& file, const std::string& reason)
      : Error("policy", rule, EACCES, reason),
        text_(rule.empty() ? "refused: the policies could not decide: " + reason
                           : "refused by the policy '" + rule + "' (" + file + "): " + reason) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

// ---- the site's policies

/// A set of policies in a process of its own.
class Policies {
 public:
  explicit Policies(std::vector<PolicyFile> files) : helper_(start(std::move(files))) {}
  /// JSON. Throws Error where the policies themselves are wrong.
  const std::string& summary() { return helper_.ready(kDeadline); }
  std::string ask(const std::string& question) { return helper_.ask(question, kDeadline); }
  void separate() { helper_.separate(); }

 private:
  static Responder start(std::vector<PolicyFile> files) {
    auto state = std::make_shared<PolicyState>(std::move(files));
    return Responder::start(
        "luabox-policy", [state] { return state->load(); },
        [state](const std::string& question) { return state->answer(question); });
  }
  Responder helper_;
};

}  // namespace

template <>
struct lua::Class<Policies> {
  static constexpr auto name = "policies";
  static const Entry methods[2];
};

namespace {

struct Site {
  std::optional<Policies> policies;
  bool settled = false;
  bool may_allow = false;      ///< the files have the word `allow`: without it no script has more than others
  bool asks_in_child = false;  ///< a rule is about single primitives
  bool explaining = false;     ///< nothing is done: what the rules say is told, see policy.explain
  bool cleaning = false;       ///< the library removes what was made: nothing of a script's runs
  std::set<std::string, std::less<>> kinds, needs;
  struct Script {
    std::string path, device, inode;
    int owner = -1;
    bool trusted = false;
  };
  std::optional<Script> script;
};

Site& site() {
  static Site instance;
  return instance;
}

std::string text_field(lua_State* L, int table, const char* name) {
  lua_getfield(L, table, name);
  std::string text = lua_isstring(L, -1) ? lua_tostring(L, -1) : "";
  lua_pop(L, 1);
  return text;
}

/// Pushes what the policies said of themselves; throws where they could not be loaded.
void push_summary(lua_State* L, Policies& policies) {
  push_json(L, policies.summary());
  const std::string problem = text_field(L, lua_gettop(L), "error");
  if (!problem.empty()) throw Refusal("", "", problem);
}

/// Takes over what the policies said of themselves. As late as can be: they are loaded while the script is.
void settle(lua_State* L) {
  Site& here = site();
  if (here.settled) return;
  push_summary(L, *here.policies);
  lua_getfield(L, -1, "kinds");
  for (const auto& kind : lua::check<std::vector<std::string>>(L, lua_gettop(L))) here.kinds.insert(kind);
  lua_getfield(L, -2, "needs");
  for (const auto& need : lua::check<std::vector<std::string>>(L, lua_gettop(L))) here.needs.insert(need);
  lua_pop(L, 3);
  for (const auto& kind : here.kinds)
    here.asks_in_child |= kind != "run" && kind != "exec" && kind != "update" && kind != "import";
  here.settled = true;
}

// ---- what a request says of itself

template <class T>
void set_field(lua_State* L, const char* name, T&& value) {
  lua::push(L, std::forward<T>(value));
  lua_setfield(L, -2, name);
}

/// The login that this session began with, which no setuid changes (audit's loginuid); nothing outside a
/// session.
std::optional<double> login() {
  try {
    const double id = std::strtod(read_file("/proc/self/loginuid").c_str(), nullptr);
    if (id < 4294967295.0) return id;
  } catch (const Error&) {
    // A kernel without audit, or a /proc that is gone: then nobody knows.
  }
  return std::nullopt;
}

void push_caller(lua_State* L) {
  static const std::optional<double> login_id = login();
  lua_createtable(L, 0, 4);
  set_field(L, "uid", static_cast<double>(::getuid()));
  set_field(L, "gid", static_cast<double>(::getgid()));
  if (login_id) set_field(L, "login", *login_id);
}

/// Adds caller, script and pid to the request at the top of the stack, whatever it says itself.
void add_facts(lua_State* L) {
  push_caller(L);
  lua_setfield(L, -2, "caller");
  set_field(L, "pid", static_cast<int>(::getpid()));
  if (!site().script) return;
  lua_createtable(L, 0, 5);
  set_field(L, "path", site().script->path);
  set_field(L, "device", site().script->device);
  set_field(L, "inode", site().script->inode);
  set_field(L, "owner", site().script->owner);
  set_field(L, "trusted", site().script->trusted);
  lua_setfield(L, -2, "script");
}

/// A file that was looked at once: what is told of it is true of the descriptor.
struct Place {
  Fd fd;
  std::string path;  ///< without symlinks, as this process sees it
  struct stat facts;
};

Place place_of(const std::string& name) {
  Place place{Fd::open(name, O_PATH), "", {}};
  if (::fstat(place.fd.get(), &place.facts) < 0) throw Error("stat", name);
  std::array<char, 4096> path;
  const ssize_t length = ::readlink(fd_path(place.fd.get()).c_str(), path.data(), path.size());
  if (length <= 0 || static_cast<size_t>(length) >= path.size()) throw Error("readlink", name);
  place.path.assign(path.data(), static_cast<size_t>(length));
  return place;
}

/// device, inode, owner, mode of the table at the top of the stack.
void set_place(lua_State* L, const Place& place) {
  set_field(L, "device", std::to_string(place.facts.st_dev));
  set_field(L, "inode", std::to_string(place.facts.st_ino));
  set_field(L, "owner", static_cast<double>(place.facts.st_uid));
  set_field(L, "directory", S_ISDIR(place.facts.st_mode));
}

/// The value as JSON can hold it: objects by their names, functions as a word. Tables raw: a metatable of the
/// script's tells a policy nothing.
void push_plain(lua_State* L, int index, int depth) {
  constexpr int kDeepest = 20;
  luaL_checkstack(L, 8, "policy");
  switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
      lua_pushvalue(L, index);
      return;
    case LUA_TTABLE:
      break;
    default:
      lua_pushstring(L, luaL_typename(L, index));
      return;
  }
  if (depth > kDeepest) throw Error::invalid("policy", "", "the arguments are nested too deeply");
  lua_newtable(L);
  const int copy = lua_gettop(L);
  bool named = false;
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) named |= lua_type(L, -2) != LUA_TNUMBER;
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
    const int value = lua_gettop(L);
    lua_pushvalue(L, value - 1);
    if (named) lua_tostring(L, -1);  // of the copy: lua_next needs the key as it is
    push_plain(L, value, depth + 1);
    lua_rawset(L, copy);
  }
}

// ---- asking

/// The question for the request at the top of the stack, which is popped.
std::string question(lua_State* L, const char* operation, const std::string& kind, bool explain) {
  lua_createtable(L, 0, 5);
  lua_insert(L, -2);
  lua_setfield(L, -2, "request");
  set_field(L, "op", std::string(operation));
  set_field(L, "kind", kind);
  set_field(L, "explain", explain);
  set_field(L, "dry", explain);
  std::string text = json_of(L, lua_gettop(L));
  lua_pop(L, 1);
  return text;
}

/// Pushes the answer. Garbage is a refusal.
void push_answer(lua_State* L, Policies& policies, const std::string& text) {
  push_json(L, policies.ask(text));
  if (!lua_istable(L, -1)) throw Refusal("", "", "the answer makes no sense");
  lua_getfield(L, -1, "request");
  if (lua_isstring(L, -1)) {  // it crosses as the text that the rules agreed on
    push_json(L, lua::check<lua::Bytes>(L, lua_gettop(L)).data);
    lua_setfield(L, -3, "request");
  }
  lua_pop(L, 1);
}

void raise_refusal(lua_State* L, int answer) {
  lua_getfield(L, answer, "allow");
  const bool allowed = lua_isboolean(L, -1) && lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  if (!allowed)
    throw Refusal(text_field(L, answer, "rule"), text_field(L, answer, "file"),
                  text_field(L, answer, "reason"));
}

constexpr const char* kExplain = "luabox.policy.explain";

/// Tells the answer to the function that policy.explain was given.
void tell(lua_State* L, const std::string& kind, int request, int answer) {
  if (!site().explaining) return;
  lua_getfield(L, LUA_REGISTRYINDEX, kExplain);
  lua::push(L, kind);
  lua_pushvalue(L, request);
  lua_pushvalue(L, answer);
  lua_call(L, 3, 0);
}

// ---- the gate

struct KindOf {
  std::string_view name;  // a whole name, or the beginning of one that ends in '.' or ':'
  const char* kind;       // nullptr: it only reads, or only waits
};

/// The first that fits. What is not here is of the kind of its module, so a new primitive is governed
/// unasked.
constexpr KindOf kKinds[] = {{"clone", "clone"},
                             {"unshare", "clone"},
                             {"setns", "setns"},
                             {"namespace", "setns"},
                             {"exec", "program"},
                             {"init", "program"},
                             {"exit", nullptr},
                             {"process:kill", "process"},
                             {"process:", nullptr},
                             {"parent:", nullptr},
                             {"descriptor:", nullptr},
                             {"lock:", nullptr},
                             {"signals:", nullptr},
                             {"root:mknod", "device"},
                             {"root:kind", nullptr},
                             {"root:list", nullptr},
                             {"root:read", nullptr},
                             {"root:", "file"},
                             {"mount.root", nullptr},
                             {"mount.is_procfs", nullptr},
                             {"mount.verify_procfs", nullptr},
                             {"mount.tree_size", nullptr},
                             {"mount.remove_tree", "file"},
                             {"mount:root", nullptr},
                             {"mount.", "mount"},
                             {"mount:", "mount"},
                             {"security.set", "capability"},
                             {"security.apply", "capability"},
                             {"security.limit_bounding", "capability"},
                             {"security.seccomp", "seccomp"},
                             {"security.filter", "seccomp"},
                             {"security.profile_for", "seccomp"},
                             {"filter:", "seccomp"},
                             {"security.", "user"},
                             {"cgroup.host", nullptr},
                             {"cgroup.plan", nullptr},
                             {"cgroup.planned_paths", nullptr},
                             {"cgroup:read", nullptr},
                             {"cgroup:plan", nullptr},
                             {"cgroup:exists", nullptr},
                             {"cgroup:processes", nullptr},
                             {"cgroup:oom_event", nullptr},
                             {"cgroup:oom_kills", nullptr},
                             {"cgroup:stats", nullptr},
                             {"cgroup.", "cgroup"},
                             {"cgroup:", "cgroup"},
                             {"net.links", nullptr},
                             {"net.find", nullptr},
                             {"net.addresses", nullptr},
                             {"net.routes", nullptr},
                             {"net.local_device", nullptr},
                             {"net.forwarding", nullptr},
                             {"net.firewalls", nullptr},
                             {"net.firewall", "nftables"},
                             {"net.remove_firewall", "nftables"},
                             {"net.", "interface"},
                             {"terminal.forward_signals", nullptr},
                             {"terminal.supervise", nullptr},
                             {"file.", "file"},
                             {"user.", "user"},
                             {"terminal.", "terminal"},
                             {"archive.", "archive"}};

const char* kind_of(std::string_view name) {
  for (const auto& each : kKinds) {
    const bool beginning = each.name.back() == '.' || each.name.back() == ':';
    if (beginning ? name.compare(0, each.name.size(), each.name) == 0 : name == each.name) return each.kind;
  }
  return "process";
}

/// The place at the path; without one, in a pretence, nothing but its name is known.
std::optional<Place> place_if(const std::string& name) {
  if (!site().explaining) return place_of(name);
  try {
    return place_of(name);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Replaces the path at `index` by one that leads to the descriptor that was looked at, and to nothing else.
/// Where nothing is done nothing is pinned.
void pin(lua_State* L, int index, Place place, std::vector<Fd>& pinned) {
  if (site().explaining) return;
  index = index < 0 ? lua_gettop(L) + 1 + index : index;
  lua_pushstring(L, fd_path(place.fd.get()).c_str());
  lua_replace(L, index);
  pinned.push_back(std::move(place.fd));
}

void set_source(lua_State* L, const Place& place) {
  set_field(L, "source", place.path);
  set_field(L, "sources", std::vector<std::string>{place.path});
  set_place(L, place);
}

/// `source`, and what is known of it, for the request at the top; the argument is pinned.
void add_source(lua_State* L, int index, std::vector<Fd>& pinned) {
  if (lua_type(L, index) != LUA_TSTRING) return;
  const auto name = lua::check<std::string>(L, index);
  std::optional<Place> place = place_if(name);
  if (!place) return set_field(L, "source", name), set_field(L, "sources", std::vector<std::string>{name});
  set_source(L, *place);
  pin(L, index, std::move(*place), pinned);
}

/// The layers of an overlay, for the request at the top; they are pinned in a copy of the options.
void add_layers(lua_State* L, int index, std::vector<Fd>& pinned) {
  if (!lua_istable(L, index)) return;
  const int request = lua_gettop(L);
  lua_newtable(L);  // sources
  const int sources = lua_gettop(L);
  lua_newtable(L);  // the copy
  const int copy = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, copy);
  }
  const auto take = [&](int table, const char* key, int number) {
    if (key != nullptr)
      lua_getfield(L, table, key);
    else
      lua_rawgeti(L, table, number);
    if (lua_type(L, -1) == LUA_TSTRING && lua_objlen(L, -1) > 0) {
      const auto name = lua::check<std::string>(L, lua_gettop(L));
      std::optional<Place> place = place_if(name);
      lua::push(L, place ? place->path : name);
      lua_rawseti(L, sources, static_cast<int>(lua_objlen(L, sources)) + 1);
      if (place) pin(L, -1, std::move(*place), pinned);
      if (key != nullptr)
        lua_setfield(L, table, key);
      else
        lua_rawseti(L, table, number);
    } else {
      lua_pop(L, 1);
    }
  };
  take(copy, "upper", 0);
  take(copy, "work", 0);
  lua_getfield(L, copy, "lower");
  if (lua_istable(L, -1)) {
    push_plain(L, lua_gettop(L), 0);  // a list of its own
    const int lower = lua_gettop(L);
    for (int i = 1; i <= static_cast<int>(lua_objlen(L, lower)); ++i) take(lower, nullptr, i);
    lua_setfield(L, copy, "lower");
  }
  lua_pop(L, 1);
  lua_replace(L, index);
  lua_setfield(L, request, "sources");
}

/// A source inside a root, which is replaced by the file itself.
void add_inner_source(lua_State* L) {
  // A root that is only pretended has no place: then the name alone is known.
  if (site().explaining) return set_field(L, "source", "/" + lua::check<std::string>(L, 2));
  auto& root = lua::argument<Root>(L, 1);
  Fd fd = root.resolve(lua::check<std::string>(L, 2));
  const Place place = place_of(fd_path(fd.get()));
  set_source(L, place);
  lua::push(L, std::move(fd));
  lua_replace(L, 1);
}

/// What rules about mounts look at: type, source, sources, target.
void describe_mount(lua_State* L, std::string_view name, std::vector<Fd>& pinned) {
  const auto target = [L](int index) {
    if (lua_type(L, index) == LUA_TSTRING) set_field(L, "target", lua::check<std::string>(L, index));
  };
  const auto type = [L](std::string_view word) { set_field(L, "type", std::string(word)); };
  if (name == "mount.copy_of" || name == "mount.bind") {
    type("bind");
    add_source(L, 1, pinned);
    if (name == "mount.bind") target(2);
  } else if (name == "mount.copy_in") {
    type("bind");
    add_inner_source(L);
  } else if (name == "mount.overlay" || name == "mount.make_overlay") {
    type("overlay");
    add_layers(L, name == "mount.overlay" ? 2 : 1, pinned);
    if (name == "mount.overlay") target(1);
  } else if (name == "mount.make") {
    if (lua_type(L, 1) == LUA_TSTRING) type(lua::check<std::string>(L, 1));
  } else if (name == "mount:attach") {
    target(3);
  } else if (name == "mount:attach_at") {
    target(2);
  } else if (name == "mount.move") {
    add_source(L, 1, pinned);
    target(2);
  } else if (name.compare(0, 11, "mount.make_") == 0) {
    type(name.substr(11));
  } else if (name.compare(0, 6, "mount.") == 0) {
    type(name.substr(6));
    target(1);
  }
}

/// Pushes the request for the call whose arguments are the stack's; what it names by path is pinned. Returns
/// where its options are, 0 for nowhere.
int push_request(lua_State* L, std::string_view name, const char* kind, std::vector<Fd>& pinned) {
  const int count = lua_gettop(L);
  luaL_checkstack(L, 20, "policy");
  lua_createtable(L, 0, 12);
  const int request = lua_gettop(L);
  set_field(L, "primitive", std::string(name));
  lua_createtable(L, count, 0);
  for (int i = 1; i <= count; ++i) {
    push_plain(L, i, 0);
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, request, "arguments");
  int options = 0;
  for (int i = count; i >= 1 && options == 0; --i)
    if (lua_istable(L, i)) options = i;
  if (options != 0) {
    push_plain(L, options, 0);
    lua_setfield(L, request, "options");
  }
  const std::string_view of = kind;
  if (of == "mount") describe_mount(L, name, pinned);
  if (of == "setns" && lua_type(L, 1) == LUA_TSTRING) add_source(L, 1, pinned);
  if (of == "capability") {
    push_plain(L, name == "security.apply" ? 2 : 1, 0);
    lua_setfield(L, request, "capabilities");
  }
  if (of == "device") set_field(L, "path", lua::check<std::string>(L, 2));
  if (of == "program") {
    push_plain(L, 1, 0);
    lua_setfield(L, request, "command");
  }
  add_facts(L);
  return options;
}

/// Takes over the options that a rule changed. Anything else that it changed could not be made true.
void take_options(lua_State* L, int answer, int options) {
  lua_getfield(L, answer, "request");
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  const int request = lua_gettop(L);
  lua_getfield(L, request, "options");
  if (options == 0 || !lua_istable(L, -1))
    throw Refusal("", "", "a rule changed a primitive that has no options");
  // Paths in them were pinned, and stay as they were checked.
  for (lua_pushnil(L); lua_next(L, request + 1) != 0; lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_rawget(L, options);
    const bool pinned_text = lua_type(L, -1) == LUA_TSTRING &&
                             std::string_view(lua_tostring(L, -1)).compare(0, 14, "/proc/self/fd/") == 0;
    const bool list = lua_istable(L, -1);
    lua_pop(L, 1);
    if (pinned_text || list) continue;
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, options);
  }
  lua_settop(L, request - 1);
}

/// Called by the gate before each primitive.
int govern_now(lua_State* L, const char* name, std::vector<Fd>& pinned) {
  return lua::guard(L, [&](lua_State* state) {
    settle(state);
    const char* kind = kind_of(name);
    if (kind == nullptr || site().cleaning || site().kinds.find(std::string_view(kind)) == site().kinds.end())
      return 0;
    const int top = lua_gettop(state);
    const int options = push_request(state, name, kind, pinned);
    const int request = lua_gettop(state);
    lua_pushvalue(state, request);
    const std::string text = question(state, "decide", kind, site().explaining);
    push_answer(state, *site().policies, text);
    const int answer = lua_gettop(state);
    tell(state, kind, request, answer);
    raise_refusal(state, answer);
    take_options(state, answer, options);
    lua_settop(state, top);
    return 0;
  });
}

void govern(lua_State* L, const char* name, std::vector<Fd>& pinned) { govern_now(L, name, pinned); }

// ---- luabox.sys.policy

bool active() { return site().policies.has_value(); }

/// policy.needs(word): some rule has it in `needs`
int needs(lua_State* L) {
  const auto word = lua::argument<std::string>(L, 1);
  lua::no_more_arguments(L, 1);
  settle(L);
  lua_pushboolean(L, site().needs.count(word) != 0);
  return 1;
}

/// policy.allowed() -> { primitives = true, ... }: what the script that was read may have
int allowed(lua_State* L) {
  lua::no_more_arguments(L, 0);
  lua_newtable(L);
  if (!site().may_allow) return 1;
  settle(L);
  add_facts(L);
  const std::string text = question(L, "allowed", "", false);
  push_answer(L, *site().policies, text);
  raise_refusal(L, lua_gettop(L));
  lua_getfield(L, -1, "words");
  return 1;
}

/// policy.decide(kind, request) -> answer: { request = (when it was changed), report = }. Raises a refusal.
int decide(lua_State* L) {
  const auto kind = lua::argument<std::string>(L, 1);
  lua::no_more_arguments(L, 2);
  settle(L);
  // A child that nothing is asked about has its parent's socket: it would take the parent's answers.
  if (parent_channel() != nullptr && !site().asks_in_child)
    throw Refusal("", "", "a container can't be started inside of another's start");
  push_plain(L, 2, 0);
  add_facts(L);
  const std::string text = question(L, "decide", kind, site().explaining);
  push_answer(L, *site().policies, text);
  const int answer = lua_gettop(L);
  tell(L, kind, 2, answer);
  raise_refusal(L, answer);
  return 1;
}

/// policy.explain(function(kind, request, answer) ... end): from here on nothing is done any more but in a
/// pretence (sys.gate), the audit log hears nothing, and each answer is told to the function first: its
/// `report` has what every rule made of the request.
int explain(lua_State* L) {
  if (!lua_isfunction(L, 1)) throw lua::expected(L, 1, "a function").inside("argument 1");
  lua::no_more_arguments(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, kExplain);
  site().explaining = true;
  return 0;
}

/// policy.read_script(path) -> text. It is this file that rules are told of, whatever the path leads to
/// later.
lua::Bytes read_script(const std::string& path) {
  const Fd file = Fd::open(path, O_RDONLY);
  const Place place = place_of(fd_path(file.get()));
  site().script =
      Site::Script{place.path, std::to_string(place.facts.st_dev), std::to_string(place.facts.st_ino),
                   static_cast<int>(place.facts.st_uid), only_root_writes(place.path)};
  return {read_all(file.get(), path)};
}

/// policy.place(path) -> { path =, device =, inode =, owner =, directory = }, nil when nothing is there
int place(lua_State* L) {
  const auto path = lua::argument<std::string>(L, 1);
  lua::no_more_arguments(L, 1);
  if (::access(path.c_str(), F_OK) < 0) return 0;
  const Place found = place_of(path);
  lua_createtable(L, 0, 5);
  set_field(L, "path", found.path);
  set_place(L, found);
  return 1;
}

/// policy.hold(path, device, inode) -> descriptor; raises when it is another file now than the one that was
/// checked
Fd hold(const std::string& path, const std::string& device, const std::string& inode) {
  Place found = place_of(path);
  if (std::to_string(found.facts.st_dev) != device || std::to_string(found.facts.st_ino) != inode)
    throw Refusal("", "", path + " is another file now than the one that was checked");
  return std::move(found.fd);
}

/// policy.cleaning(true): until it is false again no primitive is asked about. For the library's removers
/// alone.
void set_cleaning(bool now) { site().cleaning = now; }

/// policy.caller() -> { uid =, gid =, login = }
int caller(lua_State* L) {
  lua::no_more_arguments(L, 0);
  push_caller(L);
  return 1;
}

void start() { policy::begin("run"); }

/// policy.load(folder) -> policies that are not in force, to look at
Policies load(const std::string& folder) { return Policies(read_policies(folder, PolicyOwner::any)); }

/// policies:summary() -> { kinds =, needs =, rules =, words =, audit = }: raises what is wrong with them
int loaded_summary(lua_State* L) {
  auto& policies = lua::argument<Policies>(L, 1);
  push_summary(L, policies);
  push_json(L, policies.ask(R"({"op":"describe","dry":true})"));
  return 1;
}

/// policies:decide(kind, request) -> answer
int loaded_decide(lua_State* L) {
  auto& policies = lua::argument<Policies>(L, 1);
  const auto kind = lua::argument<std::string>(L, 2);
  push_summary(L, policies);
  lua_pop(L, 1);
  push_plain(L, 3, 0);
  const std::string text = question(L, "decide", kind, true);
  push_answer(L, policies, text);
  return 1;
}

/// policy.trusted(path): nobody but root can have written that file
bool trusted(const std::string& path) { return only_root_writes(path); }

/// policy.verify(folder): raises when somebody else could have written what is in it
void verify(const std::string& folder) { read_policies(folder, PolicyOwner::root); }

/// Whether `text` has the word as a name of its own: what it does not have it can't call.
bool has_name(const std::string& text, std::string_view word) {
  const auto part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !part(text[at - 1])) && (end == text.size() || !part(text[end]))) return true;
  }
  return false;
}

/// What would put something else in the place of what the policies rely on.
void refuse_environment(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (::secure_getenv(name) != nullptr)
      throw Error("policy", name, EPERM, "this variable can't be set under this site's policies");
}

}  // namespace

const lua::Entry lua::Class<Policies>::methods[] = {{"summary", fn<&loaded_summary>, false},
                                                    {"decide", fn<&loaded_decide>, false}};

void policy::begin(const char* command) {
  static constexpr std::string_view without[] = {"policy",  "help",      "--help", "-h",
                                                 "version", "--version", "-V"};
  if (command == nullptr || site().policies) return;
  for (const auto& word : without)
    if (word == command) return;
  std::vector<PolicyFile> files = read_policies(kFolder, PolicyOwner::root);
  if (!files.empty()) refuse_environment({"LUABOX_STATE", "LUABOX_IMAGES"});
  if (const char* more = ::secure_getenv("LUABOX_POLICY")) {
    if (::access(more, F_OK) < 0) throw Error("policy", more);
    for (auto& file : read_policies(more, PolicyOwner::caller)) files.push_back(std::move(file));
  }
  if (files.empty()) return;
  refuse_environment({"LUABOX_SCRIPTS"});
  for (const auto& file : files) site().may_allow |= has_name(file.text, "allow");
  site().policies.emplace(std::move(files));
  gate::govern(govern);
}

void policy::end() { site().policies.reset(); }

void policy::enter_child() {
  if (site().policies && site().asks_in_child) site().policies->separate();
}

int open_policy(lua_State* L) {
  static constexpr lua::Entry functions[] = {
      {"active", lua::fn<&active>, false},         {"needs", lua::fn<&needs>, false},
      {"allowed", lua::fn<&allowed>, false},       {"caller", lua::fn<&caller>, false},
      {"cleaning", lua::fn<&set_cleaning>, false}, {"decide", lua::fn<&decide>, false},
      {"explain", lua::fn<&explain>, false},       {"read_script", lua::fn<&read_script>, false},
      {"place", lua::fn<&place>, false},           {"hold", lua::fn<&hold>, false},
      {"start", lua::fn<&start>, false},           {"load", lua::fn<&load>, false},
      {"trusted", lua::fn<&trusted>, false},       {"verify", lua::fn<&verify>, false}};
  return lua::module(L, "policy.", functions);
}

}  // namespace luabox
