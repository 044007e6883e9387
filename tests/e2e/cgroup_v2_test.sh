# A container's cgroup on version 2: born in it, counted, confined and killed by it, and removed after a luabox that was killed.
. "$(dirname "$0")/common.sh"
mark=v2-$$-
if [ "$cgroup_version" != v2 ]; then echo "skipped: the cgroups of this host are of version 1 (tools/test-vm has the other)"; exit 77; fi
make_rootfs rootfs

base=/sys/fs/cgroup/luabox
run() { "$LUABOX" run "$@" 2>&1; }
# started NAME: the container of box.lua in the background, once its command runs; its luabox is $!.
started() {
  "$LUABOX" run --name "$1" box.lua > "$1.out" 2>&1 &
  within 60 grep -qs ready "$1.out" || failed "$1 starts" "$(cat "$1.out")"
}
finished() { kill -TERM "$1" 2>/dev/null; wait "$1"; }
value() { cat "$base/$1"; }
field() { sed -n "s/^$2[ =]//p" "$base/$1"; }

# ---- born in it, and what it sees
sleeps="command = { '/bin/sh', '-c', 'cat /proc/self/cgroup; ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/own 2>&1; echo ready; sleep 1000.$$' }"
script "cgroup = { memory = '64MiB', cpu = '50%', cpuset = '0', pids = 20, io_weight = 50, memory_high = '60MiB', swap = 0, oom_group = true }" "$sleeps"
sed -i 's/ io_weight = 50,//' box.lua
started ${mark}born; outer=$!
inner=$(pgrep -fx "sleep 1000.$$")
equal "a container is in a cgroup of its own name" "0::/luabox/${mark}born" "$(cat "/proc/$inner/cgroup")"
holds "which is the root of what it sees" $'0::/\n' "$(cat ${mark}born.out)"
holds "its files are there inside" "memory.max" "$(cat ${mark}born.out)"
holds "and can't be changed" "Read-only file system" "$(cat ${mark}born.out)"
equal "each limit is in the kernel's file" "67108864 50000 100000 0 20 62914560 0 1" \
  "$(cd $base/${mark}born; cat memory.max cpu.max cpuset.cpus pids.max memory.high memory.swap.max memory.oom.group | xargs)"
if [ "$(id -u)" = 0 ]; then
  finished $outer
  strace -f -o trace -e trace=clone3,openat,write "$LUABOX" run --name ${mark}trace box.lua -- /bin/true > /dev/null 2>&1
  holds "by CLONE_INTO_CGROUP" "CLONE_INTO_CGROUP" "$(cat trace)"
  lacks "and not by writing a pid" "cgroup.procs\", O_WR" "$(cat trace)"
fi

# ---- verdicts
script "cgroup = { memory = '50MB', swappiness = 0 }" "command = { '/bin/dd', 'if=/dev/zero', 'of=/dev/null', 'bs=200M', 'count=1' }"
seen=$(run box.lua); status_seen=$?
equal "what takes more memory than it has ends with 137" 137 $status_seen
holds "and luabox says why" "killed: memory limit 50 MB reached" "$seen"
script "cgroup = { pids = 5 }" "command = { '/bin/sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait' }"
holds "a fork beyond the limit of processes fails" "can't fork" "$(run box.lua)"

# ---- a limit of a cgroup above is not called the container's own
cat > above.lua <<LUA
local parent = require("luabox.sys").cgroup.create "${mark}above"
parent:write { memory = "50MB", swappiness = 0 }
local box = container {
  rootfs = "$work/rootfs", cgroup_parent = "${mark}above", cgroup = { memory = "1GB" },
  command = { "/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1" },
}
print(box:run())
LUA
seen=$(run above.lua)
holds "the limit of a cgroup above ends it too" $'137\tmemory limit of a cgroup above reached' "$seen"

# ---- figures: c:stats() against the kernel's own
cat > stats.lua <<LUA
local sys = require "luabox.sys"
local box = container {
  name = "${mark}stats", rootfs = "$work/rootfs", accounting = true, cgroup = { cpu = "20%", memory = "100MB", pids = 30 },
  mounts = { bind { "$work/data", "/data" }, tmpfs "/tmp" },
  command = { "/bin/sh", "-c", "dd if=/dev/zero of=/tmp/keep bs=1M count=20; dd if=/data/file of=/dev/null bs=1M iflag=direct; while :; do :; done" },
}
box:start()
sys.sleep(6)
local stats = box:stats()
for _, path in ipairs { "cpu.usage", "cpu.throttled", "memory.usage", "memory.peak", "memory.limit", "pids.current", "pids.limit", "io.read_bytes", "pressure.cpu" } do
  local group, name = path:match "(.*)%.(.*)"
  print(path .. "=" .. (stats[group] and stats[group][name] and ("%.9g"):format(stats[group][name]) or "nothing"))
end
for _, file in ipairs { "cpu.stat", "cpu.pressure", "memory.peak", "pids.current", "io.stat" } do
  print("kernel " .. file .. ": " .. (io.open("$base/${mark}stats/" .. file):read "*a"):gsub("\n", ";"))
