// A small program that luabox carries with it, as a file to execute.
#pragma once

#include "engine/fd.hpp"

namespace luabox {

enum class SmallProgram {
  init,     ///< engine/init_program.cpp
  monitor,  ///< engine/monitor_program.cpp
};

/// The program's file: in memory, sealed, closed by an exec, with the permissions `mode`. None where the
/// kernel refuses it. See memfd_create(2).
Fd program_file(SmallProgram program, unsigned mode);

}  // namespace luabox
