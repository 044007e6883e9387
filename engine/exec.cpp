#include "engine/exec.hpp"

#include <elf.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iterator>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/init.hpp"
#include "engine/init_loop.hpp"
#include "engine/process.hpp"
#include "engine/seccomp.hpp"

extern "C" char data_start;  // of what the program may write to, by the C library (crt1.o)

namespace luabox {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int kCannotStart = 125;

char* command_line = nullptr;  // the environment's strings follow
size_t command_line_size = 0;  // with them

std::vector<char*> pointers(const std::vector<std::string>& list) {
  std::vector<char*> result;
  result.reserve(list.size() + 1);
  for (const auto& text : list) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

#if defined(__x86_64__)
constexpr unsigned kOwnMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kOwnMachine = EM_AARCH64;
#else
constexpr unsigned kOwnMachine = EM_NONE;
#endif

std::string machine_name(unsigned machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86_64";
    case EM_386:
      return "i386";
    case EM_AARCH64:
      return "aarch64";
    case EM_ARM:
      return "arm";
    case EM_RISCV:
      return "riscv";
    case EM_PPC64:
      return "ppc64";
    case EM_S390:
      return "s390x";
    default:
      return "machine " + std::to_string(machine);
  }
}

/// The loader that an ELF file asks for; "" when it asks for none.
std::string elf_loader(int file, const Elf64_Ehdr& header) {
  for (unsigned i = 0; i < header.e_phnum && i < 64; ++i) {
    Elf64_Phdr segment;
    const auto at = static_cast<off_t>(header.e_phoff + i * sizeof segment);
    if (::pread(file, &segment, sizeof segment, at) != sizeof segment) return "";
    if (segment.p_type != PT_INTERP) continue;
    char name[PATH_MAX] = {};
    const ssize_t size = ::pread(file, name, std::min<size_t>(segment.p_filesz, sizeof name - 1),
                                 static_cast<off_t>(segment.p_offset));
    return size > 0 ? name : "";
  }
  return "";
}

/// What is denied of a file: to be a program, or one where it lies.
std::string denial(const std::string& path) {
  struct stat status = {};
  struct statvfs mount = {};
  if (::stat(path.c_str(), &status) != 0) return "";
  if (S_ISDIR(status.st_mode)) return "it is a directory";
  if (!S_ISREG(status.st_mode) || (status.st_mode & 0111U) == 0) return "it is not executable";
  const bool noexec = ::statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NOEXEC) != 0;
  return noexec ? "it lies on a mount that is noexec" : "";
}

/// Why execve of a file that is there failed, in words; "" when nothing is known. Reads the container's own
/// file only.
std::string diagnosis(const std::string& path, int code) {
  if (code == EACCES) {
    std::string denied = denial(path);
    if (!denied.empty()) return denied;
  }
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return "";
  char start[256] = {};
  const ssize_t size = ::pread(file.get(), start, sizeof start - 1, 0);
  if (size > 2 && start[0] == '#' && start[1] == '!') {
    std::string line(start + 2, std::strcspn(start + 2, "\n"));
    line.erase(0, line.find_first_not_of(" \t"));
    const std::string interpreter = line.substr(0, line.find_first_of(" \t\r"));
    if (!line.empty() && line.back() == '\r')
      return "its first line ends in a carriage return, as DOS writes it";
    if (code == ENOENT) return "its interpreter " + interpreter + " does not exist here";
    return "";
  }
  if (size < static_cast<ssize_t>(sizeof(Elf64_Ehdr)) || std::memcmp(start, ELFMAG, SELFMAG) != 0)
    return code == ENOEXEC ? "it is neither an ELF program nor a script with a #! line" : "";
  Elf64_Ehdr header;
  std::memcpy(&header, start, sizeof header);
  if (header.e_machine != kOwnMachine && code == ENOEXEC)
    return "it is a program for " + machine_name(header.e_machine) + ", this machine is " +
           machine_name(kOwnMachine);
  const std::string loader = start[EI_CLASS] == ELFCLASS64 ? elf_loader(file.get(), header) : "";
  if (code == ENOENT && !loader.empty()) return "its loader " + loader + " does not exist here";
  return "";
}

/// The PATH of the environment to be, not of this process.
std::string search_path(const std::vector<std::string>& environment) {
  for (const auto& variable : environment)
    if (variable.compare(0, 5, "PATH=") == 0) return variable.substr(5);
  return kDefaultPath;
}

void default_signals() {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < _NSIG; ++signal)
    ::sigaction(signal, &standard, nullptr);  // KILL and STOP refuse: fine
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void start_session(const ExecOptions& options) {
  if (!options.new_session) return;
  if (::setsid() < 0) throw Error("setsid");
  if (options.controlling_terminal && ::ioctl(0, TIOCSCTTY, 0) < 0) throw Error("ioctl", "TIOCSCTTY");
}

