-- cli.lua: what every command's parser has, and how a command line that can't be meant is answered.
local errors = require "luabox.errors"

local cli = {}

cli.FAILED = 125

local WIDTH = 80  -- columns of a help

--- A usage error: one sentence, and where help is.
function cli.refuse(command, message, ...)
  local text = message:format(...):gsub("\n[Dd]id you mean (.-)%?$", " (did you mean %1?)"):gsub("%s*\n%s*", "; ")
  error(errors.new { op = "usage", message = ("%s; see 'luabox help%s'"):format(text, command and " " .. command or "") }, 0)
end

local SHARED = { verbose = true, debug = true, log_file = true, log_format = true, help = true }

--- As it is read: the command's own options first, and arguments by the names that the usage has for them.
function cli.for_reading(parser)
  local own, shared = {}, {}
  for _, option in ipairs(parser._options) do
    local list = SHARED[option._aliases[#option._aliases]:gsub("^%-+", ""):gsub("%-", "_")] and shared or own
    list[#list + 1] = option
  end
  for _, option in ipairs(shared) do own[#own + 1] = option end
  parser._options = own
  for _, argument in ipairs(parser._arguments) do argument._name = argument._argname or argument._name end
  for _, command in ipairs(parser._commands) do cli.for_reading(command) end
end

--- "luabox NAME [OPTIONS] ARGUMENT...": the options are told below it.
local function usage_of(parser)
  if parser._usage then return parser._usage end
  local words = { "Usage: " .. parser:_get_fullname() .. " [OPTIONS]" }
  for _, argument in ipairs(parser._arguments) do words[#words + 1] = argument:_get_usage() end
  if #parser._commands > 0 then words[#words + 1] = "COMMAND ..." end
  return table.concat(words, " ")
end

local function dress(parser)
  parser.get_usage = usage_of
  parser.get_help = function(self)
    cli.for_reading(self)
    return getmetatable(self).__index.get_help(self)
  end
  return parser
end

--- An argparse parser for `luabox NAME`, with the options that all commands share. `examples` are lines, "luabox NAME ...  what that does".
function cli.parser(name, description, examples)
  local argparse = require "argparse"
  description = description:gsub("(%S)\n(%S)", "%1 %2")
  local parser = argparse("luabox " .. name):description(description):add_help "-h --help":help_max_width(WIDTH):usage_max_width(WIDTH)
  parser:flag("-v --verbose", "Tell each primitive that is called.")
  parser:flag("--debug", "Add tracebacks to errors.")
  parser:option("--log-file", "Write what is told to FILE instead of standard error."):argname "FILE"
  parser:option("--log-format", "How it is told: text or json."):choices { "text", "json" }:argname "FORMAT"
  parser.error = function(_, message) cli.refuse(name, "%s", message) end
  dress(parser)
  parser.command = function(self, ...) return dress(getmetatable(self).__index.command(self, ...)) end
  if examples then parser:epilog("Examples:\n" .. examples:gsub("[^\n]+", "   %0")) end
  return parser
end

function cli.takes_value(option, valued) return valued[option] or option == "--log-file" or option == "--log-format" end

--- The command line of what takes a script: options stand before it, all behind it is the script's, and what follows "--" is a command. `valued` are
--- the command's own options that take a value (see cli.plain). Returns the options, the script with its arguments, and the command, nil
--- without "--".
function cli.split(arguments, valued)
  local at = 1
  while arguments[at] and arguments[at]:sub(1, 1) == "-" and arguments[at] ~= "-" do
    at = at + (cli.takes_value(arguments[at], valued) and 2 or 1)
  end
  local options, rest, command = {}, {}, nil
  for i = 1, math.min(at - 1, #arguments) do options[i] = arguments[i] end
  for i = at, #arguments do
    if command then
      command[#command + 1] = arguments[i]
    elseif arguments[i] == "--" then
      command = {}
    else
      rest[#rest + 1] = arguments[i]
    end
  end
  return options, rest, command
end

--- Puts the shared options to work; returns `options`.
function cli.apply(options)
  if options.log_file and require("luabox.sys").policy.active() then require("luabox.policy").require_files "--log-file" end
  if options.verbose or options.log_file or options.log_format then
    cli.logging = { verbose = options.verbose or false, file = options.log_file, format = options.log_format }
    local sys, file = require "luabox.sys", options.log_file
    sys.log.set_up(cli.logging)
    if file and file:sub(1, 1) ~= "/" then cli.logging.file = sys.file.absolute(file) end  -- the script may go elsewhere
  end
  cli.debug = options.debug or cli.debug
  return options
end

--- main.cpp stopped the collector while scripts are loaded. -1: it begins when there is twice as much as now, not at once. It goes in long steps:
--- every page that a step marks after a clone is copied, and the next clone shares it again.
function cli.collect_garbage()
  collectgarbage("setstepmul", 10000)
  collectgarbage("restart", -1)
end

--- What cli.parse makes of `options` that all take a value and are written in full; nil of all others. A parser takes 0.4 ms to make.
--- `valued` is { ["--name"] = "name", ["--env"] = { "env" } }: where the value of an option goes, or is added.
function cli.plain(options, valued)
  local chosen = {}
  for i = 1, #options, 2 do
    local field, value = valued[options[i]], options[i + 1]
    if not field or not value or value:sub(1, 1) == "-" then return nil end
    if type(field) == "table" then
      local list = chosen[field[1]] or {}
      chosen[field[1]], list[#list + 1] = list, value
    elseif chosen[field] then
      return nil
    else
      chosen[field] = value
    end
  end
  return chosen
end

function cli.parse(parser, arguments)
  cli.collect_garbage()
  return cli.apply(parser:parse(arguments))
end

return cli
