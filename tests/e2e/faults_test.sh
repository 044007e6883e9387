#!/bin/bash
# What goes wrong at the worst moment: luabox killed at any time, and each of its system calls failing in turn.
# A fault may be told (status 125) or be of no consequence; never may the command run less confined than without it, and never may anything be left.
. "$(dirname "$0")/common.sh"
command -v strace > /dev/null || { echo "skipped: no strace to make system calls fail"; exit 77; }
make_rootfs rootfs
mark=e2e-faults-$$
RANDOM=${LUABOX_SEED:-20}
KILLS=${LUABOX_KILLS:-40} FAULTS=${LUABOX_FAULTS:-170} LONGEST=${LUABOX_FAULT_SECONDS:-150}
trap 'if [ $BASHPID = $$ ]; then cd /; rm -rf --one-file-system "$work"; fi' EXIT
ip link set lo up

# An image of busybox, a volume, a pair of interfaces with rules, a cgroup with limits: everything that can be left.
tar -C rootfs -cf rootfs.tar . && "$LUABOX" image import -q rootfs.tar box || failed "(the image)"
mkdir -p volume; echo text > volume/file
cat > box.lua <<L
return container {
  name = "$mark", hostname = "web", rootfs = image "box",
  mounts = { bind { "$work/volume", "/data", readonly = true }, tmpfs { "/tmp", size = "1MiB" } },
  cgroup = { memory = "64MB", pids = 100 },
  network = veth { host = "172.16.96.1/24", guest = "172.16.96.2/24", nat = true, publish = { "8096:80" } },
  command = { "sh", "/confinement" },
}
L
# What the command is held by, as it sees it; fault by fault compared with the run without a fault.
cat > "$LUABOX_IMAGES/box/rootfs/confinement" <<'S'
echo begin
grep -E '^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp|Seccomp_filters):' /proc/self/status
awk '{ print $4, $5, $6 }' /proc/self/mountinfo | sed -E 's|luabox-e2e[^ ]*||' | sort
for f in /proc/self/fd/*; do [ -e "$f" ] && echo "descriptor ${f##*/}"; done
hostname; umask; id; pwd; ls /dev /dev/pts
env | sort
for n in mnt uts ipc pid net cgroup; do [ "$(readlink /proc/self/ns/$n)" = "$(readlink /proc/1/ns/$n)" ] && echo "$n with pid 1"; done
sed 's/^[0-9]*//' /proc/self/cgroup | sort
ip -o address | awk '{ print $2, $4 }' | grep -v fe80; ip route
cat /etc/hostname /proc/keys; head -c 1 /proc/interrupts
for t in 'touch /data/no' 'mount -t tmpfs x /mnt' 'unshare -U true' 'mknod /tmp/n c 1 1'; do $t 2> /dev/null && echo "possible: $t"; done
echo end
S
namespaces() { readlink /proc/self/ns/{mnt,uts,ipc,pid,net,cgroup} | tr '\n' ' '; }
sed -i '2i echo "namespaces $(readlink /proc/self/ns/mnt /proc/self/ns/uts /proc/self/ns/ipc /proc/self/ns/pid /proc/self/ns/net /proc/self/ns/cgroup | tr "\\n" " ")"' \
  "$LUABOX_IMAGES/box/rootfs/confinement"
normal() { grep -v '^namespaces' "$1" | sed -E 's/^lb[0-9a-f]+/lb/; s/ (eth0)@if[0-9]+/ \1/'; }
shared_with_host() { local word; for word in $(namespaces); do grep -qF -- "$word" <(grep '^namespaces' "$1") && echo "$word"; done; }

