-- bridges.lua: the bridges of this host that containers share, and who is on them.
--
--   STATE/.bridges/.lock                held while a bridge or its list of members changes
--   STATE/.bridges/NAME/settings.json   subnet, subnet6, nat, mac; `ready` when the interface and the table were made
--   STATE/.bridges/NAME/members/        MEMBER.json: one container's address and names
--                                       MEMBER.hosts: its /etc/hosts, bound into it, rewritten in place as others come and go
--   STATE/.bridges/NAME/left-ADDRESS    the interface of the last that had the address
--
-- A bridge is made for its first member and goes with its last. A member's record names the bridge before it joins, so a killed
-- luabox's member leaves as every other does.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local host_ends = require "luabox.host_ends"
local state = require "luabox.state"

local bridges = {}

-- 0711: a container's root in a user namespace passes through on its way to its hosts file.
local FOLDER, PRIVATE, PUBLIC = { mode = 457 }, { mode = 384 }, { mode = 420 }
local FIRST = 2  -- 0 is the network, 1 the host's

function bridges.interface(name) return "lbr-" .. name end

--- No container's table is called so: a container's name begins with a letter or digit.
local function table_of(name) return "luabox-." .. name end

local function folder() return state.folder() .. "/.bridges" end
local function folder_of(name) return folder() .. "/" .. name end

local function member_file(name, member, ending) return ("%s/members/%s.%s"):format(folder_of(name), member, ending) end

local function locked(f, ...)
  sys.file.make_directories(folder(), FOLDER)
  local lock = sys.file.lock(folder() .. "/.lock", { wait = true })
  local ok, result = errors.try(f, ...)
  lock:release()
  if not ok then error(result, 0) end
  return result
end

local function left_file(name, address) return ("%s/left-%s"):format(folder_of(name), address) end

local function read(path)
  return sys.file.kind(path) and sys.json.decode(sys.file.read(path)) or nil
end

local function settings_of(name) return read(folder_of(name) .. "/settings.json") end

--- The members of a bridge, by their containers' names.
local function members_of(name)
  local members = {}
  for _, file in ipairs(sys.file.list(folder_of(name) .. "/members")) do
    local member = file:match "^(.*)%.json$"
    if member then members[member] = read(member_file(name, member, "json")) end
  end
  return members
end

-- ---- names

