#include "engine/channel.hpp"

#include <sys/socket.h>

#include <cstring>

#include "engine/error.hpp"

namespace luabox {
namespace {

constexpr size_t kLongestText = 60000;

union Control {
  char bytes[CMSG_SPACE(sizeof(int))];
  cmsghdr align;
};

}  // namespace

std::pair<Channel, Channel> Channel::pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) throw Error("socketpair");
  return {Channel(Fd(ends[0])), Channel(Fd(ends[1]))};
}

bool Channel::send(Message::Kind kind, std::string_view text, int fd) {
  char head = static_cast<char>(kind);
  text = text.substr(0, kLongestText);
  iovec parts[2] = {{&head, 1}, {const_cast<char*>(text.data()), text.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  Control control = {};
  if (fd >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  for (;;) {
    if (::sendmsg(fd_.get(), &message, MSG_NOSIGNAL) >= 0) return true;
    if (errno == EPIPE || errno == ECONNRESET) return false;
    if (errno != EINTR) throw Error("sendmsg", "channel");
  }
}

/// Calls `read` until it has an answer. ECONNRESET is none: it tells, once and before what is still to be
/// read, that the other side left messages of ours unread (unix(7)).
template <class Read>
static ssize_t answer_of(Read&& read) {
  ssize_t size;
  do size = read();
  while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  return size;
}

std::optional<Message> Channel::receive() {
  // The size first: most messages are a few bytes, and a buffer for the longest would touch sixteen pages.
  const ssize_t size = answer_of([&] { return ::recv(fd_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC); });
  if (size < 0) throw Error("recv", "channel");
  if (size <= 0) return std::nullopt;

  std::string bytes(static_cast<size_t>(size), '\0');
  iovec part = {bytes.data(), bytes.size()};
  Control control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  if (answer_of([&] { return ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC); }) != size)
    throw Error("recvmsg", "channel");

  Message received{static_cast<Message::Kind>(bytes[0]), bytes.substr(1), Fd()};
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    int fd;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    received.fd = Fd(fd);
  }
  return received;
}

bool Channel::closed() const {
  char byte;
  const ssize_t got = ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

std::string encode_fields(const std::map<std::string, std::string>& fields) {
  std::string text;
  for (const auto& [name, value] : fields) {
    text.append(name).push_back('\0');
    text.append(value).push_back('\0');
  }
  return text;
}

std::map<std::string, std::string> decode_fields(std::string_view text) {
  std::map<std::string, std::string> fields;
  while (!text.empty()) {
    const auto name_end = text.find('\0');
    if (name_end == std::string_view::npos) break;
    const auto value_end = text.find('\0', name_end + 1);
    const auto value = text.substr(name_end + 1, value_end - name_end - 1);
    fields.emplace(text.substr(0, name_end), value);
    if (value_end == std::string_view::npos) break;
    text.remove_prefix(value_end + 1);
  }
  return fields;
}

}  // namespace luabox
