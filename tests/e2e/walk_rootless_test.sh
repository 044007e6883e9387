# Containers of an ordinary user, without and with ids in /etc/subuid: what works as for root, what is refused, and what is left behind: nothing.
. "$(dirname "$0")/rootless.sh"
make_rootfs rootfs
mkdir rootfs/home; echo mine > rootfs/home/file; chown -R 1000:1000 rootfs/home
tar -C rootfs -cf "$user_home/box.tar" .; chmod 644 "$user_home/box.tar"
images=$user_home/.local/share/luabox/images
box "network = 'none'" "command = { 'true' }"

remains() { ls -A "$work/run/luabox" "$images/.layers" 2>/dev/null | grep -vE '^\.(lock|failure\.json)$|:$|^$'; grep -F "$user_home" /proc/self/mountinfo; pgrep -u $user_id -a; }
nothing_remains() { [ -z "$(remains)" ]; }
leaves_nothing() { if within 5 nothing_remains; then ok "$1"; else failed "$1" "$(remains)"; fi; }
# refused NAME PART FIELDS...: such a container is refused with one line that holds PART and the script's line.
refused() {
  local name=$1 part=$2 output; shift 2
  box "command = { 'true' }" "$@"
  output=$(inside true)
  holds "$name" "$part" "$output"
  equal "$name: in one line, at its own" "1 box.lua:4" "$(wc -l <<< "$output") $(grep -o 'box.lua:4' <<< "$output" | head -1)"
}

# ---- the own id alone
output=$(as_user "$work/luabox" image import box.tar box 2>&1)
holds "rootless/import: without granted ids all files are the user's own, and that is said" "all files belong to this user: /etc/subuid grants no ids" "$output"
equal "rootless/import: all files are the user's own" "$user_id" "$(find "$images/box" -printf '%U\n' | sort -u)"
equal "rootless/own: root inside is the user outside, and nobody else is there" "0 $user_id 1" "$(inside 'cat /proc/self/uid_map' | xargs)"
equal "rootless/own: the command is root" "uid=0(root) gid=0(root)" "$(inside id)"
mkdir "$user_home/volume"; chown $user_id "$user_home/volume"
echo classified > "$work/secret"; chmod 600 "$work/secret"
box "network = 'none'" "mounts = { bind { './volume', '/data' }, bind { '$work/secret', '/secret' } }" "command = { 'true' }"
inside 'touch /data/made'
equal "rootless/own: what root makes in a volume belongs to the user" $user_id "$(stat -c %u "$user_home/volume/made")"
lacks "rootless/own: root inside reads no file of the host's root" classified "$(inside 'cat /secret')"
output=$(inside 'readlink /proc/self/ns/* | sort -u')
equal "rootless/namespaces: user, mnt, pid, ipc, uts, net and cgroup are its own" 0 \
  "$(for kind in user mnt pid ipc uts net cgroup; do grep -xF "$(readlink /proc/self/ns/$kind)" <<< "$output"; done | wc -l)"
holds "rootless/security: no new namespace, no mount" "Operation not permitted" "$(inside 'unshare -U true || mount -t tmpfs x /tmp')"
equal "rootless/overlay: what is written goes with the container" "written gone" \
  "$(inside 'echo > /bin/new; rm /bin/vi; [ -e /bin/new ] && [ ! -e /bin/vi ] && echo written' | xargs) $(inside '[ -e /bin/new ] || [ ! -e /bin/vi ] || echo gone')"
equal "rootless/terminal: it has a terminal of its own" /dev/pts/0 "$(box "terminal = true" "network = 'none'" "command = { 'true' }"; inside tty | tr -d '\r')"
box "network = 'none'" "command = { 'true' }"
holds "rootless/limits: a default that can't be had is left out, and -v tells" "no cgroup is delegated to this user: no default limit of processes" \
  "$(as_user "$work/luabox" run -v box.lua 2>&1)"
refused "rootless/user: an id that is not mapped is refused" "user: 1000:1000 is not among the ids" "user = '1000'"
refused "rootless/limits: a limit without a delegated cgroup is refused, and says what to do" "systemd-run --user --scope -p Delegate=yes" "cgroup = { memory = '64MiB' }"
refused "rootless/network: a veth pair is refused, and says what there is instead" "pasta" "network = veth { host = '172.16.99.1/24', guest = '172.16.99.2/24' }"
refused "rootless/devices: a device is refused, and says what there is instead" "bind {" "devices = { '/dev/zero' }"
leaves_nothing "rootless/own: nothing is left behind"

# ---- a folder as the root, its own and another's
make_rootfs "$user_home/root"; chown -R $user_id:$user_id "$user_home/root"; rm -rf "$user_home/root/proc"
before=$(find "$user_home/root" | sort)
box "rootfs = './root'" "network = 'none'" "command = { 'true' }"; sed -i 2d "$user_home/box.lua"
equal "rootless/folder: a folder of the user's is a root file system" started "$(inside 'echo started')"
equal "rootless/folder: the mount targets made in it are removed" "$before" "$(find "$user_home/root" | sort)"
box "rootfs = directory { '$work/rootfs', overlay = true }" "network = 'none'" "command = { 'true' }"; sed -i 2d "$user_home/box.lua"
mv rootfs/etc/hosts kept 2>/dev/null
holds "rootless/folder: another's is told as such" "belongs to the user 0" "$(inside true)"

