// The names of cgroup keys: which row of the table one stands for, and in which of its three forms.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "engine/cgroup_keys.hpp"
#include "engine/cgroup_table.hpp"

namespace luabox::cgroups {

enum class Form { v1, v2, word };

/// A key as someone asked for it.
struct Asked {
  const CgroupRow* key = nullptr;
  Form form = Form::word;
  std::string name;  ///< as written
  std::string star;  ///< what '*' stood for
  const CgroupValue* value = nullptr;
  int version = 0;  ///< of the hierarchy here
};

/// Throws EINVAL, of this key.
[[noreturn]] void fail(const Asked& asked, const std::string& reason);

/// Calls `visit` with each word of "cpus cpuset".
template <class Visit>
void each_word(std::string_view words, Visit&& visit) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    visit(words.substr(0, end));
    words.remove_prefix(std::min(end + 1, words.size()));
  }
}

/// The key that `name` stands for on `host`. Throws EINVAL for an unknown name, with the nearest known one,
/// and EOPNOTSUPP for what this host can't express, with the alternative.
Asked locate(const CgroupHost& host, const std::string& name);

/// The control file, with the size of huge pages in its place.
std::string file_of(const Asked& asked);

}  // namespace luabox::cgroups
