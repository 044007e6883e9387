-- main.lua: from the command line to a command script.
local function run_file(arguments)
  local chunk = assert(loadfile(arguments[2]))
  package.path = arguments[2]:match("^(.*/)") and arguments[2]:match("^(.*/)") .. "?.lua;" .. package.path or package.path
  chunk(unpack(arguments, 3))
  return 0
end

return run_file
