-- luabox init [DIR]: a first script, and what an editor needs to know the vocabulary.
local cli = require "luabox.cli"
local errors = require "luabox.errors"
local sys = require "luabox.sys"

local init = { summary = "Write a first script, and what editors need.", words = { "folders", "none" } }

local DESCRIPTION = [[
Writes into DIR (this folder unless said otherwise): box.lua, a first script; .luabox/, the definitions of the vocabulary for editors that
read LuaCATS, such as those with lua-language-server; .luarc.json, which tells them so. Nothing that is there is replaced but the definitions.]]

local EXAMPLES = [[
luabox init web                        web/box.lua, and what editors need]]

function init.parser()
  local parser = cli.parser("init", DESCRIPTION, EXAMPLES)
  parser:argument("directory", "The folder; it is made if it is not there."):args "?":argname "DIR"
  return parser
end

local SCRIPT = [[
-- luabox check box.lua   what is wrong with it
-- luabox run box.lua     runs it; `luabox run box.lua -- COMMAND` another command in it
-- luabox repl box.lua    a prompt, to try things
--
-- It takes an image: docker export $(docker create debian) | luabox image import - box
--                or: mmdebstrap --variant=minbase bookworm - | luabox image import - box
require_version "%s"

return container {
  rootfs = image "box",
  mounts = { tmpfs { "/tmp", size = "64MiB" } },
  cgroup = { memory = "256MiB", pids = 100 },
  command = { "/bin/sh" },
}
]]

-- https://luals.github.io/wiki/configuration
local CONFIGURATION = {
  ["$schema"] = "https://raw.githubusercontent.com/LuaLS/vscode-lua/master/setting/schema.json",
  ["runtime.version"] = "LuaJIT", ["workspace.library"] = { ".luabox" },
}

--- Writes a file that is not there yet; says what it did.
local function write_new(path, text)
  local ok, problem = errors.try(sys.file.write, path, text, { create = true })
  if not ok and problem.code ~= "EEXIST" then error(problem, 0) end
  print(("%s %s"):format(path, ok and "written" or "is there already: left as it is"))
end

function init.run(arguments)
  local options = cli.parse(init.parser(), arguments)
  local folder = options.directory or "."
  local there = sys.file.status(folder .. "/.luabox")
  if there and there.kind ~= "directory" then errors.raise("%s/.luabox is no folder: it is left as it is", folder) end
  sys.file.make_directories(folder .. "/.luabox")
  for _, name in ipairs(require("luabox.reference").FILES) do
    sys.file.write(("%s/.luabox/%s.lua"):format(folder, name), require("luabox.meta." .. name))
  end
  print(folder .. "/.luabox written")
  write_new(folder .. "/.luarc.json", sys.json.encode(CONFIGURATION, { indent = 2 }) .. "\n")
  write_new(folder .. "/box.lua", SCRIPT:format(sys.version():match "^%d+%.%d+"))
end

return init
