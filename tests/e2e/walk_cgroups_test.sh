# The walks of examples/cgroups, on whichever version of cgroups is here, with the effect looked up in the kernel's own files.
. "$(dirname "$0")/common.sh"
mark=$(sed -nE 's/.*create[ (]"(walk-[^"/]*)".*/\1/p' "$top"/examples/cgroups/*.lua)  # what the walks call their cgroups
still=walk-still-$$
mark+=$'\n'$still
alone
make_rootfs rootfs
root() { [ "$(id -u)" = 0 ]; }
if root; then ip link set lo up; fi
# What luabox turns on in version 2's topmost cgroup for those below it stays on; after this test the machine's is as it was.
below_top=/sys/fs/cgroup/unified/cgroup.subtree_control
on_before=$(cat $below_top 2>/dev/null)
turned_on() { comm -13 <(printf '%s\n' $on_before | sort) <(tr ' ' '\n' < $below_top | sort); }
seconds=$((3 * slow))  # that a walk spins: LUABOX_SLOW is how much slower processes start here than on a real machine

walk() { local name=$1; shift; "$LUABOX" run "$top/examples/cgroups/$name.lua" "$@" 2>&1; }
# version CONTROLLER: 1, 2, or nothing where there is none.
version() {
  if awk '$3 == "cgroup" { print "," $4 "," }' /proc/mounts | grep -q ",$1,"; then echo 1
  elif cat /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null | grep -qw "$1"; then echo 2; fi
}
# path NAME FILE: where a walk's cgroup has that file.
path() { find /sys/fs/cgroup -path "*/luabox/$1/$2" 2>/dev/null | head -1; }
# Microseconds of CPU time in cpuacct.usage or cpu.stat, without a process of its own.
cpu_time() {
  local text=
  read -r -d '' text < "$1"
  if [[ $1 == *cpuacct.usage ]]; then echo $((text / 1000)); else text=${text#usage_usec }; echo "${text%%$'\n'*}"; fi
}
usage=cpu.stat
if [ "$(version cpuacct)" = 1 ]; then usage=cpuacct.usage; fi
usage_file() { path "$1" $usage; }
# there NAME FILE: sets found to that file of the walk's cgroup.
there() { found=$(path "$1" "$2"); [ -n "$found" ]; }
# What the cgroup used of one CPU in two seconds, in thousandths; nothing when it went away.
share() {
  local file before after start end
  within 30 there "$1" $usage || return
  file=$found
  before=$(cpu_time "$file") start=${EPOCHREALTIME/./}
  sleep 2
  after=$(cpu_time "$file" 2>/dev/null) end=${EPOCHREALTIME/./}
  [ -n "$after" ] && echo $(((after - before) * 1000 / (end - start)))
}
# spinning CHECK WALK NAME LEAST MOST [ARGUMENT...]: the share is measured while the walk runs; a busy machine gets four tries for the lower bound. Too much is
# a failure whatever the load; too little is one where the machine had CPU time to give.
spinning() {
  local try measured load
  for try in 1 2 3 4; do
    walk "$2" "${@:6}" > "$2.out" &
    measured=$(share "$3")
    wait $!
    [ "${measured:-0}" -ge "$4" ] && break
  done
  load=$(cut -d. -f1 /proc/loadavg)
  if [ "${measured:-0}" -gt "$5" ] || [ -z "$measured" ]; then failed "$1" "$measured thousandths, $(cat "$2.out")"
  elif [ "$measured" -ge "$4" ]; then ok "$1"
  elif [ "$load" -ge $((2 * $(nproc))) ]; then skipped "$1" "other processes want the CPUs: it had $measured thousandths at a load of $load"
  else failed "$1" "$measured thousandths, $(cat "$2.out")"; fi
}

# Each walk by a user to whom no cgroup is delegated: nothing is done, and the error says what is missing.
all_walks="accounting cpu cpu_weight cpuset devices freezer hierarchy hugetlb io memory names network_classes perf_event pids swappiness"
undelegated() {
  local name seen
  for name in $all_walks; do
    seen=$("$@" "$LUABOX" run "$top/examples/cgroups/$name.lua" "$([ $name = names ] && echo pids=5 || echo "$work/rootfs")" 2>&1 < /dev/null)
    if [[ $name == network_classes && $seen == *"no network controller"* ]]; then refused "cgroups/$name: net_cls" "no network controller" "$seen" "version 2 has no network controller"
    else refused "cgroups/$name: with no cgroup delegated" "delegated to this user" "$seen" "no cgroup is delegated to this user"; fi
  done
}
delegated() { local base; base=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup); while [ "$base" != /sys/fs ]; do [ ! -w "$base" ] || return 0; base=$(dirname "$base"); done; return 1; }
if ! root && { [ "$cgroup_version" = v1 ] || ! delegated; }; then undelegated; finish; fi

# ---- cpu
spinning "cgroups/cpu: a spinning process gets 20 % of a CPU" cpu walk-cpu 170 230 $seconds
holds "cgroups/cpu: the script measures it too" "% of a CPU" "$(cat cpu.out)"

# How the CPU times of both relate, by their weights in the kernel and as measured, in hundredths; a busy machine gets three tries.
weights() {
  local try weight=cpu.weight light heavy a b
  [ "$(version cpu)" = 1 ] && weight=cpu.shares
  for try in 1 2 3; do
    wanted=0 got=0
    walk cpu_weight $seconds > weight.out &
    if within 30 there walk-weight/heavy $usage; then
      heavy=$found light=${found/heavy/light}
      there walk-weight/heavy $weight && wanted=$(($(< "$found") * 100 / $(< "${found/heavy/light}")))
      sleep 0.5
      a=$(cpu_time "$light") b=$(cpu_time "$heavy")
      sleep 2
      a=$(($(cpu_time "$light") - a)) b=$(($(cpu_time "$heavy") - b))
      got=$((a > 0 ? b * 100 / a : 0))
    fi 2> /dev/null
    wait $!
    [ $wanted -gt 200 ] && [ $got -gt $((wanted * 7 / 10)) ] && [ $got -lt $((wanted * 14 / 10)) ] && return
  done
  echo "wanted $wanted, got $got hundredths"
  return 1
}
succeeds "cgroups/cpu_weight: two that want one CPU get it as their weights are" weights

if [ -n "$(version cpuset)" ]; then
  seen=$(walk cpuset)
  holds "cgroups/cpuset: a process may use CPU 0 alone" $'Cpus_allowed_list:\t0\n' "$seen"
  holds "cgroups/cpuset: and memory node 0 alone" $'Mems_allowed_list:\t0\n' "$seen"
  holds "cgroups/cpuset: it can't take another" "out of reach" "$seen"
else
  skipped "cgroups/cpuset: a process may use CPU 0 alone" "this kernel has no cpuset controller"
fi

# ---- memory
if [ -n "$(version memory)" ]; then
  seen=$(walk memory "$work/rootfs")
  holds "cgroups/memory: 64 KiB are refused with the reason" "memory limit 64 KiB reached, which is too small to start in" "$seen"
  holds "cgroups/memory: 50 MB fit into 100 MB" $'50M\t0\t' "$seen"
  holds "cgroups/memory: 200 MB don't, and luabox says why" $'200M\t137\tmemory limit 100 MB reached' "$seen"

  seen=$(walk swappiness)
  if [ "$(version memory)" = 1 ]; then
    holds "cgroups/swappiness: 0 is in the kernel" "swappiness 0" "$seen"
    holds "cgroups/swappiness: so can be 60" "60 is taken" "$seen"
  else
    holds "cgroups/swappiness: 0 is no swap on version 2" $'memory.swap.max\t0' "$seen"
    holds "cgroups/swappiness: that limit is in the kernel" "swap 0" "$seen"
    refused "cgroups/swappiness: another than 0" "no swappiness of its own for a cgroup; limit its swap" "$seen"
  fi

  # A shell whose child takes too much memory: one process ends, or all of them.
  script "cgroup = { memory = '50MB', swappiness = 0 }" "command = { '/bin/sh', '-c', 'dd if=/dev/zero of=/dev/null bs=200M count=1; echo lives' }"
  holds "cgroups/memory: without oom_group one process ends" "lives" "$("$LUABOX" run box.lua 2>&1)"
  script "cgroup = { memory = '50MB', oom_group = true }" "command = { '/bin/sh', '-c', 'dd if=/dev/zero of=/dev/null bs=200M count=1; echo lives' }"
  seen=$("$LUABOX" run box.lua 2>&1)
  if [ "$(version memory)" = 1 ]; then
    refused "cgroups/memory: oom_group" "v1 kills one process at a time" "$seen"
  else
    holds "cgroups/memory: with oom_group all of them do" "memory limit 50 MB reached" "$seen"
    lacks "cgroups/memory: with oom_group none goes on" "lives" "$seen"
  fi
else
  skipped "cgroups/memory: 100 MB are enforced" "this kernel has no memory controller"
fi

# ---- pids, io, devices, freezer
holds "cgroups/pids: five processes and no more" "5 of at most 5 processes" "$(walk pids)"

# A folder on a disk, where a rate can be measured.
on_a_disk() { [ -b "$(findmnt -nvo SOURCE --target "$1")" ]; }
for disk in "$work" /scratch "$HOME"; do [ -w "$disk" ] && on_a_disk "$disk" && break; disk=; done
if [ -n "$disk" ] && [ -n "$(version io)$(version blkio)" ]; then
  start=$SECONDS
  dd if=/dev/zero of="$disk/walk-io.data" bs=100k count=30 oflag=direct status=none
  free=$((SECONDS - start))
  seen=$(walk io "$disk")
  took=$((SECONDS - start - free))
  rates=$(sed -n 's/.*, \([0-9]*\)\.\([0-9][0-9]\) MB.*/\1\2/p' <<< "$seen" | tr '\n' ' ')
  read -r written read <<< "$rates"
  if [ $took -ge 4 ] && [ $free -lt 3 ]; then ok "cgroups/io: what takes $free s without it takes $took s"; else
    failed "cgroups/io: what takes less than 3 s without it takes more than 4 s" "$free and $took: $seen"; fi
  if [ "${written:-0}" -ge 100 ] && [ "$written" -le 230 ]; then ok "cgroups/io: 2 MB are written in a second"; else failed "cgroups/io: 2 MB are written in a second" "$seen"; fi
  if [ "${read:-0}" -ge 50 ] && [ "$read" -le 115 ]; then ok "cgroups/io: 1 MB is read in a second"; else failed "cgroups/io: 1 MB is read in a second" "$seen"; fi
else
  skipped "cgroups/io: 1 MB is read in a second" "there is no folder on a disk here, or no io controller"
fi

seen=$(walk devices | tr '\n' ';')
if root; then
  holds "cgroups/devices: what is allowed opens, and nothing else" "only c 1:3:;null opens;/bin/sh: 1: cannot open /dev/zero: Operation not permitted;" "$seen"
  holds "cgroups/devices: rules that are written again are in force" "c 1:5 as well:;null opens;zero opens;" "$seen"
else
  refused "cgroups/devices: what is allowed opens, and nothing else" "only the host's root may load one, and version 2 has no other way" "$seen"
fi

frozen() { [ -n "$found" ] || there walk-freezer freezer.state || there walk-freezer cgroup.freeze; [[ $(< "$found") == [F1]* ]]; } 2> /dev/null
found=
walk freezer > freezer.out &
if within 30 frozen; then ok "cgroups/freezer: it is frozen in the kernel"; else failed "cgroups/freezer: it is frozen in the kernel" "$(cat freezer.out)"; fi
wait $!
holds "cgroups/freezer: it used no CPU time then" "frozen: 0.00 s of CPU, state frozen" "$(cat freezer.out)"
lacks "cgroups/freezer: it did before and after" "ed: 0.00 s of CPU, state thawed" "$(cat freezer.out)"

# ---- those of version 1 alone, and the rare ones
# net_prio sets priorities on the interfaces of the first network namespace alone, whoever writes them: a machine of its own has that to spare.
first_net() { if [ -n "${VM_RUN:-}" ] && root; then nsenter --net=/proc/1/ns/net "$@"; else "$@"; fi; }
if root; then first_net nft -f - <<'RULES'
table inet walk {
  chain out { type filter hook output priority 0; meta cgroup 0x100001 counter; }
}
table netdev walk {
  chain out { type filter hook egress device "lo" priority 0; meta priority 0:5 counter; }
}
RULES
fi
counted() { first_net nft list table "$1" walk | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p'; }
seen=$(first_net "$LUABOX" run "$top/examples/cgroups/network_classes.lua" "$(command -v busybox)" ping -c 1 127.0.0.1 2>&1)
for controller in net_cls net_prio; do
  if [ "$(version $controller)" = 1 ]; then
    holds "cgroups/network_classes: $controller" "$([ $controller = net_cls ] && echo 1048577 || echo "lo 5")" "$seen"
    if [ $controller = net_prio ] && [ -z "${VM_RUN:-}" ]; then skipped "cgroups/network_classes: the firewall tells what it sends by net_prio" "only the first network namespace has it"
    elif [ "$(counted "$([ $controller = net_cls ] && echo inet || echo netdev)")" -gt 0 ]; then ok "cgroups/network_classes: the firewall tells what it sends by $controller"
    else failed "cgroups/network_classes: the firewall tells what it sends by $controller" "$seen; $(first_net nft list ruleset)"; fi
  else
    refused "cgroups/network_classes: $controller" "v2 has no network controller" "$seen" "version 2 has no network controller"
  fi
done

if [ -n "$(version hugetlb)" ]; then
  seen=$(walk hugetlb)
  holds "cgroups/hugetlb: the limit is in the kernel" "limit"$'\t'4194304 "$seen"
  if ! root; then refused "cgroups/hugetlb: the third page is refused" "clone mnt: Operation not permitted" "$seen" "the walk mounts a hugetlbfs without a user namespace, which takes root"
  elif [ "$(cat /proc/sys/vm/nr_hugepages)" -ge 3 ]; then holds "cgroups/hugetlb: the third page is refused" "filled 4 MiB" "$seen"
  else skipped "cgroups/hugetlb: the third page is refused" "no huge pages are set aside (vm.nr_hugepages)"; fi
else
  skipped "cgroups/hugetlb: the limit is in the kernel" "this kernel has no hugetlb controller"
fi

# perf_event_open(2) on the cgroup's directory: milliseconds of its cpu-clock, over all CPUs, in half a second.
cat > perf.py <<'PY'
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
group = os.open(sys.argv[1], os.O_RDONLY)
attributes = ctypes.create_string_buffer(struct.pack("<IIQ", 1, 112, 0).ljust(112, b"\0"))
counters = []
for cpu in range(os.cpu_count()):
    counters.append(libc.syscall(298, attributes, group, cpu, -1, 4))
    if counters[-1] < 0:
        sys.exit("perf_event_open: " + os.strerror(ctypes.get_errno()))
time.sleep(0.5)
print(sum(struct.unpack("<Q", os.read(counter, 8))[0] for counter in counters) // 1000000)
PY
mkfifo go
walk perf_event < go > perf.out &
exec 7> go
within 30 grep -q /sys perf.out
milliseconds=$(python3 perf.py "$(cat perf.out)" 2>&1)
exec 7>&-
wait $!
if [[ $milliseconds == perf_event_open:* ]]; then skipped "cgroups/perf_event: perf counts the processes of the cgroup" "this kernel can't: $milliseconds"
elif [ "$milliseconds" -gt 10 ]; then ok "cgroups/perf_event: perf counts the processes of the cgroup"
else failed "cgroups/perf_event: perf counts the processes of the cgroup" "$milliseconds ms of 500"; fi

# ---- figures
seen=$(walk accounting "$work/rootfs")
if [[ $seen =~ cpu$'\t'.*system=[0-9.]+.*usage=0*[.0-9]*[1-9].*user= ]]; then ok "cgroups/accounting: seconds of CPU time"; else failed "cgroups/accounting: seconds of CPU time" "$seen"; fi
if [ -n "$(version memory)" ]; then holds "cgroups/accounting: bytes of memory" "limit=99999744" "$seen"; fi
holds "cgroups/accounting: processes" "current=2 limit=50" "$seen"
if [ -n "$(version io)$(version blkio)" ]; then holds "cgroups/accounting: bytes read and written" "read_bytes=" "$seen"; fi
if [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name cgroup.controllers)" ]; then
  refused "cgroups/accounting: seconds of pressure" $'pressure\tnot counted here' "$seen" "version 1 doesn't count them"
elif [ -e /proc/pressure/cpu ]; then
  holds "cgroups/accounting: seconds of pressure" $'pressure\tcpu=' "$seen"
else
  skipped "cgroups/accounting: seconds of pressure" "this kernel has no PSI"
fi

# Java looks for the limits of version 1 where all of these are mounted, with the process in it, and otherwise sees none.
cat > rootfs/java.sh <<'J'
for each in memory cpu cpuacct cpuset; do
  grep -qE " - cgroup .*[ ,]$each(,|\$)" /proc/self/mountinfo && grep -qE "[:,]$each[:,]" /proc/self/cgroup && echo $each
done
cat /sys/fs/cgroup/cpuset/cpuset.cpus /sys/fs/cgroup/cpuset/cpuset.mems
J
script "accounting = true" "cgroup = { memory = '100MB' }" "command = { '/bin/sh', '/java.sh' }"
if [ "$(version cpuset)" = 1 ]; then
  equal "accounting: the container has all that Java asks for to see its limits" "memory cpu cpuacct cpuset $(cat /sys/fs/cgroup/cpuset/cpuset.{cpus,mems} | xargs)" \
    "$("$LUABOX" run box.lua 2>&1 < /dev/null | xargs)"
else skipped "accounting: the container has all that Java asks for to see its limits" "version 2 has it in one file"; fi

# The same figures as the kernel has in its files, of a container that stands still: seconds, bytes, processes.
script "name = '$still'" "accounting = true" "cgroup = { memory = '100MB', pids = 50 }" "mounts = { tmpfs { '/tmp' } }" \
  "command = { '/bin/sh', '-c', 'dd if=/dev/zero of=/tmp/data bs=1M count=20 2> /dev/null; dd if=/dev/zero of=/dev/null bs=1M count=3000 2> /dev/null; echo ready; exec sleep 1000' }"
"$LUABOX" run box.lua < /dev/null > still.out 2>&1 & runner=$!
within 20 grep -q ready still.out || failed "cgroups/accounting: the container starts" "$(cat still.out)"
figure() { "$LUABOX" stats --json "$still" | python3 -c 'import json, sys; figures = json.load(sys.stdin)
for word in sys.argv[1].split("."): figures = figures[word]
print(int(figures * float(sys.argv[2])))' "$@" 2>&1; }
# agrees NAME FIGURE UNIT FILE...: within a hundredth; FILE is the first of these that there is, its first number the kernel's figure.
agrees() {
  local name=$1 wanted got file; shift
  for file in "${@:3}"; do there "$still" "$file" && break; done
  case $file in cpu*) wanted=$(cpu_time "$found") ;; *) wanted=$(< "$found") ;; esac
  got=$(figure "$1" "$2")
  if [ "${wanted:-0}" -gt 0 ] && [ $((got > wanted ? got - wanted : wanted - got)) -le $((wanted / 100)) ]; then ok "$name"; else failed "$name" "the kernel has $wanted, luabox $got"; fi
}
agrees "cgroups/accounting: seconds of CPU time as the kernel counts them" cpu.usage 1000000 $usage
if [ -n "$(version memory)" ]; then agrees "cgroups/accounting: bytes of memory as the kernel counts them" memory.usage 1 memory.usage_in_bytes memory.current
  agrees "cgroups/accounting: and the most that there were" memory.peak 1 memory.max_usage_in_bytes memory.peak; fi
agrees "cgroups/accounting: processes as the kernel counts them" pids.current 1 pids.current
"$LUABOX" kill "$still" KILL; wait $runner

# ---- memory changed while it runs: what may be swapped beside it stays what the script said
if [ "$(version memory)" = 1 ] && [ ! -e /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes ]; then
  skipped "update: no swap stays no swap, whatever the memory" "this kernel does not count swap"
elif [ -n "$(version memory)" ]; then
  script "name = '$still'" "cgroup = { memory = '64MiB', swap = 0 }" "command = { 'sh', '-c', 'echo ready; exec sleep 1000' }"
  "$LUABOX" run box.lua < /dev/null > still.out 2>&1 & runner=$!
  within 20 grep -q ready still.out || failed "(the container starts)" "$(cat still.out)"
  sum() { if there "$still" memory.memsw.limit_in_bytes; then cat "$found"; else path "$still" memory.swap.max | xargs cat; fi; }
  for mebibytes in 128 32; do
    succeeds "update: memory alone, to $mebibytes MiB" "$LUABOX" update "$still" memory=${mebibytes}MiB
    wanted=$((mebibytes << 20)); [ "$(version memory)" = 1 ] || wanted=0
    equal "update: no swap stays no swap with $mebibytes MiB" "$wanted" "$(sum)"
  done
  "$LUABOX" kill "$still" KILL; wait $runner
fi

# ---- each by three names: the file and what the kernel has in it, on version 1 and on version 2
names=$(walk names)
# named KEY CONTROLLER ON-V1 ON-V2 [INSTEAD]: what the walk tells of the key; where the kernel has no such controller or file, the error.
named() {
  local line wanted
  line=$(grep "^$1"$'\t' <<< "$names")
  case $(version "$2") in 1) wanted=$3 ;; 2) wanted=$4 ;; *) wanted="no controller '$2'" ;; esac
  if [ -n "${5:-}" ] && [[ $line == *"$5"* ]]; then wanted=$5; fi
  holds "cgroups/names: $1" "$wanted" "$line"
}
named cpu.cfs_quota_us cpu "cpu.cfs_quota_us = 20000" "cpu.max = 20000 100000"
named cpu.max cpu "cpu.cfs_period_us = 100000, cpu.cfs_quota_us = 20000" "cpu.max = 20000 100000"
named cpu cpu "cpu.cfs_period_us = 100000, cpu.cfs_quota_us = 20000" "cpu.max = 20000 100000"
named cpu.shares cpu "cpu.shares = 512" "cpu.weight = 59"
named cpu.weight cpu "cpu.shares = 421" "cpu.weight = 50"
named cpu_weight cpu "cpu.shares = 421" "cpu.weight = 50"
for key in cpuset.cpus cpuset; do named $key cpuset "cpuset.cpus = 0" "cpuset.cpus = 0"; done
for key in cpuset.mems mems; do named $key cpuset "cpuset.mems = 0" "cpuset.mems = 0"; done
for key in memory.limit_in_bytes memory.max memory; do named $key memory "memory.limit_in_bytes = 99999744" "memory.max = 99999744"; done
for key in memory.soft_limit_in_bytes memory.low memory_low; do named $key memory "memory.soft_limit_in_bytes = 49999872" "memory.low = 49999872"; done
for key in memory.swappiness swappiness; do named $key memory "memory.swappiness = 0" "memory.swap.max = 0"; done
for key in memory.swap.max swap; do named $key memory "memory.memsw.limit_in_bytes = 99999744" "memory.swap.max = 0" "this kernel does not count swap"; done
for key in memory.high memory_high; do named $key memory "v1 can't throttle, only limit: use 'memory'" "memory.high = 49999872"; done
named oom_group memory "v1 kills one process at a time" "memory.oom.group = 1"
for key in pids.max pids; do named $key pids "pids.max = 50" "pids.max = 50"; done
named blkio.weight io "blkio.weight = 500" "io.weight = default 4950" "this kernel has no such file"
for key in io.weight io_weight; do named $key io "blkio.weight = 54" "io.weight = default 500" "this kernel has no such file"; done
device_rules=$(if [ "$(version devices)" = 1 ]; then echo "devices.allow = written: c 1:3 rwm"; else echo "write 'devices'"; fi)
holds "cgroups/names: devices.allow" "$device_rules" "$(grep ^devices.allow <<< "$names")"
if root; then holds "cgroups/names: devices" "written: c 1:3 rwm" "$(grep ^devices$'\t' <<< "$names")"
else refused "cgroups/names: devices" "only the host's root may load one" "$(grep ^devices$'\t' <<< "$names")"; fi
frozen=$(if [ "$(version freezer)" = 1 ]; then echo "freezer.state = THAWED"; else echo "cgroup.freeze = 0"; fi)
for key in freezer.state cgroup.freeze freezer; do holds "cgroups/names: $key" "$frozen" "$(grep "^$key"$'\t' <<< "$names")"; done
named net_cls.classid net_cls "net_cls.classid = 1048577" ""
named net_prio.ifpriomap net_prio "net_prio.ifpriomap = " ""
for key in hugetlb.2MB.limit_in_bytes hugetlb.2MB.max hugetlb.2MB; do named $key hugetlb "hugetlb.2MB.limit_in_bytes = 4194304" "hugetlb.2MB.max = 4194304"; done
# No such hardware here, as the kernel says.
named rdma.max rdma "the kernel refuses" "the kernel refuses" "there is no such device"
named misc.max misc "the kernel refuses" "the kernel refuses"
account=$(if [ "$(version cpuacct)" = 1 ]; then echo "cpuacct.usage = "; else echo "v2 has usage_usec in cpu.stat"; fi)
holds "cgroups/names: cpuacct.usage" "$account" "$(grep ^cpuacct.usage <<< "$names")"

