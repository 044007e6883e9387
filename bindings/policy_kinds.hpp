// Of what kind a primitive is, for the rules that are about single primitives.
#pragma once

#include <string_view>

namespace luabox::policy {

/// The kind of the primitive as the gate names it ("mount.bind", "mount:attach"): "mount". nullptr for what
/// only reads or waits, which no rule is asked about.
const char* kind_of(std::string_view primitive);

}  // namespace luabox::policy