end
box:stop(1)
box:destroy()
LUA
mkdir data
[ -d /scratch ] && [ -w /scratch ] && rm -rf data && mkdir "/scratch/luabox-v2.$$" && ln -s "/scratch/luabox-v2.$$" data
head -c 5000000 /dev/urandom > data/file; sync -f data/file
sed -i "s|$work/data|$(readlink -f data)|" stats.lua
seen=$(run stats.lua)
stat() { sed -n "s/^$1=//p" <<< "$seen"; }
kernel() { sed -n "s/^kernel $1: //p" <<< "$seen" | grep -o "$2[ =][0-9]*" | head -1 | grep -o '[0-9]*$'; }
# near NAME GOT WANTED UNIT: within a tenth of each other and more than nothing, the kernel's in UNIT.
near() {
  if awk -v a="${2:-0}" -v b="${3:-0}" -v unit="$4" 'BEGIN { b *= unit; exit !(a > 0 && a >= b * 0.8 && a <= b * 1.2) }'; then ok "$1"; else failed "$1" "$2 and $3: $seen"; fi
}
near "stats: seconds of CPU time" "$(stat cpu.usage)" "$(kernel cpu.stat usage_usec)" 1e-6
near "stats: seconds that the limit kept it waiting" "$(stat cpu.throttled)" "$(kernel cpu.stat throttled_usec)" 1e-6
near "stats: its most memory, which what it wrote to a tmpfs is part of" "$(stat memory.peak)" "$(sed -n 's/^kernel memory.peak: \([0-9]*\);/\1/p' <<< "$seen")" 1
if [ "$(stat memory.usage | cut -d. -f1)" -gt 20971520 ]; then ok "stats: bytes of memory now"; else failed "stats: bytes of memory now" "$seen"; fi
equal "stats: the limits" "99999744 30" "$(stat memory.limit) $(stat pids.limit)"
equal "stats: processes" "$(sed -n 's/^kernel pids.current: \([0-9]*\);/\1/p' <<< "$seen")" "$(stat pids.current)"
if grep -q '^kernel io.stat: .*rbytes' <<< "$seen"; then
  if [ "$(stat io.read_bytes)" -ge 5000000 ]; then ok "stats: bytes read from a disk"; else failed "stats: bytes read from a disk" "$seen"; fi
else
  skipped "stats: bytes read from a disk" "there is no folder on a disk here"
fi
if [ -e /proc/pressure/cpu ]; then near "stats: seconds of pressure" "$(stat pressure.cpu)" "$(kernel cpu.pressure total)" 1e-6
else skipped "stats: seconds of pressure" "this kernel has no PSI"; fi
rm -rf "$(readlink -f data)"

# ---- devices, by an eBPF program: a node that the container made itself is of no use
if [ "$(id -u)" = 0 ]; then
  script "capabilities = { add = { 'mknod' } }" "rootfs = directory { '$work/rootfs', devices = true }" \
    "command = { '/bin/sh', '-c', 'mknod /n c 1 3; mknod /m c 1 1; mknod /k c 1 11; echo x > /n && echo null opens; head -c 1 /m; head -c 1 /k; rm /n /m /k' }"
  sed -i 2d box.lua
  seen=$(run box.lua)
  holds "devices: a node of a harmless device opens" "null opens" "$seen"
  holds "devices: one of the memory's doesn't" "/m: Operation not permitted" "$seen"
  holds "devices: nor one of the kernel's messages" "/k: Operation not permitted" "$seen"
fi

# ---- a luabox that was killed, and processes that outlive it
script "cgroup = { memory = '64MiB', pids = 20 }" "command = { '/bin/sh', '-c', 'echo ready; sleep 1000.$$' }"
started ${mark}killed; outer=$!
kill -9 $outer; wait $outer 2>/dev/null
holds "gc: the cgroup of a killed luabox is still there" "$base/${mark}killed" "$(ls -d $base/${mark}killed 2>&1)"
mkdir -p $base/${mark}killed/below/deeper
sleep 1000 & stray=$!
echo $stray > $base/${mark}killed/below/deeper/cgroup.procs
"$LUABOX" gc > gc.out 2>&1
equal "gc: it is removed, with cgroups that were made below it" "" "$(ls -d $base/${mark}killed 2>/dev/null)"
wait $stray; equal "gc: and what was in it is killed" 137 $?
script "cgroup = { memory = '64MiB' }" "namespaces = { pid = 'host' }" "command = { '/bin/sh', '-c', 'sleep 999.$$ & sleep 998.$$ & echo ready; wait' }"
started ${mark}host; outer=$!
kill -9 $outer; wait $outer 2>/dev/null
"$LUABOX" gc > gc.out 2>&1
equal "gc: processes without a pid namespace of their own are killed too" "" "$(pgrep -fx "sleep 99[89].$$")$(ls -d $base/${mark}host 2>/dev/null)"

# ---- the start's own failures leave no cgroup
script "cgroup = { memory = '64MiB' }" "command = { '/bin/nosuch' }"
run --name ${mark}nosuch box.lua > /dev/null
script "cgroup = { ['memory.max'] = 'lots' }" "command = { '/bin/true' }"
holds "a value that is none is an error at its line" "box.lua:3: " "$(run --name ${mark}lots box.lua)"
for key in "net_cls.classid = 1" "net_prio.ifpriomap = 'lo 5'" "memory.kmem.limit_in_bytes = 1" "cpu.rt_runtime_us = 1000" "memory.oom_control = 1"; do
  script "cgroup = { ['${key%% =*}'] =${key#*=} }" "command = { '/bin/true' }"
  seen=$(run --name ${mark}key box.lua)
  equal "what version 2 has not is refused at its line, in one sentence: ${key%% =*}" "1 box.lua:3" "$(wc -l <<< "$seen") $(grep -o 'box.lua:3' <<< "$seen" | head -1)"
done
leaves_nothing "nothing is left behind"
finish
