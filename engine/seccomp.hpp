// System call filters: rules, and the BPF program that the kernel runs.
//
// A Ruleset is rules in order; compile() turns it into a Filter, which is plain memory: it may be made before
// a clone and loaded after it. The program picks the ABI, then finds the system call's number by binary
// search among the ranges of numbers that are treated alike, and looks at arguments only where a rule does.
// So a call costs some seven comparisons, and since Linux 5.11 those that are always allowed cost none: the
// kernel remembers them. libseccomp tells which name has which number in which ABI; the program is not its
// own since it knows no call newer than itself outside the native ABI, and takes 15 ms instead of one.
//
// A call through an ABI that the filter isn't for kills the process. x32 alone looks like x86_64 to the
// kernel; its calls fail with ENOSYS, as on a kernel without it, unless the filter is for x32. See
// seccomp(2), Documentation/userspace-api/seccomp_filter.rst.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace luabox {

/// What happens to a system call: a SECCOMP_RET_* value with its data.
struct Action {
  uint32_t value;

  static const Action allow, log, trap, kill, kill_thread;
  static constexpr Action error(int code) { return {0x00050000U | static_cast<uint32_t>(code)}; }

  /// "allow", "log" (allows), "trap" (SIGSYS), "kill" (the process), "kill_thread", "errno" (EPERM),
  /// "errno:ENOSYS", "errno:38", "trace", "trace:7" (a tracer's message). Throws Error (EINVAL).
  static Action parse(const std::string& word);
  /// The same back: "errno:ENOSYS".
  std::string text() const;
  bool operator==(const Action&) const = default;
};

inline constexpr Action Action::allow{0x7fff0000U};
inline constexpr Action Action::log{0x7ffc0000U};
inline constexpr Action Action::trap{0x00030000U};
inline constexpr Action Action::kill{0x80000000U};
inline constexpr Action Action::kill_thread{0x00000000U};

enum class Comparison { equal, not_equal, less, less_or_equal, greater, greater_or_equal };

/// Holds where `(argument & mask) op value`, unsigned. An argument that the kernel takes as an int must be
/// masked with kInt: whatever the caller leaves in the upper half would else decide (CVE-2019-10063).
struct ArgumentTest {
  unsigned index = 0;  ///< 0 to 5
  Comparison op = Comparison::equal;
  uint64_t value = 0;  ///< for equality without bits that the mask leaves out
  uint64_t mask = ~uint64_t{0};
};
inline constexpr uint64_t kInt = 0xffffffff;

/// A value of 64 bits as a word: "21522", "0x5412". Throws Error (EINVAL).
uint64_t parse_word(const std::string& text);

/// The action for the calls `names` where all of `args` hold.
struct Rule {
  std::vector<std::string> names = {};
  Action action = Action::allow;
  std::vector<ArgumentTest> args = {};
};

/// For each call the first rule that holds decides, and where none does the default action.
struct Ruleset {
  Action default_action = Action::error(EPERM);
  /// For numbers beyond the newest call that is known here. By default ENOSYS where default_action is an
  /// errno, as a program takes that for an older kernel and falls back; else default_action.
  std::optional<Action> newer = {};
  std::vector<Rule> rules = {};
  /// "x86_64", "x86", "x32"; "aarch64", "arm". Empty: this machine's, without x32, which few kernels have.
  std::vector<std::string> architectures = {};
  /// Names that no ABI knows are passed over; else they are errors.
  bool ignore_unknown = false;
};

struct LoadOptions {
  bool log = false;  ///< the kernel logs what is not allowed (SECCOMP_FILTER_FLAG_LOG)
};

class Filter {
 public:
  explicit Filter(std::vector<sock_filter> program) : program_(std::move(program)) {}
  explicit Filter(std::span<const sock_filter> program) : program_(program.begin(), program.end()) {}

  /// Puts the calling thread, and all it will start, behind the filter for good. Throws Error (EACCES without
  /// no_new_privs and CAP_SYS_ADMIN). On return it is in force.
  void load(LoadOptions options = {}) const;

  /// Instructions; the kernel takes at most 4096.
  size_t size() const { return program_.size(); }
  const std::vector<sock_filter>& program() const { return program_; }

 private:
  std::vector<sock_filter> program_;
};

/// Throws Error (EINVAL): an unknown name, ABI or argument index, a program that is too long.
Filter compile(const Ruleset& ruleset);

/// The name of a call of the ABI with the kernel's number `audit` (AUDIT_ARCH_*), as its log has both:
/// "mkdir"; "451" where no name is known.
std::string call_name(uint32_t audit, uint32_t number);

/// A line for each rule, in order: "socket: errno:EPERM where (arg0 & 0xffffffff) == 0x28", "default:
/// errno:EPERM".
std::vector<std::string> describe(const Ruleset& ruleset);

}  // namespace luabox
