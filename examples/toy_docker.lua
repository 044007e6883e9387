-- A toy docker: a root made of the host's own programs and libraries, with all that a container mounts, entered by chroot or pivot_root.
-- Prints what the command prints, by default a shell's: luabox run toy_docker.lua FOLDER pivot_root tmpfs bash -c 'ls /; cat /proc/mounts'
-- Needs a folder for its root and its volume; `chroot` or `pivot_root`; `tmpfs` or, as root, `devtmpfs` for /dev; a command.
local sys = require "luabox.sys"
local anyone = require "namespaces.anyone"

local folder, way, kind = sys.file.absolute(arg[1] or "."), arg[2] or "pivot_root", arg[3] or "tmpfs"
local command = arg[4] and { unpack(arg, 4) } or { "/bin/bash" }
local rootfs, volume = folder .. "/rootfs", folder .. "/volume"
local conf = sys.file.absolute(arg[0]:match "^(.*/)" or "./") .. "/toy_docker/conf/"

local PROGRAMS = "bash cat df hostname id ls mkdir mount nsenter ps rm stat touch umount"

--- Programs with the libraries that ldd names, each where it lies on the host.
local function build()
  for _, name in ipairs { "proc", "sys", "tmp", "dev", "run", "mnt", "etc", "root", "usr/bin" } do
    sys.file.make_directories(rootfs .. "/" .. name)
  end
  sys.file.make_directories(volume)
  if sys.file.kind(rootfs .. "/bin") then return end
  local built = os.execute(([[
    cd '%s' && ln -s usr/bin bin && for name in %s; do
      path=$(command -v $name) && cp -L $path bin/ && cp -L --parents $(ldd $path | grep -o '/[^ )]*') . || exit
    done]]):format(rootfs, PROGRAMS))
  assert(built == 0, "the root file system could not be built")
end

--- All devices of the host, and the same ones: what is made or removed in it is made or removed there. Or a few that hold no power.
local function mount_dev()
  if kind == "devtmpfs" then
    sys.mount.make("devtmpfs", { flags = { nosuid = true, noexec = true } }):attach_at(rootfs .. "/dev")
  else
    sys.mount.tmpfs(rootfs .. "/dev", { mode = "755", size = "64k", nodev = false, noexec = true })
    for _, name in ipairs { "null", "zero", "full", "random", "urandom", "tty" } do
      sys.file.write(rootfs .. "/dev/" .. name, "")
      sys.mount.bind("/dev/" .. name, rootfs .. "/dev/" .. name)
    end
    sys.file.make_directory(rootfs .. "/dev/pts")
    sys.file.make_directory(rootfs .. "/dev/shm")
  end
  sys.mount.devpts(rootfs .. "/dev/pts")
  sys.mount.tmpfs(rootfs .. "/dev/shm", { size = "8m", noexec = true })
end

local function mount_all()
  sys.mount.private "/"
  sys.mount.bind(rootfs, rootfs)  -- pivot_root wants a mount point
  sys.mount.proc(rootfs .. "/proc")
  sys.mount.sysfs(rootfs .. "/sys", { read_only = true })
  sys.mount.tmpfs(rootfs .. "/tmp", { size = "8m" })
  sys.mount.tmpfs(rootfs .. "/run", { size = "8m", mode = "755" })
  mount_dev()
  for _, name in ipairs { "hosts", "hostname", "resolv.conf" } do
    sys.file.write(rootfs .. "/etc/" .. name, "")  -- what a file is bound to must be there
    sys.mount.bind(conf .. name, rootfs .. "/etc/" .. name, { read_only = true })
  end
  sys.mount.bind(volume, rootfs .. "/mnt")
end

build()
local process = anyone.clone("uts ipc pid mount net cgroup", function()
  sys.sethostname(sys.file.read(conf .. "hostname"):match "%S+")
  mount_all()
  -- chroot changes where paths begin, and the old root stays mounted: nsenter into the very namespace that one is in leads back to it.
  -- pivot_root exchanges the roots of the namespace, and the old one is taken off: there is nothing to go back to.
  sys.mount[way](rootfs)
  sys.exec(command, { environment = { "PATH=/bin", "HOME=/root", "PS1=toy# " } })
end)
os.exit(process:wait())
