-- attachment.lua: a container that runs, as a prompt has it: c.cgroup.memory = "1GiB", c:exec { "sh" }, c:stats(), c.mounts.
local errors = require "luabox.errors"
local running = require "luabox.running"
local units = require "luabox.units"

local attachment = {}

local function cgroup_of(container)
  local group = container:cgroup()
  if not group then errors.raise("the container '%s' has no cgroup of its own", container.name) end
  return require("luabox.own_cgroup").of(group, function(limits) container:update(limits) end)
end

local VIEWS = { cgroup = cgroup_of, mounts = function(container) return container:mounts() end }

-- What stands behind each: it is not within the reach of what is typed, which policies may govern.
local behind = setmetatable({}, { __mode = "k" })

local METHODS = {}

function METHODS.exec(self, options) return behind[self]:exec(options) end
function METHODS.update(self, limits) return behind[self]:update(limits) end
function METHODS.stats(self) return behind[self]:stats() end
function METHODS.kill(self, signal) return behind[self]:kill(signal) end
function METHODS.alive(self) return behind[self]:alive() end
function METHODS.wait(self, seconds) return behind[self].process:wait(seconds and units.duration(seconds)) end

local PATIENCE = 10  -- seconds

function METHODS.stop(self, seconds)
  self:kill "TERM"
  if self:wait(seconds or PATIENCE) then return end
  self:kill "KILL"
  self:wait()
end

local SETTABLE = "%s can't be set; limits are: c.cgroup.memory = \"1GiB\", c:update { memory = \"1GiB\" }"

--- The container called `name`, whoever started it.
function attachment.to(name)
  local found = running.find(name)
  local attached = setmetatable({ name = found.name, config = found.config }, {
    __index = function(_, key)
      if VIEWS[key] then return VIEWS[key](found) end
      return METHODS[key]
    end,
    __newindex = function(_, key) errors.raise(SETTABLE, "c." .. tostring(key)) end,
    __tostring = function()
      return ("<container %s, process %d, %s>"):format(found.name, found.process:pid(), found:alive() and "running" or "ended")
    end,
    class = "luabox.Attachment", views = VIEWS, methods = METHODS, names = function() return { "name", "config", "cgroup", "mounts" } end,
  })
  behind[attached] = found
  return attached
end

return attachment
