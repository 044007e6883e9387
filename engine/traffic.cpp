#include "engine/traffic.hpp"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <limits>

#include "engine/error.hpp"
#include "engine/link.hpp"
#include "engine/netlink.hpp"

namespace luabox::traffic {
namespace {

constexpr uint64_t kSlowest = 8000, kFastest = 1000000000000;
constexpr uint64_t kLongestPacket =
    65536 + 64;                  // what a veth sends in one piece: segmentation is left to the last
constexpr uint64_t kWaits = 20;  // a twentieth of a second of the rate

tcmsg root_of(const std::string& name) {
  link::check_name(name);
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) throw Error("limit rate", name, ENODEV);
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(index);
  header.tcm_parent = TC_H_ROOT;
  return header;
}

uint32_t at_most(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, std::numeric_limits<uint32_t>::max()));
}

}  // namespace

void limit_rate(const std::string& name, uint64_t bits) {
  if (bits < kSlowest || bits > kFastest)
    throw Error::invalid("limit rate", name, "expected 8000 to 10^12 bits per second");
  const uint64_t bytes = bits / 8;
  const uint64_t burst = std::max(kLongestPacket, bytes / 250);  // what a tick of 4 ms lets through
  tc_tbf_qopt options{};
  options.rate.rate = at_most(bytes);
  options.rate.linklayer = TC_LINKLAYER_ETHERNET;
  options.limit = at_most(burst + std::max(bytes / kWaits, kLongestPacket));
  Batch batch;
  batch.begin(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, root_of(name), "limit rate", name);
  batch.put_text(TCA_KIND, "tbf");
  batch.nest(TCA_OPTIONS, [&] {
    batch.put(TCA_TBF_PARMS, &options, sizeof options);
    batch.put_u32(TCA_TBF_BURST, at_most(burst));
    if (bytes > std::numeric_limits<uint32_t>::max()) batch.put(TCA_TBF_RATE64, &bytes, sizeof bytes);
  });
  Netlink(NETLINK_ROUTE).send(batch);
}

uint64_t rate(const std::string& name) {
  const tcmsg wanted = root_of(name);
  uint64_t bytes = 0;
  Batch batch;
  batch.begin(RTM_GETQDISC, NLM_F_DUMP, wanted, "read rate", name);
  Netlink(NETLINK_ROUTE).dump(batch, [&](const Answer& answer) {
    if (answer.header<tcmsg>().tcm_ifindex != wanted.tcm_ifindex) return;
    const ByteView attributes = answer.attributes(sizeof(tcmsg));
    const auto kind = find_attribute(attributes, TCA_KIND), options = find_attribute(attributes, TCA_OPTIONS);
    if (!kind || kind->text() != "tbf" || !options) return;
    if (const auto wide = find_attribute(options->data, TCA_TBF_RATE64);
        wide && wide->data.size() == sizeof bytes)
      std::copy_n(wide->data.data(), sizeof bytes, reinterpret_cast<char*>(&bytes));
    else if (const auto parameters = find_attribute(options->data, TCA_TBF_PARMS);
             parameters && parameters->data.size() >= sizeof(tc_tbf_qopt))
      bytes = reinterpret_cast<const tc_tbf_qopt*>(parameters->data.data())->rate.rate;
  });
  return bytes * 8;
}

}  // namespace luabox::traffic