nft list ruleset > rules.before
interfaces() { ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/\1/' | sort | xargs; }
interfaces_before=$(interfaces)
processes() { # of containers of this test that live
  local p; for p in /proc/[0-9]*; do grep -qs "/luabox/$mark" "$p/cgroup" && echo "${p##*/}"; done
}
none() { [ -z "$(processes)" ]; }
remains() { leftovers; nft list ruleset | diff rules.before - | grep '^>'; [ "$(interfaces)" = "$interfaces_before" ] || interfaces; }
is_tidy() { [ -z "$(remains)" ]; }

succeeds "a run without a fault" timeout -s KILL $((20 * slow)) "$LUABOX" run box.lua
"$LUABOX" run box.lua < /dev/null > good 2> /dev/null
timeout -s KILL $((20 * slow)) strace -f -qq -o /dev/null "$LUABOX" run box.lua < /dev/null > traced 2> /dev/null
if cmp -s <(normal good) <(normal traced); then ok "it is the same each time, and traced"; else failed "it is the same each time, and traced" "$(diff <(normal good) <(normal traced) | head -5)"; fi
equal "it shares no namespace with its host" "" "$(shared_with_host good)"
within 3 is_tidy || failed "it leaves nothing" "$(remains)"

# ---- killed at any moment

leaks=0 late=0
for ((i = 0; i < KILLS; i++)); do
  "$LUABOX" run box.lua -- sleep 30 < /dev/null > /dev/null 2>&1 & child=$!
  sleep "$(printf '0.%03d' $((RANDOM % 60 + (i % 4 == 0 ? 100 : 0))))"
  kill -9 $child; wait $child 2> /dev/null
  within 2 none || { late=$((late + 1)); echo "# after a kill there live: $(processes | xargs)"; }
  timeout -s KILL $((20 * slow)) "$LUABOX" gc > gc.out 2>&1 || { leaks=$((leaks + 1)); echo "# gc: $(cat gc.out)"; }
  within 2 is_tidy || { leaks=$((leaks + 1)); echo "# left after gc: $(remains | head -3 | xargs)"; }
done
echo "# luabox was killed $KILLS times"
equal "no process of the container lives two seconds after its luabox was killed" 0 $late
equal "nothing is left after luabox gc" 0 $leaks
equal "a kill leaves no obstacle: the next start, without gc" begin "$("$LUABOX" run box.lua -- sleep 30 < /dev/null > /dev/null 2>&1 & child=$!; sleep 0.2; kill -9 $child; wait $child 2>/dev/null
  timeout -s KILL $((20 * slow)) "$LUABOX" run box.lua < /dev/null 2>&1 | head -1)"
within 3 is_tidy || "$LUABOX" gc > /dev/null

# What a start does for its host: whichever names there are, all are looked at in the end.
echo 'return container { rootfs = image "box", command = { "true" }, namespaces = { net = "host" } }' > plain.lua
for ((i = 0; i < 6; i++)); do
  "$LUABOX" run --name "$mark-dead$i" plain.lua -- sleep 30 < /dev/null > /dev/null 2>&1 & child=$!
  within 5 grep -qs '"process"' "$LUABOX_STATE/$mark-dead$i"; kill -9 $child; wait $child 2> /dev/null
done
for ((i = 0; i < 40; i++)); do compgen -G "$LUABOX_STATE/$mark-dead*" > /dev/null || break; "$LUABOX" run plain.lua; done
equal "forty starts remove what six killed ones left, without gc" "" "$(cd "$LUABOX_STATE" && compgen -G "$mark-dead*")"
"$LUABOX" gc > /dev/null

# ---- what takes away fails, or is killed, at one place

# at PLACE FAULT COMMAND...: with the fault in the calls on this file or folder alone. Its status is $got, what it says $output.
at() {
  output=$(timeout -s KILL $((20 * slow)) strace -f -qq -o trace -P "$1" -e inject="$2" "${@:3}" 2>&1 < /dev/null | grep -v '^strace: Requested path'; exit "${PIPESTATUS[0]}"); got=$?
  grep -qE 'INJECTED|killed by SIGKILL' trace || failed "(there is a call to fail: $2 on $1)" "$output"
}
chmod 711 "$work"  # a root of other ids passes through
mkdir folder && cp -a rootfs/. folder/
printf 'return container { name = "%s", rootfs = "%s/folder", mounts = { bind { "%s/volume", "/made/for/it" } }, command = { "true" } }\n' "$mark" "$work" "$work" > folder.lua
printf 'return container { name = "%s", rootfs = image "box", users = "auto", command = { "true" } }\n' "$mark" > users.lua
printf 'return container { name = "%s", rootfs = image "box", command = { "echo", "begin" }, { prepare = function() os.execute [[%s]] end } }\n' \
  "$mark" "$LUABOX image import --replace -q rootfs.tar box" > replaced.lua
