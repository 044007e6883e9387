-- literals.lua: tables and constructors' calls as a script writes them: what of them is constant, and that part by itself as a function.
local reference = require "luabox.reference"

local literals = {}

local CLOSES = { ["{"] = "}", ["("] = ")", ["["] = "]" }
local OPENING = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
local CLOSING = { ["end"] = true, ["until"] = true }

--- The last token of the expression that begins at `i`, whatever it is: up to a "," ";" or what closes around it.
function literals.expression_end(tokens, i)
  local depth = 0
  while tokens[i] do
    local text = tokens[i].text
    local symbol, keyword = tokens[i].kind == "symbol", tokens[i].kind == "keyword"
    if depth == 0 and symbol and (text == "," or text == ";" or text == "}" or text == ")" or text == "]") then return i - 1 end
    if (symbol and CLOSES[text]) or (keyword and OPENING[text]) then depth = depth + 1 end
    if (symbol and (text == "}" or text == ")" or text == "]")) or (keyword and CLOSING[text]) then depth = depth - 1 end
    i = i + 1
  end
  return i - 1
end

--- Where the arguments behind the comma at `at` are closed.
local function closed_at(tokens, at)
  while tokens[at] and tokens[at].text == "," do at = literals.expression_end(tokens, at + 1) + 1 end
  return tokens[at] and tokens[at].text == ")" and at or nil
end

--- A constructor's call that begins at `i`: { name =, table =, constant =, from =, to = } with token numbers, and `further` where it has more
--- than the one argument that is taken; nil when there is none.
function literals.call(context, i)
  local tokens = context.tokens
  local name, before = tokens[i], tokens[i - 1]
  if not name or name.kind ~= "name" or not context.constructors[name.text] then return nil end
  if before and (before.text == "." or before.text == ":" or before.text == "function" or before.text == "local") then return nil end
  local at, parenthesis = i + 1, false
  if tokens[at] and tokens[at].text == "(" then at, parenthesis = at + 1, true end
  local argument = tokens[at]
  if not argument then return nil end
  local call = { name = name.text, from = i, line = name.line }
  if argument.kind == "string" then
    call.constant, call.to = true, at
  elseif argument.text == "{" then
    call.table = literals.table(context, at, reference.options_of(name.text), name.text)
    call.constant, call.to = call.table.constant, call.table.to
  else
    return nil
  end
  if parenthesis then
    local close = closed_at(tokens, call.to + 1)
    if not close then return nil end
    call.further = close > call.to + 1
    call.constant, call.to = call.constant and not call.further, close
  end
  return call
end

local OPERATOR = { ["-"] = true, ["+"] = true, ["*"] = true, ["/"] = true, ["%"] = true, ["^"] = true, ["("] = true, [")"] = true, [".."] = true }
local LITERAL = { ["true"] = true, ["false"] = true, ["nil"] = true }

--- Whether the expression of the tokens `from` to `to` is constant, and the table that it is; `class` is what that is documented as.
local function parse_value(context, from, to, class, name)
  local tokens = context.tokens
  local i, constant, whole = from, true, nil
  while i <= to do
    local token = tokens[i]
    local call = literals.call(context, i)
    local inner = not call and token.text == "{" and literals.table(context, i, i == from and class or nil, name)
    if call or inner then
      constant = constant and (call or inner).constant
      if i == from and inner and inner.to == to then whole = inner end
      i = (call or inner).to
    elseif not (token.kind == "number" or token.kind == "string" or LITERAL[token.text] or OPERATOR[token.text]) then
      constant = false
    end
    i = i + 1
  end
  return constant, whole
end

--- A table constructor: its items { key =, from =, to =, constant = }, where it ends, and whether all of it is constant.
function literals.table(context, at, class, name)
  local tokens = context.tokens
  local found = { items = {}, constant = true, class = class, name = name }
  local i = at + 1
  while tokens[i] and tokens[i].text ~= "}" do
    local item, value, computed = { from = i }, i, false
    if tokens[i].kind == "name" and tokens[i + 1] and tokens[i + 1].text == "=" then
      item.key, item.at, value = tokens[i].text, tokens[i], i + 2
    elseif tokens[i].text == "[" and tokens[i + 1].kind == "string" and tokens[i + 2].text == "]" then
      value = i + 4
    elseif tokens[i].text == "[" then
      value, computed = literals.expression_end(tokens, i + 1) + 3, true  -- the key would be run
    end
    item.to = literals.expression_end(tokens, value)
    local inner = item.key and class and reference.class_of_field(class, item.key)
    item.constant, item.table = parse_value(context, value, item.to, inner, inner and name .. "." .. item.key)
    item.inner = inner and item.table
    if name == "container" and not item.key and item.table then item.table.class, item.table.name = reference.find "luabox.Step", "step" end
    item.constant = item.constant and not computed
    found.items[#found.items + 1] = item
    found.constant = found.constant and item.constant
    i = item.to + 1
    if tokens[i] and (tokens[i].text == "," or tokens[i].text == ";") then i = i + 1 end
  end
  found.to = i
  context.tables[#context.tables + 1] = found
  return found
end

--- The text from token `from` to `to` with blanks in the place of the items in `without`, newlines kept.
function literals.text_without(context, from, to, without)
  local text = context.text
  local parts, at = {}, context.tokens[from].from
  for _, item in ipairs(without) do
    local first, last = context.tokens[item.from].from, context.tokens[item.to].to
    parts[#parts + 1] = text:sub(at, first - 1)
    -- `nil` holds an item's place in the list, and is no field.
    parts[#parts + 1] = (item.key and item.key ~= "" and "[{}] = nil" or "nil") .. text:sub(first, last):gsub("[^\n]", "")
    at = last + 1
  end
  return table.concat(parts) .. text:sub(at, context.tokens[to].to)
end

local STAND_IN = { rootfs = "\"/\"", command = "{ \"/\" }" }

--- The items of a table that are not constant, or were told already; of a table in it only such fields, where these are all that it lacks.
local function holes_in(found, holes)
  for _, item in ipairs(found.items) do
    local named = item.inner ~= nil and not item.wrong
    for _, each in ipairs(named and item.inner.items or {}) do named = named and (each.key ~= nil or each.constant) end
    if named then
      holes_in(item.inner, holes)
    elseif not item.constant or item.wrong then
      holes[#holes + 1] = item
    end
  end
  return holes
end

--- What is left out of a call; nil when nothing can be said of the rest.
function literals.left_out(call)
  if call.name ~= "container" and not call.constant then return nil end
  return call.table and holes_in(call.table, {}) or {}
end

--- The call without these items, as a function that gives what it makes.
function literals.chunk(context, call, without)
  local text = literals.text_without(context, call.from, call.to, without)
  for _, item in ipairs(without) do
    local stand_in = call.name == "container" and item.key and STAND_IN[item.key]
    if stand_in then text = text:gsub("{", "{ " .. item.key .. " = " .. stand_in .. ", ", 1) end
  end
  return loadstring(("\n"):rep(call.line - 1) .. "local value = " .. text .. " return value", "@" .. context.file)
end

return literals
