#include "engine/port.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/engine/network.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

HostPort tcp(const std::string& address) { return {Transport::tcp, 8080, Address::parse(address)}; }
HostPort udp(const std::string& address) { return {Transport::udp, 8080, Address::parse(address)}; }

bool is_free(const HostPort& port) { return HeldPort::hold(port).has_value(); }

/// A program's socket at 127.0.0.1:8080, as a server makes it.
Fd program(int kind, bool listens) {
  Fd socket(::socket(AF_INET, kind | SOCK_CLOEXEC, 0));
  const int on = 1;
  expect(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "SO_REUSEADDR");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(8080);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) return {};
  if (listens && ::listen(socket.get(), 1) < 0) return {};
  return socket;
}

}  // namespace

TEST_CASE("a port that is held is nobody else's, at any address that it has in common") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    link::configure({});
    auto held = HeldPort::hold(tcp("0.0.0.0"));
    expect(held.has_value(), "it is free");
    expect(!is_free(tcp("0.0.0.0")) && !is_free(tcp("127.0.0.1")) && !is_free(tcp("127.0.0.2")), "taken");
    expect(is_free(udp("0.0.0.0")) && is_free(tcp("::")), "another protocol and another family are not");
    expect(!program(SOCK_STREAM, true), "nor can a program have it");
    std::move(*held).release();
    expect(is_free(tcp("127.0.0.1")), "free again");

    held = HeldPort::hold(udp("127.0.0.1"));
    expect(held.has_value() && !is_free(udp("0.0.0.0")) && is_free(udp("127.0.0.2")), "UDP, one address");
    expect(!program(SOCK_DGRAM, false), "nor can a program share it");
    held.reset();
    expect(code_of([] { HeldPort::hold({Transport::tcp, 0, {}}); }) == EINVAL, "no port");
    for (const char* address : {"203.0.113.1", "2001:db8::1"})
      expect(code_of([&] { HeldPort::hold(tcp(address)); }) == EADDRNOTAVAIL, "not this host's");
  });
}

TEST_CASE("a program's port is not free, and whose it is can be told") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    link::configure({});
    expect(!user_of_port(tcp("0.0.0.0")), "nobody's");
    for (const int kind : {SOCK_STREAM, SOCK_DGRAM}) {
      const Fd socket = program(kind, kind == SOCK_STREAM);
      const HostPort all = kind == SOCK_STREAM ? tcp("0.0.0.0") : udp("0.0.0.0");
      expect(!is_free(all), "taken");
      const auto user = user_of_port(all);
      expect(user && user->address.text() == "127.0.0.1", "its address");
      expect(user->pid == ::getpid() && user->program == "engine_tests", "its process: " + user->program);
    }
  });
}
