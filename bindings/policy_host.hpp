// What the evaluator of a site's policies has of the world: the table `host` of scripts/policy/evaluator.lua.
#pragma once

#include "engine/policy_files.hpp"

struct lua_State;

namespace luabox::policy_host {

/// Pushes the table.
void push(lua_State* L);

/// The file that host.chunk() makes a function of: a text that crossed into the state would stay there.
/// Borrowed.
void set_loading(const PolicyFile& file);

/// The next question is answered by the mounts as they are then.
void forget_mounts();

/// Whether anything was asked that may be different at the next start.
bool looked();

}  // namespace luabox::policy_host
