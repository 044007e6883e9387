#!/bin/bash
# What a request says of paths, devices and namespaces is what is used: facts of each kind of request, names that lead elsewhere, and files that are
# swapped between check and use.
. "$(dirname "$0")/common.sh"
mount --make-rshared /  # as on a host with systemd; within this mount namespace
make_rootfs rootfs
make_rootfs evil; chmod 755 "$work" rootfs evil
printf '#!/bin/sh\necho safe\n' > rootfs/bin/marked; printf '#!/bin/sh\necho ESCAPED\n' > evil/bin/marked; chmod 755 rootfs/bin/marked
mark=e2e-places-$$
mkdir policies safe secret; chmod 755 policies; echo fine > safe/file; echo ESCAPED > secret/file
export LUABOX_POLICY=$work/policies
run() { "$LUABOX" run "$@" 2>&1 < /dev/null; }
policy() { cat > policies/10-site.lua; }

# what is held is told by its name
policy <<< 'rule "any" { on = { "run", "import", "mount" }, check = function() end }'
script "namespaces = { net = '$work/safe/file' }" "command = { 'true' }"
holds "a namespace that is none" "namespaces.net: open $work/safe/file: this is no namespace" "$(run box.lua)"
holds "an archive that is none" "import $work/safe/file: it is not a tar archive" "$("$LUABOX" image import "$work/safe/file" junk 2>&1)"

