-- A cgroup namespace: the cgroup in which a process stands becomes the root of what it sees; the path to it is hidden.
-- Prints /proc/self/cgroup outside and inside, and the path by which another process, that stands outside, is seen from there.
-- Needs root; or a delegated cgroup, and then the new namespace is owned by a user namespace that is made with it.
local sys = require "luabox.sys"

local group = sys.cgroup.create("walk-namespace", { controllers = { "pids" } })
local SHOW = 'for p in self 1; do echo "$0: $p $(sort -r /proc/$p/cgroup | grep -m 1 -E "pids|^0::")"; done'

sys.clone({ cgroup = group, released = true }, function() sys.exec { "/bin/sh", "-c", SHOW, "outside" } end):wait()

-- It is made after the process has joined its cgroup: clone does it in that order. What is a limit stays one; a name is all that changes.
sys.clone({ cgroup = group, namespaces = sys.uid() == 0 and "cgroup" or "user cgroup", released = true }, function()
  sys.exec { "/bin/sh", "-c", SHOW, "inside" }
end):wait()
