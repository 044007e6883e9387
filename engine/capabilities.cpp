#include "engine/capabilities.hpp"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "engine/error.hpp"
#include "engine/nearest.hpp"

namespace luabox {
namespace {

constexpr int kBits = 64;

// include/uapi/linux/capability.h, by number.
constexpr std::array<std::string_view, 41> kNames = {"chown",
                                                     "dac_override",
                                                     "dac_read_search",
                                                     "fowner",
                                                     "fsetid",
                                                     "kill",
                                                     "setgid",
                                                     "setuid",
                                                     "setpcap",
                                                     "linux_immutable",
                                                     "net_bind_service",
                                                     "net_broadcast",
                                                     "net_admin",
                                                     "net_raw",
                                                     "ipc_lock",
                                                     "ipc_owner",
                                                     "sys_module",
                                                     "sys_rawio",
                                                     "sys_chroot",
                                                     "sys_ptrace",
                                                     "sys_pacct",
                                                     "sys_admin",
                                                     "sys_boot",
                                                     "sys_nice",
                                                     "sys_resource",
                                                     "sys_time",
                                                     "sys_tty_config",
                                                     "mknod",
                                                     "lease",
                                                     "audit_write",
                                                     "audit_control",
                                                     "setfcap",
                                                     "mac_override",
                                                     "mac_admin",
                                                     "syslog",
                                                     "wake_alarm",
                                                     "block_suspend",
                                                     "audit_read",
                                                     "perfmon",
                                                     "bpf",
                                                     "checkpoint_restore"};
static_assert(kNames[CAP_SYS_ADMIN] == "sys_admin" && kNames[CAP_CHECKPOINT_RESTORE] == "checkpoint_restore");

std::string joined(CapabilitySet set) {
  std::string text;
  for (const auto& name : set.names()) text += (text.empty() ? "" : " ") + name;
  return text;
}

CapabilitySet all() {
  return CapabilitySet::of_bits(~uint64_t{0} >> static_cast<unsigned>(kBits - 1 - last_capability()));
}

int number_of(std::string_view name) {
  std::string plain(name);
  std::transform(plain.begin(), plain.end(), plain.begin(), [](unsigned char c) { return std::tolower(c); });
  if (plain.starts_with("cap_")) plain.erase(0, 4);
  const auto* const found = std::find(kNames.begin(), kNames.end(), plain);
  if (found == kNames.end())
    throw Error::invalid("capability", std::string(name),
                         unknown_name("capability", plain, {kNames.begin(), kNames.end()}));
  return static_cast<int>(found - kNames.begin());
}

/// Those of `asked` that the kernel says are in one of the two sets which only prctl(2) tells.
CapabilitySet kernel_set(int option, int argument, CapabilitySet asked) {
  uint64_t bits = 0;
  for (int i = 0; i < kBits; ++i) {
    if (!asked.has(i)) continue;
    const int answer = argument < 0 ? ::prctl(option, i, 0, 0, 0) : ::prctl(option, argument, i, 0, 0);
    if (answer < 0) throw Error("prctl", "capability " + std::to_string(i));
    if (answer == 1) bits |= uint64_t{1} << static_cast<unsigned>(i);
  }
  return CapabilitySet::of_bits(bits);
}

CapabilitySet bounding(CapabilitySet asked) { return kernel_set(PR_CAPBSET_READ, -1, asked); }
CapabilitySet ambient(CapabilitySet asked) {
  return kernel_set(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, asked);
}

uint64_t wide(uint32_t low, uint32_t high) { return uint64_t{high} << 32U | low; }

void capget(CapabilitySets& sets) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) throw Error("capget");
  sets.effective = CapabilitySet::of_bits(wide(data[0].effective, data[1].effective));
  sets.permitted = CapabilitySet::of_bits(wide(data[0].permitted, data[1].permitted));
  sets.inheritable = CapabilitySet::of_bits(wide(data[0].inheritable, data[1].inheritable));
}

