-- Where an error is told to be.
local harness = require "harness"
local test, check = harness.test, harness.check
local errors = require "luabox.errors"

--- The line of a constructor that no frame of a script's is left to tell, in a script with these lines.
local function line(...)
  local own = errors.script
  errors.script = { name = "box.lua", text = table.concat({ ... }, "\n") }
  local found = coroutine.wrap(errors.users_line)(1, "container")
  errors.script = own
  return found
end

test("a tail call's line is the first that holds the word", function()
  check.equal(line "return container {}", "box.lua:1")
  check.equal(line("", "", "return container {", "}", "container"), "box.lua:3")
  check.equal(line("local c = 1", "", "return(container{})", ""), "box.lua:3")
  check.equal(line("container", ""), "box.lua:1")
end)

test("not one in a comment", function()
  check.equal(line("-- a container", "return container {}"), "box.lua:2")
  check.equal(line("local x = 1 -- container, container", "return container {} -- container"), "box.lua:2")
  check.equal(line("return container {} --", "--"), "box.lua:1")
end)

test("nor in another word", function()
  check.equal(line("local containers = mycontainer", "local container_2 = acontainer, container1", "return container {}"), "box.lua:3")
  check.equal(line("containers(container)", "container"), "box.lua:1")
end)

test("the first line of a script without it", function()
  check.equal(line("", "return make {}"), "box.lua:1")
  check.equal(line(""), "box.lua:1")
end)

harness.finish()
