-- errors.lua: what is raised, and how it reads.
--
-- Every error is a table: message (one sentence), and where known op, path, errno, code ("ENOENT"), hint, where ("golang.lua:4", the first
-- line that is the user's own), traceback, status (the exit status that it stands for). tostring gives "WHERE: MESSAGE".
local errors = {}

---@class luabox.Error
---@field message string
---@field op? string       the step: a system call or a verb
---@field path? string     its object
---@field code? string     "ENOENT"
---@field errno? integer
---@field hint? string
---@field where? string    "file:line"
---@field traceback? string
---@field status? integer  125 unless the command itself could not be started

local class = debug.getregistry()["luabox.error"] or {}
debug.getregistry()["luabox.error"] = class

--- What the library is working on: { where =, key =, start = }, the line of a value in the script, and the field of it. A trace and a plan say so
--- for what no frame of the script's asks for. `start` numbers a start while the library is at it, and no step of the script's: the line that
--- called it is the same all the while.
errors.site = debug.getregistry()["luabox.site"] or {}
debug.getregistry()["luabox.site"] = errors.site

function class.__tostring(self)
  if not self.where or self.message:find(self.where, 1, true) == 1 then return self.message end
  return self.where .. ": " .. self.message
end

--- The first line of the script that calls `word`. `return container { ... }` is a tail call: no frame of the script is left to ask.
local function line_that_calls(word)
  local text, number, start = errors.script.text, 1, 1
  local from, to = text:find(word, 1, true)
  while from do
    local stop = text:find("\n", start, true)
    while stop and stop < from do
      number, start = number + 1, stop + 1
      stop = text:find("\n", start, true)
    end
    local commented = (text:find("--", start, true) or from) < from
    local whole = not text:find("^[%w_]", to + 1) and not (from > 1 and text:find("^[%w_]", from - 1))
    if whole and not commented then return errors.script.name .. ":" .. number end
    from, to = text:find(word, to + 1, true)
  end
  return errors.script.name .. ":1"
end

--- The script that is run, where there is one: set by `luabox run`.
---@type { name: string, text: string }?
errors.script = nil

--- The first frame above `level` that is not luabox's own, as "file:line"; nil when there is none. Of a constructor called by the name
--- `word` as the script's last act, the first line of the script that holds that word.
function errors.users_line(level, word)
  level = (level or 1) + 1
  while true do
    local frame = debug.getinfo(level, "Sl")
    if not frame then return word and errors.script and line_that_calls(word) or nil end
    if frame.currentline > 0 and frame.source:sub(1, 8) ~= "@luabox:" then
      return (frame.source:sub(1, 1) == "@" and frame.source:sub(2) or frame.short_src) .. ":" .. frame.currentline
    end
    level = level + 1
  end
end

--- Makes an error of `fields`; `where` is found unless it is given.
function errors.new(fields)
  fields.where = fields.where or errors.users_line(2)
  fields.traceback = fields.traceback or debug.traceback("", 2)
  return setmetatable(fields, class)
end

--- Raises `message`, formatted with what follows, at the user's line.
function errors.raise(message, ...)
  error(errors.new { op = "script", message = select("#", ...) > 0 and message:format(...) or message }, 0)
end

--- Raises `message` at `where`.
function errors.raise_at(where, message, ...)
  error(errors.new { op = "script", where = where, message = message:format(...) }, 0)
end

--- What require says of a module over many lines, as one sentence.
local function of_module(text)
  text = text:gsub("^error loading module '.-' from file '.-':\n%s*", "")
  return (text:gsub("(module '.-' not found):\n\tno .*$", "%1: neither beside the script, nor in luabox, nor in package.path"))
end

--- Whatever was raised, as an error table: the text of a plain error("...") keeps its "file:line:".
function errors.from(raised)
  if getmetatable(raised) == class then return raised end
  if type(raised) == "table" and raised.message then return setmetatable(raised, class) end
  local plain_table = type(raised) == "table" and debug.getmetatable(raised) == nil
  local text = plain_table and require("luabox.values").show(raised) or of_module(tostring(raised))
  if raised == nil then text = "an error was raised without a message" end
  local where, message = text:match("^(.-:%d+): (.*)$")
  return setmetatable({ op = "script", where = where, message = message or text }, class)
end

--- A mistake that showed only in luabox's own code is told at the user's line, which is where he can look.
local function at_users_line(problem)
  local place = type(problem.where) == "string" and problem.where:match "^luabox:(.*)$"
  if not place then return end
  local name = problem.message:match "^attempt to index local '(%l+)' %(a nil value%)$"
  if name == "self" or name == "this" then
    problem.message = "a method is called with ':', as in c:stats()"
  else
    problem.message = ("internal error (%s: %s)"):format(place, problem.message)
  end
  problem.where = errors.users_line(3)
end

--- The error table of what was raised, where it was raised.
local function caught(raised)
  local problem = errors.from(raised)
  if raised == nil then problem.where = errors.users_line(2) end
  at_users_line(problem)
  problem.traceback = problem.traceback or debug.traceback("", 2)
  return problem
end

--- Calls `f` with what follows. Returns true and what it returns; what it raises comes back as false and an error table with a traceback.
function errors.try(f, ...) return xpcall(f, caught, ...) end

--- What a signal that ends luabox makes of its exit status, as a shell has it.
errors.SIGNALLED = { HUP = 129, INT = 130, QUIT = 131, TERM = 143 }

--- Calls `f`; what it raises is told at `where`, unless it has a line of its own. Returns the first that `f` returns.
function errors.at(where, f, ...)
  local ok, result = errors.try(f, ...)
  if ok then return result end
  result.where = result.where or where
  error(result, 0)
end

--- The signal that ended what ran, "TERM"; nil where the error is no signal's.
function errors.signal_of(problem) return problem.code == "EINTR" and problem.path and problem.path:match "^SIG(%u+)$" or nil end

--- " (did you mean 'x'?)" for the nearest of the list `known`, which may be a set beside, to `name`, or "".
function errors.suggestion(name, known)
  local list = {}
  for i, each in ipairs(known) do list[i] = each end
  local best = require("luabox.sys").nearest(name, list)
  return best and (" (did you mean '%s'?)"):format(best) or ""
end

return errors
