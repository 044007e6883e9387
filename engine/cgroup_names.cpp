#include "engine/cgroup_names.hpp"

#include <vector>

#include "engine/error.hpp"
#include "engine/nearest.hpp"

namespace luabox::cgroups {
namespace {

using Key = CgroupRow;
using Scale = CgroupScale;

bool matches(std::string_view pattern, std::string_view name, std::string& star) {
  const size_t at = pattern.find('*');
  if (at == std::string_view::npos) return !pattern.empty() && pattern == name;
  const std::string_view before = pattern.substr(0, at), after = pattern.substr(at + 1);
  if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after))
    return false;
  const std::string_view middle = name.substr(before.size(), name.size() - before.size() - after.size());
  const bool plain = std::all_of(middle.begin(), middle.end(),
                                 [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
  if (plain) star = middle;
  return plain;
}

[[noreturn]] void fail_unknown(const std::string& name) {
  std::vector<std::string_view> known;
  const auto add = [&](std::string_view one) {
    if (!one.empty() && one.find(' ') == std::string_view::npos) known.push_back(one);
  };
  for (const auto& key : cgroup_table()) {
    each_word(key.words, add);
    add(key.v2);
    add(key.v1);
  }
  throw Error::invalid("cgroup", "", unknown_name("key", name, known));
}

Asked find_key(const std::string& name) {
  Asked asked;
  asked.name = name;
  for (const auto& key : cgroup_table()) {
    bool found = false;
    if (matches(key.v2, name, asked.star)) {
      asked.form = Form::v2, found = true;
    } else if (matches(key.v1, name, asked.star)) {
      asked.form = Form::v1, found = true;
    }
    each_word(key.words, [&](std::string_view word) {
      if (!found && matches(word, name, asked.star)) asked.form = Form::word, found = true;
    });
    if (!found) continue;
    asked.key = &key;
    return asked;
  }
  fail_unknown(name);
}

/// True where the scale has a form of its own for a version in which the table names no file.
bool converts(Scale scale) {
  switch (scale) {
    case Scale::quota:
    case Scale::period:
    case Scale::cpu_max:
    case Scale::cpus:
    case Scale::memsw:
    case Scale::swap:
    case Scale::swappiness:
    case Scale::io_weight:
    case Scale::io_max:
    case Scale::devices:
      return true;
    default:
      return false;
  }
}

}  // namespace

[[noreturn]] void fail(const Asked& asked, const std::string& reason) {
  throw Error::invalid("cgroup key", asked.name, reason);
}

Asked locate(const CgroupHost& host, const std::string& name) {
  Asked asked = find_key(name);
  const Key& key = *asked.key;
  const CgroupHierarchy* hierarchy = host.find(key.controller);
  const std::string note = key.note.empty() ? "" : "; " + std::string(key.note);
  const bool only_v1 = key.v2.empty() && !converts(key.scale),
             only_v2 = key.v1.empty() && !converts(key.scale);
  if (!hierarchy) {
    const bool useful = !note.empty() && (host.unified() ? only_v1 : only_v2);
    throw Error("cgroup key", name, EOPNOTSUPP, host.why_missing(key.controller) + (useful ? note : ""));
  }
  asked.version = hierarchy->version;
  if (asked.version == 2 ? only_v1 : only_v2)
    throw Error("cgroup key", name, EOPNOTSUPP,
                "the controller '" + std::string(key.controller) + "' is cgroup v" +
                    std::to_string(asked.version) + " here" + note);
  if (key.access == CgroupAccess::top)
    throw Error("cgroup key", name, EOPNOTSUPP,
                "it is the whole machine's: the file is only in the topmost cgroup, " + hierarchy->mount);
  return asked;
}

std::string file_of(const Asked& asked) {
  std::string file(asked.version == 1 ? asked.key->v1 : asked.key->v2);
  if (const size_t star = file.find('*'); star != std::string::npos) file.replace(star, 1, asked.star);
  return file;
}

}  // namespace luabox::cgroups