at "$work/folder/made/for" unlinkat:error=EIO "$LUABOX" run folder.lua
equal "a mount target that can't be removed is told" "125 luabox: remove $work/folder/made/for/it: Input/output error" "$got $output"
equal "and removed by gc" "$mark no" "$("$LUABOX" gc) $([ -e folder/made ] && echo yes || echo no)"
at "$LUABOX_STATE/.ids" openat:error=EIO:when=1 "$LUABOX" run users.lua
equal "ids that can't be looked up are told" "125 luabox: open $LUABOX_STATE/.ids: Input/output error" "$got $output"
"$LUABOX" gc > /dev/null; equal "and given back by gc" "" "$(ls -A "$LUABOX_STATE/.ids")"
at "$LUABOX_STATE/.ids/new-$mark" write:signal=KILL "$LUABOX" run users.lua
"$LUABOX" gc > /dev/null; equal "gc removes the note of a luabox that was killed while it took ids" "" "$(ls -A "$LUABOX_STATE/.ids")"
printf '\n' > "$LUABOX_STATE/torn"
equal "a record that ends with its first byte is removed by gc" "torn" "$("$LUABOX" gc 2>&1)"
"$LUABOX" run box.lua -- sleep 30 < /dev/null > /dev/null 2>&1 & child=$!
within 5 grep -qs '"process"' "$LUABOX_STATE/$mark"
at "$LUABOX_STATE/$mark" openat:error=EIO "$LUABOX" list
equal "a container whose record can't be read is told of by list" "1 1" "$got $(grep -c "$LUABOX_STATE/$mark: Input/output error" <<< "$output")"
kill $child; wait $child
at "$LUABOX_IMAGES/box/image.json" openat:error=EIO "$LUABOX" image ls
equal "an image of which nothing can be read is told of by ls" "125 1" "$got $(grep -c "image.json: Input/output error" <<< "$output")"
equal "an image that is replaced while a container starts is not half of its root" "luabox: replaced.lua:1: image 'box' was replaced while this container started: start it again" \
  "$("$LUABOX" run replaced.lua 2>&1)"
mkfifo pipe
timeout -k $((10 * slow)) 1 "$LUABOX" image import pipe piped > told.out 2>&1; got=$?
equal "an import from a pipe to which nobody writes ends of a signal" "124 luabox: interrupted: nothing was imported" "$got $(cat told.out)"
{ sleep 0.5; cat rootfs.tar; } > pipe & writer=$!
equal "and waits for who writes" "piped" "$(timeout $((20 * slow)) "$LUABOX" image import pipe piped | cut -d: -f1)"; wait $writer; "$LUABOX" image rm piped
printf 'return container { rootfs = image { "box", persist = "%s/kept" }, command = { "sh", "-c", "sleep 2; echo done" } }\n' "$work" > kept.lua
"$LUABOX" run --name "$mark" kept.lua < /dev/null > first.out 2>&1 & child=$!
within 5 grep -qs '"process"' "$LUABOX_STATE/$mark"
equal "a folder of changes is one container's at a time" "luabox: kept.lua:1: another container that runs keeps its changes in $work/kept: persist is one container's at a time" \
  "$(timeout $((20 * slow)) "$LUABOX" run --name "$mark-2" kept.lua 2>&1)"
wait $child; equal "(the first one has it)" "0 done" "$? $(cat first.out)"
equal "and then the next one's" "begin" "$("$LUABOX" run --name "$mark" kept.lua -- echo begin 2>&1)"; rm -rf kept
printf 'return container { name = "%s", rootfs = image "box", command = { "true" }, { attach = function() debug.sethook(function() error "too long" end, "", 100) end } }\n' "$mark" > hook.lua
equal "a script that limits its own time ends no removal by that" "luabox: hook.lua:1: too long, and nothing left" "$("$LUABOX" run hook.lua 2>&1), and nothing left$(leftovers)"
printf 'local c = container { name = "%s", rootfs = image "box", command = { "sleep", "30" } }\nc:start() c:kill "KILL" c:wait() c:destroy()\nfor i = 1, 1e9 do end' "$mark" > driven.lua
timeout -k 20 20 strace -f -qq -o trace -e inject=rmdir:signal=TERM "$LUABOX" run driven.lua < /dev/null > told.out 2>&1; got=$?
equal "a signal to a script in the midst of destroy() comes behind that" "143 luabox: driven.lua:2: interrupted by SIGTERM, and nothing left" \
  "$got $(cat told.out), and nothing left$(leftovers)"
within 3 is_tidy || failed "(all that is gone)" "$(remains)"

# ---- each system call failing in turn

CALLS=(mount_setattr move_mount open_tree fsopen fsconfig fsmount mount pivot_root umount2 prctl capset seccomp setresuid setresgid setgroups unshare clone3 keyctl
  close_range sethostname mknodat sendto sendmsg write openat2 openat mkdirat mkdir setsid chdir fchdir execve execveat rt_sigprocmask dup3 fcntl flock ioctl symlinkat
  renameat2 setns statx newfstatat pidfd_send_signal umask prlimit64 socket socketpair bind)
