-- prompt_errors.lua: an error as the prompt tells it, with the line that raised it and a mark below what it is about.
local cli = require "luabox.cli"
local errors = require "luabox.errors"
local sys = require "luabox.sys"

local prompt_errors = {}

local function text_of(file, texts)
  if texts[file] then return texts[file] end
  local found = sys.file.kind(file) and sys.file.read(file)
  return found or nil
end

local function line_of(text, wanted)
  local number = 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    if number == wanted then return line end
  end
end

--- The line of the error, and a mark below what the message names in it, or below all of it.
local function marked(problem, texts)
  local file, number = (problem.where or ""):match "^(.*):(%d+)$"
  local text = file and text_of(file, texts)
  local line = text and line_of(text, tonumber(number))
  if not line or line:match "^%s*$" then return "" end
  local from, to
  for word in problem.message:gmatch "'([^']+)'" do
    from, to = line:find("%f[%w_]" .. word:gsub("%p", "%%%0") .. "%f[^%w_]")
    if from then break end
  end
  if not from then from, to = line:find "%S.*%S" end
  if not from then from, to = line:find "%S" end
  local margin = ("  %s | "):format(number)
  local before = line:sub(1, from - 1):gsub("[^\t]", " ")
  return ("\n%s%s\n%s| %s%s"):format(margin, line, (" "):rep(#margin - 2), before, ("^"):rep(to - from + 1))
end

-- What a container has only at times: c.cgroup.memory before c:start().
local AT_TIMES = {
  cgroup = "the container has no cgroup: it was not started, or it has no limit", mounts = "the container was not started: it has no mounts yet",
  process = "the container was not started: it has no process yet",
}

--- Lua doesn't say whose method there is none of: the nearest of all.
local function suggest_method(problem)
  local absent = AT_TIMES[problem.message:match "^attempt to index field '([%w_]+)' %(a nil value%)$"]
  if absent then problem.message = absent end
  local name = problem.message:match "^attempt to call method '([%w_]+)' %(a nil value%)$"
  if not name then return end
  local names = {}
  for _, each in ipairs(require("luabox.reference").names()) do names[#names + 1] = each:match ":([%w_]+)$" end
  for each in pairs(string) do names[#names + 1] = each end
  problem.message = ("there is no method '%s'%s"):format(name, errors.suggestion(name, names))
end

--- Tells it. `texts`: what was typed, by the name of its chunk; `signal`: the interrupt that came meanwhile.
function prompt_errors.tell(problem, texts, signal)
  io.stdout:flush()
  if signal and (problem.code == "EINTR" or problem.message:find "Interrupted system call$") then problem.message = "interrupted" end
  suggest_method(problem)
  local text = tostring(problem) .. marked(problem, texts)
  if cli.debug and problem.traceback then text = text .. "\n" .. problem.traceback end
  io.stderr:write(text, "\n")
end

return prompt_errors
