-- luabox.cli: what is read without a parser is what the parser reads.
local harness = require "harness"
local test, check = harness.test, harness.check
local cli = require "luabox.cli"

local VALUED = { ["-n"] = "name", ["--name"] = "name", ["-e"] = { "env" }, ["--env"] = { "env" } }

local function parser()
  local made = cli.parser("test", "A test's.")
  made:option "-n --name"
  made:option("-e --env"):count "*"
  made:flag "-t --terminal"
  return made
end

local function shown(options)
  return options and ("name %s, env %s"):format(tostring(options.name), options.env and table.concat(options.env, " ") or "none")
end

test("options with a value, in full: as the parser reads them", function()
  for _, words in ipairs { { "--name", "a" }, { "-n", "" }, { "-e", "A=1" }, { "--env", "A=1", "-n", "x y", "-e", "B=-2" }, {} } do
    local plain, parsed = cli.plain(words, VALUED), cli.parse(parser(), words)
    if #(parsed.env or {}) == 0 then parsed.env = nil end
    check.equal(shown(plain), shown(parsed))
  end
end)

test("all others are the parser's", function()
  for _, words in ipairs { { "--name=a" }, { "-na" }, { "--name", "a", "-n", "b" }, { "--name" }, { "--name", "-x" }, { "-t" }, { "--nam", "a" },
    { "-v" }, { "--name", "a", "--log-file", "f" }, { "-e", "A=1", "-t" } } do
    check.equal(cli.plain(words, VALUED), nil)
  end
end)

test("what takes a value is no script", function()
  local options, rest, command = cli.split({ "--name", "a", "--log-file", "f", "-v", "x.lua", "y", "--", "ls" }, VALUED)
  check.equal(table.concat(options, " "), "--name a --log-file f -v")
  check.equal(table.concat(rest, " "), "x.lua y")
  check.equal(table.concat(command, " "), "ls")
end)

harness.finish()
