// The system calls of a container: the default profile as data, and what a script changes of it.
//
// The default profile is a list of what is allowed. It gives an ordinary program all it needs, and refuses
// what reaches the host's kernel itself: namespaces, mounts, modules, keys, clocks, tracing of the kernel,
// and ways to it that have been holes again and again. A granted capability adds the calls that are of use
// only with it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/capabilities.hpp"
#include "engine/seccomp.hpp"

namespace luabox {

/// The default profile for a container with these capabilities.
Ruleset default_profile(CapabilitySet granted);

/// read, write, exit and the return from a signal handler; anything else kills. For a process that has all
/// its files open already, as execve is none of these.
Ruleset strict_profile();

enum class Profile { standard, strict, none };

/// A profile, and what a script changes of it.
struct FilterSpec {
  std::optional<Profile> base = {};                   ///< standard; none where default_action is given
  CapabilitySet capabilities = kDefaultCapabilities;  ///< for the standard profile
  std::optional<Action> default_action = {};          ///< else the base's; EPERM where there is no base
  std::vector<std::string> deny = {},
                           allow =
                               {};  ///< calls that are refused with EPERM, or allowed, whatever the rules say
  std::vector<Rule> rules = {};     ///< these come before the base's
  std::vector<std::string> architectures = {};  ///< see Ruleset
  bool ignore_unknown = false;
};

/// The rules that `spec` amounts to: deny, allow, rules, base, in this order.
Ruleset ruleset_of(const FilterSpec& spec);

/// compile(ruleset_of(spec)), or without compiling the program made at build time where that is the same.
Filter build(const FilterSpec& spec);

/// The default profile's program for these capabilities.
Filter profile_for(CapabilitySet granted);

/// compile(default_profile(kDefaultCapabilities)), made when luabox was built (seccomp_generator.cpp).
std::span<const sock_filter> prebuilt_profile();

}  // namespace luabox
