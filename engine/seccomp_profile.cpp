#include "engine/seccomp_profile.hpp"

#include <linux/audit.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <sstream>
#include <string_view>

namespace luabox {
namespace {

// Names of other ABIs (chown32, futex_time64, cacheflush) stand beside the native ones; each ABI takes those
// it has.
constexpr std::array<std::string_view, 19> kAllowed = {
    // Files by name
    "access chdir chmod chown chown32 creat faccessat faccessat2 fchmodat fchmodat2 fchownat file_getattr "
    "file_setattr futimesat "
    "getcwd lchown lchown32 link linkat mkdir mkdirat mknod mknodat name_to_handle_at open openat openat2 "
    "readlink readlinkat "
    "rename renameat renameat2 rmdir symlink symlinkat truncate truncate64 umask unlink unlinkat utime "
    "utimensat "
    "utimensat_time64 utimes",
    // What a file or a file system is
    "fstat fstat64 fstatat64 fstatfs fstatfs64 lstat lstat64 newfstatat stat stat64 statfs statfs64 statx",
    // Extended attributes
    "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat "
    "llistxattr lremovexattr "
    "lsetxattr removexattr removexattrat setxattr setxattrat",
    // Open files
    "_llseek cachestat close close_range copy_file_range dup dup2 dup3 fadvise64 fadvise64_64 fallocate "
    "fchdir fchmod fchown "
    "fchown32 fcntl fcntl64 fdatasync flock fsync ftruncate ftruncate64 getdents getdents64 lseek "
    "memfd_create memfd_secret "
    "pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile sendfile64 "
    "splice sync "
    "sync_file_range syncfs tee vmsplice write writev",
    // Waiting for files
    "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait "
    "epoll_wait_old eventfd "
    "eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch poll ppoll "
    "ppoll_time64 pselect6 "
    "pselect6_time64 select signalfd signalfd4",
    // Asynchronous input and output of the old kind; io_uring is refused, it goes round the filter
    "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit",
    // Sockets; which families is below
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg "
    "recvmmsg_time64 recvmsg send "
    "sendmmsg sendmsg sendto setsockopt shutdown socketpair",
    // System V and POSIX queues, semaphores and shared memory: the ipc namespace bounds them
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 mq_unlink "
    "msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget",
    // Memory
    "brk madvise map_shadow_stack mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync "
    "munlock munlockall munmap "
    "pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages",
    // Processes; clone is below
    "execve execveat exit exit_group fork getpgid getpgrp getpid getppid getsid gettid kill pause pidfd_open "
    "pidfd_send_signal "
    "prctl ptrace setpgid setsid tgkill tkill vfork wait4 waitid waitpid",
    // Threads
    "futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area "
    "membarrier "
    "restart_syscall rseq set_robust_list set_thread_area set_tid_address",
    // Users; what a process may become its capabilities tell
    "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid "
    "getresgid32 getresuid "
    "getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups "
    "setgroups32 setregid "
    "setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32",
    // Signals
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn",
    // Time: to read it and to wait. Who may not set it, the kernel keeps from that itself (adjtimex(2)).
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep "
    "clock_nanosleep_time64 getitimer "
    "gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_gettime64 "
    "timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 times",
    // Scheduling and limits; more than one's own needs a capability
    "getcpu getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_get_priority_max "
    "sched_get_priority_min "
    "sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 "
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield setpriority setrlimit "
    "ugetrlimit",
    // About the system
    "getrandom sysinfo uname",
    // A process that confines itself further
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    // x86: segments and thread areas, and the kernel's own probes, which kill a process that may not return
    // from them
    "arch_prctl modify_ldt uprobe uretprobe",
    // arm
    "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
};

/// The calls that are of use only with a capability.
struct Grant {
  int capability;
  std::string_view names;
};
constexpr std::array kGrants = {
    Grant{CAP_SYS_ADMIN,
          "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie "
          "lsm_get_self_attr "
          "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree open_tree_attr "
          "perf_event_open pivot_root "
          "quotactl quotactl_fd setdomainname sethostname setns statmount syslog umount umount2 unshare"},
    Grant{CAP_DAC_READ_SEARCH, "open_by_handle_at"},
    Grant{CAP_SYS_CHROOT, "chroot"},
    Grant{CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev"},
    Grant{CAP_SYS_NICE, "get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node"},
    Grant{CAP_SYS_TIME, "clock_settime clock_settime64 settimeofday stime"},
    Grant{CAP_SYS_MODULE, "delete_module finit_module init_module"},
    Grant{CAP_SYS_BOOT, "reboot"},
    Grant{CAP_SYS_PACCT, "acct"},
    Grant{CAP_SYS_RAWIO, "ioperm iopl"},
    Grant{CAP_SYS_TTY_CONFIG, "vhangup"},
    Grant{CAP_SYSLOG, "syslog"},
    Grant{CAP_BPF, "bpf"},
    Grant{CAP_PERFMON, "perf_event_open"},
};

constexpr CapabilitySet kAudit = {CAP_AUDIT_CONTROL, CAP_AUDIT_READ};

/// The capabilities that the profile depends on.
constexpr CapabilitySet relevant() {
  uint64_t bits = kAudit.bits();
  for (const auto& grant : kGrants) bits |= CapabilitySet{grant.capability}.bits();
  return CapabilitySet::of_bits(bits);
}

std::vector<std::string> words(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> list;
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

ArgumentTest int_is(unsigned index, uint64_t value) { return {.index = index, .value = value, .mask = kInt}; }

/// Namespaces: clone takes its flags in a register, of which the kernel reads the lower half. clone3 takes
/// them in memory, out of a filter's reach; ENOSYS makes the C library fall back on clone.
void add_clone(std::vector<Rule>& rules) {
  constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  rules.push_back({{"clone"}, Action::allow, {{.index = 0, .value = 0, .mask = kNamespaces}}});
  rules.push_back({{"clone3"}, Action::error(ENOSYS), {}});
}

void add_sockets(std::vector<Rule>& rules, CapabilitySet granted) {
  // Not confined by the network namespace (vsock reaches the hypervisor), or the kernel's cryptography, of
  // which no program depends.
  for (const int family : {AF_VSOCK, AF_ALG})
    rules.push_back({{"socket"}, Action::error(EPERM), {int_is(0, family)}});
  // Who logs in through PAM, su or sudo takes EAFNOSUPPORT for a kernel without audit, and any other error
  // for a failure.
  if ((granted & kAudit) == CapabilitySet{})
    rules.push_back(
        {{"socket"}, Action::error(EAFNOSUPPORT), {int_is(0, AF_NETLINK), int_is(2, NETLINK_AUDIT)}});
  rules.push_back({{"socket"}, Action::allow, {}});

  // 32-bit programs built before 2015 make sockets through socketcall, whose arguments lie in memory: a
  // family could not be refused.
  constexpr uint64_t kMakeSocket = 1;  // SYS_SOCKET, linux/net.h
  rules.push_back({{"socketcall"}, Action::error(EPERM), {int_is(0, kMakeSocket)}});
  rules.push_back({{"socketcall"}, Action::allow, {}});
}

void add_ioctl(std::vector<Rule>& rules) {
  // Both type into the terminal that luabox itself was started from. The kernel reads the lower half
  // (CVE-2019-10063).
  constexpr uint64_t kTiocsti = 0x5412, kTioclinux = 0x541c;
  for (const uint64_t request : {kTiocsti, kTioclinux})
    rules.push_back({{"ioctl"}, Action::error(EPERM), {int_is(1, request)}});
  rules.push_back({{"ioctl"}, Action::allow, {}});
}

void add_personality(std::vector<Rule>& rules) {
  // PER_LINUX, PER_LINUX32, both with UNAME26, and the question which it is. The others weaken the address
  // space's layout.
  for (const uint64_t harmless : {0x0, 0x8, 0x20000, 0x20008})
    rules.push_back({{"personality"}, Action::allow, {int_is(0, harmless)}});
  rules.push_back({{"personality"}, Action::allow, {int_is(0, kInt)}});
}

Profile base_of(const FilterSpec& spec) {
  return spec.base.value_or(spec.default_action ? Profile::none : Profile::standard);
}

}  // namespace

Ruleset default_profile(CapabilitySet granted) {
  Ruleset profile;
  for (const auto& grant : kGrants)
    if (granted.has(grant.capability)) profile.rules.push_back({words(grant.names), Action::allow, {}});
  for (const auto& group : kAllowed) profile.rules.push_back({words(group), Action::allow, {}});
  add_clone(profile.rules);
  add_sockets(profile.rules, granted);
  add_ioctl(profile.rules);
  add_personality(profile.rules);
  // A kernel without them is what mount(8) and its like fall back for; EPERM they report.
  profile.rules.push_back({{"listmount", "statmount"}, Action::error(ENOSYS), {}});
  return profile;
}

Ruleset strict_profile() {
  Ruleset profile;
  profile.default_action = Action::kill;
  profile.rules = {{words("read write exit exit_group rt_sigreturn sigreturn"), Action::allow, {}}};
  return profile;
}

Ruleset ruleset_of(const FilterSpec& spec) {
  const Profile base = base_of(spec);
  Ruleset all;
  if (base == Profile::standard) all = default_profile(spec.capabilities);
  if (base == Profile::strict) all = strict_profile();

  std::vector<Rule> rules;
  if (!spec.deny.empty()) rules.push_back({spec.deny, Action::error(EPERM), {}});
  if (!spec.allow.empty()) rules.push_back({spec.allow, Action::allow, {}});
  rules.insert(rules.end(), spec.rules.begin(), spec.rules.end());
  all.rules.insert(all.rules.begin(), rules.begin(), rules.end());
  all.default_action = spec.default_action.value_or(all.default_action);
  all.architectures = spec.architectures;
  all.ignore_unknown = spec.ignore_unknown;
  return all;
}

Filter build(const FilterSpec& spec) {
  const bool plain = base_of(spec) == Profile::standard && !spec.default_action && spec.deny.empty() &&
                     spec.allow.empty() && spec.rules.empty() && spec.architectures.empty();
  return plain ? profile_for(spec.capabilities) : compile(ruleset_of(spec));
}

Filter profile_for(CapabilitySet granted) {
  if ((granted & relevant()) == (kDefaultCapabilities & relevant())) return Filter(prebuilt_profile());
  return compile(default_profile(granted));
}

}  // namespace luabox
