-- findings.lua: what is found in a script without running it, each with its place.
local findings = {}

--- Those of one file, whose text and tokens are set when it was read: { list =, add(severity, kind, place, message) }. A `place` is a token, or a
--- line, in which what the message names is looked for.
function findings.of(file)
  local report = { file = file, list = {}, seen = {}, tokens = {}, text = "" }
  function report.add(severity, kind, place, message)
    local token = type(place) == "table" and place or report.token_of(place, message)
    local line = token and token.line or place
    local key = line .. "\0" .. message
    if report.seen[key] then return end
    report.seen[key] = true
    local column = token and token.from - #(report.text:sub(1, token.from - 1):match "^(.*\n)" or "") or 1
    local width = token and (report.text:sub(token.from, token.to):find "\n" or token.to - token.from + 2) - 1 or 0
    report.list[#report.list + 1] = { file = file, line = line, column = column, end_column = column + width, severity = severity, kind = kind,
      message = message }
  end
  --- The token of `line` that a message is about: a quoted word, the last part of "container.nice", else its first.
  function report.token_of(line, message)
    local words = { message:match " near '([^']+)'" }
    for word in message:gmatch "'([^']+)'" do words[#words + 1] = word end
    words[#words + 1] = message:match "^cgroup key ([%w_.]+)"
    words[#words + 1] = message:match "^[%w_]+%.([%w_]+)"
    words[#words + 1] = message:match "there is no folder (%S+)$" or message:match "there is no (%S+)$" or message:match "^(/%S+) is no device"
    words[#words + 1] = message:match "^[%w_]+"
    for _, word in ipairs(words) do
      for _, token in ipairs(report.tokens) do
        local text = token.kind == "string" and token.text:match "^[\"'](.*)[\"']$" or token.text
        if token.line == line and text == word and word:find "[%w_]" then return token end  -- not the '=' that a name may not hold
      end
    end
    for _, token in ipairs(report.tokens) do
      if token.line == line then return token end
    end
  end
  return report
end

return findings
