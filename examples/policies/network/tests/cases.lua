local function box(network, team, capabilities)
  return { rootfs = "/", command = { "sh" }, network = network, labels = { team = team }, capabilities = capabilities }
end
local function pair(more)
  more.host, more.guest = "172.16.97.1/24", "172.16.97.2/24"
  return veth(more)
end

case "alone" { container = box("none", "math"), allowed = true }
case "the host's neighbour" { container = box(pair {}, "math"), allowed = true }
case "outside" { container = box(pair { nat = true }, "web"), allowed = true }
case "outside for others" { container = box(pair { nat = true }, "math"), refused_by = "outside", reason = "web and build" }
case "the host's network" { container = box("host", "web"), refused_by = "outside", reason = "host's" }
case "one that is joined" {
  container = { rootfs = "/", command = { "sh" }, namespaces = { net = "/run/netns/other" } }, refused_by = "outside", reason = "others",
}
case "a port" { container = box(pair { publish = { "8080:80" } }, "math"), allowed = true }
case "a low port" { container = box(pair { publish = { "80:80" } }, "math"), refused_by = "outside", reason = "port 80" }
case "raw packets" { container = box("none", "web", { add = { "net_raw" } }), refused_by = "no raw packets" }