local function hosts_text(own, members)
  local lines = {}
  for name, member in pairs(members) do
    if name ~= own then
      local names = table.concat(member.names, " ")
      lines[#lines + 1] = member.address .. "\t" .. names
      if member.address6 then lines[#lines + 1] = member.address6 .. "\t" .. names end
    end
  end
  table.sort(lines)
  return members[own].hosts .. table.concat(lines, "\n") .. "\n"
end

--- In place, for it is bound by its inode, and in one write: a shorter text is filled up with empty lines. A member that has a lease on its own has
--- it as it is: it is not to keep all others waiting.
local function rewrite(path, status, text)
  local ok, problem = errors.try(sys.file.set, path, text .. ("\n"):rep(status.size - #text), { wait = false })
  if not ok and problem.code ~= "EAGAIN" then error(problem, 0) end
end

local function write_hosts(name, members)
  for own, member in pairs(members) do
    if member.hosts then
      local path, text = member_file(name, own, "hosts"), hosts_text(own, members)
      local status = sys.file.status(path)
      if status then rewrite(path, status, text) else sys.file.write(path, text, PUBLIC) end
    end
  end
end

-- ---- the bridge itself

local function host_of(prefix, number)
  local length = prefix:match "/(%d+)$"
  local address = sys.net.host(prefix, number)
  return address, address and address .. "/" .. length
end

local function overlaps(one, other)
  return sys.net.contains(one, (other:match "^[^/]+")) or sys.net.contains(other, (one:match "^[^/]+"))
end

--- A subnet that is this host's already, by a bridge or otherwise, is none to give away; what a container has left is nobody's.
local function check_free(subnet)
  for _, each in ipairs(sys.net.addresses()) do
    if overlaps(subnet, each.address) and not host_ends.remove(each.device) then
      errors.raise("the subnet %s is in use on this host, by %s of the interface %s", subnet, each.address, each.device)
    end
  end
end

--- Takes away the interface and the table, made whole or half. An interface of another address is the bridge of a luabox that has its state in
--- another folder, and so is the table: they stay. Returns whether they did.
local function unmake(name, settings)
  local interface = bridges.interface(name)
  local found = sys.net.find(interface)
  if found and settings and settings.mac and found.mac ~= settings.mac then return true end
  for _, existing in ipairs(sys.net.firewalls(table_of(name))) do sys.net.remove_firewall(existing) end
  state.remove_interface(interface)
end

local function refuse_other(name)
  errors.raise("the interface %s exists already; its bridge may have its state in another folder", bridges.interface(name))
end

local function make(name, settings)
  local interface = bridges.interface(name)
  if settings.ready and sys.net.find(interface) then return end
  if unmake(name, settings) then refuse_other(name) end
  local networks = { settings.subnet, settings.subnet6 }
  for _, network in ipairs(networks) do check_free(network) end
  sys.net.add { kind = "bridge", name = interface, mac = settings.mac, up = true }
  if settings.subnet6 then require("luabox.network").skip_duplicate_detection(interface) end
  for _, network in ipairs(networks) do
    local _, address = host_of(network, 1)
    sys.net.add_address(interface, address)
  end
  if settings.nat then
    for _, family in ipairs(settings.subnet6 and { "ip", "ip6" } or { "ip" }) do
      if not sys.net.forwarding { family = family } then sys.net.set_forwarding(true, { family = family }) end
    end
  end
  sys.net.firewall { name = table_of(name), interface = interface, networks = networks, masquerade = settings.nat }
  settings.ready = true
  sys.file.write(folder_of(name) .. "/settings.json", sys.json.encode(settings), PRIVATE)
end

local function remove(name)
  unmake(name, settings_of(name))
  sys.mount.remove_tree(folder_of(name))
end

local function or_none(value) return value == nil and "none" or tostring(value) end

--- What the first member said holds. For who says otherwise, nil and why not.
local function settle(name, wish)
  local settings = settings_of(name)
  if not settings then
    if sys.net.find(bridges.interface(name)) then refuse_other(name) end
    if not wish.subnet then errors.raise("there is no bridge '%s' yet; expected subnet = \"10.9.0.0/24\"", name) end
    -- An address of its own: otherwise it would change with the ports.
    local mac = "02:6c:62:" .. sys.random(3):gsub("(%x%x)", "%1:"):sub(1, 8)
    settings = { subnet = wish.subnet, subnet6 = wish.subnet6, nat = wish.nat or false, mac = mac }
    sys.file.make_directories(folder_of(name) .. "/members", FOLDER)
    sys.file.write(folder_of(name) .. "/settings.json", sys.json.encode(settings), PRIVATE)
    return settings
  end
  for _, key in ipairs { "subnet", "subnet6", "nat" } do
    if wish[key] ~= nil and wish[key] ~= settings[key] then
      return nil, ("the bridge '%s' is in use with %s %s, not %s"):format(name, key, or_none(settings[key]), tostring(wish[key]))
    end
  end
  return settings
end

-- ---- a member's own

local function number_of(address)
  local number = 0
  for byte in address:gmatch "%d+" do number = number * 256 + tonumber(byte) end
  return number
end

--- The last number that a container can have in `subnet`: then comes the broadcast address.
local function last_of(subnet) return 2 ^ (32 - sys.net.prefix(subnet).length) - 2 end

--- The number of a container's `address` in `subnet`; nil and why not where it can have none.
function bridges.number_of(address, subnet)
  local number = number_of(address) - number_of((sys.net.prefix(subnet).network:match "^[^/]+"))
  if number >= FIRST and number <= last_of(subnet) then return number end
  return nil, ("%s is no address for a container in %s; expected %s to %s"):format(address, subnet, (host_of(subnet, FIRST)),
    (host_of(subnet, last_of(subnet))))
end

--- The number of its address in the subnet: the one asked for, or the lowest that is free; nil and why not where others have it.
local function allocate(wish, settings, members)
  local taken = {}
  for name, member in pairs(members) do taken[member.address] = name end
  if wish.address then
    local number, problem = bridges.number_of(wish.address, settings.subnet)
    if not number then errors.raise("%s", problem) end
    if taken[wish.address] then return nil, ("the address %s is in use by the container %s"):format(wish.address, taken[wish.address]) end
    return number
  end
  local last = last_of(settings.subnet)
  for number = FIRST, last do
    if not taken[host_of(settings.subnet, number)] then return number end
  end
  return nil, ("the subnet %s has no address left: all %d are in use"):format(settings.subnet, last - FIRST + 1)
end

--- The kernel takes a container's interface away some time after its end. With the same address, and so the same Ethernet address, the one that ends
--- would be given its successor's packets, and answer that it knows of no such connection: it goes now.
local function take_over(name, address)
  local left = left_file(name, address)
  if not sys.file.kind(left) then return end
  state.remove_interface(sys.file.read(left))
  sys.file.remove(left)
end

local function join(name, wish)
  local settings, otherwise = settle(name, wish)
  if not settings then return { refused = otherwise } end
  local members = members_of(name)
  local number, taken = allocate(wish, settings, members)
  if not number then return { refused = taken } end
  make(name, settings)
  local member = { names = wish.names, hosts = wish.hosts, interface = wish.interface }
  local prefix, prefix6
  member.address, prefix = host_of(settings.subnet, number)
  if settings.subnet6 then member.address6, prefix6 = host_of(settings.subnet6, number) end
  take_over(name, member.address)
  if wish.hosts then member.hosts = wish.hosts(member.address) end
  sys.file.write(member_file(name, wish.member, "json"), sys.json.encode(member), PRIVATE)
  members[wish.member] = member
  write_hosts(name, members)
  local byte = { member.address:match "(%d+)%.(%d+)%.(%d+)%.(%d+)" }
  return {
    interface = bridges.interface(name), addresses = { prefix, prefix6 }, address = member.address, address6 = member.address6,
    networks = { settings.subnet, settings.subnet6 },
    gateways = { (host_of(settings.subnet, 1)), settings.subnet6 and (host_of(settings.subnet6, 1)) or nil },
    -- By its address: who takes it over later is found in its neighbours' caches.
    mac = ("02:6c:%02x:%02x:%02x:%02x"):format(byte[1], byte[2], byte[3], byte[4]),
    hosts_path = member.hosts and member_file(name, wish.member, "hosts"),
  }
end

--- Ends the members whose luabox was killed, as gc would. Returns whether there were any.
local function collect_dead(name)
  local any = not sys.file.kind(folder_of(name))  -- all of them have left
  for member in pairs(any and {} or members_of(name)) do any = state.collect_named(member) == "removed" or any end
  return any
end

--- Joins the bridge, and makes it where it isn't there yet. `wish`: { member = "the container's name", interface =, subnet =, subnet6 =, nat =,
--- address =, names = {}, hosts = function(address) -> the text of its /etc/hosts }. Returns { interface =, addresses =, address =,
--- address6 =, networks =, gateways =, mac =, hosts_path = }. What is at fault is raised, and then nothing was joined.
function bridges.join(name, wish)
  local joined = locked(join, name, wish)
  if joined.refused and collect_dead(name) then joined = locked(join, name, wish) end
  if joined.refused then errors.raise("%s", joined.refused) end
  return joined
end

--- A member's files, and what was to become one of them when its luabox was killed (file.write: FILE.newPID).
local function remove_files(name, member)
  local start = member .. "."
  for _, file in ipairs(sys.file.list(folder_of(name) .. "/members")) do
    local ending = file:sub(1, #start) == start and file:sub(#start + 1):gsub("%.new%d+$", "")
    if ending == "json" or ending == "hosts" then sys.file.remove(("%s/members/%s"):format(folder_of(name), file)) end
  end
end

local function leave(name, member)
  if not sys.file.kind(folder_of(name)) then return end  -- another took it away meanwhile
  local members = members_of(name)
  local own = members[member]
  remove_files(name, member)
  members[member] = nil
  if not next(members) then return remove(name) end
  if own and own.interface then sys.file.write(left_file(name, own.address), own.interface, PRIVATE) end
  write_hosts(name, members)
end

--- Leaves it; fine where it never joined, and then without the lock, for which there may be no room. The last one takes the bridge away.
function bridges.leave(name, member)
  if sys.file.kind(folder_of(name)) then locked(leave, name, member) end
end

return bridges
