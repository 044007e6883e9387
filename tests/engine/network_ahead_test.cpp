#include "engine/network_ahead.hpp"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "engine/error.hpp"
#include "engine/exec.hpp"
#include "engine/file.hpp"
#include "engine/namespaces.hpp"
#include "engine/process.hpp"
#include "tests/engine/sandbox.hpp"

using namespace luabox;

namespace {

std::string network_of(const std::string& process = "self") {
  return std::filesystem::read_symlink("/proc/" + process + "/ns/net");
}
size_t threads() { return list_directory("/proc/self/task").size(); }

/// The network namespace of a child that is cloned with `namespaces`, as its own link tells.
std::string network_of_clone(uint64_t namespaces) {
  Process child = Process::clone({Namespaces(namespaces), {}, -1, false}, [](Channel& parent) {
    parent.send(Message::Kind::data, network_of());
    parent.send(Message::Kind::exec);
    ::_exit(0);
  });
  child.release();
  const auto told = child.next_message();
  child.wait();
  return told ? told->text : "";
}

}  // namespace

TEST_CASE("a network namespace made ahead is the next clone's, and no other's") {
  const std::string own = network_of();
  make_network_ahead();
  make_network_ahead();  // one is in the making
  settle_network();
  CHECK(threads() == 1);
  CHECK(network_of() == own);
  const std::string first = network_of_clone(CLONE_NEWNET), second = network_of_clone(CLONE_NEWNET);
  CHECK(first != own);
  CHECK(second != own);
  CHECK(first != second);

  make_network_ahead();
  const Fd ready = take_network();
  REQUIRE(ready);
  CHECK(::ioctl(ready.get(), NS_GET_NSTYPE) == CLONE_NEWNET);
  CHECK_FALSE(take_network());
}

TEST_CASE("a child is born in the network namespace that was taken for it, and its parent comes back") {
  const std::string own = network_of();
  make_network_ahead();
  const Fd taken = take_network();
  REQUIRE(taken);
  const std::string wanted = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(taken.get()));
  for (const bool vfork : {false, true}) {
    CloneOptions options{Namespaces(CLONE_NEWNET), {}, -1, true, vfork, taken.get()};
    Process child = Process::clone(options, [&](Channel& parent) {
      parent.send(Message::Kind::data, network_of());
      exec({{"true"}, {}});
    });
    child.settle();
    CHECK(child.next_message()->text == wanted);
    CHECK(network_of() == own);
    CHECK(child.wait(10)->code == 0);
  }
  const auto code_with = [&](uint64_t namespaces, int network) {
    CloneOptions options{Namespaces(namespaces), {}, -1, true, false, network};
    try {
      Process::clone(options, [](Channel&) {});
    } catch (const Error& error) {
      return error.code();
    }
    return 0;
  };
  CHECK(code_with(CLONE_NEWUTS, taken.get()) == EINVAL);
  CHECK(code_with(CLONE_NEWNET | CLONE_NEWUSER, taken.get()) == EINVAL);
  CHECK(code_with(CLONE_NEWNET, Fd::open("/dev/null", O_RDONLY).get()) != 0);
  CHECK(network_of() == own);
}

TEST_CASE("the child is in it when clone returns, and its parent is not") {
  for (int i = 0; i < 50; ++i) {
    const std::string own = network_of();
    make_network_ahead();
    Process child = Process::clone({Namespaces(CLONE_NEWNET), {}, -1, false}, [](Channel&) { ::_exit(0); });
    const std::string childs = network_of(std::to_string(child.pid()));
    CHECK(network_of() == own);
    CHECK(childs != own);
  }
}

TEST_CASE("the clone really enters it") {
  make_network_ahead();
  settle_network();
  // The only descriptor of a network namespace that this process has.
  std::string ready;
  for (const auto& number : list_directory("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink("/proc/self/fd/" + number, gone).string();
    if (target.rfind("net:", 0) == 0) ready = target;
  }
  REQUIRE(!ready.empty());
  CHECK(network_of_clone(CLONE_NEWNET) == ready);
}

TEST_CASE("a clone without a network of its own, or with a user namespace, leaves it for the next") {
  make_network_ahead();
  CHECK(network_of_clone(CLONE_NEWUTS) == network_of());
  settle_network();
  CHECK(threads() == 1);
  // Its owner has to be the user namespace.
  Process child =
      Process::clone({Namespaces(CLONE_NEWNET | CLONE_NEWUSER), {}, -1, false}, [](Channel& parent) {
        const Fd net = open_namespace(0, "net"), owner(::ioctl(net.get(), NS_GET_USERNS)),
                 user = open_namespace(0, "user");
        struct stat a, b;
        const bool same =
            ::fstat(owner.get(), &a) == 0 && ::fstat(user.get(), &b) == 0 && a.st_ino == b.st_ino;
        parent.send(Message::Kind::data, same ? "owned" : "not owned");
        parent.send(Message::Kind::exec);
        ::_exit(0);
      });
  child.release();
  CHECK(child.next_message()->text == "owned");
  CHECK(take_network());
}

TEST_CASE("unshare and setns have the process to themselves") {
  for (int i = 0; i < 20; ++i) {
    Process child = Process::clone({Namespaces(), {}, -1, false}, [](Channel& parent) {
      const Fd mounts = open_namespace(0, "mnt");
      make_network_ahead();
      enter_namespace(mounts.get(), Namespaces(CLONE_NEWNS));
      make_network_ahead();
      unshare(Namespaces(CLONE_NEWUSER));  // EINVAL with a second thread
      parent.send(Message::Kind::exec);
      ::_exit(0);
    });
    REQUIRE_NOTHROW(child.release());
    CHECK(child.wait()->code == 0);
  }
}

TEST_CASE("the child of a clone has no part in what its parent has ready") {
  make_network_ahead();
  settle_network();
  Process child = Process::clone({Namespaces(), {}, -1, false}, [](Channel& parent) {
    parent.send(Message::Kind::data, take_network() ? "taken" : "none");
    parent.send(Message::Kind::exec);
    ::_exit(0);
  });
  child.release();
  CHECK(child.next_message()->text == "none");
  CHECK(take_network());
}

TEST_CASE("who may not make one ahead hears of it from the clone") {
  Process child = Process::clone({Namespaces(), {}, -1, false}, [](Channel& parent) {
    if (::setgid(12345) < 0 || ::setuid(12345) < 0) ::_exit(1);
    make_network_ahead();
    if (take_network()) ::_exit(2);
    try {
      network_of_clone(CLONE_NEWNET);
    } catch (const Error& error) {
      parent.send(Message::Kind::data,
                  error.op() + " " + error.object() + " " + std::to_string(error.code()));
    }
    parent.send(Message::Kind::exec);
    ::_exit(0);
  });
  child.release();
  CHECK(child.next_message()->text == "clone net " + std::to_string(EPERM));
}
