-- schema.lua: checks a table that a user wrote, and says at which line it is wrong.
--
-- A schema is { field = check }, a check a function(value, path) that returns the value to use, or nil and what was expected; and true when
-- that says already what there was instead.
local errors = require "luabox.errors"

local schema = {}

--- One line, whatever is in it.
function schema.printable(text) return (text:gsub("%c", function(byte) return ("\\%d"):format(byte:byte()) end)) end

local MOST_SHOWN = 200

--- How a value that is wrong is quoted.
function schema.show(value)
  if type(value) == "string" then return "'" .. schema.printable(value:sub(1, MOST_SHOWN)) .. (#value > MOST_SHOWN and "...'" or "'") end
  if type(value) == "table" then return "a table" end
  if type(value) == "function" then return "a function" end
  return tostring(value)
end

--- A check for a Lua type: schema.is("string").
function schema.is(wanted)
  local article = (wanted == "string" or wanted == "table" or wanted == "function" or wanted == "number") and "a " or ""
  local name = wanted == "boolean" and "true or false" or article .. wanted
  return function(value)
    if type(value) == wanted then return value end
    return nil, name
  end
end

schema.boolean, schema.func, schema.table = schema.is "boolean", schema.is "function", schema.is "table"

--- A string that the kernel can be told.
function schema.string(value)
  if type(value) ~= "string" then return nil, "a string" end
  if value:find "%z" then return nil, "a string without NUL bytes" end
  return value
end

function schema.integer(value)
  if type(value) == "number" and value % 1 == 0 then return value end
  return nil, "a whole number"
end

local MOST_EXACT = 2 ^ 53

--- A number as a text of all its digits, which tostring cuts to 14; nil for one that has more than a number can hold, or is none.
function schema.digits(number)
  if number % 1 == 0 then return math.abs(number) <= MOST_EXACT and ("%.0f"):format(number) or nil end
  if number ~= number or math.abs(number) == math.huge then return nil end
  local short = tostring(number)
  return tonumber(short) == number and short or ("%.17g"):format(number)
end

--- Bytes: a number, or a string with a unit.
function schema.size(value)
  local ok, bytes = pcall(require("luabox.units").size, value)
  if ok then return bytes end
  return nil, "a size such as 64MiB, 100MB or a number of bytes"
end

--- A whole number from `least` to `most`.
function schema.between(least, most)
  return function(value)
    if schema.integer(value) and value >= least and value <= most then return value end
    return nil, ("a whole number from %d to %d"):format(least, most)
  end
end

--- A list whose items all pass `check`.
function schema.list(check)
  return function(value, path)
    if type(value) ~= "table" then return nil, "a list" end
    if type(value.kind) == "string" then return nil, ("a list, { %s { ... } }, not a %s by itself"):format(value.kind, value.kind), true end
    local result = {}
    for key, item in pairs(value) do
      if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
        return nil, ("a list; it has the key %s"):format(schema.show(tonumber(key) and tostring(key) or key)), true
      end
      local checked, expected = check(item, ("%s[%d]"):format(path, key))
      if expected then return nil, ("%s as item %d, not %s"):format(expected, key, schema.show(item)), true end
      result[key] = checked
    end
    for i = 1, table.maxn(result) do
      if result[i] == nil then return nil, ("a list without holes; item %d is nil"):format(i), true end
    end
    return result
  end
end

--- A constructor takes one value: what stands behind it would be lost without a word.
function schema.alone(name, example, ...)
  if select("#", ...) > 0 then errors.raise_at(errors.users_line(3, name) or "luabox", "%s: expected one table: %s %s", name, name, example) end
end

--- A table from names to what passes `check`.
function schema.map(check)
  return function(value, path)
    if type(value) ~= "table" then return nil, "a table" end
    local result = {}
    for key, item in pairs(value) do
      if type(key) ~= "string" then return nil, "names as keys, not " .. tostring(key), true end
      if key:find "%z" then return nil, ("names without NUL bytes; '%s' has one"):format(schema.printable(key)), true end
      local checked, expected = check(item, path .. "." .. key)
      if expected then return nil, ("%s for '%s', not %s"):format(expected, key, schema.show(item)), true end
      result[key] = checked
    end
    return result
  end
end

--- One of the words.
function schema.word(...)
  local words = { ... }
  return function(value)
    for _, word in ipairs(words) do
      if word == value then return value end
    end
    if #words == 1 then return nil, "'" .. words[1] .. "'" end
    local choices = "'" .. table.concat(words, "', '") .. "'"
    if type(value) == "string" then choices = choices .. errors.suggestion(value, words) end
    return nil, "one of " .. choices
  end
end

--- What passes any of the checks.
function schema.either(...)
  local checks = { ... }
  return function(value, path)
    local expected = {}
    for i, check in ipairs(checks) do
      local checked, wanted, complete = check(value, path)
      if not wanted then return checked end
      if complete then return nil, wanted, true end  -- the kind was right
      expected[i] = wanted
    end
    return nil, table.concat(expected, " or ")
  end
end

--- A path of the host's.
function schema.path(value)
  if type(value) == "string" and value ~= "" and not value:find "%z" then return value end
  return nil, "a path"
end

--- A path that starts at "/".
function schema.absolute(value)
  if type(value) == "string" and value:sub(1, 1) == "/" and not value:find "%z" then return value end
  return nil, "an absolute path"
end

--- A table of variables, as execve(2) can take them.
function schema.environment(value)
  if type(value) ~= "table" then return nil, "a table such as { NAME = \"value\" }" end
  local checked = {}
  for name, text in pairs(value) do
    if type(name) ~= "string" then
      return nil, ("names and values such as { NAME = \"value\" }; %s has no name"):format(schema.show(text)), true
    elseif name == "" or name:find "[=%z]" then
      return nil, ("names without '='; '%s' can't be one"):format(schema.printable(name)), true
    elseif type(text) ~= "string" and type(text) ~= "number" then
      return nil, ("a string or number as the value of %s, got %s"):format(schema.printable(name), schema.show(text)), true
    elseif type(text) == "number" and not schema.digits(text) then
      return nil, ("a string as the value of %s: the number %s is not exact"):format(schema.printable(name), tostring(text)), true
    elseif tostring(text):find "%z" then
      return nil, ("values without NUL bytes; that of %s has one"):format(schema.printable(name)), true
    end
    checked[name] = text
  end
  return checked
end

--- A value made by one of the library's constructors, such as bind { ... }.
function schema.made(kinds, expected)
  return function(value)
    if type(value) == "table" and kinds[value.kind] then return value end
    return nil, expected
  end
end

--- A table with named fields of its own.
function schema.fields(definition)
  return function(value, path)
    if type(value) ~= "table" then return nil, "a table" end
    if value[1] ~= nil then return nil, "named fields, not " .. schema.show(value[1]), true end
    return schema.check(value, definition, { what = path })
  end
end

-- Where the table stands whose fields are being checked: what is nested in it has no line of its own.
local outermost

--- The text of `file`; of the script that runs as it was read: inside a container its path leads elsewhere.
local function text_of(file)
  if errors.script and errors.script.name == file then return errors.script.text end
  local source = io.open(file)
  local text = source and source:read "*a"
  if source then source:close() end
  return text
end

--- The line of `file` at or after `line` on which `key = ` stands: where the user wrote it.
local function line_of_key(where, key)
  local file, line = where:match("^(.*):(%d+)$")
  local source = file and text_of(file)
  if not source then return where end
  local number, escaped = 0, key:gsub("%p", "%%%0")
  for text in (source .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    if number >= tonumber(line) and text:find(key, 1, true) and ((" " .. text):find("[^%w_]" .. escaped .. "%s*=[^=]")
        or text:find("%[%s*[\"']" .. escaped .. "[\"']%s*%]%s*=")) then
      return file .. ":" .. number
    end
  end
  return where
end

--- What was meant by the field `key`, which `what` does not have: as others call it, or the nearest of those it has.
function schema.suggestion(what, key, known)
  local synonyms = require "luabox.synonyms"
  -- oomScoreAdj, as an OCI configuration and docker's API write it
  local plain = type(key) == "string" and key:gsub("(%l)(%u)", "%1_%2"):lower() or key
  for _, field in ipairs(plain ~= key and known or {}) do
    if field == plain then return (" (did you mean '%s'?)"):format(plain) end
  end
  return synonyms.of_field(what, key) or synonyms.of_field(what, plain) or errors.suggestion(key, known)
end

--- Checks the named fields of `values` against `definition`; returns a new table. `site` is { what = "container", where = "file:line" }.
--- An unknown field, a wrong type and a wrong value are errors at the line that wrote them. The array part is left out.
function schema.check(values, definition, site)
  local where = site.where or outermost or errors.users_line(2) or "luabox"
  local before = outermost
  outermost = where
  local checked = {}
  for key, value in pairs(values) do
    if type(key) == "string" then
      local check = definition[key]
      local new = not check and require("luabox.deprecations").field(site.what, key)
      if new then
        require("luabox.deprecations").tell(site.what .. "." .. key, site.what .. "." .. new, line_of_key(where, key))
        if values[new] ~= nil then errors.raise_at(line_of_key(where, key), "%s: '%s' and '%s' are the same", site.what, key, new) end
        check, key = definition[new], new
      elseif not check then
        local known = {}
        for name in pairs(definition) do known[#known + 1] = name end
        table.sort(known)
        errors.raise_at(line_of_key(where, key), "%s has no field '%s'%s", site.what, schema.printable(key), schema.suggestion(site.what, key, known))
      end
      local result, expected, complete = check(value, site.what .. "." .. key)
      if expected then
        errors.raise_at(line_of_key(where, key), "%s.%s: expected %s%s", site.what, key, expected, complete and "" or ", got " .. schema.show(value))
      end
      checked[key] = result
      outermost = where
    elseif type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
      errors.raise_at(where, "%s: expected names as keys, got %s", site.what, schema.show(key))
    end
  end
  outermost = before
  return checked
end

--- The line on which `key` was written, for a check that comes later.
schema.line_of_key = line_of_key

return schema
