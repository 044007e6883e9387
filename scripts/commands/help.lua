-- luabox help [COMMAND]; as man pages and completions too.
local help = { summary = "Show the commands, or the help of one.", words = { "command", "none" } }

local DESCRIPTION = [[
Shows the commands, or the help of COMMAND. What else is made of the same: a man page, such as `luabox help --man run | man -l -`, and
completions for a shell, such as `source <(luabox help --completion bash)`.]]

local EXAMPLES = [[
luabox help image import               the help of a command in a command
luabox help --man run | man -l -       the same as a man page
source <(luabox help --completion bash)]]

function help.parser()
  local parser = require("luabox.cli").parser("help", DESCRIPTION, EXAMPLES)
  parser:argument("command", "The command, and one below it."):args "0-2":argname "COMMAND"
  parser:flag("--man", "As a man page.")
  parser:option("--completion", "The completions of all commands for a shell."):choices { "bash", "zsh", "fish" }:argname "SHELL"
  parser:option("--install", "Write man pages, completions and definitions for editors below PREFIX/share."):argname "PREFIX"
  return parser
end

local function overview()
  local main = require "luabox.main"
  print "Usage: luabox COMMAND [OPTIONS] ...\n\nA container runtime that is programmed in Lua.\n\nCommands:"
  for _, name in ipairs(main.COMMANDS) do print(("  %-11s %s"):format(name, main.command(name).summary)) end
  for name, file in pairs(main.site_commands()) do
    local ok, command = pcall(main.command, name)
    print(("  %-11s %s (%s)"):format(name, ok and command.summary or "", file))
  end
  print "\nSee 'luabox help COMMAND' for one of them."
end

--- The commands that are part of luabox: { name =, command = }.
local function commands()
  local main, list = require "luabox.main", {}
  for i, name in ipairs(main.COMMANDS) do list[i] = { name = name, command = main.command(name) } end
  return list
end

--- The parser of "image import" and its like.
local function command_below(name, parser, below)
  local known = {}
  for _, each in ipairs(parser and parser._commands or {}) do
    if each._name == below then return each end
    known[#known + 1] = each._name
  end
  local errors = require "luabox.errors"
  errors.raise("'%s' has no command '%s'%s; see 'luabox help %s'", name, below, errors.suggestion(below, known), name)
end

function help.run(arguments)
  if not arguments[1] then return overview() end
  if arguments[1] == "--suggest" then
    require("luabox.cli").collect_garbage()
    return require("luabox.suggestions").print { unpack(arguments, arguments[2] == "--" and 3 or 2) }
  end
  local options = require("luabox.cli").parse(help.parser(), arguments)
  local manual = require "luabox.manual"
  if options.install then return manual.install(options.install, commands()) end
  if options.completion then return print(require("luabox.suggestions").SHELLS[options.completion]) end
  local name, below = unpack(options.command)
  if not name then return options.man and io.write(manual.overview(commands())) and 0 or overview() end
  local command = require("luabox.main").command(name)
  if options.man then
    io.write(manual.page(name, command))
    return 0
  end
  local parser = command.parser and command.parser()
  if below then parser = command_below(name, parser, below) end
  print(parser and parser:get_help() or ("Usage: luabox %s ...\n\n%s"):format(name, command.summary or ""))
end

return help
