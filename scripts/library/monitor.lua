-- monitor.lua: what stands by containers for long (engine/monitor.hpp): when it can take luabox's place, and how luabox takes them up again.
local sys = require "luabox.sys"
local cli = require "luabox.cli"
local container = require "luabox.container"
local errors = require "luabox.errors"
local lifecycle = require "luabox.lifecycle"
local state = require "luabox.state"

local monitor = {}

--- Whether their record says all that is to be done at their end. A trace is written by who has begun it, and what a script has done by ffi nobody
--- knows.
local function can_be_left(list)
  if require("luabox.trace").file or package.loaded.ffi then return false end
  for _, each in ipairs(list) do
    if each.master then return false end
    for _, step in ipairs(each.own_steps) do
      if step.undo then return false end
    end
  end
  return lifecycle.are_all(list)
end

--- Leaves `list`, containers that run, to the monitor: does not return where it can. Else this process stays what it is.
---@param list luabox.Container[]
---@param signals userdata
function monitor.become(list, signals)
  local started, processes, relays, locks = {}, {}, {}, {}
  local note = { log = cli.logging, debug = cli.debug, script = errors.script and errors.script.name, containers = {} }
  for i, each in ipairs(list) do
    local this = container.started(each)
    started[i] = this
    processes[i], locks[i], relays[#relays + 1] = this.process, this.record.lock, this.relay
    note.containers[i] = { name = this.name, began = this.began, ended = this.process:status() }
  end
  if not can_be_left(started) then return end
  sys.monitor.become(processes, signals, relays, locks, sys.json.encode(note))
end

-- Stands for a process that had ended before the others: { how = { code = } or { signal = } }.
local Ended = {}
Ended.__index = Ended

function Ended:status() return self.how end
function Ended:wait() return self.how.code or 128 + self.how.signal end
function Ended:kill() return false end  -- luacheck: no self

--- One of them, as the note has it: { name =, began =, ended = }.
local function resumed(left, process, lock)
  local record, found = state.resumed(left.name, lock)
  local this = container.of { name = left.name, began = left.began, process = process, record = record, config = found.config or {} }
  local ok, group, parent = errors.try(state.cgroup_of, record.resources)
  if ok and group then this.group, this.config.cgroup_parent = group, parent ~= "luabox" and parent or nil end
  lifecycle.resume(this)
  return this
end

--- The containers that were left to it, which have all ended; and what is wrong with one that can't be taken up, where there is one.
---@return luabox.Container[], luabox.Error?
function monitor.resumed()
  local left = sys.monitor.resumed()
  local note, list = sys.json.decode(left.note), {}
  cli.debug = note.debug
  if note.log then sys.log.set_up(note.log) end
  if note.script then errors.script = { name = note.script, text = "" } end
  local wrong
  for i, each in ipairs(note.containers) do
    local process = each.ended and setmetatable({ how = each.ended }, Ended) or table.remove(left.processes, 1)
    local ok, this = errors.try(resumed, each, process, left.locks[i])
    if ok then list[#list + 1] = this else wrong = wrong or this end
  end
  local lost = left.lost
  if lost and list[1] then list[1].relay = { finish = function() error(lost, 0) end } end
  return list, wrong
end

return monitor
