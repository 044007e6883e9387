// What was probably meant.
#include "engine/nearest.hpp"

#include <catch2/catch.hpp>

using namespace luabox;

TEST_CASE("a swap of two letters is nearer than two other mistakes") {
  CHECK(nearest("nmae", {"make", "image", "name"}) == "name");
  CHECK(nearest("memroy", {"memory_low", "memory"}) == "memory");
  CHECK(nearest("ab", {"ba"}) == "ba");
}

TEST_CASE("the first of several that are as near is taken") {
  CHECK(nearest("cat", {"bat", "rat"}) == "bat");
  CHECK(nearest("cat", {"rat", "bat"}) == "rat");
}

TEST_CASE("what is too far is not named") {
  CHECK(nearest("cpu", {"hostname"}).empty());
  CHECK(nearest("x", {"y"}).empty());
  CHECK(nearest("", {"a"}).empty());
  CHECK(nearest(std::string(1 << 20, 'a'), {"a"}).empty());
}

TEST_CASE("an unknown name is told with the nearest, cut where it is long") {
  CHECK(unknown_name("key", "memroy", {"memory"}) == "unknown key 'memroy' (did you mean 'memory'?)");
  CHECK(unknown_name("key", std::string(100, 'a'), {"b"}) == "unknown key '" + std::string(64, 'a') + "'");
}
