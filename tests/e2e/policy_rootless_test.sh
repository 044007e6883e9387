#!/bin/bash
# Containers of an ordinary user under a site's policies, which are root's: ids, network, limits, exec, import, what a rule changes in them.
. "$(dirname "$0")/rootless.sh"
make_rootfs rootfs
tar -C rootfs -cf "$user_home/box.tar" .; chmod 644 "$user_home/box.tar"
mkdir upper etc-work merged
# /etc/luabox/policy.d, on a copy of /etc that only this test sees; the user's entries stay.
mkdir -p "$work/policies"; chmod 755 "$work/policies"
cp -a "$work/etc" "$work/own-etc"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$work/upper,workdir=$work/etc-work" /etc
for file in passwd group subuid subgid; do cp "$work/etc/$file" /etc/$file; done
mkdir -p /etc/luabox/policy.d
trap 'if [ $BASHPID = $$ ]; then cd /; umount /dev/net/tun 2>/dev/null; umount /etc; umount /etc/passwd /etc/group /etc/subuid /etc/subgid; rm -rf --one-file-system "$work" "/tmp/luabox-$user_id"; fi' EXIT
grant() { echo "boxer:$first_id:65536" | tee /etc/subuid > /etc/subgid; }
policy() { cat > /etc/luabox/policy.d/10-site.lua; }
images=$user_home/.local/share/luabox/images
remains() { ls -A "$work/run/luabox" "$images/.layers" 2>/dev/null | grep -vE '^\.(lock|pasta|failure\.json)$|:$|^$'; pgrep -u $user_id -a; }
nothing_remains() { [ -z "$(remains)" ]; }
leaves_nothing() { if within 5 nothing_remains; then ok "$1"; else failed "$1" "$(remains)"; fi; }

policy <<< 'rule "small" { on = "import", change = function(i) i.max_bytes = "1KiB" end }'
holds "an import is governed, in the units of a script" "1024" "$(as_user "$work/luabox" image import box.tar box 2>&1)"
policy <<< 'rule "names" { on = "import", check = function(i) if i.name ~= "box" then return deny("not " .. i.name .. " of " .. i.caller.name) end end }'
holds "a rule knows who imports what" "not other of boxer" "$(as_user "$work/luabox" image import box.tar other 2>&1)"
as_user "$work/luabox" image import box.tar box > out 2>&1 || failed "it imports" "$(cat out)"

# whatever a rule changes elsewhere, the rest of the container stays what it would be
for ids in own granted; do
  [ $ids = own ] || grant
  policy <<< 'rule "site" { on = "run", change = function(c) c.env.SITE = "here" end }'
  box "network = 'none'" "command = { 'true' }"
  equal "$ids ids: a changed container runs" here "$(inside 'echo $SITE')"
  if [ $ids = own ]; then map="0 $user_id 1"; else map="0 $user_id 1 1 $first_id 65536"; fi
  equal "$ids ids: with its maps" "$map" "$(inside 'cat /proc/self/uid_map' | xargs)"
  box "network = 'none'" "users = { uid = { '0 $user_id 1' }, gid = { '0 $user_id 1' } }" "command = { 'true' }"
  equal "$ids ids: with those that the script wrote" "0 $user_id 1" "$(inside 'cat /proc/self/uid_map' | xargs)"
  equal "$ids ids: with its user" "uid=0(root) gid=0(root)" "$(inside id | cut -d' ' -f1-2)"
