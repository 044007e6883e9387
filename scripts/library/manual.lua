-- manual.lua: man pages, from the parsers that --help is made of, and what else an installation has.
local sys = require "luabox.sys"

local manual = {}

-- ---- man pages, in man(7)

local function escaped(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1"):gsub("^([.'])", "\\&%1"))
end

--- Prose in lines of at most 76 columns.
local function prose(text)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    if #line + 1 + #word > 76 then lines[#lines + 1], line = line, "" end
    line = line == "" and word or line .. " " .. word
  end
  lines[#lines + 1] = line
  return escaped(table.concat(lines, "\n"))
end

local function add(lines, format, ...) lines[#lines + 1] = format:format(...) end

--- Paragraphs of prose.
local function paragraphs(text)
  local list = {}
  for paragraph in (text .. "\n\n"):gmatch "(.-)\n%s*\n" do
    if paragraph:find "%S" then list[#list + 1] = prose(paragraph) end
  end
  return table.concat(list, "\n.PP\n")
end

--- .TP entries: what an option or argument is called, and what it does.
local function add_elements(lines, title, elements)
  local shown = {}
  for _, element in ipairs(elements) do
    if not element._hidden then shown[#shown + 1] = element end
  end
  if #shown == 0 then return end
  add(lines, ".SH %s", title)
  for _, element in ipairs(shown) do
    local usages = {}
    for _, label in ipairs(element:_get_label_lines()) do usages[#usages + 1] = label:match "^%s*(.-),?$" end
    add(lines, ".TP\n\\fB%s\\fR\n%s", escaped(table.concat(usages, ", ")), prose(element:_get_description()))
  end
end

--- Each way to call it, in a line of its own.
local function usage_of(parser)
  local usages = escaped((parser:get_usage():gsub("^Usage: ", ""):gsub("%s*\n%s*luabox ", "\0luabox "):gsub("%s*\n%s*", " ")))
  return "\\fB" .. usages:gsub("%z", "\\fR\n.br\n\\fB") .. "\\fR"
end

--- What a command's page holds beside its head; commands below it are sections.
local function add_parser(lines, parser)
  require("luabox.cli").for_reading(parser)
  add(lines, ".SH SYNOPSIS\n%s", usage_of(parser))
  for _, command in ipairs(parser._commands) do
    if not command._is_help_command then add(lines, ".br\n%s", usage_of(command)) end
  end
  add(lines, ".SH DESCRIPTION\n%s", paragraphs(parser._description or ""))
  add_elements(lines, "ARGUMENTS", parser._arguments)
  add_elements(lines, "OPTIONS", parser._options)
  for _, command in ipairs(parser._commands) do
    add(lines, ".SH %s", escaped(command._name:upper()))
    add(lines, "%s", prose(command._description or ""))
    for _, list in ipairs { command._arguments, command._options } do
      for _, element in ipairs(list) do
        if not element._hidden then
          add(lines, ".TP\n\\fB%s\\fR\n%s", escaped(table.concat(element:_get_label_lines(), ", ")), prose(element:_get_description()))
        end
      end
    end
  end
  local examples = (parser._epilog or ""):match "^Examples:\n(.*)$"
  if examples then add(lines, ".SH EXAMPLES\n.nf\n%s\n.fi", escaped(examples:gsub("%f[^\n%z]   ", ""))) end
end

local STATUS = [[
.SH EXIT STATUS
The container's command's where there is one, 128 + N when signal N ended it;
125 when luabox itself fails; 126 and 127 when the command can't be executed or
isn't found.]]

-- Of the commands that start nothing, what else than 0 and 125 their exit status may be.
local STATUSES = {
  check = "1 when there is an error, also with warnings beside it;", explain = "1 when --diff finds a difference;",
  why = "1 when nothing is known;", policy = "1 when a check or a case fails, or a rule refuses what the script does;",
  repl = "1 when something failed there, 128 + N when signal N ended it;", gc = "1 when something could not be removed;",
  list = "1 when a record could not be read;", update = "", kill = "", stats = "", trace = "", image = "", ["check-host"] = "", init = "",
  help = "", version = "",
}

local function status_of(name)
  return STATUSES[name] and ".SH EXIT STATUS\n" .. prose("0; " .. STATUSES[name] .. " 125 when luabox itself fails.") or STATUS
end

local function head(name, summary)
  return ('.TH "%s" "1" "" "luabox %s" "luabox"\n.SH NAME\n%s \\- %s'):format(name:upper(), sys.version(), escaped(name),
    escaped(summary:gsub("%.$", ""):gsub("^%u", string.lower)))
end

--- luabox-NAME(1) of a command script.
function manual.page(name, command)
  local lines = { head("luabox-" .. name, command.summary or name) }
  if command.parser then
    add_parser(lines, command.parser())
  else
    add(lines, ".SH SYNOPSIS\n\\fBluabox %s\\fR\n.SH DESCRIPTION\n%s", name, prose(command.summary or ""))
  end
  add(lines, "%s\n.SH SEE ALSO\n.BR luabox (1)", status_of(name))
  return table.concat(lines, "\n") .. "\n"
end

--- luabox(1): `commands` is a list of { name =, command = }.
function manual.overview(commands)
  local lines = { head("luabox", "a container runtime that is programmed in Lua") }
  add(lines, ".SH SYNOPSIS\n\\fBluabox\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] ...\n.br\n\\fBluabox \\-e\\fR \\fICODE\\fR")
  add(lines, ".SH DESCRIPTION\n%s", prose [[A container is a Lua script that composes the kernel's own pieces: namespaces,
    mounts, cgroups, networks, capabilities and system call filters.]])
  add(lines, ".SH COMMANDS")
  local also = {}
  for _, each in ipairs(commands) do
    add(lines, ".TP\n\\fB%s\\fR\n%s", escaped(each.name), prose(each.command.summary or ""))
    also[#also + 1] = (".BR luabox\\-%s (1)"):format(escaped(each.name))
  end
  add(lines, ".SH ENVIRONMENT\n.TP\n\\fBLUABOX_STATE\\fR\nThe folder of the state: /run/luabox, or $XDG_RUNTIME_DIR/luabox.")
  add(lines, ".TP\n\\fBLUABOX_IMAGES\\fR\nThe folder of the images: /var/lib/luabox/images,\nor $XDG_DATA_HOME/luabox/images.")
  add(lines, ".TP\n\\fBLUABOX_PATH\\fR\nFolders of further commands, separated by colons.")
  add(lines, ".TP\n\\fBLUABOX_POLICY\\fR\nA further folder of policies, for tests; it can't switch the site's own off.")
  add(lines, ".TP\n\\fBLUABOX_HINTS\\fR\n1: the cause of an error is told wherever standard error leads; 0: never.\nSee \\fBluabox\\-why\\fR(1).")
  add(lines, ".SH FILES\n.TP\n\\fI/etc/luabox/commands\\fR, \\fI~/.config/luabox/commands\\fR\nFurther commands.")
  add(lines, ".TP\n\\fI/etc/luabox/policy.d\\fR\nThe site's policies.")
  add(lines, ".TP\n\\fI/etc/luabox/causes.lua\\fR, \\fI~/.config/luabox/causes.lua\\fR\nWhat a site, or a user, knows of errors.")
  add(lines, "%s\n.SH SEE ALSO\n%s", STATUS, table.concat(also, ",\n"))
  return table.concat(lines, "\n") .. "\n"
end

-- ---- all of it, for an installation

--- Writes man pages, completions and the definitions for editors below `prefix`.
function manual.install(prefix, commands)
  local function write(path, text)
    local file = prefix .. "/share/" .. path
    sys.file.make_directories(file:match "^(.*)/")
    sys.file.write(file, text)
  end
  write("man/man1/luabox.1", manual.overview(commands))
  for _, each in ipairs(commands) do write(("man/man1/luabox-%s.1"):format(each.name), manual.page(each.name, each.command)) end
  local completion = require("luabox.suggestions").SHELLS
  write("bash-completion/completions/luabox", completion.bash .. "\n")
  write("zsh/vendor-completions/_luabox", completion.zsh .. "\n")
  write("fish/vendor_completions.d/luabox.fish", completion.fish .. "\n")
  for _, name in ipairs(require("luabox.reference").FILES) do write(("luabox/meta/%s.lua"):format(name), require("luabox.meta." .. name)) end
end

return manual
