#include "engine/responder.hpp"

#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

#include "engine/error.hpp"

namespace luabox {
namespace {

// The first byte of each message to the helper.
constexpr char kQuestion = 'Q', kNewClient = 'C';

union Control {
  char bytes[CMSG_SPACE(sizeof(int))];
  cmsghdr align;
};

std::pair<Fd, Fd> socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) throw Error("socketpair", "helper");
  return {Fd(ends[0]), Fd(ends[1])};
}

struct Received {
  std::string text;
  Fd fd;
};

/// Nothing at end of file, or when the socket is broken.
std::optional<Received> receive_from(int socket) {
  ssize_t size;
  do size = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
  while (size < 0 && errno == EINTR);
  if (size <= 0) return std::nullopt;
  Received received{std::string(static_cast<size_t>(size), '\0'), Fd()};
  iovec part = {received.text.data(), received.text.size()};
  Control control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != size) return std::nullopt;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    int fd;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    received.fd = Fd(fd);
  }
  return received;
}

bool send_to(int socket, char kind, std::string_view text, int fd, int flags) {
  iovec parts[2] = {{&kind, 1}, {const_cast<char*>(text.data()), text.size()}};
  msghdr message = {};
  message.msg_iov = kind == 0 ? parts + 1 : parts;
  message.msg_iovlen = kind == 0 ? 1 : 2;
  Control control = {};
  if (fd >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t sent;
  do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | flags);
  while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

/// Out of the terminal's and its starter's reach, with nothing open but `socket`.
void seclude(const char* name, int socket, int parent) {
  ::prctl(PR_SET_NAME, name);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || ::getppid() != parent) ::_exit(1);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) ::_exit(1);
  // A group, and not a session: with a session comes a scheduling group (autogroup), whose first turn on a
  // busy machine is a millisecond away.
  if (::setpgid(0, 0) < 0) ::_exit(1);
  if (::chdir("/") < 0) ::_exit(1);
  const rlimit no_core = {0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) ::_exit(1);
  for (int fd = 0; fd <= 2; ++fd) ::dup2(null, fd);
  if (socket > 3) ::close_range(3, static_cast<unsigned>(socket) - 1, 0);
  ::close_range(static_cast<unsigned>(socket) + 1, ~0U, 0);
}

void serve(Fd first, const Responder::Answer& answer) {
  std::vector<Fd> clients;
  clients.push_back(std::move(first));
  while (!clients.empty()) {
    std::vector<pollfd> wanted;
    wanted.reserve(clients.size());
    for (const auto& client : clients) wanted.push_back({client.get(), POLLIN, 0});
    if (::poll(wanted.data(), wanted.size(), -1) < 0 && errno != EINTR) return;
    for (size_t i = wanted.size(); i-- > 0;) {
      if (wanted[i].revents == 0) continue;
      auto message = receive_from(wanted[i].fd);
      bool good = message && !message->text.empty();
      if (good && message->text[0] == kNewClient) {
        if (message->fd) clients.push_back(std::move(message->fd));
      } else if (good) {
        good = send_to(wanted[i].fd, 0, answer(message->text.substr(1)), -1, MSG_DONTWAIT);
      }
      if (!good) clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

}  // namespace

Responder Responder::start(const char* name, const Prepare& prepare, const Answer& answer) {
  auto [ours, theirs] = socket_pair();
  int pidfd = -1;
  clone_args arguments = {};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  // No signal at its end: a script's own children are what SIGCHLD and wait() are about.
  arguments.exit_signal = 0;
  std::fflush(nullptr);
  const int parent = ::getpid();
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) throw Error("clone", name);
  if (pid == 0) {
    ours.close();
    seclude(name, theirs.get(), parent);
    if (send_to(theirs.get(), 0, prepare(), -1, 0)) serve(std::move(theirs), answer);
    ::_exit(0);
  }
  Responder made(Fd(pidfd), std::move(ours));
  made.owner_ = parent;
  return made;
}

Responder::~Responder() {
  if (!pidfd_ || owner_ != ::getpid()) return;
  // It is reaped with this process: to wait for its end would take longer than all its work.
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

void Responder::end() {
  if (!pidfd_ || owner_ != ::getpid()) return;
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  siginfo_t info = {};
  while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED | __WALL) <
             0 &&
         errno == EINTR) {
  }
  pidfd_.close();
  socket_.close();
}

void Responder::fail(int code, const char* why) {
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  socket_.close();
  throw Error("policy", "", code, why);
}

std::string Responder::receive(double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd ready = {socket_.get(), POLLIN, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (count == 0) fail(ETIMEDOUT, "the policies gave no answer in time");
    if (count > 0) break;
    if (errno != EINTR) fail(errno, "the policies can't be asked");
  }
  auto message = receive_from(socket_.get());
  if (!message) fail(EPIPE, "the process that holds the policies has died");
  return std::move(message->text);
}

const std::string& Responder::ready(double seconds) {
  if (is_ready_) return ready_;
  if (!socket_) fail(EPIPE, "the process that holds the policies has died");
  ready_ = receive(seconds);
  is_ready_ = true;
  return ready_;
}

std::string Responder::ask(std::string_view question, double seconds) {
  if (!socket_) fail(EPIPE, "the process that holds the policies has died");
  // Not a failure of the helper's: the next question may be shorter.
  if (question.size() > kLongest)
    throw Error("policy", "", EMSGSIZE, "the request is longer than what a policy can be asked");
  if (!send_to(socket_.get(), kQuestion, question, -1, MSG_DONTWAIT))
    fail(EPIPE, "the process that holds the policies has died");
  ready(seconds);
  return receive(seconds);
}

void Responder::separate() {
  if (!socket_) return;
  auto [ours, theirs] = socket_pair();
  if (!send_to(socket_.get(), kNewClient, {}, theirs.get(), 0))
    fail(EPIPE, "the process that holds the policies has died");
  socket_ = std::move(ours);
}

}  // namespace luabox
