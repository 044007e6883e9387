#include "engine/seccomp.hpp"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <chrono>
#include <cstring>
#include <iostream>
#include <iterator>
#include <map>
#include <random>
#include <set>

#include "engine/seccomp_profile.hpp"
#include "engine/security.hpp"
#include "engine/user.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

// As libseccomp and as the filter name them.
constexpr std::pair<uint32_t, uint32_t> kAbis[] = {{SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64},
                                                   {SCMP_ARCH_X86, AUDIT_ARCH_I386}};

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t errno_action(int code) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(code); }

/// What the kernel's interpreter would answer. Throws where it would refuse the program.
uint32_t run(const std::vector<sock_filter>& program, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t at = 0; at < program.size(); ++at) {
    const auto& [code, jt, jf, k] = program[at];
    switch (code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (k % 4 != 0 || k + 4 > sizeof data) throw std::runtime_error("load out of range");
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + k, sizeof a);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= k;
        break;
      case BPF_JMP | BPF_JA:
        at += k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += a == k ? jt : jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        at += a > k ? jt : jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += a >= k ? jt : jf;
        break;
      case BPF_RET | BPF_K:
        return k;
      default:
        throw std::runtime_error("unknown instruction");
    }
  }
  throw std::runtime_error("ran off the end");
}

seccomp_data call(uint32_t arch, uint32_t number, std::vector<uint64_t> args = {}) {
  seccomp_data data = {};
  data.nr = static_cast<int>(number);
  data.arch = arch;
  std::copy(args.begin(), args.end(), data.args);
  return data;
}

const std::vector<sock_filter>& default_program() {
  static const Filter filter = profile_for(kDefaultCapabilities);
  return filter.program();
}

bool holds(const ArgumentTest& test, const seccomp_data& data) {
  const uint64_t left = data.args[test.index] & test.mask;
  switch (test.op) {
    case Comparison::equal:
      return left == test.value;
    case Comparison::not_equal:
      return left != test.value;
    case Comparison::less:
      return left < test.value;
    case Comparison::less_or_equal:
      return left <= test.value;
    case Comparison::greater:
      return left > test.value;
    case Comparison::greater_or_equal:
      return left >= test.value;
  }
  return false;
}

/// What the header promises: the first rule that holds, else the default.
uint32_t expected_answer(const Ruleset& ruleset, const std::string& name, const seccomp_data& data) {
  for (const auto& rule : ruleset.rules)
    if (std::count(rule.names.begin(), rule.names.end(), name) != 0 &&
        std::all_of(rule.args.begin(), rule.args.end(), [&](const auto& test) { return holds(test, data); }))
      return rule.action.value;
  return ruleset.default_action.value;
}

/// The name that libseccomp knows a number by; "" for none.
std::string name_of(uint32_t arch, uint32_t number) {
  char* found = ::seccomp_syscall_resolve_num_arch(arch, static_cast<int>(number));
  std::string name = found ? found : "";
  std::free(found);
  return name;
}

std::vector<std::string> split(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

/// Random values that lie near each other, in the lower half, the upper half and both.
class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  uint64_t below(uint64_t limit) { return std::uniform_int_distribution<uint64_t>(0, limit - 1)(engine_); }
  uint64_t value() {
    static constexpr uint64_t kEdges[] = {0,          1,          2,           0x5412,      0x7fffffff,
                                          0x80000000, 0xffffffff, 0x100000000, 0x100000001, ~uint64_t{0}};
    return kEdges[below(std::size(kEdges))] + below(3) - 1;
  }
  ArgumentTest test() {
    static constexpr uint64_t kMasks[] = {~uint64_t{0}, kInt, 0xff, 0x7e020000, 0xffffffff00000000};
    ArgumentTest made{static_cast<unsigned>(below(6)), static_cast<Comparison>(below(6)), value(),
                      kMasks[below(std::size(kMasks))]};
    if (made.op == Comparison::equal || made.op == Comparison::not_equal) made.value &= made.mask;
    return made;
  }

 private:
  std::mt19937 engine_;
};

seccomp_data random_call(Random& random, uint32_t arch, uint32_t number) {
  return call(
      arch, number,
      {random.value(), random.value(), random.value(), random.value(), random.value(), random.value()});
}

double microseconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

int errno_of(long result) { return result < 0 ? errno : 0; }

