-- scopes.lua: the names of a script: which local each is, where that is made, read and set, and what it hides.
local scopes = {}

---@class luabox.Local
---@field name string
---@field token luabox.Token
---@field kind string         "local", "function", "parameter", "loop"
---@field reads integer
---@field sets integer        beside its first value
---@field value? integer      the token that its first value begins with
---@field hides? luabox.Local of an outer scope, not read by its own first value

---@class luabox.NameUse
---@field at integer          its token
---@field of? luabox.Local    nil for a global
---@field set? boolean

local UNARY = { ["not"] = true, ["-"] = true, ["#"] = true }
local BINARY = {}
for word in ("and or + - * / % ^ .. == ~= < > <= >="):gmatch "%S+" do BINARY[word] = true end
local ENDS = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

local Walk = {}
Walk.__index = Walk

function Walk:text() return self.tokens[self.at] and self.tokens[self.at].text end
function Walk:kind() return self.tokens[self.at] and self.tokens[self.at].kind end
function Walk:skip() self.at = self.at + 1 end

--- Steps over `text` where it stands here.
function Walk:takes(text)
  if self:text() ~= text or self:kind() == "string" then return false end
  self:skip()
  return true
end

-- ---- scopes

function Walk:inside(f)
  self.scope = { outer = self.scope, names = {} }
  f()
  self.scope = self.scope.outer
end

function Walk:find(name)
  local scope = self.scope
  while scope do
    if scope.names[name] then return scope.names[name], scope end
    scope = scope.outer
  end
end