# ---- where the state lies
box "network = 'none'" "command = { 'sh', '-c', 'sleep 7779.$$' }"
as_user "$work/luabox" run --name lies box.lua < /dev/null & running=$!
within 10 test -e "$work/run/luabox/lies"
equal "rootless/state: it lies in the runtime folder, the user's own" "$user_id" "$(stat -c %u "$work/run/luabox/lies")"
within 10 pgrep -fx "sleep 7779.$$" > /dev/null
{ pkill -9 -u $user_id -f 'luabox run --name lies'; wait $running; } 2>/dev/null
gone() { ! pgrep -fx "sleep 7779.$$" > /dev/null; }
succeeds "rootless/state: a killed luabox takes its container along" within 5 gone
as_user "$work/luabox" gc > /dev/null
leaves_nothing "rootless/state: gc removes what it left"
box "network = 'none'" "command = { 'true' }"
succeeds "rootless/state: root needn't ever have run luabox on the host" unshare --mount sh -c 'mount -t tmpfs none /run && exec "$@"' - "${user[@]}" "$work/luabox" run box.lua
without_runtime() { setpriv --reuid $user_id --regid $user_id --clear-groups --reset-env env -C "$user_home" HOME="$user_home" PATH="$PATH" "$work/luabox" "$@" 2>&1; }
without_runtime list > /dev/null; without_runtime gc > /dev/null; without_runtime run box.lua -- true
equal "rootless/state: without a runtime folder there is one in /tmp, for the user alone" "700 $user_id" "$(stat -c '%a %u' /tmp/luabox-$user_id)"
rm -rf /tmp/luabox-$user_id; mkdir -m 777 /tmp/luabox-$user_id
holds "rootless/state: one that another made is refused" "is not a folder of this user's alone" "$(without_runtime run box.lua -- true)"
rm -rf /tmp/luabox-$user_id

# ---- a delegated cgroup: of each hierarchy that has pids or memory, one that is the user's
delegated=()
delegate() {
  local controller at
  for controller in pids memory; do
    at=$(awk -v c=",$controller," '$3 == "cgroup" && index("," $4 ",", c) { print $2; exit }' /proc/mounts)
    if [ -z "$at" ] && grep -qw $controller /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null; then at=/sys/fs/cgroup; fi
    [ -n "$at" ] || return 1
    [ -d "$at/luabox-delegated-$$" ] && continue
    mkdir "$at/luabox-delegated-$$" && delegated+=("$at/luabox-delegated-$$")
    chown $user_id:$user_id "$at/luabox-delegated-$$"
    for file in cgroup.procs tasks cgroup.subtree_control; do [ -e "$at/luabox-delegated-$$/$file" ] && chown $user_id "$at/luabox-delegated-$$/$file"; done
    # On version 2 a cgroup with processes gives its own cgroups no controller: they are in one beside.
    [ -e "$at/luabox-delegated-$$/cgroup.subtree_control" ] && mkdir "$at/luabox-delegated-$$/shell" && chown -R $user_id "$at/luabox-delegated-$$/shell"
  done
  return 0
}
# delegated_run COMMAND...: the user's shell is in these cgroups.
delegated_run() {
  (
    for folder in "${delegated[@]}"; do
      [ -d "$folder/shell" ] && folder+=/shell
      sh -c 'echo $PPID' > "$folder/cgroup.procs" 2>/dev/null || echo $BASHPID > "$folder/cgroup.procs"
    done
    as_user "$@"
  )
}
if delegate; then
  box "network = 'none'" "cgroup = { pids = 20, memory = '32MiB' }" "command = { 'true' }"
  output=$(delegated_run "$work/luabox" run box.lua -- sh -c 'cat /proc/self/cgroup; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; for i in $(seq 40); do sleep 1 & done' 2>&1 < /dev/null)
  holds "rootless/cgroup: with a delegated one the limit is in force" "20" "$output"
  holds "rootless/cgroup: and is kept by the kernel" "can't fork" "$output"
  holds "rootless/cgroup: memory too" "killed: memory limit" "$(delegated_run timeout $((60 * slow)) "$work/luabox" run box.lua -- sh -c 'head -c 100000000 /dev/zero | tail > /dev/null; exit 137' 2>&1 < /dev/null)"
  box "network = 'none'" "command = { 'true' }"
  lacks "rootless/cgroup: the default limit of processes is there" "no default limit" "$(delegated_run "$work/luabox" run -v box.lua 2>&1)"

  # A site's rules hold for them as for root's: what a rule changes is what the kernel is told, at a start and later, by whichever way.
  mkdir -p policies; chmod 755 policies
  cat > policies/10-site.lua <<'P'
