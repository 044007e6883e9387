// The Lua state that a site's policies run in.
//
// It runs in a helper process (engine/responder.hpp), forked before anything of a script runs. It has no way
// to the kernel: no ffi, io, os, debug, package, load, coroutines, metatables; text alone; the JIT off (count
// hooks never fire in compiled loops), 64 MiB of memory. A budget of instructions ends a loop; once it is
// spent the hook fires at each instruction, so that no pcall of a policy's survives it. What can't be
// interrupted from inside (string.find) the helper's deadline ends.
//
// The rules themselves are kept and applied by scripts/policy/evaluator.lua.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bindings/heap.hpp"
#include "engine/policy_files.hpp"

struct lua_State;

namespace luabox {

class PolicyState {
 public:
  /// `keep_in`: the folder in which root keeps what they were loaded to (engine/kept_policies.hpp); empty for
  /// none.
  explicit PolicyState(std::vector<PolicyFile> files, std::string keep_in)
      : files_(std::move(files)), keep_in_(std::move(keep_in)) {}
  /// Loads the files. JSON: { kinds =, needs =, rules = }, or { error = }: then every question is refused.
  std::string load();
  /// JSON in, a line of facts (empty for none) and one with the question, and JSON out: see evaluator.lua.
  /// Never throws: { allow = false, reason = } is what a failure is.
  std::string answer(const std::string& question);

 private:
  std::string call(const char* function, std::string_view argument, std::string_view facts = {});
  bool run_limited(int arguments, std::string& why);
  std::string load_into_state();
  void load_files(std::string& problem);
  void warm_up();
  bool restore();
  void keep();

  std::vector<PolicyFile> files_;
  std::string keep_in_;
  lua_State* state_ = nullptr;
  std::string refusal_;  // where the files could not be loaded
};

/// For heap::prepare: a state in `memory` that has everything but policies.
heap::Policies prepared_policies(std::byte* memory, size_t size);

}  // namespace luabox
