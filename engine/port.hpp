// The ports of this host: held against everybody else, and whose one is.
//
// A held port is a socket that is bound to it and gets nothing: the kernel refuses the port to every other
// program and to a second holder, atomically, whatever process or folder that one keeps its state in; and
// what is sent there is answered as if nobody listened. It ends with its process. ss(8) shows it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "engine/address.hpp"
#include "engine/fd.hpp"
#include "engine/nftables.hpp"

namespace luabox {

struct HostPort {
  Transport protocol = Transport::tcp;
  uint16_t port = 0;
  Address address = {};  ///< 0.0.0.0 and :: are every address of that family
};

class HeldPort {
 public:
  /// Nothing when the port, at one of these addresses, is somebody's: a program listens there, or holds it.
  /// Closed connections that linger (TIME_WAIT) are no obstacle. EACCES: the port is for the privileged;
  /// EADDRNOTAVAIL: the address is not this host's.
  static std::optional<HeldPort> hold(const HostPort& port);
  void release() && { socket_.close(); }

 private:
  explicit HeldPort(Fd socket) : socket_(std::move(socket)) {}
  Fd socket_;
};

/// Who has a port: of a program of another user's only the address is known.
struct PortUser {
  Address address = {};
  std::optional<pid_t> pid = {};
  std::string program = {};
};

/// Whose socket stands in the way of holding the port; one that listens before one that is only connected. By
/// proc_pid_net(5) and the descriptors of all processes: slow, for an error's text.
std::optional<PortUser> user_of_port(const HostPort& port);

}  // namespace luabox
