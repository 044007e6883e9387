-- luabox version
local version = { summary = "Show the version." }

function version.run()
  print("luabox " .. require("luabox.sys").version())
end

return version
