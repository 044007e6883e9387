-- An ipc namespace: message queues, and shared memory of System V; but not that of POSIX, which is files in /dev/shm.
-- Prints the queues that are seen outside, in a new namespace, and by two containers that share one; then what these exchange by shared memory.
-- Needs util-linux (ipcmk, ipcs, ipcrm) and perl.
local sys = require "luabox.sys"
local anyone = require "anyone"

local function shell(who, command) sys.exec { "/bin/sh", "-c", command, who } end
local COUNT = 'echo "$0: $(ipcs -q | grep -c ^0x) queues"'

--- Two containers: each has its own hostname and mounts, but the ipc namespace and the /dev/shm of `pod`.
local function member(pod, name, command)
  local process = sys.clone({}, function()
    sys.setns(pod, { namespaces = anyone.words "ipc mount" })
    sys.unshare "uts mount"
    sys.sethostname(name)
    shell(name, command)
  end)
  process:release()
  process:wait()
end

local made = io.popen "ipcmk -Q -p 600"
local queue = made:read("*a"):match "%d+"
made:close()
os.execute(("/bin/sh -c '%s' outside"):format(COUNT))
anyone.clone("ipc", function() shell("inside", COUNT) end):wait()

local pod = anyone.clone("ipc mount", function()
  sys.mount.private "/"
  sys.mount.tmpfs "/dev/shm"
  sys.exec { "sleep", "600" }
end)

-- Key 77, IPC_CREAT; a message is its type and its text.
member(pod, "first", [[perl -e 'msgsnd(msgget(77, 01600), pack("l! a*", 1, "a message"), 0) or die $!'; ]] .. COUNT)
member(pod, "second", COUNT .. [[; perl -e 'msgrcv(msgget(77, 0), $m, 99, 0, 0) or die $!; print "second: got ", (unpack "l! a*", $m)[1], "\n"']])

-- What shm_open("/greeting") opens is /dev/shm/greeting: it takes the same mount to share it, not the same ipc namespace.
member(pod, "first", "echo a greeting > /dev/shm/greeting")
member(pod, "second", 'read line < /dev/shm/greeting; echo "$0: read $line"; echo thanks >> /dev/shm/greeting')
member(pod, "first", 'echo "$0: read $(tail -n 1 /dev/shm/greeting)"')
anyone.clone("ipc", function() shell("third", '[ -e /dev/shm/greeting ] || echo "$0: no greeting"') end):wait()
pod:kill "KILL"
os.execute("ipcrm -q " .. queue)
