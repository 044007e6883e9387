-- AppArmor: a profile says which files a program may touch and which capabilities it may use, whoever it runs as.
-- Prints what the container may read and write under a profile that denies /etc/shadow and all writing but in /tmp; and without it.
-- Needs root, a kernel with AppArmor, apparmor_parser (apparmor), and a root file system with busybox as its argument. What is loaded is there for
-- all: an ordinary user can ask for it after root's `luabox run apparmor.lua rootfs load`, until his `... remove`.
local sys = require "luabox.sys"
local rootfs = sys.file.absolute(arg[1] or "rootfs")

local PROFILE = [[
profile luabox-walk flags=(attach_disconnected, mediate_deleted) {
  file,
  capability,
  network,
  signal,
  deny /etc/shadow r,
  deny /root/** w,
}
]]

local function parser(option)
  local pipe = io.popen("apparmor_parser --skip-cache " .. option, "w")
  pipe:write(PROFILE)
  return pipe:close()
end

local function run(who, profile)
  local ok, problem = pcall(function()
    container {
      rootfs = directory { rootfs, overlay = true },
      apparmor = profile,
      command = { "/bin/sh", "-c", [[
        echo "$0: label $(cat /proc/self/attr/current)"
        for file in /etc/passwd /etc/shadow; do head -c 1 $file > /dev/null 2>&1 && echo "$0: $file read" || echo "$0: $file denied"; done
        for file in /tmp/file /root/file; do (echo word > $file) 2>/dev/null && echo "$0: $file written" || echo "$0: $file denied"; done ]], who },
    }:run()
  end)
  if not ok then print(tostring(problem)) end
  io.stdout:flush()
end

if sys.security.lsm() ~= "apparmor" then
  run("profile", "luabox-walk")  -- a container that asks for it isn't started without
  os.exit(77)
end
if arg[2] then os.exit(parser("--" .. (arg[2] == "load" and "replace" or "remove")) and 0 or 1) end
run "no profile"
run("unknown profile", "no-such-profile")
local root = sys.uid() == 0
if root then parser "--replace" end
run("profile", "luabox-walk")
if root then parser "--remove" end
