#include "engine/attributes.hpp"

#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <sstream>
#include <string_view>
#include <utility>

#include "engine/error.hpp"
#include "engine/nearest.hpp"
#include "engine/procfs.hpp"

namespace luabox {
namespace {

using Word = std::pair<std::string_view, unsigned>;

constexpr std::array<Word, 16> kResources = {{{"cpu", RLIMIT_CPU},
                                              {"fsize", RLIMIT_FSIZE},
                                              {"data", RLIMIT_DATA},
                                              {"stack", RLIMIT_STACK},
                                              {"core", RLIMIT_CORE},
                                              {"rss", RLIMIT_RSS},
                                              {"nproc", RLIMIT_NPROC},
                                              {"nofile", RLIMIT_NOFILE},
                                              {"memlock", RLIMIT_MEMLOCK},
                                              {"as", RLIMIT_AS},
                                              {"locks", RLIMIT_LOCKS},
                                              {"sigpending", RLIMIT_SIGPENDING},
                                              {"msgqueue", RLIMIT_MSGQUEUE},
                                              {"nice", RLIMIT_NICE},
                                              {"rtprio", RLIMIT_RTPRIO},
                                              {"rttime", RLIMIT_RTTIME}}};

constexpr std::array<Word, 4> kPersonalities = {{{"linux", PER_LINUX},
                                                 {"linux32", PER_LINUX32},
                                                 {"uname26", UNAME26},
                                                 {"no_randomize", ADDR_NO_RANDOMIZE}}};

template <size_t N>
unsigned value_of(const std::array<Word, N>& words, const char* what, const std::string& word) {
  std::vector<std::string_view> known;
  for (const auto& [name, value] : words) {
    if (name == word) return value;
    known.push_back(name);
  }
  throw Error::invalid(what, word, unknown_name(what, word, known));
}

// prlimit64 takes 64 bits in every ABI, and ~0 for unlimited.
struct Limits64 {
  uint64_t soft, hard;
};
constexpr uint64_t kUnlimited = ~uint64_t{0};

std::string describe(const Bound& bound) { return bound ? std::to_string(*bound) : "unlimited"; }

void require_range(const char* what, int value, int least, int most) {
  if (value >= least && value <= most) return;
  throw Error::invalid(what, std::to_string(value),
                       "expected " + std::to_string(least) + " to " + std::to_string(most));
}

int policy_number(Policy policy) {
  switch (policy) {
    case Policy::normal:
      return SCHED_OTHER;
    case Policy::batch:
      return SCHED_BATCH;
    case Policy::idle:
      return SCHED_IDLE;
    case Policy::fifo:
      return SCHED_FIFO;
    case Policy::round_robin:
      return SCHED_RR;
  }
  return SCHED_OTHER;
}

}  // namespace

int resource_of(const std::string& word) { return static_cast<int>(value_of(kResources, "rlimit", word)); }

Bound parse_bound(const std::string& text) {
  if (text == "unlimited") return std::nullopt;
  uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size() || number == kUnlimited)
    throw Error::invalid("rlimit", text, "expected 'unlimited' or a whole number");
  return number;
}

Rlimit rlimit_of(const std::string& word) {
  Limits64 limits = {};
  if (::syscall(SYS_prlimit64, 0, resource_of(word), nullptr, &limits) != 0) throw Error("prlimit", word);
  const auto bound = [](uint64_t value) { return value == kUnlimited ? Bound() : Bound(value); };
  return {bound(limits.soft), bound(limits.hard)};
}

void set_rlimit(const std::string& word, const Rlimit& limit) {
  const Limits64 limits = {limit.soft.value_or(kUnlimited), limit.hard.value_or(kUnlimited)};
  const int resource = resource_of(word);
  if (limits.soft > limits.hard)
    throw Error::invalid(
        "rlimit", word,
        "the soft bound " + describe(limit.soft) + " exceeds the hard one " + describe(limit.hard));
  if (::syscall(SYS_prlimit64, 0, resource, &limits, nullptr) == 0) return;
  throw Error("prlimit", word, errno, errno == EPERM ? "raising the hard bound takes sys_resource" : "");
}

void set_nice(int level) {
  require_range("nice", level, -20, 19);
  if (::setpriority(PRIO_PROCESS, 0, level) != 0) throw Error("setpriority", std::to_string(level));
}

int nice_level() {
  errno = 0;  // -1 is an answer, too
  const int level = ::getpriority(PRIO_PROCESS, 0);
  if (errno != 0) throw Error("getpriority");
  return level;
}

void set_oom_score_adj(int score) {
  require_range("oom_score_adj", score, -1000, 1000);
  write_own_proc("oom_score_adj", std::to_string(score));
}

unsigned set_umask(unsigned mask) {
  if (mask > 0777) throw Error::invalid("umask", std::to_string(mask), "expected at most 0777 (octal)");
  return ::umask(mask);
}

unsigned parse_mask(const std::string& text) {
  unsigned mask = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), mask, 8);
  if (problem != std::errc() || end != text.data() + text.size())
    throw Error::invalid("umask", text, "expected octal digits, such as '022'");
  return mask;
}

void set_personality(const std::string& words) {
  std::istringstream in(words);
  unsigned long persona = 0;
  size_t count = 0;
  for (std::string word; in >> word; ++count) persona |= value_of(kPersonalities, "personality", word);
  if (count == 0) throw Error::invalid("personality", words, "expected a word such as linux32");
  if (::personality(persona) < 0) throw Error("personality", words);
}

void set_scheduling(const Scheduling& scheduling) {
  const sched_param parameters = {.sched_priority = scheduling.priority};
  if (::syscall(SYS_sched_setscheduler, 0, policy_number(scheduling.policy), &parameters) == 0) return;
  throw Error("sched_setscheduler", "priority " + std::to_string(scheduling.priority), errno,
              errno == EINVAL ? "fifo and round_robin have priorities 1 to 99, the others only 0" : "");
}

void set_affinity(const std::vector<unsigned>& processors) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned processor : processors) {
    if (processor >= CPU_SETSIZE)
      throw Error::invalid("affinity", std::to_string(processor), "processors are numbered 0 to 1023");
    CPU_SET(processor, &set);
  }
  if (::sched_setaffinity(0, sizeof set, &set) == 0) return;
  throw Error("sched_setaffinity", std::to_string(processors.size()) + " processors", errno,
              errno == EINVAL ? "none of them is there to run on" : "");
}

void set_io_priority(const IoPriority& priority) {
  require_range("io_priority", priority.level, 0, 7);
  const bool levelled = priority.io_class == IoClass::realtime || priority.io_class == IoClass::best_effort;
  // As linux/ioprio.h has it, which is no C++ in Debian's kernel 6.1.192: the class in the bits from 13 on
  // (none 0, realtime 1, best effort 2, idle 3), the level below.
  constexpr int class_shift = 13, this_process = 1;
  const int value = static_cast<int>(priority.io_class) << class_shift | (levelled ? priority.level : 0);
  if (::syscall(SYS_ioprio_set, this_process, 0, value) != 0) throw Error("ioprio_set");
}

}  // namespace luabox
