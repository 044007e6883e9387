-- primitives.lua: the names of all primitives, as the gate knows them: "mount.bind", "root:mknod".
local sys = require "luabox.sys"

local primitives = {}

--- How each passes: name -> "open", "reads" or "changes". Nothing is done meanwhile: not for a process that does something.
---@return table<string, string>
function primitives.all()
  local names, queue = {}, {}
  local function add(value)
    local name, how = sys.gate.passage(value)
    if not name or names[name] then return end
    names[name], queue[#queue + 1] = how, value
  end
  for _, value in pairs(sys) do add(value) end
  for _, module in ipairs(sys.gate.modules()) do
    for _, value in pairs(sys[module]) do add(value) end
  end
  -- A class is known by its objects: in a pretence each primitive that is given one gives a stand-in of what it makes.
  local made
  sys.gate.pretend(function(_, _, stand_in) made = stand_in end)
  sys.mount.root "/no/such/folder"
  local any = made
  while #queue > 0 do
    made = nil
    pcall(table.remove(queue), any)
    local methods = type(made) == "userdata" and debug.getmetatable(made).__index
    for _, method in pairs(methods or {}) do add(method) end
  end
  sys.gate.pretend(nil)
  return names
end

return primitives
