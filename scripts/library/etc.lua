-- etc.lua: who the container is: hostname and domain, and the files that say so: /etc/hostname, /etc/hosts, /etc/resolv.conf.
--
-- The files lie in a small tmpfs of the container's own that no other process ever sees, and are bound over the image's: an image is
-- not changed, and what the container writes to them can't fill a disk of the host's.
local sys = require "luabox.sys"

local etc = {}

--- The check for an item of container.dns.
function etc.address(value)
  local plain = type(value) == "string" and not value:find("/", 1, true) and value:gsub("%%[%w_.-]+$", "")
  if plain and pcall(sys.net.prefix, plain .. (plain:find(":", 1, true) and "/128" or "/32")) then return value end
  return nil, "an address such as \"9.9.9.9\""
end

--- The check for an item of container.hosts: one line, a comment or what hosts(5) takes.
function etc.host(value)
  local line = type(value) == "string" and not value:gsub("\t", " "):find "%c" and value
  local address = line and line:match "^%s*(%S+)%s+[^#%s]"
  if line and line:find "^%s*#" or address and etc.address(address) then return value end
  return nil, "an address and names such as \"192.0.2.1 db\""
end

etc.FILES = { "hostname", "hosts", "resolv.conf" }

--- The text of its /etc/hosts.
function etc.hosts(this)
  local lines = {
    "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", "fe00::0\tip6-localnet", "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
  }
  local name = this.config.hostname
  if this.config.domainname then name = name .. "." .. this.config.domainname .. " " .. name end
  lines[#lines + 1] = (this.address or "127.0.1.1") .. "\t" .. name
  for _, entry in ipairs(this.config.hosts or {}) do lines[#lines + 1] = entry end
  return table.concat(lines, "\n") .. "\n"
end

local RESOLVED, OF_RESOLVED = "127%.0%.0%.53", "/run/systemd/resolve/resolv.conf"

--- The host's own, or where that names systemd-resolved alone (systemd-resolved(8)), the servers behind it. nil where there is none.
local function of_host()
  local ok, text = pcall(sys.file.read, "/etc/resolv.conf")
  if not ok then return nil end
  for server in ("\n" .. text):gmatch "\n%s*nameserver%s+(%S+)" do
    if not server:match("^" .. RESOLVED .. "$") then return text end
  end
  local found, behind = pcall(sys.file.read, OF_RESOLVED)
  return text:find(RESOLVED) and found and behind or text
end

--- The host's own servers, without those on the host's loopback: inside, that address is the container itself.
local function resolv_conf(this)
  if this.config.dns then
    local lines = {}
    for i, server in ipairs(this.config.dns) do lines[i] = "nameserver " .. server end
    return table.concat(lines, "\n") .. "\n"
  end
  local text = of_host()
  if this.pasta_file then
    local lines = { "nameserver " .. require("luabox.pasta").SERVER }
    for line in (text or ""):gmatch "[^\n]+" do
      if not line:match "^%s*nameserver%s" then lines[#lines + 1] = line end
    end
    return table.concat(lines, "\n") .. "\n"
  end
  if not text then return "" end
  if this.namespaces.net == "host" then return sys.file.read "/etc/resolv.conf" end
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    if not line:match "^%s*nameserver%s+127%." and not line:match "^%s*nameserver%s+::1%s*$" then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n") .. "\n"
end

local TEXTS = {
  hostname = function(this) return this.config.hostname .. "\n" end,
  hosts = etc.hosts,
  ["resolv.conf"] = resolv_conf,
}

--- Which of the three the container gets: all, unless a mount of its own has the same target or the script says etc = false.
function etc.targets(config, mounted)
  local targets = {}
  if config.etc == false then return targets end
  for _, name in ipairs(etc.FILES) do
    if not mounted["/etc/" .. name] and not mounted["/etc"] then targets[#targets + 1] = "/etc/" .. name end
  end
  return targets
end

etc.step = { namespaces = "uts mount", key = "hostname" }

--- Who has a way out finds nobody by name there without a server, and is told before.
function etc.step.prepare(this)
  local net = this.config.network
  if type(net) ~= "table" or net.kind == "pasta" or this.config.dns then return end
  for _, target in ipairs(this.etc_targets) do
    local servers = target == "/etc/resolv.conf" and (of_host() or ""):find "nameserver"
    if servers and not resolv_conf(this):find "nameserver" then
      sys.log.warning(("%s: the host's name servers are on its loopback, which the container can't reach: name others with dns = { ... }")
        :format(net.where))
    end
  end
end

function etc.step.enter(this)
  if this.namespaces.uts == "new" then
    sys.sethostname(this.config.hostname)
    if this.config.domainname then sys.setdomainname(this.config.domainname) end
  end
  if #this.etc_targets == 0 then return end
  -- The state is surely there, and nothing inside needs it. Not by state.folder(): in a user namespace an ordinary user is 0 too.
  local place = this.mapped and this.mapped.etc or this.record.folder
  sys.mount.make_tmpfs({ size = "64k", mode = "755", nosuid = true, nodev = true, noexec = true }):attach_at(place)
  local files = sys.mount.root(place)
  for _, target in ipairs(this.etc_targets) do
    local name = target:match "[^/]+$"
    local tree = name == "hosts" and this.hosts_tree
    if not tree then
      files:write(name, TEXTS[name](this))
      tree = sys.mount.copy_in(files, name, { recursive = false })
    end
    tree:attach(this.root, target, { create = "file" })
  end
end

return etc
