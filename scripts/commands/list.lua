-- luabox list: the containers.
local cli = require "luabox.cli"
local state = require "luabox.state"

local list = { summary = "List the containers." }

local EXAMPLES = [[
luabox list                            name, state, first process, command
luabox list --json                     all that is known, for programs]]

function list.parser()
  local parser = cli.parser("list",
    "Lists the containers of this user; with the pid of the first process in each; 'dead' are those that 'luabox gc' would remove.", EXAMPLES)
  parser:flag("--json", "As JSON.")
  return parser
end

local function show(containers)
  print(("%-32s %-8s %-8s %s"):format("NAME", "STATE", "PID", "COMMAND"))
  for _, each in ipairs(containers) do
    local process, config = each.record.process, each.record.config or {}
    print(("%-32s %-8s %-8s %s"):format(each.name, not each.alive and "dead" or process and "running" or "starting", process and process.pid or "-",
      table.concat(config.command or {}, " "):gsub("\194[\128-\159]", "?"):gsub("%c", "?"):sub(1, 60)))
  end
end

function list.run(arguments)
  local options = cli.parse(list.parser(), arguments)
  local sys = require "luabox.sys"
  local containers, problems = state.list()
  if options.json then
    print(sys.json.encode(containers, { indent = 2 }))
  else
    show(containers)
  end
  for _, problem in ipairs(problems) do sys.log.error(tostring(problem)) end
  return #problems == 0 and 0 or 1
end

return list
