#include "bindings/policy_request.hpp"

#include <algorithm>
#include <optional>

#include "bindings/policy_kinds.hpp"
#include "bindings/policy_site.hpp"
#include "bindings/values.hpp"
#include "engine/place.hpp"

namespace luabox::policy {
namespace {

// ---- the request

/// What of a primitive's arguments a rule may change, and where it stands.
struct Changeable {
  int options = 0;  ///< the last table among the arguments; 0 for none
  int named = 0;    ///< what the request has under a name of its own
  std::string name;
  std::vector<std::string> fixed = {};  ///< "options.lower": a path that was looked at
  std::vector<std::string> fields() const {
    std::vector<std::string> list;
    if (options != 0) list.emplace_back("options");
    if (named != 0) list.push_back(name);
    return list;
  }
};

/// The place at the path; without one, in a pretence, nothing but its name is known.
std::optional<Place> place_if(const std::string& name) {
  if (!site().explaining) return Place::at(name);
  try {
    return Place::at(name);
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

/// Puts a copy in the place of the table at `index`: what is pinned in it is not the script's to see.
void own_copy(lua_State* L, int index) {
  lua_newtable(L);
  const int copy = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, copy);
  }
  lua_replace(L, index);
}

/// The path at the top is popped; what it leads to is added to the list `sources`, and pushed pinned.
void take_layer(lua_State* L, int sources, std::vector<Fd>& pinned) {
  const auto name = lua::check<std::string>(L, lua_gettop(L));
  std::optional<Place> place = place_if(name);
  lua::push(L, place ? place->path : name);
  lua_rawseti(L, sources, static_cast<int>(lua_objlen(L, sources)) + 1);
  if (place) pin(L, -1, std::move(*place), pinned);
}

/// The layers of an overlay, for the request at the top; they are pinned in a copy of the options.
void add_layers(lua_State* L, int index, std::vector<Fd>& pinned) {
  if (!lua_istable(L, index)) return;
  const int request = lua_gettop(L);
  own_copy(L, index);
  lua_newtable(L);
  const int sources = lua_gettop(L);
  for (const char* key : {"upper", "work"}) {
    lua_getfield(L, index, key);
    const bool named = lua_type(L, -1) == LUA_TSTRING && lua_objlen(L, -1) > 0;
    if (named) take_layer(L, sources, pinned), lua_setfield(L, index, key);
    if (!named) lua_pop(L, 1);
  }
  lua_getfield(L, index, "lower");
  if (lua_istable(L, -1)) {
    push_plain(L, lua_gettop(L));  // a list of its own
    const int lower = lua_gettop(L);
    for (int i = 1; i <= static_cast<int>(lua_objlen(L, lower)); ++i) {
      lua_rawgeti(L, lower, i);
      const bool named = lua_type(L, -1) == LUA_TSTRING && lua_objlen(L, -1) > 0;
      if (named) take_layer(L, sources, pinned), lua_rawseti(L, lower, i);
      if (!named) lua_pop(L, 1);
    }
    lua_setfield(L, index, "lower");
  }
  lua_pop(L, 1);
  lua_setfield(L, request, "sources");
}

/// A new file system by its type. What it is of is looked at where that is a path; the options of an overlay
/// would hide paths in a text.
void add_file_system(lua_State* L, Changeable& changeable, std::vector<Fd>& pinned) {
  if (lua_type(L, 1) != LUA_TSTRING) return;
  const auto type = lua::check<std::string>(L, 1);
  set_field(L, "type", type);
  if (type == "overlay")
    throw Refusal("", "", "the layers of an overlay are only seen in mount.make_overlay, not in mount.make");
  if (changeable.options == 0) return;
  lua_getfield(L, changeable.options, "source");
  const std::string source = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  lua_pop(L, 1);
  std::optional<Place> place;
  if (!source.empty() && source[0] == '/') place = place_if(source);
  if (!place) return;
  own_copy(L, changeable.options);
  set_source(L, *place);
  lua_pushnil(L);
  pin(L, -1, std::move(*place), pinned);
  if (lua_isnil(L, -1)) lua_pop(L, 1), lua::push(L, source);
  lua_setfield(L, changeable.options, "source");
  changeable.fixed.emplace_back("options.source");
}

/// A source inside a root, which is replaced by the file itself.
void add_inner_source(lua_State* L) {
  // A root that is only pretended has no place: then the name alone is known.
  if (site().explaining) return set_field(L, "source", "/" + lua::check<std::string>(L, 2));
  auto& root = lua::argument<Root>(L, 1);
  Fd fd = root.resolve(lua::check<std::string>(L, 2));
  Place place = Place::of(std::move(fd), "");
  set_source(L, place);
  lua::push(L, std::move(place.fd));
  lua_replace(L, 1);
}

/// The mounts that are of something on the host. Only their requests have sources, and what is known of the
/// first.
bool has_sources(std::string_view name) {
  static constexpr std::string_view names[] = {"mount.copy_of", "mount.bind",         "mount.copy_in",
                                               "mount.overlay", "mount.make_overlay", "mount.make",
                                               "mount.move"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

void set_target(lua_State* L, int index) {
  if (lua_type(L, index) == LUA_TSTRING) set_field(L, "target", lua::check<std::string>(L, index));
}

void describe_sources(lua_State* L, std::string_view name, Changeable& changeable, std::vector<Fd>& pinned) {
  const auto target = [L](int index) { set_target(L, index); };
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
    changeable.fixed = {"options.lower", "options.upper", "options.work"};
  } else if (name == "mount.make") {
    add_file_system(L, changeable, pinned);
    target(3);
  } else if (name == "mount.move") {
    add_source(L, 1, pinned);
    target(2);
  }
}

/// What rules about mounts look at: type, source, sources, target.
void describe_mount(lua_State* L, std::string_view name, Changeable& changeable, std::vector<Fd>& pinned) {
  if (has_sources(name)) return describe_sources(L, name, changeable, pinned);
  if (name == "mount:attach_at") {
    set_target(L, 2);
  } else if (name.compare(0, 11, "mount.make_") == 0) {
    set_field(L, "type", std::string(name.substr(11)));
  } else if (name.compare(0, 6, "mount.") == 0) {
    set_field(L, "type", std::string(name.substr(6)));
    set_target(L, 1);
  }
}

/// The namespace that is joined: what it is, where it is named by path or descriptor; else the process.
void describe_setns(lua_State* L, std::vector<Fd>& pinned) {
  if (lua_type(L, 1) == LUA_TSTRING) return add_source(L, 1, pinned);
  if (lua::is_stand_in(L, 1)) return;
  if (lua::Value<Fd>::is(L, 1))
    return set_field(L, "source", path_of(lua::Value<Fd>::check(L, 1).get(), "setns"));
  set_field(L, "process", lua::Value<lua::ProcessId>::check(L, 1).pid);
}

/// Puts `value` in the place of the argument, and adds it to the request under its name.
template <typename T>
void replace(lua_State* L, int index, const char* name, const T& value) {
  lua::push(L, value);
  lua_pushvalue(L, -1);
  lua_replace(L, index);
  lua_setfield(L, -2, name);
}

/// `capabilities`, each by its one name however the script spells it ("all", "CAP_KILL"): for a rule to find.
void describe_capabilities(lua_State* L, std::string_view name, Changeable& changeable) {
  const int index = name == "security.apply" ? 2 : 1;
  if (!lua_istable(L, index)) return;  // the primitive says so
  if (name != "security.set_capabilities") {
    changeable.named = index, changeable.name = "capabilities";
    return replace(L, index, "capabilities", lua::argument<CapabilitySet>(L, index));
  }
  const auto sets = lua::argument<CapabilitySets>(L, index);
  changeable.options = index;
  replace(L, index, "options", sets);
  uint64_t bits = 0;
  for (const CapabilitySet& set :
       {sets.effective, sets.permitted, sets.inheritable, sets.bounding, sets.ambient})
    bits |= set.bits();
  set_field(L, "capabilities", CapabilitySet::of_bits(bits).names());
}

/// `namespaces`: those that are made or entered, as a list, however the script writes them.
void describe_namespaces(lua_State* L, std::string_view name, int options) {
  const bool alone = name == "unshare";
  if (!alone && options == 0) return;
  if (alone) lua_pushvalue(L, 1);
  if (!alone) lua_pushliteral(L, "namespaces"), lua_rawget(L, options);
  const bool said = lua_istable(L, -1) || lua_type(L, -1) == LUA_TSTRING;
  std::vector<std::string> list;
  if (said) {
    const auto wanted = lua::Value<Namespaces>::check(L, lua_gettop(L));
    for (const auto& [word, flag] : Namespaces::all())
      if (wanted.has(flag)) list.emplace_back(word == "mnt" ? "mount" : word);
  }
  lua_pop(L, 1);
  if (said) set_field(L, "namespaces", list);
}

/// The folder that plays "/" for a method's paths.
void add_root(lua_State* L) {
  for (int index = 1; index <= 2; ++index)
    if (lua::Value<Root>::is(L, index) && !lua::is_stand_in(L, index))
      return set_field(L, "root", path_of(lua::Value<Root>::check(L, index).fd(), "root"));
}

/// Pushes the request for the call whose arguments are the stack's; what it names by path is pinned.
Changeable push_request(lua_State* L, std::string_view name, std::string_view kind, std::vector<Fd>& pinned) {
  const int count = lua_gettop(L);
  luaL_checkstack(L, 40, "policy");
  lua_createtable(L, 0, 12);
  const int request = lua_gettop(L);
  set_field(L, "primitive", std::string(name));
  lua_createtable(L, count, 0);
  for (int i = 1; i <= count; ++i) {
    push_plain(L, i);
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, request, "arguments");
  Changeable changeable;
  if (kind == "capability") describe_capabilities(L, name, changeable);
  if (kind == "program") changeable.named = 1, changeable.name = "command";
  for (int i = count; i >= 1 && changeable.options == 0; --i)
    if (lua_istable(L, i) && i != changeable.named) changeable.options = i;
  if (changeable.options != 0 && name != "security.set_capabilities") {
    push_plain(L, changeable.options);
    lua_setfield(L, request, "options");
  }
  if (changeable.named > count) changeable.named = 0;
  if (changeable.named != 0 && kind != "capability") {
    push_plain(L, changeable.named);
    lua_setfield(L, request, changeable.name.c_str());
  }
  if (kind == "mount") describe_mount(L, name, changeable, pinned);
  if (kind == "clone" || name == "setns") describe_namespaces(L, name, changeable.options);
  if (kind == "setns") describe_setns(L, pinned);
  if (kind == "device") set_field(L, "path", lua::check<std::string>(L, 2));
  add_root(L);
  return changeable;
}

// ---- what the rules made of it

/// Whether two plain values are the same all the way down.
bool same(lua_State* L, int one, int other) {
  if (!lua_istable(L, one) || !lua_istable(L, other)) return lua_rawequal(L, one, other) != 0;
  luaL_checkstack(L, 8, "policy");
  for (const auto& [from, in] : {std::pair(one, other), std::pair(other, one)})
    for (lua_pushnil(L); lua_next(L, from) != 0; lua_pop(L, 1)) {
      lua_pushvalue(L, -2);
      lua_rawget(L, in);
      const bool equal = same(L, lua_gettop(L) - 1, lua_gettop(L));
      lua_pop(L, 1);
      if (equal) continue;
      lua_pop(L, 2);
      return false;
    }
  return true;
}

/// Pushes the value of `table` under the key at `key`, a text that stands for a number there too; returns
/// whether it does. push_plain makes every key of a mixed table a text.
bool push_member(lua_State* L, int table, int key) {
  lua_pushvalue(L, key);
  lua_rawget(L, table);
  if (!lua_isnil(L, -1) || lua_type(L, key) != LUA_TSTRING || !lua_isnumber(L, key)) return false;
  lua_pop(L, 1);
  lua_rawgeti(L, table, static_cast<int>(lua_tonumber(L, key)));
  return true;
}

/// Pushes what the argument `original`, which the rules saw as `before`, is to be now that they made `after`
/// of it. What they left alone stays as it is, objects and pinned paths too.
void push_changed(lua_State* L, int original, int before, int after, const std::string& field) {
  if (same(L, before, after)) return lua_pushvalue(L, original);
  const int type = lua_type(L, original);
  if (type == LUA_TUSERDATA || type == LUA_TLIGHTUSERDATA || type == LUA_TFUNCTION || type == LUA_TTHREAD)
    throw Error::invalid("policy", "", "'" + field + "' is an object, which no rule can change");
  if (type != LUA_TTABLE || !lua_istable(L, after) || !lua_istable(L, before)) return lua_pushvalue(L, after);
  luaL_checkstack(L, 12, "policy");
  lua_newtable(L);
  const int result = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, after) != 0; lua_settop(L, result + 1)) {
    const int key = result + 1, value = result + 2;
    lua_pushvalue(L, key);
    const std::string name =
        field + "." + lua_tostring(L, -1);  // of the copy: lua_next needs the key as it is
    lua_pop(L, 1);
    lua_pushvalue(L, key);
    lua_rawget(L, before);                                // result + 3
    const bool numbered = push_member(L, original, key);  // result + 4
    if (numbered && !lua_isnil(L, -1))
      lua_pushnumber(L, lua_tonumber(L, key));
    else
      lua_pushvalue(L, key);
    push_changed(L, result + 4, result + 3, value, name);
    lua_rawset(L, result);
  }
}

std::string text_at(lua_State* L, int index) { return lua_isstring(L, index) ? lua_tostring(L, index) : ""; }

/// "the policy 'ceiling' (10-site.lua:4)" for the rules that changed the request.
std::string changed_by(lua_State* L, int answer) {
  std::string names;
  lua_getfield(L, answer, "report");
  const int report = lua_gettop(L);
  for (int i = 1; lua_istable(L, report) && i <= static_cast<int>(lua_objlen(L, report)); ++i) {
    lua_rawgeti(L, report, i);
    for (const char* name : {"verdict", "rule", "file"}) lua_getfield(L, report + 1, name);
    if (text_at(L, report + 2) == "changed")
      names += std::string(names.empty() ? "the policy '" : " and '") + text_at(L, report + 3) + "' (" +
               text_at(L, report + 4) + ")";
    lua_settop(L, report);
  }
  lua_pop(L, 1);
  return names;
}

/// Puts what the rules changed in the place of the arguments.
void take_changes(lua_State* L, const Changeable& changeable, int request, int answer,
                  gate::Passing& passing) {
  lua_getfield(L, answer, "request");
  const int changed = lua_gettop(L);
  if (!lua_istable(L, changed)) return lua_pop(L, 1);
  passing.changed_by = changed_by(L, answer);
  const auto take = [&](int argument, const char* field) {
    if (argument == 0) return;
    lua_getfield(L, request, field);
    lua_getfield(L, changed, field);
    push_changed(L, argument, changed + 1, changed + 2, field);
    lua_replace(L, argument);
    lua_settop(L, changed);
  };
  take(changeable.options, "options");
  take(changeable.named, changeable.name.c_str());
  lua_pop(L, 1);
}

/// Whether some rule is about the request at the top.
bool asked_about(lua_State* L, std::string_view kind) {
  const auto found = site().with.find(kind);
  if (found == site().with.end()) return true;
  const auto has = [L](const std::string& field) {
    if (is_fact(field)) return true;
    lua_getfield(L, -1, field.c_str());
    const bool there = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return there;
  };
  return std::any_of(found->second.begin(), found->second.end(), has);
}

/// Whether no rule can be about the primitive, for it has no sources: then its request need not be made.
bool without_sources(std::string_view name, std::string_view kind) {
  static constexpr std::string_view of_sources[] = {"source", "sources", "device",
                                                    "inode",  "owner",   "directory"};
  const auto found = site().with.find(kind);
  if (kind != "mount" || found == site().with.end() || has_sources(name)) return false;
  return std::all_of(found->second.begin(), found->second.end(), [](const std::string& field) {
    return std::find(std::begin(of_sources), std::end(of_sources), field) != std::end(of_sources);
  });
}

int govern_now(lua_State* L, const char* name, gate::Passing& passing) {
  return lua::guard(L, [&](lua_State* state) {
    const char* kind = kind_of(name);
    if (kind == nullptr || site().cleaning) return 0;
    settle(state);  // the policies are loaded beside what comes before the first that they can be asked about
    if (site().kinds.find(std::string_view(kind)) == site().kinds.end()) return 0;
    if (without_sources(name, kind)) return 0;
    const int top = lua_gettop(state);
    const Changeable changeable = push_request(state, name, kind, passing.held);
    const int request = lua_gettop(state);
    if (!asked_about(state, kind)) {
      lua_settop(state, top);
      return 0;
    }
    lua_pushvalue(state, request);
    ask(state, *site().policies,
        {.operation = "decide",
         .kind = kind,
         .explain = site().explaining,
         .facts = facts(state),
         .changeable = changeable.fields(),
         .fixed = changeable.fixed});
    const int answer = lua_gettop(state);
    tell(state, kind, request, answer);
    raise_refusal(state, answer);
    take_changes(state, changeable, request, answer, passing);
    lua_settop(state, top);
    return 0;
  });
}

}  // namespace

void govern(lua_State* L, const char* primitive, gate::Passing& passing) {
  govern_now(L, primitive, passing);
}

}  // namespace luabox::policy
