-- names.lua: what is told of a script's names without running it: locals that nothing reads or that hide another, methods, primitives and
-- options that there are none of.
local errors = require "luabox.errors"
local reference = require "luabox.reference"

local names = {}

-- ---- locals

local function unread(made) return made.reads == 0 and (made.kind == "local" or made.kind == "function") and made.name:sub(1, 1) ~= "_" end

local function check_locals(context, found)
  for _, made in ipairs(found.locals) do
    if unread(made) then
      local how = made.sets > 0 and "is set, and never read" or "is never used"
      context.add("warning", "unused", made.token, ("the local '%s' %s"):format(made.name, how))
    elseif made.kind == "local" and made.hides and made.name:sub(1, 1) ~= "_" then
      context.add("warning", "shadowed", made.token, ("the local '%s' hides the one of line %d"):format(made.name, made.hides.token.line))
    end
  end
end

-- ---- what a local holds

--- The token behind the bracket that opens at `at`.
local function behind(tokens, at)
  local depth = 0
  repeat
    local token = tokens[at]
    if token.kind == "symbol" and token.text:find "^[{(%[]$" then depth = depth + 1 end
    if token.kind == "symbol" and token.text:find "^[})%]]$" then depth = depth - 1 end
    at = at + 1
  until depth == 0 or not tokens[at]
  return at
end

--- Whether nothing is done to the value of the call whose arguments begin at `at`.
local function ends_there(tokens, at)
  local argument = tokens[at]
  if not argument or not (argument.kind == "string" or argument.text == "{" or argument.text == "(") then return false end
  local last = argument.kind == "string" and tokens[at + 1] or tokens[behind(tokens, at)]
  return not last or not (last.kind == "string" or last.text:find "^[.:({%[]$") or last.line > tokens[at].line and last.kind == "name"
end

-- Modules that a script requires, and the objects that are made by a local of some class.
local MODULE = {}
for _, name in ipairs(reference.FILES) do MODULE[name] = name ~= "luabox" end
local MADE_BY = { [":exec"] = { Container = "Execution", RunningContainer = "Execution" }, [".find"] = { running = "RunningContainer" } }

local function text_at(tokens, at) return tokens[at] and tokens[at].text or "" end

--- The bracket that is open around the token `at`.
local function opening(tokens, at)
  local depth = 0
  repeat
    at = at - 1
    local token = tokens[at]
    if token and token.kind == "symbol" and token.text:find "^[})%]]$" then depth = depth + 1 end
    if token and token.kind == "symbol" and token.text:find "^[{(%[]$" then depth = depth - 1 end
  until depth < 0 or not token
  return at
end

local HOOKS = {}
for _, field in ipairs(reference.fields_of(reference.find "luabox.Step")) do HOOKS[field.name] = true end

--- Whether the token `at` is the parameter of a step: of a function that is an item of container { ... }, or of a hook.
local function is_of_step(context, at)
  local tokens = context.tokens
  local word = at - 2
  if text_at(tokens, word) ~= "function" or text_at(tokens, at - 1) ~= "(" then return false end
  if text_at(tokens, word - 1) == "=" then return HOOKS[text_at(tokens, word - 2)] and text_at(tokens, at) == "this" end
  local open = opening(tokens, word)
  local called = text_at(tokens, open - 1) == "(" and open - 2 or open - 1
  return text_at(tokens, open) == "{" and text_at(tokens, called) == "container" and context.constructors.container
    and text_at(tokens, word - 1):find "^[,;{]$" ~= nil
end

--- The class of objects that a local holds from its first value on; "sys" for luabox.sys, and the like for the other modules.
local function class_of(made, context)
  local tokens, at = context.tokens, made.value
  if made.kind == "parameter" and made.sets == 0 and is_of_step(context, context.place[made.token]) then return "Container" end
  if not at or made.sets > 0 then return nil end
  local first = text_at(tokens, at)
  if first == "container" and context.constructors.container and ends_there(tokens, at + 1) then return "Container" end
  local module = first == "require" and (text_at(tokens, at + 1) .. text_at(tokens, at + 2)):match "^%(?[\"']luabox%.(%l+)[\"']"
  if module then return MODULE[module] and ends_there(tokens, at + 1) and module or nil end
  local made_by = MADE_BY[text_at(tokens, at + 1) .. text_at(tokens, at + 2)]
  local owner = made_by and context.holder[at]
  return owner and ends_there(tokens, at + 3) and made_by[owner.class] or nil
