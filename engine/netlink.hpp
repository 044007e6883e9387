// Netlink: requests written as bytes, sent together, answered one by one.
//
// A Batch is a growing buffer of messages. Each names its step ("add address", "172.16.99.1/24"), so that a
// failure tells which one of them the kernel refused, with errno and, as the hint, the kernel's own
// explanation (NETLINK_EXT_ACK). A Netlink socket sends a batch in one system call. It belongs to the network
// namespace it was made in, wherever its process goes later.
//
// The kernel carries out every message of a batch even when an earlier one failed (a transaction of nfnetlink
// excepted): a batch must not hold a message that would do harm then. See netlink(7), rtnetlink(7),
// linux/Documentation/userspace-api/netlink/intro.rst.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fd.hpp"

namespace luabox {

using ByteView = std::span<const char>;

/// One attribute of an answer; a view into the answer.
struct Attribute {
  uint16_t type;  ///< without the NLA_F_ bits
  ByteView data;

  uint32_t u32() const;  ///< host order; 0 when the attribute is too short
  std::string text() const;
};

/// The attribute `type` among `attributes`; stops at the first malformed one.
std::optional<Attribute> find_attribute(ByteView attributes, uint16_t type);

/// All of them, to the first malformed one.
std::vector<Attribute> attributes_of(ByteView attributes);

/// An answer of the kernel: its type and what follows the netlink header.
struct Answer {
  uint16_t type;
  ByteView body;

  /// The fixed header that begins the body; zeros when the body is too short.
  template <class Header>
  Header header() const {
    Header header{};
    if (body.size() >= sizeof header)
      std::copy_n(body.data(), sizeof header, reinterpret_cast<char*>(&header));
    return header;
  }
  /// What follows a fixed header of `size` bytes.
  ByteView attributes(size_t size) const {
    return body.subspan(std::min<size_t>(NLMSG_ALIGN(size), body.size()));
  }
};

class Batch {
 public:
  static constexpr size_t kLimit = 256U << 10U;  ///< more is Error E2BIG

  /// Begins a message with its fixed header (ifinfomsg, ...). NLM_F_REQUEST is implied. `op` and `object` go
  /// into its error.
  template <class Header>
  void begin(uint16_t type, uint16_t flags, const Header& header, const char* op, std::string object = {}) {
    begin_message(type, flags, op, std::move(object));
    append(&header, sizeof header);
  }
  /// An error `code` for the current message is no failure.
  void forgive(int code) { steps_.back().forgiven = code; }

  void put(uint16_t type, const void* data, size_t size);
  void put_u8(uint16_t type, uint8_t value) { put(type, &value, sizeof value); }
  void put_u32(uint16_t type, uint32_t value) { put(type, &value, sizeof value); }
  void put_be32(uint16_t type, uint32_t value);
  /// With the NUL that ends it.
  void put_text(uint16_t type, const std::string& text) { put(type, text.c_str(), text.size() + 1); }
  /// An attribute that holds what `body` writes.
  template <class Body>
  void nest(uint16_t type, Body&& body) {
    const size_t start = open_nest(type);
    body();
    close_nest(start);
  }
  /// Raw bytes, padded: the fixed header inside VETH_INFO_PEER.
  void append(const void* data, size_t size);

  bool empty() const { return steps_.empty(); }
  size_t size() const { return buffer_.size(); }

 private:
  friend class Netlink;
  struct Step {
    size_t offset;
    const char* op;
    std::string object;
    int forgiven = 0;
  };
  void begin_message(uint16_t type, uint16_t flags, const char* op, std::string object);
  size_t open_nest(uint16_t type);
  void close_nest(size_t start);
  void grow(size_t size);
  nlmsghdr* message(size_t offset) { return reinterpret_cast<nlmsghdr*>(buffer_.data() + offset); }

  std::vector<char> buffer_;
  std::vector<Step> steps_;
};

class Netlink {
 public:
  using Receiver = std::function<void(const Answer&)>;

  /// `protocol` is NETLINK_ROUTE, NETLINK_NETFILTER, ... Throws Error("socket", "netlink").
  explicit Netlink(int protocol);

  /// Sends the batch in one call and waits for its outcome. Throws the first failure that was not forgiven;
  /// `receive` gets the answers that are no acknowledgements. ETIMEDOUT when the kernel is silent for 10
  /// seconds.
  void send(Batch& batch, const Receiver& receive = {});

  /// Sends the one request in `batch` as a dump (begin it with NLM_F_DUMP). `receive` gets the list only when
  /// it is whole: one that changed while it was read (NLM_F_DUMP_INTR) is read again.
  void dump(Batch& batch, const Receiver& receive);

  /// For a process that ends, and a socket whose close takes long: the kernel closes it behind the process.
  /// It is left in flight to a socket that is in flight to itself, which is what the collection of
  /// descriptors in flight is for (unix(7), SCM_RIGHTS; net/unix/garbage.c). Before Linux 6.10 that waits,
  /// too.
  void close_behind();

 private:
  uint32_t transmit(Batch& batch);
  ByteView receive_datagram(const Batch& batch);
  bool dump_once(Batch& batch, std::vector<std::vector<char>>& datagrams);

  Fd socket_;
  int protocol_;
  uint32_t sequence_ = 0;
  std::vector<char> buffer_;
};

}  // namespace luabox
