local function box(network) return { rootfs = "/", command = { "sh" }, network = network } end
local function pair(egress) return veth { host = "172.16.97.1/24", guest = "172.16.97.2/24", nat = true, egress = egress } end

case "no network" { container = box "none", allowed = true }
case "no list of its own" { container = box(pair()), changed = function(c) return #c.network.egress == 2 end }
case "a part of the list" { container = box(pair { "10.0.0.0/8:443/tcp" }), allowed = true }
case "anywhere" { container = box(pair { "any:443/tcp" }), refused_by = "egress", reason = "anywhere" }
case "another port" { container = box(pair { "10.0.0.0/8:22/tcp" }), refused_by = "egress", reason = "10.0.0.0/8" }
case "one that is joined" {
  container = { rootfs = "/", command = { "sh" }, namespaces = { net = "/run/netns/other" } }, refused_by = "egress", reason = "joined",
}
case "the host's network" { container = box "host", refused_by = "egress", reason = "host" }