rule "few" { on = { "run", "update" }, change = function(c) if c.cgroup.pids then c.cgroup.pids = math.min(c.cgroup.pids, 15) end end }
rule "small" { on = { "run", "update" }, check = function(c) if c.cgroup.memory and c.cgroup.memory > MiB(48) then return deny "too much" end end }
P
  governed() { delegated_run env LUABOX_POLICY="$work/policies" "$work/luabox" "$@" 2>&1 < /dev/null; }
  limit_of() { cat $(find "${delegated[@]}" -path "*/luabox/governed/$1.*" \( -name pids.max -o -name memory.max -o -name memory.limit_in_bytes \)); }
  box "name = 'governed'" "network = 'none'" "cgroup = { pids = 20, memory = '64MiB' }" "command = { 'true' }"
  holds "rootless/cgroup: under a policy a limit is refused, at its script's line" "box.lua:1: refused by the policy 'small' (10-site.lua:2): too much" "$(governed run box.lua)"
  box "name = 'governed'" "network = 'none'" "cgroup = { pids = 20, memory = '32MiB' }" "command = { 'sh', '-c', 'echo up; exec sleep 7779' }"
  (delegated_run env LUABOX_POLICY="$work/policies" "$work/luabox" run box.lua > "$work/governed.out" 2>&1 < /dev/null) & governing=$!
  within 20 grep -q up "$work/governed.out" || failed "rootless/cgroup: the container starts" "$(cat "$work/governed.out")"
  equal "rootless/cgroup: under a policy what a rule made of it is the kernel's" "15 33554432" "$(limit_of pids) $(limit_of memory)"
  governed update governed pids=40 memory=16MiB; equal "rootless/cgroup: an update likewise" "15 16777216" "$(limit_of pids) $(limit_of memory)"
  holds "rootless/cgroup: which it refuses" "too much" "$(governed update governed memory=64MiB)"
  equal "rootless/cgroup: and what joins is in it" "16777216" "$(governed exec governed sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null')"
  governed kill governed KILL; wait $governing
  equal "rootless/cgroup: nothing is left in them" "" "$(find "${delegated[@]}" -mindepth 1 -type d -path '*luabox/*')"
  for folder in "${delegated[@]}"; do find "$folder" -depth -type d -exec rmdir {} \;; done
else
  skipped "rootless/cgroup: with a delegated one the limit is in force" "this host has no pids and memory controllers to delegate"
fi

succeeds "rootless/images: the user removes his image" as_user "$work/luabox" image rm box

# ---- with granted ids
if ! command -v newuidmap > /dev/null; then
  skipped "rootless/subids: a range of ids" "newuidmap is not installed (package uidmap)"
  finish
fi
grant
succeeds "rootless/import: works with granted ids" as_user "$work/luabox" image import -q box.tar box
equal "rootless/import: the archive's owners are kept as granted ids" "$((first_id + 999))" "$(stat -c %u "$images/box/rootfs/home/file")"
box "network = 'none'" "command = { 'true' }"
equal "rootless/subids: the owners are right inside" "1000:1000 0:0" "$(inside 'stat -c %u:%g /home/file /bin/busybox' | xargs)"
equal "rootless/subids: the user and the granted ids are mapped" "0 $user_id 1 1 $first_id 65536" "$(inside 'cat /proc/self/gid_map' | xargs)"
equal "rootless/subids: root gives files away, in the image's files and in its own" "7:8 9:9" "$(inside 'chown 7:8 /home/file; touch /new; chown 9:9 /new; stat -c %u:%g /home/file /new' | xargs)"
leaves_nothing "rootless/subids: layers with others' files are removed"
box "network = 'none'" "user = 'user'" "command = { 'true' }"
equal "rootless/subids: the command runs as a user of the image, in its groups" "uid=1000(user) gid=1000(user) groups=50(staff),1000(user)" "$(inside id)"
refused "rootless/subids: ids that were not granted are refused, with newuidmap's own reason" "newuidmap refused the ids 0 $user_id 1, 1 5 10: newuidmap: uid range" \
  "users = { uid = { '0 $user_id 1', '1 5 10' } }"
(cd "$user_home" && as_user sh -c "exec '$work/luabox' image import -q - other < box.tar") ; within 1 test -d "$images/other"
equal "rootless/import: from a pipe too" "$((first_id + 999))" "$(stat -c %u "$images/other/rootfs/home/file")"
head -c 200000 "$user_home/box.tar" > "$user_home/short.tar"
holds "rootless/import: an error in the user namespace is told" "cut off" "$(as_user "$work/luabox" image import -q short.tar short 2>&1)"
equal "rootless/import: a failed one leaves nothing" "" "$(ls -A "$images" | grep -E 'short|import')"
cp "$top/examples/rootless.lua" "$user_home"
output=$(as_user "$work/luabox" run rootless.lua < /dev/null 2>&1)
holds "rootless/example: examples/rootless.lua tells the ids inside, outside and how many" "$first_id" "$output"
holds "rootless/example: and that an id of the image's own is its own" "the file of 1000 belongs to $((first_id + 999)) outside" "$output"
succeeds "rootless/images: images with others' files are removed" as_user "$work/luabox" image rm box other
equal "rootless/images: nothing is left of them" ".layers .lock" "$(ls -A "$images" | xargs)"
finish
