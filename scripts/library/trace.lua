-- trace.lua: what passed the gate, parent and child on one timeline, as a file in Chrome's trace event format.
--
-- Perfetto (ui.perfetto.dev) and chrome://tracing open it as it is. Times are microseconds, processes are as the host numbers them.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"

local trace = {}

-- Arguments may hold what is nobody else's business.
local PRIVATE = { mode = 384 }

--- From here on everything is kept; finish() writes `file`. Raises at once where that can't be, or where something else than a trace is
--- there: a file is replaced as a whole.
function trace.begin(file)
  local there = sys.file.status(file)
  if there and there.kind ~= "file" then errors.raise("--trace %s: it is no regular file", file) end
  if there and sys.file.read(file):find "%S" and not pcall(trace.read, file) then
    errors.raise("--trace %s: the file is there already, and is no trace", file)
  end
  if not there then sys.file.write(file, "", PRIVATE) end
  trace.file = sys.file.absolute(file)
  sys.gate.trace()
end

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

local function name_events(processes)
  local list = {}
  for track, pid in pairs(processes) do
    local name = track == 0 and "luabox" or "luabox, inside"
    list[#list + 1] = { ph = "M", name = "process_name", pid = pid, tid = pid, args = { name = name } }
    list[#list + 1] = { ph = "M", name = "thread_name", pid = pid, tid = pid, args = { name = track == 0 and "parent" or "child" } }
    list[#list + 1] = { ph = "M", name = "process_sort_index", pid = pid, tid = pid, args = { sort_index = track } }
  end
  return list
end

--- The events of sys.gate.events() as a trace: { traceEvents = { ... }, ... }.
function trace.chrome(events, dropped)
  local line, processes = finder(), processes_of(events)
  table.sort(events, function(a, b) return a.start < b.start end)
  local list = name_events(processes)
  for _, event in ipairs(events) do
    local pid = processes[event.track] or 0
    list[#list + 1] = {
      ph = "X", cat = event.primitive:match "^([%w_]+)[.:]" or "process", name = event.primitive, pid = pid, tid = pid,
      ts = event.start, dur = end_of(event, events) - event.start,
      args = { arguments = event.arguments, result = event.result, failure = event.failure, where = line(event) },
    }
  end
  return { displayTimeUnit = "ms", traceEvents = list, otherData = { luabox = sys.version(), dropped = dropped } }
end

--- Writes the file, if begin() was called.
function trace.finish()
  if not trace.file then return end
  local file = trace.file
  trace.file = nil
  local events, dropped = sys.gate.events()
  sys.file.write(file, sys.json.encode(trace.chrome(events, dropped or 0)), PRIVATE)
  if dropped and dropped > 0 then sys.log.warning(("%d events found no room in the trace"):format(dropped)) end
end

-- ---- a trace that was written, for people

--- The complete events of `file`; raises when it is no trace of luabox's.
function trace.read(file)
  local text = sys.file.read(file)
  local ok, data = pcall(sys.json.decode, text)
  if not ok then errors.raise("%s is no trace, which 'luabox run --trace' writes: it is no JSON", file) end
  if type(data) ~= "table" or type(data.traceEvents) ~= "table" then errors.raise("%s is no trace: it has no traceEvents", file) end
  local events, names = {}, {}
  for _, event in ipairs(data.traceEvents) do
    if type(event) == "table" and event.ph == "X" and type(event.ts) == "number" and type(event.dur) == "number" then events[#events + 1] = event end
    if type(event) == "table" and event.ph == "M" and event.name == "thread_name" then names[event.pid] = event.args.name end
  end
  if #events == 0 then errors.raise("%s holds no events", file) end
  table.sort(events, function(a, b) return a.ts < b.ts end)
  return events, names
end

return trace