#if defined(__x86_64__)
/// A call through the 32-bit gate of a 64-bit process; -errno where it fails.
int i386_call(int number, unsigned first = 0, unsigned second = 0, unsigned third = 0) {
  int result = 0;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(first), "c"(second), "d"(third), "S"(0), "D"(0)
                   : "memory", "r8", "r9", "r10", "r11");
  return result;
}

constexpr int kGetpid32 = 20;

/// A kernel may be without 32-bit programs, or a virtual machine without the gate: the call is then a fault.
bool has_32_bit_gate() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    ::_exit(i386_call(kGetpid32) == ::getpid() ? 0 : 1);
  }
  int status = 1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}
#endif

void confine() {
  no_new_privs();
  profile_for(kDefaultCapabilities).load();
}

int exit_status(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

constexpr const char* kDockerAllows =
    "_llseek _newselect accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset "
    "chdir chmod chown chown32 chroot clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 "
    "clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 clone close close_range connect "
    "copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait "
    "epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat "
    "faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown "
    "fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr "
    "fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue "
    "futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu "
    "getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 "
    "getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 "
    "getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid "
    "getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel "
    "io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get "
    "ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 "
    "lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr "
    "lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat "
    "mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open "
    "mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal "
    "msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat "
    "open openat openat2 pause personality pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free "
    "pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease "
    "process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read "
    "readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages "
    "removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq "
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min "
    "sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler "
    "sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 "
    "sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid "
    "setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 "
    "setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid "
    "setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 "
    "sigprocmask sigreturn socket socketcall socketpair splice stat stat64 statfs statfs64 statmount "
    "statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 "
    "timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill "
    "truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat "
    "utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

// What docker allows and luabox does not, each with its reason.
const std::map<std::string, std::string> kExceptions = {
    {"process_vm_readv", "reads another process's memory: with sys_ptrace only"},
    {"process_vm_writev", "writes another process's memory: with sys_ptrace only"},
    {"listmount", "ENOSYS: the mount table is the business of who may mount"},
    {"statmount", "ENOSYS: the mount table is the business of who may mount"},
    {"riscv_hwprobe", "no ABI here has it"},
};

// The numbers of Linux 6.18, for names that libseccomp 2.5 doesn't have.
const std::map<std::string, uint32_t> kRecent = {
    {"uretprobe", 335},   {"cachestat", 451},    {"fchmodat2", 452},     {"map_shadow_stack", 453},
    {"futex_wake", 454},  {"futex_wait", 455},   {"futex_requeue", 456}, {"statmount", 457},
    {"listmount", 458},   {"mseal", 462},        {"setxattrat", 463},    {"getxattrat", 464},
    {"listxattrat", 465}, {"removexattrat", 466}};

}  // namespace

TEST_CASE("a program answers every number of every ABI as its rules in order do") {
  Random random(1);
  for (int round = 0; round < 20; ++round) {
    Ruleset ruleset;
    ruleset.default_action = Action::error(static_cast<int>(random.below(100)) + 1);
    for (int i = 0; i < 150; ++i) {
      Rule rule;
      while (rule.names.empty())
        if (const auto name = name_of(SCMP_ARCH_X86_64, static_cast<uint32_t>(random.below(450)));
            !name.empty())
          rule.names.push_back(name);
      rule.action =
          random.below(2) == 0 ? Action::allow : Action::error(static_cast<int>(random.below(5)) + 200);
      for (uint64_t tests = random.below(4); tests > 0; --tests) rule.args.push_back(random.test());
      ruleset.rules.push_back(rule);
    }
    const Filter filter = compile(ruleset);
    for (const auto& [arch, audit] : kAbis)
      for (uint32_t number = 0; number <= 450; ++number)
        for (int sample = 0; sample < 8; ++sample) {
          const auto data = random_call(random, audit, number);
          const uint32_t wanted = expected_answer(ruleset, name_of(arch, number), data);
          if (run(filter.program(), data) == wanted) continue;
          FAIL("round " << round << ", ABI " << std::hex << audit << std::dec << ", call " << number);
        }
  }
}

