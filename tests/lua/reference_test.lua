-- scripts/meta against what luabox accepts, both ways: functions, methods, options, fields; and docs/reference.md against scripts/meta.
local harness = require "harness"
local test, check = harness.test, harness.check
local reference = require "luabox.reference"
local stdlib = require "luabox.stdlib"
local sys = require "luabox.sys"

local MODULES = { "mount", "running", "net", "cgroup", "security", "user", "archive", "terminal", "file", "json", "log" }
local entries, by_name = reference.all()

local function set(list)
  local names = {}
  for _, name in ipairs(list) do names[name] = true end
  return names
end

local function upvalue(f, wanted)
  for i = 1, 60 do
    local name, value = debug.getupvalue(f, i)
    if not name then return nil end
    if name == wanted then return value end
  end
end

--- The class of the objects that `f` makes: itself an upvalue of it, or of a function of its that makes them.
local function class_behind(f)
  for _, name in ipairs { "Running", "Execution" } do
    if upvalue(f, name) then return upvalue(f, name) end
  end
  for _, maker in ipairs { "prepare", "running" } do
    local value = upvalue(f, maker)
    if value then return class_behind(type(value) == "table" and value.of or value) end
  end
end

-- What luabox has and scripts/meta doesn't: told at the end.
local undocumented = {}

