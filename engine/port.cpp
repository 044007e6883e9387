#include "engine/port.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <sstream>

#include "engine/error.hpp"

namespace luabox {
namespace {

namespace fs = std::filesystem;

std::string text_of(const HostPort& port) {
  const std::string address = port.address.text();
  return (port.address.family() == Family::ip6 ? "[" + address + "]" : address) + ":" +
         std::to_string(port.port) + (port.protocol == Transport::tcp ? "/tcp" : "/udp");
}

void set(const Fd& socket, int level, int option, int value, const HostPort& port) {
  if (::setsockopt(socket.get(), level, option, &value, sizeof value) < 0)
    throw Error("hold port", text_of(port));
}

socklen_t fill(sockaddr_storage& storage, const HostPort& port) {
  if (port.address.family() == Family::ip) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port.port);
    std::memcpy(&in.sin_addr, port.address.data(), port.address.size());
    std::memcpy(&storage, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port.port);
  std::memcpy(&in6.sin6_addr, port.address.data(), port.address.size());
  std::memcpy(&storage, &in6, sizeof in6);
  return sizeof in6;
}

/// False when it is somebody's.
bool free_for(int result, const HostPort& port) {
  if (result == 0) return true;
  if (errno == EADDRINUSE) return false;
  const char* hint = "";
  if (errno == EACCES) hint = "an ordinary user has the ports from net.ipv4.ip_unprivileged_port_start on";
  if (errno == EADDRNOTAVAIL) hint = "no interface of this host has that address";
  throw Error("hold port", text_of(port), errno, hint);
}

// ---- whose it is

struct SocketLine {
  Address address;
  uint16_t port = 0;
  unsigned state = 0;
  std::string inode = {};
};

/// The address as /proc/net writes it: words of 32 bits in the host's order.
std::optional<Address> read_address(std::string_view digits) {
  if (digits.size() != 8 && digits.size() != 32) return std::nullopt;
  uint32_t words[4] = {};
  for (size_t i = 0; i < digits.size() / 8; ++i) {
    const auto part = digits.substr(i * 8, 8);
    if (std::from_chars(part.data(), part.data() + part.size(), words[i], 16).ec != std::errc())
      return std::nullopt;
  }
  return Address::from_bytes(words, digits.size() / 2);
}

/// "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 INODE ..."
std::optional<SocketLine> read_line(const std::string& line) {
  std::istringstream words(line);
  std::string slot, local, remote, state, queues, timer, retries, user, timeout;
  SocketLine found;
  if (!(words >> slot >> local >> remote >> state >> queues >> timer >> retries >> user >> timeout >>
        found.inode))
    return std::nullopt;
  const size_t colon = local.find(':');
  if (colon == std::string::npos) return std::nullopt;
  const auto address = read_address(std::string_view(local).substr(0, colon));
  if (!address) return std::nullopt;
  found.address = *address;
  std::from_chars(local.data() + colon + 1, local.data() + local.size(), found.port, 16);
  std::from_chars(state.data(), state.data() + state.size(), found.state, 16);
  return found;
}

/// A socket of :: is taken for one of both families, which it is unless its program said otherwise.
bool overlap(const Address& wanted, const Address& taken) {
  if (wanted.family() != taken.family()) return taken == Address::any(Family::ip6);
  return wanted == taken || wanted.is_any() || taken.is_any();
}

constexpr unsigned kListening = 10,
                   kLingering = 6;  // TCP_LISTEN and TCP_TIME_WAIT in include/net/tcp_states.h

std::optional<SocketLine> socket_at(const HostPort& port) {
  const std::string file = port.protocol == Transport::tcp ? "/proc/net/tcp" : "/proc/net/udp";
  std::optional<SocketLine> found;
  for (const char* family : {"", "6"}) {
    if (!fs::exists(file + family)) continue;
    std::istringstream lines(read_file(file + family));
    for (std::string line; std::getline(lines, line);) {
      auto socket = read_line(line);
      if (!socket || socket->port != port.port || !overlap(port.address, socket->address)) continue;
      if (socket->state == kListening) return socket;
      if (socket->state != kLingering) found = std::move(socket);
    }
  }
  return found;
}

bool has_descriptor(const fs::path& process, const std::string& wanted) {
  std::error_code failed;
  for (fs::directory_iterator each(process / "fd", failed), end; !failed && each != end;
       each.increment(failed)) {
    std::error_code gone;
    if (fs::read_symlink(each->path(), gone) == wanted && !gone) return true;
  }
  return false;
}

/// The process that has the socket; it may be another user's, or be gone.
std::optional<pid_t> owner_of(const std::string& inode) {
  const std::string wanted = "socket:[" + inode + "]";
  std::error_code failed;
  for (fs::directory_iterator each("/proc", failed), end; !failed && each != end; each.increment(failed)) {
    const std::string name = each->path().filename();
    pid_t pid = 0;
    const auto [last, problem] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (problem == std::errc() && last == name.data() + name.size() && has_descriptor(each->path(), wanted))
      return pid;
  }
  return std::nullopt;
}

}  // namespace

std::optional<HeldPort> HeldPort::hold(const HostPort& port) {
  if (port.port == 0) throw Error::invalid("hold port", text_of(port), "expected a port from 1 to 65535");
  const bool tcp = port.protocol == Transport::tcp, six = port.address.family() == Family::ip6;
  Fd socket(
      ::socket(address_family(port.address.family()), (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  if (!socket) throw Error("hold port", text_of(port));
  if (six) set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1, port);
  // For what lingers. Two that only bound a port may share it then: listen() decides.
  if (tcp) set(socket, SOL_SOCKET, SO_REUSEADDR, 1, port);
  sockaddr_storage storage{};
  const socklen_t size = fill(storage, port);
  if (!free_for(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), size), port))
    return std::nullopt;
  if (tcp && !free_for(::listen(socket.get(), 0), port)) return std::nullopt;
  // From now on it is of an interface that there is none of, and gets nothing; whoever wants the port at any
  // interface still finds it taken.
  set(socket, SOL_SOCKET, SO_BINDTOIFINDEX, std::numeric_limits<int>::max(), port);
  socket.set_aside();
  return HeldPort(std::move(socket));
}

std::optional<PortUser> user_of_port(const HostPort& port) {
  const auto socket = socket_at(port);
  if (!socket) return std::nullopt;
  PortUser user{socket->address, owner_of(socket->inode), {}};
  if (!user.pid) return user;
  try {
    user.program = read_file("/proc/" + std::to_string(*user.pid) + "/comm");
    std::erase(user.program, '\n');
  } catch (const Error&) {
    user.pid.reset();  // it has just ended
  }
  return user;
}

}  // namespace luabox
