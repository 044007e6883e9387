#include "engine/exec.hpp"

#include <elf.h>
#include <endian.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <csignal>
#include <cstring>

#include "engine/capabilities.hpp"
#include "engine/file.hpp"
#include "engine/terminal.hpp"
#include "tests/engine/program.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

#define NEEDS_ROOT \
  if (!is_root()) SKIP_TEST("needs root")

using Texts = std::vector<std::string>;

Outcome program(const Texts& arguments, const Texts& environment = {}) {
  return outcome_of({}, [&] { exec({arguments, environment}); });
}

/// The program below an init in a pid namespace of its own.
Outcome below_init(const Texts& arguments) {
  return outcome_of(in_namespaces("pid"), [&] { exec_below_init({arguments, {}}); });
}

/// The error with which a child fails that should execute something.
Error failure_in(const std::function<void()>& body) {
  Process process = Process::clone({}, [&](Channel&) { body(); });
  try {
    process.release();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("it was executed");
}

Error failure_of(const Texts& arguments, const Texts& environment = {}) {
  return failure_in([&] { exec({arguments, environment}); });
}

std::string executable(const Sandbox& box, const std::string& name, const std::string& text) {
  std::string path = box.file(name, text);
  ::chmod(path.c_str(), 0755);
  return path;
}

/// An ELF file of this class for `machine` that asks for `loader`.
template <typename Header, typename Segment>
std::string elf_of(unsigned char kind, unsigned short machine, const std::string& loader) {
  Header header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = kind;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = machine;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Segment);
  header.e_phnum = 1;
  Segment segment = {};
  segment.p_type = PT_INTERP;
  segment.p_offset = sizeof header + sizeof segment;
  segment.p_filesz = segment.p_memsz = static_cast<decltype(segment.p_filesz)>(loader.size() + 1);
  std::string file(reinterpret_cast<const char*>(&header), sizeof header);
  file.append(reinterpret_cast<const char*>(&segment), sizeof segment);
  return file + loader + '\0';
}

std::string elf(unsigned short machine, const std::string& loader) {
  return elf_of<Elf64_Ehdr, Elf64_Phdr>(ELFCLASS64, machine, loader);
}

std::string elf32(const std::string& loader) {
  return elf_of<Elf32_Ehdr, Elf32_Phdr>(ELFCLASS32, EM_386, loader);
}

#if defined(__x86_64__)
constexpr unsigned short kOwn = EM_X86_64, kForeign = EM_AARCH64;
constexpr const char* kForeignName = "aarch64";
#else
constexpr unsigned short kOwn = EM_AARCH64, kForeign = EM_X86_64;
constexpr const char* kForeignName = "x86_64";
#endif

}  // namespace

TEST_CASE("a program gets its arguments as they are, and no environment but its own") {
  ::setenv("LUABOX_TEST_INHERITED", "1", 1);
  const auto printed = program({"/usr/bin/printf", "<%s>", "", "a b", "*"});
  CHECK(printed.output == "<><a b><*>");
  CHECK(program({"/usr/bin/env"}, {"A=1", "B="}).output == "A=1\nB=\n");
  CHECK(program({"/usr/bin/env"}).output.empty());
  ::unsetenv("LUABOX_TEST_INHERITED");
}

TEST_CASE("the PATH that counts is that of the environment to be") {
  Sandbox box;
  executable(box, "first/tool", "#!/bin/sh\necho first\n");
  executable(box, "second/tool", "#!/bin/sh\necho second\n");
  const std::string first = box.dir("first"), second = box.dir("second"), empty = box.dir("empty");
  CHECK(program({"tool"}, {"PATH=" + empty + ":" + second + ":" + first}).output == "second\n");
  CHECK(program({"tool"}, {"X=PATH=1", "PATH=" + box.file("a-file", "") + ":" + first}).output == "first\n");

  const Error missing = failure_of({"tool"}, {"PATH=" + empty});
  CHECK(missing.code() == ENOENT);
  CHECK(missing.object() == "tool");
  CHECK_THAT(missing.hint(), Catch::Contains(empty));
  CHECK(failure_of({"tool"}).code() == ENOENT);
}

