-- luabox check SCRIPT: what can be told of a script without running it.
local cli = require "luabox.cli"
local deprecations = require "luabox.deprecations"
local errors = require "luabox.errors"
local findings = require "luabox.findings"
local lexer = require "luabox.lexer"
local literals = require "luabox.literals"
local reference = require "luabox.reference"
local sys = require "luabox.sys"

local check = { summary = "Tell what is wrong with a script, without running it.", words = { "scripts" } }

local FOUND = 1
local MOST_ROUNDS = 50

local DESCRIPTION = [[
Tells what is wrong with SCRIPT without running it: what is no Lua; globals that are not there, and functions that Lua's libraries have
not; locals that nothing reads, or that hide another; fields that no constructor takes; methods and primitives that there are none of;
names that are deprecated; values of the wrong type, unit or combination, where they are written as constants; mounts that hide each
other; files, images and modules that are missing.
What a script computes is not checked. The exit status is 1 when there is an error; with warnings alone, or nothing, it is 0.]]

local EXAMPLES = [[
luabox check box.lua                   one line for each mistake
luabox check --json *.lua              for editors]]

function check.parser()
  local parser = cli.parser("check", DESCRIPTION, EXAMPLES)
  parser:argument("scripts", "The scripts."):args "+":argname "SCRIPT"
  parser:flag("--json", "As JSON: a list of { file, line, column, end_column, severity, kind, message }.")
  return parser
end
-- ---- unknown fields

