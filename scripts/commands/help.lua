-- luabox help [COMMAND]
local help = { summary = "Show the commands, or the help of one." }

local function overview()
  local main = require "luabox.main"
  print "Usage: luabox COMMAND [OPTIONS] ...\n\nA container runtime that is programmed in Lua.\n\nCommands:"
  for _, name in ipairs(main.COMMANDS) do print(("  %-10s %s"):format(name, main.command(name).summary)) end
  for name, file in pairs(main.site_commands()) do
    local ok, command = pcall(main.command, name)
    print(("  %-10s %s (%s)"):format(name, ok and command.summary or "", file))
  end
  print "\nSee 'luabox help COMMAND' for one of them."
end

function help.run(arguments)
  if not arguments[1] then return overview() end
  local command = require("luabox.main").command(arguments[1])
  print(command.parser and command.parser():get_help() or ("Usage: luabox %s ...\n\n%s"):format(arguments[1], command.summary or ""))
end

return help