TEST_CASE("a program answers as libseccomp's own for the same rules") {
  Random random(2);
  scmp_filter_ctx reference = ::seccomp_init(SCMP_ACT_ERRNO(EPERM));
  REQUIRE(::seccomp_arch_add(reference, SCMP_ARCH_X86) == 0);
  static constexpr scmp_compare kOps[] = {SCMP_CMP_EQ, SCMP_CMP_NE, SCMP_CMP_LT,
                                          SCMP_CMP_LE, SCMP_CMP_GT, SCMP_CMP_GE};
  Ruleset ruleset;
  std::set<std::string> used;
  // Those that libseccomp also reaches through socketcall and ipc on x86 it treats in a way of its own.
  const auto multiplexed = [](const std::string& name) {
    return ::seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86, name.c_str()) < 0;
  };
  for (uint32_t number = 0; number <= 450; ++number) {
    const std::string name = name_of(SCMP_ARCH_X86_64, number);
    if (name.empty() || multiplexed(name) || random.below(3) == 0) continue;
    const auto op = static_cast<size_t>(random.below(6));
    const unsigned index = static_cast<unsigned>(random.below(6));
    const uint64_t value = random.value() & kInt;
    if (random.below(2) == 0) {
      ruleset.rules.push_back({{name}, Action::allow, {}});
      REQUIRE(::seccomp_rule_add(reference, SCMP_ACT_ALLOW, static_cast<int>(number), 0) == 0);
    } else {
      ruleset.rules.push_back(
          {{name}, Action::allow, {{.index = index, .op = static_cast<Comparison>(op), .value = value}}});
      const scmp_arg_cmp test = {index, kOps[op], value, 0};
      REQUIRE(::seccomp_rule_add_array(reference, SCMP_ACT_ALLOW, static_cast<int>(number), 1, &test) == 0);
    }
  }
  std::FILE* file = std::tmpfile();
  REQUIRE(::seccomp_export_bpf(reference, ::fileno(file)) == 0);
  ::seccomp_release(reference);
  const off_t size = ::lseek(::fileno(file), 0, SEEK_END);
  REQUIRE(size > 0);
  std::vector<sock_filter> theirs(static_cast<size_t>(size) / sizeof(sock_filter));
  REQUIRE(::pread(::fileno(file), theirs.data(), theirs.size() * sizeof(sock_filter), 0) > 0);
  std::fclose(file);

  const Filter ours = compile(ruleset);
  for (const auto& [arch, audit] : kAbis)
    for (uint32_t number = 0; number <= 450; ++number)
      for (int sample = 0; sample < 16; ++sample) {
        auto data = random_call(random, audit, number);
        if (audit == AUDIT_ARCH_I386)  // there registers have 32 bits
          for (auto& argument : data.args) argument &= kInt;
        if (run(ours.program(), data) == run(theirs, data)) continue;
        FAIL("ABI " << std::hex << audit << std::dec << ", call " << number);
      }
}

TEST_CASE("what docker allows is allowed, but for the exceptions written here") {
  std::set<std::string> refused;
  for (const auto& name : split(kDockerAllows)) {
    bool allowed = false;
    for (const auto& [arch, audit] : kAbis)
      for (uint32_t number = 0; number <= 469; ++number) {
        const auto recent = kRecent.find(name);
        const bool native_only =
            recent != kRecent.end() && recent->second < 400 && audit != AUDIT_ARCH_X86_64;
        if (name_of(arch, number) != name &&
            (recent == kRecent.end() || recent->second != number || native_only))
          continue;
        allowed = run(default_program(), call(audit, number)) == kAllow;
        if (!allowed) refused.insert(name);
      }
  }
  for (const auto& name : refused) {
    INFO(name);
    CHECK(kExceptions.count(name) == 1);
  }
  for (const auto& [name, why] : kExceptions) {
    INFO(name << ": " << why);
    CHECK((refused.count(name) == 1 || name == "riscv_hwprobe"));
  }
}

TEST_CASE("what reaches the host's kernel is refused in each ABI") {
  const auto names = split(
      "unshare setns mount umount2 pivot_root open_tree fsopen fsmount move_mount mount_setattr fspick "
      "fsconfig swapon swapoff "
      "keyctl add_key request_key bpf perf_event_open io_uring_setup io_uring_enter io_uring_register "
      "userfaultfd init_module "
      "finit_module delete_module create_module kexec_load kexec_file_load open_by_handle_at "
      "process_vm_readv process_vm_writev "
      "kcmp pidfd_getfd process_madvise acct quotactl quotactl_fd settimeofday clock_settime "
      "iopl ioperm "
      "syslog vhangup reboot nfsservctl lookup_dcookie uselib ustat sysfs vm86 vm86old set_mempolicy mbind "
      "move_pages "
      "get_mempolicy migrate_pages fanotify_init sethostname setdomainname _sysctl");
  for (const auto& [arch, audit] : kAbis)
    for (uint32_t number = 0; number <= 450; ++number) {
      const std::string name = name_of(arch, number);
      if (std::count(names.begin(), names.end(), name) == 0) continue;
      INFO(name);
      CHECK(run(default_program(), call(audit, number)) == errno_action(EPERM));
    }
}

