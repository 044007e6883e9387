#!/bin/bash
# luabox exec into containers that turn on it: from inside nothing of the runtime can be reached, stopped for good or overwritten, and what joins is
# confined whatever the container has done to its /proc, its /etc and its processes.
. "$(dirname "$0")/../e2e/rootless.sh"
command -v "${CC:-cc}" > /dev/null || { echo "skipped: no C compiler to make the attacker"; exit 77; }
make_rootfs rootfs
mark=own-exec-$$
chmod 711 "$work"
"${CC:-cc}" -O1 -static -o rootfs/bin/watcher "$here/../attacks/watcher.c" && "${CC:-cc}" -O1 -static -o rootfs/bin/lease "$here/../attacks/lease.c" || { echo "skipped: no static C library"; exit 77; }
runtime=
trap 'if [ $BASHPID = $$ ]; then kill -9 $runtime 2>/dev/null; cd /; umount /etc/passwd /etc/group /etc/subuid /etc/subgid; rm -rf --one-file-system "$work"; fi' EXIT
luabox=("$LUABOX")
host=$work/host; mkdir "$host"; echo classified > "$host/secret"
sum=$(sha256sum < "$LUABOX")

# start COMMAND FIELD...: a container that runs COMMAND with sh.
start() {
  script "name = '$mark'" "command = { 'sh', '-c', [==[$1]==] }" "${@:2}"
  "${luabox[@]}" run "$work/box.lua" < /dev/null > run.out 2>&1 & runtime=$!
  up() { "${luabox[@]}" list | grep -q "^$mark .*running"; }
  within 5 up || failed "(the container runs)" "$(cat run.out)"
}
stop() { "${luabox[@]}" kill "$mark" KILL 2>/dev/null; wait $runtime 2>/dev/null; }
inside() { timeout -s KILL 10 "${luabox[@]}" exec "$mark" "$@" < /dev/null 2>&1; }
ready() { within 5 inside test -e /tmp/ready || failed "(the trap is set)" "$(cat run.out)"; }
times() { for _ in $(seq "$1"); do inside true > /dev/null; echo $?; done | sort | uniq -c | xargs; }
seconds() { local begin=$SECONDS; "$@" > /dev/null 2>&1; echo $((SECONDS - begin)); }
less() { if [ "$2" -lt "$3" ]; then ok "$1"; else failed "$1" "$2"; fi; }
# confined NAME: a process that joins now has no more than the container's first command would.
confined() {
  "${luabox[@]}" exec "$mark" busybox sleep 7676.$$ < /dev/null > joined.out 2>&1 & local runner=$! found
  within 5 pgrep -fx "busybox sleep 7676.$$" > /dev/null; found=$(pgrep -fx "busybox sleep 7676.$$" | head -1)
  equal "$1: its capabilities, filter and no_new_privs are the container's" "$2" \
    "$(grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$found/status" 2>/dev/null | cut -f2 | xargs) $(cat joined.out)"
  equal "$1: it is in its namespaces" "$(readlink "/proc/$(process)/ns/"{mnt,pid,net,ipc,uts,cgroup} | xargs)" "$(readlink "/proc/$found/ns/"{mnt,pid,net,ipc,uts,cgroup} 2>/dev/null | xargs)"
  kill $runner 2>/dev/null; wait $runner 2>/dev/null
}
process() { sed -nE 's/.*"process":\{"pid":([0-9]+).*/\1/p' "$LUABOX_STATE/$mark"; }
closed="00000000800405fb 00000000800405fb 1 2 "

# ---- an attacker that waits for what joins

