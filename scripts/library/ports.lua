-- ports.lua: the ports of this host that containers publish. Each is held while its container has it, against programs and other containers alike:
-- the kernel is asked, which is the judge between whichever processes start at once. Who has one is looked up when a start was refused.
local sys = require "luabox.sys"
local errors = require "luabox.errors"

local ports = {}

local function is_ip6(address) return address:find(":", 1, true) ~= nil end

--- "8080/tcp", "127.0.0.1:8080/tcp"
local function text_of(entry)
  return ("%s%d/%s"):format(entry.host_address and entry.host_address .. ":" or "", entry.host_port, entry.protocol)
end

--- Whether two of the host's ports, "8080/tcp", "127.0.0.1:8080/tcp" or "0.0.0.0:8080/tcp", have an address in common. Without an address it is
--- all addresses of both families.
function ports.clash(one, other)
  local address, port = one:match "^(.-):?(%d+/%a+)$"
  local address2, port2 = other:match "^(.-):?(%d+/%a+)$"
  if port ~= port2 then return false end
  local function covers(wide, narrow)
    return wide == "" or wide == narrow or wide == (is_ip6(narrow) and "::" or "0.0.0.0")
  end
  return covers(address, address2) or covers(address2, address)
end

--- One port that leads to two is a mistake; one that is said twice, to have it on 127.0.0.1 too, is none.
function ports.check(published, what, where)
  for i, entry in ipairs(published or {}) do
    for j = 1, i - 1 do
      local other = published[j]
      if entry.guest_port ~= other.guest_port and ports.clash(text_of(entry), text_of(other)) then
        errors.raise_at(where, "%s.publish: %s leads to port %d and, as %s, to port %d", what, text_of(entry), entry.guest_port, text_of(other),
          other.guest_port)
      end
    end
  end
end

--- What the firewall is told: each port with the container's address that it leads to. One without an address is one of both families, where the
--- container has both. `addresses` are the container's, `what` its network.
function ports.forwards(published, addresses, what)
  local list = {}
  for _, entry in ipairs(published or {}) do
    local seen = {}
    for _, guest in ipairs(addresses) do
      local six = is_ip6(guest)
      if not seen[six] and (not entry.host_address or is_ip6(entry.host_address) == six) then
        seen[six] = true
        list[#list + 1] = { protocol = entry.protocol, host_port = entry.host_port, guest_port = entry.guest_port, host_address = entry.host_address,
          guest_address = guest }
      end
    end
    if next(seen) == nil then
      errors.raise("publish: the %s has no IPv%d address for %s", what, is_ip6(entry.host_address) and 6 or 4, entry.host_address)
    end
  end
  return list
end

--- Whether one of them is of the host's IPv4 loopback.
function ports.on_loopback(published)
  for _, entry in ipairs(published or {}) do
    if (entry.host_address or ""):match "^127%." then return true end
  end
  return false
end

local EVERY = { [false] = "0.0.0.0", [true] = "::" }

--- The ports to hold for `forwards`, each once: one address of a port that is held on all is held with it.
local function to_hold(forwards)
  local all, seen, needed = {}, {}, {}
  for _, entry in ipairs(forwards) do
    local every = EVERY[is_ip6(entry.guest_address)]
    local port = { protocol = entry.protocol, port = entry.host_port, address = entry.host_address or every, text = text_of(entry) }
    port.key, port.every = ("%s %d %s"):format(port.protocol, port.port, port.address), ("%s %d %s"):format(port.protocol, port.port, every)
    all[#all + 1], seen[port.key] = port, false
  end
  for _, port in ipairs(all) do
    local covered = port.key ~= port.every and seen[port.every] ~= nil
    if not covered and not seen[port.key] then seen[port.key], needed[#needed + 1] = true, port end
  end
  return needed
end

--- The container that lives and has such a port; nil where none of this state's has.
local function container_with(text, own)
  for _, container in ipairs(require("luabox.state").list()) do
    for _, resource in ipairs(container.alive and container.name ~= own and container.record.resources or {}) do
      for _, taken in ipairs(resource.kind == "ports" and resource.ports or {}) do
        if ports.clash(text, taken) then return container.name, taken end
      end
    end
  end
end

local function refuse(port, own, where)
  local holder, taken = container_with(port.text, own)
  if holder then errors.raise_at(where, "the port %s is published by the container %s already, as %s", port.text, holder, taken) end
  local user = sys.net.user_of_port { protocol = port.protocol, port = port.port, address = port.address }
  local program = user and user.pid and ("%s (process %d)"):format(user.program, user.pid) or "another program"
  errors.raise_at(where, "the port %s is in use on this host, by %s%s", port.text, program, user and " at " .. user.address or "")
end

-- Of each resource the ports that are held for it.
local held = {}

--- For the record: it says whose a port is, and releases it after the firewall that leads there is gone.
function ports.resource(published)
  local list = {}
  for i, entry in ipairs(published) do list[i] = text_of(entry) end
  return { kind = "ports", ports = list }
end

function ports.release(resource)
  for _, port in ipairs(held[resource] or {}) do port:release() end
  held[resource] = nil
end

--- Holds the ports of `forwards` for the container called `own`, until release(resource). Raises who has one that is taken.
function ports.hold(resource, forwards, own, where)
  held[resource] = {}
  for _, port in ipairs(to_hold(forwards)) do
    local socket = sys.net.hold_port { protocol = port.protocol, port = port.port, address = port.address }
    if not socket then refuse(port, own, where) end
    table.insert(held[resource], socket)
  end
end

return ports
