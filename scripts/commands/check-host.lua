-- luabox check-host: what this host offers, for root and for an ordinary user, and what to do for what is missing.
local cli = require "luabox.cli"

local check = { summary = "Tell what this host offers for containers." }

local DESCRIPTION = [[
Tries what containers need, in processes that are thrown away, and tells for root and for an ordinary user (this one, or 'nobody' when root asks) what
works, and for what doesn't what to do. '-' is not tried, or no matter of theirs.]]

local EXAMPLES = [[
luabox check-host                      as root it asks for an ordinary user too
luabox check-host --json               for programs]]

function check.parser()
  local parser = cli.parser("check-host", DESCRIPTION, EXAMPLES)
  parser:flag("--json", "As JSON.")
  return parser
end

local function cell(value)
  if value == nil then return "-" end
  return value and "yes" or "no"
end

local function show(result)
  print(("Linux %s, as uid %d"):format(result.kernel, result.uid))
  for name, value in pairs(result.sysctls) do print(("%s = %s"):format(name, value)) end
  local group
  for _, each in ipairs(result.checks) do
    if each.group ~= group then
      group = each.group
      print(("\n%-22s %-5s %-5s"):format(group, "root", "user"))
    end
    print((("  %-20s %-5s %-5s %s"):format(each.name, cell(each.root), cell(each.user), each.detail or ""):gsub("%s+$", "")))
  end
  print ""
  local names, order = {}, {}
  for _, each in ipairs(result.checks) do
    if each.todo and not names[each.todo] then names[each.todo], order[#order + 1] = {}, each.todo end
    if each.todo then table.insert(names[each.todo], each.name) end
  end
  for _, todo in ipairs(order) do print(("%s: %s"):format(table.concat(names[todo], ", "), todo)) end
end

function check.run(arguments)
  local options = cli.parse(check.parser(), arguments)
  local result = require("luabox.host").check()
  if options.json then
    print(require("luabox.sys").json.encode(result, { indent = 2 }))
  else
    show(result)
  end
  return 0
end

return check
