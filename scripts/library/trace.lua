-- trace.lua: what passed the gate, parent and child on one timeline, in a file.
--
-- What the file says is made when all is over: until then a start pays for no more than the events themselves.
local sys = require "luabox.sys"
local errors = require "luabox.errors"

local trace = {}

-- Arguments may hold what is nobody else's business.
local PRIVATE, NEW = { mode = 384 }, { mode = 384, create = true }

-- How each begins; and all of one whose luabox was killed.
local BEGINS = '{"displayTimeUnit":"ms",'
local HEAD = BEGINS .. '"traceEvents":['
local NONE = HEAD .. "]}\n"

--- How the file that is there begins.
local function beginning_of(file)
  local open, problem = io.open(file, "rb")
  if not open then errors.raise("%s", problem) end
  local text = open:read(#BEGINS)
  open:close()
  return text or ""
end

--- From here on everything is kept; finish() writes `file`. Raises at once where that can't be, or where something else than a trace is
--- there: a file is replaced as a whole.
function trace.begin(file)
  local kind = sys.file.kind(file)
  if kind and kind ~= "file" then errors.raise("--trace %s: it is no regular file", file) end
  local start = kind and beginning_of(file) or ""
  if start:find "%S" and start ~= BEGINS then errors.raise("--trace %s: the file is there already, and is no trace", file) end
  if start == "" then sys.file.write(file, NONE, kind and PRIVATE or NEW) end
  trace.file = file:sub(1, 1) == "/" and file or sys.file.absolute(file)
  sys.gate.trace()
end

--- Writes the file, if begin() was called.
function trace.finish()
  if not trace.file then return end
  local file = trace.file
  trace.file = nil
  local text, dropped = sys.gate.trace_text(HEAD, function(where, key) return require("luabox.schema").line_of_key(where, key) end)
  sys.file.write(file, text, PRIVATE)
  if dropped > 0 then sys.log.warning(("%d events found no room in the trace"):format(dropped)) end
end

return trace
