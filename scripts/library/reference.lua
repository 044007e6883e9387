-- reference.lua: what scripts/meta says of each name, for help() at the prompt, for completion and for docs/reference.md.
local reference = {}

--- The files of scripts/meta: the vocabulary of a script, then the modules that it may require, each under its name.
reference.FILES = { "luabox", "images", "running", "units", "sys" }

---@class luabox.ReferenceEntry
---@field name string       "bind", "sys.mount.bind", "Container:start", "luabox.VethOptions"
---@field kind string       "function", "class", "alias", "value"
---@field doc string[]      its lines
---@field parameters table  { name =, type =, optional =, doc = }, in order
---@field returns table     { type =, name =, doc = }
---@field fields table      of a class: { name =, type =, optional =, doc = }, in order
---@field parent? string    of a class

--- The type at the start of `text`, and what follows it: "table<string, number>  what it is".
local function split_type(text)
  local depth, at = 0, 1
  while at <= #text do
    local byte = text:sub(at, at)
    if byte:find "[<({]" then depth = depth + 1 end
    if byte:find "[>)}]" then depth = depth - 1 end
    if byte == '"' then at = text:find('"', at + 1, true) or #text end
    if byte == " " and depth <= 0 and not text:sub(1, at - 1):find "[|:,]$" and text:sub(at + 1, at + 1) ~= "|" then break end
    at = at + 1
  end
  return text:sub(1, at - 1), (text:sub(at):gsub("^%s+", ""))
end

local function named(text)
  local name, rest = text:match "^(%b[])%s*(.*)$"
  if not name then name, rest = text:match "^(%S+)%s*(.*)$" end
  local optional = name:sub(-1) == "?"
  local kind, doc = split_type(rest)
  return { name = optional and name:sub(1, -2) or name, type = kind, optional = optional, doc = doc }
end

local function fresh() return { doc = {}, parameters = {}, returns = {}, fields = {} } end

local function returned(text)
  local kind, rest = split_type(text)
  local name, doc = rest:match "^([%a_][%w_]*%??)%s*(.*)$"
  if name and rest:find "^[%a_][%w_]*%??$" or name and rest:find "^[%a_][%w_]*%??%s%s" then return { type = kind, name = name, doc = doc } end
  return { type = kind, doc = rest }
end

