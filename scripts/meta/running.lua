---@meta luabox.running

---Containers that run, whoever started them. `require "luabox.running"`.
---@class luabox.running
local running = {}

---The container of this name that runs now. Raises when there is none, when it has ended or is being started, and when it is another user's.
---
---    local web = require("luabox.running").find "web"
---    print(web:stats().memory.usage)
---@param name string
---@return luabox.RunningContainer
function running.find(name) end

---The same by its record, as sys.json reads it.
---@param record table
---@return luabox.RunningContainer
function running.of(record) end

---@class luabox.RunningContainer
---@field name string
---@field config table  what its script asked for, as far as it decides how a process runs in it
---@field process luabox.sys.Running  its first process
local RunningContainer = {}

---Whether its first process still runs.
---@return boolean
function RunningContainer:alive() end

---Sends a signal to its command.
---@param signal? string|integer  "TERM" if none is said
---@return boolean there
function RunningContainer:kill(signal) end

---Its cgroup, which stays when this object goes; nil where it has none.
---@return luabox.sys.Cgroup?
function RunningContainer:cgroup() end

---What it has used, as Container:stats.
---@return luabox.sys.CgroupStats
function RunningContainer:stats() end

---What is mounted in it, in the kernel's words: { target =, type =, source =, options = }.
---@return table[]
function RunningContainer:mounts() end

---Sets limits, as Container:update.
---@param limits luabox.CgroupLimits
function RunningContainer:update(limits) end

---Starts a further process in it.
---@param options luabox.ExecOptions
---@return luabox.Execution
function RunningContainer:exec(options) end

return running
