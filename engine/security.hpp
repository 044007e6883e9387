// What a process gives up before it runs someone else's program, beside capabilities and system calls.
//
// Everything here concerns the calling process and is inherited by what it executes, unless it says
// otherwise. See prctl(2), keyctl(2), Documentation/admin-guide/LSM.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace luabox {

/// From now on execve gives no privileges: no setuid, no file capabilities. Read back; throws Error if it
/// didn't take.
void no_new_privs();

/// Replaces the session keyring, which holds the host user's secrets, by an empty one that only its
/// possessors can use; returns its serial number. An unnamed one is always new. A named one is new unless a
/// keyring of that name is free to join; those made here never are. Nothing where the kernel has no keyrings
/// (ENOSYS), as then there are no secrets to reach. Throws Error.
std::optional<int32_t> session_keyring(const std::optional<std::string>& name);

enum class Lsm { apparmor, selinux };

/// The security module that confines by labels and is active; none where there is none.
std::optional<Lsm> lsm();

/// The next execve of this thread gets the profile (AppArmor) or context (SELinux) `label`. Throws Error:
/// ENOSYS where the active module is another or there is none, EXDEV or ENOTSUP where /proc can't be trusted.
void exec_label(Lsm module, const std::string& label);

enum class Dumpable { no, yes };

/// Whether others of the same user may trace this process, read its memory and open its /proc files. execve
/// sets it again.
void dumpable(Dumpable choice);

/// `signal` is sent to this process when the thread that made it ends; 0 for none. A fork forgets it, and so
/// does an execve that changes ids. A parent that is gone already sends nothing: compare getppid()
/// afterwards.
void parent_death_signal(int signal);

enum class Subreaper { no, yes };

/// Whether orphaned descendants become this process's children. A fork forgets it.
void child_subreaper(Subreaper choice);

}  // namespace luabox
