-- The prompt's string functions give what Lua's own give.
local harness = require "harness"
local test, check = harness.test, harness.check
local own = { find = string.find, match = string.match, gmatch = string.gmatch, gsub = string.gsub, execute = os.execute, sort = table.sort,
  rep = string.rep }
local interruptible = require "luabox.interruptible"
interruptible.install()
local prompt = { find = string.find, match = string.match, gmatch = string.gmatch, gsub = string.gsub, sort = table.sort, rep = string.rep }
string.find, string.match, string.gmatch, string.gsub, os.execute, table.sort = own.find, own.match, own.gmatch, own.gsub, own.execute, own.sort
string.rep = own.rep
interruptible.most_steps, interruptible.most_sorted, interruptible.most_bytes = 0, 0, 0  -- nothing is cheap

local PATTERNS = { "a", "a*", "a-b", "^a", "^(a+)(b*)", "()a()", "%w+", "[^\n]*", "(%w+)=(%w*)", "%f[%w]%w+", "%b()", "$", "", "a$",
  "(a)(b)(c)?", "%1", "[a", "%", "x*", "(.)%1", "^", "^$", "[%a_]+", "%s*$", "(%()", "a?b?", "%z", "^^", "%^", ("(a?)"):rep(33) }
local TEXTS = { "", "a", "aab", "abcabc", "foo=bar baz=", "(a(b)c)(d)", "hello  world  ", "line\nline2\n\n", "aabbccdd", "^x^y", "\0a\0" }
local REPLACEMENTS = { "x", "%0%0", "%1-%1", "%%", "<%1>", { a = "A", foo = "F" },
  function(a, b) return a and "[" .. tostring(a) .. tostring(b) .. "]" end, function() end, function() return {} end, 5, "%2", "%9" }

--- What a call gives as text: its results, or its error without a place.
local function outcome(f, ...)
  local results = { pcall(f, ...) }
  if not results[1] then return "error: " .. tostring(results[2]):gsub("^.-:%d+: ", "") end
  for i = 1, table.maxn(results) do results[i] = tostring(results[i]) end
  return table.concat(results, "|")
end

local function collected(gmatch)
  return function(text, pattern)
    local found = {}
    for a, b, c in gmatch(text, pattern) do found[#found + 1] = ("%s %s %s"):format(tostring(a), tostring(b), tostring(c)) end
    return table.concat(found, ";")
  end
end

local compared = 0
local function same(name, f, g, ...)
  compared = compared + 1
  check.equal(outcome(g, ...), outcome(f, ...), name .. (" %q"):rep(2):format(...))
end

test("find, match and gmatch give what Lua's own do", function()
  for _, text in ipairs(TEXTS) do
    for _, pattern in ipairs(PATTERNS) do
      for _, init in ipairs { 1, 2, -1, 0, -100, 100 } do
        same("find", own.find, prompt.find, text, pattern, init)
        same("plain find", own.find, prompt.find, text, pattern, init, true)
        same("match", own.match, prompt.match, text, pattern, init)
      end
      same("gmatch", collected(own.gmatch), collected(prompt.gmatch), text, pattern)
    end
  end
end)

local function sorted(sort)
  return function(list, before)
    local copy = { unpack(list) }
    sort(copy, before)
    for i, each in ipairs(copy) do copy[i] = tostring(each) end
    return table.concat(copy, " ")
  end
end

test("sort does what Lua's own does, with the same errors", function()
  local named = setmetatable({}, { __tostring = function() return "named" end, __lt = function() return false end })
  for _, list in ipairs { {}, { 1 }, { 3, 1, 2, 2, -1 }, { "b", "a", "" }, { named, named, named }, { 1, "a", 2 },
    { {}, {}, {} }, { true, false } } do
    check.equal(outcome(sorted(prompt.sort), list), outcome(sorted(own.sort), list))
    local function after(a, b) return a > b end
    check.equal(outcome(sorted(prompt.sort), list, after), outcome(sorted(own.sort), list, after))
  end
  for _, wrong in ipairs { { 5 }, { {}, 5 } } do
    check.equal(outcome(prompt.sort, unpack(wrong)), outcome(own.sort, unpack(wrong)))
  end
end)

test("within a sort Lua code is reached, by which an interrupt is heard", function()
  local list = {}
  for i = 1, 1000 do list[i] = i * 7919 % 1009 end
  jit.off()
  for _, sort in ipairs { prompt.sort, own.sort } do
    local seen = false
    debug.sethook(function() seen = seen or debug.getinfo(2, "S").short_src == "table.sort" end, "", 100)
    sort(list)
    debug.sethook()
    check.equal(seen, sort == prompt.sort)
  end
  jit.on()
end)

test("rep gives what Lua's own does, but for what no memory has room for", function()
  for _, arguments in ipairs { { "ab", 3 }, { "ab", 0 }, { "ab", -1 }, { "", 1e9 }, { "ab", "2" }, { "a", 3, "," }, { 12, 2 }, { nil, 2 },
    { "a", {} } } do
    check.equal(outcome(prompt.rep, unpack(arguments, 1, 3)), outcome(own.rep, unpack(arguments, 1, 3)))
  end
  for _, count in ipairs { 2 ^ 31, 3e9, 1e15, math.huge } do check.raises("not enough memory", prompt.rep, "x", count) end
  -- Lua's own says no line: that error ends the prompt.
  for _, text in ipairs { "", "x" } do
    local _, problem = pcall(function() local made = prompt.rep(text, 2 ^ 20, ("y"):rep(2 ^ 24)) return made end)
    check.equal(true, tostring(problem):find ":%d+: not enough memory$" ~= nil)
  end
end)

test("gsub gives what Lua's own does", function()
  for _, text in ipairs(TEXTS) do
    for _, pattern in ipairs(PATTERNS) do
      for _, replacement in ipairs(REPLACEMENTS) do
        same("gsub", own.gsub, prompt.gsub, text, pattern, replacement)
        for _, most in ipairs { 0, 1, 2, 100 } do same("gsub", own.gsub, prompt.gsub, text, pattern, replacement, most) end
      end
    end
  end
  check.truthy(compared > 20000, "compared " .. compared)
end)

test("what is no string is refused in Lua's own words", function()
  check.raises("bad argument #1 to '?' (string expected, got nil)", prompt.find, nil, "x")
  check.raises("bad argument #2 to '?' (string expected, got nil)", prompt.match, "x")
  check.raises("bad argument #3 to '?'", prompt.gsub, "x", "x", true)
  check.equal(prompt.find(12, 2), 2)
end)

harness.finish()
