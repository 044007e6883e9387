#include "engine/line_editor.hpp"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cwchar>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/terminal.hpp"

namespace luabox {
namespace {

constexpr size_t kMostListed = 120;
constexpr int kLongestHistory = 1000;
constexpr int kPollMs = 1000;  // a signal just before poll(2) is seen then

volatile sig_atomic_t resized = 0;
volatile sig_atomic_t continued = 0;
void note_size(int) { resized = 1; }
void note_continued(int) { continued = 1; }

/// SIGWINCH and SIGCONT while a line is edited; not restarted, so that the read of a key sees them.
class TerminalSignals {
 public:
  TerminalSignals() {
    struct sigaction action = {};
    action.sa_handler = note_size;
    ::sigaction(SIGWINCH, &action, &size_before_);
    action.sa_handler = note_continued;
    ::sigaction(SIGCONT, &action, &continue_before_);
  }
  TerminalSignals(const TerminalSignals&) = delete;
  TerminalSignals& operator=(const TerminalSignals&) = delete;
  ~TerminalSignals() {
    ::sigaction(SIGWINCH, &size_before_, nullptr);
    ::sigaction(SIGCONT, &continue_before_, nullptr);
  }

 private:
  struct sigaction size_before_ = {}, continue_before_ = {};
};

/// The key's next byte: 1, 0 at the end of the input, -1 when a signal ends the line. Waits in poll(2), which
/// no SA_RESTART restarts.
ssize_t next_byte(EditLine* editor, char* byte) {
  for (;;) {
    if (interrupted() != 0) return -1;
    if (continued != 0) {  // who ran meanwhile left the terminal in another mode
      el_set(editor, EL_PREP_TERM, 0);
      el_set(editor, EL_PREP_TERM, 1);
    }
    if (resized != 0) el_resize(editor);
    if (resized != 0 || continued != 0) el_set(editor, EL_REFRESH);
    resized = 0;
    continued = 0;
    pollfd ready = {STDIN_FILENO, POLLIN, 0};
    if (::poll(&ready, 1, kPollMs) <= 0) continue;
    const ssize_t count = ::read(STDIN_FILENO, byte, 1);
    if (count >= 0 || errno != EINTR) return count;
  }
}

int read_key(EditLine* editor, wchar_t* key) {
  std::mbstate_t progress = {};
  for (;;) {
    char byte = 0;
    const ssize_t count = next_byte(editor, &byte);
    if (count <= 0) return static_cast<int>(count);
    const size_t used = std::mbrtowc(key, &byte, 1, &progress);
    if (used == static_cast<size_t>(-2)) continue;
    if (used == static_cast<size_t>(-1)) *key = L'?';  // no UTF-8
    return 1;
  }
}

std::string common_start(const std::vector<std::string>& words) {
  std::string common = words.front();
  for (const auto& word : words) {
    const auto end = std::mismatch(common.begin(), common.end(), word.begin(), word.end()).first;
    common.erase(end, common.end());
  }
  return common;
}

/// The words in columns below the line.
void list(const std::vector<std::string>& words) {
  size_t widest = 0;
  for (const auto& word : words) widest = std::max(widest, word.size());
  const size_t columns = window_size(STDOUT_FILENO).value_or(WindowSize{24, 80}).columns;
  const size_t in_a_row = std::max<size_t>(1, columns / (widest + 2));
  std::string text = "\n";
  const size_t shown = std::min(words.size(), kMostListed);
  for (size_t i = 0; i < shown; ++i) {
    text += words[i];
    const bool last = i + 1 == shown || (i + 1) % in_a_row == 0;
    text += last ? "\n" : std::string(widest + 2 - words[i].size(), ' ');
  }
  if (shown < words.size()) text += "... and " + std::to_string(words.size() - shown) + " more\n";
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

/// libedit calls back with nothing but the editor; this is its client data.
struct LineEditor::State {
  EditLine* editor = nullptr;
  History* past = nullptr;
  std::string prompt;
  const Completer* completer = nullptr;

  static State& of(EditLine* editor) {
    void* state = nullptr;
    el_get(editor, EL_CLIENTDATA, &state);
    return *static_cast<State*>(state);
  }
  static char* prompt_of(EditLine* editor) { return of(editor).prompt.data(); }

  /// The Tab key: what all candidates have in common, or a list of them. Where nothing is typed before it, it
  /// indents.
  static unsigned char complete(EditLine* editor, int) {
    const LineInfo* line = el_line(editor);
    const std::string before(line->buffer, line->cursor);
    if (before.find_first_not_of(" \t") == std::string::npos) {
      return el_insertstr(editor, "  ") < 0 ? CC_ERROR : CC_REFRESH;
    }
    const Completer& completer = *of(editor).completer;
    const Completion found = completer ? completer(before) : Completion{};
    if (found.words.empty()) return CC_REFRESH_BEEP;
    const std::string more = common_start(found.words).substr(before.size() - found.start);
    if (!more.empty()) return el_insertstr(editor, more.c_str()) < 0 ? CC_ERROR : CC_REFRESH;
    if (found.words.size() == 1) return CC_REFRESH_BEEP;
    list(found.words);
    return CC_REDISPLAY;
  }
};

LineEditor::LineEditor() : state_(new State) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  state_->editor = el_init("luabox", stdin, stdout, stderr);
  state_->past = history_init();
  if (state_->editor == nullptr || state_->past == nullptr) throw Error("el_init", "terminal", ENOTTY);
  EditLine* editor = state_->editor;
  el_set(editor, EL_CLIENTDATA, state_);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_PROMPT, &State::prompt_of);
  el_set(editor, EL_GETCFN, &read_key);
  el_set(editor, EL_ADDFN, "luabox-complete", "Completes the word", &State::complete);
  el_set(editor, EL_BIND, "^I", "luabox-complete", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(editor, EL_BIND, "\\e[1~", "ed-move-to-beg", nullptr);
  el_set(editor, EL_BIND, "\\e[4~", "ed-move-to-end", nullptr);
  el_set(editor, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);
  HistEvent event;
  history(state_->past, &event, H_SETSIZE, kLongestHistory);
  history(state_->past, &event, H_SETUNIQUE, 1);
  el_set(editor, EL_HIST, history, state_->past);
}

LineEditor::LineEditor(LineEditor&& other) noexcept : state_(other.state_) { other.state_ = nullptr; }

LineEditor::~LineEditor() {
  if (state_ == nullptr) return;
  if (state_->past != nullptr) history_end(state_->past);
  if (state_->editor != nullptr) el_end(state_->editor);
  delete state_;
}

std::optional<std::string> LineEditor::read(const std::string& prompt, const Completer& completer) {
  const TerminalSignals signals;
  std::clearerr(stdin);  // an end of input, or an interrupt, that somebody else's read met
  state_->prompt = prompt;
  state_->completer = &completer;
  el_set(state_->editor, EL_PREP_TERM, 1);
  int length = 0;
  const char* line = el_gets(state_->editor, &length);
  el_set(state_->editor, EL_PREP_TERM, 0);
  if (line == nullptr || length <= 0 || interrupted() != 0) return std::nullopt;
  std::string text(line, static_cast<size_t>(length));
  if (text.back() == '\n') text.pop_back();
  return text;
}

void LineEditor::remember(const std::string& line) {
  HistEvent event;
  history(state_->past, &event, H_ENTER, line.c_str());
}

}  // namespace luabox