TEST_CASE("a call newer than the table is ENOSYS, so that programs fall back") {
  for (const auto& [arch, audit] : kAbis)
    for (const uint32_t number : {470U, 500U, 1000U, 0x3fffffffU, 0xffffffffU})
      CHECK(run(default_program(), call(audit, number)) == errno_action(ENOSYS));
  CHECK(run(compile(strict_profile()).program(), call(AUDIT_ARCH_X86_64, 470)) == SECCOMP_RET_KILL_PROCESS);
}

TEST_CASE("an ABI that the filter isn't for ends the process") {
  CHECK(run(default_program(), call(AUDIT_ARCH_AARCH64, 0)) == SECCOMP_RET_KILL_PROCESS);
  const auto native = build({.base = Profile::standard, .architectures = {"x86_64"}});
  CHECK(run(native.program(), call(AUDIT_ARCH_I386, 1)) == SECCOMP_RET_KILL_PROCESS);
}

TEST_CASE("x32 numbers get round neither a list of what is allowed nor one of what is denied") {
  const auto denying = build({.default_action = Action::allow, .deny = {"ioctl", "execve"}});
  for (const auto& program : {default_program(), denying.program()})
    for (const uint32_t number :
         {16U, 59U, 514U, 520U, 547U}) {  // ioctl and execve, in the 64-bit table and in x32's own
      CHECK(run(program, call(AUDIT_ARCH_X86_64, 0x40000000 | number)) == errno_action(ENOSYS));
      if (number >= 512) CHECK(run(program, call(AUDIT_ARCH_X86_64, number)) == errno_action(ENOSYS));
    }
  const auto asked =
      build({.default_action = Action::allow, .deny = {"ioctl"}, .architectures = {"x86_64", "x32"}});
  for (const uint32_t number : {16U, 514U})
    CHECK(run(asked.program(), call(AUDIT_ARCH_X86_64, 0x40000000 | number)) == errno_action(EPERM));
  CHECK(run(asked.program(), call(AUDIT_ARCH_X86_64, 0x40000000 | 39)) == kAllow);
}

TEST_CASE("no argument's upper half gets round a rule about an int") {
  const auto answer = [](uint32_t number, std::vector<uint64_t> args) {
    return run(default_program(), call(AUDIT_ARCH_X86_64, number, std::move(args)));
  };
  for (const uint64_t upper : {uint64_t{0}, uint64_t{1} << 32U, ~kInt}) {
    CHECK(answer(SYS_ioctl, {0, upper | TIOCSTI}) == errno_action(EPERM));
    CHECK(answer(SYS_ioctl, {0, upper | TIOCLINUX}) == errno_action(EPERM));
    CHECK(answer(SYS_ioctl, {0, upper | TIOCGWINSZ}) == kAllow);
    CHECK(answer(SYS_socket, {upper | AF_VSOCK}) == errno_action(EPERM));
    CHECK(answer(SYS_socket, {upper | AF_ALG}) == errno_action(EPERM));
    CHECK(answer(SYS_socket, {upper | AF_NETLINK, SOCK_RAW, upper | 9}) == errno_action(EAFNOSUPPORT));
    CHECK(answer(SYS_socket, {upper | AF_NETLINK, SOCK_RAW, 0}) == kAllow);
    CHECK(answer(SYS_socket, {upper | AF_INET}) == kAllow);
    CHECK(answer(SYS_personality, {upper | 0xffffffff}) == kAllow);
    CHECK(answer(SYS_personality, {upper | 0x0040000}) == errno_action(EPERM));
    for (const uint64_t flag : {CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWUTS,
                                CLONE_NEWIPC, CLONE_NEWCGROUP})
      CHECK(answer(SYS_clone, {upper | flag | SIGCHLD}) == errno_action(EPERM));
    CHECK(answer(SYS_clone, {upper | CLONE_VM | CLONE_VFORK | SIGCHLD}) == kAllow);
  }
  CHECK(run(default_program(), call(AUDIT_ARCH_I386, 102, {1})) ==
        errno_action(EPERM));  // socketcall(SYS_SOCKET)
  CHECK(run(default_program(), call(AUDIT_ARCH_I386, 102, {3})) == kAllow);
  CHECK(run(default_program(), call(AUDIT_ARCH_I386, 359, {AF_VSOCK})) == errno_action(EPERM));
  CHECK(run(default_program(), call(AUDIT_ARCH_I386, 54, {0, TIOCSTI})) == errno_action(EPERM));
}

