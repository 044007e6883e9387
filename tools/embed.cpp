// embed OUT.cpp NAME=FILE...: compiles Lua files to bytecode that keeps its debug information, and writes
// them as one C++ file. Those called meta/... are documents: they stay as they are.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <lua.hpp>
#include <string>
#include <vector>

namespace {

int append(lua_State*, const void* data, size_t size, void* out) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(data), size);
  return 0;
}

std::string compiled(lua_State* L, const std::string& name, const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string source((std::istreambuf_iterator<char>(in)), {});
  if (!in || luaL_loadbuffer(L, source.data(), source.size(), ("@luabox:" + name + ".lua").c_str()) != 0) {
    std::fprintf(stderr, "%s: %s\n", file.c_str(), in ? lua_tostring(L, -1) : "can't be read");
    std::exit(1);
  }
  if (name.compare(0, 5, "meta/") == 0) {
    lua_pop(L, 1);
    return source;
  }
  std::string code;
  lua_dump(L, append, &code);
  lua_pop(L, 1);
  return code;
}

void write_array(std::ofstream& out, size_t number, const std::string& code) {
  out << "const unsigned char code" << number << "[] = {";
  for (size_t i = 0; i < code.size(); ++i)
    out << (i % 32 == 0 ? "\n" : "") << static_cast<unsigned>(static_cast<unsigned char>(code[i])) << ',';
  out << "};\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  lua_State* L = luaL_newstate();
  std::ofstream out(argv[1]);
  out << "#include \"bindings/state.hpp\"\nnamespace luabox {\nnamespace {\n";
  std::string table;
  for (int i = 2; i < argc; ++i) {
    const std::string pair = argv[i];
    const auto equals = pair.find('=');
    const std::string name = pair.substr(0, equals), code = compiled(L, name, pair.substr(equals + 1));
    write_array(out, static_cast<size_t>(i), code);
    table += "    {\"" + name + "\", code" + std::to_string(i) + ", " + std::to_string(code.size()) + "},\n";
  }
  out << "}  // namespace\nconst EmbeddedScript embedded_scripts[] = {\n"
      << table << "};\nconst size_t embedded_script_count = " << argc - 2 << ";\n}  // namespace luabox\n";
  lua_close(L);
  return out.good() ? 0 : 1;
}
