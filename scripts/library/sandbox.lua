-- sandbox.lua: what a script has under a site's policies.
--
-- The library and the script share a Lua state. So that the script can't change what the library relies on, it gets a scope of its
-- own: no table of the library's or of Lua's own is within its reach, only copies and functions. What reaches other functions'
-- scopes (debug, getfenv, setfenv), memory (ffi, bytecode, /proc/self/mem by io) or other programs (popen, execute) is left out,
-- unless the policies allow it by name; what is left out says so when it is used.
local sys = require "luabox.sys"
local errors = require "luabox.errors"

local sandbox = {}

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

local function copied(from, names)
  local copy = {}
  if names then
    for _, name in ipairs(names) do copy[name] = from[name] end
  else
    for name, value in pairs(from) do copy[name] = value end
  end
  return copy
end

local function refusal(what, word)
  return function()
    errors.raise("this site's policies don't allow %s: a rule would have to say allow { \"%s\" }", what, word)
  end
end

--- Reading one of these that is left out is an error that says which word would allow it.
local function guarded(name, table_, word, missing)
  return setmetatable(table_, {
    __index = function(_, key)
      if missing[key] then refusal(name .. "." .. key, word)() end
    end,
    __metatable = name,
  })
end

local function set_of(text)
  local set = {}
  for _, word in ipairs(words(text)) do set[word] = true end
  return set
end

-- ---- code

