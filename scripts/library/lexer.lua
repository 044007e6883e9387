-- lexer.lua: a script as tokens, for what is told of it without running it.
local lexer = {}

---@class luabox.Token
---@field kind string   "name", "keyword", "string", "number", "symbol"
---@field text string   as written
---@field from integer  its first byte
---@field to integer    its last byte
---@field line integer

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until while"):gmatch "%a+" do
  KEYWORDS[word] = true
end

local SYMBOLS = { "...", "..", "==", "~=", "<=", ">=", "::" }

--- The end of the long bracket that begins at `at`, nil when there is none.
local function long_bracket(text, at)
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = text:find("]" .. level .. "]", at, true)
  return stop or #text
end

local function quoted(text, at)
  local quote = text:sub(at, at)
  local i = at + 1
  while i <= #text and text:sub(i, i) ~= quote do i = i + (text:sub(i, i) == "\\" and 2 or 1) end
  return i
end

--- The token at `at`, which is no space: its kind and its last byte.
local function token_at(text, at)
  local byte = text:sub(at, at)
  local stop = select(2, text:find("^[%a_][%w_]*", at))
  if stop then return KEYWORDS[text:sub(at, stop)] and "keyword" or "name", stop end
  if byte == '"' or byte == "'" then return "string", quoted(text, at) end
  stop = long_bracket(text, at)
  if stop then return "string", stop end
  if text:find("^%.?%d", at) then
    stop = select(2, text:find("^0[xX][%x.]+[pP]?[+-]?%d*", at)) or select(2, text:find("^[%d.]+[eE][+-]?%d+", at))
      or select(2, text:find("^%d*%.?%d*", at))
    return "number", select(2, text:find("^[ULiul]*", stop + 1))
  end
  for _, symbol in ipairs(SYMBOLS) do
    if text:sub(at, at + #symbol - 1) == symbol then return "symbol", at + #symbol - 1 end
  end
  return "symbol", at
end

--- The tokens of a script that is Lua; comments are left out.
---@return luabox.Token[]
function lexer.tokens(text)
  local tokens, at, line = {}, 1, 1
  local function skip(to)
    line = line + select(2, text:sub(at, to):gsub("\n", ""))
    at = to + 1
  end
  while at <= #text do
    local spaces = select(2, text:find("^%s+", at))
    if spaces then
      skip(spaces)
    elseif text:find("^%-%-", at) then
      skip(long_bracket(text, at + 2) or (text:find("\n", at, true) or #text + 1) - 1)
    else
      local kind, stop = token_at(text, at)
      tokens[#tokens + 1] = { kind = kind, text = text:sub(at, stop), from = at, to = stop, line = line }
      skip(stop)
    end
  end
  return tokens
end

return lexer