timeout -s KILL $((30 * slow)) strace -f -qq -o calls "$LUABOX" run box.lua < /dev/null > /dev/null 2>&1
# strace counts in each process by itself; the first three are luabox, the init and what becomes the command
awk '!($1 in seen) { seen[$1] = ++pids } seen[$1] <= 3 && match($2, /^[a-z0-9_]+\(/) { call = substr($2, 1, RLENGTH - 1); if (++n[$1, call] > most[call]) most[call] = n[$1, call] }
  END { for (call in most) print most[call], call }' calls > counts
errors=(EPERM ENOMEM EINVAL EIO)
: > plan
for call in "${CALLS[@]}"; do
  count=$(awk -v c="$call" '$2 == c { print $1 }' counts)
  for ((n = 1; n <= ${count:-0} && n <= 60; n++)); do echo "$RANDOM $call $n ${errors[RANDOM % 4]}" >> plan; done
done
# the first of each call surely, the rest by lot
{ grep ' 1 E' plan; grep -v ' 1 E' plan | sort -n; } | head -n "$FAULTS" > sample

injected=0 told=0 harmless=0 weaker=0 hung=0 left=0 odd=0
while read -r _ call n error; do
  [ $SECONDS -lt $((LONGEST + ${began:=$SECONDS})) ] || break
  timeout -s KILL $((10 * slow)) strace -f -qq -o trace -e trace="$call" -e inject="$call:error=$error:when=$n" "$LUABOX" run box.lua < /dev/null > faulty 2> told.out; got=$?
  grep -q INJECTED trace && ! grep -q ^strace: told.out || continue  # strace is a process of these, too, until it executes luabox
  injected=$((injected + 1))
  if [ $got = 137 ]; then
    hung=$((hung + 1)); echo "# $call $n $error: hangs"
    for p in $(processes); do kill -9 "$p" 2> /dev/null; done
  elif grep -q ^begin faulty; then
    if [ $got = 0 ] && cmp -s <(normal good) <(normal faulty) && [ -z "$(shared_with_host faulty)" ]; then
      harmless=$((harmless + 1))
    elif grep -q '^end' faulty && ! cmp -s <(normal good) <(normal faulty); then
      # a command's own call may have failed: strace counts in each process
      if grep -qE "^(Cap|NoNew|Seccomp|Uid|Gid|Groups)" <(diff <(normal good) <(normal faulty) | sed -n 's/^> //p') || grep -q possible: faulty || [ -n "$(shared_with_host faulty)" ]; then
        weaker=$((weaker + 1)); echo "# $call $n $error: status $got, weaker: $(diff <(normal good) <(normal faulty) | grep '^[<>]' | head -3 | xargs)"
      else
        odd=$((odd + 1)); echo "# $call $n $error: status $got, other: $(diff <(normal good) <(normal faulty) | grep '^[<>]' | head -2 | xargs) $(head -1 told.out)"
      fi
    else
      odd=$((odd + 1))
    fi
  else
    told=$((told + 1))
    [ $got = 125 ] || [ $got = 126 ] || [ $got = 127 ] || echo "# $call $n $error: status $got: $(head -1 told.out)"
    [ -s told.out ] || echo "# $call $n $error: status $got without a word"
  fi
  within 2 none || { left=$((left + 1)); echo "# $call $n $error: there lives $(processes | xargs)"; for p in $(processes); do kill -9 "$p" 2> /dev/null; done; }
  if ! is_tidy; then
    # what can't be removed because the removal itself was made to fail stays recorded, and gc removes it
    timeout -s KILL $((10 * slow)) "$LUABOX" gc > /dev/null 2>&1
    within 2 is_tidy || { left=$((left + 1)); echo "# $call $n $error: left $(remains | head -3 | xargs)"; rm -rf "$LUABOX_STATE"; }
  fi
done < sample
echo "# $injected faults were injected: $told told, $harmless without effect, $odd in the command's own calls or with less in it"
if [ $injected -ge 30 ]; then ok "enough faults were injected"; else failed "enough faults were injected" $injected; fi
equal "no fault gives a weaker container" 0 $weaker
equal "no fault makes it hang" 0 $hung
equal "no fault leaves anything" 0 $left
finish
