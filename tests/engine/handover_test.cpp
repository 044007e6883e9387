#include "engine/handover.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "engine/exec.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

TEST_CASE("a handover is of one kind, and in nobody's environment once it was accepted") {
  in_child(0, [] {
    expect(handed_over("monitor") == nullptr, "nothing was handed over");
    ::setenv(kHandover, "monitor", 1);
    expect(handed_over("monitor") == nullptr, "a word alone is nothing");
    ::setenv(kHandover, "monitor 1 2", 1);
    expect(std::string(handed_over("monitor")) == "1 2", "its text");
    expect(handed_over("moni") == nullptr && handed_over("background") == nullptr, "of no other kind");
    accept_handover();
    expect(::getenv(kHandover) == nullptr, "it has left the environment");
    expect(std::string(handed_over("monitor")) == "1 2", "but is there");
    accept_handover();
    expect(handed_over("monitor") != nullptr, "still");
    forget_handover();
    expect(handed_over("monitor") == nullptr, "until it is forgotten");
  });
}

TEST_CASE("the environment of the next program has one handover") {
  in_child(0, [] {
    ::setenv(kHandover, "old text", 1);
    ::setenv("ANOTHER", "value", 1);
    auto texts = environment_with("kind", "new text");
    const auto count = [&](const std::string& text) { return std::count(texts.begin(), texts.end(), text); };
    expect(count("LUABOX_HANDOVER=kind new text") == 1 && count("LUABOX_HANDOVER=old text") == 0, "the new");
    expect(count("ANOTHER=value") == 1, "what was there");
    const auto pointers = pointers_to(texts);
    expect(pointers.size() == texts.size() + 1 && pointers.back() == nullptr, "as execve takes it");
  });
}
