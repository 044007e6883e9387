-- What users are told: luabox.schema, and the golden file of messages for scripts that are wrong.
local harness = require "harness"
local test, check = harness.test, harness.check
local rootfs = require "rootfs"
local schema = require "luabox.schema"
local sys = require "luabox.sys"

local GOLDEN = arg[0]:match "^(.*/)" .. "golden/messages.txt"

local function plain(text, from, to) return (text:gsub(from:gsub("%p", "%%%0"), (to:gsub("%%", "%%%%")))) end

--- What `luabox run` says of the script `text`.
local function message_of(folder, text)
  sys.file.write(folder .. "/wrong.lua", text)
  local pipe = io.popen(("%s run %s/wrong.lua 2>&1 < /dev/null"):format(os.getenv "LUABOX", folder))
  local message = pipe:read "*a"
  pipe:close()
  message = ("\n" .. message):match "\nluabox: (.*)\n$" or message  -- a sanitizer's warnings may stand before it
  return (plain(message, folder .. "/", ""))
end

--- The golden file with the messages of now.
local function anew(golden, path, folder)
  return (golden:gsub("(\n\n)(.-\n)>>>[^\n]*", function(gap, script)
    return gap .. script .. ">>> " .. plain(message_of(folder, plain(script, "$R", path)), path, "$R")
  end))
end

test("scripts that are wrong are told so, at their line, as the golden file has it", function()
  if not os.getenv "LUABOX" then harness.skip "LUABOX does not name the binary" end
  rootfs.with(function(path)
    local folder, golden = sys.file.temporary "/tmp/luabox-test-", sys.file.read(GOLDEN)
    local now = anew(golden, path, folder)
    os.execute("rm -r " .. folder)
    if os.getenv "LUABOX_UPDATE_GOLDEN" then sys.file.write(GOLDEN, now) end
    local lines = golden:gmatch "[^\n]*"
    for line in now:gmatch "[^\n]*" do check.equal(line, lines()) end
    check.equal(#now, #golden)
  end)
end)

local function given(definition, values)
  return function() return schema.check(values, definition, { what = "thing", where = "none.lua:1" }) end
end

test("a table that fits comes back as a copy, without its array part", function()
  local values = { name = "n", list = { "a" }, 5, 6 }
  local checked = given({ name = schema.string, list = schema.list(schema.string), flag = schema.boolean }, values)()
  check.equal(checked.name, "n")
  check.equal(checked.list[1], "a")
  check.truthy(checked ~= values and checked.list ~= values.list)
  check.equal(checked[1], nil)
  check.equal(checked.flag, nil)
end)

test("false is a value, not a missing one", function()
  check.equal(given({ flag = schema.boolean }, { flag = false })().flag, false)
  check.equal(given({ any = schema.either(schema.string, schema.boolean) }, { any = false })().any, false)
  check.raises("thing.name: expected a string, got false", given({ name = schema.string }, { name = false }))
end)

test("an unknown field is named with the nearest known one, if one is near", function()
  local definition = { hostname = schema.string, env = schema.table }
  check.raises("thing has no field 'hostnam' (did you mean 'hostname'?)", given(definition, { hostnam = "" }))
  local problem = check.raises("thing has no field 'zzzzzzzz'", given(definition, { zzzzzzzz = 1 }))
  check.equal(problem.message:find("did you mean", 1, true), nil)
end)

test("each check says what it expected", function()
  local function message(one, value) return check.raises("", given({ x = one }, { x = value })).message end
  check.equal(message(schema.integer, 1.5), "thing.x: expected a whole number, got 1.5")
  check.equal(message(schema.integer, 0 / 0):match "expected a whole number", "expected a whole number")
  check.equal(message(schema.list(schema.string), { "a", 2 }), "thing.x: expected a string as item 2, not 2")
  check.equal(message(schema.list(schema.string), { a = "b" }), "thing.x: expected a list; it has the key 'a'")
  check.equal(message(schema.map(schema.string), { "a" }), "thing.x: expected names as keys, not 1")
  check.contains(message(schema.word("yes", "no"), "noo"), "one of 'yes', 'no' (did you mean 'no'?), got 'noo'")
  check.equal(message(schema.either(schema.string, schema.integer), {}), "thing.x: expected a string or a whole number, got a table")
  check.contains(message(schema.fields { a = schema.string }, { b = 1 }), "thing.x has no field 'b'")
end)

test("the line of a field is where it stands, not where its name is part of another", function()
  local path = os.tmpname()
  sys.file.write(path, "f {\n  hostname = 1,\n  name = 2,\n  ['memory.max'] = 3, x == 5,\n  x = 6 }\n")
  local function line(key) return tonumber(schema.line_of_key(path .. ":1", key):match "%d+$") end
  check.equal(line "name", 3)
  check.equal(line "memory.max", 4)
  check.equal(line "x", 5)
  check.equal(line "none", 1)
  check.equal(schema.line_of_key(path .. ":4", "name"), path .. ":4")
  check.equal(schema.line_of_key("/no/such/file:4", "name"), "/no/such/file:4")
  os.remove(path)
end)

harness.finish()
