-- Names: who is on a bridge knows the others by their host names and aliases, also those that come later and those that go.
-- Prints what the first container finds of the second before it comes, while it is there, and when it has gone.
-- Needs root, and a root file system with busybox as its argument.
local sys = require "luabox.sys"
local rootfs = arg[1] or "./rootfs"

local function box(name, command)
  return container {
    name = "walk-" .. name, hostname = name,
    rootfs = directory { rootfs, overlay = true },
    network = bridge { "walk", subnet = "10.9.0.0/24", aliases = { name .. ".internal" } },
    command = { "/bin/sh", "-c", command },
  }
end

local watch = [[
look() { grep -E 'second' /etc/hosts || echo nobody called second; }
look; until grep -q second /etc/hosts; do sleep 0.05; done
look; while grep -q second /etc/hosts; do sleep 0.05; done
look]]
local first = box("first", watch):start()
sys.sleep(0.3)
box("second", "sleep 0.5"):run()
first:wait()
first:destroy()
