// luabox.sys.security: engine/capabilities.hpp, seccomp.hpp, seccomp_profile.hpp, security.hpp for Lua.
#include "engine/security.hpp"

#include "bindings/lua.hpp"
#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/kernel_log.hpp"
#include "engine/seccomp_profile.hpp"

namespace luabox {

// ---- how the values cross

/// "allow", "errno:EPERM", ...: see Action::parse.
template <>
struct lua::Value<Action> {
  static Action check(lua_State* L, int index) { return Action::parse(Value<std::string>::check(L, index)); }
};

template <>
struct lua::Words<Comparison> {
  static constexpr std::array<std::pair<std::string_view, Comparison>, 6> all = {
      {{"==", Comparison::equal},
       {"!=", Comparison::not_equal},
       {"<", Comparison::less},
       {"<=", Comparison::less_or_equal},
       {">", Comparison::greater},
       {">=", Comparison::greater_or_equal}}};
};

template <>
struct lua::Words<Profile> {
  static constexpr std::array<std::pair<std::string_view, Profile>, 3> all = {
      {{"default", Profile::standard}, {"strict", Profile::strict}, {"none", Profile::none}}};
};

namespace {

/// 64 bits: a number, or a string in decimal or hexadecimal.
struct Word64 {
  uint64_t bits = 0;
};

struct TestOptions {
  std::optional<unsigned> index;
  Comparison op = Comparison::equal;
  std::optional<Word64> value;
  Word64 mask = {~uint64_t{0}};
};

struct RuleOptions {
  std::optional<std::string> name;
  std::vector<std::string> names;
  Action action = Action::allow;
  std::vector<TestOptions> args;
};

struct ExtendOptions {
  std::vector<std::string> allow, deny;
};

struct FilterOptions {
  std::optional<Profile> base;
  std::optional<CapabilitySet> capabilities;
  std::optional<Action> default_action;
  ExtendOptions extend;
  std::vector<RuleOptions> rules;
  std::vector<std::string> architectures;
  bool ignore_unknown = false;
};

}  // namespace

template <>
struct lua::Value<Word64> {
  static Word64 check(lua_State* L, int index) {
    if (lua_type(L, index) != LUA_TSTRING) return {Value<uint64_t>::check(L, index)};
    return {parse_word(Value<std::string>::check(L, index))};
  }
};
template <>
struct lua::Options<TestOptions> {
  static constexpr auto fields =
      std::tuple(field("index", &TestOptions::index), field("op", &TestOptions::op),
                 field("value", &TestOptions::value), field("mask", &TestOptions::mask));
};
template <>
struct lua::Options<RuleOptions> {
  static constexpr auto fields =
      std::tuple(field("name", &RuleOptions::name), field("names", &RuleOptions::names),
                 field("action", &RuleOptions::action), field("args", &RuleOptions::args));
};
template <>
struct lua::Options<ExtendOptions> {
  static constexpr auto fields =
      std::tuple(field("allow", &ExtendOptions::allow), field("deny", &ExtendOptions::deny));
};
template <>
struct lua::Options<FilterOptions> {
  static constexpr auto fields =
      std::tuple(field("base", &FilterOptions::base), field("capabilities", &FilterOptions::capabilities),
                 field("default", &FilterOptions::default_action), field("extend", &FilterOptions::extend),
                 field("rules", &FilterOptions::rules), field("architectures", &FilterOptions::architectures),
                 field("ignore_unknown", &FilterOptions::ignore_unknown));
};

/// The table above, or the word of a profile.
template <>
struct lua::Value<FilterSpec> {
  static FilterSpec check(lua_State* L, int index) {
    if (!lua_istable(L, index)) return {.base = Value<Profile>::check(L, index)};
    const auto options = Value<FilterOptions>::check(L, index);
    FilterSpec spec = {.base = options.base,
                       .capabilities = options.capabilities.value_or(kDefaultCapabilities),
                       .default_action = options.default_action,
                       .deny = options.extend.deny,
                       .allow = options.extend.allow,
                       .architectures = options.architectures,
                       .ignore_unknown = options.ignore_unknown};
    for (size_t i = 0; i < options.rules.size(); ++i) {
      try {
        spec.rules.push_back(rule_of(options.rules[i]));
      } catch (const BadArgument& error) {
        throw error.inside("option 'rules': item " + std::to_string(i + 1));
      }
    }
    return spec;
  }

