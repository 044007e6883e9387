-- Prints the kind and the name of each primitive that a policy can be asked about, as they are registered: "mount mount.bind".
local sys = require "luabox.sys"
local names, queue = {}, {}

local function add(f)
  local name, how = sys.gate.passage(f)
  if not name or names[name] then return end
  names[name], queue[#queue + 1] = how, f
end

for _, f in pairs(sys) do
  if type(f) == "function" then add(f) end
end
for _, module in ipairs(sys.gate.modules()) do
  for _, f in pairs(sys[module]) do
    if type(f) == "function" then add(f) end
  end
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

for name, how in pairs(names) do
  local kind = how ~= "open" and sys.policy.kind_of(name)
  if kind then print(kind, name) end
end
