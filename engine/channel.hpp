// The channel between a parent and the child it cloned: a close-on-exec SOCK_SEQPACKET pair, so a message
// arrives whole or not at all, and end of file tells each side that the other is gone (or has exec'd). See
// unix(7).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/fd.hpp"

namespace luabox {

struct Message {
  enum class Kind : char {
    release = 'R',  ///< parent: all is attached, go on
    ready = 'O',    ///< child: it runs, and its descriptors are its own
    failure = 'E',  ///< child: text is an encoded set of fields (encode_fields)
    exec = 'X',     ///< child: the next thing is execve; end of file after it means success
    data = 'D',     ///< either: the caller's own, with an optional descriptor
  };
  Kind kind;
  std::string text;
  Fd fd;
};

class Channel {
 public:
  Channel() = default;
  static std::pair<Channel, Channel> pair();

  /// False when the other side is gone. Longer texts than 60,000 bytes are cut.
  bool send(Message::Kind kind, std::string_view text = {}, int fd = -1);
  /// Blocks. Nothing at end of file.
  std::optional<Message> receive();
  /// Whether the other side has gone; does not block and takes no message.
  bool closed() const;
  void close() { fd_.close(); }
  int get() const { return fd_.get(); }

 private:
  explicit Channel(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

/// Names and values as one text, and back. Neither may hold a NUL.
std::string encode_fields(const std::map<std::string, std::string>& fields);
std::map<std::string, std::string> decode_fields(std::string_view text);

}  // namespace luabox
