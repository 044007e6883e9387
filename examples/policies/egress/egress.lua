-- Where containers may begin connections to: the package mirror and names. A container that lists less keeps its own list; nftables enforces it.
local ALLOWED = {
  { to = "10.0.0.0/8", first_port = 443, last_port = 443, protocol = "tcp" },
  { to = "10.0.0.53/32", first_port = 53, last_port = 53 },
}

--- Whether `wanted` is no more than one of the list.
local function within(wanted)
  for _, allowed in ipairs(ALLOWED) do
    if wanted.to == allowed.to and wanted.first_port and wanted.first_port >= allowed.first_port and wanted.last_port <= allowed.last_port
      and (not allowed.protocol or wanted.protocol == allowed.protocol) then
      return true
    end
  end
  return false
end

rule "egress" {
  on = "run",
  check = function(c)
    if c.network == "host" then return deny "the host's network can't be narrowed" end
    if c.namespaces.net ~= "new" then return deny "a network that is joined can't be narrowed" end
    if type(c.network) == "table" and c.network.kind == "pasta" then return deny "an ordinary user's network can't be narrowed" end
    for _, wanted in ipairs(type(c.network) == "table" and c.network.egress or {}) do
      if not within(wanted) then return deny(("connections to %s are not on the site's list"):format(wanted.to or "anywhere")) end
    end
  end,
  change = function(c)
    if type(c.network) == "table" and not c.network.egress then c.network.egress = ALLOWED end
  end,
}
