-- prompt_help.lua: help(x) and doc "name" at the prompt: the reference of a value, whatever name it has there.
local errors = require "luabox.errors"
local sys = require "luabox.sys"
local values = require "luabox.values"

local prompt_help = {}

local OVERVIEW = [[
container { ... }   image directory   bind tmpfs proc sysfs dev devpts mqueue overlay cgroupfs   veth
sys                 the primitives: sys.clone, sys.mount, sys.net, sys.cgroup, sys.security, sys.user, sys.file ...
running "NAME"      a container that runs: c:exec { ... }, c:stats(), c.cgroup.memory = "1GiB", c.mounts
help(x)             the reference of a function or object;   doc "veth", doc "container.cgroup" by name
_                   what the last line gave;   Tab completes, Ctrl-C stops what runs, Ctrl-D ends]]

--- The name under which the scope, or luabox.sys, has `value`.
local function name_of(value, scope)
  for name, each in pairs(scope.vocabulary) do
    if each == value then return name end
  end
  local seen = {}
  local function search(from, prefix)
    seen[from] = true
    for name, each in pairs(from) do
      if each == value then return prefix .. name end
      if type(each) == "table" and type(name) == "string" and not seen[each] then
        local found = search(each, prefix .. name .. ".")
        if found then return found end
      end
    end
  end
  return search(sys, "sys.")
end

--- The class that scripts/meta has for an object.
local function class_of(value)
  if require("luabox.container").is(value) then return "luabox.Container" end
  if require("luabox.execution").is(value) then return "luabox.Execution" end
  local about = type(value) == "table" and debug.getmetatable(value)
  if type(about) == "table" and rawget(about, "class") then return about.class end
  local meta = type(value) == "userdata" and getmetatable(value)
  return type(meta) == "string" and "luabox.sys." .. meta:sub(1, 1):upper() .. meta:sub(2) or nil
end

--- "Container:start" of the method of an object that the prompt has.
local function name_of_method(value, scope)
  if type(value) ~= "function" then return nil end
  for _, owner in next, scope.own do
    local class, meta = class_of(owner), debug.getmetatable(owner)
    for _, methods in ipairs(class and { rawget(meta, "methods") or {}, rawget(meta, "__index") or {}, meta } or {}) do
      for name, each in pairs(type(methods) == "table" and methods or {}) do
        if rawequal(each, value) then return class:match "[%w_]+$" .. ":" .. name end
      end
    end
  end
end

local LUAS_OWN = "%s is Lua's own: https://www.lua.org/manual/5.1/manual.html#pdf-%s"

--- doc "veth": the reference of a name.
function prompt_help.doc(name)
  local reference = require "luabox.reference"
  if type(name) ~= "string" then errors.raise("doc: expected a name such as \"veth\", got %s", values.show(name)) end
  local entry = reference.find(name)
  if not entry then errors.raise("there is no reference of '%s'%s", name, errors.suggestion(name, reference.names())) end
  print(reference.text(entry))
end

--- help(x): the reference of a value that the prompt's `scope` has; of nothing what is at hand.
function prompt_help.help(scope, ...)
  local value = ...
  if select("#", ...) == 0 or value == scope.tools.help or value == scope.tools.doc then
    print(OVERVIEW)
  elseif type(value) == "string" then
    prompt_help.doc(value)
  else
    local name = value == sys and "luabox.sys" or name_of(value, scope) or name_of_method(value, scope) or class_of(value)
    local in_lua = not name and type(value) == "function" and values.name_in_lua(value)
    if in_lua then return print(LUAS_OWN:format(in_lua, in_lua)) end
    if not name then errors.raise("there is no reference of %s", values.show(value)) end
    prompt_help.doc(name)
  end
end

return prompt_help