local function check_keys(context, found)
  if not found.class then return end
  local known, open = {}, false
  for _, field in ipairs(reference.fields_of(found.class)) do
    known[#known + 1], known[field.name] = field.name, true
    open = open or field.name == "[string]"
  end
  if open then return end
  local lines = {}
  for _, item in ipairs(found.items) do
    if item.key and lines[item.key] then
      local message = "%s has the field '%s' twice, here and in line %d"
      context.report.add("error", "field", item.at, message:format(found.name, item.key, lines[item.key]))
    end
    if item.key then lines[item.key] = item.at.line end
    local new = item.key and not known[item.key] and deprecations.field(found.name, item.key)
    if new then
      context.report.add("warning", "deprecated", item.at, deprecations.text(found.name .. "." .. item.key, found.name .. "." .. new))
    elseif item.key and not known[item.key] then
      item.wrong = true
      context.report.add("error", "field", item.at,
        ("%s has no field '%s'%s"):format(found.name, item.key, require("luabox.schema").suggestion(found.name, item.key, known)))
    end
  end
end
-- ---- values: a constructor whose table is constant is called, alone, as luabox itself would

--- The item that an error is about: by the field that it names, else by its line.
local function item_of(context, call, line, message)
  local field = message:match "^[%w_]+%.([%w_]+)"
  local by_line
  for _, item in ipairs(call.table and call.table.items or {}) do
    if item.key and not item.wrong then
      if item.key == field then return item end
      if context.tokens[item.from].line <= line and line <= context.tokens[item.to].line then by_line = by_line or item end
    end
  end
  return by_line
end

--- Whether a field of the call was found to be wrong: what it would have been is not missing.
local function told_of(call)
  for _, item in ipairs(call.table and call.table.items or {}) do
    if item.wrong then return true end
  end
end

--- Calls the constructor again and again without the field that it refused, until it takes the rest. Returns what it made.
local function check_values(context, call)
  for _ = 1, MOST_ROUNDS do
    local without = literals.left_out(call)
    if not without then return nil end
    local chunk = literals.chunk(context, call, without)
    if not chunk then return nil end
    local ok, result = errors.try(setfenv(chunk, context.vocabulary))
    if ok then return result end
    local line = tonumber((result.where or ""):match ":(%d+)$") or call.line
    local lacks = result.message:match "expected the field '([%w_]+)'"
    if not (lacks and told_of(call)) then context.report.add("error", "value", line, result.message) end
    local item = not lacks and item_of(context, call, line, result.message)
    if not item then return nil end
    item.wrong = true
  end
end

-- ---- what must be there

local function missing(context, line, kind, message, ...)
  context.report.add("error", kind, line, message:format(...))
end

local function line_in(where, fallback) return tonumber((where or ""):match ":(%d+)$") or fallback end

--- Whether there is such a folder. One that can't be looked at is told as that.
local function is_folder(context, line, what, path)
  local ok, kind = errors.try(sys.file.kind, path .. "/.")
  if ok and kind == "directory" then return true end
  missing(context, line, "file", "%s: %s", what, ok and "there is no folder " .. path or kind.message)
end

local function check_layers(context, call, root)
  for _, layer in ipairs(root.layers or {}) do is_folder(context, line_in(root.where, call.line), root.kind .. ".layers", layer) end
end

--- A container whose rootfs is computed, or refused, is made with "/" in its place.
local function says_root(call)
  for _, item in ipairs(call.table and call.table.items or {}) do
    if item.key == "rootfs" then return item.constant and not item.wrong end
  end
  return call.name == "directory"
end

local function check_files(context, call, made)
  if call.name == "bind" and made then
    local ok, kind = errors.try(sys.file.kind, made.source)
    if not ok or not kind then
      missing(context, line_in(made.where, call.line), "file", "bind: %s", ok and "there is no " .. made.source or kind.message)
    end
  elseif made and (call.name == "directory" or call.name == "container") then
    local root = made.config and made.config.rootfs or made
    local line = line_in(root.where or made.where and require("luabox.schema").line_of_key(made.where, "rootfs"), call.line)
    if root.kind == "directory" and is_folder(context, line, "directory", root.path) and says_root(call) and sys.file.absolute(root.path) == "/" then
      missing(context, line, "file", "%s", require("luabox.rootfs").OF_THE_HOST)
    end
    check_layers(context, call, root)
  elseif call.name == "image" and made then
    check_layers(context, call, made)
    if context.images[made.name] then return end
    local names = {}
    for name in pairs(context.images) do names[#names + 1] = name end
    missing(context, line_in(made.where, call.line), "image", "there is no image '%s'%s", made.name, errors.suggestion(made.name, names))
  end
end

--- What a container only hears of when it starts: limits that no cgroup takes, a filter that can't be built.
local function check_plans(context, call, made)
  if call.name ~= "container" or not made then return end
  local config = made.config
  local plans = { cgroup = config.cgroup and sys.cgroup.plan,
    seccomp = type(config.seccomp) == "table" and require("luabox.confinement").filter_of or nil }
  for field, plan in pairs(plans) do
    local ok, problem = errors.try(plan, config[field])
    if not ok then
      local line = line_in(require("luabox.schema").line_of_key(made.where, problem.message:match "key ([%w_.]+):" or field), call.line)
      context.report.add("error", "value", line, require("luabox.synonyms").in_limits(problem.message))
    end
  end
end

--- `require "name"` of a module that is nowhere.
local function check_modules(context)
  local folder = context.file:match "^(.*/)[^/]*$" or "./"
  local path = folder .. "?.lua;" .. folder .. "?/init.lua;" .. package.path
  for i, token in ipairs(context.tokens) do
    local name = token.text == "require" and context.tokens[i + 1]
    if name and name.text == "(" then name = context.tokens[i + 2] end
    local module = name and name.kind == "string" and name.text:match "^[\"']([%w_.-]+)[\"']$"
    if module and not package.preload[module] and not package.loaded[module] and not context.embedded(module) then
      local file = module:gsub("%.", "/")
      local found = false
      for template in (path .. ";" .. package.cpath):gmatch "[^;]+" do
        found = found or sys.file.kind((template:gsub("%?", file))) ~= nil
      end
      if not found then missing(context, token.line, "module", "there is no module '%s'", module) end
    end
  end
end

--- `require_version "9"` of a luabox that this one is not.
local function check_version(context)
  for i, token in ipairs(context.tokens) do
    local wanted = token.text == "require_version" and context.tokens[i + 1]
    if wanted and wanted.text == "(" then wanted = context.tokens[i + 2] end
    if wanted and wanted.kind == "string" then
      local ok, problem = errors.try(require("luabox.version").require, wanted.text:sub(2, -2))
      if not ok then context.report.add("error", "version", wanted, problem.message) end
    end
  end
end

--- A script whose last word is a table as container takes it, and no container.
local function check_returned(context)
  for i, token in ipairs(context.tokens) do
    if token.text == "return" and token.kind == "keyword" and context.tokens[i + 1] and context.tokens[i + 1].text == "{" then
      local returned = literals.table(context, i + 1)
      for _, item in ipairs(returned.to == #context.tokens and returned.items or {}) do
        if item.key == "rootfs" then
          return context.report.add("error", "value", context.tokens[i + 1], "the script returns a plain table: write return container { ... }")
        end
      end
    end
  end
end

-- ---- globals

local function check_globals(context, chunk)
  local known, uses = { arg = true }, {}
  for name in pairs(context.vocabulary) do known[name] = true end
  for name in pairs(_G) do known[name] = true end
  local own = {}
  require("luabox.globals").each(chunk, function(how, name, line)
    uses[#uses + 1] = { how = how, name = name, line = line }
    if how == "set" then own[name] = true end
  end)
  local names, globals = {}, {}
  for _, made in ipairs(context.found.locals) do names[#names + 1] = made.name end
  for name in pairs(known) do globals[#globals + 1] = name end
  table.sort(globals)
  for _, name in ipairs(globals) do names[#names + 1] = name end
  for _, use in ipairs(uses) do
    local new = not own[use.name] and deprecations.words[use.name]
    if new then
      context.report.add("warning", "deprecated", use.line, deprecations.text(use.name, new))
    elseif use.how == "get" and not known[use.name] and not own[use.name] then
      context.report.add("error", "global", use.line, ("there is no global '%s'%s"):format(use.name, errors.suggestion(use.name, names)))
    elseif use.how == "set" then
      local kind = known[use.name] and "the global '%s' of luabox is replaced" or "'%s' is set as a global; 'local' keeps it here"
      context.report.add("warning", "global", use.line, kind:format(use.name))
    end
  end
end

-- ---- what Lua's own libraries have

--- `string.fromat`: nil, which may be meant (`table.unpack or unpack`), but not what the script gives the library itself.
local function check_libraries(context)
  local libraries, own = { luabox = context.vocabulary.luabox }, {}
  for _, name in ipairs { "string", "table", "math", "os", "io", "bit", "coroutine" } do libraries[name] = _G[name] end
  for _, made in ipairs(context.found.locals) do libraries[made.name] = nil end
  local uses = {}
  for i, token in ipairs(context.tokens) do
    local before, dot, member, after = context.tokens[i - 1], context.tokens[i + 1], context.tokens[i + 2], context.tokens[i + 3]
    local inner = before and (before.text == "." or before.text == ":")
    if token.kind == "name" and libraries[token.text] and not inner and dot and dot.text == "." and member then
      local name = token.text .. "." .. member.text
      if after and after.text == "=" or before and before.text == "function" then own[name] = true end
      uses[#uses + 1] = { library = token.text, member = member, name = name }
    end
  end
  for _, use in ipairs(uses) do
    if libraries[use.library][use.member.text] == nil and not own[use.name] then
      local known = {}
      for name in pairs(libraries[use.library]) do known[#known + 1] = name end
      context.report.add("warning", "global", use.member, ("there is no '%s'%s"):format(use.name, errors.suggestion(use.member.text, known)))
    end
  end
end

--- Mounts of a container that hide each other: two on one target, or one above another that came before it.
local function check_mounts(context, call, made)
  if call.name ~= "container" or not made then return end
  local before = {}
  for _, mount in ipairs(made.config.mounts or {}) do
    local target = mount.target and mount.target:gsub("(.)/+$", "%1")
    local line = line_in(mount.where, call.line)
    for _, other in ipairs(target and before or {}) do
      if other.target == target then
        context.report.add("warning", "mount", line, ("two mounts on '%s': this one hides the one of line %d"):format(target, other.line))
      elseif other.target:sub(1, #target + 1) == target .. "/" then
        context.report.add("warning", "mount", line, ("the mount on '%s' hides the one on '%s', which comes before it"):format(target, other.target))
      end
    end
    if target then before[#before + 1] = { target = target, line = line } end
  end
end

--- Limits that are written as a constant, for update.
local function check_limits(context, from, to)
  local limits = loadstring("return " .. literals.text_without(context, from, to, {}))
  local ok, problem = errors.try(function() sys.cgroup.plan(setfenv(limits, {})()) end)
  if ok then return end
  context.report.add("error", "value", context.tokens[from].line, require("luabox.synonyms").in_limits(problem.message))
end

local function check_names(context)
  require("luabox.names").check {
    tokens = context.tokens, constructors = context.constructors, add = context.report.add, found = context.found,
    expression_end = function(at) return literals.expression_end(context.tokens, at) end,
    check_table = function(at, class, name)
      local found = literals.table(context, at, class, name)
      check_keys(context, found)
      if class.name == "luabox.CgroupLimits" and found.constant then check_limits(context, at, found.to) end
    end,
  }
end

-- ---- one script

--- Names that the script gives a meaning of its own are no constructors in it.
local function constructors_in(tokens, vocabulary)
  local constructors = {}
  for name, value in pairs(vocabulary) do
    if type(value) == "function" and reference.find(name) and name ~= "require_version" then constructors[name] = true end
  end
  for i, token in ipairs(tokens) do
    local before = tokens[i - 1]
    if token.kind == "name" and before and (before.text == "local" or (before.text == "function" and tokens[i + 1].text == "(")) then
      constructors[token.text] = nil
    end
  end
  return constructors
end

local function images_by_name()
  local names = {}
  for _, each in ipairs(require("luabox.images").list()) do names[each.name] = true end
  return names
end

local function new_context(file, text, report)
  local vocabulary = require "luabox.stdlib"
  local context = { file = file, text = text, report = report, vocabulary = vocabulary, tables = {}, tokens = report.tokens,
    found = require("luabox.scopes").of(report.tokens) }
  context.constructors, context.images = constructors_in(context.tokens, vocabulary), images_by_name()
  function context.embedded(module)
    for i = 1, 3 do  -- what is loaded, what is embedded; the rest would look on the disk
      if type(package.loaders[i](module)) == "function" then return true end
    end
    return false
  end
  return context
end

--- A script that can't be read is a mistake as any other for an editor; for a person it is a wrong command line.
local function check_script(file, for_editor)
  local report = findings.of(file)
  local there, text = errors.try(require("luabox.commands.run").read, file, sys.file.read)
  if not there and not for_editor then error(text, 0) end
  if not there then
    report.add("error", "file", 1, tostring(text))
    return report.list
  end
  local chunk, problem = loadstring(text, "@" .. file)
  if not chunk and text:find("\0", 1, true) then errors.raise("%s is a binary file, expected a script in text", file) end
  if not chunk then
    local line, message = problem:match ":(%d+): (.*)$"
    report.text, report.tokens = text, lexer.tokens(text)
    message = (message or problem):gsub("^('}' expected .* near '[%a_][%w_]*')$", "%1; is a ',' missing before it?")
    report.add("error", "syntax", tonumber(line) or 1, message)
    return report.list
  end
  errors.script = { name = file, text = text }
  report.text, report.tokens = text, lexer.tokens(text)
  local context = new_context(file, text, report)
  check_globals(context, chunk)
  check_libraries(context)
  check_modules(context)
  check_version(context)
  check_returned(context)
  check_names(context)
  for i in ipairs(context.tokens) do
    context.tables = {}
    local call = literals.call(context, i)
    if call and call.further then
      report.add("error", "value", context.tokens[i], ("%s: expected one table, %s { ... }"):format(call.name, call.name))
    elseif call then
      for _, found in ipairs(context.tables) do check_keys(context, found) end
      local made = check_values(context, call)
      check_files(context, call, made)
      check_plans(context, call, made)
      check_mounts(context, call, made)
    end
  end
  table.sort(report.list, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    if a.column ~= b.column then return a.column < b.column end
    return a.message < b.message
  end)
  return report.list
end

function check.run(arguments)
  local options = cli.parse(check.parser(), arguments)
  for _, each in ipairs(deprecations.list()) do deprecations.tell(each.old) end  -- it is a finding here
  local all, status = {}, 0
  for _, script in ipairs(options.scripts) do
    for _, found in ipairs(check_script(script, options.json)) do
      all[#all + 1] = found
      if found.severity == "error" then status = FOUND end
    end
  end
  if options.json then
    print(sys.json.encode(all, { indent = 2 }))
    return status
  end
  for _, found in ipairs(all) do
    print(("%s:%d:%d: %s%s"):format(found.file, found.line, found.column,
      found.severity == "warning" and "warning: " or "", found.message))
  end
  return status
end

return check
