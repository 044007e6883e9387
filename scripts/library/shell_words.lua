-- shell_words.lua: values as words of a POSIX shell.
local words = {}

--- One word, whatever bytes are in it; a NUL can't be in one.
function words.quote(value)
  local text = tostring(value)
  if text:find "^[%w_./:=,@%%+-]+$" then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- A command that prints `text` and nothing else; NUL bytes too, which no word can hold.
function words.print(text)
  if not text:find("%z") then return "printf %s " .. words.quote(text) end
  return "printf '" .. text:gsub("[%z%%\\']", function(byte) return ("\\%03o"):format(byte:byte()) end) .. "'"
end

--- For a comment: on one line, whatever a script is called.
function words.plain(text) return (tostring(text):gsub("%c", "?")) end

function words.below(base, path) return (base .. "/" .. path):gsub("/+", "/") end

function words.family_of(address) return address:find(":", 1, true) and "ip6" or "ip" end

--- "uts net", { "uts", "net" } -> { "uts", "net" }
function words.list(value)
  if type(value) == "table" then return value end
  local list = {}
  for word in (value or ""):gmatch "%S+" do list[#list + 1] = word end
  return list
end

return words