TEST_CASE("a granted capability allows its calls and no others") {
  const std::vector<std::tuple<int, long, uint32_t>> grants = {
      {CAP_SYS_ADMIN, SYS_mount, EPERM},
      {CAP_SYS_ADMIN, SYS_unshare, EPERM},
      {CAP_SYS_ADMIN, SYS_clone3, ENOSYS},
      {CAP_SYS_ADMIN, SYS_bpf, EPERM},
      {CAP_BPF, SYS_bpf, EPERM},
      {CAP_PERFMON, SYS_perf_event_open, EPERM},
      {CAP_SYS_PTRACE, SYS_kcmp, EPERM},
      {CAP_SYS_MODULE, SYS_init_module, EPERM},
      {CAP_SYS_TIME, SYS_settimeofday, EPERM},
      {CAP_SYS_BOOT, SYS_reboot, EPERM},
      {CAP_SYS_NICE, SYS_mbind, EPERM},
      {CAP_SYS_RAWIO, SYS_iopl, EPERM},
      {CAP_SYS_PACCT, SYS_acct, EPERM},
      {CAP_SYSLOG, SYS_syslog, EPERM},
      {CAP_SYS_TTY_CONFIG, SYS_vhangup, EPERM},
      {CAP_DAC_READ_SEARCH, SYS_open_by_handle_at, EPERM},
      {CAP_SYS_CHROOT, SYS_chroot, EPERM}};
  const auto without = profile_for({});
  for (const auto& [capability, number, refusal] : grants) {
    const auto data = call(AUDIT_ARCH_X86_64, static_cast<uint32_t>(number));
    CHECK(run(without.program(), data) == errno_action(static_cast<int>(refusal)));
    CHECK(run(profile_for({capability}).program(), data) == kAllow);
  }
  const auto audit = call(AUDIT_ARCH_X86_64, SYS_socket, {AF_NETLINK, SOCK_RAW, 9});
  CHECK(run(profile_for({CAP_AUDIT_READ}).program(), audit) == kAllow);
  CHECK(run(profile_for({CAP_SYS_ADMIN}).program(), call(AUDIT_ARCH_X86_64, SYS_clone, {CLONE_NEWUSER})) ==
        kAllow);
  CHECK(run(profile_for({CAP_SYS_ADMIN}).program(), call(AUDIT_ARCH_X86_64, SYS_init_module)) ==
        errno_action(EPERM));
}

TEST_CASE("the program made at build time is the one that would be made now") {
  const auto same = [](const std::vector<sock_filter>& a, const std::vector<sock_filter>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
  };
  const auto now = compile(default_profile(kDefaultCapabilities)).program();
  const auto prebuilt = prebuilt_profile();
  CHECK(same({prebuilt.begin(), prebuilt.end()}, now));
  const CapabilitySet docker = CapabilitySet::of_bits(
      kDefaultCapabilities.bits() | CapabilitySet{CAP_MKNOD, CAP_NET_RAW, CAP_AUDIT_WRITE}.bits());
  CHECK(same(profile_for(docker).program(), now));
  CHECK(same(build({}).program(), now));
  CHECK_FALSE(same(profile_for({}).program(), now));
}

TEST_CASE("an action is a word that reads back the same") {
  for (const std::string word : {"allow", "log", "trap", "kill", "kill_thread", "errno:ENOSYS", "trace:7"})
    CHECK(Action::parse(word).text() == word);
  CHECK(Action::parse("errno") == Action::error(EPERM));
  CHECK(Action::parse("errno:38") == Action::error(ENOSYS));
  for (const std::string word :
       {"", "deny", "errno:", "errno:EFOO", "errno:-1", "errno:4096", "errno:1x", "trace:65536", "notify"})
    CHECK(code_of([&] { Action::parse(word); }) == EINVAL);
}