 private:
  static Rule rule_of(const RuleOptions& options) {
    Rule rule = {.names = options.names, .action = options.action};
    if (options.name) rule.names.push_back(*options.name);
    if (rule.names.empty()) throw BadArgument("a rule names at least one system call");
    for (size_t i = 0; i < options.args.size(); ++i) rule.args.push_back(test_of(options.args[i], i + 1));
    return rule;
  }
  /// Neither is 0 by itself: a rule would hold for other calls than were meant.
  static ArgumentTest test_of(const TestOptions& options, size_t number) {
    const auto lacks = [&](const char* what) {
      return BadArgument("option 'args': item " + std::to_string(number) + ": expected the option " + what);
    };
    if (!options.index) throw lacks("'index', which of a call's arguments is meant: 0 to 5");
    if (!options.value) throw lacks("'value', what the argument is compared with");
    return {*options.index, options.op, options.value->bits, options.mask.bits};
  }
};

template <>
struct lua::Options<LoadOptions> {
  static constexpr auto fields = std::tuple(field("log", &LoadOptions::log));
};

const lua::Entry lua::Class<Filter>::methods[] = {
    {"load", fn<&Filter::load>},         // filter:load([{ log = true }]) is for good; works in a child, too
    {"size", fn<&Filter::size>, false},  // filter:size() -> instructions
};

template <>
struct lua::Words<Lsm> {
  static constexpr std::array<std::pair<std::string_view, Lsm>, 2> all = {
      {{"apparmor", Lsm::apparmor}, {"selinux", Lsm::selinux}}};
};
template <>
struct lua::Words<Dumpable> {
  static constexpr std::array<std::pair<std::string_view, Dumpable>, 2> all = {
      {{"no", Dumpable::no}, {"yes", Dumpable::yes}}};
};
template <>
struct lua::Words<Subreaper> {
  static constexpr std::array<std::pair<std::string_view, Subreaper>, 2> all = {
      {{"no", Subreaper::no}, {"yes", Subreaper::yes}}};
};

// ---- the functions

namespace {

CapabilitySet default_capabilities() { return kDefaultCapabilities; }
CapabilitySet capability_names(CapabilitySet set) { return set; }
void apply_for(uid_t uid, CapabilitySet granted, std::optional<CapabilitySet> ambient) {
  apply(sets_for(uid, granted, ambient.value_or(CapabilitySet())));
}

void load_filter(const FilterSpec& spec) { build(spec).load(); }
std::vector<std::string> describe_filter(const FilterSpec& spec) { return describe(ruleset_of(spec)); }

/// nil: the module that is active; where there is none, AppArmor, so that the error can say so.
void label_next_exec(const std::string& label, std::optional<Lsm> module) {
  exec_label(module ? *module : lsm().value_or(Lsm::apparmor), label);
}
void death_signal(lua::Signal signal) { parent_death_signal(signal.number); }

constexpr lua::Entry kFunctions[] = {
    {"default_capabilities", lua::fn<&default_capabilities>, false},  // -> { "chown", ... }
    {"capability_names", lua::fn<&capability_names>, false},  // ({ "CAP_KILL", "all" }) -> { "kill", ... }
    {"last_capability", lua::fn<&last_capability>, false},    // -> 40
    {"capabilities", lua::fn<&current_capabilities>, false},  // -> { effective = { ... }, permitted = ... }
    {"limit_bounding", lua::fn<&limit_bounding>},             // ({ "chown", ... })
    {"set_capabilities",
     lua::fn<static_cast<void (*)(const CapabilitySets&)>(&apply)>},  // { effective = ..., ... }
    {"apply", lua::fn<&apply_for>},      // (uid, granted [, ambient]) after user.set_ids
    {"seccomp", lua::fn<&load_filter>},  // "default" | "strict" | { default = ..., rules = ... }: loads it
    {"filter", lua::fn<&build>},         // the same -> filter, to load later
    {"profile_for", lua::fn<&profile_for>},          // (capabilities) -> filter
    {"describe", lua::fn<&describe_filter>, false},  // the same as filter -> { "clone3: errno:ENOSYS", ... }
    {"call_name", lua::fn<&call_name>, false},       // (AUDIT_ARCH_*, number) -> "mkdir"
    {"kernel_log", lua::fn<&kernel_log>, lua::reads},  // () -> text, nil for who may not read it
    {"no_new_privs", lua::fn<&no_new_privs>},
    {"session_keyring", lua::fn<&session_keyring>},   // ([name]) -> serial, nil without keyrings
    {"lsm", lua::fn<&lsm>, false},                    // -> "apparmor" | "selinux" | nil
    {"exec_label", lua::fn<&label_next_exec>},        // (label [, "apparmor" | "selinux"])
    {"dumpable", lua::fn<&dumpable>},                 // "yes" | "no"
    {"parent_death_signal", lua::fn<&death_signal>},  // "KILL"
    {"child_subreaper", lua::fn<&child_subreaper>},   // "yes" | "no"
};

}  // namespace

int open_security(lua_State* L) { return lua::module(L, "security.", kFunctions); }

}  // namespace luabox
