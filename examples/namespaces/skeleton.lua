-- The skeleton of every container: clone into new namespaces, exec of any command, wait for it.
-- Prints what the command prints, and ends with its exit status.
-- Needs the namespaces, as words, and the command as arguments: luabox run skeleton.lua "uts pid" /bin/sh -c 'echo I am $$'
local sys = require "luabox.sys"
local anyone = require "anyone"

if not arg[2] then
  io.stderr:write "usage: luabox run skeleton.lua NAMESPACES COMMAND [ARG...]\n"
  os.exit(125)
end
local process = anyone.clone(arg[1], function() sys.exec { unpack(arg, 2) } end)
os.exit(process:wait())