TEST_CASE("a misspelt system call is an error with the nearest name, or passed over where asked") {
  try {
    compile({.rules = {{{"pesonality"}, Action::allow, {}}}});
    FAIL("it was taken");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) ==
          "seccomp pesonality: unknown system call 'pesonality' (did you mean 'personality'?)");
  }
  CHECK(code_of([] {
          compile({.rules = {{{"read", "pesonality"}, Action::allow, {}}}, .ignore_unknown = true});
        }) == 0);
  CHECK(code_of([] {
          compile({.rules = {{{"cacheflush"}, Action::allow, {}}}});
        }) == 0);  // another machine's
  CHECK(code_of([] { compile({.rules = {{{"read"}, Action::allow, {{.index = 6}}}}}); }) == EINVAL);
  CHECK(code_of([] { compile({.architectures = {"x86-64"}}); }) == EINVAL);
}

TEST_CASE("a program longer than the kernel takes is an error, and a long one jumps where it should") {
  Ruleset ruleset;
  for (uint32_t number = 0; number < 200; number += 2)
    if (const auto name = name_of(SCMP_ARCH_X86_64, number); !name.empty())
      for (uint64_t value = 0; value < 3; ++value)  // each call's own: what is the same is written once
        ruleset.rules.push_back({{name}, Action::allow, {{.index = 0, .value = number + value}}});
  const Filter filter = compile(ruleset);
  CHECK(filter.size() > 1000);
  CHECK(std::any_of(filter.program().begin(), filter.program().end(),
                    [](const sock_filter& each) { return each.code == (BPF_JMP | BPF_JA) && each.k > 255; }));
  for (uint32_t number = 0; number < 200; ++number)
    for (uint64_t value = number; value < number + 4; ++value) {
      const auto data = call(AUDIT_ARCH_X86_64, number, {value});
      CHECK(run(filter.program(), data) == expected_answer(ruleset, name_of(SCMP_ARCH_X86_64, number), data));
    }
  for (uint64_t value = 0; value < 2000; ++value)
    ruleset.rules.push_back({{"read"}, Action::error(EIO), {{.index = 0, .value = value}}});
  CHECK(code_of([&] { compile(ruleset); }) == EINVAL);
}

TEST_CASE("denials come before what is allowed, and both before the profile") {
  const auto filter = build({.deny = {"ptrace", "mount"}, .allow = {"mount", "keyctl"}});
  CHECK(run(filter.program(), call(AUDIT_ARCH_X86_64, SYS_ptrace)) == errno_action(EPERM));
  CHECK(run(filter.program(), call(AUDIT_ARCH_X86_64, SYS_mount)) == errno_action(EPERM));
  CHECK(run(filter.program(), call(AUDIT_ARCH_X86_64, SYS_keyctl)) == kAllow);
  CHECK(run(filter.program(), call(AUDIT_ARCH_X86_64, SYS_read)) == kAllow);
  CHECK(run(filter.program(), call(AUDIT_ARCH_X86_64, SYS_bpf)) == errno_action(EPERM));
}

TEST_CASE("a profile can be told in words") {
  const auto lines = describe(default_profile(kDefaultCapabilities));
  const auto has = [&](const std::string& line) { return std::count(lines.begin(), lines.end(), line) == 1; };
  CHECK(has("ioctl: errno:EPERM where (arg1 & 0xffffffff) == 0x5412"));
  CHECK(has("clone3: errno:ENOSYS"));
  CHECK(has("default: errno:EPERM"));
  CHECK(has("newer calls: errno:ENOSYS"));
}

// ---- from outside: what a filtered process really gets