TEST_CASE("an empty entry of PATH is the current folder, and a name with a slash is not searched") {
  Sandbox box;
  executable(box, "here", "#!/bin/sh\necho here\n");
  const auto run_here = [&](const std::string& name, const std::string& path) {
    return outcome_of({}, [&] {
      if (::chdir(box.path().c_str()) < 0) throw Error("chdir");
      exec({{name}, {path}});
    });
  };
  for (const char* path : {"PATH=", "PATH=:/bin", "PATH=/bin:", "PATH=/bin::/sbin"})
    CHECK(run_here("here", path).output == "here\n");
  CHECK(run_here("./here", "PATH=/none").output == "here\n");
  CHECK_THROWS_AS(run_here("here", "PATH=/bin"), Error);
}

TEST_CASE("a file that may not be executed is passed over, and told when there is no other") {
  Sandbox box;
  const std::string denied = box.file("denied/tool", "#!/bin/sh\n");
  executable(box, "allowed/tool", "#!/bin/sh\necho allowed\n");
  const std::string path = "PATH=" + box.dir("denied") + ":" + box.dir("allowed");
  CHECK(program({"tool"}, {path}).output == "allowed\n");

  const Error only = failure_of({"tool"}, {"PATH=" + box.dir("denied") + ":" + box.dir("empty")});
  CHECK(only.code() == EACCES);
  CHECK(only.object() == denied);
  CHECK(failure_of({denied}).code() == EACCES);
  CHECK(failure_of({box.dir("denied")}).code() == EACCES);
}

TEST_CASE("what is missing to run a file is named: its interpreter, its loader") {
  Sandbox box;
  const std::string script = executable(box, "script", "#! /no/such/shell -e\n");
  CHECK(failure_of({script}).code() == ENOENT);
  CHECK_THAT(failure_of({script}).hint(), Catch::Contains("interpreter /no/such/shell"));

  const std::string native = executable(box, "native", elf(kOwn, "/no/such/ld.so"));
  CHECK(failure_of({native}).code() == ENOENT);
  CHECK_THAT(failure_of({native}).hint(), Catch::Contains("loader /no/such/ld.so"));
  // Found by PATH too: it must not read as "not found".
  const Error searched = failure_of({"script"}, {"PATH=" + box.path().string() + ":/bin"});
  CHECK(searched.object() == script);
  CHECK_THAT(searched.hint(), Catch::Contains("/no/such/shell"));
}

TEST_CASE("an interpreter or loader that is there is not called missing: what is wrong with it is told") {
  Sandbox box;
  const std::string loaded = executable(box, "loaded", elf(kOwn, "/no/such/ld.so"));
  const Error missing = failure_of({executable(box, "script", "#!" + loaded + "\n")});
  CHECK(missing.code() == ENOENT);
  CHECK(missing.hint() == "its interpreter " + loaded + ": its loader /no/such/ld.so does not exist here");

  const std::string plain = box.file("plain", "#!/bin/sh\n"), folder = box.dir("folder");
  for (const auto& text : {"#!" + plain + "\n", elf(kOwn, plain)}) {
    const Error denied = failure_of({executable(box, "denied", text)});
    CHECK(denied.code() == EACCES);
    CHECK_THAT(denied.hint(), Catch::EndsWith(plain + ": it is not executable"));
  }
  CHECK_THAT(failure_of({executable(box, "in-folder", "#!" + folder + "\n")}).hint(),
             Catch::EndsWith(folder + ": it is a directory"));
}

TEST_CASE("a first line without an interpreter, or with one that Linux does not follow, is told") {
  Sandbox box;
  for (const char* text : {"#!", "#!\n", "#!  \necho\n"})
    CHECK(failure_of({executable(box, "none", text)}).hint() == "its first line names no interpreter");
  const std::string longest = "#!/" + std::string(300, 'x') + "\n";
  CHECK_THAT(failure_of({executable(box, "long", longest)}).hint(),
             Catch::Contains("longer than Linux reads"));
  const std::string loop = box.path().string() + "/loop";
  const Error looping = failure_of({executable(box, "loop", "#!" + loop + "\n")});
  CHECK(looping.code() == ELOOP);
  CHECK_THAT(looping.hint(), Catch::Contains("its interpreter is a script too"));
}

TEST_CASE("the loader of a 32-bit program is named too") {
  Sandbox box;
  const Error failure = failure_of({executable(box, "i386", elf32("/no/such/ld-linux.so.2"))});
  // Where the kernel runs 32-bit programs at all.
  if (failure.code() != ENOENT) SKIP_TEST("this kernel runs no 32-bit programs");
  CHECK(failure.hint() == "its loader /no/such/ld-linux.so.2 does not exist here");
}

