-- chrome.lua: a trace that was written, in Chrome's trace event format, for people. bindings/chrome.cpp writes it.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"

local chrome = {}

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