void capset(const CapabilitySets& sets, CapabilitySet held) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (unsigned half = 0; half < 2; ++half) {
    data[half].effective = static_cast<uint32_t>(sets.effective.bits() >> 32 * half);
    data[half].permitted = static_cast<uint32_t>(sets.permitted.bits() >> 32 * half);
    data[half].inheritable = static_cast<uint32_t>(sets.inheritable.bits() >> 32 * half);
  }
  if (::syscall(SYS_capset, &header, data) == 0) return;
  const CapabilitySet missing = CapabilitySet::of_bits(sets.permitted.bits()) - held;
  throw Error("capset", joined(missing), errno,
              missing == CapabilitySet{} ? "" : "luabox itself doesn't hold it");
}

void set_ambient(CapabilitySet wanted) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    throw Error("prctl", "clear ambient capabilities");
  for (int i = 0; i < kBits; ++i)
    if (wanted.has(i) && ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0)
      throw Error("prctl", "ambient " + joined({i}));
}

void require_within(CapabilitySet inner, CapabilitySet outer, const std::string& rule) {
  if (!inner.within(outer)) throw Error::invalid("capabilities", joined(inner - outer), rule);
}

}  // namespace

CapabilitySet CapabilitySet::of(const std::vector<std::string>& names) {
  CapabilitySet set;
  for (const auto& name : names)
    set.bits_ |= name == "all" || name == "ALL" ? all().bits() : CapabilitySet{number_of(name)}.bits();
  return set;
}

std::vector<std::string> CapabilitySet::names() const {
  std::vector<std::string> list;
  for (int i = 0; i < kBits; ++i)
    if (has(i))
      list.push_back(i < static_cast<int>(kNames.size()) ? std::string(kNames[i])
                                                         : "cap_" + std::to_string(i));
  return list;
}

int last_capability() {
  static const int found = [] {
    int last = CAP_LAST_CAP;
    while (last > 0 && ::prctl(PR_CAPBSET_READ, last, 0, 0, 0) < 0) --last;
    while (last < kBits - 1 && ::prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0) ++last;
    return last;
  }();
  return found;
}

CapabilitySets current_capabilities() {
  CapabilitySets sets;
  capget(sets);
  sets.bounding = bounding(all());
  sets.ambient = ambient(sets.permitted & sets.inheritable);  // it is never larger (capabilities(7))
  return sets;
}

CapabilitySets sets_for(uid_t uid, CapabilitySet granted, CapabilitySet ambient) {
  require_within(ambient, granted, "an ambient capability must be granted as well");
  const CapabilitySet held = uid == 0 ? granted : ambient;
  return {
      .effective = held, .permitted = held, .inheritable = ambient, .bounding = granted, .ambient = ambient};
}

void limit_bounding(CapabilitySet keep) {
  const CapabilitySet surplus = all() - keep;
  for (int i = 0; i < kBits; ++i) {
    if (!surplus.has(i) || ::prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0) continue;
    const int code = errno;
    if (bounding({i}) == CapabilitySet{}) continue;  // what is gone already takes no right
    throw Error("prctl", "drop " + joined({i}) + " from the bounding set", code,
                code == EPERM ? "it takes setpcap" : "");
  }
}

void apply(const CapabilitySets& sets) {
  require_within(sets.effective, sets.permitted, "an effective capability must be permitted as well");
  require_within(sets.ambient, sets.permitted & sets.inheritable,
                 "an ambient capability must be permitted and inheritable as well");

  // A change of ids has emptied the effective set: setpcap is needed once more, and only until the capset
  // below.
  CapabilitySets now;
  capget(now);
  if (now.effective != now.permitted) {
    now.effective = now.permitted;
    capset(now, now.permitted);
  }
  limit_bounding(sets.bounding);
  capset(sets, now.permitted);
  set_ambient(sets.ambient);

  CapabilitySets result;
  capget(result);
  result.ambient = ambient(result.permitted & result.inheritable);
  result.bounding = sets.bounding;
  if (result != sets)
    throw Error("capabilities", joined(result.permitted), EPERM,
                "the kernel didn't take the sets over as asked");
  if (const CapabilitySet left = bounding(all() - sets.bounding); left != CapabilitySet{})
    throw Error("capabilities", joined(left), EPERM, "the bounding set stayed too large");
}

}  // namespace luabox
