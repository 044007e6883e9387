-- exits.lua: Lua's own ways to the system, for a script that is to do nothing: what changes something is noted and not done, what reads stays.
local errors = require "luabox.errors"

local exits = {}

--- Where a script prints to: what it prints is a step as any other.
local function output_of(note)
  local out = {}
  function out.write(_, ...)
    note("print", table.concat({ ... }))
    return out
  end
  for _, name in ipairs { "flush", "setvbuf", "close" } do out[name] = function() return true end end
  return out
end

--- Closes them: `note(name, ...)` is told of each call. Returns a function that puts all back.
function exits.close(note)
  local lua_io, lua_package = _G.io, _G.package  -- these are to be changed
  local saved = { io = {}, os = {}, package = { loadlib = package.loadlib } }
  local function replace(library, name, answer)
    local from = _G[library]
    saved[library][name] = from[name]
    from[name] = function(...)
      note(library .. "." .. name, ...)
      return answer(...)
    end
  end
  replace("os", "execute", function() return 0 end)
  replace("os", "remove", function() return true end)
  replace("os", "rename", function() return true end)
  replace("os", "tmpname", function() return "/tmp/lua_explain" end)
  replace("io", "popen", function() return assert(saved.io.open "/dev/null") end)
  replace("io", "tmpfile", function() return assert(saved.io.open "/dev/null") end)
  saved.io.write, saved.io.stdout, saved.print = io.write, io.stdout, _G.print
  local out = output_of(note)
  lua_io.write = function(...)
    out:write(...)
    return true
  end
  lua_io.stdout = out
  _G.print = function(...)
    local texts = {}
    for i = 1, select("#", ...) do texts[i] = tostring((select(i, ...))) end
    out:write(table.concat(texts, "\t") .. "\n")
  end
  saved.io.open, saved.io.output = io.open, io.output
  lua_io.open = function(name, mode)
    if not mode or mode:match "^rb?$" or name == "/dev/net/tun" then return saved.io.open(name, mode) end  -- opening that one is a question
    note("io.open", name, mode)
    return saved.io.open("/dev/null", "r")
  end
  lua_io.output = function(file)
    if type(file) ~= "string" then return saved.io.output(file) end
    note("io.output", file)
  end
  lua_package.loadlib = function() return nil, "explain loads no native code", "absent" end
  local ffi, cpath = package.preload.ffi, package.cpath
  lua_package.preload.ffi, lua_package.cpath = function() errors.raise "explain can't follow what a script does through ffi" end, ""
  return function()
    _G.print, saved.print = saved.print, nil
    for library, functions in pairs(saved) do
      for name, f in pairs(functions) do _G[library][name] = f end
    end
    lua_package.preload.ffi, lua_package.cpath = ffi, cpath
  end
end

return exits
