#include "engine/nftables.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "engine/conntrack.hpp"
#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/link.hpp"
#include "engine/netlink.hpp"
#include "engine/nftables_rule.hpp"
#include "engine/nftables_table.hpp"

namespace luabox {
namespace {

constexpr std::string_view kPrefix = "luabox-";
constexpr size_t kMaxName = 207;

void check_table_name(const std::string& name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (name.size() <= kPrefix.size() || name.size() > kMaxName || !name.starts_with(kPrefix) ||
      !std::all_of(name.begin(), name.end(), good))
    throw Error::invalid("firewall", name,
                         "expected 'luabox-' and 1 to 200 letters, digits, '_', '-' or '.'");
}

void check_port(const Firewall& firewall, const Publish& port) {
  const auto refuse = [&](const std::string& reason) {
    throw Error::invalid("firewall", firewall.name, "port " + std::to_string(port.host_port) + ": " + reason);
  };
  if (port.host_port == 0 || port.guest_port == 0) refuse("expected ports from 1 to 65535");
  if (port.host_address && port.guest_address && port.host_address->family() != port.guest_address->family())
    refuse("host_address and guest_address are of different families");
  if (port.host_address && port.host_address->is_loopback() && !firewall.loopback)
    refuse("publishing on " + port.host_address->text() + " needs loopback");
  if (port.host_address && port.host_address->is_loopback() && port.host_address->family() == Family::ip6)
    refuse("the kernel can't forward from ::1");
  if (!port.guest_address) return;
  if (std::find(firewall.addresses.begin(), firewall.addresses.end(), *port.guest_address) ==
      firewall.addresses.end())
    refuse(port.guest_address->text() + " is none of the container's addresses");
}

void check_egress(const Firewall& firewall, const Egress& allowed) {
  const auto refuse = [&](const std::string& reason) {
    throw Error::invalid("firewall", firewall.name, "egress: " + reason);
  };
  if (allowed.last_port && !allowed.first_port) refuse("expected first_port beside last_port");
  if (allowed.first_port == 0 || (allowed.last_port && allowed.last_port < allowed.first_port))
    refuse("expected ports from 1 to 65535, the first before the last");
  if (allowed.to && *allowed.to != allowed.to->network())
    refuse(allowed.to->text() + " has bits set beyond its length; the network is " +
           allowed.to->network().text());
}

void check(const Firewall& firewall) {
  check_table_name(firewall.name);
  link::check_name(firewall.interface);
  link::check_name(firewall.isolate);
  // They would name the settings of every interface (/proc/sys/net/ipv4/conf/all).
  if (firewall.interface == "all" || firewall.interface == "default")
    throw Error::invalid("firewall", firewall.name, "the interface can't be called " + firewall.interface);
  for (const auto& address : firewall.addresses)
    if (address.is_any() || address.is_loopback())
      throw Error::invalid("firewall", firewall.name, address.text() + " can't be a container's address");
  for (const auto& port : firewall.publish) check_port(firewall, port);
  if (!firewall.port.empty()) link::check_name(firewall.port);
  if (firewall.port.empty() == firewall.mac.has_value() || (firewall.mac && !firewall.shared))
    throw Error::invalid("firewall", firewall.name, "port and mac go together, and with shared");
  if (firewall.egress && firewall.shared && !firewall.mac)
    throw Error::invalid("firewall", firewall.name, "egress of a shared interface needs port and mac");
  for (const auto& allowed : firewall.egress.value_or(std::vector<Egress>())) check_egress(firewall, allowed);
}

/// Which network namespace this thread is in: a number that is never used again, 0 where the kernel doesn't
/// tell (before Linux 5.14).
uint64_t current_namespace() {
  const Fd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (!probe || ::getsockopt(probe.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) < 0) return 0;
  return cookie;
}

std::optional<Netlink> kept;

/// This process's socket in this network namespace. It is kept, because closing one waits until the kernel
/// has destroyed all that was removed: 5 ms after a table, and more (nft_rcv_nl_event() in
/// net/netfilter/nf_tables_api.c).
Netlink& kept_socket() {
  static uint64_t socket_namespace = 0;
  static pid_t socket_process = 0;
  const uint64_t here = current_namespace();
  if (!kept || here == 0 || here != socket_namespace || socket_process != ::getpid()) {
    kept.emplace(NETLINK_NETFILTER);
    socket_namespace = here;
    socket_process = ::getpid();
  }
  return *kept;
}

/// Runs what `body` writes as one transaction.
template <class Body>
void transact(const char* op, const std::string& name, Body&& body) {
  Batch batch;
  batch.begin(NFNL_MSG_BATCH_BEGIN, 0, nftables::message_header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES), op, name);
  body(batch);
  batch.begin(NFNL_MSG_BATCH_END, 0, nftables::message_header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES), op, name);
  kept_socket().send(batch);
}

bool is_own(const Address& address) {
  try {
    return link::local_device(address).has_value();
  } catch (const Error&) {
    return true;  // its interface went while it was asked for: a flow to it leads nowhere
  }
}

