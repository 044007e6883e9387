#include "engine/netlink.hpp"

#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/engine/network.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

void write_up(Batch& batch, int index, const char* op) {
  ifinfomsg header{};
  header.ifi_index = index;
  header.ifi_flags = header.ifi_change = IFF_UP;
  batch.begin(RTM_SETLINK, 0, header, op, "number " + std::to_string(index));
}

}  // namespace

TEST_CASE("of a batch's messages the refused one is named, and the others are done") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    Netlink socket(NETLINK_ROUTE);
    Batch batch;
    write_up(batch, 4242, "the wrong step");
    write_up(batch, 1, "the right step");
    expect(failure_of([&] { socket.send(batch); }) == "the wrong step number 4242: No such device",
           "the first step is named");
    expect(link::find("lo")->up, "the second message was carried out");

    Batch again;  // the socket is as good as new
    write_up(again, 1, "again");
    socket.send(again);
  });
}

TEST_CASE("the kernel's own explanation is the hint") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    Netlink socket(NETLINK_ROUTE);
    Batch batch;
    rtmsg header{};
    header.rtm_family = AF_INET;
    header.rtm_dst_len = 77;
    batch.begin(RTM_NEWROUTE, NLM_F_CREATE, header, "add route", "x");
    expect(has(failure_of([&] { socket.send(batch); }), "Invalid prefix length"),
           "NLMSGERR_ATTR_MSG is told");
  });
}

TEST_CASE("a forgiven failure is none, another is") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    Netlink socket(NETLINK_ROUTE);
    Batch batch;
    write_up(batch, 4242, "up");
    batch.forgive(ENODEV);
    socket.send(batch);
    batch.forgive(EBUSY);
    expect(code_of([&] { socket.send(batch); }) == ENODEV, "only the named code is forgiven");
  });
}

TEST_CASE("a batch of a thousand messages is answered without loss") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    Netlink socket(NETLINK_ROUTE);
    Batch batch;
    for (int i = 0; i < 1000; ++i) {
      ifaddrmsg header{};
      header.ifa_family = AF_INET;
      header.ifa_prefixlen = 32;
      header.ifa_index = 1;
      const uint32_t address = htonl(0x0a000000U + static_cast<uint32_t>(i));
      batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header, "add address");
      batch.put(IFA_LOCAL, &address, sizeof address);
    }
    socket.send(batch);
    expect(link::addresses("lo").size() == 1000, "every address is there, read in several parts");
  });
}

TEST_CASE("a batch and an attribute have bounds that throw") {
  Batch batch;
  write_up(batch, 1, "fill");
  const std::string large(60000, 'x');
  CHECK(code_of([&] { batch.put(1, large.data(), 70000); }) == E2BIG);
  CHECK(code_of([&] {
          for (int i = 0; i < 10; ++i) batch.put(1, large.data(), large.size());
        }) == E2BIG);
  CHECK(batch.size() <= Batch::kLimit);
  Batch nested;
  write_up(nested, 1, "nest");
  CHECK(code_of([&] {
          nested.nest(1, [&] {
            nested.put(1, large.data(), large.size());
            nested.put(1, large.data(), large.size());
          });
        }) == E2BIG);
}

TEST_CASE("malformed attributes are not read beyond their end") {
  const auto attribute = [](uint16_t length, uint16_t type, const std::string& data) {
    std::string bytes(4, '\0');
    std::memcpy(bytes.data(), &length, 2);
    std::memcpy(bytes.data() + 2, &type, 2);
    return bytes + data;
  };
  const auto seek = [](const std::string& bytes, uint16_t type) {
    const std::vector<char> exact(bytes.begin(), bytes.end());
    return find_attribute(exact, type).has_value();
  };
  CHECK(seek(attribute(8, 5, "abcd"), 5));
  CHECK(seek(attribute(5, 4, std::string("a\0\0\0", 4)) + attribute(8, 5, "abcd"), 5));
  CHECK_FALSE(seek(attribute(200, 5, "abcd"), 5));
  CHECK_FALSE(seek(attribute(0, 5, "abcd"), 5));
  CHECK_FALSE(seek(attribute(3, 4, "abcd") + attribute(8, 5, "abcd"), 5));
  CHECK_FALSE(seek("abc", 5));
  CHECK(Attribute{1, {}}.u32() == 0);
  CHECK(Attribute{1, {"ab\0c", 4}}.text() == "ab");
  CHECK(Attribute{1, {"abc", 3}}.text() == "abc");
  CHECK(Answer{1, {"ab", 2}}.header<ifinfomsg>().ifi_index == 0);
  CHECK(Answer{1, {"ab", 2}}.attributes(16).empty());
}

TEST_CASE("an answer of nobody but the kernel counts") {
  if (!is_root()) SKIP_TEST("needs root");
  in_child(CLONE_NEWNET, [] {
    // Netlink lets root send to another process's socket: such a message must not be taken for an answer.
    Netlink socket(NETLINK_ROUTE);
    Batch first;
    write_up(first, 1, "bind the socket");
    socket.send(first);
    const Fd liar(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    struct {
      nlmsghdr header;
      nlmsgerr error;
    } lie{};
    lie.header.nlmsg_len = sizeof lie;
    lie.header.nlmsg_type = NLMSG_ERROR;
    lie.header.nlmsg_seq = 2;
    lie.error.error = -EXDEV;
    sockaddr_nl target{};
    target.nl_family = AF_NETLINK;
    target.nl_pid =
        static_cast<uint32_t>(::getpid());  // the first netlink socket of a process has its number
    expect(::sendto(liar.get(), &lie, sizeof lie, 0, reinterpret_cast<sockaddr*>(&target), sizeof target) > 0,
           "it was sent");
    Batch second;
    write_up(second, 1, "up");
    socket.send(second);
  });
}

TEST_CASE(
    "a socket that is closed behind a process is not the process's any more, and the kernel closes it") {
  if (!is_root()) SKIP_TEST("needs root");
  const auto sockets = [] { return output_of("tail -n +2 /proc/net/netlink | wc -l"); };
  const auto own = [] { return output_of("readlink /proc/$PPID/fd/* | grep -c socket:; true"); };
  in_child(CLONE_NEWNET, [&] {
    const std::string before = sockets(), own_before = own();
    Netlink socket(NETLINK_ROUTE);
    Batch batch;
    write_up(batch, 1, "the first to be sent");
    socket.send(batch);
    expect(sockets() != before, "it is there");
    socket.close_behind();
    expect(own() == own_before, "this process has none");
    std::string after = sockets();
    for (int tries = 0; tries < 100 && after != before; ++tries, ::usleep(20000)) after = sockets();
    expect(after == before, "and soon nobody has");
  });
}
