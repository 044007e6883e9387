# luabox check-host: what it says is compared with what this host is, and with hosts that lack one thing.
. "$(dirname "$0")/rootless.sh"
command -v python3 > /dev/null || { echo "skipped: python3 is not installed"; exit 77; }
check="$work/luabox check-host"
# is COLUMN NAME: what the last output says.
is() { awk -v column="$1" -v name="$2" '$0 ~ "^  " name " +(yes|no|-) " { sub("^  " name " +", ""); print $column }' <<< "$output"; }

output=$($check)
equal "check-host: root can make every kind of namespace" "yes yes yes yes yes yes yes" "$(for kind in user mnt uts ipc pid net cgroup; do is 1 $kind; done | xargs)"
holds "check-host: the kernel is named" "Linux $(uname -r)" "$output"
for controller in pids memory cpu; do
  at=$(awk -v c=",$controller," '$3 == "cgroup" && index("," $4 ",", c) { print $2; exit }' /proc/mounts)
  [ -n "$at" ] && holds "check-host: the controller $controller is where it is mounted" "version 1, $at" "$(grep "^  $controller " <<< "$output")"
done
equal "check-host: root has overlay, as a mount of its own tells" "$(mkdir l u w m; mount -t tmpfs x m && mkdir m/l m/u m/w && mount -t overlay x -o lowerdir=m/l,upperdir=m/u,workdir=m/w l 2>/dev/null && echo yes || echo no)" "$(is 1 overlay)"
umount l m 2>/dev/null
equal "check-host: seccomp is there" "yes yes" "$(is 1 seccomp) $(is 2 seccomp)"
before=$(ip link; nft list tables 2>/dev/null; ls /tmp; cat /proc/self/mountinfo); $check > /dev/null; after=$(ip link; nft list tables 2>/dev/null; ls /tmp; cat /proc/self/mountinfo)
equal "check-host: nothing of the host is changed" "$before" "$after"
equal "check-host --json: is JSON, with root and user of each" "ok" "$($check --json | python3 -c 'import json, sys
d = json.load(sys.stdin); u = [c for c in d["checks"] if c["name"] == "user"][0]
print("ok" if u["root"] is True and "user" in u and d["kernel"] else d)')"

# ---- as an ordinary user
output=$(as_user $check)
equal "check-host: a user without ids is told so" no "$(is 2 "ids in /etc/subuid")"
holds "check-host: and what root can do" "usermod --add-subuids" "$output"
equal "check-host: pasta takes a default route and /dev/net/tun" no "$(is 2 pasta)"
if command -v newuidmap > /dev/null; then
  grant
  output=$(as_user $check)
  equal "check-host: a user with ids is told so" yes "$(is 2 "ids in /etc/subuid")"
  mount --bind /dev/null "$(command -v newuidmap)"
  output=$(as_user $check)
  umount "$(command -v newuidmap)"
  equal "check-host: a missing newuidmap is told" no "$(is 2 newuidmap)"
  holds "check-host: and what to do" "newuidmap: apt-get install uidmap" "$output"
else
  skipped "check-host: a user with ids is told so" "newuidmap is not installed (package uidmap)"
fi
# The commands that it tells for a controller are run as they are: the folder is this user's own.
pids=$(awk '$3 == "cgroup" && index("," $4 ",", ",pids,") { print $2; exit }' /proc/mounts)
if [ -n "$pids" ]; then
  output=$(as_user $check)
  equal "check-host: a controller that is not given to the user is told" no "$(is 2 pids)"
  as_user $check --json > host.json
  commands=$(python3 -c 'import json, sys
print("\n".join([c for c in json.load(open("host.json"))["checks"] if c["name"] == "pids"][0]["commands"]))')
  holds "check-host: how root gives it is in the text too" "$(head -1 <<< "$commands"); chown $user_id" "$output"
  output=$(PID=$BASHPID; eval "$commands"; as_user $check)
  equal "check-host: what it says is enough" "yes no" "$(is 2 pids) $(is 2 memory)"
  rmdir "$pids/luabox-$user_id"
else
  skipped "check-host: a controller that is not given to the user is told" "no controllers of version 1 here (delegation_test.sh has those of version 2)"
fi
# A limit of a user namespace's own: nothing of the host's.
output=$(as_user unshare --user --map-root-user sh -c "echo 0 > /proc/sys/user/max_user_namespaces; $check" 2>&1)
equal "check-host: a host without user namespaces is found out by trying" "no no" "$(is 1 user) $(is 2 user)"
holds "check-host: and what to do" "sysctl user.max_user_namespaces above 0" "$output"
finish