/// What was sent to a published port before: to nobody, or to who had it last.
void forget_earlier(const Firewall& firewall) {
  for (const Family family : {Family::ip, Family::ip6}) {
    std::vector<Publish> ports = firewall.publish;
    std::erase_if(ports, [&](const Publish& port) {
      return port.protocol != Transport::udp || nftables::guest_of(firewall, port).family() != family;
    });
    if (ports.empty()) continue;
    conntrack::Search search{.family = family};
    if (ports.size() == 1) search.port = ports[0].host_port;
    std::map<std::string, bool> own;
    const auto leads_there = [&](const Publish& port, const conntrack::Flow& flow) {
      if (port.host_port != flow.port) return false;
      if (port.host_address && !port.host_address->is_any()) return *port.host_address == flow.destination;
      const auto [known, added] = own.try_emplace(flow.destination.text());
      if (added) known->second = is_own(flow.destination);
      return known->second;
    };
    conntrack::forget(kept_socket(), search, [&](const conntrack::Flow& flow) {
      return std::any_of(ports.begin(), ports.end(),
                         [&](const Publish& port) { return leads_there(port, flow); });
    });
  }
}

}  // namespace

void create_firewall(const Firewall& firewall) {
  check(firewall);
  transact("add firewall", firewall.name, [&](Batch& batch) { nftables::write_table(batch, firewall); });
  try {
    // From now on the interface would pass packets to and from 127.0.0.0/8; the table's guard drops those of
    // the container.
    if (firewall.loopback)
      write_file("/proc/sys/net/ipv4/conf/" + firewall.interface + "/route_localnet", "1");
    forget_earlier(firewall);
  } catch (const Error&) {
    remove_firewall(firewall.name);
    throw;
  }
}

namespace {

struct Table {
  int family = 0;
  std::string name, userdata;
};

/// The answer, where it is about a table of luabox's.
std::optional<Table> table_of(const Answer& answer) {
  const int family = answer.header<nfgenmsg>().nfgen_family;
  const auto attributes = answer.attributes(sizeof(nfgenmsg));
  const auto name = find_attribute(attributes, NFTA_TABLE_NAME);
  if (!name || !name->text().starts_with(kPrefix) || (family != NFPROTO_INET && family != NFPROTO_NETDEV))
    return std::nullopt;
  const auto userdata = find_attribute(attributes, NFTA_TABLE_USERDATA);
  return Table{family, name->text(),
               userdata ? std::string(userdata->data.begin(), userdata->data.end()) : ""};
}

/// All of luabox's: the more containers there are, the longer it takes.
std::vector<Table> tables() {
  Batch batch;
  std::vector<Table> found;
  batch.begin(nftables::message_type(NFT_MSG_GETTABLE), NLM_F_DUMP, nftables::message_header(NFPROTO_UNSPEC),
              "list firewalls");
  kept_socket().dump(batch, [&](const Answer& answer) {
    if (auto table = table_of(answer)) found.push_back(std::move(*table));
  });
  return found;
}

/// Those of that name, in each family, asked for by it.
std::vector<Table> tables_called(const std::string& name) {
  Batch batch;
  std::vector<Table> found;
  for (const int family : {NFPROTO_INET, NFPROTO_NETDEV}) {
    batch.begin(nftables::message_type(NFT_MSG_GETTABLE), 0, nftables::message_header(family),
                "find firewall", name);
    batch.put_text(NFTA_TABLE_NAME, name);
    batch.forgive(ENOENT);
  }
  kept_socket().send(batch, [&](const Answer& answer) {
    if (auto table = table_of(answer)) found.push_back(std::move(*table));
  });
  return found;
}

/// Where the table's rules have led flows of UDP to.
std::vector<Address> led_to(const std::string& name) {
  Batch batch;
  std::vector<Address> found;
  batch.begin(nftables::message_type(NFT_MSG_GETRULE), NLM_F_DUMP, nftables::message_header(NFPROTO_INET),
              "list firewall rules", name);
  batch.put_text(NFTA_RULE_TABLE, name);
  kept_socket().dump(batch, [&](const Answer& answer) {
    const auto address = nftables::has_led_to(answer);
    if (address && std::find(found.begin(), found.end(), *address) == found.end()) found.push_back(*address);
  });
  return found;
}

/// Who has the address next is another.
void forget_answered_by(const Address& address) {
  conntrack::forget(kept_socket(), {.family = address.family(), .answerer = address},
                    [&](const conntrack::Flow& flow) { return flow.answerer == address; });
}

}  // namespace

void remove_firewall(const std::string& name, const RemoveFirewallOptions& options) {
  check_table_name(name);
  // Asked for first: a transaction that fails waits until the kernel has undone it, milliseconds.
  auto all = tables_called(name);
  std::erase_if(all, [&](const Table& table) {
    return !options.interface.empty() && table.userdata != nftables::comment(options.interface);
  });
  if (all.empty()) throw Error("remove firewall", name, ENOENT);
  const bool publishes =
      std::any_of(all.begin(), all.end(), [](const Table& table) { return table.family == NFPROTO_INET; });
  const std::vector<Address> reached = publishes ? led_to(name) : std::vector<Address>();
  transact("remove firewall", name, [&](Batch& batch) {
    for (const auto& table : all) {
      batch.begin(nftables::message_type(NFT_MSG_DELTABLE), 0, nftables::message_header(table.family),
                  "remove firewall", name);
      batch.put_text(NFTA_TABLE_NAME, name);
    }
  });
  for (const auto& address : reached) forget_answered_by(address);
}

std::vector<std::string> firewalls(const std::optional<std::string>& name) {
  if (name) check_table_name(*name);
  std::vector<std::string> names;
  for (auto& table : name ? tables_called(*name) : tables())
    if (std::find(names.begin(), names.end(), table.name) == names.end())
      names.push_back(std::move(table.name));
  return names;
}

void leave_firewall_socket() {
  if (kept) kept->close_behind();
  kept.reset();
}

}  // namespace luabox
