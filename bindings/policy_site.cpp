#include "bindings/policy_site.hpp"

#include <unistd.h>

#include <tuple>

#include "bindings/gate.hpp"
#include "bindings/json.hpp"
#include "bindings/policy_state.hpp"
#include "bindings/values.hpp"
#include "engine/user.hpp"

namespace luabox::policy {
namespace {

constexpr double kDeadline = 1.5;  // with what comes before and after it, a refusal within two seconds

Responder start(const std::shared_ptr<PolicyState>& state) {
  return Responder::start(
      "luabox-policy", [state] { return state->load(); },
      [state](const std::string& question) { return state->answer(question); });
}

std::string text_field(lua_State* L, int table, const char* name) {
  lua_getfield(L, table, name);
  std::string text = lua_isstring(L, -1) ? lua_tostring(L, -1) : "";
  lua_pop(L, 1);
  return text;
}

}  // namespace

Policies::Policies(std::vector<PolicyFile> files, std::string keep_in)
    : state_(std::make_shared<PolicyState>(std::move(files), std::move(keep_in))), helper_(start(state_)) {}

const std::string& Policies::summary() { return helper_.ready(kDeadline); }

std::string Policies::ask(const std::string& question) { return helper_.ask(question, kDeadline); }

Site& site() {
  static Site instance;
  return instance;
}

void push_summary(lua_State* L, Policies& policies) {
  push_json(L, policies.summary());
  const std::string problem = text_field(L, lua_gettop(L), "error");
  if (!problem.empty()) throw Refusal("", "", problem);
}

void settle(lua_State* L) {
  Site& here = site();
  if (here.settled) return;
  push_summary(L, *here.policies);
  lua_getfield(L, -1, "kinds");
  for (const auto& kind : lua::check<std::vector<std::string>>(L, lua_gettop(L))) here.kinds.insert(kind);
  lua_getfield(L, -2, "needs");
  for (const auto& need : lua::check<std::vector<std::string>>(L, lua_gettop(L))) here.needs.insert(need);
  lua_pop(L, 2);
  for (const auto& kind : here.kinds) {
    lua_getfield(L, -1, "with");
    lua_getfield(L, -1, kind.c_str());
    if (lua_istable(L, -1)) here.with[kind] = lua::check<std::vector<std::string>>(L, lua_gettop(L));
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  // The first container is asked about as if no rule had it.
  if (!here.needs.empty() && !here.may_need)
    throw Refusal("", "", "'needs' stands in no policy, and a rule has it: it must be written as a word");
  for (const auto& kind : here.kinds)
    here.asks_in_child |= kind != "run" && kind != "exec" && kind != "update" && kind != "import";
  if (!here.asks_in_child) gate::rest();
  here.settled = true;
}

// ---- a request

void push_caller(lua_State* L) {
  static const std::optional<uid_t> login_id = login_uid();
  lua_createtable(L, 0, 4);
  set_field(L, "uid", static_cast<double>(::getuid()));
  set_field(L, "gid", static_cast<double>(::getgid()));
  if (login_id) set_field(L, "login", static_cast<double>(*login_id));
}

namespace {

void push_script(lua_State* L) {
  lua_createtable(L, 0, 5);
  const auto& script = site().script;
  set_field(L, "path", script ? script->path : std::string());
  set_field(L, "trusted", script && script->trusted);
  if (!script) return;
  set_field(L, "device", script->device);
  set_field(L, "inode", script->inode);
  set_field(L, "owner", script->owner);
}

}  // namespace

const std::string& facts(lua_State* L) {
  static std::tuple<pid_t, uid_t, gid_t> made_by;
  const std::tuple now(::getpid(), ::getuid(), ::getgid());
  std::string& text = site().facts;
  if (!text.empty() && now == made_by) return text;
  made_by = now;
  lua_createtable(L, 0, 3);
  push_caller(L);
  lua_setfield(L, -2, "caller");
  set_field(L, "pid", static_cast<int>(::getpid()));
  push_script(L);
  lua_setfield(L, -2, "script");
  text = json_of(L, lua_gettop(L));
  lua_pop(L, 1);
  return text;
}

bool is_fact(std::string_view field) {
  return field == "caller" || field == "pid" || field == "script" || field == "time";
}

void set_place(lua_State* L, const Place& place) {
  set_field(L, "device", std::to_string(place.device));
  set_field(L, "inode", std::to_string(place.inode));
  set_field(L, "owner", static_cast<double>(place.owner));
  set_field(L, "directory", place.directory);
}

/// A process as its number, any other object by what it is: "mount".
void push_object(lua_State* L, int index) {
  if (lua::Value<Process>::is(L, index) && lua::Value<Process>::box(L, index).used_by == nullptr)
    return lua_pushnumber(L, lua::Value<Process>::check(L, index).pid());
  if (luaL_getmetafield(L, index, "__metatable") != 0 && lua_type(L, -1) == LUA_TSTRING) return;
  lua_pushstring(L, luaL_typename(L, index));
}

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
    case LUA_TUSERDATA:
      return push_object(L, index);
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

void ask(lua_State* L, Policies& policies, const Question& question) {
  const bool staged = question.stage == Question::Stage::staged;
  lua_createtable(L, 0, 8);
  lua_insert(L, -2);
  lua_setfield(L, -2, "request");
  if (staged) {
    lua_insert(L, -2);
    lua_setfield(L, -2, "report");
  }
  set_field(L, "op", std::string(question.operation));
  set_field(L, "kind", question.kind);
  for (const auto& [name, holds] :
       {std::pair("explain", question.explain), {"dry", question.explain}, {"staged", staged}})
    if (holds) set_field(L, name, true);
  if (!question.changeable.empty()) set_field(L, "changeable", question.changeable);
  if (!question.fixed.empty()) set_field(L, "fixed", question.fixed);
  std::string text(question.facts);
  text.append("\n").append(json_of(L, lua_gettop(L)));
  lua_pop(L, 1);
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

void tell(lua_State* L, const std::string& kind, int request, int answer) {
  if (!site().explaining) return;
  lua_getfield(L, LUA_REGISTRYINDEX, kExplain);
  lua::push(L, kind);
  lua_pushvalue(L, request);
  lua_pushvalue(L, answer);
  lua_call(L, 3, 0);
}

}  // namespace luabox::policy
