-- stdlib.lua: the vocabulary of a container script.
--
-- These names stand in a script's scope; each is one value, said at its own line. `require "luabox.sys"` has the primitives below them.
local container = require "luabox.container"
local mounts = require "luabox.mounts"
local network = require "luabox.network"
local rootfs = require "luabox.rootfs"
local sys = require "luabox.sys"

local stdlib = {}

--- container { rootfs = image "golang", command = { "/bin/bash" }, ... }: what `luabox run` runs, or a script starts: c:start(),
--- c:wait(), c:kill(), c:stop(), c:stats(), c:destroy(), or c:run() for all in one.
stdlib.container = container.new

--- image "golang", image { "golang", readonly = true, persist = "./changes" }: a rootfs that `luabox image import` made.
stdlib.image = rootfs.image

--- directory { "./rootfs", readonly = true, overlay = true, layers = { "./app" } }: a folder as the rootfs; a plain string is one too.
stdlib.directory = rootfs.directory

--- bind { "./volume", "/data", readonly = true, recursive = true, propagation = "private", idmap = true }: a folder or file of the host's.
stdlib.bind = mounts.bind

--- proc "/proc", proc { "/proc", hidepid = 2, subset = "pid" }
stdlib.proc = mounts.proc

--- sysfs "/sys": read-only unless readonly = false.
stdlib.sysfs = mounts.sysfs

--- tmpfs { "/tmp", size = "64MiB", mode = "1777" }
stdlib.tmpfs = mounts.tmpfs

--- dev "/dev": null zero full random urandom tty, pts, shm, mqueue, and the links that programs expect.
stdlib.dev = mounts.dev

--- devpts "/dev/pts"
stdlib.devpts = mounts.devpts

--- mqueue "/dev/mqueue"
stdlib.mqueue = mounts.mqueue

--- cgroupfs "/sys/fs/cgroup": the container's own cgroups, read-only.
stdlib.cgroupfs = mounts.cgroupfs

--- overlay { "/data", lower = { "./a", "./b" }, upper = "./changes", work = "./work" }: several folders as one; the first on top.
stdlib.overlay = mounts.overlay

--- veth { host = "172.16.99.1/24", guest = "172.16.99.100/24", nat = true, publish = { "8080:80" } }
stdlib.veth = network.veth

--- bridge { "web", subnet = "10.9.0.0/24", nat = true, publish = { "8080:80" } }: a network that containers share, with names.
function stdlib.bridge(...) return require("luabox.bridge").new(...) end

--- pasta { publish = { "8080:80" } }: the network of an ordinary user's container.
function stdlib.pasta(options) return require("luabox.pasta").new(options) end

--- luabox.version: "0.1.0"
stdlib.luabox = { version = sys.version() }

--- require_version "0.1": raises unless this luabox serves a script that was written for that version.
function stdlib.require_version(wanted) require("luabox.version").require(wanted) end

return stdlib
