#include "engine/device_filter.hpp"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/error.hpp"
#include "engine/fd.hpp"

namespace luabox {
namespace {

constexpr int kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

struct DeviceRule {
  int type = 0, access = 0;
  std::optional<int> major, minor;  ///< nothing: any
};

std::optional<int> number(const std::string& text) {
  return text == "*" ? std::nullopt : std::optional<int>(std::stoi(text));
}

DeviceRule parse(const std::string& rule) {
  const size_t colon = rule.find(':'), blank = rule.find(' ', 2);
  if (colon == std::string::npos || blank == std::string::npos)
    throw Error::invalid("device rule", rule, "expected \"c 1:3 rwm\"");
  DeviceRule parsed;
  parsed.type = rule[0] == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
  parsed.major = number(rule.substr(2, colon - 2));
  parsed.minor = number(rule.substr(colon + 1, blank - colon - 1));
  for (const char letter : rule.substr(blank + 1))
    parsed.access |= letter == 'r'   ? BPF_DEVCG_ACC_READ
                     : letter == 'w' ? BPF_DEVCG_ACC_WRITE
                                     : BPF_DEVCG_ACC_MKNOD;
  return parsed;
}

// The few instructions that it takes; registers: r2 type, r3 access asked for, r4 major, r5 minor.

bpf_insn instruction(int code, int to, int from, int offset, int value) {
  bpf_insn made = {};
  made.code = static_cast<uint8_t>(code);
  made.dst_reg = static_cast<uint8_t>(to & 15);
  made.src_reg = static_cast<uint8_t>(from & 15);
  made.off = static_cast<int16_t>(offset);
  made.imm = value;
  return made;
}
bpf_insn load(int to, size_t field) {
  return instruction(BPF_LDX | BPF_W | BPF_MEM, to, BPF_REG_1, static_cast<int>(field), 0);
}
bpf_insn compute(int operation, int to, int value) {
  return instruction(BPF_ALU | operation | BPF_K, to, 0, 0, value);
}
bpf_insn copy(int to, int from) { return instruction(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0); }
bpf_insn skip_unless_equal(int what, int value) {
  return instruction(BPF_JMP | BPF_JNE | BPF_K, what, 0, 0, value);
}
bpf_insn leave() { return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

/// One rule: allowed, or on to the next one.
void append(std::vector<bpf_insn>& program, const DeviceRule& rule) {
  std::vector<bpf_insn> part = {skip_unless_equal(BPF_REG_2, rule.type)};
  if (rule.access != kAllAccess) {
    part.push_back(copy(BPF_REG_1, BPF_REG_3));
    part.push_back(compute(BPF_AND, BPF_REG_1, kAllAccess & ~rule.access));
    part.push_back(skip_unless_equal(BPF_REG_1, 0));
  }
  if (rule.major) part.push_back(skip_unless_equal(BPF_REG_4, *rule.major));
  if (rule.minor) part.push_back(skip_unless_equal(BPF_REG_5, *rule.minor));
  part.push_back(compute(BPF_MOV, BPF_REG_0, 1));
  part.push_back(leave());
  for (size_t i = 0; i < part.size(); ++i)
    if (part[i].code == (BPF_JMP | BPF_JNE | BPF_K)) part[i].off = static_cast<int16_t>(part.size() - i - 1);
  program.insert(program.end(), part.begin(), part.end());
}

std::vector<bpf_insn> compiled(const std::vector<std::string>& rules) {
  std::vector<bpf_insn> program = {load(BPF_REG_2, offsetof(bpf_cgroup_dev_ctx, access_type)),
                                   copy(BPF_REG_3, BPF_REG_2),
                                   compute(BPF_AND, BPF_REG_2, 0xffff),
                                   compute(BPF_RSH, BPF_REG_3, 16),
                                   load(BPF_REG_4, offsetof(bpf_cgroup_dev_ctx, major)),
                                   load(BPF_REG_5, offsetof(bpf_cgroup_dev_ctx, minor))};
  for (const auto& rule : rules) append(program, parse(rule));
  program.push_back(compute(BPF_MOV, BPF_REG_0, 0));
  program.push_back(leave());
  return program;
}

int bpf(int command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

Fd loaded(const std::vector<bpf_insn>& instructions, const std::string& directory) {
  bpf_attr attributes = {};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<uintptr_t>(instructions.data());
  attributes.insn_cnt = static_cast<uint32_t>(instructions.size());
  attributes.license = reinterpret_cast<uintptr_t>("MIT");
  Fd program(bpf(BPF_PROG_LOAD, attributes));
  if (const int code = errno; !program)
    throw Error("bpf", "device filter of " + directory, code,
                code == EPERM ? "only the host's root may load one, and version 2 has no other way" : "");
  return program;
}

/// The programs that are attached to the cgroup itself, by number.
std::vector<uint32_t> attached_to(const Fd& cgroup, const std::string& directory) {
  std::vector<uint32_t> numbers(64);  // what the kernel takes at most
  bpf_attr attributes = {};
  attributes.query.target_fd = static_cast<uint32_t>(cgroup.get());
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = reinterpret_cast<uintptr_t>(numbers.data());
  attributes.query.prog_cnt = static_cast<uint32_t>(numbers.size());
  if (bpf(BPF_PROG_QUERY, attributes) < 0) throw Error("bpf", "query the device filters of " + directory);
  numbers.resize(attributes.query.prog_cnt);
  return numbers;
}

void change(int command, const Fd& cgroup, const Fd& program, const std::string& what) {
  bpf_attr attributes = {};
  attributes.target_fd = static_cast<uint32_t>(cgroup.get());
  attributes.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  if (command == BPF_PROG_ATTACH) attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf(command, attributes) < 0) throw Error("bpf", what);
}

void detach(const Fd& cgroup, uint32_t number, const std::string& directory) {
  bpf_attr attributes = {};
  attributes.prog_id = number;
  const Fd program(bpf(BPF_PROG_GET_FD_BY_ID, attributes));
  if (!program) throw Error("bpf", "former device filter of " + directory);
  change(BPF_PROG_DETACH, cgroup, program, "detach the former device filter from " + directory);
}

}  // namespace

void attach_device_filter(const std::string& directory, const std::vector<std::string>& rules) {
  const Fd program = loaded(compiled(rules), directory);
  const Fd cgroup = Fd::open(directory, O_RDONLY | O_DIRECTORY);
  // All that are attached must allow a thing: the former ones go, when the new one is in force.
  const auto former = attached_to(cgroup, directory);
  change(BPF_PROG_ATTACH, cgroup, program, "attach the device filter to " + directory);
  for (const uint32_t number : former) detach(cgroup, number, directory);
}

}  // namespace luabox