TEST_CASE("a script from DOS, a foreign program and a plain text are told apart") {
  Sandbox box;
  CHECK_THAT(failure_of({executable(box, "dos", "#!/bin/sh\r\necho\r\n")}).hint(),
             Catch::Contains("carriage return"));
  const Error foreign = failure_of({executable(box, "foreign", elf(kForeign, "/lib/ld.so"))});
  CHECK(foreign.code() == ENOEXEC);
  CHECK_THAT(foreign.hint(), Catch::Contains(kForeignName));
  const Error text = failure_of({executable(box, "text", "echo hello\n")});
  CHECK(text.code() == ENOEXEC);
  CHECK_THAT(text.hint(), Catch::Contains("neither"));
}

TEST_CASE("file capabilities beyond the bounding set are named") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string file = executable(box, "capable", read_file("/bin/true"));
  vfs_cap_data data = {};
  data.magic_etc = htole32(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE);
  data.data[0].permitted = htole32(1U << CAP_NET_RAW | 1U << CAP_CHOWN);
  if (::setxattr(file.c_str(), "security.capability", &data, sizeof data, 0) != 0)
    return;  // no such file system
  CHECK(program({file}).status.shell() == 0);
  const Error refused = failure_in([&] {
    limit_bounding({CAP_CHOWN});
    exec({{file}, {}});
  });
  CHECK(refused.code() == EPERM);
  CHECK_THAT(refused.hint(), Catch::EndsWith("beyond the container's: net_raw"));
}

TEST_CASE("a file made to confuse the diagnosis is only an error") {
  Sandbox box;
  std::string hostile = elf(kOwn, "/x");
  Elf64_Ehdr header;
  std::memcpy(&header, hostile.data(), sizeof header);
  header.e_phoff = ~0ULL;
  header.e_phnum = 0xffff;
  std::memcpy(hostile.data(), &header, sizeof header);
  for (const auto& text : {hostile, std::string(ELFMAG), std::string("#!"), std::string("#!\n"),
                           std::string("#!   "), elf(kOwn, std::string(5000, 'x')), std::string()})
    CHECK(failure_of({executable(box, "hostile", text)}).code() != 0);
}

TEST_CASE("no command is an error before anything has changed") {
  CHECK(code_of([] { exec({}); }) == EINVAL);
  CHECK(code_of([] { exec({{""}, {}}); }) == EINVAL);
  CHECK(code_of([] { exec_below_init({}); }) == EINVAL);
}

TEST_CASE("a program gets descriptors 0 to 2 and no other") {
  const auto listed = outcome_of({}, [] {
    // Left open on purpose, as a caller's mistake would.
    if (::dup2(0, 77) < 0 || ::dup2(0, 3) < 0) throw Error("dup2");
    exec({{"/bin/sh", "-c", "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done"}, {}});
  });
  // The shell opens the folder that it lists while it lists it.
  CHECK_THAT(listed.output, Catch::StartsWith("0\n1\n2\n"));
  CHECK_THAT(listed.output, !Catch::Contains("77"));

  const auto kept = outcome_of({}, [] {
    if (::dup2(0, 77) < 0) throw Error("dup2");
    exec({{"/bin/sh", "-c", "test -e /proc/self/fd/77 || echo closed"}, {}});
  });
  CHECK(kept.output == "closed\n");
}

