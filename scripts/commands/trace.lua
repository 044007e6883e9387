-- luabox trace FILE: what `luabox run --trace FILE` wrote, in the terminal.
local cli = require "luabox.cli"

local command = { summary = "Show where a start's time went.", words = { "files", "none" } }

local DESCRIPTION = [[
Shows a FILE that 'luabox run --trace FILE' wrote: the slowest primitives, and all of them as bars on one line of time, those of the parent and
those inside the container. ui.perfetto.dev opens the same FILE.]]

local EXAMPLES = [[
luabox run --trace start.json box.lua
luabox trace --slowest 3 start.json    where that start's time went]]

function command.parser()
  local parser = cli.parser("trace", DESCRIPTION, EXAMPLES)
  parser:argument("file", "What 'luabox run --trace' wrote."):args "?":argname "FILE"
  parser:option("--slowest", "How many of the slowest to list.", "10"):argname "N":convert(tonumber)
  parser:option("--width", "Columns of the picture.", "60"):argname "N":convert(tonumber)
  return parser
end

--- These wait for the command to end, which is not luabox's time.
local WAITS = { ["process:wait"] = true, ["terminal.supervise"] = true }

local function time(us)
  if us >= 1e6 then return ("%.2f s"):format(us / 1e6) end
  if us >= 1000 then return ("%.2f ms"):format(us / 1000) end
  return ("%.0f us"):format(us)
end

local function text_of(event)
  local args = event.args
  local text = ("%s(%s)"):format(event.name, args.arguments or "")
  if args.failure then text = text .. ": " .. args.failure end
  return text, args.where and " " .. args.where or ""
end

local function slowest(events, names, count)
  local list = {}
  for _, event in ipairs(events) do
    if not WAITS[event.name] then list[#list + 1] = event end
  end
  table.sort(list, function(a, b) return a.dur > b.dur end)
  print("Slowest:")
  for i = 1, math.min(count, #list) do
    local text, where = text_of(list[i])
    print(("  %10s  %-6s  %s%s"):format(time(list[i].dur), names[list[i].pid] or "", text:sub(1, 90), where))
  end
end

--- One line for each event: when it was, as a bar, and what. The time axis ends with the start: waiting for the command would flatten all else.
local function picture(events, names, width)
  local first, last = events[1].ts, events[1].ts
  for _, event in ipairs(events) do
    if not WAITS[event.name] then last = math.max(last, event.ts + event.dur) end
    if WAITS[event.name] then break end
  end
  local span = math.max(last - first, 1)
  print(("\n%s in %s:"):format(#events == 1 and "One primitive" or #events .. " primitives", time(span)))
  for _, event in ipairs(events) do
    local from = math.floor((event.ts - first) / span * width)
    if from < width and not WAITS[event.name] then
      local long = math.max(1, math.min(width - from, math.floor(event.dur / span * width + 0.5)))
      local bar = (" "):rep(from) .. (names[event.pid] == "child" and "=" or "#"):rep(long)
      print(("  %s|%9s  %s"):format(bar .. (" "):rep(width - #bar), time(event.dur), event.name))
    end
  end
  print(("  # parent, = inside; %s from edge to edge"):format(time(span)))
end

function command.run(arguments)
  local options = cli.parse(command.parser(), arguments)
  if not options.file then cli.refuse("trace", "expected a file that 'luabox run --trace' wrote") end
  if not options.slowest or options.slowest < 0 then cli.refuse("trace", "--slowest: expected a number") end
  if not options.width or options.width < 10 then cli.refuse("trace", "--width: expected a number of at least 10") end
  local events, names = require("luabox.chrome").read(options.file)
  slowest(events, names, options.slowest)
  picture(events, names, options.width)
end

return command
