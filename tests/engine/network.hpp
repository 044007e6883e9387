// A small internet for tests: network namespaces made here, entered for a moment, and TCP between them.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "engine/address.hpp"
#include "engine/fd.hpp"
#include "engine/link.hpp"
#include "tests/engine/sandbox.hpp"

namespace luabox::test {

/// A network namespace that nobody else is in. Use it in in_child(CLONE_NEWNET): the thread comes back to
/// where it was.
class Node {
 public:
  Node() : home_(Fd::open("/proc/thread-self/ns/net", O_RDONLY)) {
    if (::unshare(CLONE_NEWNET) != 0) throw Error("unshare", "net");
    own_ = Fd::open("/proc/thread-self/ns/net", O_RDONLY);
    leave();
  }
  link::Namespace netns() const { return {std::nullopt, own_.get()}; }

  /// Runs `body` inside.
  template <class Body>
  auto operator()(Body&& body) const {
    if (::setns(own_.get(), CLONE_NEWNET) != 0) throw Error("setns");
    struct Leave {
      const Node& node;
      ~Leave() { node.leave(); }
    } leave_at_end{*this};
    return body();
  }

 private:
  void leave() const {
    if (::setns(home_.get(), CLONE_NEWNET) != 0) ::_exit(3);  // never go on in the wrong namespace
  }
  Fd home_, own_;
};

inline std::pair<sockaddr_storage, socklen_t> socket_address(const std::string& host, uint16_t port) {
  const Address address = Address::parse(host);
  sockaddr_storage storage{};
  if (address.family() == Family::ip) {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.data(), 4);
    return {storage, sizeof in};
  }
  auto& in = reinterpret_cast<sockaddr_in6&>(storage);
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  std::memcpy(&in.sin6_addr, address.data(), 16);
  return {storage, sizeof in};
}

/// A TCP server; it stays in the namespace it was made in.
class Server {
 public:
  explicit Server(uint16_t port, const std::string& host = "::") {
    const auto [address, length] = socket_address(host, port);
    socket_ = Fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) < 0)
      throw Error("bind", host);
    if (::listen(socket_.get(), 8) < 0) throw Error("listen", host);
  }
  /// The connection of a client, empty when none came.
  Fd accept() const {
    pollfd ready{socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 1000) != 1) return {};
    return Fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  /// The address of the client that connected, "" when none did.
  std::string client() const {
    pollfd ready{socket_.get(), POLLIN, 0};
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    if (::poll(&ready, 1, 1000) != 1) return "";
    const Fd connection(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC));
    if (!connection) return "";
    if (peer.ss_family == AF_INET)
      return Address::from_bytes(&reinterpret_cast<sockaddr_in&>(peer).sin_addr, 4).text();
    const auto* bytes = reinterpret_cast<sockaddr_in6&>(peer).sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&reinterpret_cast<sockaddr_in6&>(peer).sin6_addr))
      return Address::from_bytes(bytes + 12, 4).text();
    return Address::from_bytes(bytes, 16).text();
  }

 private:
  Fd socket_;
};

/// Connects from the current namespace; empty when nobody answered within `milliseconds`.
inline Fd connect_to(const std::string& host, uint16_t port, int milliseconds = 500,
                     const std::string& source = "") {
  const auto [address, length] = socket_address(host, port);
  Fd socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!source.empty()) {
    const auto [from, size] = socket_address(source, 0);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), size) < 0) throw Error("bind", source);
  }
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) < 0 &&
      errno != EINPROGRESS)
    return {};
  pollfd ready{socket.get(), POLLOUT, 0};
  int failure = 0;
  socklen_t size = sizeof failure;
  if (::poll(&ready, 1, milliseconds) != 1) return {};
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &failure, &size);
  return failure == 0 ? std::move(socket) : Fd();
}

/// The output of a shell command, run in the current namespace.
inline std::string output_of(const std::string& command) {
  std::string text;
  std::array<char, 4096> buffer{};
  FILE* pipe = ::popen(("{ " + command + "; } 2>&1").c_str(), "re");
  if (!pipe) throw Error("popen", command);
  while (const size_t count = ::fread(buffer.data(), 1, buffer.size(), pipe))
    text.append(buffer.data(), count);
  if (::pclose(pipe) != 0) throw std::runtime_error(command + " failed: " + text);
  return text;
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Waits until the kernel has noticed that both ends of a new cable are up, some 50 us: it drops what is sent
/// before.
inline void await_carrier(const std::string& device) {
  for (int i = 0; i < 200 && !has(output_of("ip -o link show dev " + device), "state UP"); ++i)
    ::usleep(5000);
}

/// The error's sentence, "" when `body` throws none.
inline std::string failure_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace luabox::test
