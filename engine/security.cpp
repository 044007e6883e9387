#include "engine/security.hpp"

#include <linux/keyctl.h>
#include <linux/magic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/procfs.hpp"

namespace luabox {
namespace {

/// The first bytes of a file of sysfs; nothing where there is none.
std::string peek(const char* path) {
  const Fd file(::open(path, O_RDONLY | O_CLOEXEC));
  char buffer[256];
  const ssize_t count = file ? ::read(file.get(), buffer, sizeof buffer) : 0;
  return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : "";
}

bool is_active(Lsm module) {
  if (module == Lsm::apparmor) return peek("/sys/module/apparmor/parameters/enabled").starts_with("Y");
  struct statfs filesystem = {};  // mounted by init when it loads a policy
  return ::statfs("/sys/fs/selinux", &filesystem) == 0 && filesystem.f_type == SELINUX_MAGIC;
}

void write_exec_profile(const std::string& profile) {
  try {
    write_proc("thread-self/attr/apparmor/exec", "exec " + profile);
  } catch (const Error& error) {
    if (error.code() != ENOENT || error.op() != "open") throw;
    write_proc("thread-self/attr/exec",
               "exec " + profile);  // before Linux 5.8 there was but one file for all modules
  }
}

void set(int option, const char* name, unsigned long value) {
  if (::prctl(option, value, 0, 0, 0) != 0) throw Error("prctl", name);
}

}  // namespace

void no_new_privs() {
  set(PR_SET_NO_NEW_PRIVS, "no_new_privs", 1);
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
    throw Error("prctl", "no_new_privs", EPERM, "it didn't take");
}

std::optional<int32_t> session_keyring(const std::optional<std::string>& name) {
  constexpr unsigned kPossessorAll = 0x3f000000;  // KEY_POS_ALL, linux/key.h: others get nothing
  const long serial = ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name ? name->c_str() : nullptr);
  if (serial < 0 && errno == ENOSYS) return std::nullopt;
  if (serial < 0) throw Error("keyctl", name ? "join session keyring " + *name : "join session keyring");
  if (::syscall(SYS_keyctl, KEYCTL_SETPERM, serial, kPossessorAll) < 0)
    throw Error("keyctl", "restrict session keyring");
  return static_cast<int32_t>(serial);
}

std::optional<Lsm> lsm() {
  for (const Lsm module : {Lsm::apparmor, Lsm::selinux})
    if (is_active(module)) return module;
  return std::nullopt;
}

void exec_label(Lsm module, const std::string& label) {
  const bool apparmor = module == Lsm::apparmor;
  if (!is_active(module))
    throw Error("exec_label", label, ENOSYS,
                apparmor ? "this kernel has no AppArmor" : "this kernel has no SELinux policy");
  if (label.empty()) throw Error::invalid("exec_label", "", "a label is not empty");
  if (!apparmor) return write_proc("thread-self/attr/exec", label);
  try {
    write_exec_profile(label);
  } catch (const Error& error) {
    if (error.code() != ENOENT || error.op() != "write") throw;
    throw Error("exec_label", label, ENOENT, "no AppArmor profile of that name is loaded");
  }
}

void dumpable(Dumpable choice) { set(PR_SET_DUMPABLE, "dumpable", choice == Dumpable::yes ? 1 : 0); }

void parent_death_signal(int signal) {
  set(PR_SET_PDEATHSIG, "parent death signal", static_cast<unsigned long>(signal));
}

void child_subreaper(Subreaper choice) {
  set(PR_SET_CHILD_SUBREAPER, "child subreaper", choice == Subreaper::yes ? 1 : 0);
}

}  // namespace luabox
