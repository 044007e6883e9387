// The prepared heap: a Lua state with the library in it, made when luabox is built and kept in the program.
//
// A start that opened the Lua libraries and loaded the scripts of a container itself would spend a third of
// its time on it. The program is not position independent (docs/design.md, "One file"), so a heap that lies
// in a section of it may hold pointers to itself and to functions and data of the program: the kernel maps it
// with the rest at exec, and there is nothing to read or to relocate. Pages that are only read are shared
// with the page cache, and a page that is written becomes the process's own.
//
// What decides how a process behaves is not in it: the environment, the machine's processor (the JIT is
// opened afterwards), objects of C++.
#pragma once

#include <cstddef>

struct lua_State;

namespace luabox::heap {

/// The state that a site's policies are loaded into (bindings/policy_state.hpp), which has an allocator of
/// its own: it lies in the first `used` bytes of the memory that it was given to be made in.
struct Policies {
  lua_State* state;
  std::byte* memory;
  size_t used;
};

/// Whether this program has a heap; false for what the linker has just made, under sanitizers, and after
/// take().
bool is_there();

/// The prepared state, the collector stopped; for once. Only where is_there().
lua_State* take();

/// The same for the helper of the policies, of which each is a process of its own; nullptr as its state where
/// there is none.
const Policies& policies();

/// Writes the section, with the states that `make` and `make_policies` return, into `file`: for objcopy
/// --update-section. No object of a state may own what lies outside of Lua's memory. Lua ends the program
/// where the section is too small.
void prepare(const char* file, lua_State* (*make)(),
             Policies (*make_policies)(std::byte* memory, size_t size));

}  // namespace luabox::heap
