// The chains and rules of a Firewall: what luabox's table says, written into a transaction.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/address.hpp"
#include "engine/netlink.hpp"
#include "engine/nftables.hpp"

namespace luabox::nftables {

/// Writes the messages that make `firewall`'s table, or both. Throws Error EINVAL for a published port
/// without a container's address of its family.
void write_table(Batch& batch, const Firewall& firewall);

/// Where a published port leads. Throws Error EINVAL where the container has no address of its family.
Address guest_of(const Firewall& firewall, const Publish& port);

/// Of an answer about one of the table's rules: where it has led a flow of UDP to, nothing where it has led
/// none.
std::optional<Address> has_led_to(const Answer& rule);

/// NFTA_TABLE_USERDATA that nft(8) shows as a comment.
std::string comment(const std::string& text);

}  // namespace luabox::nftables
