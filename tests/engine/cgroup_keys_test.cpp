#include "engine/cgroup_keys.hpp"

#include <limits>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;

namespace {

const CgroupHost v1({{1, "/c/memory", "/c/memory", {"memory"}},
                     {1, "/c/cpu", "/c/cpu", {"cpu", "cpuacct"}},
                     {1, "/c/cpuset", "/c/cpuset", {"cpuset"}},
                     {1, "/c/pids", "/c/pids", {"pids"}},
                     {1, "/c/blkio", "/c/blkio", {"blkio"}},
                     {1, "/c/devices", "/c/devices", {"devices"}},
                     {1, "/c/freezer", "/c/freezer", {"freezer"}},
                     {1, "/c/hugetlb", "/c/hugetlb", {"hugetlb"}},
                     {1, "/c/net", "/c/net", {"net_cls", "net_prio"}}});
const CgroupHost v2({{2, "/c", "/c", {"cpu", "cpuset", "io", "memory", "pids", "hugetlb"}}});
const CgroupHost hybrid({{1, "/c/memory", "/c/memory", {"memory"}},
                         {2, "/c/unified", "/c/unified", {"cpu", "pids"}}});

/// "file=value file=value"
std::string plan(const CgroupHost& host, const CgroupValues& values, const CgroupReader& now = {}) {
  std::string text;
  for (const auto& step : plan_cgroup(host, values, now))
    text += (text.empty() ? "" : "; ") + step.file + "=" + step.value;
  return text;
}

std::string problem(const CgroupHost& host, const CgroupValues& values, const CgroupReader& now = {}) {
  try {
    return "none: " + plan(host, values, now);
  } catch (const Error& error) {
    return error.what();
  }
}

CgroupReader holding(std::map<std::string, std::string> files) {
  return [files](const std::string&, const std::string& file) -> std::optional<std::string> {
    const auto found = files.find(file);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  };
}

std::string read(const CgroupHost& host, const std::string& key,
                 const std::map<std::string, std::string>& files) {
  return read_cgroup_key(host, key, holding(files));
}

bool has(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

using namespace std::string_literals;
const CgroupValue mib100 = "100MiB"s;

}  // namespace

TEST_CASE("each of a limit's three names writes the same") {
  const struct {
    const char* names[3];
    CgroupValue value;
    const char *on_v1, *on_v2;
  } cases[] = {
      {{"memory", "memory.limit_in_bytes", "memory.max"},
       mib100,
       "memory.limit_in_bytes=104857600",
       "memory.max=104857600"},
      {{"memory_low", "memory.soft_limit_in_bytes", "memory.low"},
       mib100,
       "memory.soft_limit_in_bytes=104857600",
       "memory.low=104857600"},
      {{"pids", "pids.max", "pids.max"}, 50.0, "pids.max=50", "pids.max=50"},
      {{"pids", "pids.max", "pids.max"}, "max"s, "pids.max=max", "pids.max=max"},
      {{"memory", "memory.limit_in_bytes", "memory.max"}, -1.0, "memory.limit_in_bytes=-1", "memory.max=max"},
      {{"memory", "memory.limit_in_bytes", "memory.max"},
       "9223372036854771712"s,
       "memory.limit_in_bytes=-1",
       "memory.max=max"},
      {{"cpuset", "cpuset.cpus", "cpus"}, "0-1"s, "cpuset.cpus=0-1", "cpuset.cpus=0-1"},
      {{"mems", "cpuset.mems", "cpuset.mems"}, "0"s, "cpuset.mems=0", "cpuset.mems=0"},
      {{"freezer", "freezer.state", "cgroup.freeze"}, "FROZEN"s, "freezer.state=FROZEN", "cgroup.freeze=1"},
      {{"freezer", "freezer.state", "cgroup.freeze"}, false, "freezer.state=THAWED", "cgroup.freeze=0"},
      {{"hugetlb.2MB", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"},
       "4MiB"s,
       "hugetlb.2MB.limit_in_bytes=4194304",
       "hugetlb.2MB.max=4194304"},
      {{"io_read_bps", "blkio.throttle.read_bps_device", "io_read_bps"},
       "8:0 1MiB"s,
       "blkio.throttle.read_bps_device=8:0 1048576",
       "io.max=8:0 rbps=1048576"},
      {{"io_write_iops", "blkio.throttle.write_iops_device", "io_write_iops"},
       std::vector{"8:0 100"s, "8:16 max"s},
       "blkio.throttle.write_iops_device=8:0 100; blkio.throttle.write_iops_device=8:16 0",
       "io.max=8:0 wiops=100; io.max=8:16 wiops=max"},
  };
  for (const auto& one : cases)
    for (const char* name : one.names) {
      INFO(name);
      CHECK(plan(v1, {{name, one.value}}) == one.on_v1);
      CHECK(plan(v2, {{name, one.value}}) == one.on_v2);
    }
}

TEST_CASE("CPUs become a quota of a period") {
  for (const CgroupValue& value : std::vector<CgroupValue>{0.2, "20%"s, "0.2"s}) {
    CHECK(plan(v1, {{"cpu", value}}) == "cpu.cfs_period_us=100000; cpu.cfs_quota_us=20000");
    CHECK(plan(v2, {{"cpu", value}}) == "cpu.max=20000 100000");
  }
  CHECK(plan(v2, {{"cpu", 0.005}}) == "cpu.max=5000 1000000");
  CHECK(plan(v2, {{"cpu", "max"s}}) == "cpu.max=max 100000");
  CHECK(plan(v1, {{"cpu", -1.0}}) == "cpu.cfs_period_us=100000; cpu.cfs_quota_us=-1");
  CHECK(has(problem(v1, {{"cpu", 0.0}}), "cgroup key cpu: 0 is no number of CPUs; write 0.2, 1.5 or '20%'"));
  CHECK(has(problem(v1, {{"cpu", "two"s}}), "'two' is no number of CPUs"));
  CHECK(has(problem(v1, {{"cpu", std::numeric_limits<double>::quiet_NaN()}}), "is no number of CPUs"));
}

TEST_CASE("quota and period are one file on v2 and two on v1, the period first") {
  CHECK(plan(v1, {{"cpu.max", "50000 200000"s}}) == "cpu.cfs_period_us=200000; cpu.cfs_quota_us=50000");
  CHECK(plan(v1, {{"cpu.max", "max"s}}) == "cpu.cfs_quota_us=-1");
  CHECK(plan(v2, {{"cpu.cfs_quota_us", 50000.0}, {"cpu.cfs_period_us", 200000.0}}) == "cpu.max=50000 200000");
  CHECK(plan(v2, {{"cpu.cfs_quota_us", 50000.0}}) == "cpu.max=50000");
  CHECK(plan(v2, {{"cpu.cfs_period_us", 200000.0}}, holding({{"cpu.max", "70000 100000\n"}})) ==
        "cpu.max=70000 200000");
  CHECK(has(problem(v2, {{"cpu.max", "10 20"s}}), "'10 20' is no bandwidth"));
  CHECK(has(problem(v2, {{"cpu", 1.0}, {"cpu.max", "max"s}}), "sets the same as"));
}

TEST_CASE("shares and weight agree with runc 1.3.2 and crun 1.23 and convert back") {
  CHECK(cpu_weight_of_shares(2) == 1);
  CHECK(cpu_weight_of_shares(1024) == 100);
  CHECK(cpu_weight_of_shares(2000) == 170);
  CHECK(cpu_weight_of_shares(22000) == 1204);
  CHECK(cpu_weight_of_shares(262144) == 10000);
  CHECK(cpu_shares_of_weight(1) == 2);
  CHECK(cpu_shares_of_weight(100) == 1024);
  CHECK(cpu_shares_of_weight(10000) == 262144);
  unsigned last = 0;
  for (unsigned weight = 1; weight <= 10000; ++weight) {
    const unsigned shares = cpu_shares_of_weight(weight);
    REQUIRE(shares >= last);
    if (weight >= 20)
      REQUIRE(cpu_weight_of_shares(shares) == weight);  // below, a share is more than a weight
    last = shares;
  }
  CHECK(plan(v1, {{"cpu_weight", 100.0}}) == "cpu.shares=1024");
  CHECK(plan(v2, {{"cpu.shares", 1024.0}}) == "cpu.weight=100");
  CHECK(plan(v1, {{"cpu.shares", 512.0}}) == "cpu.shares=512");
  CHECK(has(problem(v1, {{"cpu.shares", 1.0}}), "1 is out of range; write 2 to 262144"));
}

TEST_CASE("swap is counted beside memory on v2 and together with it on v1") {
  const CgroupValues memory_and_swap = {{"memory", mib100}, {"swap", "50MiB"s}};
  CHECK(plan(v1, memory_and_swap) ==
        "memory.limit_in_bytes=104857600; memory.memsw.limit_in_bytes=157286400");
  CHECK(plan(v2, memory_and_swap) == "memory.max=104857600; memory.swap.max=52428800");
  CHECK(plan(v2, {{"memory.limit_in_bytes", mib100}, {"memory.memsw.limit_in_bytes", "150MiB"s}}) ==
        "memory.max=104857600; memory.swap.max=52428800");
  CHECK(plan(v1, {{"swap", 0.0}}, holding({{"memory.limit_in_bytes", "4096\n"}})) ==
        "memory.memsw.limit_in_bytes=4096");
  CHECK(has(problem(v1, {{"swap", 0.0}}), "limit memory too"));
  CHECK(has(problem(v2, {{"memory", mib100}, {"memory.memsw.limit_in_bytes", "50MiB"s}}),
            "less than the limit of memory alone"));
}

TEST_CASE("v1: memory alone keeps what may be swapped beside it") {
  const auto none =
      holding({{"memory.limit_in_bytes", "67108864\n"}, {"memory.memsw.limit_in_bytes", "67108864\n"}});
  CHECK(plan(v1, {{"memory", mib100}}, none) ==
        "memory.limit_in_bytes=104857600; memory.memsw.limit_in_bytes=104857600");
  const auto some =
      holding({{"memory.limit_in_bytes", "67108864\n"}, {"memory.memsw.limit_in_bytes", "68157440\n"}});
  CHECK(plan(v1, {{"memory", "32MiB"s}}, some) ==
        "memory.limit_in_bytes=33554432; memory.memsw.limit_in_bytes=34603008");
  CHECK(plan(v1, {{"memory", "32MiB"s}, {"swap", 0.0}}, some) ==
        "memory.limit_in_bytes=33554432; memory.memsw.limit_in_bytes=33554432");
  const auto any = holding(
      {{"memory.limit_in_bytes", "67108864\n"}, {"memory.memsw.limit_in_bytes", "9223372036854771712\n"}});
  CHECK(plan(v1, {{"memory", mib100}}, any) == "memory.limit_in_bytes=104857600");
  CHECK(has(problem(v1, {{"memory", "max"s}}, some), "memory: limits what is swapped, too"));
  CHECK(plan(v1, {{"memory", "max"s}, {"swap", "max"s}}, some) ==
        "memory.limit_in_bytes=-1; memory.memsw.limit_in_bytes=-1");
  CHECK(plan(v2, {{"memory", mib100}}, holding({{"memory.max", "67108864\n"}, {"memory.swap.max", "0\n"}})) ==
        "memory.max=104857600");
}

TEST_CASE("a swappiness of zero is no swap on v2, and any other is refused") {
  CHECK(plan(v1, {{"memory.swappiness", 0.0}}) == "memory.swappiness=0");
  CHECK(plan(v2, {{"memory.limit_in_bytes", 1e8}, {"memory.swappiness", 0.0}}) ==
        "memory.max=100000000; memory.swap.max=0");
  CHECK(has(problem(v2, {{"memory.swappiness", 60.0}}), "cgroup v2 has no swappiness"));
  CHECK(has(problem(v2, {{"memory.swappiness", 0.0}, {"swap", 1e6}}), "sets the same as 'swap'"));
}

TEST_CASE("io.max is split into the files of v1, and io weights are scaled") {
  CHECK(plan(v1, {{"io.max", "8:0 rbps=1MB wiops=10"s}}) ==
        "blkio.throttle.read_bps_device=8:0 1000000; blkio.throttle.write_iops_device=8:0 10");
  CHECK(plan(v2, {{"io.max", "8:0 rbps=1MB wiops=max"s}}) == "io.max=8:0 rbps=1000000; io.max=8:0 wiops=max");
  CHECK(plan(v2, {{"blkio.weight", 1000.0}}) == "io.weight=default 10000");
  CHECK(plan(v2, {{"blkio.weight", 10.0}}) == "io.weight=default 1");
  CHECK(plan(v1, {{"io.weight", 10000.0}}) == "blkio.weight=1000");
  CHECK(plan(v1, {{"io.weight", std::vector{"default 1"s, "8:16 10000"s}}}) ==
        "blkio.weight=10; blkio.weight_device=8:16 1000");
  CHECK(has(problem(v2, {{"io.max", "8:0 speed=1"s}}), "is no rate"));
  CHECK(has(problem(v2, {{"io.max", "8:0"s}}), "is no rate"));
  CHECK(has(problem(v2, {{"io_read_bps", "/etc/passwd 1"s}}), "is no block device"));
  CHECK(has(problem(v2, {{"io_read_bps", "8:0 1"s}, {"io.max", "8:0 rbps=2"s}}), "sets the same as"));
}

TEST_CASE("device rules are allowed after all devices were denied") {
  const CgroupValue rules = std::vector{"c 1:3 rwm"s, "b *:* r"s};
  CHECK(plan(v1, {{"devices", rules}}) == "devices.deny=a; devices.allow=c 1:3 rwm; devices.allow=b *:* r");
  for (const auto& bad : {"c 1:3"s, "c 1:3 rwx"s, "d 1:3 r"s, "c 1 r"s, "a"s, "c 1:3 rwm\nc 1:5 rwm"s, ""s})
    CHECK(problem(v1, {{"devices", std::vector{bad}}}).rfind("cgroup key devices: '", 0) == 0);
  CHECK(has(problem(v2, {{"devices.allow", rules}}), "eBPF"));
}

TEST_CASE("on a hybrid host each key goes to the hierarchy that has its controller") {
  CHECK(plan(hybrid, {{"memory.max", 4096.0}, {"cpu.shares", 1024.0}, {"pids", 5.0}}) ==
        "cpu.weight=100; memory.limit_in_bytes=4096; pids.max=5");
  CHECK(plan(hybrid, {{"freezer", true}}) == "cgroup.freeze=1");
  CHECK(has(problem(hybrid, {{"io.weight", 1.0}}), "the cgroup /c/unified has no controller 'io'"));
  CHECK(has(problem(hybrid, {{"memory.high", 1.0}}),
            "the controller 'memory' is cgroup v1 here; v1 can't throttle"));
}

TEST_CASE("a key that the host can't express names the reason and the alternative") {
  CHECK(has(problem(v1, {{"memory.high", 1.0}}), "v1 can't throttle, only limit: use 'memory'"));
  CHECK(has(problem(v1, {{"io.latency", "8:0 target=1"s}}), "v1 has no latency targets"));
  CHECK(has(problem(v1, {{"cpu.pressure", 1.0}}), "v1 does not account pressure"));
  CHECK(has(problem(v2, {{"net_cls.classid", 1.0}}), "nftables"));
  CHECK(has(problem(v2, {{"net_prio.ifpriomap", "eth0 1"s}}), "nftables"));
  CHECK(has(problem(v2, {{"memory.oom_control", 1.0}}), "v2 can't turn the OOM killer off"));
  CHECK(has(problem(CgroupHost({}), {{"memory", 1.0}}), "no cgroup file system is mounted here"));
  const CgroupHost delegated({{2, "/c", "/c/user/me", {"memory"}}});
  CHECK(has(problem(delegated, {{"pids", 1.0}}), "echo +pids > /c/user/cgroup.subtree_control"));
  CHECK(code_of([] { plan(v1, {{"memory.high", 1.0}}); }) == EOPNOTSUPP);
}

TEST_CASE("an unknown key names the nearest known one, and nothing is planned") {
  CHECK(problem(v1, {{"memroy", 1.0}}) == "cgroup: unknown key 'memroy' (did you mean 'memory'?)");
  CHECK(has(problem(v2, {{"memory.limit_in_byte", 1.0}}), "'memory.limit_in_bytes'"));
  CHECK(has(problem(v2, {{"../../memory.max", 1.0}}), "unknown key"));
  CHECK(has(problem(v2, {{"hugetlb.../x.max", 1.0}}), "unknown key"));
  CHECK(has(problem(v1, {{"memory.current", 1.0}}), "can only be read"));
}

TEST_CASE("a malformed value says what would be right") {
  CHECK(problem(v1, {{"memory", "12 apples"s}}) ==
        "cgroup key memory: '12 apples' is no size; write 100MB, 64MiB or a number of bytes");
  for (const CgroupValue& bad :
       std::vector<CgroupValue>{"", "MB"s, "-5"s, "1e9"s, "0x10"s, "nan"s, "99999999999TiB"s, "1.5"s, "1.5B"s,
                                true, -2.0, 1.5, 1e19, std::vector{"1"s}})
    CHECK(has(problem(v2, {{"memory", bad}}), "is no size"));
  CHECK(has(problem(v2, {{"pids", "10MB"s}}), "is no number; write a whole number, or 'max'"));
  CHECK(has(problem(v2, {{"cpuset", "0-1; reboot"s}}), "is no list"));
  CHECK(has(problem(v2, {{"cpu.uclamp.min", "1\n2"s}}), "is not one line of text"));
  CHECK(has(problem(v2, {{"freezer", "cold"s}}), "write 'frozen' or 'thawed'"));
  CHECK(has(problem(v2, {{"cpuset", std::vector<std::string>{}}}), "takes one value, not a list"));
  CHECK(has(problem(v2, {{"cpu.idle", 2.0}}), "is neither 0 nor 1"));
}

TEST_CASE("units are decimal or binary as they are written") {
  const auto bytes = [](const std::string& text) { return plan(v2, {{"memory", text}}); };
  CHECK(bytes("100MB") == "memory.max=100000000");
  CHECK(bytes("100 MiB") == "memory.max=104857600");
  CHECK(bytes("100M") == "memory.max=104857600");
  CHECK(bytes("1.5GiB") == "memory.max=1610612736");
  CHECK(bytes("64kB") == "memory.max=64000");
  CHECK(bytes("unlimited") == "memory.max=max");
}

TEST_CASE("a value is read back in the scale of the name that was asked for") {
  const std::map<std::string, std::string> old = {{"memory.limit_in_bytes", "9223372036854771712\n"},
                                                  {"cpu.shares", "1024\n"},
                                                  {"cpu.cfs_quota_us", "20000\n"},
                                                  {"cpu.cfs_period_us", "100000\n"},
                                                  {"freezer.state", "FREEZING\n"}};
  CHECK(read(v1, "memory", old) == "max");
  CHECK(read(v1, "memory.limit_in_bytes", old) == "-1");
  CHECK(read(v1, "cpu.weight", old) == "100");
  CHECK(read(v1, "cpu.shares", old) == "1024");
  CHECK(read(v1, "cpu", old) == "0.2");
  CHECK(read(v1, "cpu.max", old) == "20000 100000");
  CHECK(read(v1, "freezer", old) == "thawed");
  CHECK(read(v1, "freezer.state", old) == "FREEZING");
  const std::map<std::string, std::string> now = {
      {"memory.max", "104857600\n"},
      {"memory.swap.max", "52428800\n"},
      {"cpu.weight", "100\n"},
      {"cpu.max", "max 100000\n"},
      {"io.max", "8:0 rbps=1 wbps=2 riops=max wiops=max\n8:16 rbps=3 wbps=max riops=max wiops=max\n"}};
  CHECK(read(v2, "memory.limit_in_bytes", now) == "104857600");
  CHECK(read(v2, "memory.memsw.limit_in_bytes", now) == "157286400");
  CHECK(read(v2, "swap", now) == "52428800");
  CHECK(read(v2, "cpu.shares", now) == "1024");
  CHECK(read(v2, "cpu.cfs_quota_us", now) == "-1");
  CHECK(read(v2, "cpu", now) == "max");
  CHECK(read(v2, "io_read_bps", now) == "8:0 1\n8:16 3");
  CHECK(code_of([&] { read(v2, "pids", now); }) == ENOENT);
  CHECK(code_of([&] { read(v2, "memory.reclaim", now); }) == EINVAL);
}
