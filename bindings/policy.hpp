// Site policies: who is asked, and what passes the gate.
//
// begin() is called first thing in main, before there is a Lua state: where a site has policies it reads and
// verifies their files and forks the helper that holds them. From then on the gate asks it about each
// primitive of a kind that some rule is about, and the library about each container. Everything fails closed:
// no answer is a refusal.
#pragma once

#include <string>

namespace luabox::policy {

/// Throws Error when a policy exists that somebody else could have written, or when something would get
/// around the policies (LUABOX_SCRIPTS). `command` is the command line's first word.
void begin(const char* command);

/// Whether there are any.
bool active();

/// At the end of the process: the helper goes with it.
void end();

/// The helper goes now; whatever is asked later is refused.
void stand_down();

/// In the child of a clone, before it runs anything of the script's.
void enter_child();

}  // namespace luabox::policy
