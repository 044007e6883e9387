-- scripts/meta as LuaCATS: read strictly, by a reader that shares nothing with library/reference. An editor passes over what it can't read.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"

local top = arg[0]:match "^(.*/)" .. "../../"
local FILES = {}
for _, name in ipairs(sys.file.list(top .. "scripts/meta")) do FILES[#FILES + 1] = name end

-- ---- types: union := type { "|" type }; type := name | literal | "(" union ")" | fun(...) | table<...>, each with "[]" and "?" behind it

local BASIC = {}
for name in ("nil any boolean string number integer function table userdata thread true false"):gmatch "%a+" do BASIC[name] = true end

--- Reads a type at the start of `text`; calls name(class) for each that is named. Returns what follows it; raises where it is none.
local read_union

local function expect(text, symbol)
  local rest = text:match("^%s*" .. symbol:gsub("%p", "%%%0") .. "(.*)$")
  return rest or error(("expected '%s' before '%s'"):format(symbol, text), 0)
end

local function read_arguments(text, name)
  local rest = expect(text, "(")
  while not rest:match "^%s*%)" do
    local after = rest:match "^%s*[%a_][%w_]*%??%s*(:.*)$" or rest:match "^%s*%.%.%.%s*(:.*)$"
    if not after then error(("expected 'name: type' before '%s'"):format(rest), 0) end
    rest = read_union(expect(after, ":"), name)
    rest = rest:match "^%s*,(.*)$" or rest
  end
  return expect(rest, ")")
end

local function read_one(text, name)
  text = text:match "^%s*(.*)$"
  local rest = text:match "^\"[^\"]*\"(.*)$" or text:match "^%-?%d+(.*)$"
  if rest then return rest end
  if text:match "^%(" then return expect(read_union(expect(text, "("), name), ")") end
  if text:match "^fun%(" then
    rest = read_arguments(text:sub(4), name)
    local result = rest:match "^%s*:(.*)$"
    while result do  -- several results
      rest = read_union(result, name)
      result = rest:match "^, (.*)$"
    end
    return rest
  end
  if text:match "^table<" then
    return expect(read_union(expect(read_union(expect(text:sub(6), "<"), name), ","), name), ">")
  end
  local word
  word, rest = text:match "^([%a_][%w_.]*)(.*)$"
  if not word then error(("expected a type before '%s'"):format(text), 0) end
  if not BASIC[word] then name(word) end
  return rest
end

function read_union(text, name)
  local rest = text
  repeat
    rest = read_one(rest, name)
    while rest:match "^%[%]" or rest:match "^%?" do rest = rest:match "^%[%](.*)$" or rest:sub(2) end
    local more = rest:match "^%s*|(.*)$"
    rest = more or rest
  until not more
  return rest
end

-- ---- files

local TAGS = {}
for name in ("meta class field param return alias type"):gmatch "%a+" do TAGS[name] = true end

local defined, used, problems, counts = {}, {}, {}, { functions = 0, types = 0 }

local function reader(file)
  local state = { file = file, line = 0, params = {}, tags = 0 }
  function state.wrong(message, ...) problems[#problems + 1] = ("%s:%d: %s"):format(file, state.line, message:format(...)) end
  function state.type(text)
    counts.types = counts.types + 1
    local ok, rest = pcall(read_union, text, function(class) used[class] = used[class] or { file = file, line = state.line } end)
    if not ok then state.wrong("%s", rest) return "" end
    if rest ~= "" and not rest:match "^%s" then state.wrong("'%s' behind a type", rest) end
    return rest
  end
  function state.define(class)
    if defined[class] then state.wrong("'%s' is defined twice", class) end
    defined[class] = true
  end
  return state
end

local READ = {}
function READ.class(state, text)
  local class, parents = text:match "^([%a_][%w_.]*)%s*:?%s*(.*)$"
  if not class then return state.wrong("'%s' is no class", text) end
  state.define(class)
  state.fields = {}
  for parent in parents:gmatch "[^,%s]+" do used[parent] = used[parent] or { file = state.file, line = state.line } end
end
function READ.field(state, text)
  local name, kind = text:match "^([%a_][%w_]*%??)%s+(.*)$"
  if not name then name, kind = text:match "^(%b[])%s+(.*)$" end
  if not name then return state.wrong("'%s' is no field", text) end
  if not state.fields then return state.wrong("the field %s is no class's", name) end
  local plain = name:gsub("%?$", "")
  if state.fields[plain] then state.wrong("the field %s is there twice", plain) end
  state.fields[plain] = true
  state.type(kind)
end
function READ.param(state, text)
  local name, kind = text:match "^([%a_][%w_]*%??)%s+(.*)$"
  if not name then name, kind = text:match "^(%.%.%.)%s+(.*)$" end
  if not name then return state.wrong("'%s' is no parameter", text) end
  state.params[#state.params + 1] = (name:gsub("%?$", ""))
  state.type(kind)
end
READ["return"] = function(state, text) state.type(text) end
function READ.alias(state, text)
  local name, kind = text:match "^([%a_][%w_.]*)%s+(.*)$"
  if not name then return state.wrong("'%s' is no alias", text) end
  state.define(name)
  state.type(kind)
end
READ.type = READ["return"]
function READ.meta() end

--- A function's @param are its parameters, in their order.
local function read_function(state, arguments)
  counts.functions = counts.functions + 1
  local names = {}
  for name in arguments:gmatch "[^%s,]+" do names[#names + 1] = name end
  local said, are = table.concat(state.params, ", "), table.concat(names, ", ")
  if said ~= are then state.wrong("the parameters are '%s', and the annotations are of '%s'", are, said) end
end

local function read_file(file)
  local state = reader(file)
  for line in sys.file.read(top .. "scripts/meta/" .. file):gmatch "([^\n]*)\n" do
    state.line = state.line + 1
    local tag, text = line:match "^%-%-%-@(%S+)%s*(.*)$"
    if tag and not TAGS[tag] then
      state.wrong("there is no tag '@%s' here", tag)
    elseif tag then
      READ[tag](state, text)
    elseif line:match "^%-%-%-?%s*@" then
      state.wrong("a tag that is no tag: %s", line)
    elseif not line:match "^%-%-%-" then
      local arguments = line:match "^function [%w_.:]+%((.-)%) end$"
      if arguments then read_function(state, arguments) elseif line:match "^function" then state.wrong("no definition: %s", line) end
      if not arguments and #state.params > 0 then state.wrong "parameters of no function" end
      state.params, state.fields = {}, nil
    end
  end
end

for _, file in ipairs(FILES) do read_file(file) end

test("every annotation can be read, and every parameter is there", function()
  check.equal(table.concat(problems, "\n"), "")
  check.truthy(counts.functions >= 240 and counts.types >= 900, counts.functions .. " functions, " .. counts.types .. " types")
end)

test("every type that is named is defined", function()
  local missing = {}
  for class, place in pairs(used) do
    if not defined[class] then missing[#missing + 1] = ("%s:%d: %s"):format(place.file, place.line, class) end
  end
  check.equal(table.concat(missing, "\n"), "")
end)

test("every file is Lua, and gives the module that it is called after", function()
  for _, file in ipairs(FILES) do
    local text = sys.file.read(top .. "scripts/meta/" .. file)
    local module = text:match "^%-%-%-@meta (%S+)\n"
    check.equal(module, file == "luabox.lua" and "luabox" or "luabox." .. file:match "^(.*)%.lua$")
    local chunk = assert(loadstring(text, "@" .. file))
    local result = setfenv(chunk, {})()
    if file ~= "luabox.lua" then
      check.equal(type(result), "table", file)
      check.truthy(next(result), file)
    end
  end
end)

test("the reader refuses what is no type", function()
  for _, wrong in ipairs { "", "|string", "table<string>", "fun(a)", "\"open", "string||number", "(string" } do
    check.truthy(not pcall(read_union, wrong, function() end), wrong)
  end
  for _, right in ipairs { "string", "string?", "string[]|nil", "(string|A.b)[]", "table<string, string|number>", "fun(a: A, b?: string): string",
    "\"new\"|\"host\"", "fun()", "fun(a: string): integer, string[]" } do
    check.equal(read_union(right, function() end), "", right)
  end
end)

harness.finish()
