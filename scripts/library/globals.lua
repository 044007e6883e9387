-- globals.lua: the globals that a compiled script reads and sets, from its bytecode.
local util = require "jit.util"

local globals = {}

--- The number of the instruction that `source` begins with, behind the function's header: read from what this LuaJIT compiles.
local function opcode(source, at) return bit.band((util.funcbc(loadstring(source), at)), 0xff) end

--- Calls visit("get" | "set", name, line) for each use of a global in `chunk` and the functions in it.
function globals.each(chunk, visit)
  local get, set = opcode("return x", 1), opcode("x = nil", 2)
  local function walk(prototype)
    local info = util.funcinfo(prototype)
    for pc = 1, info.bytecodes - 1 do
      local instruction = util.funcbc(prototype, pc)
      local code = bit.band(instruction, 0xff)
      if code == get or code == set then
        local name = util.funck(prototype, -bit.rshift(instruction, 16) - 1)
        visit(code == get and "get" or "set", name, util.funcinfo(prototype, pc).currentline)
      end
    end
    for i = -1, -info.gcconsts, -1 do
      local constant = util.funck(prototype, i)
      if type(constant) == "proto" then walk(constant) end
    end
  end
  walk(chunk)
end

return globals
