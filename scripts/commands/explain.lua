-- luabox explain [OPTIONS] SCRIPT [ARG...]: what a script would do.
local cli = require "luabox.cli"
local errors = require "luabox.errors"

local explain = { summary = "Tell what a script would do, without doing it.", options_first = true, words = { "scripts", "files" } }

local DESCRIPTION = [[
Runs SCRIPT without touching anything, and prints what 'luabox run SCRIPT' would do, step by step, on the host and inside, each with the line of
the script that asks for it. Needs no privilege. Commands are taken to succeed.]]

local EXAMPLES = [[
luabox explain box.lua                 what would be done, step by step
luabox explain --shell box.lua         as unshare, mount, ip, nft, echo ...
luabox explain --diff a.lua b.lua      what the second does differently]]

function explain.parser()
  local parser = cli.parser("explain", DESCRIPTION, EXAMPLES)
  parser:usage "Usage: luabox explain [OPTIONS] SCRIPT [ARG...] [-- COMMAND...]\n       luabox explain --diff A B"
  parser:option("--name", "As if the container were called NAME."):argname "NAME"
  parser:flag("--json", "As JSON.")
  parser:flag("--all", "Bookkeeping too: locks, descriptors.")
  parser:flag("--root", "What it would do if root ran it.")
  parser:flag("--seccomp", "Only the system call filter, as rules.")
  parser:flag("--shell", "As a shell script that does the same.")
  parser:flag("--diff", "What differs between two scripts.")
  return parser
end

-- ---- as text

local function heading(step)
  if step.side == "host" then return "On the host:" end
  return ("Inside %s:"):format(step.process)
end

local function print_steps(steps)
  local plan_lines, last = require "luabox.plan_lines", nil
  for number, step in ipairs(steps) do
    local title = heading(step)
    if title ~= last then print((last and "\n" or "") .. title) end
    last = title
    print(("%4d  %s%s"):format(number, plan_lines.line(step), step.where and "    -- " .. step.where or ""))
    for _, write in ipairs(step.writes or {}) do print(("        %s <- %s"):format(write.path, tostring(write.value))) end
  end
end

-- ---- the filter

--- "read: allow" and its like, those with the same action on one line; those that look at arguments one by one.
local function grouped(lines)
  local actions, groups, single = {}, {}, {}
  for _, line in ipairs(lines) do
    local name, action = line:match "^([%w_]+): ([%w:_]+)$"
    if name then
      if not groups[action] then
        groups[action], actions[#actions + 1] = {}, action
      end
      table.insert(groups[action], name)
    else
      single[#single + 1] = line
    end
  end
  table.sort(actions)
  return actions, groups, single
end

local function wrapped(words, indent, width)
  local lines, line = {}, indent
  for _, word in ipairs(words) do
    if #line + #word + 1 > width and line ~= indent then
      lines[#lines + 1], line = line, indent
    end
    line = line .. (line == indent and "" or " ") .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local function print_filter(each)
  print(("container at %s:"):format(each.where))
  local lines = require("luabox.confinement").rules_of(each)
  if not lines then return print "  no filter: seccomp = \"unconfined\"" end
  local actions, groups, single = grouped(lines)
  for _, line in ipairs(single) do print("  " .. line) end
  for _, action in ipairs(actions) do
    print(("  %s (%d):"):format(action, #groups[action]))
    table.sort(groups[action])
    print(wrapped(groups[action], "    ", 100))
  end
end

-- ---- two plans

local function texts_of(steps)
  local plan_lines, texts = require "luabox.plan_lines", {}
  for _, step in ipairs(steps) do
    local text = (step.side == "host" and "host    " or "inside  ") .. plan_lines.line(step)
    texts[#texts + 1] = { text = text, where = step.where }
    for _, write in ipairs(step.writes or {}) do
      texts[#texts + 1] = { text = ("host      %s <- %s"):format(write.path, tostring(write.value)), where = step.where }
    end
  end
  return texts
end

--- The longest common part, and so the least that differs.
local function difference(a, b)
  local length = {}
  for i = #a + 1, 1, -1 do
    length[i] = {}
    for j = #b + 1, 1, -1 do
      if i > #a or j > #b then
        length[i][j] = 0
      elseif a[i].text == b[j].text then
        length[i][j] = length[i + 1][j + 1] + 1
      else
        length[i][j] = math.max(length[i + 1][j], length[i][j + 1])
      end
    end
  end
  local result, i, j = {}, 1, 1
  while i <= #a or j <= #b do
    if i <= #a and j <= #b and a[i].text == b[j].text then
      i, j = i + 1, j + 1
    elseif j > #b or (i <= #a and length[i + 1][j] >= length[i][j + 1]) then
      result[#result + 1], i = { sign = "-", line = a[i] }, i + 1
    else
      result[#result + 1], j = { sign = "+", line = b[j] }, j + 1
    end
  end
  return result
end

local function diff(first, second, options)
  local plan, sides = require "luabox.plan", {}
  for i, script in ipairs { first, second } do
    local steps, problem = plan.of(require "luabox.commands.run", script, {}, options)
    if problem and problem.op ~= "policy" then error(problem, 0) end  -- a refusal is a step that differs
    -- The name of a container comes from its script's: two scripts that do the same are the same.
    local stem = (script:match "([^/]+)%.lua$" or script):gsub("%p", "%%%0")
    sides[i] = texts_of(steps)
    for _, each in ipairs(sides[i]) do each.text = each.text:gsub(stem .. "%-(%x%x%x%x%x%x%x%x)", "NAME-%1") end
  end
  local changes = difference(sides[1], sides[2])
  if options.json then
    local list = {}
    for i, change in ipairs(changes) do
      list[i] = { script = change.sign == "-" and first or second, step = change.line.text, where = change.line.where }
    end
    print(require("luabox.sys").json.encode(list, { indent = 2 }))
  else
    print("--- " .. first .. "\n+++ " .. second)
    for _, change in ipairs(changes) do print(("%s %s    -- %s"):format(change.sign, change.line.text, change.line.where or "")) end
  end
  return #changes == 0 and 0 or 1
end

--- As JSON can hold it: an infinite number, which is no limit to a cgroup, and one that is none are texts.
local function plain(value)
  if type(value) == "number" and value - value ~= 0 then return tostring(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, each in pairs(value) do copy[key] = plain(each) end
  return copy
end

function explain.run(arguments)
  local before, rest, command = cli.split(arguments, { ["--name"] = "name" })
  local options = cli.parse(explain.parser(), before)
  options.command = command
  if not rest[1] then cli.refuse("explain", "expected a script") end
  if options.diff then
    if #rest ~= 2 then cli.refuse("explain", "--diff: expected two scripts") end
    return diff(rest[1], rest[2], options)
  end
  local script = table.remove(rest, 1)
  options.all = options.all or options.shell
  local steps, problem, containers = require("luabox.plan").of(require "luabox.commands.run", script, rest, options)
  if options.seccomp then
    if problem then error(problem, 0) end
    if #containers == 0 then errors.raise_at(script, "the script returned no container: there is no filter to show") end
    for _, each in ipairs(containers) do print_filter(each) end
  elseif options.shell then
    if problem then error(problem, 0) end
    local written, why = io.write((require("luabox.shell_script").script(script, steps, require("luabox.state").folder())))
    if not written then errors.raise("standard output: %s", why) end
  elseif options.json then
    print(require("luabox.sys").json.encode({ script = script, steps = plain(steps), failure = problem and tostring(problem) }, { indent = 2 }))
  else
    print_steps(steps)
  end
  if problem then error(problem, 0) end
end

return explain