local TAGS = {
  param = function(entry, text) entry.parameters[#entry.parameters + 1] = named(text) end,
  ["return"] = function(entry, text) entry.returns[#entry.returns + 1] = returned(text) end,
  field = function(entry, text) entry.fields[#entry.fields + 1] = named(text) end,
  class = function(entry, text)
    entry.kind = "class"
    entry.name, entry.parent = text:match "^([%w_.]+)%s*:?%s*([%w_.]*)"
  end,
  alias = function(entry, text)
    entry.kind = "alias"
    local name, rest = text:match "^(%S+)%s+(.*)$"
    local kind, doc = split_type(rest)
    entry.name, entry.fields[1], entry.doc[1] = name, nil, ("%s: %s"):format(kind, doc)
  end,
  type = function(entry, text) entry.type = text end,
}

--- The entries of one file, in their order.
function reference.parse(text)
  local entries, entry = {}, nil
  local function finish(name, kind)
    if entry and entry.kind ~= "class" then
      entry.name, entry.kind = name, kind
      entries[#entries + 1] = entry
    end
    entry = nil
  end
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local tag, rest = line:match "^%-%-%-@(%w+)%s*(.*)$"
    local doc = not tag and line:match "^%-%-%-(.*)$"
    local name = line:match "^function ([%w_.:]+)%("
    if tag and tag ~= "meta" then
      entry = entry or fresh()
      if TAGS[tag] then TAGS[tag](entry, rest) end
      if tag == "class" or tag == "alias" then entries[#entries + 1] = entry end
      if tag == "alias" then entry = nil end
    elseif doc then
      entry = entry or fresh()
      entry.doc[#entry.doc + 1] = doc
    elseif name then
      entry = entry or fresh()
      entry.signature = name .. line:match "(%(.*%)) end"
      finish(name, "function")
    elseif line:match "^[%w_.]+ = {}" then
      finish(line:match "^[%w_.]+", "value")
    else
      entry = nil
    end
  end
  return entries
end

--- All entries, and by their names.
---@return luabox.ReferenceEntry[], table<string, luabox.ReferenceEntry>
function reference.all()
  if not reference.entries then
    reference.entries, reference.by_name = {}, {}
    for _, file in ipairs(reference.FILES) do
      for _, entry in ipairs(reference.parse(require("luabox.meta." .. file))) do
        reference.entries[#reference.entries + 1] = entry
        reference.by_name[entry.name] = entry
      end
    end
  end
  return reference.entries, reference.by_name
end

--- The class of the options of the function called `name`, nil when it takes none.
function reference.options_of(name)
  local _, by_name = reference.all()
  local entry = by_name[name]
  for _, parameter in ipairs(entry and entry.parameters or {}) do
    for word in parameter.type:gmatch "luabox%.[%w_.]+" do
      if by_name[word] and by_name[word].kind == "class" and #by_name[word].fields > 0 then return by_name[word] end
    end
  end
end

--- The fields of a class, its parents' too.
function reference.fields_of(class)
  local _, by_name = reference.all()
  local parent = by_name[class.parent or ""]
  if not parent then return class.fields end
  local fields = { unpack(class.fields) }
  for _, field in ipairs(reference.fields_of(parent)) do fields[#fields + 1] = field end
  return fields
end

--- The class of what stands in the field called `name` of `class`.
function reference.class_of_field(class, name)
  local _, by_name = reference.all()
  for _, field in ipairs(reference.fields_of(class)) do
    if field.name == name then
      -- Of a list and of a map only the items are of that class.
      local own = field.type:gsub("table%b<>", ""):gsub("%b()%[%]", ""):gsub("[%w_.]+%[%]", "")
      for word in own:gmatch "luabox%.[%w_.]+" do
        local found = by_name[word]
        if found and found.kind == "class" and #found.fields > 0 then return found end
      end
    end
  end
end

--- The entry for what a person calls `name`: "veth", "sys.mount.bind", "mount.bind", "container.cgroup", "c:start",
--- "swappiness".
function reference.find(name)
  local entries, by_name = reference.all()
  local plain = name:gsub("^luabox%.sys", "sys")
  local found = by_name[plain] or by_name["luabox." .. plain] or by_name["sys." .. plain]
  if found then return found end
  local owner, field = plain:match "^([%w_]+)[.:]([%w_]+)$"
  local class = owner and reference.options_of(owner)
  for _, each in ipairs(class and class.fields or {}) do
    if each.name == field then
      return { name = name, kind = "field", doc = { each.doc }, field = each, of = reference.class_of_field(class, field) }
    end
  end
  local last = plain:match "([%w_]+)$"
  for _, entry in ipairs(entries) do
    if last and (entry.name:match "([%w_]+)$"):lower() == last:lower() then return entry end
  end
  for _, entry in ipairs(entries) do
    for _, each in ipairs(entry.kind == "class" and entry.fields or {}) do
      if each.name == plain then
        local doc = each.doc ~= "" and { each.doc } or {}
        return { name = entry.name .. "." .. plain, kind = "field", doc = doc, field = each, of = reference.class_of_field(entry, plain) }
      end
    end
  end
end

--- The names that `find` knows, for completion and suggestions.
function reference.names()
  local names = {}
  for _, entry in ipairs((reference.all())) do names[#names + 1] = entry.name end
  return names
end

-- ---- as text

local function add_list(lines, title, list)
  if #list == 0 then return end
  lines[#lines + 1], lines[#lines + 2] = "", title
  local names, widest = {}, 0
  for i, each in ipairs(list) do
    names[i] = (each.name or each.type) .. (each.optional and "?" or "")
    widest = math.max(widest, #names[i])
  end
  for i, each in ipairs(list) do
    local about = { each.name and each.type, each.doc ~= "" and each.doc or nil }
    if not each.name then about = { each.doc } end
    local text = table.concat(about, ": ")
    lines[#lines + 1] = ("  %s%s"):format(names[i], text ~= "" and (" "):rep(widest - #names[i] + 2) .. text or "")
  end
end

--- The functions of a module or an object, each with its first line.
local function add_members(lines, class)
  local module, object = class.name:match "^luabox%.(sys%.%l+)$", class.name:match "([%w_]+)$"
  local members = {}
  for _, each in ipairs((reference.all())) do
    local owner = each.kind == "function" and each.name:match "^(.*)[.:][^.:]+$"
    if owner and (owner == module or owner == object) then
      members[#members + 1] = { name = each.signature:match "[.:]([^.:]+)$" or each.signature, type = each.doc[1] or "", doc = "" }
    end
  end
  add_list(lines, "Functions:", members)
end

--- The reference of an entry for a terminal; options are listed below the function that takes them.
function reference.text(entry)
  local lines = { entry.signature or entry.name }
  if entry.field then lines[1] = entry.name .. ": " .. entry.field.type end
  for _, line in ipairs(entry.doc) do lines[#lines + 1] = "  " .. line end
  add_list(lines, "Takes:", entry.parameters or {})
  add_list(lines, "Returns:", entry.returns or {})
  add_list(lines, "Fields:", entry.kind == "class" and reference.fields_of(entry) or {})
  if entry.kind == "class" then add_members(lines, entry) end
  local options = entry.kind == "function" and reference.options_of(entry.name) or entry.of
  if options then add_list(lines, "Options:", reference.fields_of(options)) end
  return table.concat(lines, "\n")
end

-- ---- as docs/reference.md

local function cell(text) return (text:gsub("|", "\\|")) end

local function rows(lines, title, list)
  if #list == 0 then return end
  lines[#lines + 1] = ("\n| %s | type | |\n|---|---|---|"):format(title)
  for _, each in ipairs(list) do
    local name = (each.name or "") .. (each.optional and "?" or "")
    lines[#lines + 1] = ("| %s | `%s` | %s |"):format(name ~= "" and "`" .. name .. "`" or "", cell(each.type), cell(each.doc))
  end
end

local function prose(lines, doc)
  local code = false
  for _, line in ipairs(doc) do
    if line:match "^    %S" and not code then lines[#lines + 1] = "" end
    code = line:match "^    " ~= nil
    lines[#lines + 1] = line
  end
end

local INTRODUCTION = [[
# Reference

Made from scripts/meta by tools/reference. A `?` behind a name: it may be left out; behind a type: it may be nil. Editors that read LuaCATS
show the same: `luabox init` tells them where it is; `help(x)` and `doc "name"` show it at the prompt.]]

--- All of it as Markdown, in the order of scripts/meta.
function reference.markdown()
  local lines = { INTRODUCTION }
  for _, entry in ipairs((reference.all())) do
    local module = entry.name:match "^luabox%.%l[%l.]*$"
    if module or entry.name == "luabox.ContainerOptions" then
      lines[#lines + 1] = "\n## " .. (entry.name:match "^luabox%.(sys.*)$" or module or "Scripts")
      if module and module ~= "luabox.sys" and entry.doc[1] then prose(lines, { "", unpack(entry.doc) }) end
    end
    if entry.kind == "value" and entry.name:find "^sys" then
      prose(lines, entry.doc)
    elseif entry.kind == "alias" then
      lines[#lines + 1] = ("\n`%s` is %s"):format(entry.name, entry.doc[1])
    elseif not module then
      lines[#lines + 1] = ("\n### `%s`\n"):format(entry.signature or entry.name)
      prose(lines, entry.doc)
      if entry.parent and entry.parent ~= "" then lines[#lines + 1] = ("The fields of `%s`, and:"):format(entry.parent) end
      rows(lines, "takes", entry.parameters)
      rows(lines, "returns", entry.returns)
      rows(lines, "field", entry.fields)
    end
  end
  lines[#lines + 1] = "\n## Deprecated names\n\nThey go on working until the first number of the version changes.\n\n| name | use |\n|---|---|"
  for _, each in ipairs(require("luabox.deprecations").list()) do lines[#lines + 1] = ("| `%s` | `%s` |"):format(each.old, each.new) end
  return (table.concat(lines, "\n"):gsub("\n\n\n+", "\n\n"))
end

return reference
