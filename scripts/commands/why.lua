-- luabox why [ERRNO] [STEP] [TEXT...]: why the last start failed; or what is known of an errno, a step, a message.
local cli = require "luabox.cli"
local errors = require "luabox.errors"

local why = { summary = "Tell why the last start failed, and what to do." }

local DESCRIPTION = [[
Without arguments: the last start of this user's that failed, with its step, its object, its errno, the line of the script, the likely cause and
what to do; the exit status is 1 when none is known. With arguments: what could be meant by an errno (ENOENT, 2), a step (open_tree, exec), both, a
word of a cause, or a message of luabox's in quotes. Sites add causes of their own: /etc/luabox/causes.lua.]]

local EXAMPLES = [[
luabox why                             the last start that failed
luabox why EPERM clone                 what an errno of a step can mean
luabox why --json | jq -r .remedy      what to do, for a program]]

function why.parser()
  local parser = cli.parser("why", DESCRIPTION, EXAMPLES)
  parser:usage "Usage: luabox why [OPTIONS] [ERRNO] [STEP] [TEXT...]\n       luabox why [OPTIONS] --all"
  parser:argument("words", "An errno, a step, or a text."):args "*":argname "WORD"
  parser:flag("--all", "All that is known.")
  parser:flag("--json", "As JSON.")
  return parser
end

--- What an image or another program had a hand in is shown as one line, without what a terminal would obey.
local function plain(text) return (text:gsub("%c", "?")) end

-- ---- the last failure

local function age(time)
  local seconds = math.max(0, os.difftime(os.time(), time))
  if seconds < 120 then return ("%d seconds ago"):format(seconds) end
  if seconds < 7200 then return ("%d minutes ago"):format(seconds / 60) end
  return ("%d hours ago"):format(seconds / 3600)
end

local function errno_of(last)
  if not last.code then return nil end
  for _, each in ipairs(require("luabox.sys").errors()) do
    if each.name == last.code then return ("%s (%d): %s"):format(each.name, each.code, each.text) end
  end
  return last.code
end

local function show_failure(last)
  local function row(name, value)
    if value and value ~= "" then print(("  %-7s %s"):format(name, plain(value))) end
  end
  local where = last.where and last.message:find(last.where, 1, true) ~= 1 and last.where .. ": " or ""
  print(plain(where .. last.message))
  row("when", ("%s, %s"):format(os.date("%Y-%m-%d %H:%M:%S", last.time), age(last.time)))
  row("command", ("luabox %s%s"):format(last.command, last.script and " " .. last.script or ""))
  row("step", last.op ~= "script" and last.op or nil)
  row("object", last.path)
  row("errno", errno_of(last))
  row("line", last.where)
  row("", last.line)
  row("cause", last.cause or "not known; `luabox why TEXT` searches what is")
  row("to do", last.remedy)
end

--- 1 where there is none.
local function last_failure(options)
  local last = require("luabox.failure").last()
  if not last then
    if options.json then print "null" else print "No start of this user's has failed that is known of." end
    return 1
  end
  if not last.cause then last.cause, last.remedy = require("luabox.causes").find(last) end
  if options.json then print(require("luabox.sys").json.encode(last, { indent = 2 })) else show_failure(last) end
  return 0
end

-- ---- a look at the table

--- "open_tree /srv: No such file or directory" -> an error as causes.find takes it; nil when it is no such sentence.
local function parsed(text)
  for _, each in ipairs(require("luabox.sys").errors()) do
    local from = text:find(": " .. each.text, 1, true)
    if from then
      local step = text:sub(1, from - 1):gsub("^luabox: ", ""):gsub("^%S+:%d+: ", "")
      local problem = { code = each.name, errno = each.code, message = text, op = step:match "^[%w_]+" }
      -- A sentence of the library's may stand before the engine's: "bind /data: open_tree /srv/data".
      for part in (step .. ": "):gmatch "(.-): " do
        local op, path = part:match "^([%w_]+) ?(.*)$"
        if op and require("luabox.causes").knows_op(op) then problem.op, problem.path = op, path end
      end
      return problem
    end
  end
end

--- The words of the command line as what causes.search looks for.
local function wanted_of(words)
  local wanted, rest = {}, {}
  for _, word in ipairs(words) do
    local code
    for _, each in ipairs(require("luabox.sys").errors()) do
      if word:upper() == each.name or tonumber(word) == each.code then code = each.name end
    end
    if code and not wanted.code then
      wanted.code = code
    elseif not wanted.op and require("luabox.causes").knows_op(word) then
      wanted.op = word
    else
      rest[#rest + 1] = word
    end
  end
  if #rest > 0 then wanted.text = table.concat(rest, " ") end
  return wanted
end

local function found_for(words)
  local causes = require "luabox.causes"
  local problem = parsed(table.concat(words, " "))
  if not problem then return causes.search(wanted_of(words)) end
  local cause, remedy = causes.find(problem)
  return cause and { { cause = cause, remedy = remedy, op = problem.op, code = problem.code } } or causes.search { code = problem.code }
end

local function words(value) return type(value) == "table" and table.concat(value, " ") or value end

local function as_json(list)
  local items, causes = {}, require "luabox.causes"
  for i, each in ipairs(list) do
    items[i] = { step = words(each.op), errno = words(each.code), object = each.path, message = each.message, cause = causes.text(each, {}),
      remedy = each.remedy, conditional = each.when ~= nil or nil, from = each.from }
  end
  return require("luabox.sys").json.encode(items, { indent = 2 })
end

local function show_causes(list)
  local causes = require "luabox.causes"
  for i, each in ipairs(list) do
    if i > 1 then print "" end
    local head = { words(each.code), words(each.op),
      each.path and ("of '%s'"):format(each.path), each.message and ("saying '%s'"):format(each.message) }
    local parts = {}
    for position = 1, 4 do parts[#parts + 1] = head[position] end
    print(("%s%s"):format(table.concat(parts, " "), each.from and "    -- " .. each.from or ""))
    print("  cause: " .. causes.text(each, {}))
    print("  to do: " .. each.remedy)
  end
end

function why.run(arguments)
  local options = cli.parse(why.parser(), arguments)
  local causes = require "luabox.causes"
  for _, warning in ipairs(causes.load_site()) do require("luabox.sys").log.warning(warning) end
  if #options.words == 0 and not options.all then return last_failure(options) end
  if #options.words > 0 and options.all then cli.refuse("why", "--all is about all: expected no further words") end
  local list = options.all and causes.search {} or found_for(options.words)
  if options.json then
    print(as_json(list))
  elseif #list == 0 then
    errors.raise("nothing is known of '%s'; luabox why --all has all that is", plain(table.concat(options.words, " ")))
  else
    show_causes(list)
  end
  return #list > 0 and 0 or 1
end

return why