function Walk:declare(at, kind, value)
  local token = self.tokens[at]
  local outer, where = self:find(token.text)
  local made = { name = token.text, token = token, kind = kind, reads = 0, sets = 0, value = value, hides = where ~= self.scope and outer or nil }
  self.scope.names[token.text] = made
  self.locals[#self.locals + 1] = made
  return made
end

function Walk:use(at, set)
  local found = self:find(self.tokens[at].text)
  self.uses[#self.uses + 1] = { at = at, of = found, set = set }
  if not found then return end
  if set then found.sets = found.sets + 1 else found.reads = found.reads + 1 end
end

-- ---- expressions

function Walk:arguments()
  if self:kind() == "string" then return self:skip() end
  if self:text() == "{" then return self:table_constructor() end
  self:skip()
  if self:text() ~= ")" then self:expressions() end
  self:takes ")"
end

--- A name or a bracket and what follows it. Returns the token of a name that stands alone, and whether it ends in a call.
function Walk:suffixed()
  local alone, call = self.at, false
  local is_name = self:kind() == "name"
  self:skip()
  if not is_name then
    self:expression()
    self:takes ")"
    alone = nil
  end
  while true do
    local text = self:text()
    local string = self:kind() == "string"
    if not string and (text == "." or text == ":") then
      self:skip()
      self:skip()
      call = false
    elseif not string and text == "[" then
      self:skip()
      self:expression()
      self:takes "]"
      call = false
    elseif string or text == "(" or text == "{" then
      self:used_name(is_name and alone)
      self:arguments()
      call = true
    else
      return alone, call
    end
    self:used_name(is_name and alone)
    alone = nil
  end
end

function Walk:used_name(at)
  if not at or self.last_used == at then return end
  self.last_used = at
  self:use(at)
end

function Walk:function_body(method)
  self.functions = self.functions + 1
  self:inside(function()
    self:takes "("
    if method then self.scope.names.self = { name = "self", token = method, kind = "parameter", reads = 0, sets = 0 } end
    while self:text() ~= ")" do
      if self:kind() == "name" then self:declare(self.at, "parameter") end
      self:skip()
    end
    self:skip()
    self:block()
    self:takes "end"
  end)
  self.functions = self.functions - 1
end

function Walk:table_constructor()
  self:takes "{"
  while self.tokens[self.at] and (self:text() ~= "}" or self:kind() == "string") do
    local next_token = self.tokens[self.at + 1]
    if self:kind() == "name" and next_token.text == "=" and next_token.kind == "symbol" then
      self:skip()
      self:skip()
    elseif self:text() == "[" and self:kind() == "symbol" then
      self:skip()
      self:expression()
      self:takes "]"
      self:takes "="
    end
    self:expression()
    if not self:takes "," then self:takes ";" end
  end
  self:skip()
end

function Walk:expression()
  while UNARY[self:text()] and self:kind() ~= "string" do self:skip() end
  local kind, text = self:kind(), self:text()
  if kind == "name" or (text == "(" and kind == "symbol") then
    local alone = self:suffixed()
    if alone then self:use(alone) end
  elseif text == "{" and kind == "symbol" then
    self:table_constructor()
  elseif text == "function" and kind == "keyword" then
    self:skip()
    self:function_body()
  else
    self:skip()
  end
  if BINARY[self:text()] and self:kind() ~= "string" then
    self:skip()
    self:expression()
  end
end

--- Returns the tokens that the expressions begin with.
function Walk:expressions()
  local starts = {}
  repeat
    starts[#starts + 1] = self.at
    self:expression()
  until not self:takes ","
  return starts
end

-- ---- statements

local STATEMENTS = {}

function STATEMENTS.local_(self)
  if self:takes "function" then
    self:declare(self.at, "function")
    self:skip()
    return self:function_body()
  end
  local names = {}
  repeat
    names[#names + 1] = self.at
    self:skip()
  until not self:takes ","
  local first_use = #self.uses + 1
  local starts = self:takes "=" and self:expressions() or {}
  local read = {}
  for i = first_use, #self.uses do read[self.tokens[self.uses[i].at].text] = true end
  for i, at in ipairs(names) do
    local made = self:declare(at, "local", starts[i])
    if read[made.name] then made.hides = nil end
  end
end

STATEMENTS["function"] = function(self)
  local name, method = self.at, nil
  local plain = self.tokens[name + 1].text == "("
  self:use(name, plain)
  self:skip()
  while self:text() ~= "(" do
    method = self:text() == ":" and self.tokens[self.at] or nil
    self:skip()
    self:skip()
  end
  self:function_body(method)
end

STATEMENTS["if"] = function(self)
  repeat
    self:expression()
    self:takes "then"
    self:inside(function() self:block() end)
  until not self:takes "elseif"
  if self:takes "else" then self:inside(function() self:block() end) end
  self:takes "end"
end

STATEMENTS["while"] = function(self)
  self:expression()
  STATEMENTS["do"](self, self:takes "do")
end

STATEMENTS["do"] = function(self)
  self:inside(function() self:block() end)
  self:takes "end"
end

STATEMENTS["repeat"] = function(self)
  self:inside(function()
    self:block()
    self:takes "until"
    self:expression()
  end)
end

STATEMENTS["for"] = function(self)
  local names = {}
  repeat
    names[#names + 1] = self.at
    self:skip()
  until not self:takes ","
  self:skip()
  self:expressions()
  self:takes "do"
  self:inside(function()
    for _, at in ipairs(names) do self:declare(at, "loop") end
    self:block()
  end)
  self:takes "end"
end

STATEMENTS["return"] = function(self)
  if self.tokens[self.at] and not ENDS[self:text()] and self:text() ~= ";" then self:expressions() end
end

STATEMENTS["break"] = function() end
STATEMENTS["goto"] = Walk.skip
STATEMENTS["::"] = function(self)
  self:skip()
  self:takes "::"
end

--- A call, or what is given values.
function Walk:expression_statement()
  local from, targets = self.at, {}
  local alone, call
  repeat
    alone, call = self:suffixed()
    if alone then targets[#targets + 1] = alone end
  until not self:takes ","
  if self:takes "=" then
    self:expressions()
    for _, at in ipairs(targets) do self:use(at, true) end
  elseif call and self.functions == 0 then
    self.calls[#self.calls + 1] = from
  end
end

function Walk:block()
  while self.tokens[self.at] and not (ENDS[self:text()] and self:kind() == "keyword") do
    local text = self:kind() ~= "string" and self:text()
    local statement = STATEMENTS[text == "local" and "local_" or text]
    if text == ";" then
      self:skip()
    elseif statement then
      self:skip()
      statement(self)
    else
      self:expression_statement()
    end
  end
end

--- The names in `tokens`, of a script that is Lua: `locals` (luabox.Local[]), `uses` (luabox.NameUse[]) in their order, `calls`: the tokens that
--- statements begin with which are nothing but a call, outside of functions.
function scopes.of(tokens)
  local walk = setmetatable({ tokens = tokens, at = 1, locals = {}, uses = {}, calls = {}, functions = 0 }, Walk)
  walk:inside(function() walk:block() end)
  return { locals = walk.locals, uses = walk.uses, calls = walk.calls }
end

return scopes
