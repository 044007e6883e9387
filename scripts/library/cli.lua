-- cli.lua: what every command's parser has, and how a command line that can't be meant is answered.
local errors = require "luabox.errors"

local cli = {}

cli.FAILED = 125

--- A usage error: one sentence, and where help is.
function cli.refuse(command, message, ...)
  local text = message:format(...):gsub("%s*\n%s*", "; ")
  errors.raise("%s; see 'luabox help%s'", text, command and " " .. command or "")
end

--- An argparse parser for `luabox NAME`, with the options that all commands share.
function cli.parser(name, description)
  local argparse = require "argparse"
  local parser = argparse("luabox " .. name):description(description):add_help "-h --help"
  parser:flag("-v --verbose", "Tell each primitive that is called.")
  parser:flag("--debug", "Add tracebacks to errors.")
  parser:option("--log-file", "Write what is told to FILE instead of standard error."):argname "FILE"
  parser:option("--log-format", "How it is told: text or json."):choices { "text", "json" }:argname "FORMAT"
  parser.error = function(_, message) cli.refuse(name, "%s", message) end
  return parser
end

--- Puts the shared options to work; returns `options`.
function cli.apply(options)
  if options.verbose or options.log_file or options.log_format then
    require("luabox.sys").log.set_up { verbose = options.verbose or false, file = options.log_file, format = options.log_format }
  end
  cli.debug = options.debug or cli.debug
  return options
end

--- main.cpp stopped the collector while scripts are loaded. -1: it begins when there is twice as much as now, not at once.
function cli.collect_garbage() collectgarbage("restart", -1) end

function cli.parse(parser, arguments)
  cli.collect_garbage()
  return cli.apply(parser:parse(arguments))
end

return cli