[[noreturn]] void search_and_exec(const ExecOptions& options) {
  const auto arguments = pointers(options.arguments), environment = pointers(options.environment);
  if (options.filter != nullptr) options.filter->load({options.log_refused});
  const std::string& name = options.arguments[0];
  if (name.find('/') != std::string::npos) {
    ::execve(name.c_str(), arguments.data(), environment.data());
    const int code = errno;
    throw Error("exec", name, code, diagnosis(name, code));
  }
  // As execvp(3): the first that can be executed; EACCES is told only if no later folder has one.
  int code = ENOENT;
  std::string path = search_path(options.environment), denied;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find(':', start), path.size());
    const std::string folder = path.substr(start, end - start),
                      file = (folder.empty() ? "." : folder) + "/" + name;
    start = end + 1;
    ::execve(file.c_str(), arguments.data(), environment.data());
    const int why = errno;
    const bool there = ::access(file.c_str(), F_OK) == 0;
    if (why == EACCES && denied.empty() && there) code = EACCES, denied = file;
    if ((why == ENOENT && there) || (why != ENOENT && why != ENOTDIR && why != EACCES))
      throw Error("exec", file, why, diagnosis(file, why));
  }
  if (code == EACCES) throw Error("exec", denied, EACCES, diagnosis(denied, EACCES));
  throw Error("exec", name, ENOENT, "not found in PATH " + path);
}

/// What was printed before, by a step of a script's, would go with this image.
void flush_streams() { std::fflush(nullptr); }

void check(const ExecOptions& options) {
  if (options.arguments.empty() || options.arguments[0].empty())
    throw Error::invalid("exec", "", "expected a command");
}

/// What the program's process, made by `init`, is told beside its options.
struct Start {
  const ExecOptions* options;
  int init;   ///< a pidfd; -1 where the program needs not end with it
  int until;  ///< the init's, not the program's
};

/// The init is in another pid namespace: the program would outlive it.
void die_with_init(int init) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) throw Error("prctl", "PR_SET_PDEATHSIG");
  pollfd ended = {init, POLLIN, 0};
  if (::poll(&ended, 1, 0) != 0) ::_exit(kCannotStart);
  ::close(init);
}

/// What the init's child runs with: memory of the init until its exec.
int start_program(void* data) {
  const auto& [options_pointer, init, until] = *static_cast<const Start*>(data);
  const ExecOptions& options = *options_pointer;
  try {
    if (init >= 0) die_with_init(init);
    if (until >= 0) ::close(until);
    start_session(options);
    default_signals();
    search_and_exec(options);
  } catch (const Error& error) {
    if (Channel* parent = parent_channel())
      parent->send(Message::Kind::failure, encode_fields({{"op", error.op()},
                                                          {"object", error.object()},
                                                          {"errno", std::to_string(error.code())},
                                                          {"hint", error.hint()}}));
  }
  ::_exit(kCannotStart);
}

/// `name` has four letters.
void show_as(const char* name) {
  ::prctl(PR_SET_NAME, name);
  if (command_line_size < 5) return;
  std::memset(command_line, 0, command_line_size);
  std::memcpy(command_line, name, 5);
}

/// Descriptors 0 to 2, the channel and `until` are left: what an init holds must lead nowhere, and the
/// program's process can be seen by the container before its exec.
void close_others(int until) {
  const Channel* parent = parent_channel();
  int kept[] = {parent != nullptr ? parent->get() : -1, until};
  std::sort(std::begin(kept), std::end(kept));
  unsigned next = 3;
  for (const int fd : kept) {
    if (fd < static_cast<int>(next)) continue;
    if (static_cast<unsigned>(fd) > next && ::close_range(next, static_cast<unsigned>(fd) - 1, 0) < 0)
      throw Error("close_range");
    next = static_cast<unsigned>(fd) + 1;
  }
  if (::close_range(next, ~0U, 0) < 0) throw Error("close_range");
}

/// As serve_as_init, and ends `program` when the process of the pidfd `first` has ended: in a pid namespace
/// that is the host's the kernel doesn't.
[[noreturn]] void serve_until(pid_t program, int first) {
  sigset_t all;
  ::sigfillset(&all);
  const Fd signals(::signalfd(-1, &all, SFD_CLOEXEC));
  if (!signals) ::kill(program, SIGKILL);  // nothing outlives the container
  pollfd ready[] = {{signals.get(), POLLIN, 0}, {first, POLLIN, 0}};
  while (signals) {
    if (::poll(ready, 2, -1) < 0) continue;
    signalfd_siginfo info;
    if (ready[0].revents != 0 && ::read(signals.get(), &info, sizeof info) == sizeof info)
      serve(program, info.ssi_signo);
    if (ready[1].revents == 0) continue;
    ::kill(program, SIGKILL);
    ready[1].fd = -1;
  }
  serve_as_init(program);
}

