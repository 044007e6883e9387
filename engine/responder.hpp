// A process of one's own that answers questions: text in, text out, within a deadline.
//
// start() forks, so `serve` runs on a copy of what this process is now; later changes here can't reach it.
// The two talk over a close-on-exec SOCK_SEQPACKET pair (unix(7)). Whatever goes wrong there (no answer in
// time, a dead helper, a question that is too long) is an Error, once and for all: a helper that failed is
// killed, and each later ask() throws.
//
// A child of a clone inherits the socket. Two processes on one socket would take each other's answers, so the
// child calls separate() first: it hands the helper one end of a pair of its own.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine/fd.hpp"

namespace luabox {

class Responder {
 public:
  /// The longest question and answer, in bytes.
  static constexpr size_t kLongest = 180000;

  /// `prepare` runs first in the helper and returns what ready() is given; `answer` then runs for each
  /// question; neither may return an empty text, which reads as the helper's end. The helper has a process
  /// group of its own, which no signal of the terminal's reaches, nothing open but the socket and /dev/null,
  /// and ends with this process.
  using Prepare = std::function<std::string()>;
  using Answer = std::function<std::string(const std::string& question)>;
  static Responder start(const char* name, const Prepare& prepare, const Answer& answer);

  Responder(Responder&& other) noexcept = default;
  ~Responder();

  /// What prepare returned; the same again later. Waits at most `seconds`.
  const std::string& ready(double seconds);
  /// Throws Error: ETIMEDOUT, EPIPE when it is dead, EMSGSIZE. A helper that still prepares has the question
  /// already: there is one wait for both.
  std::string ask(std::string_view question, double seconds);
  /// It is ended and reaped; who asks it later is told that it has died.
  void end();
  /// In the child of a clone, before it asks.
  void separate();

 private:
  Responder(Fd pidfd, Fd socket) : pidfd_(std::move(pidfd)), socket_(std::move(socket)) {}
  std::string receive(double seconds);
  [[noreturn]] void fail(int code, const char* why);

  Fd pidfd_, socket_;
  std::string ready_;
  bool is_ready_ = false;
  int owner_ = 0;
};

}  // namespace luabox
