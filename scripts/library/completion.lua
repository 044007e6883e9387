-- completion.lua: what may follow at the cursor of a prompt: names in tables, methods of objects, options of constructors, containers, images.
local reference = require "luabox.reference"

local completion = {}

local KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not", "or",
  "repeat", "return", "then", "true", "until", "while" }

--- Walks over `text`: a string that is open at its end, { quote =, start = }, and the brackets that are, each { bracket =, before =, at = }.
local function scan(text)
  local open, at = {}, 1
  while at <= #text do
    local byte = text:sub(at, at)
    local level = text:match("^%-%-%[(=*)%[", at) or text:match("^%[(=*)%[", at)
    if level then
      local _, stop = text:find("]" .. level .. "]", at, true)
      if not stop then return open, { start = at + #level + 2 } end
      at = stop
    elseif text:find("^%-%-", at) then
      at = text:find("\n", at, true)
      if not at then return open, { start = #text + 1 } end
    elseif byte == '"' or byte == "'" then
      local from = at
      repeat
        at = at + 1
        if text:sub(at, at) == "\\" then at = at + 2 end
      until at > #text or text:sub(at, at) == byte
      if at > #text then return open, { start = from + 1, before = text:sub(1, from - 1) } end
    elseif byte:find "[{(%[]" then
      open[#open + 1] = { bracket = byte, before = text:sub(1, at - 1), at = at }
    elseif byte:find "[})%]]" then
      open[#open] = nil
    end
    at = at + 1
  end
  return open, nil
end

--- The class of options that the innermost open brace holds: of a constructor's call, or of a field of such a table.
local function class_at(open, level)
  local brace = open[level]
  if not brace or brace.bracket ~= "{" then return nil end
  local call = brace.before:match "([%a_][%w_.:]*)%s*%(?%s*$"
  if call then
    local entry = reference.find(call)
    return entry and reference.options_of(entry.name)
  end
  local field = brace.before:match "([%a_][%w_]*)%s*=%s*$"
  local outer = field and class_at(open, level - 1)
  return outer and reference.class_of_field(outer, field)
end

--- The words that may stand in a string that is the value of a field: of network the "none" and "host". nil where its type says none.
local function literals_at(open, text)
  local name = text.before and text.before:match "([%a_][%w_]*)%s*=%s*$"
  local class = name and class_at(open, #open)
  for _, field in ipairs(class and reference.fields_of(class) or {}) do
    local words = {}
    for word in (field.name == name and field.type or ""):gmatch '"([^"]*)"' do words[#words + 1] = word end
    if #words > 0 then return words end
  end
end

local function sorted(words)
  local seen, list = {}, {}
  for _, word in ipairs(words) do
    if not seen[word] then seen[word], list[#list + 1] = true, word end
  end
  table.sort(list)
  return list
end

local function starting(words, start)
  local list = {}
  for _, word in ipairs(words) do
    if word:sub(1, #start) == start then list[#list + 1] = word end
  end
  return sorted(list)
end

--- The documented names of a container: it has many more that only luabox itself needs.
local function names_of_container(methods)
  local names = {}
  for _, entry in ipairs((reference.all())) do names[#names + 1] = entry.name:match "^Container:(.*)$" end
  if methods then return names end
  for _, field in ipairs(reference.fields_of(reference.find "luabox.Container")) do names[#names + 1] = field.name end
  return names
end

--- Every name that can stand behind `value` and a "." or ":"; metatables are followed, nothing is called.
local function names_in(value, methods)
  local names, depth = {}, 0
  local function add(from)
    depth = depth + 1
    if type(from) ~= "table" or depth > 5 then return end
    for key, each in next, from do
      local fits = not methods or type(each) == "function" or type(each) == "table"
      if type(key) == "string" and key:match "^[%a_][%w_]*$" and not key:match "^__" and fits then names[#names + 1] = key end
    end
    local meta = debug.getmetatable(from)
    if type(meta) ~= "table" then return end
    for _, name in ipairs(not methods and rawget(meta, "names") and rawget(meta, "names")() or {}) do names[#names + 1] = name end
    add(rawget(meta, "methods"))
    add(rawget(meta, "__index"))
  end
  if package.loaded["luabox.container"] and package.loaded["luabox.container"].is(value) then
    names = names_of_container(methods)
  elseif type(value) == "table" then
    add(value)
  else
    local meta = debug.getmetatable(value)
    if meta then add(rawget(meta, "__index")) end
  end
  return names
end

--- The value of a dotted path such as "sys.mount"; modules of luabox.sys are opened for it, and `views` of a metatable, nothing else is.
local function value_of(path, scope)
  local value
  for name in path:gmatch "[^.:]+" do
    if value == nil then
      value = scope.get(name)
    elseif type(value) == "table" then
      local found = rawget(value, name)
      if found == nil then
        local meta = debug.getmetatable(value)
        local index = type(meta) == "table" and rawget(meta, "__index")
        if type(index) == "table" then found = rawget(index, name) end
        local opens = value == package.loaded["luabox.sys"] or index and (rawget(meta, "views") or {})[name]
        if type(index) == "function" and opens then
          local ok, opened = pcall(function() return value[name] end)
          found = ok and opened or nil
        end
      end
      value = found
    else
      return nil
    end
    if value == nil then return nil end
  end
  return value
end

-- What stands in the string behind these words.
local STRINGS = {
  image = function()
    local names = {}
    for _, each in ipairs(require("luabox.images").list()) do names[#names + 1] = each.name end
    return names
  end,
  doc = function() return reference.names() end,
  help = function() return reference.names() end,
}

--- Names of containers, for `running "`.
function STRINGS.running()
  local names = {}
  for _, each in ipairs(require("luabox.state").list()) do
    if each.alive then names[#names + 1] = each.name end
  end
  return names
end

local SYS_MODULES = { "archive", "cgroup", "file", "json", "log", "mount", "net", "running", "security", "terminal", "user" }

--- Paths of the host's that begin with `start`, folders with a "/" behind them; hidden ones where `start` says so.
local function paths(start)
  local sys = require "luabox.sys"
  local folder, name = start:match "^(.*/)([^/]*)$"
  if not folder then return {} end
  local ok, entries = pcall(sys.file.list, folder)
  local found = {}
  for _, entry in ipairs(ok and entries or {}) do
    local hidden = entry:sub(1, 1) == "." and name:sub(1, 1) ~= "."
    if entry:sub(1, #name) == name and not hidden then
      found[#found + 1] = folder .. entry .. (sys.file.kind(folder .. entry .. "/.") == "directory" and "/" or "")
    end
  end
  return sorted(found)
end

--- Where the word at the end of `before` starts (1 is the first byte), and the words that may stand there.
--- `scope` is { names = function() -> list, get = function(name) -> value } of the prompt.
---@return integer start, string[] words
function completion.of(before, scope)
  local open, text = scan(before)
  if text then
    local word = text.before and text.before:match "([%a_][%w_]*)%s*%(?%s*$"
    local typed = before:sub(text.start)
    local literals = literals_at(open, text)
    if literals then return text.start, starting(literals, typed) end
    return text.start, word and STRINGS[word] and starting(STRINGS[word](), typed) or paths(typed)
  end
  local path, separator, last = before:match "([%a_][%w_.:]*)([.:])([%w_]*)$"
  if path then
    local value = value_of(path, scope)
    if value == nil then return #before - #last + 1, {} end
    local names = names_in(value, separator == ":")
    if value == package.loaded["luabox.sys"] then
      for _, name in ipairs(SYS_MODULES) do names[#names + 1] = name end
    end
    return #before - #last + 1, starting(names, last)
  end
  local word = before:match "([%a_][%w_]*)$" or ""
  local start = #before - #word + 1
  local class = before:sub(1, start - 1):match "[{,;]%s*$" and class_at(open, #open)
  if class then
    local options = {}
    for _, field in ipairs(reference.fields_of(class)) do
      if field.name:match "^[%a_]" then options[#options + 1] = field.name .. " = " end
    end
    options = starting(options, word)
    if #options > 0 then return start, options end
  end
  if word == "" then return start, {} end
  local names = scope.names()
  for _, keyword in ipairs(KEYWORDS) do names[#names + 1] = keyword end
  return start, starting(names, word)
end

return completion
