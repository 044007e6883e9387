#include "engine/seccomp.hpp"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "engine/error.hpp"
#include "engine/nearest.hpp"

namespace luabox {
namespace {

using Code = std::vector<sock_filter>;

// ---- the ABIs and their numbers

struct Abi {
  std::string_view name;
  uint32_t libseccomp;  // SCMP_ARCH_*
  uint32_t audit;       // AUDIT_ARCH_*, what the filter sees
  uint32_t first;       // where its numbers begin
  bool usual;           // part of a ruleset that names no ABI
};

constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kArmPrivate = 0x0f0000;  // arm's own calls: breakpoint, cacheflush, set_tls
#if defined(__x86_64__)
constexpr std::array kAbis = {Abi{"x86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, 0, true},
                              Abi{"x86", SCMP_ARCH_X86, AUDIT_ARCH_I386, 0, true},
                              Abi{"x32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64, kX32Bit, false}};
#elif defined(__aarch64__)
constexpr std::array kAbis = {Abi{"aarch64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, 0, true},
                              Abi{"arm", SCMP_ARCH_ARM, AUDIT_ARCH_ARM, 0, true}};
#else
#error "the seccomp tables know x86_64 and aarch64"
#endif

// What there is on one machine or another.
constexpr std::string_view kArchitectures[] = {"x86_64", "x86", "x32", "aarch64", "arm"};

// Calls that libseccomp 2.5 (Debian 12) is too old for. Since Linux 5.1 a new call has one number in every
// ABI.
struct NewCall {
  std::string_view name;
  uint32_t number;
};
constexpr std::array kNewCalls = {
    NewCall{"cachestat", 451},         NewCall{"fchmodat2", 452},        NewCall{"map_shadow_stack", 453},
    NewCall{"futex_wake", 454},        NewCall{"futex_wait", 455},       NewCall{"futex_requeue", 456},
    NewCall{"statmount", 457},         NewCall{"listmount", 458},        NewCall{"lsm_get_self_attr", 459},
    NewCall{"lsm_set_self_attr", 460}, NewCall{"lsm_list_modules", 461}, NewCall{"mseal", 462},
    NewCall{"setxattrat", 463},        NewCall{"getxattrat", 464},       NewCall{"listxattrat", 465},
    NewCall{"removexattrat", 466},     NewCall{"open_tree_attr", 467},   NewCall{"file_getattr", 468},
    NewCall{"file_setattr", 469}};
constexpr uint32_t kNewest = kNewCalls.back().number;
constexpr uint32_t kX32Last = kX32Bit | 547;  // x32's own versions are 512 to 547

// These serve the kernel's own probes (Linux 6.11, 6.18); only x86_64 has them, at numbers that are others'
// elsewhere.
constexpr std::array kX86_64Calls = {NewCall{"uretprobe", 335}, NewCall{"uprobe", 336}};

/// The calls of one ABI by name. A name may have two numbers in x32.
using Table = std::multimap<std::string, uint32_t, std::less<>>;

void add_range(Table& table, const Abi& abi, uint32_t from, uint32_t to) {
  for (uint32_t number = from; number <= to; ++number) {
    const std::unique_ptr<char, decltype(&std::free)> name(
        ::seccomp_syscall_resolve_num_arch(abi.libseccomp, static_cast<int>(number)), &std::free);
    if (name) table.emplace(name.get(), number);
  }
}

/// By number, not by name: for x86's socket calls libseccomp answers a name with a number of its own
/// invention, as they are also reached through socketcall(2).
Table table_of(const Abi& abi) {
  Table table;
  add_range(table, abi, abi.first, abi.first + kNewest);
  if (abi.name == "x32") {
    add_range(table, abi, kX32Bit | 512, kX32Last);
    // Before Linux 5.4 x86_64's number with the x32 bit reached the 64-bit call, also where x32 has its own.
    Table native;
    add_range(native, kAbis[0], 0, kNewest);
    for (const auto& [name, number] : native) table.emplace(name, number | kX32Bit);
  }
  if (abi.name == "arm") add_range(table, abi, kArmPrivate | 1, kArmPrivate | 5);
  if (abi.name == "x86_64")
    for (const auto& call : kX86_64Calls) table.emplace(call.name, call.number);
  for (const auto& call : kNewCalls)
    if (table.find(call.name) == table.end()) table.emplace(call.name, abi.first | call.number);
  return table;
}

const Table& calls_of(const Abi& abi) {
  static std::array<Table, kAbis.size()> tables;
  Table& table = tables[static_cast<size_t>(&abi - kAbis.data())];
  if (table.empty()) table = table_of(abi);
  return table;
}

std::string listed(const std::vector<std::string_view>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

std::vector<const Abi*> abis_of(const Ruleset& ruleset) {
  std::vector<const Abi*> list;
  for (const auto& abi : kAbis)
    if (ruleset.architectures.empty()
            ? abi.usual
            : std::count(ruleset.architectures.begin(), ruleset.architectures.end(), abi.name) != 0)
      list.push_back(&abi);
  std::vector<std::string_view> known(kAbis.size());
  std::transform(kAbis.begin(), kAbis.end(), known.begin(), [](const Abi& abi) { return abi.name; });
  for (const auto& wanted : ruleset.architectures) {
    if (std::count(known.begin(), known.end(), wanted) != 0) continue;
    const bool elsewhere = std::count(std::begin(kArchitectures), std::end(kArchitectures), wanted) != 0;
    throw Error::invalid("seccomp", wanted,
                         elsewhere ? "the architecture is another machine's; this one has " + listed(known)
                                   : unknown_name("architecture", wanted, known));
  }
  return list;
}

/// A name that no ABI of this machine has may still be another machine's.
void require_known(const std::string& name) {
  for (const auto& abi : kAbis)
    if (calls_of(abi).contains(name)) return;
  if (::seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR) return;
  std::vector<std::string_view> known;
  for (const auto& abi : kAbis)
    for (const auto& call : calls_of(abi)) known.push_back(call.first);
  throw Error::invalid("seccomp", name, unknown_name("system call", name, known));
}

// ---- instructions

constexpr uint32_t low(uint64_t value) { return static_cast<uint32_t>(value); }
constexpr uint32_t high(uint64_t value) { return static_cast<uint32_t>(value >> 32U); }

sock_filter statement(unsigned code, size_t k) {
  return {static_cast<uint16_t>(code), 0, 0, static_cast<uint32_t>(k)};
}
sock_filter load_word(size_t offset) { return statement(BPF_LD | BPF_W | BPF_ABS, offset); }
sock_filter answer(Action action) { return statement(BPF_RET | BPF_K, action.value); }
sock_filter jump(unsigned test, uint32_t k, size_t if_true, size_t if_false) {
  return {static_cast<uint16_t>(BPF_JMP | test | BPF_K), static_cast<uint8_t>(if_true),
          static_cast<uint8_t>(if_false), k};
}

void append(Code& code, const Code& more) { code.insert(code.end(), more.begin(), more.end()); }

bool same_code(const Code& a, const Code& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(sock_filter)) == 0;
}

/// A program, written from its end to its start, so that each jump knows how far ahead its target is. The
/// kernel checks, translates and compiles each instruction whenever the program is loaded: an answer that
/// many ranges have is written once for all that reach it.
class Assembler {
 public:
  /// Where an instruction is: how many there are from it to the program's end.
  using Label = size_t;

  /// `code`, which does not run on into what follows it.
  Label place(const Code& code) {
    constexpr size_t kNear = 128;  // as much may still be written before the jump
    for (auto known = placed_.rbegin(); known != placed_.rend() && here() - known->second <= kNear; ++known)
      if (same_code(known->first, code)) return known->second;
    reversed_.insert(reversed_.end(), code.rbegin(), code.rend());
    placed_.emplace_back(code, here());
    return here();
  }

  /// To `then` where `A test k`, else to `otherwise`.
  Label branch(unsigned test, uint32_t k, Label then, Label otherwise) {
    then = within_reach(then);
    otherwise = within_reach(otherwise);
    return put(jump(test, k, here() - then, here() - otherwise));
  }

  /// Before what was written last, into which it runs on.
  Label put(sock_filter instruction) {
    reversed_.push_back(instruction);
    return here();
  }

  /// What is written next runs on to `target`.
  void go_on_at(Label target) {
    if (target != here()) put(statement(BPF_JMP | BPF_JA, here() - target));
  }

  [[nodiscard]] Code code() const { return {reversed_.rbegin(), reversed_.rend()}; }

 private:
  [[nodiscard]] Label here() const { return reversed_.size(); }

  /// A conditional jump has eight bits for how far it goes; the way to `target` may lead over another one.
  Label within_reach(Label target) {
    constexpr size_t kFarthest = 255 - 1;  // the other way out may need an instruction, too
    if (here() - target <= kFarthest) return target;
    return put(statement(BPF_JMP | BPF_JA, here() - target));
  }

  Code reversed_;
  std::vector<std::pair<Code, Label>> placed_;
};

/// One half of an argument into A, masked.
Code load_half(unsigned index, size_t half, uint32_t mask) {
  Code code = {load_word(offsetof(seccomp_data, args) + sizeof(uint64_t) * index + sizeof(uint32_t) * half)};
  if (mask != ~uint32_t{0}) code.push_back(statement(BPF_ALU | BPF_AND | BPF_K, mask));
  return code;
}

/// Runs on into what follows where `test` holds, and jumps over `rest` instructions of it where not.
Code compare(const ArgumentTest& test, size_t rest) {
  // a < b is the opposite of a >= b, and so on: three comparisons do, with the two ways out exchanged.
  const bool opposite =
      test.op == Comparison::not_equal || test.op == Comparison::less || test.op == Comparison::less_or_equal;
  const bool equality = test.op == Comparison::equal || test.op == Comparison::not_equal;
  const bool or_equal = test.op == Comparison::greater_or_equal || test.op == Comparison::less;
  const size_t holds = opposite ? rest : 0, fails = opposite ? 0 : rest;

  // An int compared with an int: the upper halves are both nothing.
  const bool upper = high(test.mask) != 0 || high(test.value) != 0;
  Code lower = load_half(test.index, 0, low(test.mask));
  lower.push_back(jump(equality ? BPF_JEQ : or_equal ? BPF_JGE : BPF_JGT, low(test.value), holds, fails));
  if (!upper) return lower;

  Code code = load_half(test.index, 1, high(test.mask));
  if (!equality) code.push_back(jump(BPF_JGT, high(test.value), lower.size() + 1 + holds, 0));
  code.push_back(jump(BPF_JEQ, high(test.value), 0, lower.size() + fails));
  append(code, lower);
  return code;
}

/// `rule`'s action where its tests hold; runs on into what follows where not.
Code conditional(const Rule& rule) {
  Code code = {answer(rule.action)};
  for (auto test = rule.args.rbegin(); test != rule.args.rend(); ++test) {
    Code whole = compare(*test, code.size());
    append(whole, code);
    code = std::move(whole);
  }
  return code;
}

// ---- from rules to a program

/// What becomes of each number of one AUDIT_ARCH: the first number of each range, and the range's code.
using Ranges = std::map<uint32_t, Code>;

void set_number(Ranges& ranges, uint32_t number, Code code) {
  const Code around = std::prev(ranges.upper_bound(number))->second;
  ranges.emplace(number + 1, around);  // where nothing begins there already
  ranges.insert_or_assign(number, std::move(code));
}

/// The code for a call that `rules` mention, in order.
Code decide(const std::vector<const Rule*>& rules, Action otherwise) {
  Code code;
  for (const Rule* rule : rules) {
    append(code, conditional(*rule));
    if (rule->args.empty()) return code;
  }
  code.push_back(answer(otherwise));
  return code;
}

void add_abi(Ranges& ranges, const Ruleset& ruleset, const Abi& abi) {
  const Table& table = calls_of(abi);
  std::map<uint32_t, std::vector<const Rule*>> mentioned;
  for (const auto& rule : ruleset.rules)
    for (const auto& name : rule.names) {
      const auto [from, to] = table.equal_range(name);
      for (auto call = from; call != to; ++call) mentioned[call->second].push_back(&rule);
    }
  for (const auto& [number, rules] : mentioned)
    set_number(ranges, number, decide(rules, ruleset.default_action));
}

using Range = std::pair<uint32_t, Code>;

/// Where to halve the ranges, so that about as many numbers lie on either side: what the kernel knows to be
/// allowed it finds out by asking the program about each number once. The widest are numbers that nothing
/// has.
size_t middle_of(std::span<const Range> ranges) {
  constexpr uint32_t kWidest = 64;
  size_t whole = 0;
  std::vector<size_t> before;
  for (size_t i = 0; i < ranges.size(); ++i) {
    before.push_back(whole);
    whole += i + 1 < ranges.size() ? std::min(ranges[i + 1].first - ranges[i].first, kWidest) : 1;
  }
  const auto above = std::upper_bound(before.begin() + 1, before.end(), whole / 2);
  return std::max<size_t>(1, static_cast<size_t>(above - before.begin()) - 1);
}

Assembler::Label search(Assembler& program, std::span<const Range> ranges) {
  if (ranges.size() == 1) return program.place(ranges.front().second);
  const size_t middle = middle_of(ranges);
  const auto upper = search(program, ranges.subspan(middle)), lower = search(program, ranges.first(middle));
  return program.branch(BPF_JGE, ranges[middle].first, upper, lower);
}

Action newer_action(const Ruleset& ruleset) {
  const bool is_errno = (ruleset.default_action.value & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
  return ruleset.newer.value_or(is_errno ? Action::error(ENOSYS) : ruleset.default_action);
}

/// x32's numbers name calls that a rule for x86_64 doesn't mean. Where x32 isn't asked for, they are answered
/// as by a kernel that was built without it, whatever the default action. Its 512 to 547 reach x32's calls
/// without the x32 bit before Linux 5.4.
void add_x32_ranges(Ranges& ranges, const Ruleset& ruleset, const std::vector<const Abi*>& abis) {
  const Code absent = {answer(Action::error(ENOSYS))};
  ranges[512] = absent;
  ranges[(kX32Last & ~kX32Bit) + 1] = {answer(newer_action(ruleset))};
  const bool asked =
      std::any_of(abis.begin(), abis.end(), [](const Abi* abi) { return abi->first == kX32Bit; });
  ranges[kX32Bit] = asked ? Code{answer(ruleset.default_action)} : absent;
  if (asked) ranges[kX32Last + 1] = absent;
}

/// The program for one AUDIT_ARCH, which the ABIs of `abis` that have it share.
Assembler::Label add_program(Assembler& program, uint32_t audit, const Ruleset& ruleset,
                             const std::vector<const Abi*>& abis) {
  const Code normal = {answer(ruleset.default_action)}, newer = {answer(newer_action(ruleset))};
  Ranges ranges = {{0, normal}, {kNewest + 1, newer}};
  if (audit == AUDIT_ARCH_X86_64) add_x32_ranges(ranges, ruleset, abis);
  for (const Abi* abi : abis)
    if (abi->audit == audit) add_abi(ranges, ruleset, *abi);

  std::vector<Range> distinct;
  for (auto& range : ranges)
    if (distinct.empty() || !same_code(distinct.back().second, range.second))
      distinct.emplace_back(std::move(range));
  program.go_on_at(search(program, distinct));
  return program.put(load_word(offsetof(seccomp_data, nr)));
}

std::string hex(uint64_t value) {
  char buffer[16];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, 16).ptr;
  return "0x" + std::string(buffer, end);
}

void validate(const ArgumentTest& test) {
  const std::string argument = "argument " + std::to_string(test.index);
  if (test.index > 5) throw Error::invalid("seccomp", argument, "a system call's arguments are 0 to 5");
  const bool equality = test.op == Comparison::equal || test.op == Comparison::not_equal;
  if (equality && (test.value & ~test.mask) != 0)
    throw Error::invalid("seccomp", argument,
                         "the value " + hex(test.value) + " has bits that the mask " + hex(test.mask) +
                             " leaves out, and is never equal");
}

void validate(const Ruleset& ruleset) {
  for (const auto& rule : ruleset.rules) {
    if (!ruleset.ignore_unknown)
      for (const auto& name : rule.names) require_known(name);
    if (rule.args.size() > 16)
      throw Error::invalid("seccomp", rule.names.empty() ? "" : rule.names[0], "a rule has at most 16 tests");
    for (const auto& test : rule.args) validate(test);
  }
}

// ---- words

struct ActionWord {
  std::string_view word;
  Action action;
};
constexpr std::array kActionWords = {ActionWord{"allow", Action::allow}, ActionWord{"log", Action::log},
                                     ActionWord{"trap", Action::trap}, ActionWord{"kill", Action::kill},
                                     ActionWord{"kill_thread", Action::kill_thread}};
constexpr int kLargestErrno = 4095;

std::optional<int> whole_number(std::string_view text) {
  int number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<int> errno_value(std::string_view text) {
  if (const auto number = whole_number(text)) return number;
  for (int code = 1; code < 256; ++code)
    if (const char* name = ::strerrorname_np(code); name && text == name) return code;
  return std::nullopt;
}

const char* symbol(Comparison op) {
  switch (op) {
    case Comparison::equal:
      return "==";
    case Comparison::not_equal:
      return "!=";
    case Comparison::less:
      return "<";
    case Comparison::less_or_equal:
      return "<=";
    case Comparison::greater:
      return ">";
    case Comparison::greater_or_equal:
      return ">=";
  }
  return "?";
}

std::string describe_test(const ArgumentTest& test) {
  const std::string argument = "arg" + std::to_string(test.index);
  const std::string left =
      test.mask == ~uint64_t{0} ? argument : "(" + argument + " & " + hex(test.mask) + ")";
  return left + " " + symbol(test.op) + " " + hex(test.value);
}

}  // namespace

Action Action::parse(const std::string& word) {
  for (const auto& known : kActionWords)
    if (known.word == word) return known.action;
  if (word == "errno") return error(EPERM);
  if (word == "trace") return {SECCOMP_RET_TRACE};
  if (word.starts_with("errno:"))
    if (const auto code = errno_value(std::string_view(word).substr(6));
        code && *code >= 0 && *code <= kLargestErrno)
      return error(*code);
  if (word.starts_with("trace:"))
    if (const auto message = whole_number(std::string_view(word).substr(6));
        message && *message >= 0 && *message <= 0xffff)
      return {SECCOMP_RET_TRACE | static_cast<uint32_t>(*message)};
  throw Error::invalid("seccomp", word,
                       "an action is allow, log, trap, kill, kill_thread, trace[:NUMBER] or errno[:NAME]");
}

uint64_t parse_word(const std::string& text) {
  const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
  const char* const digits = text.data() + (is_hex ? 2 : 0);
  uint64_t bits = 0;
  const auto [end, problem] = std::from_chars(digits, text.data() + text.size(), bits, is_hex ? 16 : 10);
  if (problem != std::errc() || end != text.data() + text.size())
    throw Error::invalid("seccomp", text, "expected a number of at most 64 bits, such as \"0x5412\"");
  return bits;
}

std::string Action::text() const {
  for (const auto& known : kActionWords)
    if (known.action == *this) return std::string(known.word);
  const int data = static_cast<int>(value & SECCOMP_RET_DATA);
  const bool is_errno = (value & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
  return is_errno ? "errno:" + errno_name(data) : "trace:" + std::to_string(data);
}

void Filter::load(LoadOptions options) const {
  const sock_fprog program = {static_cast<unsigned short>(program_.size()),
                              const_cast<sock_filter*>(program_.data())};
  const unsigned flags = options.log ? SECCOMP_FILTER_FLAG_LOG : 0;
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0) return;
  throw Error("seccomp", "filter of " + std::to_string(size()) + " instructions", errno,
              errno == EACCES ? "set no_new_privs first" : "");
}

Filter compile(const Ruleset& ruleset) {
  validate(ruleset);
  const auto abis = abis_of(ruleset);
  std::vector<uint32_t> audits;
  for (const Abi* abi : abis)
    if (std::count(audits.begin(), audits.end(), abi->audit) == 0) audits.push_back(abi->audit);

  Assembler program;
  auto otherwise = program.place({answer(Action::kill)});
  for (auto audit = audits.rbegin(); audit != audits.rend(); ++audit) {
    const auto own = add_program(program, *audit, ruleset, abis);
    otherwise = program.branch(BPF_JEQ, *audit, own, otherwise);
  }
  program.put(load_word(offsetof(seccomp_data, arch)));
  Code code = program.code();
  if (code.size() > BPF_MAXINSNS)
    throw Error::invalid("seccomp", std::to_string(code.size()) + " instructions",
                         "the kernel takes at most 4096");
  return Filter(std::move(code));
}

std::vector<std::string> describe(const Ruleset& ruleset) {
  std::vector<std::string> lines;
  for (const auto& rule : ruleset.rules) {
    std::string tests;
    for (const auto& test : rule.args) tests += (tests.empty() ? " where " : " and ") + describe_test(test);
    const std::string outcome = ": " + rule.action.text() + tests;
    for (const auto& name : rule.names) lines.push_back(name + outcome);
  }
  lines.push_back("default: " + ruleset.default_action.text());
  lines.push_back("newer calls: " + newer_action(ruleset).text());
  return lines;
}

std::string call_name(uint32_t audit, uint32_t number) {
  for (const Abi& abi : kAbis)
    if (abi.audit == audit)
      for (const auto& [name, known] : table_of(abi))
        if (known == number) return name;
  return std::to_string(number);
}

}  // namespace luabox
