// The kernel's log, for what it tells nowhere else.
#pragma once

#include <optional>
#include <string>

namespace luabox {

/// All of the log that the kernel still has, oldest line first, each "<LEVEL>[SECONDS] TEXT"; nullopt for who
/// may not read it (kernel.dmesg_restrict), and where there is none. See syslog(2), SYSLOG_ACTION_READ_ALL.
std::optional<std::string> kernel_log();

}  // namespace luabox
