// Run when luabox is built: writes the default profile's program as C++.
//
//   seccomp_generator OUTPUT.cpp
#include <exception>
#include <fstream>
#include <iostream>

#include "engine/seccomp_profile.hpp"

namespace luabox {

// The generator is what makes it.
std::span<const sock_filter> prebuilt_profile() { return {}; }

}  // namespace luabox

namespace {

void write_program(std::ostream& out, const luabox::Filter& filter) {
  out << "// Written by seccomp_generator.\n"
         "#include \"engine/seccomp_profile.hpp\"\n\n"
         "namespace luabox {\nnamespace {\n\n"
         "constexpr sock_filter kProgram[] = {\n";
  for (const auto& instruction : filter.program())
    out << "    {" << instruction.code << ", " << unsigned{instruction.jt} << ", " << unsigned{instruction.jf}
        << ", " << instruction.k << "},\n";
  out << "};\n\n}  // namespace\n\n"
         "std::span<const sock_filter> prebuilt_profile() { return kProgram; }\n\n"
         "}  // namespace luabox\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: seccomp_generator OUTPUT.cpp\n";
    return 2;
  }
  try {
    std::ofstream out(argv[1]);
    write_program(out, luabox::compile(luabox::default_profile(luabox::kDefaultCapabilities)));
    if (out.flush()) return 0;
    std::cerr << "seccomp_generator: can't write " << argv[1] << "\n";
  } catch (const std::exception& error) {
    std::cerr << "seccomp_generator: " << error.what() << "\n";
  }
  return 1;
}
