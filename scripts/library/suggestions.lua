-- suggestions.lua: what may stand next on a command line: commands, options, their values, containers, images, scripts.
--
-- The shells ask for it by `luabox help --suggest WORD...`, so that all of them know the same, the site's own commands too. What follows is
-- read from the parsers that --help is made of, and from `words` of a command script, what its arguments are in order, the last for all
-- that follow: words = { "container", "signal" }; of a command with others below it words = { import = { "files" } }.
local suggestions = {}

local SIGNALS = { "TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2", "STOP", "CONT", "WINCH" }

local function main() return require "luabox.main" end

--- A summary without its full stop.
local function short(text) return ((text or ""):gsub("%.$", ""):gsub("%s+", " ")) end

local function command_called(name)
  local ok, command = pcall(main().command, name)
  return ok and command or nil
end

-- What each kind of word offers: lists of { word, what it is }; `files` is for the shell itself, which knows its files best.
local KINDS = {}

function KINDS.command()
  local list = {}
  for _, name in ipairs(main().COMMANDS) do
    local command = command_called(name)
    if command then list[#list + 1] = { name, short(command.summary) } end
  end
  for name in pairs(main().site_commands()) do list[#list + 1] = { name, "the site's own" } end
  return list
end

function KINDS.container()
  local list = {}
  for _, each in ipairs(require("luabox.state").list()) do
    if each.alive then list[#list + 1] = { each.name, table.concat((each.record.config or {}).command or {}, " "):gsub("%c", "?"):sub(1, 40) } end
  end
  return list
end

function KINDS.image()
  local list = {}
  for _, each in ipairs(require("luabox.images").list()) do list[#list + 1] = { each.name, "an image" } end
  return list
end

function KINDS.signal()
  local list = {}
  for i, name in ipairs(SIGNALS) do list[i] = { name, "a signal" } end
  return list
end

--- Options of a parser, the last alias of each, and the single letters.
local function options_of(parser)
  local list = {}
  for _, option in ipairs(parser._options) do
    for _, alias in ipairs(option._aliases) do list[#list + 1] = { alias, short(option._description) } end
  end
  return list
end

local function option_called(parser, word)
  for _, option in ipairs(parser._options) do
    for _, alias in ipairs(option._aliases) do
      if alias == word then return option end
    end
  end
end

--- What stands behind an option that takes a value: its choices, or a kind by what the value is called.
local function values_of(option)
  if option._choices then
    local list = {}
    for i, choice in ipairs(option._choices) do list[i] = { choice, "" } end
    return list
  end
  local called = option._argname and tostring(type(option._argname) == "table" and option._argname[1] or option._argname) or ""
  if called == "FILE" then return {}, "files" end
  if called == "FOLDER" or called == "PREFIX" then return {}, "folders" end
  if option._aliases[1] == "--container" then return KINDS.container() end
  return {}
end

local function takes_value(option) return option ~= nil and option._maxargs and option._maxargs > 0 end

--- The words behind a command's name, with `last` the one that is being written: a list, and "files", "scripts" or "folders".
local function behind(command, parser, words, last)
  local kinds, count, before = command.words or {}, 0, nil
  for _, word in ipairs(words) do
    if takes_value(before) then
      before = nil
    elseif word:sub(1, 1) == "-" and word ~= "-" and not (command.options_first and count > 0) then
      before = option_called(parser, word)
    else
      count, before = count + 1, nil
      for _, below in ipairs(count == 1 and parser._commands or {}) do
        if below._name == word then return behind({ words = kinds[word] }, below, { unpack(words, 2) }, last) end
      end
    end
  end
  if takes_value(before) then return values_of(before) end
  if last:sub(1, 1) == "-" and not (command.options_first and count > 0) then return options_of(parser) end
  if #parser._commands > 0 then
    local list = {}
    for i, below in ipairs(parser._commands) do list[i] = { below._name, short(below._description) } end
    return list
  end
  local kind = kinds[math.min(count + 1, #kinds)]
  if KINDS[kind] then return KINDS[kind]() end
  return {}, kind
end

--- What may stand in the place of the last of `words`, the name luabox itself left out: a list of { word, what it is }, sorted, and "files",
--- "scripts" or "folders" where the shell is to add its own.
---@return string[][] list, string? kind
function suggestions.of(words)
  local last = table.remove(words) or ""
  local list, kind
  if #words == 0 then
    list = KINDS.command()
  else
    local command = command_called(table.remove(words, 1))
    local parser = command and command.parser and command.parser()
    if not command then return {} end
    list, kind = behind(command, parser or { _options = {}, _commands = {} }, words, last)
  end
  local found = {}
  for _, each in ipairs(list) do
    if each[1]:sub(1, #last) == last then found[#found + 1] = each end
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found, kind
end

-- ---- the shells' own part

suggestions.SHELLS = {}

suggestions.SHELLS.bash = [=[
# Completion of luabox for bash.
_luabox() {
  local words=("${COMP_WORDS[@]:1:COMP_CWORD}") word about kind
  COMPREPLY=()
  while IFS=$'\t' read -r word about; do
    if [[ $word == ':' ]]; then kind=$about; else COMPREPLY+=("$(printf %q "$word")"); fi
  done < <(command "${COMP_WORDS[0]}" help --suggest -- "${words[@]}" 2>/dev/null)
  case $kind in
    files) compopt -o filenames; COMPREPLY+=($(compgen -f -- "$2")) ;;
    scripts) compopt -o filenames; COMPREPLY+=($(compgen -f -X '!*.lua' -- "$2") $(compgen -d -- "$2")) ;;
    folders) compopt -o filenames; COMPREPLY+=($(compgen -d -- "$2")) ;;
  esac
}
complete -F _luabox luabox]=]

suggestions.SHELLS.zsh = [=[
#compdef luabox
# Completion of luabox for zsh.
_luabox() {
  local word about kind
  local -a found
  while IFS=$'\t' read -r word about; do
    if [[ $word == : ]]; then kind=$about; else found+=("${word//:/\\:}:$about"); fi
  done < <(command "${words[1]}" help --suggest -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( $#found )) && _describe luabox found
  case $kind in
    files) _files ;;
    scripts) _files -g '*.lua' ;;
    folders) _files -/ ;;
  esac
}
if [ "$funcstack[1]" = _luabox ]; then _luabox "$@"; else compdef _luabox luabox; fi]=]

suggestions.SHELLS.fish = [=[
# Completion of luabox for fish.
function __luabox_suggest
  set -l words (commandline -opc) (commandline -ct)
  for line in (command $words[1] help --suggest -- $words[2..-1] 2>/dev/null)
    switch $line
      case ':'\tfiles
        __fish_complete_path (commandline -ct)
      case ':'\tscripts
        __fish_complete_path (commandline -ct) | string match -r '^.*(?:\.lua|/)(?:\t.*)?$'
      case ':'\tfolders
        __fish_complete_directories (commandline -ct)
      case '*'
        echo $line
    end
  end
end
complete -c luabox -f -a '(__luabox_suggest)']=]

--- Prints what suggestions.of gives, as the shells read it: WORD, a tab, what it is; ":" and the kind where they are to add their files.
function suggestions.print(words)
  local list, kind = suggestions.of(words)
  for _, each in ipairs(list) do print(each[1] .. "\t" .. each[2]) end
  if kind == "files" or kind == "scripts" or kind == "folders" then print(":\t" .. kind) end
end

return suggestions