# attacked WHOSE FIELD...
attacked() {
  local whose=$1 way; shift
  for way in stop look; do
    start "exec watcher $way" "$@"; sleep 0.3
    equal "a process that is $([ $way = stop ] && echo stopped || echo looked at) while it joins gets through$whose" "40 0" "$(times 40)"
    stop
    seen=$(grep -c ^seen run.out)
    if [ "$seen" -gt 0 ]; then ok "it was seen before its exec ($way)$whose"; else failed "it was seen before its exec ($way)$whose" "never, so this shows nothing"; fi
    equal "nothing of the runtime is reached then ($way)$whose" "" "$(grep ESCAPED run.out | sort | uniq -c | head -5)"
  done
  start "exec watcher kill" "$@"; sleep 0.3
  output=$(times 20); lacks "a process that is killed while it joins holds nobody up$whose" 124 "$output"; holds "and is told as killed$whose" 137 "$output"
  stop
  no_rest() { ! grep -qs "/luabox/$mark$" /proc/[0-9]*/cgroup; }
  succeeds "no process that joined is left$whose" within 3 no_rest
}
attacked ""
start 'touch /tmp/ready; while :; do sleep 1000; done' "cgroup = { pids = 4 }"; within 5 test -e rootfs/tmp/ready
output=$(inside true); got=$?
less "a container with no process to spare doesn't hold it up" "$(seconds inside true)" 5
equal "and says so" "125 1" "$got $(grep -c 'Resource temporarily unavailable' <<< "$output")"
stop

# ---- commands that turn on the program that starts them

rm -f rootfs/tmp/ready
printf '#!/proc/self/exe run\nlocal begin = os.time() while os.time() - begin < 2 do end\n' > rootfs/bin/self; chmod 755 rootfs/bin/self
start 'while :; do for p in /proc/[0-9]*; do (exec 9> $p/exe) 2>/dev/null && echo OPENED $p; (echo overwritten > $p/exe) 2>/dev/null && echo WRITTEN $p; done; done'
for command in /proc/self/exe /bin/self /proc/1/exe /proc/self/fd/3; do
  timeout -s KILL 10 "${luabox[@]}" exec "$mark" $command version < /dev/null > out 2>&1; got=$?
  lacks "the command $command doesn't hold exec up" "$got" 137
done
stop
equal "the binary is as it was" "$sum" "$(sha256sum < "$LUABOX")"
lacks "and could not be opened to be written" D "$(grep -E '^(OPENED|WRITTEN)' run.out | while read -r _ p; do echo "D $p"; done | grep -v '^D /proc/[12]$' | head -2)"

# ---- a container that has changed what it stands on: with the power to mount, which luabox doesn't give by itself

power="capabilities = { add = { 'sys_admin' } }"
able="00000000802405fb 00000000802405fb 1 0 "
fake='mount -t tmpfs none /proc; mkdir -p /proc/self/attr /proc/self/ns /proc/self/fd /proc/self/task /proc/sys/kernel /proc/thread-self/attr
  for f in self/attr/exec self/oom_score_adj self/setgroups self/exe self/status sys/kernel/cap_last_cap; do echo 0 > /proc/$f; done
  for n in 0 1 2 3 4 5 6 7 8 9 10; do mkfifo /proc/self/fd/$n; done; touch /tmp/ready; while :; do sleep 1000; done'
start "$fake" "$power" "seccomp = 'unconfined'" "apparmor = nil"; ready; confined "a /proc of the container's own making" "$able"; stop
rm -f rootfs/tmp/ready
start 'mount -t tmpfs none /tmp; touch /tmp/ready; umount -l /proc; rm -rf /proc; ln -s /tmp /proc; while :; do sleep 1000; done' "$power" "seccomp = 'unconfined'"; ready
confined "no /proc at all" "$able"; stop
rm -f rootfs/proc rootfs/tmp/ready; mkdir -p rootfs/proc
start 'mount --bind /dev/null /proc/self/oom_score_adj; mount -t tmpfs none /dev/pts; mkfifo /dev/pts/ptmx; touch /tmp/ready; while :; do sleep 1000; done' \
  "$power" "seccomp = 'unconfined'" "oom_score_adj = 200"; ready
output=$(timeout -s KILL 10 "$LUABOX" exec -t "$mark" true < /dev/null 2>&1); got=$?
equal "a terminal from what is no devpts is refused" 125 "$got"
confined "a covered oom_score_adj" "$able"; stop

# ---- its own files as traps

