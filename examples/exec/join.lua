-- A second process in a container that runs: in all its namespaces and its cgroup, with its user, its few capabilities and its filter.
-- Prints what the two see of each other, what the second may not do either, its exit status, and that it ends with the container.
-- Needs the folder of a root file system with a shell as its argument, such as ./rootfs; an ordinary user's must be his own.
local root = ... or "./rootfs"

local c = container {
  rootfs = directory { root, overlay = true }, hostname = "joined", env = { COLOUR = "green" },
  command = { "sh", "-c", "echo from the first > /tmp/note; exec sleep 100" },
}
c:start()

local function show(text, options)
  options.capture = "all"
  local output, status = c:exec(options):output()
  print(("%s: %s (status %d)"):format(text, output:gsub("\n$", ""):gsub("\n", ", "), status))
end

show("the host's name", { "hostname" })
show("the environment", { "sh", "-c", "echo $COLOUR $SHAPE", env = { SHAPE = "round" } })
show("the first's note", { "sh", "-c", "until [ -s /tmp/note ]; do sleep 0.01; done; cat /tmp/note" })
show("processes", { "sh", "-c", "set -- /proc/[0-9]*; echo $#" })
show("another user", { "id", "-u", user = require("luabox.sys").uid() == 0 and 1000 or 0 })
show("a folder", { "pwd", cwd = "/tmp" })
show("what it reads", { "tr", "a-z", "A-Z", stdin = "text from the script" })
show("mount", { "mount", "-t", "tmpfs", "none", "/tmp" })
show("mknod", { "mknod", "/tmp/disk", "b", "8", "0" })

local long = c:exec { "sleep", "1000" }
c:kill "KILL"
print(("with the container ends what joined it: status %d, after the container's %d"):format(long:wait(), (c:wait())))
c:destroy()
