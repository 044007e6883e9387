-- luabox stats NAME: what a container has used.
local cli = require "luabox.cli"

local stats = { summary = "Show what a container has used.", words = { "container", "none" } }

local EXAMPLES = [[
luabox stats web                       one value a line
luabox stats --json web                for programs]]

function stats.parser()
  local parser = cli.parser("stats",
    "Shows the CPU time (seconds), memory and io (bytes) and processes of the container NAME, as far as they are counted.", EXAMPLES)
  parser:argument("name", "The container."):argname "NAME"
  parser:flag("--json", "As JSON.")
  return parser
end

function stats.run(arguments)
  local options = cli.parse(stats.parser(), arguments)
  local used = require("luabox.running").find(options.name):stats()
  if options.json then
    print(require("luabox.sys").json.encode(used, { indent = 2 }))
    return
  end
  for _, group in ipairs { "cpu", "memory", "pids", "io", "pressure" } do
    local names = {}
    for name in pairs(used[group] or {}) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do print(("%-18s %s"):format(group .. "." .. name, ("%.6f"):format(used[group][name]):gsub("%.?0+$", ""))) end
  end
end

return stats