# names that lead elsewhere
policy <<< 'rule "no host network" { on = "run", check = function(c) if c.namespaces.net == "host" then return deny "use a bridge" end end }'
script "namespaces = { net = '/proc/self/ns/net' }" "command = { 'true' }"
holds "the host's network by a path is the host's network" "use a bridge" "$(run box.lua)"
ln -s /proc/self/ns/net link; script "namespaces = { net = '$work/link' }" "command = { 'true' }"
holds "by a symlink, too" "use a bridge" "$(run box.lua)"
unshare --net --propagation unchanged sleep 1000 & other=$!
within 5 eval '[ "$(readlink /proc/'$other'/ns/net)" != "$(readlink /proc/self/ns/net)" ]'
script "namespaces = { net = '/proc/$other/ns/net' }" "command = { 'echo', 'joined' }"
equal "another's is joined" joined "$(run box.lua)"
ln -s /dev/kmsg device
script "devices = { { path = '$work/device', name = 'log' } }" "command = { 'true' }"
policy <<< 'rule "devices" { on = "run", check = function(c) for _, d in ipairs(c.devices) do if d.path == "/dev/kmsg" and d.major == 1 and d.minor == 11 and d.type == "char" then return deny "no kmsg" end end end }'
holds "a device is what its symlink leads to, with its numbers" "no kmsg" "$(run box.lua)"
policy <<< 'rule "env" { on = "run", change = function(c) c.env.X = "1" end }'
script "devices = { { path = '/dev/null', name = 'own', access = 'rw' } }" "command = { 'ls', '/dev/own' }"
equal "devices survive a change" /dev/own "$(run box.lua)"
policy <<P
rule "facts" { on = "run", check = function(c)
  if c.rootfs.path ~= "$work/rootfs" or not c.rootfs.inode or not c.rootfs.device or c.rootfs.owner ~= 0 then return deny "rootfs" end
  if c.rootfs.persist ~= "$work/kept" then return deny("persist " .. tostring(c.rootfs.persist)) end
  if c.rootfs.layers[1] ~= "$work/safe" then return deny "layers" end
  local m = c.mounts[#c.mounts]
  if m.source ~= "$work/safe" or m.inode ~= "$(stat -c %i safe)" or m.owner ~= 0 or not m.directory then return deny "bind" end
  if not c.script.path:find "box.lua$" or c.script.inode == nil or c.caller.name ~= "root" or not c.pid or not c.time.weekday then return deny "who" end
end }
P
ln -s safe to-safe; ln -s rootfs to-rootfs
printf 'return container { rootfs = directory { "%s/to-rootfs", persist = "%s/kept", layers = { "%s/to-safe" } }, mounts = { bind { "%s/to-safe", "/data" } }, command = { "cat", "/data/file" } }\n' "$work" "$work" "$work" "$work" > box.lua
equal "paths, inodes and owners are those of what is used" fine "$(run box.lua)"
rm -rf --one-file-system kept

# swapped all the time: whatever wins, it is never the other
races=0
race() { ( while :; do ln -sfn "$2" "$1.new"; mv -T "$1.new" "$1"; ln -sfn "$3" "$1.new"; mv -T "$1.new" "$1"; done ) 2>/dev/null & racer=$!; }
# swapped NAME LINK SAFE OTHER: box.lua, many times, while LINK leads now here, now there; the rules allow SAFE alone.
swapped() {
  local name=$1 output round ran=0 refused=0
  races=$((races + 1))
  race "$2" "$3" "$4"
  for round in $(seq 20); do
    output=$(run box.lua)
    [[ $output != *ESCAPED* ]] || { failed "$name" "$output"; break; }
    [[ $output == *refused* || $output == *another\ file* || $output == *"by now"* ]] && refused=$((refused + 1))
    [[ $output == *fine* || $output == *safe* ]] && ran=$((ran + 1))
  done
  kill $racer; wait $racer 2>/dev/null
  [ $((ran + refused)) -gt 0 ] || failed "$name: it ran or was refused" "$output"
  ok "$name: $ran ran, $refused were refused"
}
ln -sfn safe where
policy <<< "rule 'places' { on = 'run', check = function(c) for _, m in ipairs(c.mounts) do if m.source and m.source ~= '$work/safe' then return deny(m.source) end end end }"
script "mounts = { bind { '$work/where', '/data', propagation = 'slave' } }" "command = { 'cat', '/data/file' }"
swapped "a volume with propagation" "$work/where" "$work/safe" "$work/secret"
policy <<< "rule 'layers' { on = 'run', check = function(c) if c.rootfs.layers and c.rootfs.layers[1] ~= '$work/safe' then return deny 'another layer' end end }"
printf 'return container { rootfs = directory { "%s/rootfs", layers = { "%s/where" } }, command = { "cat", "/file" } }\n' "$work" "$work" > box.lua
swapped "a layer" "$work/where" "$work/safe" "$work/secret"
cp -a rootfs mine; cp -a evil theirs; chown -R 300000:300000 mine theirs
policy <<< "rule 'roots' { on = 'run', check = function(c) if c.rootfs.path ~= '$work/mine' then return deny 'another root' end end }"
ln -sfn mine which
printf 'return container { rootfs = directory { "%s/which", overlay = true }, users = { uid = "0 300000 65536" }, command = { "/bin/marked" } }\n' "$work" > box.lua
swapped "a root that is seen through other ids" "$work/which" "$work/mine" "$work/theirs"
mkdir -p kept/upper kept/work kept2/upper kept2/work; echo ESCAPED > kept2/upper/file; echo fine > kept/upper/file
policy <<< "rule 'changes' { on = 'run', check = function(c) if c.rootfs.persist ~= '$work/kept' then return deny 'another folder' end end }"
printf 'return container { rootfs = directory { "%s/rootfs", persist = "%s/where" }, command = { "cat", "/file" } }\n' "$work" "$work" > box.lua
swapped "a folder for changes" "$work/where" "$work/kept" "$work/kept2"
policy <<< "rule 'joined' { on = 'run', check = function(c) if c.namespaces.net == 'host' then return deny 'the host' end end }"
printf 'return container { rootfs = "%s/rootfs", namespaces = { net = "%s/where" }, command = { "sh", "-c", "readlink /proc/self/ns/net | grep -q %s && echo ESCAPED || echo safe" } }\n' \
  "$work" "$work" "$(readlink /proc/self/ns/net | tr -dc 0-9)" > box.lua
swapped "a namespace" "$work/where" "/proc/$other/ns/net" "/proc/$$/ns/net"
kill $other; wait $other 2>/dev/null
cp box.lua one.lua; printf 'return container { rootfs = "%s/rootfs", command = { "echo", "ESCAPED" } }\n' "$work" > two.lua
sed -i "s/return container.*/return container { rootfs = '${work//\//\\/}\/rootfs', command = { 'echo', 'fine' } }/" one.lua
ln -sfn one.lua box.lua
policy <<< "rule 'scripts' { on = 'run', check = function(c) if c.script.path ~= '$work/one.lua' then return deny 'another script' end end }"
swapped "a script" "$work/box.lua" "$work/one.lua" "$work/two.lua"

unset LUABOX_POLICY
leaves_nothing "nothing is left behind"
finish
