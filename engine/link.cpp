#include "engine/link.hpp"

#include <linux/if.h>
#include <linux/if_link.h>

#include <algorithm>
#include <map>

#include "engine/error.hpp"
#include "engine/link_message.hpp"
#include "engine/netlink.hpp"

namespace luabox::link {
namespace {

/// The master's name is left out: the answer has only its number, which goes to `master`.
Link read_link(const Answer& answer, uint32_t& master) {
  const auto header = answer.header<ifinfomsg>();
  const ByteView attributes = answer.attributes(sizeof header);
  Link link;
  link.index = static_cast<uint32_t>(header.ifi_index);
  link.up = (header.ifi_flags & IFF_UP) != 0;
  if (const auto name = find_attribute(attributes, IFLA_IFNAME)) link.name = name->text();
  if (const auto alias = find_attribute(attributes, IFLA_IFALIAS)) link.alias = alias->text();
  if (const auto mtu = find_attribute(attributes, IFLA_MTU)) link.mtu = mtu->u32();
  if (const auto info = find_attribute(attributes, IFLA_LINKINFO))
    if (const auto kind = find_attribute(info->data, IFLA_INFO_KIND)) link.kind = kind->text();
  if (const auto mac = find_attribute(attributes, IFLA_ADDRESS); mac && mac->data.size() == 6)
    std::copy_n(mac->data.begin(), 6, link.mac.emplace().bytes.begin());
  if (const auto peer = find_attribute(attributes, IFLA_LINK); peer && link.kind == "veth")
    link.peer_index = peer->u32();
  const auto number = find_attribute(attributes, IFLA_MASTER);
  master = number ? number->u32() : 0;
  return link;
}

/// Sends one RTM_SETLINK about `name` with what `body` adds.
template <class Body>
void change(const char* op, const std::string& name, Body&& body, unsigned set_flags = 0,
            unsigned changed = 0) {
  check_name(name);
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  begin_link(batch, RTM_SETLINK, 0, 0, op, name, set_flags, changed);
  batch.put_text(IFLA_IFNAME, name);
  body(socket, batch);
  socket.send(batch);
}

}  // namespace

std::vector<Link> links() {
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  std::vector<Link> found;
  std::vector<uint32_t> masters;
  std::map<uint32_t, std::string> names;
  begin_link(batch, RTM_GETLINK, NLM_F_DUMP, 0, "list interfaces", "");
  batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  socket.dump(batch, [&](const Answer& answer) {
    found.push_back(read_link(answer, masters.emplace_back()));
    names[found.back().index] = found.back().name;
  });
  for (size_t i = 0; i < found.size(); ++i)
    if (const auto master = names.find(masters[i]); master != names.end()) found[i].master = master->second;
  return found;
}

std::optional<Link> find(const std::string& name) {
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  std::optional<Link> found;
  uint32_t master = 0;
  ask_link(batch, name);
  batch.forgive(ENODEV);
  socket.send(batch, [&](const Answer& answer) { found = read_link(answer, master); });
  if (found && master != 0) found->master = name_of(socket, master);
  return found;
}

void add(const NewLink& link) {
  check_name(link.name);
  if (link.peer) check_name(*link.peer);
  if (link.alias) check_alias(*link.alias);
  if (link.kind.empty())
    throw Error::invalid("add interface", link.name, "expected a kind, such as 'bridge'");
  if (link.peer && link.kind != "veth")
    throw Error::invalid("add interface", link.name, "only a veth has a peer");
  Netlink socket(NETLINK_ROUTE);
  std::optional<uint32_t> master;
  if (link.master) master = index_of(socket, *link.master);
  const bool bridge = link.kind == "bridge";
  Batch batch;
  begin_link(batch, RTM_NEWLINK, kNew, 0, "add interface", link.name, link.up && !bridge ? IFF_UP : 0,
             IFF_UP);
  batch.put_text(IFLA_IFNAME, link.name);
  put_mac(batch, link.mac);
  put_mtu(batch, link.mtu);
  if (master) batch.put_u32(IFLA_MASTER, *master);
  if (link.peer)
    put_veth(batch, [&] { batch.put_text(IFLA_IFNAME, *link.peer); });
  else
    batch.nest(IFLA_LINKINFO, [&] { batch.put_text(IFLA_INFO_KIND, link.kind); });
  socket.send(batch);
  if (bridge) {
    ignore_routers(link.name);
    if (link.up) up(link.name);
  }
  if (!link.alias) return;
  change("set alias of", link.name, [&](Netlink&, Batch& message) {
    message.put(IFLA_IFALIAS, link.alias->data(), link.alias->size());
  });
}

void remove(const std::string& name) {
  check_name(name);
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  begin_link(batch, RTM_DELLINK, 0, 0, "remove interface", name);
  batch.put_text(IFLA_IFNAME, name);
  socket.send(batch);
}

void up(const std::string& name) {
  change(
      "bring up", name, [](Netlink&, Batch&) {}, IFF_UP, IFF_UP);
}

void down(const std::string& name) {
  change(
      "bring down", name, [](Netlink&, Batch&) {}, 0, IFF_UP);
}

void rename(const std::string& name, const std::string& new_name) {
  check_name(new_name);
  Netlink socket(NETLINK_ROUTE);
  Batch batch;
  begin_link(batch, RTM_SETLINK, 0, index_of(socket, name), "rename interface", name + " to " + new_name);
  batch.put_text(IFLA_IFNAME, new_name);
  socket.send(batch);
}

void move(const std::string& name, const Namespace& target) {
  if (!target.pid && !target.fd) throw Error::invalid("move interface", name, "expected a namespace");
  change("move interface", name, [&](Netlink&, Batch& batch) { put_namespace(batch, target); });
}

void set_master(const std::string& name, const std::optional<std::string>& master) {
  change("set master of", name, [&](Netlink& socket, Batch& batch) {
    batch.put_u32(IFLA_MASTER, master ? index_of(socket, *master) : 0);
  });
}

void set_mtu(const std::string& name, uint32_t mtu) {
  change("set mtu of", name, [&](Netlink&, Batch& batch) { put_mtu(batch, mtu); });
}

void set_mac(const std::string& name, const Mac& mac) {
  change("set mac of", name, [&](Netlink&, Batch& batch) { put_mac(batch, mac); });
}

}  // namespace luabox::link