TEST_CASE("a program starts with default signals and an empty mask, below an init too") {
  const auto spoil = [] {
    for (const int signal : {SIGINT, SIGPIPE, SIGCHLD, SIGUSR1, SIGTERM}) ::signal(signal, SIG_IGN);
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
  };
  const ExecOptions show = {{"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}, {}};
  const std::string clean = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
  CHECK(outcome_of({}, [&] { spoil(), exec(show); }).output == clean);
  if (is_root())
    CHECK(outcome_of(in_namespaces("pid"), [&] { spoil(), exec_below_init(show); }).output == clean);
}

TEST_CASE("a new session has the terminal that was given, and no other") {
  const std::string show =
      "test \"$(cut -d' ' -f6 /proc/$$/stat)\" = $$ && (: < /dev/tty) 2> /dev/null && echo own";
  const auto run = [&](bool terminal) {
    Pty pty = open_pty();
    return outcome_of({}, [&] {
      if (::dup2(pty.slave.get(), 0) < 0) throw Error("dup2");
      ExecOptions options{{"/bin/sh", "-c", show}, {}};
      options.new_session = true;
      options.controlling_terminal = terminal;
      exec(options);
    });
  };
  CHECK(run(true).output == "own\n");
  CHECK(run(false).output.empty());
}

TEST_CASE("an init ends with its program's status, 128 + N for a signal") {
  NEEDS_ROOT;
  CHECK(below_init({"sh", "-c", "exit 0"}).status.code == 0);
  CHECK(below_init({"sh", "-c", "exit 9"}).status.code == 9);
  CHECK(below_init({"sh", "-c", "kill -KILL $$"}).status.code == 128 + SIGKILL);
  CHECK(below_init({"sh", "-c", "kill -TERM $$"}).status.code == 128 + SIGTERM);
}

TEST_CASE("below an init a failed exec is told as without one") {
  NEEDS_ROOT;
  Process process = Process::clone(in_namespaces("pid"), [](Channel&) {
    exec_below_init({{"/no/such/program"}, {}});
  });
  try {
    process.release();
    FAIL("it passed for a success");
  } catch (const ChildError& error) {
    CHECK(error.op() == "exec");
    CHECK(error.object() == "/no/such/program");
    CHECK(error.code() == ENOENT);
  }
}

TEST_CASE("an init reaps what the program left to it") {
  NEEDS_ROOT;
  // Orphans end while the program looks on; a zombie would still be in its /proc.
  const auto result = outcome_of(in_namespaces("pid mount"), [] {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
        ::mount("proc", "/proc", "proc", 0, nullptr) < 0)
      throw Error("mount");
    exec_below_init({{"sh", "-c",
                      "for i in 1 2 3 4 5; do (true &); done; (sleep 0.1 &); sleep 0.6; "
                      "cat /proc/[0-9]*/stat | cut -d' ' -f3 | grep -c Z"},
                     {}});
  });
  CHECK(result.output == "0\n");
}

TEST_CASE("a signal to the init reaches the program, at once after the release too") {
  NEEDS_ROOT;
  for (const int signal : {SIGTERM, SIGHUP, SIGINT, SIGUSR1, SIGWINCH}) {
    auto [reader, writer] = make_pipe();
    Process process = Process::clone(in_namespaces("pid"), [&, out = writer.get()](Channel&) {
      if (::dup2(out, 1) < 0) throw Error("dup2");
      const std::string trap =
          "trap 'exit 42' " + std::to_string(signal) + "; echo ready; while :; do sleep 0.05; done";
      exec_below_init({{"/bin/sh", "-c", trap}, {}});
    });
    writer.close();
    process.release();
    char ready[8];
    REQUIRE(::read(reader.get(), ready, sizeof ready) > 0);
    CHECK(process.kill(signal));
    const auto ended = process.wait(10);
    INFO("signal " << signal);
    REQUIRE(ended);
    CHECK(ended->code == 42);
  }
  Process early = Process::clone(in_namespaces("pid"), [](Channel&) {
    exec_below_init({{"sleep", "100"}, {}});
  });
  early.release();
  CHECK(early.kill(SIGTERM));
  const auto ended = early.wait(10);
  REQUIRE(ended);
  CHECK(ended->code == 128 + SIGTERM);
}

TEST_CASE("a reader sees the end of a program's output while its init lives on") {
  NEEDS_ROOT;
  auto [reader, writer] = make_pipe();
  Process process = Process::clone(in_namespaces("pid"), [out = writer.get()](Channel&) {
    if (::dup2(out, 1) < 0) throw Error("dup2");
    exec_below_init({{"/bin/sh", "-c", "echo text; exec sleep 100 > /dev/null 2>&1"}, {}});
  });
  writer.close();
  process.release();
  CHECK(read_all(reader.get(), "output") == "text\n");
  CHECK_FALSE(process.wait(0));
}

TEST_CASE("an init shows neither the host's command line nor a descriptor") {
  NEEDS_ROOT;
  Process process = Process::clone(in_namespaces("pid"), [](Channel&) {
    remember_command_line(1, &program_invocation_name);
    exec_below_init({{"sleep", "100"}, {}});
  });
  process.release();
  ::usleep(50000);
  const std::string init = "/proc/" + std::to_string(process.pid());
  CHECK(slurp(init + "/cmdline").substr(0, 5) == std::string("init\0", 5));
  CHECK(slurp(init + "/comm") == "init\n");
  CHECK(std::filesystem::is_empty(init + "/fd"));
}
