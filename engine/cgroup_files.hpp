// The text of a cgroup's control files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace luabox::cgroups {

/// The text of a file that this kernel, or this cgroup, may not have.
std::optional<std::string> optional_file(const std::string& path);

/// Writes where there is such a file; false where there is none.
bool try_write(const std::string& path, std::string_view text);

/// The number that a text begins with.
std::optional<uint64_t> number_in(const std::optional<std::string>& text);

/// The number behind `key` in a file of lines "key 123".
std::optional<uint64_t> field(const std::optional<std::string>& text, const std::string& key);

/// A limit; nothing for "max" and for what v1 has for it.
std::optional<uint64_t> limit_in(const std::optional<std::string>& text);

/// Whether one of the words is `word`.
bool has_word(const std::string& text, const std::string& word);

}  // namespace luabox::cgroups
