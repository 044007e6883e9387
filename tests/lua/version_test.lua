-- luabox.version: what a script was written for, and deprecation.
local harness = require "harness"
local test, check = harness.test, harness.check
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

--- What `luabox COMMAND` says of a script of these lines, and the script's path.
local function said(command, text)
  if not os.getenv "LUABOX" then harness.skip "LUABOX does not name the binary" end
  local folder = sys.file.temporary "/tmp/luabox-test-"
  sys.file.write(folder .. "/old.lua", text)
  local pipe = io.popen(("%s %s %s/old.lua 2>&1 < /dev/null"):format(os.getenv "LUABOX", command, folder))
  local message = pipe:read "*a"
  pipe:close()
  os.execute("rm -r " .. folder)
  return message, folder .. "/old.lua"
end

local OLD_FIELD = [[
for i = 1, 3 do
  local c = container { rootfs = "/usr", command = { "true" },
    annotations = { number = tostring(i) } }
  assert(c.config.labels.number == tostring(i))
end
return nil, container { rootfs = "/usr", command = { "true" }, annotations = { number = "4" } } ]]

test("a deprecated field is told once a run, at its line, with its replacement, and works", function()
  local message, place = said("run", OLD_FIELD)
  check.contains(message, place .. ":3: 'container.annotations' is deprecated, use 'container.labels'\n")
  check.equal(select(2, message:gsub("deprecated", "")), 1)
end)

test("luabox check tells each use of one, at its place, and nothing of its value", function()
  local message, place = said("check", OLD_FIELD)
  check.contains(message, place .. ":3:5: warning: 'container.annotations' is deprecated, use 'container.labels'\n")
  check.contains(message, place .. ":6:64: warning: 'container.annotations' is deprecated, use 'container.labels'\n")
  check.equal(select(2, message:gsub("\n", "")), 2)
  message = said("check", 'return container { rootfs = "/", command = { "true" }, annotations = { number = 4 } }')
  check.contains(message, "labels: expected a string for 'number'")
end)

test("the old and the new name of a field can't both be said", function()
  check.raises("'annotations' and 'labels' are the same", container, { rootfs = "/", command = { "true" }, annotations = {}, labels = {} })
end)

-- No word of the vocabulary is deprecated yet.
local WITH_OLD_WORD = 'require("luabox.deprecations").words.bound = "bind"\n'

test("a deprecated word is told once a run, at its line, and is the new one", function()
  local message, place = said("run", WITH_OLD_WORD .. 'for i = 1, 2 do\n  print(bound { "/etc", "/e" .. i }.target)\nend\nprint(bound == bind)')
  check.contains(message, place .. ":3: 'bound' is deprecated, use 'bind'\n")
  check.equal(select(2, message:gsub("deprecated", "")), 1)
  check.contains(message, "/e1\n/e2\ntrue\n")
end)

test("luabox check tells a deprecated word", function()
  local message, place = said("run", WITH_OLD_WORD .. 'if arg[1] then bound "/etc" end\nrequire("luabox.commands.check").run { arg[0] }')
  check.contains(message, place .. ":2:16: warning: 'bound' is deprecated, use 'bind'\n")
end)

test("each deprecated name leads to one that there is, and is none itself", function()
  local deprecations, reference = require "luabox.deprecations", require "luabox.reference"
  for _, each in ipairs(deprecations.list()) do
    check.truthy(reference.find(each.new), each.new)
    check.truthy(not reference.find(each.old), each.old)
  end
end)

harness.finish()
