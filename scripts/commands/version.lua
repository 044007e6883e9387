-- luabox version
local version = { summary = "Show the version." }

function version.parser() return require("luabox.cli").parser("version", "Shows the version.", "luabox version") end

function version.run(arguments)
  if arguments[1] then require("luabox.cli").parse(version.parser(), arguments) end
  print("luabox " .. require("luabox.sys").version())
end

return version