rm -f rootfs/tmp/ready
trap_in() { start "$1; touch /tmp/ready; while :; do sleep 1000; done"; within 5 test -e rootfs/tmp/ready; }
done_with() { stop; rm -f rootfs/tmp/ready rootfs/trap; cp passwd.saved rootfs/etc/passwd; }
cp rootfs/etc/passwd passwd.saved
trap_in 'rm /etc/passwd; mkfifo /etc/passwd'; less "a fifo as passwd doesn't hold it up" "$(seconds inside true)" 5; confined "a fifo as passwd" "$closed"; rm rootfs/etc/passwd; done_with
for file in passwd group; do
  start "exec lease /etc/$file w"; within 5 grep -qs leased run.out || failed "(a lease on $file)" "$(cat run.out)"
  less "a lease on $file doesn't hold it up" "$(seconds inside true)" 5; confined "a lease on $file" "$closed"
  equal "a lease on $file: two numbers need no look-up" "1000 50" "$(timeout 5 "${luabox[@]}" exec -u 1000:50 "$mark" sh -c 'grep -E "^(Uid|Gid):" /proc/self/status | cut -f2 | xargs' 2>&1)"
  holds "a lease on $file: a name is looked up in it, and the lease is named" \
    "open /etc/$file: Resource temporarily unavailable (a process has a lease on it, fcntl(2)) (a user in two numbers" "$(timeout 5 "${luabox[@]}" exec -u user "$mark" true 2>&1)"
  printf 'return container { name = "%s-2", rootfs = directory { "%s/rootfs", readonly = true }, command = { "echo", "started" } }' "$mark" "$work" > second.lua
  equal "a lease on $file doesn't keep another container of the folder from its start" started "$(timeout 10 "${luabox[@]}" run "$work/second.lua" 2>&1)"
  stop
  cp rootfs/etc/$file saved; trap_in "rm /etc/$file; ln -s /proc/kmsg /etc/$file"  # who reads that takes it from the host's own reader
  holds "a link to the kernel's log as $file is not read" "read /etc/$file: it is the kernel's own" "$(timeout 5 "$LUABOX" exec "$mark" true 2>&1)"; rm rootfs/etc/$file; done_with; cp saved rootfs/etc/$file
done
trap_in 'rm /etc/passwd; ln -s /proc/1/environ /etc/passwd'; lacks "a link to an init's environment as passwd shows nothing" LUABOX "$(inside id; timeout 5 "$LUABOX" exec -u user "$mark" id 2>&1)"; rm rootfs/etc/passwd; done_with
trap_in 'echo "user:x:4294967295:-1::/:/bin/sh" > /etc/passwd'; lacks "a passwd line without sense makes nobody root" uid=0 "$(timeout 5 "$LUABOX" exec -u user "$mark" id 2>&1)"; done_with
for target in "$host" /proc/1/root /proc/self/cwd /proc/self/fd/3 ../../../../../.."$host"; do
  trap_in "ln -s $target /trap"
  lacks "a working directory that leads to $( [[ $target == *host* ]] && echo "the host's folder" || echo $target) leads nowhere" classified "$(timeout 5 "$LUABOX" exec -w /trap "$mark" sh -c 'cat secret; cat ../../../../../../../../..'"$host"'/secret' 2>&1)"
  done_with
done
trap_in true
equal "/proc/self/fd/N as the working directory is refused" 125 "$(for n in $(seq 3 12); do timeout 5 "$LUABOX" exec -w /proc/self/fd/$n "$mark" ls > /dev/null 2>&1; echo $?; done | sort -u)"
equal "a setuid program gives a user nothing" 1000 "$(cp rootfs/bin/busybox rootfs/usr/bin/busybox; chmod 4755 rootfs/usr/bin/busybox; timeout 5 "$LUABOX" exec -u user "$mark" /usr/bin/busybox id -u)"
rm rootfs/usr/bin/busybox
holds "it can't make a namespace" "not permitted" "$(inside unshare -m true)"
lacks "the caller's environment doesn't reach it" SECRET "$(SECRET=x inside env)"
equal "nor do the caller's descriptors" "0 1 2" "$(exec 7< "$host/secret" 8< /; inside sh -c 'ls /proc/$$/fd; true' | xargs)"
done_with

