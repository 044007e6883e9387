// How much the program of engine/monitor_program.cpp has room for.
#pragma once

namespace luabox {

constexpr int kMostMonitored = 64;  ///< processes, and locks
constexpr int kMostOutputs = 8;     ///< pipes with a file behind

}  // namespace luabox
