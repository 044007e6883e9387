-- chrome.lua: the events of a trace in Chrome's trace event format, and back.
--
-- Perfetto (ui.perfetto.dev) and chrome://tracing open it as it is. Times are microseconds, processes are as the host numbers them.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"

local chrome = {}

--- Lines, each looked for once.
local function finder()
  local known = {}
  return function(event)
    if not event.key then return event.where end
    local name = event.where .. "\0" .. event.key
    known[name] = known[name] or schema.line_of_key(event.where, event.key)
    return known[name]
  end
end

--- The process of each track: clones say which they made.
local function processes_of(events)
  local processes = { [0] = sys.pid() }
  for _, event in ipairs(events) do
    local pid = event.made and tonumber((event.result or ""):match "^process (%d+)")
    if pid then processes[event.made] = pid end
  end
  return processes
end

--- What has no duration is an exec: it ends when the other side learns of it, or with the last event.
local function end_of(event, events)
  if event.duration then return event.start + event.duration end
  for _, other in ipairs(events) do
    local learns = other.primitive == "process:settle" or other.primitive == "process:release"
    if learns and other.track ~= event.track and other.duration and other.start + other.duration > event.start then
      return other.start + other.duration
    end
  end
  local last = events[#events]
  return math.max(event.start, last.start + (last.duration or 0))
end

--- A text as JSON. What isn't plain ASCII is left to those who know.
local function quoted(text)
  if text:find "[^ -~]" then return sys.json.encode(text) end
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

local META = '{"ph":"M","name":%s,"pid":%d,"tid":%d,"args":{%s}}'

local function name_tracks(lines, processes)
  local tracks = {}
  for track in pairs(processes) do tracks[#tracks + 1] = track end
  table.sort(tracks)
  for _, track in ipairs(tracks) do
    local pid, inside = processes[track], track > 0
    lines[#lines + 1] = META:format('"process_name"', pid, pid, inside and '"name":"luabox, inside"' or '"name":"luabox"')
    lines[#lines + 1] = META:format('"thread_name"', pid, pid, inside and '"name":"child"' or '"name":"parent"')
    lines[#lines + 1] = META:format('"process_sort_index"', pid, pid, ('"sort_index":%d'):format(track))
  end
end

local function arguments_of(event, where)
  local parts = {}
  for _, name in ipairs { "arguments", "result", "failure" } do
    if event[name] then parts[#parts + 1] = ('"%s":%s'):format(name, quoted(event[name])) end
  end
  if where then parts[#parts + 1] = '"where":' .. quoted(where) end
  return table.concat(parts, ",")
end

local EVENT = '{"ph":"X","cat":"%s","name":"%s","pid":%d,"tid":%d,"ts":%.3f,"dur":%.3f,"args":{%s}}'

--- The events of sys.gate.events() as the text of a trace, which begins with `head`; one on a line.
function chrome.text(head, events, dropped)
  local line, processes, lines = finder(), processes_of(events), {}
  table.sort(events, function(a, b) return a.start < b.start end)
  name_tracks(lines, processes)
  for _, event in ipairs(events) do
    local pid, name = processes[event.track] or 0, event.primitive
    lines[#lines + 1] = EVENT:format(name:match "^([%w_]+)[.:]" or "process", name, pid, pid, event.start, end_of(event, events) - event.start,
      arguments_of(event, line(event)))
  end
  return ('%s\n%s\n],"otherData":{"luabox":%s,"dropped":%d}}\n'):format(head, table.concat(lines, ",\n"), quoted(sys.version()), dropped)
end

-- ---- a trace that was written, for people

--- A text of a file that anybody may have written, or of what an image's file is called: no terminal obeys it.
local function plain(text)
  return type(text) == "string" and text:gsub("\194[\128-\159]", "?"):gsub("%c", " ") or nil
end

--- An event with what is shown of it; nil where it is none.
local function complete(event)
  if type(event) ~= "table" or event.ph ~= "X" or type(event.ts) ~= "number" or type(event.dur) ~= "number" then return nil end
  local args = type(event.args) == "table" and event.args or {}
  return { ts = event.ts, dur = event.dur, pid = event.pid, name = plain(event.name) or "?",
    args = { arguments = plain(args.arguments), failure = plain(args.failure), where = plain(args.where) } }
end

--- The name of a track; nil where this is none.
local function track_name(event)
  if type(event) ~= "table" or event.ph ~= "M" or event.name ~= "thread_name" or type(event.args) ~= "table" then return nil end
  return plain(event.args.name)
end

--- The complete events of `file`; raises when it is no trace of luabox's.
function chrome.read(file)
  local name = schema.printable(file)
  local open, problem = io.open(file, "rb")
  if not open then errors.raise("%s", schema.printable(problem)) end
  local text = open:read "*a" or ""
  open:close()
  local ok, data = pcall(sys.json.decode, text)
  if not ok then errors.raise("%s is no trace, which 'luabox run --trace' writes: it is no JSON", name) end
  if type(data) ~= "table" or type(data.traceEvents) ~= "table" then errors.raise("%s is no trace: it has no traceEvents", name) end
  local events, names = {}, {}
  for _, event in ipairs(data.traceEvents) do
    events[#events + 1] = complete(event)
    local track = track_name(event)
    if track and event.pid then names[event.pid] = track end
  end
  if #events == 0 then errors.raise("%s holds no events", name) end
  table.sort(events, function(a, b) return a.ts < b.ts end)
  return events, names
end

return chrome
