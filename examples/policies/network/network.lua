-- Who reaches the outside, and what the outside reaches: NAT for teams that asked for it, and published ports from a range.
local OUTSIDE = { "web", "build" }
local FIRST, LAST = 8000, 8999

rule "outside" {
  on = "run",
  check = function(c)
    if c.namespaces.net ~= "new" then return deny "a network of the host's or of others" end
    if type(c.network) ~= "table" then return end
    local reaches_out = c.network.nat or c.network.kind == "pasta"
    if reaches_out and not has(OUTSIDE, c.labels.team) then return deny "only the teams web and build reach the outside" end
    for _, port in ipairs(c.network.publish or {}) do
      if port.host_port < FIRST or port.host_port > LAST then return deny(("port %d is not one of %d to %d"):format(port.host_port, FIRST, LAST)) end
    end
  end,
}

rule "no raw packets" {
  on = "run",
  check = function(c)
    if has(c.capabilities, "net_raw") or has(c.capabilities, "net_admin") then return deny "raw packets and network administration" end
  end,
}
