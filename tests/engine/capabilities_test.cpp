#include "engine/capabilities.hpp"

#include <sys/prctl.h>

#include <algorithm>

#include "engine/user.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

/// The line "CapEff:\t..." of a status file, as a number.
uint64_t status_bits(const std::string& field, const std::string& status = slurp("/proc/self/status")) {
  const auto at = status.find(field + ":");
  if (at == std::string::npos) throw std::runtime_error("no " + field);
  return std::stoull(status.substr(at + field.size() + 1), nullptr, 16);
}

/// What `command`, run by exec, prints.
std::string output_of(const std::vector<std::string>& command) {
  int channel[2];
  if (::pipe(channel) != 0) throw Error("pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(channel[1], 1);
    std::vector<char*> words;
    words.reserve(command.size() + 1);
    for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  ::close(channel[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = ::read(channel[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(count));
  ::close(channel[0]);
  ::waitpid(child, nullptr, 0);
  return text;
}

constexpr CapabilitySet kFew = {CAP_CHOWN, CAP_KILL, CAP_SETPCAP};

}  // namespace

TEST_CASE("a capability is known by its name in any case, with or without CAP_") {
  CHECK(CapabilitySet::of({"sys_admin"}).bits() == 1U << CAP_SYS_ADMIN);
  CHECK(CapabilitySet::of({"CAP_SYS_ADMIN", "Chown", "cap_bpf"}) ==
        CapabilitySet{CAP_SYS_ADMIN, CAP_CHOWN, CAP_BPF});
  CHECK(CapabilitySet{CAP_CHOWN, CAP_BPF, 63}.names() == std::vector<std::string>{"chown", "bpf", "cap_63"});
  CHECK(CapabilitySet::of({"all"}).names().size() == static_cast<size_t>(last_capability()) + 1);
}

TEST_CASE("a misspelt capability is an error that names the nearest") {
  try {
    CapabilitySet::of({"CAP_SYS_ADMNI"});
    FAIL("it was taken");
  } catch (const Error& error) {
    CHECK(error.code() == EINVAL);
    CHECK_THAT(error.what(), Catch::Contains("did you mean 'sys_admin'?"));
  }
  CHECK(code_of([] { CapabilitySet::of({""}); }) == EINVAL);
  CHECK(code_of([] { CapabilitySet::of({std::string(1U << 20U, 'a')}); }) == EINVAL);
}

TEST_CASE("the last capability is the one that /proc tells") {
  CHECK(last_capability() == std::stoi(slurp("/proc/sys/kernel/cap_last_cap")));
}

TEST_CASE("root keeps exactly what it is granted, in its own sets and in an exec'd program's") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    apply(sets_for(0, kFew));
    for (const std::string field : {"CapEff", "CapPrm", "CapBnd"})
      expect(status_bits(field) == kFew.bits(), field + " is what was granted");
    const std::string after = output_of({"/bin/cat", "/proc/self/status"});
    for (const std::string field : {"CapEff", "CapPrm", "CapBnd"})
      expect(status_bits(field, after) == kFew.bits(), field + " after exec is what was granted");
    expect(status_bits("CapInh", after) == 0 && status_bits("CapAmb", after) == 0,
           "nothing inheritable or ambient");
    expect(current_capabilities() == sets_for(0, kFew), "current_capabilities tells the same");
  });
}

TEST_CASE("an ordinary user has no capability after exec, only the bound") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    set_ids({.uid = 1000, .gid = 1000, .groups = {}, .keep_capabilities = true});
    apply(sets_for(1000, kFew));
    const std::string after = output_of({"/bin/cat", "/proc/self/status"});
    for (const std::string field : {"CapEff", "CapPrm", "CapInh", "CapAmb"})
      expect(status_bits(field, after) == 0, field + " is empty");
    expect(status_bits("CapBnd", after) == kFew.bits(), "the bounding set is what was granted");
  });
}

TEST_CASE("an ordinary user keeps an ambient capability through exec, and no other") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    const CapabilitySet service = {CAP_NET_BIND_SERVICE};
    set_ids({.uid = 1000, .gid = 1000, .groups = {}, .keep_capabilities = true});
    apply(sets_for(1000, {CAP_NET_BIND_SERVICE, CAP_CHOWN}, service));
    const std::string after = output_of({"/bin/cat", "/proc/self/status"});
    for (const std::string field : {"CapEff", "CapPrm", "CapInh", "CapAmb"})
      expect(status_bits(field, after) == service.bits(), field + " is the ambient one");
  });
}

TEST_CASE("a capability that the process lacks cannot be asked for") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    apply(sets_for(0, kFew));
    try {
      apply(sets_for(0, {CAP_CHOWN, CAP_SYS_ADMIN}));
    } catch (const Error& error) {
      expect(error.code() == EPERM, "EPERM");
      expect(error.object() == "sys_admin", "the error names sys_admin");
      expect(status_bits("CapBnd") == CapabilitySet{CAP_CHOWN}.bits(), "what was to be dropped is gone");
      return;
    }
    expect(false, "an error");
  });
}

TEST_CASE("a combination that the kernel would refuse changes nothing") {
  const auto before = current_capabilities();
  CHECK(code_of([] {
          apply(
              {.effective = {CAP_CHOWN}, .permitted = {}, .inheritable = {}, .bounding = {}, .ambient = {}});
        }) == EINVAL);
  CHECK(code_of([] {
          apply({.effective = {},
                 .permitted = {CAP_CHOWN},
                 .inheritable = {},
                 .bounding = {},
                 .ambient = {CAP_CHOWN}});
        }) == EINVAL);
  CHECK(code_of([] { sets_for(1000, {CAP_KILL}, {CAP_CHOWN}); }) == EINVAL);
  CHECK(current_capabilities() == before);
}

TEST_CASE("the bounding set shrinks by one call and nothing else does") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    const uint64_t permitted = status_bits("CapPrm");
    limit_bounding(kFew);
    limit_bounding(kFew);  // a second time needs no right that is gone
    expect(status_bits("CapBnd") == kFew.bits(), "the bounding set is limited");
    expect(status_bits("CapPrm") == permitted, "the permitted set is as before");
  });
}

TEST_CASE("dropping without the right to is EPERM, not a silent success") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    set_ids({.uid = 1000, .gid = 1000, .groups = {}, .keep_capabilities = false});
    expect(code_of([] { apply(sets_for(1000, kFew)); }) == EPERM, "EPERM");
  });
}
