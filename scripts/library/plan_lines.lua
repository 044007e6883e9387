-- plan_lines.lua: the steps of a plan as lines of a script.
local plan_lines = {}

local function is_name(text) return type(text) == "string" and text:find "^[%a_][%w_]*$" ~= nil end

--- A kept value as a script would write it.
function plan_lines.show(value, depth)
  depth = depth or 0
  if type(value) == "string" then
    return '"' .. value:gsub('[%c\\"]', { ["\n"] = "\\n", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }):gsub("%c", "?") .. '"'
  end
  if type(value) ~= "table" then return tostring(value) end
  if value.object then return value.object end
  local parts, names = {}, {}
  for i, each in ipairs(value) do parts[i] = plan_lines.show(each, depth + 1) end
  for name in pairs(value) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    parts[#parts + 1] = (is_name(name) and name or "[" .. plan_lines.show(name) .. "]") .. " = " .. plan_lines.show(value[name], depth + 1)
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

--- "policy 'memory ceiling' (10-site.lua:2) changes run: cgroup.memory: 1073741824 -> 67108864"
local function line_of_policy(step)
  local entry, parts = step.policy, {}
  local verb = entry.verdict == "refused" and "refuses" or entry.verdict == "changed" and "changes" or entry.verdict
  parts[1] = entry.reason
  for _, change in ipairs(entry.changes or {}) do parts[#parts + 1] = plan_lines.change(change) end
  return ("policy '%s' (%s) %s %s: %s"):format(entry.rule, entry.file, verb, step.kind, table.concat(parts, ", "))
end

--- A change that a rule made: { field =, from =, to = }.
function plan_lines.change(change)
  local function show(value) return value == nil and "nothing" or plan_lines.show(value) end
  return ("%s: %s -> %s"):format(change.field, show(change.from), show(change.to))
end

--- One step as a line of a script.
function plan_lines.line(step)
  if step.policy then return line_of_policy(step) end
  local arguments, first = {}, 1
  local call = step.primitive
  local object, method = call:match "^(%w+):(.*)$"
  if object and type(step.arguments[1]) == "table" and step.arguments[1].object then
    call, first = step.arguments[1].object .. ":" .. method, 2
  end
  for i = first, #step.arguments do arguments[#arguments + 1] = plan_lines.show(step.arguments[i]) end
  local text = call .. "(" .. table.concat(arguments, ", ") .. ")"
  if #arguments == 1 and arguments[1]:sub(1, 1) == "{" then text = call .. " " .. arguments[1] end
  return (step.result and (step.result.object or plan_lines.show(step.result)) .. " = " or "") .. text
end

return plan_lines
