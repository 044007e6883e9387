-- luabox gc: removes what a killed luabox left behind.
local cli = require "luabox.cli"
local state = require "luabox.state"

local gc = { summary = "Remove what killed luabox processes left behind." }

local EXAMPLES = [[
luabox gc                              prints the names of what was removed]]

function gc.parser()
  return cli.parser("gc",
    "Removes what luabox processes that were killed left behind: cgroups, interfaces, firewall tables, folders; and what 'luabox why' knows.",
    EXAMPLES)
end

function gc.run(arguments)
  cli.parse(gc.parser(), arguments)
  local removed, problems = state.collect()
  for _, name in ipairs(removed) do print(name) end
  for _, name in ipairs(require("luabox.host_ends").collect()) do print(name) end
  for _, name in ipairs(require("luabox.images").collect()) do print(name) end
  require("luabox.failure").forget()
  local log = require("luabox.sys").log
  for _, problem in ipairs(problems) do log.error(tostring(problem)) end
  return #problems == 0 and 0 or 1
end

return gc
