// A line that is typed and edited at a terminal, by libedit. See editline(3).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

struct editline;
struct history;

namespace luabox {

/// What may stand in the place of the bytes from `start` to the cursor; each word begins with these.
struct Completion {
  size_t start = 0;
  std::vector<std::string> words;
};

class LineEditor {
 public:
  using Completer = std::function<Completion(const std::string& before_the_cursor)>;

  /// On descriptors 0 and 1, which are a terminal. Nothing of libedit is touched before.
  LineEditor();
  LineEditor(LineEditor&& other) noexcept;
  LineEditor& operator=(LineEditor&&) = delete;
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;
  ~LineEditor();

  /// One line without its end; nothing at the end of the input and when a signal came (engine/interrupt.hpp).
  /// The terminal is in its own mode before and after.
  std::optional<std::string> read(const std::string& prompt, const Completer& completer);

  /// Makes `line` the newest of the history.
  void remember(const std::string& line);

 private:
  struct State;
  State* state_;
};

}  // namespace luabox