local function loaders(scope, allowed)
  local function compile(text, name)
    if not allowed.bytecode and text:sub(1, 1) == "\27" then refusal("bytecode", "bytecode")() end
    -- A chunk of the library's name would be taken for the library's in error messages.
    local chunk, problem = loadstring(text, (tostring(name or text):gsub("^@luabox:", "@")))
    if chunk then return setfenv(chunk, scope) end
    return nil, problem
  end
  function scope.loadstring(text, name)
    if type(text) ~= "string" then errors.raise("loadstring: expected a string, got %s", type(text)) end
    return compile(text, name or text)
  end
  function scope.load(piece, name)
    if type(piece) == "string" then return compile(piece, name or piece) end
    local parts = {}
    while true do
      local part = piece()
      if part == nil or part == "" then break end
      parts[#parts + 1] = tostring(part)
    end
    return compile(table.concat(parts), name or "=(load)")
  end
  function scope.loadfile(file)
    local ok, text = errors.try(sys.file.read, file)
    if not ok then return nil, text.message end
    return compile((text:gsub("^#[^\n]*", "")), "@" .. file)
  end
  function scope.dofile(file)
    local chunk, problem = scope.loadfile(file)
    if not chunk then error(problem, 2) end
    return chunk()
  end
end

-- ---- modules

local LIBRARY = { ["luabox.stdlib"] = true, ["luabox.units"] = true }

--- luabox.sys without what the policies themselves are asked by; tables of the script's own.
local function primitives()
  local proxy = {}
  for name, value in pairs(sys) do
    if type(value) ~= "table" then proxy[name] = value end
  end
  return setmetatable(proxy, {
    __index = function(_, name)
      if name == "policy" or name == "gate" or name == "log" or name == "monitor" then return nil end
      local module = copied(sys[name])
      rawset(proxy, name, module)
      return module
    end,
    __metatable = "luabox.sys",
  })
end

local function requiring(scope, allowed, folder)
  local loaded = {}
  local path = folder .. "?.lua;" .. folder .. "?/init.lua"
  scope.package = { path = path, loaded = loaded }
  local function find(name)
    for template in tostring(rawget(scope.package, "path") or path):gmatch "[^;]+" do
      local file = template:gsub("%?", (name:gsub("%.", "/"):gsub("%%", "%%%%")))
      if sys.file.kind(file) then return file end
    end
  end
  function scope.require(name)
    if type(name) ~= "string" then errors.raise("require: expected a name, got %s", type(name)) end
    if loaded[name] ~= nil then return loaded[name] end
    local result
    if name == "luabox.sys" then
      if not allowed.primitives then refusal("luabox.sys", "primitives")() end
      result = primitives()
    elseif name == "ffi" then
      if not allowed.ffi then refusal("ffi", "ffi")() end
      result = require "ffi"
    elseif LIBRARY[name] then
      result = copied(require(name))
    elseif name:match "^luabox%." or name:match "^jit" then
      refusal(name, "primitives")()
    elseif type(rawget(scope, name)) == "table" and (name == "string" or name == "table" or name == "math" or name == "bit") then
      result = scope[name]
    else
      local file = find(name) or errors.raise("there is no module '%s' beside the script", name)
      result = scope.dofile(file)
    end
    if result == nil then result = true end
    loaded[name] = result
    return result
  end
end

-- ---- files, programs, the process

local READS = { r = true, rb = true }
local STREAMS, FILES = words "write read lines type stdout stderr stdin close", set_of "input output tmpfile"
local CLOCKS, NAMES = words "clock date difftime getenv time exit", set_of "remove rename tmpname setlocale"

local function files(scope, allowed)
  local own = copied(io, STREAMS)
  function own.open(name, mode)
    if not READS[mode or "r"] and not allowed.files then refusal("writing files", "files")() end
    return io.open(name, mode)
  end
  if allowed.files then own.input, own.output, own.tmpfile = io.input, io.output, io.tmpfile end
  if allowed.popen then own.popen = io.popen end
  scope.io = guarded("io", own, "files", FILES)
  if not allowed.popen then own.popen = refusal("io.popen", "popen") end

  local system = copied(os, CLOCKS)
  if allowed.files then system.remove, system.rename, system.tmpname = os.remove, os.rename, os.tmpname end
  system.execute = allowed.execute and os.execute or refusal("os.execute", "execute")
  scope.os = guarded("os", system, "files", NAMES)
end

local BASE = words "_VERSION assert error ipairs next pairs pcall print rawequal rawget rawset select tonumber tostring type unpack xpcall"
local DEBUG = set_of [[getinfo getupvalue setupvalue getregistry getmetatable setmetatable getlocal setlocal sethook gethook getfenv setfenv
  upvalueid upvaluejoin getuservalue setuservalue debug]]
local LEFT_OUT = {
  getfenv = "debug", setfenv = "debug", newproxy = "debug", module = "debug", jit = "debug", ffi = "ffi", debug = "debug",
}

--- Whether a policy could allow the name.
function sandbox.left_out(name) return LEFT_OUT[name] ~= nil end

--- A script sees the metatables that it set itself; those of strings, files, errors and containers are Lua's and the library's own.
local function meta(scope)
  local own = setmetatable({}, { __mode = "k" })
  function scope.setmetatable(value, metatable)
    if type(metatable) == "table" then own[metatable] = true end
    return setmetatable(value, metatable)
  end
  function scope.getmetatable(value)
    local metatable = getmetatable(value)
    if type(metatable) ~= "table" or own[metatable] then return metatable end
    return "protected"
  end
end

--- ("").x reaches functions: the library's strings and the script's have a table that neither names, without dump.
local function part_strings(allowed)
  local methods = copied(string)
  if not allowed.bytecode then methods.dump = nil end
  debug.getmetatable("").__index = methods
end

--- The scope of a script in `folder`; `vocabulary` are the names of container scripts.
---@param allowed table<string, boolean>  what the policies allow it
function sandbox.scope(vocabulary, folder, allowed)
  part_strings(allowed)
  local scope = copied(_G, BASE)
  scope._G = scope
  meta(scope)
  scope.collectgarbage = function(what) return what == "count" and collectgarbage "count" or 0 end
  scope.string, scope.table, scope.math, scope.bit, scope.coroutine =
    copied(string), copied(table), copied(math), copied(bit), copied(coroutine)
  if not allowed.bytecode then scope.string.dump = refusal("string.dump", "bytecode") end
  scope.debug = allowed.debug and debug or guarded("debug", { traceback = debug.traceback }, "debug", DEBUG)
  if allowed.debug then scope.getfenv, scope.setfenv, scope.newproxy = getfenv, setfenv, newproxy end
  loaders(scope, allowed)
  requiring(scope, allowed, folder)
  files(scope, allowed)
  for name, value in pairs(vocabulary) do scope[name] = value end
  return setmetatable(scope, {
    __index = function(_, name)
      if LEFT_OUT[name] then refusal(name, LEFT_OUT[name])() end
      local replaced = require("luabox.deprecations").word(name, vocabulary)
      if replaced ~= nil then return replaced end
      local known = {}
      for word in pairs(vocabulary) do known[#known + 1] = word end
      errors.raise("there is no global '%s'%s", tostring(name), errors.suggestion(tostring(name), known))
    end,
    __metatable = "scope",
  })
end

return sandbox
