-- luabox update NAME KEY=VALUE...: new limits for a container that runs.
local cli = require "luabox.cli"

local update = { summary = "Change the limits of a container that runs." }

local DESCRIPTION = [[
Sets limits of the container NAME, in the words of the field cgroup of a container script: memory=1GiB cpu=50% pids=100; "max" is none. The
container must have had a limit of that controller from its start, or accounting = true. A site's policies may refuse or change them.]]

function update.parser()
  local parser = cli.parser("update", DESCRIPTION, "luabox update web memory=1GiB cpu=50%   new limits, at once")
  parser:argument("name", "The container."):argname "NAME"
  parser:argument("limits", "A key and its new value."):args "+":argname "KEY=VALUE"
  return parser
end

function update.run(arguments)
  local options, limits = cli.parse(update.parser(), arguments), {}
  for _, word in ipairs(options.limits) do
    local key, value = word:match "^([%w_.]+)=(.+)$"
    if not key then cli.refuse("update", "expected KEY=VALUE, such as memory=1GiB, got '%s'", word) end
    if limits[key] then cli.refuse("update", "'%s' is given twice", key) end
    limits[key] = tonumber(value) or value
  end
  require("luabox.running").find(options.name):update(limits)
end

return update