TEST_CASE("a filtered process gets EPERM for what is refused, where it got something else before") {
  in_child(0, [] {
    const std::vector<std::pair<std::string, std::function<long()>>> calls = {
        {"mount", [] { return ::syscall(SYS_mount, 0, 0, 0, 0, 0); }},
        {"umount2", [] { return ::syscall(SYS_umount2, 0, 0); }},
        {"pivot_root", [] { return ::syscall(SYS_pivot_root, 0, 0); }},
        {"open_tree", [] { return ::syscall(SYS_open_tree, -1, 0, ~0U); }},
        {"fsopen", [] { return ::syscall(SYS_fsopen, 0, 0); }},
        {"move_mount", [] { return ::syscall(SYS_move_mount, -1, 0, -1, 0, 0); }},
        {"mount_setattr", [] { return ::syscall(SYS_mount_setattr, -1, 0, 0, 0, 0); }},
        {"unshare", [] { return ::syscall(SYS_unshare, 0); }},
        {"setns", [] { return ::syscall(SYS_setns, -1, 0); }},
        {"clone", [] { return ::syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS, 0, 0, 0, 0); }},
        {"keyctl", [] { return ::syscall(SYS_keyctl, 0, -3, 0); }},
        {"add_key", [] { return ::syscall(SYS_add_key, 0, 0, 0, 0, 0); }},
        {"bpf", [] { return ::syscall(SYS_bpf, -1, 0, 0); }},
        {"perf_event_open", [] { return ::syscall(SYS_perf_event_open, 0, 0, 0, -1, 0); }},
        {"io_uring_setup", [] { return ::syscall(SYS_io_uring_setup, 0, 0); }},
        {"userfaultfd", [] { return ::syscall(SYS_userfaultfd, ~0); }},
        {"init_module", [] { return ::syscall(SYS_init_module, 0, 0, 0); }},
        {"open_by_handle_at", [] { return ::syscall(SYS_open_by_handle_at, -1, 0, 0); }},
        {"process_vm_readv", [] { return ::syscall(SYS_process_vm_readv, 0, 0, 0, 0, 0, 0); }},
        {"kcmp", [] { return ::syscall(SYS_kcmp, 0, 0, 0, 0, 0); }},
        {"quotactl", [] { return ::syscall(SYS_quotactl, -1, 0, 0, 0); }},
        {"settimeofday", [] { return ::syscall(SYS_settimeofday, 1, 0); }},
        {"clock_settime", [] { return ::syscall(SYS_clock_settime, -1, 0); }},
        {"syslog", [] { return ::syscall(SYS_syslog, -1, 0, 0); }},
        {"mbind", [] { return ::syscall(SYS_mbind, 0, 0, -1, 0, 0, ~0U); }},
        {"fanotify_init", [] { return ::syscall(SYS_fanotify_init, ~0U, 0); }},
        {"socket AF_ALG", [] { return ::syscall(SYS_socket, AF_ALG, -1, 0); }},
        {"socket AF_VSOCK", [] { return ::syscall(SYS_socket, AF_VSOCK | 1UL << 32U, -1, 0); }},
        {"TIOCSTI", [] { return ::syscall(SYS_ioctl, -1, TIOCSTI, 0); }},
        {"TIOCSTI with upper half", [] { return ::syscall(SYS_ioctl, -1, TIOCSTI | 1UL << 32U, 0); }},
        {"personality", [] { return ::syscall(SYS_personality, 0x0040000); }}};
    std::set<std::string> telling;  // as nobody some are EPERM anyway
    for (const auto& [name, attempt] : calls)
      if (errno_of(attempt()) != EPERM) telling.insert(name);
    expect(!is_root() || telling.size() >= calls.size() - 2, "most calls tell the filter from the kernel");
    confine();
    for (const auto& [name, attempt] : calls)
      expect(errno_of(attempt()) == EPERM, name + " is refused, not " + errno_name(errno));
    expect(errno_of(::syscall(SYS_clone3, 0, 0)) == ENOSYS, "clone3 is ENOSYS");
    expect(errno_of(::syscall(470)) == ENOSYS, "an unknown call is ENOSYS");
    expect(errno_of(::syscall(SYS_personality, 0xffffffff)) == 0, "the personality may be asked for");
    expect(::socket(AF_UNIX, SOCK_STREAM, 0) >= 0, "an ordinary socket");
  });
}

#if defined(__x86_64__)
TEST_CASE("the 32-bit gate and x32 numbers don't get round the filter") {
  if (!has_32_bit_gate()) SKIP_TEST("needs a kernel with the 32-bit gate");
  in_child(0, [] {
    constexpr int kMount = 21, kUnshare = 310, kKeyctl = 288, kSocketcall = 102, kSocket = 359, kIoctl = 54;
    confine();
    expect(i386_call(kGetpid32) == ::getpid(), "getpid works");
    for (const int number : {kMount, kUnshare, kKeyctl})
      expect(i386_call(number) == -EPERM, "32-bit call " + std::to_string(number) + " is refused");
    expect(i386_call(kSocketcall, 1) == -EPERM, "socketcall makes no socket");
    expect(i386_call(kSocket, AF_ALG, SOCK_SEQPACKET) == -EPERM, "no AF_ALG");
    expect(i386_call(kSocket, AF_UNIX, SOCK_STREAM) >= 0, "AF_UNIX");
    expect(i386_call(kIoctl, 0, TIOCSTI) == -EPERM, "no TIOCSTI");
    for (const long number : {SYS_mount, SYS_unshare, SYS_getpid})
      expect(errno_of(::syscall(0x40000000 | number, 0, 0, 0, 0, 0)) == ENOSYS, "x32 is not there");
  });
}
#endif

