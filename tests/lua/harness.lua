-- harness.lua: test("a sentence that can be false", function() ... end), check.*, and a summary at the end.
--
-- Run a test file with `luabox run tests/lua/NAME_test.lua [PATTERN]`; it exits with 1 when a case failed.
local harness = { passed = 0, failed = 0, skipped = 0 }
local pattern = (arg and arg[1]) or os.getenv("LUABOX_TEST")
local SKIP = {}

local function text(value)
  if type(value) == "string" then return string.format("%q", value) end
  return tostring(value)
end

function harness.test(name, body)
  if pattern and not name:find(pattern, 1, true) then return end
  local ok, problem = xpcall(body, function(raised)
    if raised == SKIP or (type(raised) == "table" and raised.skip) then return raised end
    return tostring(raised) .. "\n" .. debug.traceback("", 2)
  end)
  if ok then
    harness.passed = harness.passed + 1
  elseif type(problem) == "table" and problem.skip then
    harness.skipped = harness.skipped + 1
    print("skipped: " .. name .. ": " .. problem.skip)
  else
    harness.failed = harness.failed + 1
    print("FAILED: " .. name .. "\n  " .. problem)
  end
end

--- Ends a case that can't run here.
function harness.skip(why) error({ skip = why }, 0) end

local check = {}
harness.check = check

function check.equal(got, wanted, what)
  if got ~= wanted then error((what or "value") .. ": got " .. text(got) .. ", wanted " .. text(wanted), 2) end
end

function check.truthy(got, what)
  if not got then error((what or "value") .. ": got " .. text(got), 2) end
end

--- The text holds `wanted` as it stands, no pattern.
function check.contains(got, wanted)
  if not tostring(got):find(wanted, 1, true) then error("no " .. text(wanted) .. " in " .. text(tostring(got)), 2) end
end

--- `body` raises; the error's text holds `wanted`. Returns the error.
function check.raises(wanted, body, ...)
  local ok, problem = pcall(body, ...)
  if ok then error("nothing was raised, wanted " .. text(wanted), 2) end
  local message = type(problem) == "table" and problem.message or tostring(problem)
  if not message:find(wanted, 1, true) then error("raised " .. text(message) .. ", wanted " .. text(wanted), 2) end
  return problem
end

--- Prints the summary and ends the process.
function harness.finish()
  print(string.format("%d passed, %d failed, %d skipped", harness.passed, harness.failed, harness.skipped))
  io.stdout:flush()
  os.exit(harness.failed == 0 and 0 or 1)
end

return harness