/// As serve_as_init, without anything of luabox's but its code: an init stays as long as its container, and
/// is in its sight. The C library's state is gone, too; what is left is the stack from here up.
[[noreturn, gnu::noinline]] void serve_without_memory(pid_t program, bool filtered) {
  const auto page = static_cast<uintptr_t>(::getpagesize());
  const auto data = reinterpret_cast<uintptr_t>(&data_start) & ~(page - 1);
  const auto heap_end = (reinterpret_cast<uintptr_t>(::sbrk(0)) + page - 1) & ~(page - 1);
  const auto stack = (reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) & ~(page - 1)) - page;
  // Up to the end of the heap it stays mapped: the kernel tells a thread things in the C library's part of it
  // (rseq(2)). ENOMEM: what isn't mapped in between was passed over.
  const long given =
      bare::call(SYS_madvise, static_cast<long>(data), static_cast<long>(heap_end - data), MADV_DONTNEED);
  const long gone = bare::call(SYS_munmap, static_cast<long>(heap_end), static_cast<long>(stack - heap_end));
  if ((given != 0 && given != -ENOMEM) || gone != 0) bare::call(SYS_exit_group, kCannotStart);
  if (filtered) refuse_all_but_the_loop();
  serve_as_init(program);
}

}  // namespace

void remember_command_line(int argc, char** argv) {
  if (argc == 0) return;
  command_line = argv[0];
  command_line_size = static_cast<size_t>(argv[argc - 1] + std::strlen(argv[argc - 1]) + 1 - argv[0]);
  // The kernel puts the environment behind the arguments, and then the name by which the program was executed
  // (fs/binfmt_elf.c).
  const auto begin = reinterpret_cast<uintptr_t>(command_line), name = ::getauxval(AT_EXECFN);
  if (name > begin + command_line_size) command_line_size = name - begin;
}

void exec(const ExecOptions& options) {
  check(options);
  flush_streams();
  die_with_parent();
  start_session(options);
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) throw Error("close_range");
  if (Channel* parent = parent_channel()) parent->send(Message::Kind::exec);
  default_signals();
  search_and_exec(options);
}

void exec_below_init(const ExecOptions& options) {
  check(options);
  flush_streams();
  if (options.until < 0)
    die_with_parent();
  else if (::prctl(PR_SET_PDEATHSIG, 0) < 0)
    throw Error("prctl", "PR_SET_PDEATHSIG");
  // The terminal's own signals are for who sits at it: they come by who passes them on, once.
  if (options.new_session && ::setsid() < 0) throw Error("setsid");
  close_others(options.until);
  // A change of ids made it as dumpable as fs.suid_dumpable says, which may be 1.
  if (::prctl(PR_SET_DUMPABLE, 0) < 0) throw Error("prctl", "PR_SET_DUMPABLE");
  Fd self;
  if (options.joined) {
    self = Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    if (!self) throw Error("pidfd_open", "itself");
  }
  // Everything is blocked, so that signals that come before the loop wait for it: a blocked signal is not
  // lost, even for pid 1.
  sigset_t all;
  ::sigfillset(&all);
  if (::sigprocmask(SIG_SETMASK, &all, nullptr) < 0) throw Error("sigprocmask");
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &standard, nullptr);  // ignored, children would vanish without a status
  if (Channel* parent = parent_channel()) parent->send(Message::Kind::exec);

  // CLONE_VM and CLONE_VFORK: the program's page tables are never copied, and the init waits here until it
  // has exec'd or failed. Not where others are in the pid namespace already: who may trace the program's
  // process before its exec (CAP_SYS_PTRACE) would have this one's memory, which stands outside.
  show_as(options.joined ? "exec" : "init");
  alignas(16) static char stack[256 * 1024];
  Start start = {&options, self.get(), options.until};
  const int shared = options.joined ? 0 : CLONE_VM | CLONE_VFORK;
  const pid_t program = ::clone(start_program, stack + sizeof stack, shared | SIGCHLD, &start);
  if (program < 0) throw Error("clone", "the command's process");
  // Also the channel: the parent sees end of file now. And 0 to 2, so that a reader of the program's output
  // sees its end.
  if (options.until >= 0) {
    if (options.until > 0) ::close_range(0, static_cast<unsigned>(options.until) - 1, 0);
    ::close_range(static_cast<unsigned>(options.until) + 1, ~0U, 0);
  } else {
    ::close_range(0, ~0U, 0);
  }
  if (options.once_running != nullptr) options.once_running();
  if (options.until >= 0) serve_until(program, options.until);
  if (options.small_init) enter_small_init(program);
  const bool filtered = options.filter != nullptr;
  if (options.give_memory_back) serve_without_memory(program, filtered);
  if (filtered) refuse_all_but_the_loop();
  serve_as_init(program);
}

}  // namespace luabox
