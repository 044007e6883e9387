-- Limits of a process: open files, the size of a file, memory, seconds of CPU time. What was lowered doesn't rise again.
-- Prints what happens at each limit.
-- Needs perl.
local sys = require "luabox.sys"

local function run(name, limit, command)
  local process = sys.clone({}, function()
    sys.user.rlimit(name, { soft = limit, hard = limit })
    sys.exec { "/bin/bash", "-c", command, name }
  end)
  process:release()
  local status = process:wait()
  if status > 128 then print(("%s: ended by signal %d"):format(name, status - 128)) end
  io.stdout:flush()
end

local folder = sys.file.temporary "/tmp/walk-rlimits-"
run("nofile", 10, [[perl -e 'while (open my $f, "<", "/dev/null") { push @f, $f } print shift, ": ", 3 + @f, " files, then: $!\n"' $0]])
local DD = [[exec 2> /dev/null; dd if=/dev/zero of=%s/large bs=100k count=20; echo "$0: $(stat -c %%s %s/large) bytes"]]
run("fsize", 1000000, DD:format(folder, folder))
run("as", 100000000, [[dd if=/dev/zero of=/dev/null bs=200M count=1 |& grep -o "memory exhausted" | sed "s/^/$0: /"]])
run("cpu", 1, "while :; do :; done")
run("core", 0, [[ulimit -c 1 2> /dev/null && echo "$0: raised again, by sys_resource" || echo "$0: can't be raised again"]])
sys.mount.remove_tree(folder)
