// luabox.sys.policy: what the library asks a site's policies, and where they begin.
#include "bindings/policy.hpp"

#include <unistd.h>

#include <cstdlib>

#include "bindings/gate.hpp"
#include "bindings/json.hpp"
#include "bindings/policy_kinds.hpp"
#include "bindings/policy_request.hpp"
#include "bindings/policy_site.hpp"
#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/place.hpp"
#include "engine/policy_files.hpp"

namespace luabox {

template <>
struct lua::Class<policy::Policies> {
  static constexpr auto name = "policies";
  static const Entry methods[2];
};

namespace policy {
namespace {

constexpr const char* kFolder = "/etc/luabox/policy.d";

/// policy.needs(word): some rule has it in `needs`
int needs(lua_State* L) {
  const auto word = lua::argument<std::string>(L, 1);
  lua::no_more_arguments(L, 1);
  if (site().may_need) settle(L);
  lua_pushboolean(L, site().needs.count(word) != 0);
  return 1;
}

/// policy.allowed() -> { primitives = true, ... }: what the script that was read may have
int allowed(lua_State* L) {
  lua::no_more_arguments(L, 0);
  lua_newtable(L);
  if (!site().may_allow) return 1;
  lua_newtable(L);
  ask(L, *site().policies, {.operation = "allowed", .kind = "", .facts = facts(L)});
  settle(L);
  raise_refusal(L, lua_gettop(L));
  lua_getfield(L, -1, "words");
  return 1;
}

/// policy.decide(kind, request [, report]) -> answer: { request = (when it was changed), report =, again = }.
/// Raises a refusal. With `again` the checks are still to come, of what the library makes of the changed
/// request: the report is handed back for them.
int decide(lua_State* L) {
  const auto kind = lua::argument<std::string>(L, 1);
  lua::no_more_arguments(L, 3);
  lua_settop(L, 3);
  // A child that nothing is asked about has its parent's socket: it would take the parent's answers.
  if (parent_channel() != nullptr && !site().asks_in_child)
    throw Refusal("", "", "a container can't be started inside of another's start");
  push_plain(L, 2);
  ask(L, *site().policies,
      {.operation = "decide",
       .kind = kind,
       .explain = site().explaining,
       .stage = Question::Stage::staged,
       .facts = facts(L)});
  settle(L);
  const int answer = lua_gettop(L);
  lua_getfield(L, answer, "again");
  if (!lua_toboolean(L, -1)) tell(L, kind, 2, answer);
  lua_settop(L, answer);
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
  Fd file = Fd::open(path, O_RDONLY);
  std::string text = read_all(file.get(), path);
  const Place place = Place::of(std::move(file), path);
  site().script = Site::Script{place.path, std::to_string(place.device), std::to_string(place.inode),
                               static_cast<int>(place.owner), only_root_writes(place.path)};
  site().facts.clear();
  return {std::move(text)};
}

/// policy.place(path) -> { path =, device =, inode =, owner =, directory = }, nil when nothing is there
int place(lua_State* L) {
  const auto path = lua::argument<std::string>(L, 1);
  lua::no_more_arguments(L, 1);
  if (::access(path.c_str(), F_OK) < 0) return 0;
  const Place found = Place::at(path);
  lua_createtable(L, 0, 5);
  set_field(L, "path", found.path);
  set_place(L, found);
  return 1;
}

/// policy.hold(path, device, inode) -> descriptor; raises when it is another file now than the one that was
/// checked
Fd hold(const std::string& path, const std::string& device, const std::string& inode) {
  Place found = Place::at(path);
  if (std::to_string(found.device) != device || std::to_string(found.inode) != inode)
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

/// policies:decide(kind, request [, report]) -> answer, as policy.decide's, which raises nothing that a rule
/// refuses
int loaded_decide(lua_State* L) {
  auto& policies = lua::argument<Policies>(L, 1);
  const auto kind = lua::argument<std::string>(L, 2);
  lua_settop(L, 4);
  push_summary(L, policies);
  lua_pop(L, 1);
  push_plain(L, 3);
  ask(L, policies, {.operation = "decide", .kind = kind, .explain = true, .stage = Question::Stage::staged});
  return 1;
}

/// policy.kind_of(primitive) -> "mount", nil for one that no rule is asked about
int kind_of_primitive(lua_State* L) {
  lua_pushstring(L, kind_of(lua::argument<std::string>(L, 1)));
  return 1;
}

/// policy.trusted(path): nobody but root can have written that file
bool trusted(const std::string& path) { return only_root_writes(path); }

/// policy.verify(folder): raises when somebody else could have written what is in it
void verify(const std::string& folder) { read_policies(folder, PolicyOwner::root); }

/// What would put something else in the place of what the policies rely on.
void refuse_environment(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (::secure_getenv(name) != nullptr)
      throw Error("policy", name, EPERM, "this variable can't be set under this site's policies");
}

/// Root's folder of the state, as library/state.lua has it; empty for anybody else.
std::string state_of_root() {
  if (::geteuid() != 0) return "";
  const char* folder = ::secure_getenv("LUABOX_STATE");
  if (folder == nullptr || *folder == '\0') return "/run/luabox";
  return *folder == '/' ? folder : "";  // the helper has another working directory
}

}  // namespace
}  // namespace policy

const lua::Entry lua::Class<policy::Policies>::methods[] = {{"summary", fn<&policy::loaded_summary>, false},
                                                            {"decide", fn<&policy::loaded_decide>, false}};

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
  for (const auto& file : files) {
    site().may_allow |= has_name(file.text, "allow");
    site().may_need |= has_name(file.text, "needs");
  }
  site().policies.emplace(std::move(files), state_of_root());
  gate::govern(govern);
}

bool policy::active() { return site().policies.has_value(); }

void policy::end() { site().policies.reset(); }

void policy::stand_down() {
  if (site().policies) site().policies->end();
}

void policy::enter_child() {
  if (site().policies && site().asks_in_child) site().policies->separate();
}

int open_policy(lua_State* L) {
  static constexpr lua::Entry functions[] = {{"active", lua::fn<&policy::active>, false},
                                             {"needs", lua::fn<&policy::needs>, false},
                                             {"allowed", lua::fn<&policy::allowed>, false},
                                             {"caller", lua::fn<&policy::caller>, false},
                                             {"cleaning", lua::fn<&policy::set_cleaning>, false},
                                             {"decide", lua::fn<&policy::decide>, false},
                                             {"explain", lua::fn<&policy::explain>, false},
                                             {"read_script", lua::fn<&policy::read_script>, false},
                                             {"place", lua::fn<&policy::place>, false},
                                             {"hold", lua::fn<&policy::hold>, false},
                                             {"start", lua::fn<&policy::start>, false},
                                             {"load", lua::fn<&policy::load>, false},
                                             {"kind_of", lua::fn<&policy::kind_of_primitive>, false},
                                             {"trusted", lua::fn<&policy::trusted>, false},
                                             {"verify", lua::fn<&policy::verify>, false}};
  return lua::module(L, "policy.", functions);
}

}  // namespace luabox