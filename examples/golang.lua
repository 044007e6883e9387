-- The whole of "Containers without docker": a golang image with its own hostname, mounts, memory limit, devices and network.
-- Prints whatever the command prints: a shell, or what follows `--`, such as `luabox run examples/golang.lua -- go version`.
-- Needs root and the image "golang": `tools/demo` makes it.
return container {
  rootfs = image "golang",
  hostname = "golang",
  mounts = {
    proc "/proc", sysfs "/sys", tmpfs { "/tmp", size = "1GiB" }, dev "/dev",
    bind { "./volume", "/var/readonlyfiles", readonly = true },
  },
  cgroup = { ["memory.limit_in_bytes"] = 100000000, ["memory.swappiness"] = 0 },
  capabilities = { add = { "CAP_MKNOD" } },
  network = veth { host = "172.16.99.1/24", guest = "172.16.99.100/24", nat = true },
  env = { GOCACHE = "/tmp/go-build", GOFLAGS = "-p=1" },
  command = { "/bin/bash" },
}
