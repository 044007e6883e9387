-- luabox list: the containers.
local cli = require "luabox.cli"
local state = require "luabox.state"

local list = { summary = "List the containers." }

function list.parser()
  local parser = cli.parser("list", "Lists the containers of this user; 'dead' are those that 'luabox gc' would remove.")
  parser:flag("--json", "As JSON.")
  return parser
end

function list.run(arguments)
  local options = cli.parse(list.parser(), arguments)
  local containers = state.list()
  if options.json then
    print(require("luabox.sys").json.encode(containers, { indent = 2 }))
    return
  end
  print(("%-32s %-8s %s"):format("NAME", "STATE", "PID"))
  for _, each in ipairs(containers) do
    print(("%-32s %-8s %d"):format(each.name, each.alive and "running" or "dead", each.record.pid))
  end
end

return list