done
policy <<P
rule "maps" { on = "run", check = function(c)
  if c.namespaces.user ~= "new" then return deny "a user namespace" end
  if c.users.setgroups then return deny "an internal field" end
  if not c.users.uid[1]:find "^0 $user_id 1" then return deny("another map: " .. c.users.uid[1]) end
  if c.caller.uid ~= $user_id or c.caller.name ~= "boxer" then return deny("another caller: " .. tostring(c.caller.name)) end
  if c.script.path ~= "$user_home/box.lua" or c.script.trusted then return deny "another script" end
  if c.network ~= "none" then return deny "network" end
end }
P
box "network = 'none'" "command = { 'true' }"
equal "a rule sees the maps, the caller and the script" ran "$(inside 'echo ran')"
policy <<< 'rule "maps" { on = "run", change = function(c) c.users = { uid = "0 '$user_id' 1", gid = "0 '$user_id' 1" } end }'
equal "a rule changes the maps, in the short form" "0 $user_id 1" "$(inside 'cat /proc/self/uid_map' | xargs)"
policy <<< 'rule "maps" { on = "run", change = function(c) c.users = { uid = "0 0 1" } end }'
output=$(inside true); holds "maps that this user can't have are refused" "0 0 1" "$output"
policy <<< 'rule "maps" { on = "run", change = function(c) c.users = "nobody" end }'
holds "a map that is none names the rule" "made of it" "$(inside true)"
holds "and what was expected" "container.users: expected" "$(inside true)"

# the network
if mknod -m 666 "$work/tun" c 10 200 && mount --bind "$work/tun" /dev/net/tun 2>/dev/null; then
  ip link add up0 type dummy 2>/dev/null || ip link add up0 type bridge; ip link set up0 up; ip address add 192.0.2.1/24 dev up0; ip route add default via 192.0.2.254
  box "network = pasta { publish = { '18097:80' } }" "command = { 'true' }"
  policy <<< 'rule "site" { on = "run", change = function(c) c.env.SITE = "here" end }'
  holds "pasta under a changed container" "here" "$(inside 'echo $SITE; ls /sys/class/net')"
  policy <<< 'rule "ports" { on = "run", change = function(c) c.network.publish = { "18098:80/udp" } end,
    check = function(c) if c.network.kind ~= "pasta" or c.network.publish[1].host_port ~= 18098 then return deny "not written out" end end }'
  succeeds "a rule changes its ports, in the short form" inside true
  policy <<< 'rule "ports" { on = "run", check = function(c) if c.network.kind == "pasta" then return deny "no network" end end }'
  holds "a rule refuses it" "no network" "$(inside true)"
  policy <<< 'rule "egress" { on = "run", change = function(c) c.network.egress = { "192.0.2.1:53" } end }'
  holds "an egress that it can't have is refused, with the rule" "pasta: egress can't be had" "$(inside true)"
else
  skipped "pasta" "there is no /dev/net/tun"
fi
policy <<< 'rule "veth" { on = "run", change = function(c) c.network = veth { host = "172.16.94.1/24", guest = "172.16.94.2/24" } end }'
box "network = 'none'" "command = { 'true' }"
holds "a rule can't give what takes root" "take root" "$(inside true)"

# exec, single primitives, nothing of root's
policy <<P
rule "exec" { on = "exec", change = function(e) e.env.SITE = "here" end,
  check = function(e) if e.command[1] == "ls" then return deny("no ls for " .. e.caller.name) end end }
rule "binds" { on = "mount", check = function(m) if m.type == "bind" and m.source and under(m.source, "/etc/luabox") then return deny "not the policies" end end }
P
box "name = 'held'" "network = 'none'" "command = { 'sleep', '1000' }"
as_user "$work/luabox" run box.lua > out 2>&1 & child=$!
within 10 as_user "$work/luabox" exec held true 2>/dev/null
equal "exec is changed" here "$(as_user "$work/luabox" exec held sh -c 'echo $SITE' 2>&1)"
holds "exec is refused" "no ls for boxer" "$(as_user "$work/luabox" exec held ls 2>&1)"
as_user "$work/luabox" kill held KILL > /dev/null 2>&1; wait $child 2>/dev/null
box "network = 'none'" "mounts = { bind { '/etc/luabox', '/mnt' } }" "command = { 'true' }"
holds "a rule about mounts sees an ordinary user's" "not the policies" "$(inside true)"
box "network = 'none'" "command = { 'true' }"
holds "the policies can't be switched off" "can't be set under this site's policies" "$(as_user env LUABOX_STATE="$user_home/s" "$work/luabox" run box.lua 2>&1)"
chown $user_id /etc/luabox/policy.d/10-site.lua
holds "policies of the user's own are none" "does not belong to root" "$(inside true)"
chown 0 /etc/luabox/policy.d/10-site.lua

leaves_nothing "nothing is left behind"
finish