end

--- Methods that the script gives an object itself, by the name of the local.
local function own_methods(tokens)
  local own = {}
  for i, token in ipairs(tokens) do
    local mark, name, after = text_at(tokens, i + 1), text_at(tokens, i + 2), text_at(tokens, i + 3)
    local given = token.kind == "name" and (mark == "." and after == "=" or (mark == ":" or mark == ".") and text_at(tokens, i - 1) == "function")
    if given then own[token.text .. "." .. name] = true end
  end
  return own
end

-- ---- methods, primitives, options

local function methods_of(class)
  local list = {}
  for _, name in ipairs(reference.names()) do list[#list + 1] = name:match("^" .. class .. ":(.*)$") end
  return list
end

local function has(list, name)
  for _, each in ipairs(list) do
    if each == name then return true end
  end
end

--- Tables that are written as an argument of the function called `name`, whose arguments begin at `at`.
local function check_options(context, name, title, at)
  local _, by_name = reference.all()
  local tokens, entry = context.tokens, by_name[name]
  local open = text_at(tokens, at) == "("
  if open then at = at + 1 end
  for _, parameter in ipairs(entry and entry.parameters or {}) do
    local class = by_name[parameter.type:match "^luabox%.[%w_.]+" or ""]
    local token = tokens[at]
    if not token then return end
    local takes_table = class and class.kind == "class" and #class.fields > 0
    if takes_table and token.kind == "symbol" and token.text == "{" then
      context.check_table(at, class, title)
    elseif takes_table and parameter.type == class.name and (token.kind == "string" or token.kind == "number") then
      context.add("error", "value", token, ("%s: expected a table as its %s, got %s"):format(title, parameter.name, token.text))
    end
    at = context.expression_end(at) + 2
    if not open or text_at(tokens, at - 1) ~= "," then return end
  end
end

--- `c.cgroup.memory`, `c.cgroup:stats()`: `at` is the "cgroup".
local function check_cgroup(context, at)
  local tokens, known = context.tokens, methods_of "Cgroup"
  local mark, key = text_at(tokens, at + 1), tokens[at + 2]
  if not (mark == "." or mark == ":") or not key or key.kind ~= "name" then return end
  for _, field in ipairs(mark == "." and reference.fields_of(reference.find "luabox.CgroupLimits") or {}) do known[#known + 1] = field.name end
  if has(known, key.text) then return end
  local message = mark == "." and "cgroup: unknown key '%s'%s" or "a cgroup has no method '%s'%s"
  message = message:format(key.text, errors.suggestion(key.text, known))
  context.add("error", "method", key, require("luabox.synonyms").in_limits(message))
end

local KIND = { Container = "a container", Execution = "a process in a container", RunningContainer = "a container that runs",
  Root = "a container's root", Process = "a process" }

--- The class of what an object of `class` has in the field `name`, where it is one of luabox.sys.
local function class_of_part(class, name)
  for _, field in ipairs(class == "Container" and reference.fields_of(reference.find "luabox.Container") or {}) do
    local part = field.name == name and field.type:match "^luabox%.sys%.(%a+)$"
    if part then return KIND[part] and part end
  end
end

--- The method behind the token `at`, of an object of that class.
local function check_method(context, at, class)
  local tokens = context.tokens
  local method = tokens[at + 2]
  local known = methods_of(class)
  if not has(known, method.text) then
    context.add("error", "method", method, ("%s has no method '%s'%s"):format(KIND[class], method.text, errors.suggestion(method.text, known)))
  else
    check_options(context, class .. ":" .. method.text, method.text, at + 3)
  end
end

local function starts_arguments(token) return token and (token.kind == "string" or token.text == "(" or token.text == "{") end

--- What stands behind an object that a local holds: a method, one that is called with ".", a key of its cgroup.
local function check_object(context, at, class, own)
  local tokens = context.tokens
  local mark, name = text_at(tokens, at + 1), text_at(tokens, at + 2)
  if own[tokens[at].text .. "." .. name] then return end
  if mark == ":" then return check_method(context, at, class) end
  if mark == "." and starts_arguments(tokens[at + 3]) and has(methods_of(class), name) then
    local called = tokens[at].text .. ":" .. name
    context.add("error", "method", tokens[at + 2], ("'%s' is a method: it is called with ':', %s"):format(name, called))
  elseif mark == "." and name == "cgroup" and class == "Container" then
    check_cgroup(context, at + 2)
  elseif mark == "." and class_of_part(class, name) then
    check_object(context, at + 2, class_of_part(class, name), own)
  end
end

--- Modules of luabox's own that have no reference.
local INTERNAL = { gate = true, policy = true }

--- Of luabox.sys, or of another module.
local function check_function(context, use, module)
  local tokens, at = context.tokens, use.at
  if INTERNAL[text_at(tokens, at + 2)] then return end
  local _, by_name = reference.all()
  local path, last = module, at
  while text_at(tokens, last + 1) == "." and tokens[last + 2].kind == "name" do
    path, last = path .. "." .. tokens[last + 2].text, last + 2
    local inner = by_name["luabox." .. path]
    if not (inner and #inner.fields == 0 and path:find "^sys%.%l+$") then break end
  end
  if last == at or by_name["luabox." .. path] then return end
  if by_name[path] then return check_options(context, path, path, last + 1) end
  local known = {}
  for _, name in ipairs(reference.names()) do
    known[#known + 1] = name:match("^" .. module .. "%..*") or module == "sys" and name:match "^luabox%.(sys%.%l+)$" or nil
  end
  local kind = module == "sys" and "primitive" or "function"
  context.add("error", kind, tokens[last], ("there is no %s '%s'%s"):format(kind, path, errors.suggestion(path, known)))
end

local function check_uses(context, found)
  local own = own_methods(context.tokens)
  context.holder, context.place = {}, {}
  for at, token in ipairs(context.tokens) do context.place[token] = at end
  for _, use in ipairs(found.uses) do context.holder[use.at] = use.of end
  for _, made in ipairs(found.locals) do made.class = class_of(made, context) end
  for _, use in ipairs(found.uses) do
    local class = use.of and use.of.class
    if MODULE[class] then
      check_function(context, use, class)
    elseif class then
      check_object(context, use.at, class, own)
    end
  end
end

--- A method right behind a constructor: container { ... }:run().
local function check_made(context)
  local tokens = context.tokens
  for at, token in ipairs(context.constructors.container and tokens or {}) do
    local before, open = text_at(tokens, at - 1), text_at(tokens, at + 1)
    if token.text == "container" and token.kind == "name" and before ~= "." and before ~= ":" and (open == "{" or open == "(") then
      local last = behind(tokens, at + 1)
      if text_at(tokens, last) == ":" and tokens[last].kind == "symbol" then check_method(context, last - 1, "Container") end
    end
  end
end

--- What a constructor makes, and nobody has.
local function check_dropped(context, found)
  local tokens = context.tokens
  for _, at in ipairs(found.calls) do
    local name = tokens[at].text
    if context.constructors[name] and ends_there(tokens, at + 1) then
      local message = name == "container" and "the container is neither kept, started nor returned" or ("what %s makes is not used"):format(name)
      context.add("warning", "unused", tokens[at], message)
    end
  end
end

--- `context`: tokens, found (of scopes.lua), constructors (names), add(severity, kind, token, message), check_table(at, class, name),
--- expression_end(at).
function names.check(context)
  local found = context.found
  check_locals(context, found)
  check_uses(context, found)
  check_made(context)
  check_dropped(context, found)
end

return names
