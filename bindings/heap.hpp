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

struct lua_State;

namespace luabox::heap {

/// Whether this program has a heap; false for what the linker has just made, under sanitizers, and after
/// take().
bool is_there();

/// The prepared state, the collector stopped; for once. Only where is_there().
lua_State* take();

/// Writes the section, with the state that `make` returns, into `file`: for objcopy --update-section. No
/// object of the state may own what lies outside of Lua's memory. Lua ends the program where the section is
/// too small.
void prepare(const char* file, lua_State* (*make)());

}  // namespace luabox::heap
