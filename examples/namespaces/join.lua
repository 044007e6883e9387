-- setns: into the namespaces of another process; by its pid, by the file /proc/PID/ns/NAME, by a name that `ip netns` gave, and into several at once.
-- Prints for each way the hostname and the interfaces that are seen then.
-- Needs nothing; for the name root, and as its argument one that `ip netns add NAME` made: without it the walk makes its own.
local sys = require "luabox.sys"
local anyone = require "anyone"

local there = anyone.clone("uts ipc net", function()
  sys.sethostname "there"
  sys.net.add { kind = "bridge", name = "walk0" }
  sys.exec { "sleep", "600" }
end)

--- What is seen after `enter`, in a process of its own.
local function seen(how, enter)
  local process = sys.clone({}, function()
    enter()
    local names = {}
    for i, link in ipairs(sys.net.links()) do names[i] = link.name end
    sys.exec { "/bin/sh", "-c", 'echo "$0: $(uname -n), $1"', how, table.concat(names, " ") }
  end)
  process:release()
  process:wait()
end

--- Who isn't root must become it there first: the user namespace is what gives the right to the others.
local function root_there()
  if not anyone.root then sys.setns(there, { namespaces = "user" }) end
end

seen("not at all", function() end)
seen("by pid", function()
  root_there()
  sys.setns(there, { namespaces = "uts" })
end)
seen("by path", function()
  root_there()
  sys.setns(("/proc/%d/ns/net"):format(there:pid()))
end)
seen("several at once", function() sys.setns(there, { namespaces = anyone.words "uts ipc net" }) end)

if anyone.root then
  local name = arg[1]
  if name then
    seen("by name", function() sys.setns("/run/netns/" .. name, { namespaces = "net" }) end)  -- "net": a file that is another kind is refused
  else
    -- All that `ip netns` does: the namespace lives as long as the file is mounted on it, without a process in it.
    local file = sys.file.temporary "/tmp/walk-netns-" .. "/name"
    sys.file.write(file, "")
    sys.mount.bind(("/proc/%d/ns/net"):format(there:pid()), file)
    there:kill "KILL"
    there:wait()
    seen("by name", function() sys.setns(file, { namespaces = "net" }) end)
    sys.mount.umount(file)
    sys.mount.remove_tree(file:match "^(.*)/")
  end
end
there:kill "KILL"
