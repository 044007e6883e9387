#include "engine/command_file.hpp"

#include <elf.h>
#include <endian.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "engine/capabilities.hpp"
#include "engine/fd.hpp"

namespace luabox {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
template <typename Header, typename Segment>
std::string loader_of(int file) {
  Header header;
  if (::pread(file, &header, sizeof header, 0) != sizeof header) return "";
  for (unsigned i = 0; i < header.e_phnum && i < 64; ++i) {
    Segment segment;
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

/// The capabilities that a file gives, capabilities(7); none where it gives none.
CapabilitySet file_capabilities(const std::string& path) {
  vfs_ns_cap_data data = {};
  const ssize_t size = ::getxattr(path.c_str(), "security.capability", &data, sizeof data);
  if (size < static_cast<ssize_t>(XATTR_CAPS_SZ_2)) return {};
  return CapabilitySet::of_bits(uint64_t{le32toh(data.data[1].permitted)} << 32U |
                                le32toh(data.data[0].permitted));
}

/// What a file asks for that this process may never have: the kernel executes no such file.
std::string beyond(const std::string& path) {
  std::string names;
  for (const auto& name : (file_capabilities(path) - current_capabilities().bounding).names())
    names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "" : "it has file capabilities beyond the container's: " + names;
}

std::string diagnosis(const std::string& path, int code, int depth = 0);

/// Of `part`, the interpreter or loader of a file that could not be executed: that it is missing, or what is
/// wrong with it in turn.
std::string part_diagnosis(const std::string& part, const std::string& path, int code, int depth) {
  constexpr int kDeepest = 5;  // the kernel's own bound for scripts that interpret scripts
  if (::access(path.c_str(), F_OK) != 0) return code == ENOENT ? part + path + " does not exist here" : "";
  const std::string why = depth < kDeepest ? diagnosis(path, code, depth + 1) : "";
  return why.empty() ? "" : part + path + ": " + why;
}

/// Of a script, by its first line after "#!", as far as Linux reads it.
std::string script_diagnosis(std::string line, bool whole, int code, int depth) {
  line.erase(0, line.find_first_not_of(" \t"));
  const size_t end = line.find_first_of(" \t\r");
  const std::string interpreter = line.substr(0, end);
  if (!line.empty() && line.back() == '\r')
    return "its first line ends in a carriage return, as DOS writes it";
  if (interpreter.empty()) return "its first line names no interpreter";
  if (!whole && end == std::string::npos)
    return "the interpreter in its first line is longer than Linux reads";
  if (code == ELOOP && ::access(interpreter.c_str(), F_OK) == 0)
    return "its interpreter is a script too, and so on, more often than Linux follows";
  return part_diagnosis("its interpreter ", interpreter, code, depth);
}

/// Why execve of a file that is there failed, in words; "" when nothing is known. Reads the container's own
/// files only.
std::string diagnosis(const std::string& path, int code, int depth) {
  if (code == EPERM) {
    std::string capabilities = beyond(path);
    if (!capabilities.empty()) return capabilities;
  }
  if (code == EACCES) {
    std::string denied = denial(path);
    if (!denied.empty()) return denied;
  }
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return "";
  char start[256] = {};
  const ssize_t size = ::pread(file.get(), start, sizeof start - 1, 0);
  if (size >= 2 && start[0] == '#' && start[1] == '!') {
    const std::string line(start + 2, std::strcspn(start + 2, "\n"));
    const bool whole = line.size() + 2 < sizeof start - 1;
    return script_diagnosis(line, whole, code, depth);
  }
  if (size < static_cast<ssize_t>(sizeof(Elf64_Ehdr)) || std::memcmp(start, ELFMAG, SELFMAG) != 0)
    return code == ENOEXEC ? "it is neither an ELF program nor a script with a #! line" : "";
  Elf64_Ehdr header;
  std::memcpy(&header, start, sizeof header);
  if (header.e_machine != kOwnMachine && code == ENOEXEC)
    return "it is a program for " + machine_name(header.e_machine) + ", this machine is " +
           machine_name(kOwnMachine);
  const std::string loader = start[EI_CLASS] == ELFCLASS64 ? loader_of<Elf64_Ehdr, Elf64_Phdr>(file.get())
                                                           : loader_of<Elf32_Ehdr, Elf32_Phdr>(file.get());
  return loader.empty() ? "" : part_diagnosis("its loader ", loader, code, depth);
}

/// The PATH of the environment to be, not of this process.
std::string search_path(const std::vector<std::string>& environment) {
  for (const auto& variable : environment)
    if (variable.compare(0, 5, "PATH=") == 0) return variable.substr(5);
  return kDefaultPath;
}

}  // namespace

std::vector<std::string> command_files(const std::string& name, const std::vector<std::string>& environment) {
  if (name.find('/') != std::string::npos) return {name};
  std::vector<std::string> files;
  const std::string path = search_path(environment);
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find(':', start), path.size());
    const std::string folder = path.substr(start, end - start);
    files.push_back((folder.empty() ? "." : folder) + "/" + name);
    start = end + 1;
  }
  return files;
}

Error why_not_executed(const std::string& name, const std::vector<std::string>& environment,
                       const Attempt& failed) {
  if (name.find('/') != std::string::npos)
    return Error("exec", name, failed.code, diagnosis(name, failed.code));
  const auto files = command_files(name, environment);
  if (failed.at < files.size())
    return Error("exec", files[failed.at], failed.code, diagnosis(files[failed.at], failed.code));
  for (const auto& file : files)  // what is there was denied
    if (::access(file.c_str(), F_OK) == 0) return Error("exec", file, EACCES, diagnosis(file, EACCES));
  return Error("exec", name, ENOENT, "not found in PATH " + search_path(environment));
}

}  // namespace luabox
