-- refusals.lua: what the system call filter of a container refused, by name, out of the kernel's log.
--
-- The kernel writes a line there for each process that a filter kills, and for each refused call where the filter was loaded so (run --seccomp;
-- SECCOMP_FILTER_FLAG_LOG). It costs nothing until somebody asks. The log is of the whole host, leaves lines out when there are many, and names
-- programs as they name themselves: what is found is a hint. See seccomp(2), audit_seccomp() in kernel/auditsc.c.
local sys = require "luabox.sys"
local errors = require "luabox.errors"

local refusals = {}

-- SECCOMP_RET_*, without the errno: the kernel logs the action alone.
local ACTIONS = { ["80000000"] = "kill", ["0"] = "kill_thread", ["30000"] = "trap", ["50000"] = "errno" }

local function action_of(code) return ACTIONS[code] or "code 0x" .. code end

--- "sh", or hexadecimal where it isn't plain: what a hostile program calls itself is not shown as it is.
local function program_of(line)
  return line:match ' comm="([^"%c]*)"' or "?"
end

---@class luabox.Refusal
---@field call string      "mkdir"
---@field action string    "kill", "errno"
---@field program string   what called it
---@field pid integer      as the host numbers it

local LINE, STAMP = "[^\n]*audit: type=1326 [^\n]*", "audit%((%d+%.%d+):(%d+)"

--- The number of the last line of this kind; 0 where there is none.
function refusals.mark()
  local last = 0
  for line in (sys.security.kernel_log() or ""):gmatch(LINE) do last = tonumber(select(2, line:match(STAMP))) or last end
  return last
end

--- Those that the kernel's log has since `time` (seconds since 1970) and behind the line `mark`, oldest first; nil for who may not read it.
---@return luabox.Refusal[]?
function refusals.since(time, mark)
  local log, list = sys.security.kernel_log(), {}
  if not log then return nil end
  for line in log:gmatch(LINE) do
    local at, serial = line:match(STAMP)
    local pid = line:match " pid=(%d+)"
    local arch, number, code = line:match " arch=(%x+) syscall=(%d+) .*code=0x(%x+)"
    if code and at and tonumber(at) >= time and tonumber(serial) > (mark or 0) then
      list[#list + 1] = { call = sys.security.call_name(tonumber(arch, 16), tonumber(number)), action = action_of(code), program = program_of(line),
        pid = tonumber(pid) }
    end
  end
  return list
end

local function is_deadly(refusal) return refusal.action == "kill" or refusal.action == "kill_thread" end

--- Why a command ended with SIGSYS's status: one sentence, and the error for `luabox why`.
---@return string reason, luabox.Error problem
function refusals.verdict(time)
  local list, last = refusals.since(time), nil
  for _, each in ipairs(list or {}) do
    if is_deadly(each) then last = each end
  end
  local message = "its system call filter refused what it called; only root may read in the kernel's log which call it was"
  if list then message = "its system call filter refused what it called; the kernel's log does not name it" end
  if last then message = ("its system call filter refused %s, called by '%s'"):format(last.call, last.program) end
  return message, errors.new { op = "seccomp", path = last and last.call, message = "killed: " .. message }
end

--- What the rules of one filter, as lines, may have answered `call` with: by its own rules, else by the one for all others.
local function answers(call, rules, note)
  local others = call:match "^%d+$" and "newer calls" or "default"
  for _, wanted in ipairs { call, others } do
    for _, rule in ipairs(rules) do
      local name, action, condition = rule:match "^([^:]+): (%S+)(.*)$"
      if name == wanted then
        note(action)
        if condition == "" then return end
      end
    end
  end
end

--- The kernel's log has no errno: it is what the filters' rules for the call say, "errno:EPERM", or several where these look at arguments.
local function errno_of(call, filters)
  local list, seen = {}, {}
  for _, rules in ipairs(filters or {}) do
    answers(call, rules, function(action)
      if action:match "^errno:" and not seen[action] then seen[action], list[#list + 1] = true, action end
    end)
  end
  return #list > 0 and table.concat(list, " or ") or "errno"
end

--- All of them, each once, as lines: "mkdir: errno:EPERM, 3 times, by sh". `filters`: the rules of each container's, as confinement.rules_of
--- gives them.
function refusals.report(time, mark, filters)
  local list = refusals.since(time, mark)
  if not list then return nil end
  local seen, lines = {}, {}
  for _, each in ipairs(list) do
    local key = ("%s: %s"):format(each.call, each.action == "errno" and errno_of(each.call, filters) or each.action)
    local known = seen[key] or { key = key, count = 0, programs = {}, by = {} }
    if known.count == 0 then seen[key], lines[#lines + 1] = known, known end
    known.count = known.count + 1
    if not known.by[each.program] then known.by[each.program], known.programs[#known.programs + 1] = true, each.program end
  end
  for i, known in ipairs(lines) do
    lines[i] = ("%s, %s, by %s"):format(known.key, known.count == 1 and "once" or known.count .. " times", table.concat(known.programs, " "))
  end
  return lines
end

return refusals
