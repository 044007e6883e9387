-- values.lua: any Lua value as text for a person.
--
-- Tables are written as a script would write them, names sorted, over several lines where one is too short; a table inside itself is "<cycle>".
-- An object of luabox.sys is told by its kind and what is cheap to ask it.
local values = {}

local DEEPEST, MOST = 6, 200
local WIDTH = 100

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until while"):gmatch "%a+" do
  KEYWORDS[word] = true
end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

local function quoted(text)
  return '"' .. text:gsub('[%c\\"\127]', function(byte) return ESCAPES[byte] or ("\\%03d"):format(byte:byte()) end) .. '"'
end

local function number(value)
  if value ~= value or value == math.huge or value == -math.huge then return tostring(value) end
  if value == math.floor(value) and math.abs(value) < 2 ^ 53 then return ("%.0f"):format(value) end
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

local function code(value)
  local about = debug.getinfo(value, "S")
  if about.what == "C" then
    local _, name = debug.getupvalue(value, 2)  -- what the gate calls it
    return type(name) == "string" and ("<function sys.%s>"):format(name) or "<function of Lua>"
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
  for i = 1, #value do
    if #items >= MOST then break end
    items[#items + 1] = show(rawget(value, i), state, depth + 1)
  end
  for _, key in ipairs(sorted_keys(value)) do
    if #items >= MOST then break end
    items[#items + 1] = key_text(key, state) .. " = " .. show(rawget(value, key), state, depth + 1)
  end
  local count = 0
  for _ in next, value do count = count + 1 end
  if count > #items then items[#items + 1] = ("... %d more"):format(count - #items) end
  return items
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
  return "{\n" .. indent .. table.concat(items, ",\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

--- A container by its name and what it does; what it is made of is in c.config.
local function container(value)
  local name = value.name or value.config.name or "(not started)"
  local process = value.process and FACTS.process(value.process)
  return ("<container %s%s>"):format(name, process and ", process " .. process or "")
end

function show(value, state, depth)
  local kind = type(value)
  if kind == "string" then return quoted(value) end
  if kind == "number" then return number(value) end
  if kind == "function" then return code(value) end
  if kind == "userdata" then return userdata(value) end
  if kind ~= "table" then return tostring(value) end
  local meta = getmetatable(value)
  if package.loaded["luabox.container"] and require("luabox.container").is(value) then return container(value) end
  if type(meta) == "table" and rawget(meta, "__tostring") then return tostring(value) end
  return table_text(value, state, depth)
end

--- `value` as text of at most `width` columns where that is possible (100).
function values.show(value, width) return show(value, { open = {}, width = width or WIDTH }, 0) end

return values
