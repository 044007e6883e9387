-- luabox.version: what a script was written for, and deprecation.
local harness = require "harness"
local test, check = harness.test, harness.check
local schema = require "luabox.schema"
local sys = require "luabox.sys"
local version = require "luabox.version"

test("luabox.version is the binary's, in the script's scope", function()
  check.equal(luabox.version, sys.version())
  check.truthy(luabox.version:match "^%d+%.%d+%.%d+$")
end)

test("a script is served by its own version and by later ones with the same first number", function()
  for _, case in ipairs { { "0.1.0", "0.1", true }, { "0.1.0", "0.1.0", true }, { "0.1.0", "0", true }, { "0.1.0", "0.1.1", false },
    { "0.1.0", "0.2", false }, { "0.10.0", "0.9", true }, { "1.2.3", "0.1", false }, { "1.2.3", "1.2", true }, { "1.2.3", "2", false } } do
    check.equal(version.serves(case[1], case[2]), case[3], case[1] .. " for " .. case[2])
  end
end)

test("require_version raises at the script's line", function()
  require_version "0.1"
  local problem = check.raises("this script was written for luabox 99.0, this is " .. sys.version(), function() require_version "99.0" end)
  check.truthy(problem.where:find "version_test.lua:%d+$", problem.where)
  for _, wrong in ipairs { "new", "0.", "", "0..1" } do check.raises("expected a version", require_version, wrong) end
  check.raises("expected a version", require_version, 1)
end)

--- What `luabox run` says of the lines, with `prelude` run before them from a file of its own.
local function said(folder, text)
  sys.file.write(folder .. "/old.lua", text)
  local pipe = io.popen(("%s run %s/old.lua 2>&1 < /dev/null"):format(os.getenv "LUABOX", folder))
  local message = pipe:read "*a"
  pipe:close()
  return message
end

test("a deprecated name is told once a line, with its replacement, and works", function()
  if not os.getenv "LUABOX" then harness.skip "LUABOX does not name the binary" end
  local folder = sys.file.temporary "/tmp/luabox-test-"
  local message = said(folder, [[
local version = require "luabox.version"
local old = version.renamed("old_name", "new_name", function(x) return x + 1 end)
for i = 1, 3 do
  local got = old(i)
  assert(got == i + 1)
end
local got = old(1)
print(got)]])
  os.execute("rm -r " .. folder)
  local place = folder .. "/old.lua"
  check.contains(message, place .. ":4: 'old_name' is deprecated, use 'new_name'\n")
  check.contains(message, place .. ":7: 'old_name' is deprecated, use 'new_name'\n")
  check.equal(select(2, message:gsub("deprecated", "")), 2)
  check.contains(message, "\n2\n")
end)

test("a field under its old name is checked, and stands under its new one", function()
  local definition = { size = schema.integer, length = schema.renamed "size" }
  check.equal(schema.check({ length = 3 }, definition, { what = "thing" }).size, 3)
  check.raises("thing.size: expected a whole number", schema.check, { length = "x" }, definition, { what = "thing" })
  check.raises("'length' and 'size' are the same", schema.check, { length = 3, size = 3 }, definition, { what = "thing" })
end)

harness.finish()
