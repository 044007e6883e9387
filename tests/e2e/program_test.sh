#!/bin/bash
# The program as the build leaves it. The prepared heap: what a start needs is loaded when the program begins, and nothing that the building
# machine said is in it. The layout: what a start calls lies side by side.
. "$(dirname "$0")/common.sh"
! readelf -lW "$LUABOX" | grep -q INTERP || { echo "skipped: a program with sanitizers has no prepared heap"; exit 77; }
make_rootfs rootfs

cat > loads.lua <<'E2'
local before = {}
for name in pairs(package.loaded) do before[name] = true end
local sys = require "luabox.sys"
for name, value in pairs(sys) do if type(value) == "table" then before["sys." .. name] = true end end
for _, network in ipairs { false, true } do
  container {
    rootfs = "./rootfs", command = { "/bin/true" }, cgroup = { memory = "64MiB", pids = 20 },
    network = network and veth { host = "10.77.0.1/24", guest = "10.77.0.2/24", nat = true } or nil,
  }:run()
end
for name in pairs(package.loaded) do if not before[name] then print("loaded", name) end end
for name, value in pairs(sys) do if type(value) == "table" and not before["sys." .. name] then print("opened", name) end end
print(package.loaded["luabox.bridge"] == nil and "the rest is not there" or "all is there")
E2
equal "a start loads no script and opens no module" "the rest is not there" "$("$LUABOX" run loads.lua 2>&1)"

cat > alive.lua <<'E2'
collectgarbage() collectgarbage()
local made = {}
for i = 1, 200000 do made[i % 1000] = { tostring(i), function() return i end } end
collectgarbage()
print(#made, string.format("%s %s", "a", math.floor(2.5)), tostring(io.stdout):match "^file %(", (pcall(error, "x")))
E2
equal "what is in it is collected, grows and is used like any other heap" "999	a 2	file (	false" "$("$LUABOX" run alive.lua 2>&1)"

mkdir -m 755 policies
cat > policies/10-alive.lua <<'E2'
rule "alive" { on = "run", check = function(c)
  local made, seen = {}, {}
  for i = 1, 100000 do made[i % 1000] = { tostring(i), function() return i end } end
  for word in ("%s b"):format("a"):gmatch "%a" do seen[#seen + 1] = word end
  return deny(#made .. " " .. table.concat(seen, ",") .. " " .. math.floor(2.5) .. " " .. tostring(pcall(error, "x")) .. " " .. tostring(under("/etc/ssl", "/etc")))
end }
E2
script "command = { 'true' }"
holds "so is the one of the policies" "999 a,b 2 false true" "$(LUABOX_POLICY=$work/policies "$LUABOX" run box.lua 2>&1)"

mkdir modules
echo 'return "from LUA_PATH"' > modules/elsewhere.lua
echo 'print(require "elsewhere")' > path.lua
equal "LUA_PATH is the start's" "from LUA_PATH" "$(LUA_PATH="$work/modules/?.lua" "$LUABOX" run path.lua 2>&1)"
lacks "LUA_PATH is not the build's" "$top" "$(echo 'print(package.path, package.cpath)' | "$LUABOX" run - 2>&1)"
holds "the JIT is this machine's" "true" "$(echo 'print((jit.status()))' | "$LUABOX" run - 2>&1)"

# Which would write a file of its caller's choosing with the rights of a set-uid program.
holds "the program that is installed prepares nothing" "no command '--prepare-heap'" "$("$LUABOX" --prepare-heap "$work/heap" 2>&1)"
equal "and writes nothing" "missing" "$([ -e heap ] && echo there || echo missing)"

called=$((16#$(readelf -SW "$LUABOX" | awk '$2 == ".text.start" || $3 == ".text.start" { for (i = 3; i <= NF; ++i) if ($i == "PROGBITS") print $(i + 3) }')))
if [ $called -gt 500000 ] && [ $called -lt 2000000 ]; then ok "what a start calls lies side by side"; else failed "what a start calls lies side by side" "$called bytes: make cmake/order.ld anew with tools/order"; fi
exit $status
