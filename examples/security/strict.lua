-- The strict filter: read, write, exit and sigreturn, and death for anything else. For code that only computes, and got its descriptors before.
-- Prints how a child ended that only writes, and one that opens a file.
-- Needs nothing.
local sys = require "luabox.sys"

--- Not even an exec is allowed: what runs behind the filter is this script.
local function run(who, body)
  local process = sys.clone({ released = true }, function()
    io.stdout:setvbuf "no"  -- or the first write would ask what it writes to
    sys.security.no_new_privs()
    sys.security.seccomp "strict"
    body()
    sys.exit(0)
  end)
  local status = process:wait()
  print(who .. ": " .. (status == 159 and "killed by SIGSYS" or "exit status " .. status))
end

run("writes", function() io.stdout:write "behind the filter\n" end)
run("opens", function() io.open "/etc/passwd" end)