--- What is only in scripts/meta.
local function difference(documented, real, of)
  local lines = {}
  for name in pairs(documented) do
    if not real[name] then lines[#lines + 1] = name .. " (only in scripts/meta)" end
  end
  for name in pairs(real) do
    if not documented[name] then undocumented[#undocumented + 1] = (of and of .. "." or "") .. name end
  end
  table.sort(lines)
  return table.concat(lines, ", ")
end

local function names_of(fields)
  local names = {}
  for _, field in ipairs(fields) do
    if field.name:match "^[%a_]" then names[field.name] = true end
  end
  return names
end

test("the vocabulary is documented, and nothing else is", function()
  local documented, real = {}, set { "arg" }
  for _, entry in ipairs(entries) do
    local global = (entry.kind == "function" or entry.kind == "value") and not entry.name:find "[.:]"
    if global and entry.name ~= "sys" then documented[entry.name] = true end
  end
  for name in pairs(stdlib) do real[name] = true end
  check.equal(difference(documented, real), "")
end)

test("every primitive is documented, and nothing else is", function()
  local documented, real = {}, {}
  for _, entry in ipairs(entries) do
    if entry.kind == "function" and entry.name:match "^sys%." then documented[entry.name] = true end
  end
  for name, value in pairs(sys) do
    if type(value) == "function" then real["sys." .. name] = true end
  end
  for _, module in ipairs(MODULES) do
    for name in pairs(sys[module]) do real["sys." .. module .. "." .. name] = true end
  end
  check.equal(difference(documented, real), "")
end)

-- ---- objects

local folder = sys.file.temporary "/tmp/luabox-test-"
local root = sys.mount.root(folder)
local process = sys.clone({}, function() sys.exec { "sleep", "1000" } end)
process:release()
local objects = {
  Root = root, Process = process, Lock = sys.file.lock(folder), Descriptor = sys.namespace(0, "uts"), Signals = sys.terminal.forward_signals(),
  Mount = sys.mount.make_tmpfs(), Filter = sys.security.filter "default", Cgroup = sys.cgroup.create("luabox-reference-test-" .. sys.pid()),
}

test("every method of an object is documented, and nothing else is", function()
  local wrong = {}
  for class, object in pairs(objects) do
    local documented, real = {}, {}
    for _, entry in ipairs(entries) do
      local name = entry.name:match("^" .. class .. ":(.*)$")
      if name then documented[name] = true end
    end
    for name in pairs(debug.getmetatable(object).__index) do real[name] = true end
    local missing = difference(documented, real, class)
    if missing ~= "" then wrong[#wrong + 1] = class .. ": " .. missing end
  end
  check.equal(table.concat(wrong, "\n"), "")
end)

test("every function of a module that a script may require is documented, and nothing else is", function()
  local compared = 0
  for _, file in ipairs(reference.FILES) do
    if file ~= "luabox" and file ~= "sys" then
      local documented, real = {}, {}
      for _, entry in ipairs(entries) do
        local name = entry.name:match("^" .. file .. "%.(.*)$")
        if name and entry.kind == "function" then documented[name] = true end
      end
      for name, value in pairs(require("luabox." .. file)) do
        if type(value) == "function" then real[name], compared = true, compared + 1 end
      end
      check.equal(difference(documented, real, file), "")
    end
  end
  check.truthy(compared >= 14, "compared " .. compared)
end)

test("so is every method of a container that was found, and of a process in one", function()
  local found = { RunningContainer = require("luabox.running").find, Execution = require("luabox.execution").start }
  for class, made_by in pairs(found) do
    local documented, real = {}, {}
    for _, entry in ipairs(entries) do
      local name = entry.name:match("^" .. class .. ":(.*)$")
      if name then documented[name] = true end
    end
    for name, value in pairs(class_behind(made_by)) do
      if type(value) == "function" and not name:match "^__" then real[name] = true end
    end
    check.truthy(next(real), class)
    check.equal(difference(documented, real, class), "")
  end
end)

test("every module of luabox's that the documents and examples require has definitions", function()
  local top, known, without = arg[0]:match "^(.*/)" .. "../../", set(reference.FILES), {}
  for _, place in ipairs { "docs", "examples", "examples/policies" } do
    for _, name in ipairs(sys.file.list(top .. place)) do
      local text = name:match "%.%l+$" and sys.file.read(top .. place .. "/" .. name) or ""
      for module in text:gmatch "require[ (]*\"luabox%.(%l+)\"" do
        if not known[module] then without[#without + 1] = place .. "/" .. name .. ": " .. module end
      end
    end
  end
  check.equal(table.concat(without, ", "), "")
end)

test("every method of a container is documented, and nothing else is", function()
  local documented, real = {}, {}
  for _, entry in ipairs(entries) do
    local name = entry.name:match "^Container:(.*)$"
    if name then documented[name] = true end
  end
  local made = container { rootfs = folder, command = { "/bin/true" } }
  for name, value in pairs(getmetatable(made)) do
    if type(value) == "function" and not name:match "^__" and name ~= "write_sysctls" then real[name] = true end
  end
  check.equal(difference(documented, real), "")
end)

-- ---- options of primitives: an option that is nowhere is an error that lists them all

local VALUES = {
  string = folder, integer = 1, number = 1, boolean = true, ["luabox.sys.Root"] = root, ["luabox.sys.Process"] = process,
  ["luabox.sys.ProcessId"] = process, ["string[]"] = { "x" }, ["luabox.CgroupLimits"] = {}, any = "x", ["luabox.sys.Mode"] = "0755",
  ["string|luabox.sys.Descriptor|luabox.sys.ProcessId"] = process, ["luabox.sys.Descriptor"] = objects.Descriptor,
}
local WORDS = { ["sys.mount.propagation"] = "private", ["sys.user.rlimit"] = "nofile", ["sys.net.local_device"] = "10.0.0.1" }
local NO_OPTION = "zzzzzzzzzzzzzzzzzzzzzzzz"

local function real_options(f, entry, at, object)
  local arguments, count = {}, 0
  if object then arguments[1], count = object, 1 end
  for i = 1, at - 1 do arguments[count + i] = WORDS[entry.name] or VALUES[entry.parameters[i].type] end
  if WORDS[entry.name] and at == 2 then arguments[count + 1] = WORDS[entry.name] end
  arguments[count + at] = { [NO_OPTION] = true }
  local ok, problem = pcall(f, unpack(arguments, 1, count + at))
  check.truthy(not ok, entry.name .. " took an option that there is not")
  local list = problem.message:match "unknown option '[^']*', expected one of (.*)$"
  if not list then return nil, problem.message end
  local names = {}
  for name in list:gmatch "'([^']*)'" do names[name] = true end
  return names
end

local function function_of(entry)
  local class, method = entry.name:match "^(%u%a*):(.*)$"
  if class then return objects[class] and debug.getmetatable(objects[class]).__index[method], objects[class] end
  local value = _G
  for name in entry.name:gmatch "[^.]+" do value = name == "sys" and sys or rawget(value, name) or value[name] end
  return value
end

test("every option of a primitive is documented, and nothing else is", function()
  local wrong, compared = {}, 0
  for _, entry in ipairs(entries) do
    for at, parameter in ipairs(entry.parameters or {}) do
      local class = by_name[parameter.type:match "^luabox%.[%w_.]+" or ""]
      local primitive = entry.name:match "^sys%." or entry.name:match "^%u%a*:"
      if primitive and class and class.kind == "class" and #class.fields > 0 and class.name ~= "luabox.CgroupLimits" then
        local f, object = function_of(entry)
        if f then
          local real, message = real_options(f, entry, at, object)
          local missing = real and difference(names_of(reference.fields_of(class)), real, entry.name) or message
          if missing ~= "" then wrong[#wrong + 1] = entry.name .. ": " .. missing end
          compared = compared + 1
        end
      end
    end
  end
  check.equal(table.concat(wrong, "\n"), "")
  check.truthy(compared >= 50, "compared " .. compared)
end)

-- ---- fields of the vocabulary: the schemas, found in the functions that check with them

--- The schema of a constructor.
local function schema_of(f)
  local found = upvalue(f, "FIELDS") or upvalue(f, "VETH") or upvalue(f, "fields")
  local made_by = not found and upvalue(f, "value")
  return found or (made_by and schema_of(made_by))
end

--- The definition with which a check, or one that it is made of, checks a table.
local function definition_in(f, depth)
  if type(f) ~= "function" or (depth or 0) > 4 then return nil end
  local found = upvalue(f, "definition")
  if found then return found end
  for i = 1, 60 do
    local name, value = debug.getupvalue(f, i)
    if not name then return nil end
    if name == "check" or name == "one" then found = definition_in(value, (depth or 0) + 1) end
    for _, each in ipairs(name == "checks" and value or {}) do found = found or definition_in(each, (depth or 0) + 1) end
    if found then return found end
  end
end

local function compare(class, definition, wrong)
  local real = {}
  for name, checked in pairs(definition) do
    if type(checked) ~= "table" then real[name] = true end
  end
  local missing = difference(names_of(reference.fields_of(class)), real, class.name)
  if missing ~= "" then wrong[#wrong + 1] = class.name .. ": " .. missing end
  local count = 1
  for name, checked in pairs(definition) do
    local inner, documented = definition_in(checked), reference.class_of_field(class, name)
    if inner and not documented then undocumented[#undocumented + 1] = class.name .. "." .. name .. ".*" end
    if inner and documented then count = count + compare(documented, inner, wrong) end
  end
  return count
end

test("every field of the vocabulary is documented, and nothing else is", function()
  local wrong, count = {}, 0
  for _, name in ipairs { "container", "image", "directory", "bind", "proc", "sysfs", "tmpfs", "dev", "devpts", "mqueue", "overlay", "cgroupfs",
    "veth" } do
    local definition = schema_of(stdlib[name])
    check.truthy(definition, name .. " has no schema")
    local class = reference.options_of(name)
    if class then count = count + compare(class, definition, wrong) end
    if not class then check.equal(next(definition), nil, name .. " has options, and no class of them") end
  end
  count = count + compare(by_name["luabox.ImportRequest"], schema_of(require("luabox.images").import), wrong)
  count = count + compare(by_name["luabox.ExecOptions"], schema_of(require("luabox.execution").start), wrong)
  check.equal(table.concat(wrong, "\n"), "")
  check.truthy(count >= 16, "compared " .. count)
end)

test("a cgroup's short names are keys that luabox knows", function()
  local unknown = {}
  for name in pairs(names_of(by_name["luabox.CgroupLimits"].fields)) do
    local ok, problem = pcall(sys.cgroup.plan, { [name] = "1" })
    if not ok and problem.message:find "unknown" then unknown[#unknown + 1] = name end
  end
  check.equal(table.concat(unknown, " "), "")
  local ok, problem = pcall(sys.cgroup.plan, { no_such_key_at_all = "1" })
  check.truthy(not ok and problem.message:find "unknown" or not ok, "the check can fail: " .. tostring(problem))
end)

test("whatever luabox has is in scripts/meta", function()
  check.equal(table.concat(undocumented, " "), "")
end)

test("every short name of a cgroup key is in scripts/meta and in docs/scripts.md", function()
  local top = arg[0]:match "^(.*/)" .. "../../"
  local document, fields, missing, count = sys.file.read(top .. "docs/scripts.md"), {}, {}, 0
  for _, field in ipairs(reference.fields_of(by_name["luabox.CgroupLimits"])) do fields[field.name] = true end
  for _, key in ipairs(sys.cgroup.keys()) do
    for _, word in ipairs(key.words) do
      count = count + 1
      if word ~= "hugetlb.*" and not fields[word] then missing[#missing + 1] = word .. " in scripts/meta" end
      local written = word == "hugetlb.*" and '["hugetlb.2MB"]' or word
      if not document:find("`" .. written .. "`", 1, true) then missing[#missing + 1] = word .. " in docs/scripts.md" end
    end
  end
  check.equal(table.concat(missing, ", "), "")
  check.truthy(count > 25, count .. " names")
end)

test("docs/reference.md is up to date", function()
  local written = sys.file.read(arg[0]:match "^(.*/)" .. "../../docs/reference.md")
  check.truthy(written == reference.markdown() .. "\n", "run tools/reference; it is up to date")
end)

os.execute("rm -r " .. folder)
process:kill "KILL"
process:wait()
harness.finish()
