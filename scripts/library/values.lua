-- values.lua: any Lua value as text for a person.
--
-- Tables are written as a script would write them, names sorted, over several lines where one is too short; a table inside itself is "<cycle>".
-- An object of luabox.sys is told by its kind and what is cheap to ask it. What is too long is cut, and says by how much. Showing a value raises
-- nothing but an interrupt: what a script made of its __tostring is told instead.
local sys = require "luabox.sys"

local values = {}

local DEEPEST, MOST, MOST_IN_ALL, LONGEST = 6, 200, 500, 4000
local WIDTH = 100

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until while"):gmatch "%a+" do
  KEYWORDS[word] = true
end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

local function escape(byte) return ESCAPES[byte] or ("\\%03d"):format(byte:byte()) end

-- A character of UTF-8 by its first byte, as far as that tells: a control character that a terminal obeys, U+0080 to U+009F, is none.
local CHARACTERS = {
  "^\194[\160-\191]", "^[\195-\223][\128-\191]", "^[\224-\239][\128-\191][\128-\191]", "^[\240-\244][\128-\191][\128-\191][\128-\191]",
}

--- Bytes above 127 that are no character.
local function escape_rest(text)
  if not text:find "[\128-\255]" then return text end
  local parts, at = {}, 1
  while at <= #text do
    local plain = text:match("^[%z\1-\127]+", at)
    for _, pattern in ipairs(CHARACTERS) do plain = plain or text:match(pattern, at) end
    parts[#parts + 1] = plain or escape(text:sub(at, at))
    at = at + (plain and #plain or 1)
  end
  return table.concat(parts)
end

local function quoted(text)
  local cut = #text > LONGEST and (" ... %d bytes more"):format(#text - LONGEST) or ""
  return '"' .. escape_rest(text:sub(1, LONGEST):gsub('[%c\\"\127]', escape)) .. '"' .. cut
end

local function number(value)
  if value ~= value or value == math.huge or value == -math.huge then return tostring(value) end
  if value == math.floor(value) and math.abs(value) < 2 ^ 63 then return ("%.0f"):format(value) end
  return ("%.14g"):format(value)
end

local function ask(object, method, ...)
  local ok, answer = pcall(function(...) return object[method](object, ...) end, ...)
  if ok then return answer end
end

-- What each kind of object tells of itself.
local FACTS = {
  process = function(object)
    local status = ask(object, "status")
    local how = status and (status.signal and "ended by signal " .. status.signal or "ended with " .. tostring(status.code)) or "running"
    return ("%s, %s"):format(tostring(ask(object, "pid")), how)
  end,
  cgroup = function(object) return table.concat(ask(object, "paths") or {}, " ") end,
  descriptor = function(object) return tostring(ask(object, "number")) end,
  filter = function(object) return tostring(ask(object, "size")) .. " instructions" end,
}

local function userdata(value)
  local kind = getmetatable(value)
  if type(kind) ~= "string" then return "<" .. tostring(value) .. ">" end
  local facts = FACTS[kind] and FACTS[kind](value)
  return "<" .. kind .. (facts and facts ~= "" and " " .. facts or "") .. ">"
end

--- "string.find" of a function of Lua's own.
function values.name_in_lua(value)
  for name, each in pairs(_G) do
    if rawequal(each, value) then return name end
  end
  for _, library in ipairs { "string", "table", "math", "io", "os", "debug", "coroutine", "package", "bit", "jit" } do
    for name, each in pairs(rawget(_G, library) or {}) do
      if rawequal(each, value) then return library .. "." .. name end
    end
  end
end

local function code(value)
  local about = debug.getinfo(value, "S")
  local in_lua = values.name_in_lua(value)
  if in_lua then return ("<function %s>"):format(in_lua) end
  if about.what == "C" then
    local name = sys.gate.passage(value)
    return name and ("<function sys.%s>"):format(name) or "<function of Lua>"
  end
  return ("<function %s:%d>"):format(about.short_src:gsub("^luabox:", ""), about.linedefined)
end

local RANK = { number = 1, string = 2 }

local function sorted_keys(value)
  local keys = {}
  for key in next, value do
    if not (type(key) == "number" and key >= 1 and key <= #value and key == math.floor(key)) then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b)
    local x, y = RANK[type(a)] or 3, RANK[type(b)] or 3
    if x ~= y then return x < y end
    if x == 3 then return tostring(a) < tostring(b) end
    return a < b
  end)
  return keys
end

local show

local function key_text(key, state)
  if type(key) == "string" and key:match "^[%a_][%w_]*$" and not KEYWORDS[key] then return key end
  return "[" .. (type(key) == "table" and "<table>" or show(key, state, DEEPEST)) .. "]"
end

--- The items of a table, as texts.
local function items_of(value, state, depth)
  local items = {}
  local function full()
    state.shown = state.shown + 1
    return #items >= MOST or state.shown > MOST_IN_ALL
  end
  for i = 1, #value do
    if full() then break end
    items[#items + 1] = show(rawget(value, i), state, depth + 1)
  end
  for _, key in ipairs(sorted_keys(value)) do
    if full() then break end
    items[#items + 1] = key_text(key, state) .. " = " .. show(rawget(value, key), state, depth + 1)
  end
  local count = 0
  for _ in next, value do count = count + 1 end
  if count > #items then items[#items + 1] = ("... %d more"):format(count - #items) end
  return items
end

--- Items that fit are put side by side: a long list of numbers takes few lines.
local function lines_of(items, width)
  local lines, line = {}, ""
  for i, item in ipairs(items) do
    local text = item .. (i < #items and "," or "")
    local short = #item <= 20 and not item:find("\n", 1, true) and not item:find("= ", 1, true)
    if line ~= "" and (not short or #line + 1 + #text > width) then lines[#lines + 1], line = line, "" end
    line = line == "" and text or line .. " " .. text
    if not short then lines[#lines + 1], line = line, "" end
  end
  if line ~= "" then lines[#lines + 1] = line end
  return lines
end

local function table_text(value, state, depth)
  if state.open[value] then return "<cycle>" end
  if depth >= DEEPEST then return next(value) == nil and "{}" or "{ ... }" end
  state.open[value] = true
  local items = items_of(value, state, depth)
  state.open[value] = nil
  if #items == 0 then return "{}" end
  local line = "{ " .. table.concat(items, ", ") .. " }"
  if #line + depth * 2 <= state.width and not line:find "\n" then return line end
  local indent = ("  "):rep(depth + 1)
  return "{\n" .. indent .. table.concat(lines_of(items, state.width - #indent), "\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

--- A container by its name and what it does; what it is made of is in c.config.
local function container(value)
  local name = value.name or value.config.name or "(not started)"
  local process = value.process and FACTS.process(value.process)
  return ("<container %s%s>"):format(name, process and ", process " .. process or "")
end

--- What its own __tostring says.
local function described(value)
  local ok, text = pcall(tostring, value)
  if ok then return text end
  if type(text) == "table" and rawget(text, "code") == "EINTR" then error(text, 0) end  -- Ctrl-C
  return ("<table, __tostring failed: %s>"):format(tostring(text))
end

function show(value, state, depth)
  local kind = type(value)
  if kind == "string" then return quoted(value) end
  if kind == "number" then return number(value) end
  if kind == "function" then return code(value) end
  if kind == "userdata" then return userdata(value) end
  if kind ~= "table" then return tostring(value) end
  local meta = debug.getmetatable(value)
  if package.loaded["luabox.container"] and require("luabox.container").is(value) then return container(value) end
  if type(meta) == "table" and rawget(meta, "__tostring") then return described(value) end
  return table_text(value, state, depth)
end

--- `value` as text of at most `width` columns where that is possible (100).
function values.show(value, width) return show(value, { open = {}, width = width or WIDTH, shown = 0 }, 0) end

return values