# ---- parent and children
spinning "cgroups/hierarchy: two children get the parent's 40 % together" hierarchy walk-parent 340 450 "$work/rootfs" $seconds
holds "cgroups/hierarchy: a child is on the parent's CPU" $'Cpus_allowed_list:\t0' "$(cat hierarchy.out)"
holds "cgroups/hierarchy: a container ends on the parent's memory" $'200 MB in a container\t137' "$(cat hierarchy.out)"
script "cgroup = { pids = 5 }" "cgroup_parent = 'walk-nowhere'" "command = { '/bin/true' }"
holds "cgroups/hierarchy: an unknown parent is an error at its line" "box.lua:4: cgroup luabox/walk-nowhere: No such file or directory (there is no such cgroup" "$("$LUABOX" run box.lua 2>&1)"

# ---- what version 2 alone has
if [ -n "$(version freezer)" ] || [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
  lacks "cgroups/pids: version 1 has no file that kills all in a cgroup" "cgroup.kill" "$(ls /sys/fs/cgroup/pids 2> /dev/null)"
  result refused "cgroups/pids: a process is born in its cgroup, and killed with it" "version 1 has neither CLONE_INTO_CGROUP nor cgroup.kill"
elif ! root; then
  skipped "cgroups/pids: a process is born in its cgroup, and killed with it" "strace can't look into a luabox that it doesn't own: it is not dumpable"
else
  strace -f -o trace -e trace=clone3,openat "$LUABOX" run "$top/examples/cgroups/pids.lua" > /dev/null 2>&1
  holds "cgroups/pids: a process is born in its cgroup (CLONE_INTO_CGROUP)" "CLONE_INTO_CGROUP" "$(cat trace)"
  holds "cgroups/pids: and all are killed at once (cgroup.kill)" "walk-pids/cgroup.kill" "$(cat trace)"
fi

# ---- an ordinary user
if root; then
  as=rootless
  chmod 755 "$work"
  install -d -o 1000 user
  undelegated env LUABOX_STATE="$work/user" USER=walker setpriv --reuid 1000 --regid 1000 --clear-groups
fi

leaves_nothing "cgroups: nothing is left behind"
if root && [ -w $below_top ]; then
  for controller in $(turned_on); do
    for file in /sys/fs/cgroup/unified/luabox/cgroup.subtree_control $below_top; do echo "-$controller" > "$file"; done
  done
fi
finish
