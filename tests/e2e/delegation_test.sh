# Cgroups of version 2 for an ordinary user: given to him as systemd gives user@.service, each limit is the kernel's, and what is not given is told with the
# commands that give it; the test runs these very commands.
. "$(dirname "$0")/rootless.sh"
mark=luabox-delegation-$$
if [ "$cgroup_version" != v2 ]; then echo "skipped: the cgroups of this host are of version 1 (tools/test-vm has the other)"; exit 77; fi
[ -n "${VM_RUN:-}" ] || { echo "skipped: the top of this host's cgroups is not a test's to change (tools/test-vm)"; exit 77; }
command -v python3 > /dev/null || { echo "skipped: python3 is not installed"; exit 77; }
make_rootfs rootfs; tar -C rootfs -cf "$user_home/box.tar" .; chmod 644 "$user_home/box.tar"
as_user "$work/luabox" image import -q box.tar box


# slice, which is root's, as user-1000.slice; service, the user's, as user@1000.service; app, in which his shell is.
slice=/sys/fs/cgroup/$mark service=$slice/service app=$slice/service/app by_hand=/sys/fs/cgroup/luabox-$user_id
mkdir -p $app
away() { local each; for each in "$@"; do [ -d "$each" ] && find "$each" -depth -type d -exec rmdir {} \;; done; }
trap 'if [ $BASHPID = $$ ]; then cd /; away $by_hand $slice; umount /etc/passwd /etc/group /etc/subuid /etc/subgid; rm -rf --one-file-system "$work" "/tmp/luabox-$user_id"; fi' EXIT
# in_cgroup DIRECTORY COMMAND...: the user's command, started there.
in_cgroup() { (echo $BASHPID > "$1/cgroup.procs" && shift && as_user timeout -s KILL $((60 * slow)) "$@" < /dev/null 2>&1); }
run() { in_cgroup "${place:-$app}" "$work/luabox" run "$@"; }
memory_box() { box "network = 'none'" "cgroup = { memory = '32MiB' }" "command = { '/bin/sh', '-c', 'cat /sys/fs/cgroup/memory.max' }"; }
# What check-host says of a controller: yes or no, or the commands that would change that.
advice() { in_cgroup "${place:-$app}" "$work/luabox" check-host --json | python3 -c 'import json, sys
for each in json.load(sys.stdin)["checks"]:
  if (each["group"], each["name"]) == ("cgroups", sys.argv[1]):
    print("\n".join(each.get("commands", [])) if sys.argv[2] == "commands" else {True: "yes", False: "no"}[each["user"]])' "$@"; }

# ---- nothing is given: the error says what to do, and check-host by which commands
memory_box
seen=$(run box.lua)
holds "delegation: none: the error is at the limit's line" "box.lua:4: cgroup.memory takes a cgroup that is delegated" "$seen"
holds "delegation: none: and says how systemd does it" "systemd-run --user --scope -p Delegate=yes" "$seen"
holds "delegation: none: and where the commands are told" "luabox check-host" "$seen"
for controller in memory pids cpu; do equal "delegation: none: check-host lists $controller, which exists" no "$(advice $controller says)"; done
commands=$(advice memory commands)
seen=$(PID=$BASHPID; eval "$commands" && as_user "$work/luabox" run box.lua < /dev/null 2>&1)
equal "delegation: none: what root does as told is enough" 33554432 "$seen"
equal "delegation: none: the cgroup went with the container" "" "$(ls -d $by_hand/luabox/*/ 2> /dev/null)"
away $by_hand
box "network = 'none'" "command = { 'true' }"
holds "delegation: none: the default limit is left out, and -v tells" "no default limit of processes" "$(run -v box.lua)"

# ---- the user's own, as systemd gives it, with some controllers
chown $user_id $service $service/cgroup.procs $service/cgroup.subtree_control $service/cgroup.threads
chown -R $user_id $app
echo +pids > $slice/cgroup.subtree_control
equal "delegation: some: check-host tells what is given from what isn't" "yes no" "$(advice pids says) $(advice memory says)"
memory_box
seen=$(run box.lua)
holds "delegation: some: a limit of another controller is refused at its line" "box.lua:4: " "$seen"
holds "delegation: some: with who gives it, and how" "the cgroup $service has no controller 'memory'; whoever owns the one above must delegate it: echo +memory > $slice/cgroup.subtree_control" "$seen"
seen=$(eval "$(advice memory commands)"; run box.lua)
equal "delegation: some: what root does as told is enough" 33554432 "$seen"
equal "delegation: all: check-host says so" "yes yes yes" "$(advice pids says) $(advice memory says) $(advice cpu says)"

# ---- each limit is the kernel's own
cat > "$user_home/limits.lua" <<'LUA'
local box = container {
  name = "limits", rootfs = image "box", network = "none", accounting = true, cgroup = { memory = "32MiB", pids = 12, cpu = "20%" },
  command = { "/bin/sh", "-c", "while :; do :; done" },
}
box:start()
local sys = require "luabox.sys"
sys.sleep(tonumber((...)))
local stats = box:stats()
print(("stats %.6f %d %d %d %d"):format(stats.cpu.usage, stats.memory.usage, stats.memory.limit, stats.pids.current, stats.pids.limit))
io.stdout:flush()
box:stop(1)
box:destroy()
LUA
run limits.lua $((4 * slow)) > limits.out & running=$!
there() { [ -n "$(cat $service/luabox/limits/cgroup.procs 2> /dev/null)" ]; }
if within 20 there; then ok "delegation: limits: the container is in a cgroup below the user's own"; else failed "delegation: limits: the container is in a cgroup below the user's own" "$(cat limits.out)"; fi
cd $service/luabox/limits || finish
equal "delegation: limits: each is in the kernel's file" "33554432 12 20000 100000" "$(cat memory.max pids.max cpu.max | xargs)"
used() { sed -n 's/^usage_usec //p' cpu.stat; }
before=$(used) start=${EPOCHREALTIME/./}; sleep 2; after=$(used) end=${EPOCHREALTIME/./}
rate=$(((after - before) * 1000 / (end - start)))
if [ $rate -ge 150 ] && [ $rate -le 230 ]; then ok "delegation: limits: 20 % of a CPU is what it gets"; else failed "delegation: limits: 20 % of a CPU is what it gets" "$rate thousandths"; fi
lowest=$(used) memory=$(cat memory.current) processes=$(cat pids.current)
cd "$work"; wait $running
read -r _ cpu used limit current most <<< "$(grep ^stats limits.out)"
equal "delegation: stats: the limits, and the processes" "33554432 12 $processes" "$limit $most $current"
if awk -v a="${cpu:-0}" -v b="$lowest" 'BEGIN { exit !(a >= b / 1e6 && a < b / 1e6 + 20) }'; then ok "delegation: stats: seconds of CPU time"; else failed "delegation: stats: seconds of CPU time" "$cpu, $lowest before: $(cat limits.out)"; fi
if [ "${used:-0}" -gt $((memory / 2)) ] && [ "${used:-0}" -lt $((memory * 2)) ]; then ok "delegation: stats: bytes of memory"; else failed "delegation: stats: bytes of memory" "$used, $memory"; fi

box "network = 'none'" "cgroup = { memory = '32MiB', swap = 0, pids = 12 }" "command = { 'true' }"
holds "delegation: memory: what takes more is killed, and luabox says why" "killed: memory limit 32 MiB reached" \
  "$(run box.lua -- sh -c 'dd if=/dev/zero of=/dev/null bs=100M count=1; exit 137')"
holds "delegation: pids: a fork beyond the limit fails" "can't fork" "$(run box.lua -- sh -c 'for i in $(seq 20); do sleep 1 & done')"
box "network = 'none'" "command = { 'true' }"
equal "delegation: pids: the default limit is there" 4096 "$(run box.lua -- cat /sys/fs/cgroup/pids.max)"
equal "delegation: the way to the cgroup is hidden inside" "0::/" "$(run box.lua -- cat /proc/self/cgroup)"
holds "delegation: and it can't be changed" "Read-only file system" "$(run box.lua -- sh -c 'echo max > /sys/fs/cgroup/pids.max')"

# ---- under a site's policies: what a rule changes and refuses is what the kernel gets, for the container and for a single primitive
mkdir -p "$work/policies"; chmod 755 "$work" "$work/policies"
governed() { in_cgroup $app env "LUABOX_POLICY=$work/policies" "$work/luabox" "$@"; }
cat > "$work/policies/10-ceiling.lua" <<'LUA'
rule "ceiling" { on = { "run", "update" }, change = function(c) c.cgroup.memory = math.min(c.cgroup.memory or MiB(24), MiB(24)) end }
rule "processes" { on = "cgroup", check = function(write) if write.primitive == "cgroup:write" and write.options.pids == 77 then return deny "77 processes" end end }
LUA
box "network = 'none'" "cgroup = { memory = '1GiB', pids = 12 }" "command = { 'true' }"
equal "delegation: policy: a rule's ceiling is the kernel's" "25165824 12" "$(governed run box.lua -- sh -c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max' | xargs)"
box "network = 'none'" "command = { 'true' }"
equal "delegation: policy: also where the script wrote none" 25165824 "$(governed run box.lua -- cat /sys/fs/cgroup/memory.max)"
box "network = 'none'" "cgroup = { pids = 77 }" "command = { 'true' }"
holds "delegation: policy: a rule about cgroups refuses a value" "refused by the policy 'processes' (10-ceiling.lua:2): 77 processes" "$(governed run box.lua)"
equal "delegation: policy: and nothing stays" "" "$(ls -d $service/luabox/*/ 2> /dev/null)"

# ---- what root said of the whole holds, and is not the user's to change
echo 48M > $service/memory.max; echo 0 > $service/memory.swap.max 2> /dev/null
holds "delegation: above: its own limits are not the user's" "Permission denied" "$(in_cgroup $app sh -c "echo max > $service/memory.max")"
box "network = 'none'" "cgroup = { memory = '1GiB' }" "command = { 'true' }"
holds "delegation: above: they hold, and luabox tells them from the container's" "killed: memory limit of a cgroup above reached" \
  "$(run box.lua -- sh -c 'dd if=/dev/zero of=/dev/null bs=100M count=1; exit 137')"
echo max > $service/memory.max

# ---- a login session beside it, which is not the user's: the container can't be joined from there
session=$slice/session scope=$service/scope
mkdir $session $scope; chown -R $user_id $scope
box "network = 'none'" "cgroup = { memory = '32MiB' }" "command = { 'sh', '-c', 'echo up; exec sleep 7777.$$' }"
(echo $BASHPID > $app/cgroup.procs; exec "${user[@]}" "$work/luabox" run --name joined box.lua < /dev/null > joined.out 2>&1) & running=$!
within 20 grep -q up joined.out || failed "delegation: join: the container starts" "$(cat joined.out)"
seen=$(in_cgroup $session "$work/luabox" exec joined true); equal "delegation: join: from a login session it is refused" 125 $?
holds "delegation: join: with both cgroups" "the kernel lets no process from ${session#/sys/fs/cgroup} into $service/luabox/joined" "$seen"
holds "delegation: join: and what to do" "systemd-run --user --scope -p Delegate=yes luabox" "$seen"
equal "delegation: join: in one sentence" 1 "$(wc -l <<< "$seen")"
equal "delegation: join: from a scope of the user's, as that makes one, it works" "33554432" "$(in_cgroup $scope "$work/luabox" exec joined cat /sys/fs/cgroup/memory.max)"
in_cgroup $app "$work/luabox" kill joined KILL; wait $running
rmdir $session $scope

# ---- a killed luabox
box "network = 'none'" "cgroup = { memory = '32MiB' }" "command = { 'sh', '-c', 'sleep 7778.$$' }"
(echo $BASHPID > $app/cgroup.procs; as_user "$work/luabox" run --name killed box.lua < /dev/null > killed.out 2>&1) & running=$!
runs() { pgrep -u $user_id -fx "sleep 7778.$$" > /dev/null; }
within 20 runs || failed "delegation: gc: the container starts" "$(cat killed.out)"
pkill -9 -u $user_id -f 'luabox run --name killed'; wait $running 2> /dev/null
equal "delegation: gc: a killed luabox leaves its cgroup" $service/luabox/killed "$(ls -d $service/luabox/*/ | sed s:/$::)"
in_cgroup $app "$work/luabox" gc > gc.out
equal "delegation: gc: which is removed" "" "$(ls -d $service/luabox/*/ 2> /dev/null; runs && echo runs)"

# ---- processes in the user's own cgroup itself, as a unit with Delegate=yes has them: it can give nothing on
place=$slice/unit
mkdir $place
chown $user_id $place $place/cgroup.procs $place/cgroup.subtree_control
memory_box
seen=$(run box.lua)
holds "delegation: crowded: the error says that processes must go from there" "processes are in $place itself" "$seen"
equal "delegation: crowded: so does check-host" no "$(advice memory says)"
commands=$(advice memory commands)
equal "delegation: crowded: what it says is enough, and the user can do it" 33554432 "$(in_cgroup $place sh -c "$commands; exec $work/luabox run box.lua")"
leaves_nothing "delegation: nothing is left behind"
finish
