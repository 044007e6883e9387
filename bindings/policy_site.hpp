// The site's policies of this process, and how they are asked.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/lua.hpp"
#include "engine/place.hpp"
#include "engine/policy_files.hpp"
#include "engine/responder.hpp"

namespace luabox {
class PolicyState;
}

namespace luabox::policy {

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

/// A set of policies in a process of its own.
class Policies {
 public:
  /// `keep_in`: see PolicyState.
  explicit Policies(std::vector<PolicyFile> files, std::string keep_in = "");
  /// JSON. Throws Error where the policies themselves are wrong.
  const std::string& summary();
  std::string ask(const std::string& question);
  void separate() { helper_.separate(); }
  /// Whatever is asked later is refused.
  void end() { helper_.end(); }

 private:
  std::shared_ptr<PolicyState> state_;  ///< empty here: it is filled in the helper
  Responder helper_;
};

struct Site {
  std::optional<Policies> policies;
  bool settled = false;
  bool may_allow = false;      ///< the files have the word `allow`: without it no script has more than others
  bool may_need = false;       ///< and the word `needs`
  bool asks_in_child = false;  ///< a rule is about single primitives
  bool explaining = false;     ///< nothing is done: what the rules say is told, see policy.explain
  bool cleaning = false;       ///< the library removes what was made: nothing of a script's runs
  std::set<std::string, std::less<>> kinds, needs;
  /// Of a kind: the fields without any of which no rule is about a request. Not there: all are asked about.
  std::map<std::string, std::vector<std::string>, std::less<>> with;
  struct Script {
    std::string path, device, inode;
    int owner = -1;
    bool trusted = false;
  };
  std::optional<Script> script;
  std::string facts;  ///< what facts() has made; empty where it is to be made again
};
Site& site();

/// Where policy.explain keeps its function in the registry.
inline constexpr const char* kExplain = "luabox.policy.explain";

/// Takes over what the policies said of themselves, and throws where they are wrong. As late as can be: they
/// are loaded while the script is, and a first question about a container is sent before they are asked for
/// it.
void settle(lua_State* L);

// ---- a request: the table at the top of the stack

template <class T>
void set_field(lua_State* L, const char* name, T&& value) {
  lua::push(L, std::forward<T>(value));
  lua_setfield(L, -2, name);
}
/// device, inode, owner, directory.
void set_place(lua_State* L, const Place& place);
/// Pushes { uid =, gid =, login = }.
void push_caller(lua_State* L);
/// Caller, script and pid as JSON: the evaluator puts them into a request, whatever that says itself. Made
/// once, for they are the same for all that a process asks.
const std::string& facts(lua_State* L);
/// Whether each request has this field, though it does not stand in what is sent of it.
bool is_fact(std::string_view field);
/// Pushes the value as JSON can hold it: a process as its number, other objects by their names, functions as
/// a word. Tables raw: a metatable of the script's tells a policy nothing.
void push_plain(lua_State* L, int index, int depth = 0);

// ---- asking

struct Question {
  const char* operation;  ///< "decide", "allowed"
  std::string kind;
  bool explain = false;  ///< every rule is told of, and nothing is written down
  /// staged: below the request lies the report of its changes, nil as long as these are to be asked for.
  enum class Stage { whole, staged } stage = Stage::whole;
  std::string_view facts = {};               ///< see facts()
  std::vector<std::string> changeable = {};  ///< of a primitive: the fields that a rule may change
  std::vector<std::string> fixed = {};       ///< and what in these it may not: "options.lower"
};
/// Pops the request and pushes the answer. Garbage is a refusal. What is sent is two lines, facts and
/// question: the policies read the first when it is another than the last time.
void ask(lua_State* L, Policies& policies, const Question& question);
/// Throws what the answer refuses.
void raise_refusal(lua_State* L, int answer);
/// Tells the answer to the function that policy.explain was given.
void tell(lua_State* L, const std::string& kind, int request, int answer);
/// Pushes what the policies said of themselves; throws where they could not be loaded.
void push_summary(lua_State* L, Policies& policies);

}  // namespace luabox::policy
