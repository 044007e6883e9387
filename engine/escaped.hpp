// Text for people that hostile names have a part in.
#pragma once

#include <string>
#include <string_view>

namespace luabox {

/// `text` without what a terminal would obey: control characters, those of C1 and what is no UTF-8 are
/// "\x1b". A file of an image may be called anything.
std::string escaped(std::string_view text);

}  // namespace luabox
