#include "engine/channel.hpp"

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;
using Kind = Message::Kind;

TEST_CASE("messages arrive whole, one by one and in order") {
  auto [left, right] = Channel::pair();
  CHECK(left.send(Kind::data, "first"));
  CHECK(left.send(Kind::exec));
  CHECK(left.send(Kind::failure, std::string("a\0b", 3)));

  const auto first = right.receive(), second = right.receive(), third = right.receive();
  REQUIRE((first && second && third));
  CHECK(first->kind == Kind::data);
  CHECK(first->text == "first");
  CHECK(!first->fd);
  CHECK(second->kind == Kind::exec);
  CHECK(second->text.empty());
  CHECK(third->text == std::string("a\0b", 3));
}

TEST_CASE("both ends of a channel are close-on-exec") {
  const auto [left, right] = Channel::pair();
  CHECK(::fcntl(left.get(), F_GETFD) == FD_CLOEXEC);
  CHECK(::fcntl(right.get(), F_GETFD) == FD_CLOEXEC);
}

TEST_CASE("what was sent before the sender went is still received, then there is nothing") {
  auto [left, right] = Channel::pair();
  left.send(Kind::data, "last words");
  CHECK_FALSE(right.closed());
  left.close();
  const auto message = right.receive();
  REQUIRE(message);
  CHECK(message->text == "last words");
  CHECK_FALSE(right.receive());
  CHECK(right.closed());
}

TEST_CASE("to send to a side that is gone is told, not a signal") {
  auto [left, right] = Channel::pair();
  right.close();
  CHECK_FALSE(left.send(Kind::release));
  CHECK(left.closed());
}

TEST_CASE("what was sent arrives, also when the sender left without reading what it was sent") {
  auto [left, right] = Channel::pair();
  left.send(Kind::release);
  right.send(Kind::failure, "why it left");
  right.close();
  const auto message = left.receive();
  REQUIRE(message);
  CHECK(message->text == "why it left");
  CHECK_FALSE(left.receive());
}

TEST_CASE("to ask whether the other side has gone takes no message") {
  auto [left, right] = Channel::pair();
  left.send(Kind::data, "kept");
  CHECK_FALSE(right.closed());
  CHECK_FALSE(right.closed());
  CHECK(right.receive()->text == "kept");
}

TEST_CASE("a text is cut at 60000 bytes, and its message is still one") {
  auto [left, right] = Channel::pair();
  CHECK(left.send(Kind::data, std::string(60000, 'a')));
  CHECK(left.send(Kind::data, std::string(1U << 20U, 'b')));
  CHECK(right.receive()->text == std::string(60000, 'a'));
  CHECK(right.receive()->text == std::string(60000, 'b'));
}

TEST_CASE("a descriptor arrives as the same open file, close-on-exec, and without it nothing leaks") {
  Sandbox box;
  const std::string path = box.file("sent", "through the channel");
  auto [left, right] = Channel::pair();
  {
    const Fd file = Fd::open(path, O_RDONLY);
    CHECK(left.send(Kind::data, "file", file.get()));
  }
  auto message = right.receive();
  REQUIRE(message);
  REQUIRE(message->fd);
  CHECK(::fcntl(message->fd.get(), F_GETFD) == FD_CLOEXEC);
  CHECK(read_all(message->fd.get(), path) == "through the channel");

  const int number = message->fd.get();
  message.reset();
  CHECK(::fcntl(number, F_GETFD) == -1);
}

TEST_CASE("to send a descriptor that is none is an error") {
  auto [left, right] = Channel::pair();
  CHECK(code_of([&, &sender = left] { sender.send(Kind::data, "", 999); }) == EBADF);
}

TEST_CASE("fields come back as they were written, empty ones too") {
  const std::map<std::string, std::string> fields = {
      {"op", "mount"}, {"object", ""}, {"hint", "two\nlines: \xff"}, {"", "nameless"}};
  CHECK(decode_fields(encode_fields(fields)) == fields);
  CHECK(decode_fields("").empty());
}

TEST_CASE("fields that were cut give what is whole and the rest of the last") {
  const std::string text = encode_fields({{"message", "it failed"}, {"op", "mount"}});
  CHECK(decode_fields(text.substr(0, text.size() - 3)) ==
        std::map<std::string, std::string>{{"message", "it failed"}, {"op", "mou"}});
  CHECK(decode_fields(text.substr(0, text.find('\0', 10) + 2)) ==
        std::map<std::string, std::string>{{"message", "it failed"}});
  for (size_t length = 0; length <= text.size(); ++length) decode_fields(text.substr(0, length));
}
