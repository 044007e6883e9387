#include "engine/netlink.hpp"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "engine/error.hpp"

namespace luabox {
namespace {

constexpr time_t kDeadlineSeconds = 10;
constexpr int kDumpAttempts = 32;
// What iproute2 found to be enough for the longest single message; the kernel fills dumps up to the reader's
// size.
constexpr size_t kReceiveSize = 32768;

/// Calls `each` for the messages of a datagram until it returns false.
template <class Each>
void for_messages(ByteView datagram, Each&& each) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(datagram.data());
    if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > datagram.size()) return;
    if (!each(*message, datagram.subspan(sizeof(nlmsghdr), message->nlmsg_len - sizeof(nlmsghdr)))) return;
    datagram = datagram.subspan(std::min<size_t>(NLMSG_ALIGN(message->nlmsg_len), datagram.size()));
  }
}

/// The first of `attributes`, which is taken off them.
std::optional<Attribute> take_attribute(ByteView& attributes) {
  nlattr header{};
  if (attributes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, attributes.data(), sizeof header);
  if (header.nla_len < sizeof header || header.nla_len > attributes.size()) return std::nullopt;
  const Attribute first{static_cast<uint16_t>(header.nla_type & NLA_TYPE_MASK),
                        attributes.subspan(sizeof header, header.nla_len - sizeof header)};
  attributes = attributes.subspan(std::min<size_t>(NLA_ALIGN(header.nla_len), attributes.size()));
  return first;
}

struct Outcome {
  int code = 0;  ///< errno value
  std::string hint;
};