# ---- a first process that is the container's own, and moves

rm -f rootfs/tmp/ready; mkdir -p rootfs/sub/etc; cp -r rootfs/bin rootfs/sub/; echo 'root:x:77:77::/:/bin/sh' > rootfs/sub/etc/passwd
start 'touch /tmp/ready; exec chroot /sub sh -c "while :; do sleep 1000; done"' "init = false" "capabilities = { add = { 'sys_chroot' } }"; ready
confined "a first process in a chroot of its own" "$closed"; stop
rm -rf rootfs/tmp/ready

# ---- an ordinary user's container: its processes have the uid of luabox's own, and its init is within the reach of its user

luabox=("${user[@]}" CLASSIFIED=classified-outside "$work/luabox")
LUABOX_STATE=$work/run/luabox
chown -hR $user_id:$user_id rootfs; chmod 755 rootfs
sum=$(sha256sum < "$work/luabox")
attacked ", of an ordinary user" "network = 'none'"
look='for file in environ maps auxv cmdline fd/0 fd/3; do echo "$file: $(cat /proc/1/$file 2>&1 | tr "\\0" " ")"; done; for link in exe cwd root fd/0 fd/3; do echo "$link -> $(readlink /proc/1/$link)"; done; ls /proc/1/fd 2>&1
  grep -v vsyscall /proc/1/maps 2>/dev/null | while read -r range rest; do
    from=$((0x${range%-*} / 4096)); dd if=/proc/1/mem bs=4096 skip=$from count=$((0x${range#*-} / 4096 - from)) 2>/dev/null | strings | head -c 20000
  done
  for file in exe mem; do (echo overwritten > /proc/1/$file) 2>/dev/null; done'
# From its first moment on, when the init may still be luabox's, it looks.
start "for i in \$(seq 40); do $look; done; echo looked; exec sleep 1000" "network = 'none'"; ready() { grep -aq ^looked run.out; }
within 20 ready || failed "(it has looked)" "$(tail -3 run.out)"
equal "its init shows nothing to its processes" "" "$(grep -avE "Permission denied|^cmdline: init|^(environ|maps|auxv|fd/.): *$|can't open|^looked|-> $" run.out | sort | uniq -c | head -3)"
stop
start "for i in \$(seq 40); do $look; done; echo looked; exec sleep 1000" "network = 'none'" "capabilities = { add = { 'sys_ptrace' } }"
within 20 ready || failed "(it has looked)" "$(tail -3 run.out)"
if grep -aq /memfd:init run.out; then ok "given the right to trace, they see the init's program"; else failed "given the right to trace, they see the init's program"; fi
equal "and nothing of luabox's environment or scripts" 0 "$(grep -acE 'classified-outside|luabox' run.out)"
equal "nor a descriptor of it" "" "$(grep -aE '^fd/[03] -> .|^[0-9]+$' run.out | sort | uniq -c | head -3)"
stop
equal "the user's binary is as it was" "$sum" "$(sha256sum < "$work/luabox")"
# What an ordinary user may join is his own: not root's container, nor another user's.
LUABOX_STATE=$work/state luabox=("$LUABOX")
start 'sleep 1000'
chmod -R a+rX "$work/state"
other=$("${user[@]}" LUABOX_STATE="$work/state" "$work/luabox" exec "$mark" id < /dev/null 2>&1)
holds "an ordinary user joins no container of root's" "belongs to another user (uid 0)" "$other"
mkdir -p "$work/run/luabox"; cp "$work/state/$mark" "$work/run/luabox/$mark"; chown -R $user_id "$work/run/luabox"
flock -x "$work/run/luabox/$mark" sleep 1000 & locked=$!
other=$("${user[@]}" "$work/luabox" exec "$mark" id < /dev/null 2>&1); got=$?
equal "nor by a record of his own that names its process" "125 1" "$got $(grep -cE 'Permission denied|has ended' <<< "$other")"
pkill -P $locked; wait $locked; rm -rf "$work/run/luabox/$mark"; stop

equal "the host's file is as it was" classified "$(cat "$host/secret")"
leaves_nothing "nothing is left behind"
finish
