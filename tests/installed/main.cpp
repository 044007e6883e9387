// A process in a uts namespace of its own, by the engine alone: what it calls the host is not what the host
// is called.
#include <linux/sched.h>
#include <unistd.h>

#include <cstdio>

#include "engine/error.hpp"
#include "engine/exec.hpp"
#include "engine/process.hpp"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  try {
    luabox::CloneOptions options;
    options.namespaces = luabox::Namespaces::parse("uts");
    luabox::Process child = luabox::Process::clone(options, [&](luabox::Channel&) {
      if (::sethostname("installed", 9) < 0) throw luabox::Error("sethostname");
      luabox::ExecOptions program;
      program.arguments.assign(argv + 1, argv + argc);
      luabox::exec(program);
    });
    child.release();
    return child.wait()->shell();
  } catch (const luabox::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 125;
  }
}
