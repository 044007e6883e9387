-- The container of one shape, as bare as the program it is measured against: every protection that the other lacks is switched off by name.
-- Arguments: the shape (words joined by '+': rootfs net cgroups veth bridge publish egress seccomp full), the root file system, the command.
local shape, root = ...
local command = { select(3, ...) }

local has = {}
for word in shape:gmatch "[^+]+" do has[word] = true end

if has.full then  -- luabox's own defaults
  return container { rootfs = root, command = command }
end

local network
local publish, egress = has.publish and { "8080:80" } or nil, has.egress and { "10.0.0.0/8:443", "any:53/udp" } or nil
if has.veth then network = veth { host = "10.99.0.1/24", guest = "10.99.0.2/24", nat = true, publish = publish, egress = egress } end
if has.bridge then network = bridge { "bench", subnet = "10.98.0.0/24", nat = true, publish = publish, egress = egress } end

return container {
  rootfs = root,
  hostname = "bench",
  default_mounts = false,
  mounts = { proc "/proc", dev "/dev", tmpfs { "/run", size = "16MiB", mode = "755" }, has.net and sysfs "/sys" or nil },
  masked = {}, readonly_paths = {}, etc = false, keyring = false, init = false,
  capabilities = { add = { "SYS_ADMIN" } }, no_new_privs = has.seccomp and true or false,
  seccomp = has.seccomp and "default" or "unconfined",
  namespaces = { cgroup = "host", net = not has.net and "host" or nil },
  cgroup = has.cgroups and { memory = "64MiB", pids = 64, cpu = 0.5 } or { pids = "max" },
  network = network,
  command = command,
}
