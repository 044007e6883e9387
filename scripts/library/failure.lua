-- failure.lua: the last start of this user's that failed, for `luabox why`.
--
-- It is one small file in the state folder, of the user's alone, replaced by the next failure and removed by `luabox gc`. That it can't be written
-- changes nothing for who runs a container; what is read is only what this user can have written.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local state = require "luabox.state"

local failure = {}

local NAME, LONGEST = ".failure.json", 2000
local PRIVATE = { mode = 384 }

---@class luabox.Failure
---@field time integer        seconds since 1970
---@field command string      of luabox: "run"
---@field script? string
---@field line? string        the line at `where`, as it was
---@field message string
---@field where? string       "file:line"
---@field op? string
---@field path? string
---@field code? string        "ENOENT"
---@field errno? integer
---@field cause? string
---@field remedy? string

local TEXTS = { "command", "script", "message", "where", "line", "op", "path", "code", "cause", "remedy" }

local function cut(text)
  if type(text) ~= "string" then return nil end
  return #text > LONGEST and text:sub(1, LONGEST) .. "..." or text
end

local function file() return state.folder() .. "/" .. NAME end

--- The line of the script that `where` names.
local function line_at(where)
  local script, number = errors.script, tonumber((where or ""):match ":(%d+)$")
  if not script or not number or where ~= script.name .. ":" .. number then return nil end
  local count = 0
  for line in (script.text .. "\n"):gmatch "([^\n]*)\n" do
    count = count + 1
    if count == number then return line:match "^%s*(.-)%s*$" end
  end
end

--- Writes `problem` down as the last failure, of luabox's `command`. Arguments are not kept: they may be nobody's business.
function failure.keep(problem, command, cause, remedy)
  local fields = { time = os.time(), errno = problem.errno }
  for _, name in ipairs(TEXTS) do fields[name] = cut(problem[name]) end
  fields.command, fields.cause, fields.remedy = cut(command), cut(cause), cut(remedy)
  fields.script, fields.line = errors.script and cut(errors.script.name), cut(line_at(problem.where))
  state.prepare()
  sys.file.write(file(), sys.json.encode(fields), PRIVATE)
end

local function is_record(fields)
  if type(fields) ~= "table" or type(fields.time) ~= "number" or not fields.message or not fields.command then return false end
  for _, name in ipairs(TEXTS) do
    if fields[name] ~= nil and type(fields[name]) ~= "string" then return false end
  end
  return fields.errno == nil or type(fields.errno) == "number"
end

--- The last failure; nil where none is known. Raises where somebody else could have written it, and where it is no such record.
---@return luabox.Failure?
function failure.last()
  local text = sys.file.read_trusted(file())
  if not text then return nil end
  local ok, fields = pcall(sys.json.decode, text)
  if not ok or not is_record(fields) then
    errors.raise("%s is no record of a failure; luabox gc removes it", file())
  end
  return fields
end

--- Removes it, and what a luabox left that was killed while it wrote it.
function failure.forget()
  local folder = state.folder()
  for _, name in ipairs(sys.file.list(folder)) do
    if name:sub(1, #NAME) == NAME then sys.file.remove(folder .. "/" .. name) end
  end
end

return failure