/// What NLMSG_ERROR, or the NLMSG_DONE that ends a dump, says.
Outcome outcome_of(const nlmsghdr& message, ByteView body) {
  Outcome outcome;
  int32_t code = 0;
  if (body.size() < sizeof code) return {EBADMSG, "a short answer from the kernel"};
  std::memcpy(&code, body.data(), sizeof code);
  outcome.code = -code;
  if ((message.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return outcome;

  size_t skip = sizeof code;
  if (message.nlmsg_type == NLMSG_ERROR && body.size() >= sizeof(nlmsgerr)) {
    skip = sizeof(nlmsgerr);
    const auto* error = reinterpret_cast<const nlmsgerr*>(body.data());
    if ((message.nlmsg_flags & NLM_F_CAPPED) == 0)
      skip += NLMSG_ALIGN(error->msg.nlmsg_len) - sizeof(nlmsghdr);
  }
  if (skip > body.size()) return outcome;
  if (const auto text = find_attribute(body.subspan(skip), NLMSGERR_ATTR_MSG)) outcome.hint = text->text();
  return outcome;
}

void set_option(const Fd& socket, int level, int option, int value) {
  // Options that came with Linux 4.12 and 4.20: without one, errors are terser, nothing else.
  (void)::setsockopt(socket.get(), level, option, &value, sizeof value);
}

}  // namespace

uint32_t Attribute::u32() const {
  uint32_t value = 0;
  if (data.size() >= sizeof value) std::memcpy(&value, data.data(), sizeof value);
  return value;
}

std::string Attribute::text() const { return {data.begin(), std::find(data.begin(), data.end(), '\0')}; }

std::optional<Attribute> find_attribute(ByteView attributes, uint16_t type) {
  while (const auto attribute = take_attribute(attributes))
    if (attribute->type == type) return attribute;
  return std::nullopt;
}

std::vector<Attribute> attributes_of(ByteView attributes) {
  std::vector<Attribute> all;
  while (const auto attribute = take_attribute(attributes)) all.push_back(*attribute);
  return all;
}

// ---- Batch

void Batch::grow(size_t size) {
  if (size > kLimit || buffer_.size() + size > kLimit)
    throw Error(steps_.empty() ? "netlink" : steps_.back().op, steps_.empty() ? "" : steps_.back().object,
                E2BIG, "one batch holds at most 256 KiB");
  buffer_.resize(buffer_.size() + size);  // the new bytes, padding among them, are zero
}

void Batch::begin_message(uint16_t type, uint16_t flags, const char* op, std::string object) {
  const size_t offset = buffer_.size();
  steps_.push_back({offset, op, std::move(object)});
  grow(sizeof(nlmsghdr));
  nlmsghdr* header = message(offset);
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  header->nlmsg_len = sizeof(nlmsghdr);
}

void Batch::append(const void* data, size_t size) {
  const size_t at = buffer_.size();
  grow(NLMSG_ALIGN(size));
  if (size != 0) std::memcpy(buffer_.data() + at, data, size);
  nlmsghdr* header = message(steps_.back().offset);
  header->nlmsg_len = static_cast<uint32_t>(buffer_.size() - steps_.back().offset);
}

void Batch::put(uint16_t type, const void* data, size_t size) {
  const nlattr header{static_cast<uint16_t>(sizeof header + size), type};
  if (size > UINT16_MAX - sizeof header)
    throw Error(steps_.back().op, steps_.back().object, E2BIG, "one attribute holds at most 64 KiB");
  append(&header, sizeof header);
  append(data, size);
}

void Batch::put_be32(uint16_t type, uint32_t value) { put_u32(type, htonl(value)); }

size_t Batch::open_nest(uint16_t type) {
  const size_t start = buffer_.size();
  put(static_cast<uint16_t>(type | NLA_F_NESTED), nullptr, 0);
  return start;
}

void Batch::close_nest(size_t start) {
  const size_t length = buffer_.size() - start;
  if (length > UINT16_MAX)
    throw Error(steps_.back().op, steps_.back().object, E2BIG, "one attribute holds at most 64 KiB");
  reinterpret_cast<nlattr*>(buffer_.data() + start)->nla_len = static_cast<uint16_t>(length);
}

// ---- Netlink

Netlink::Netlink(int protocol)
    : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)),
      protocol_(protocol),
      buffer_(kReceiveSize) {
  if (!socket_) throw Error("socket", "netlink");
  set_option(socket_, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  set_option(socket_, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  set_option(socket_, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  const timeval deadline{kDeadlineSeconds, 0};
  if (::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline) < 0)
    throw Error("setsockopt", "netlink");
}

/// Numbers and sends the messages; returns the first one's number.
uint32_t Netlink::transmit(Batch& batch) {
  const uint32_t first = sequence_ + 1;
  for (const auto& step : batch.steps_) batch.message(step.offset)->nlmsg_seq = ++sequence_;
  // A batch that doesn't fit the send buffer is EMSGSIZE; the kernel doubles the number given.
  if (batch.size() > (64U << 10U))
    set_option(socket_, SOL_SOCKET, SO_SNDBUF, static_cast<int>(Batch::kLimit));
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = 0;
  do {
    sent = ::sendto(socket_.get(), batch.buffer_.data(), batch.buffer_.size(), 0,
                    reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) throw Error(batch.steps_.front().op, batch.steps_.front().object);
  return first;
}

ByteView Netlink::receive_datagram(const Batch& batch) {
  const auto& step = batch.steps_.front();
  for (;;) {
    sockaddr_nl sender{};
    socklen_t length = sizeof sender;
    const ssize_t count = ::recvfrom(socket_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC,
                                     reinterpret_cast<sockaddr*>(&sender), &length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN)
      throw Error(step.op, step.object, ETIMEDOUT, "the kernel did not answer");
    if (count < 0) throw Error(step.op, step.object);
    if (static_cast<size_t>(count) > buffer_.size())
      throw Error(step.op, step.object, EMSGSIZE, "an answer of " + std::to_string(count) + " bytes");
    if (sender.nl_pid == 0)
      return {buffer_.data(), static_cast<size_t>(count)};  // anybody else is not the kernel
  }
}

void Netlink::send(Batch& batch, const Receiver& receive) {
  if (batch.empty()) return;
  // Failures are always reported; only the last message is acknowledged, so that many acknowledgements can't
  // overrun the socket. A transaction of nfnetlink ends in a marker that is never acknowledged; what stands
  // before it is.
  const auto type = [&](size_t step) { return batch.message(batch.steps_[step].offset)->nlmsg_type; };
  const bool transaction = protocol_ == NETLINK_NETFILTER && type(0) == NFNL_MSG_BATCH_BEGIN;
  const size_t last = batch.steps_.size() - (transaction ? 2 : 1);
  batch.message(batch.steps_[last].offset)->nlmsg_flags |= NLM_F_ACK;

  const uint32_t first = transmit(batch);
  std::optional<Error> failure;
  for (bool done = false; !done;) {
    for_messages(receive_datagram(batch), [&](const nlmsghdr& message, ByteView body) {
      const size_t number = message.nlmsg_seq - first;  // wraps to a huge number for an older answer
      if (number > last) return true;
      if (message.nlmsg_type != NLMSG_ERROR) {
        if (receive) receive({message.nlmsg_type, body});
        return true;
      }
      const Outcome outcome = outcome_of(message, body);
      const auto& step = batch.steps_[number];
      if (outcome.code != 0 && outcome.code != step.forgiven && !failure)
        failure.emplace(step.op, step.object, outcome.code, outcome.hint);
      // Who may not ask is told so once, for all that was sent (nfnetlink_rcv() in
      // net/netfilter/nfnetlink.c).
      const bool for_all =
          protocol_ == NETLINK_NETFILTER && number == 0 && (transaction || outcome.code == EPERM);
      done = number == last || for_all;
      return !done;
    });
  }
  if (failure) throw Error(*failure);
}

/// Reads one dump into `datagrams`; false when it was interrupted by a change.
bool Netlink::dump_once(Batch& batch, std::vector<std::vector<char>>& datagrams) {
  const uint32_t number = transmit(batch);
  const auto& step = batch.steps_.front();
  datagrams.clear();
  bool whole = true;
  for (bool done = false; !done;) {
    const ByteView datagram = receive_datagram(batch);
    datagrams.emplace_back(datagram.begin(), datagram.end());
    for_messages(datagram, [&](const nlmsghdr& message, ByteView body) {
      if (message.nlmsg_seq != number) return true;
      if ((message.nlmsg_flags & NLM_F_DUMP_INTR) != 0) whole = false;
      if (message.nlmsg_type != NLMSG_DONE && message.nlmsg_type != NLMSG_ERROR) return true;
      done = true;
      const Outcome outcome = outcome_of(message, body);
      if (outcome.code != 0 && outcome.code != step.forgiven)
        throw Error(step.op, step.object, outcome.code, outcome.hint);
      return false;
    });
  }
  return whole;
}

void Netlink::close_behind() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0) return;
  const Fd from(ends[0]), to(ends[1]);
  const int sent[] = {to.get(), socket_.get()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof sent)] = {};
  char byte = 0;
  iovec data = {&byte, 1};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof sent);
  std::memcpy(CMSG_DATA(header), sent, sizeof sent);
  (void)::sendmsg(from.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);  // else it is closed here
  socket_.close();  // before the others, whose close starts the collection: the last one waits
}

void Netlink::dump(Batch& batch, const Receiver& receive) {
  std::vector<std::vector<char>> datagrams;
  int attempts = 1;
  while (!dump_once(batch, datagrams))
    if (++attempts > kDumpAttempts)
      throw Error(batch.steps_.front().op, batch.steps_.front().object, EAGAIN, "the list kept changing");
  for (const auto& datagram : datagrams)
    for_messages(datagram, [&](const nlmsghdr& message, ByteView body) {
      if (message.nlmsg_seq == sequence_ && message.nlmsg_type >= NLMSG_MIN_TYPE)
        receive({message.nlmsg_type, body});
      return true;
    });
}

}  // namespace luabox