TEST_CASE("ordinary programs run under the default profile") {
  const std::vector<std::pair<std::string, std::string>> programs = {
      {"busybox",
       "busybox sh -c 'for i in 1 2 3; do echo $i; done | busybox sort -r | busybox wc -l' >/dev/null"},
      {"perl", "perl -e 'my $p = fork; if (!$p) { exit 3 } wait; exit(($? >> 8) == 3 ? 0 : 1)'"},
      {"python3",
       "python3 -c 'import threading,subprocess\n"
       "t=[threading.Thread(target=lambda: subprocess.check_call([\"true\"])) for _ in range(4)]\n"
       "[x.start() for x in t]; [x.join() for x in t]'"},
      {"gcc", "echo 'int main(void){return 0;}' | gcc -x c -o /dev/null -"}};
  for (const auto& [name, command] : programs) {
    if (exit_status("command -v " + name + " >/dev/null") != 0) {
      WARN("not here: " << name);
      continue;
    }
    in_child(0, [&name = name, &command = command] {
      confine();
      expect(exit_status(command) == 0, name + " runs");
    });
  }
}

TEST_CASE("strict leaves read, write and exit") {
  const auto run_strict = [](void (*body)()) {
    const pid_t child = ::fork();
    if (child == 0) {
      no_new_privs();
      compile(strict_profile()).load();
      body();
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  };
  const int good =
      run_strict([] { ::syscall(SYS_exit, ::write(-1, "", 0) == -1 && errno == EBADF ? 7 : 1); });
  CHECK((WIFEXITED(good) && WEXITSTATUS(good) == 7));
  const int bad = run_strict([] { ::syscall(SYS_exit, ::getppid() > 0); });
  CHECK((WIFSIGNALED(bad) && WTERMSIG(bad) == SIGSYS));
}

TEST_CASE("a filter that may not be loaded is an error that tells what it takes") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(0, [] {
    set_ids({.uid = 1000, .gid = 1000, .groups = {}});
    try {
      profile_for(kDefaultCapabilities).load();
    } catch (const Error& error) {
      expect(error.code() == EACCES && error.hint() == "set no_new_privs first", error.what());
      return;
    }
    expect(false, "an error");
  });
}

TEST_CASE("the measures of the default profile", "[measure]") {
  const double compiled = microseconds([] { compile(default_profile(kDefaultCapabilities)); });
  double loading = 0, without = 0, with = 0;
  const auto calls = [](long number) {
    return microseconds([number] {
             for (int i = 0; i < 100000; ++i) ::syscall(number, -1, 0, 0);
           }) /
           100000;
  };
  in_child(0, [&] {
    without = calls(SYS_ioctl);
    const double read_before = calls(SYS_getppid);
    no_new_privs();
    const Filter filter = profile_for(kDefaultCapabilities);
    loading = microseconds([&] { filter.load(); });
    with = calls(SYS_ioctl);
    std::cout << "seccomp: " << filter.size() << " instructions, load " << loading << " us; getppid "
              << 1000 * read_before << " -> " << 1000 * calls(SYS_getppid)
              << " ns, ioctl (arguments looked at) " << 1000 * without << " -> " << 1000 * with << " ns"
              << std::endl;
  });
  scmp_filter_ctx reference = ::seccomp_init(SCMP_ACT_ERRNO(EPERM));
  ::seccomp_arch_add(reference, SCMP_ARCH_X86);
  ::seccomp_attr_set(reference, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  const double theirs = microseconds([&] {
    for (const auto& name : split(kDockerAllows)) {
      const int number = ::seccomp_syscall_resolve_name(name.c_str());
      if (number != __NR_SCMP_ERROR) ::seccomp_rule_add(reference, SCMP_ACT_ALLOW, number, 0);
    }
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::seccomp_export_bpf(reference, null);
    ::close(null);
  });
  ::seccomp_release(reference);
  std::cout << "seccomp: compiled here in " << compiled << " us, by libseccomp in " << theirs << " us\n";
  CHECK(prebuilt_profile().size() < 300);  // its loading costs what its length does
}
