-- Prints the kind and the name of each primitive that a policy can be asked about, as they are registered: "mount mount.bind".
local sys = require "luabox.sys"

for name, how in pairs(require("luabox.primitives").all()) do
  local kind = how ~= "open" and sys.policy.kind_of(name)
  if kind then print(kind, name) end
end
