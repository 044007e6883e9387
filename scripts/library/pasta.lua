-- pasta.lua: an ordinary user's network: pasta (Debian's package passt) carries what the container sends as connections of the user's own.
--
-- pasta is told everything: what it would do by itself is to publish every port that is bound inside, and to show the container the host's loopback.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local network = require "luabox.network"
local schema = require "luabox.schema"

local pasta = {}

-- Where names are asked for: pasta hands it to the host's own server, also one on the host's loopback. Link-local: nobody else's.
pasta.SERVER = "169.254.1.1"
local SECONDS = 10

--- Whether this host has what it takes; else why not.
function pasta.available()
  if not sys.find_helper "pasta" then return false, "pasta is not installed (Debian's package passt)" end
  local tun = io.open("/dev/net/tun", "r+")
  if not tun then return false, "/dev/net/tun is not there, or not open to this user: root can run 'modprobe tun; chmod 666 /dev/net/tun'" end
  tun:close()
  for _, route in ipairs(sys.net.routes()) do
    if route.to == "default" then return true end
  end
  return false, "this host has no default route"
end

--- What pasta said, without what it says of a host that has no system logger.
local function said(this)
  return (this.pasta:output():gsub("Failed to send %d+ bytes to syslog;? ?", ""))
end

--- "192.0.2.1/8080:80", as pasta's -t and -u take it.
local function forwarding(entry)
  return (entry.host_address and entry.host_address .. "/" or "") .. ("%d:%d"):format(entry.host_port, entry.guest_port)
end

local function arguments(this)
  local list = { "pasta", "--foreground", "--quiet", "--config-net", "--no-map-gw", "--dns-forward", pasta.SERVER, "--pid", this.pasta_file,
    "-T", "none", "-U", "none" }
  for protocol, option in pairs { tcp = "-t", udp = "-u" } do
    local count = #list
    for _, entry in ipairs(this.config.network.publish or {}) do
      if entry.protocol == protocol then
        list[#list + 1] = option
        list[#list + 1] = forwarding(entry)
      end
    end
    if #list == count then
      list[#list + 1] = option
      list[#list + 1] = "none"
    end
  end
  list[#list + 1] = tostring(this.process:pid())
  return list
end

pasta.step = { namespaces = "net", key = "network" }

--- pasta is found again by its command line, which holds the file that it writes its number to.
function pasta.step.resources(this)
  this.pasta_file = ("%s/.pasta-%s"):format(this.record.folder, this.name)
  return network.with_ports(this, { { kind = "helper", argument = this.pasta_file } })
end

local function wait_until_ready(this)
  local deadline = sys.monotonic() + SECONDS
  while true do
    local status = this.pasta:wait(0.002)
    if status then errors.raise_at(this.config.network.where or this.where, "pasta ended with %d: %s", status, said(this)) end
    local text = sys.file.kind(this.pasta_file) == "file" and sys.file.read(this.pasta_file) or ""
    if text:find "\n" then return end
    if sys.monotonic() > deadline then
      errors.raise_at(this.config.network.where or this.where, "pasta was not ready within %d seconds: %s", SECONDS, said(this))
    end
  end
end

local function start(this)
  local words = arguments(this)
  sys.log.detail("network: " .. table.concat(words, " "))
  this.pasta = sys.helper(words)
  wait_until_ready(this)
end

--- pasta has the ports itself. Whether they are free is looked at before: it would share a port of UDP with another, and be content with one of two
--- families. One after the other, so that of two that start at once one is refused.
local function start_in_turn(this)
  local lock = sys.file.lock(require("luabox.state").folder() .. "/.pasta", { wait = true })
  local ok, problem = errors.try(function()
    network.hold_ports(this, sys.file.kind "/proc/net/if_inet6" and { "0.0.0.0", "::" } or { "0.0.0.0" })
    require("luabox.ports").release(this.ports)
    start(this)
  end)
  lock:release()
  if not ok then error(problem, 0) end
end

function pasta.step.attach(this)
  if this.ports then start_in_turn(this) else start(this) end
end

function pasta.step.enter() sys.net.configure { loopback = true } end

function pasta.step.undo(this)
  if not this.pasta then return end
  this.pasta:kill "KILL"  -- it has nothing to put away
  this.pasta:wait()
  this.pasta = nil
end

--- pasta { publish = { "8080:80" } }
function pasta.new(options)
  local where = errors.users_line(2, "pasta") or "luabox"
  options = options or {}
  if type(options) ~= "table" then errors.raise_at(where, "pasta: expected a table such as { publish = { \"8080:80\" } }, got %s", type(options)) end
  if options.egress ~= nil then
    errors.raise_at(where, "pasta: egress can't be had: what pasta sends are this user's own connections, which no rule of the host tells apart; "
      .. "it takes root and veth { ... } or bridge { ... }")
  end
  local made = schema.check(options, { publish = network.ports }, { what = "pasta", where = where })
  if #options > 0 then errors.raise_at(where, "pasta: expected only named fields such as publish = { \"8080:80\" }") end
  made.kind, made.where = "pasta", where
  network.check_published(made, "pasta")
  return made
end

--- What network the container of an ordinary user gets: pasta where it is asked for, or nothing is said and this host has it.
function pasta.settle(config, where, net_is_own)
  local asked = type(config.network) == "table"
  if not asked and (config.network ~= nil or not net_is_own) then return end
  local ok, why = pasta.available()
  if asked and not ok then errors.raise_at(config.network.where or where, "network = pasta: %s", why) end
  if not ok then return sys.log.detail("network: loopback alone, since " .. why) end
  config.network = asked and config.network or { kind = "pasta" }
end

return pasta
