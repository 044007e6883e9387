-- luabox.sys.log, looked at from outside: a luabox of its own writes, the test reads.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"

--- What a script says on standard error.
local function said_by(script, options)
  local folder = sys.file.temporary "/tmp/luabox-test-"
  sys.file.write(folder .. "/script.lua", 'local sys = require "luabox.sys"\nlocal log = sys.log\n' .. script)
  local pipe = io.popen(("%s run %s %s/script.lua 2>&1 >/dev/null"):format(os.getenv "LUABOX", options or "", folder))
  local text = pipe:read "*a"
  pipe:close()
  os.execute("rm -r " .. folder)
  return text
end

if not os.getenv "LUABOX" then
  test("log", function() harness.skip "LUABOX does not name the binary" end)
  harness.finish()
end

test("messages are lines on standard error that begin with luabox", function()
  check.equal(said_by 'log.error "one" log.warning "two" log.info "100%s {} {0}"',
    "luabox: one\nluabox: two\nluabox: 100%s {} {0}\n")
end)

test("a file gets the lines instead, with time and level", function()
  local path = os.tmpname()
  check.equal(said_by(('log.set_up { file = %q } log.warning "kept"'):format(path)), "")
  check.truthy(sys.file.read(path):match "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d[+-]%d%d:?%d%d warning kept\n$",
    sys.file.read(path))
  os.remove(path)
end)

test("in JSON each line is one object, whatever the text", function()
  local text = said_by [[log.set_up { format = "json" } log.error 'a "quoted"\nline' log.info "two"]]
  local count = 0
  for line in text:gmatch "[^\n]+" do
    count = count + 1
    local object = sys.json.decode(line)
    check.truthy(object.time and object.level)
    if count == 1 then check.equal(object.event.message, 'a "quoted"\nline') end
  end
  check.equal(count, 2)
end)

test("verbose tells each primitive, in the parent and in the child, and its failure", function()
  local text = said_by [[
    log.set_up { verbose = true }
    local child = sys.clone({ namespaces = "uts" }, function() sys.sethostname "x" sys.exec { "true" } end)
    child:release()
    pcall(sys.chdir, "/no/such")]]
  check.contains(text, 'clone({ namespaces = "uts" }, function)')
  check.contains(text, 'sethostname("x")')
  check.contains(text, 'chdir("/no/such")')
  check.contains(text, "No such file or directory")
end)

test("a file that can't be written, and a wrong option, are errors", function()
  local log = sys.log
  check.raises("/proc/none/log", log.set_up, { file = "/proc/none/log" })
  check.raises("unknown option 'verbos' (did you mean 'verbose'?)", log.set_up, { verbos = true })
  check.raises("unknown word 'jsn' (did you mean 'json'?)", log.set_up, { format = "jsn" })
end)

harness.finish()
