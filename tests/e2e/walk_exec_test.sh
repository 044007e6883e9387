#!/bin/bash
# luabox exec, and c:exec in a script: what joins a container is confined as the container's own command, in everything that the kernel tells.
. "$(dirname "$0")/rootless.sh"
mark=walk-exec-$$
make_rootfs rootfs
chmod 711 "$work"
jobs=()
trap 'if [ $BASHPID = $$ ]; then kill -9 "${jobs[@]}" 2>/dev/null; wait 2>/dev/null; cd /; umount /etc/passwd /etc/group /etc/subuid /etc/subgid; rm -rf --one-file-system "$work"; fi' EXIT

# start FIELD...: a container that sleeps, of whom `luabox` runs as; first is its command's pid on the host.
luabox=("$LUABOX")
start() {
  "${luabox[@]}" gc > /dev/null
  script "name = '$mark'" "hostname = 'joined'" "command = { 'sleep', '7171.$$' }" "$@"
  "${luabox[@]}" run "$work/box.lua" < /dev/null > run.out 2>&1 & runtime=$!
  jobs+=("$runtime")
  up() { "${luabox[@]}" list | grep -q "^$mark .*running" && pgrep -fx "sleep 7171.$$" > /dev/null; }
  within 5 up || failed "(the container runs)" "$(cat run.out)"
  first=$(pgrep -fx "sleep 7171.$$" | head -1)
}
stop() { "${luabox[@]}" kill "$mark" KILL 2>/dev/null; wait "$runtime" 2>/dev/null; }
inside() { timeout -s KILL $((20 * slow)) "${luabox[@]}" exec "$mark" "$@" < /dev/null 2>&1; }
status_of() { timeout -s KILL $((20 * slow)) "${luabox[@]}" exec "$@" < /dev/null > out 2>&1; echo $?; }

# joined FIELDS...: a process of luabox exec and the container's command agree in all that decides what they may do.
facts='Uid|Gid|Groups|Umask|NoNewPrivs|Seccomp|Seccomp_filters|CapInh|CapPrm|CapEff|CapBnd|CapAmb'
compare() {
  local what=$1 second
  "${luabox[@]}" exec "$mark" sleep 7272.$$ < /dev/null > joined.out 2>&1 & local runner=$!
  within 5 pgrep -fx "sleep 7272.$$" > /dev/null || failed "exec/join: $what: it starts" "$(cat joined.out)"
  second=$(pgrep -fx "sleep 7272.$$" | head -1)
  equal "exec/join: $what: every namespace is the container's" "$(readlink /proc/$first/ns/*)" "$(readlink /proc/$second/ns/*)"
  equal "exec/join: $what: the cgroups" "$(cat /proc/$first/cgroup)" "$(cat /proc/$second/cgroup)"
  equal "exec/join: $what: ids, capabilities, filter, no_new_privs, umask" "$(grep -E "^($facts):" /proc/$first/status)" "$(grep -E "^($facts):" /proc/$second/status)"
  equal "exec/join: $what: resource limits" "$(cat /proc/$first/limits)" "$(cat /proc/$second/limits)"
  equal "exec/join: $what: oom_score_adj, personality, label" "$(cat /proc/$first/{oom_score_adj,personality,attr/current} 2>&1)" "$(cat /proc/$second/{oom_score_adj,personality,attr/current} 2>&1 | sed "s,/$second/,/$first/,")"
  equal "exec/join: $what: root and working directory" "$(stat -Lc %d:%i /proc/$first/{root,cwd})" "$(stat -Lc %d:%i /proc/$second/{root,cwd})"
  equal "exec/join: $what: the environment" "$(tr '\0' '\n' < /proc/$first/environ | sort)" "$(tr '\0' '\n' < /proc/$second/environ | sort)"
  equal "exec/join: $what: no descriptor but 0 to 2" "0 1 2" "$(ls /proc/$second/fd | xargs)"
  disown $runner; kill -9 $runner
  ended() { ! pgrep -fx "sleep 7272.$$" > /dev/null; }
  succeeds "exec/join: $what: luabox exec killed, its command ends" within 3 ended
}

# ---- the example
output=$("$LUABOX" run "$top/examples/exec/join.lua" "$work/rootfs" 2>&1)
holds "exec/join: the container's hostname and environment, and more of its own" $'name: joined (status 0)\nthe environment: green round (status 0)' "$output"
holds "exec/join: one root file system" "note: from the first (status 0)" "$output"
holds "exec/join: one pid namespace" "processes: 3 (status 0)" "$output"
holds "exec/join: another user, another folder, text to read" $'user: 1000 (status 0)\na folder: /tmp (status 0)\nwhat it reads: TEXT FROM THE SCRIPT (status 0)' "$output"
holds "exec/join: it may not mount" "mount: mount: permission denied" "$output"
holds "exec/join: it may not make devices" "mknod: mknod: /tmp/disk: Operation not permitted (status 1)" "$output"
holds "exec/join: it ends with the container" "status 137, after the container's 137" "$output"
# ---- the same as the container's command
start "env = { COLOUR = 'green' }"; compare "a default container"; stop
start "user = 'user'" "cwd = '/tmp'" "env = { A = 'b c' }" "umask = '077'" "rlimits = { nofile = 64, core = { soft = 0, hard = 10 } }" "oom_score_adj = 300" \
  "capabilities = { only = { 'chown', 'kill' }, ambient = { 'kill' } }" "cgroup = { memory = '64MB', cpu = 0.5 }" "personality = 'linux32'" "nice = 3"
compare "a user, limits, capabilities of its own"
equal "exec/join: the nice value" "3 3" "$(ps -o ni= -p "$first" | xargs) $(inside cut -d" " -f19 /proc/self/stat)"
stop
# With CAP_SYS_PTRACE the container can read and write the memory of the command's process until its exec: nothing outside may have that memory, too,
# and it may have nothing of luabox's, whose script may know more than this container.
if command -v strace > /dev/null; then
  start "capabilities = { add = { 'sys_ptrace' } }"
  cat > kcmp.py <<'P'
import ctypes, sys
KCMP, VM = 312, 1
print(ctypes.CDLL(None, use_errno=True).syscall(KCMP, int(sys.argv[1]), int(sys.argv[2]), VM, 0, 0))
P
  cat > knows.py <<'P'
import re, sys
found = 0
for line in open(f"/proc/{sys.argv[1]}/maps"):
    begin, end, rights, name = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+ *(.*)", line).groups()
    if not rights.startswith("rw") or name.startswith("[v"): continue
    with open(f"/proc/{sys.argv[1]}/mem", "rb", 0) as memory:
        memory.seek(int(begin, 16))
        found += memory.read(int(end, 16) - int(begin, 16)).count(sys.argv[2].encode())
print("something" if found else "nothing")
P
  # Of the processes called "exec", the one outside is the parent.
  waiting() { child=$(pgrep -x exec --ns "$first" --nslist pid | head -1); [ -n "$child" ] && outside=$(awk '{ print $4 }' "/proc/$child/stat"); }
  strace -f -qq -o /dev/null -e trace=execve -e inject=execve:delay_enter=6000000 "$LUABOX" exec "$mark" /bin/true < /dev/null > out 2>&1 & tracing=$!
  within 10 waiting || failed "(it is about to start)" "$(cat out)"
  differs() { [ "$(python3 kcmp.py "$1" "$2")" -gt 0 ]; }
  succeeds "exec: what the container may trace is no memory of who stands outside" differs "$child" "$outside"
  equal "exec: nor does it know what that one knows, the state's folder and all else" "something nothing" \
    "$(python3 knows.py "$outside" "$LUABOX_STATE") $(python3 knows.py "$child" "$LUABOX_STATE")"
  wait $tracing; stop
fi
start "users = { uid = '0 100000 65536' }"; compare "a user namespace"
# A second one: the shell that starts it can't be told from the command by its name.
owner() { "${luabox[@]}" exec "$@" "$mark" sleep 7373.$$ < /dev/null & within 5 pgrep -fx "sleep 7373.$$" > /dev/null; stat -c %u "/proc/$(pgrep -fx "sleep 7373.$$")/status"; kill $!; }
equal "exec/join: root in a user namespace is the host's 100000" 100000 "$(owner)"
holds "exec/join: what it may not do there" "Operation not permitted" "$(inside unshare -U true)"
stop
start "users = 'auto'" "user = 'user'"; compare "ids of its own, an ordinary user in it"
equal "exec/join: user and terminal" "1000 /dev/pts/0" "$(inside id -u) $("${luabox[@]}" exec -t "$mark" tty < /dev/null | tr -d '\r')"
stop
start "seccomp = { base = 'default', extend = { deny = { 'mkdir', 'mkdirat' } } }" "capabilities = 'none'"; compare "a filter of the script's own"
holds "exec/join: that filter holds" "not permitted" "$(inside mkdir /tmp/new)"; stop
start "no_new_privs = false" "namespaces = { ipc = 'host', uts = 'host' }" "hostname = nil" "network = 'host'"; compare "host namespaces, no_new_privs off"; stop
start "seccomp = 'unconfined'" "init = false"; compare "no filter, no init"; stop

# ---- the command line
start
equal "exec: its exit status" 7 "$(status_of "$mark" sh -c 'exit 7')"
equal "exec: 128 + the signal that ended it" 137 "$(status_of "$mark" sh -c 'kill -9 $$')"
equal "exec: 127 for a command that isn't there" "127 luabox: exec nosuch: No such file or directory" "$(status_of "$mark" nosuch) $(cut -d'(' -f1 out | sed 's/ $//')"
echo text > rootfs/tmp/text
equal "exec: 126 for one that can't be executed" 126 "$(status_of "$mark" /tmp/text)"
equal "exec: an option" "1000 /tmp c" "$(status_of -u user -w /tmp -e A=b -e B=c "$mark" sh -c 'echo $(id -u) $(pwd) $B' > /dev/null; cat out)"
equal "exec: an unknown user is told" "125 luabox: exec: lookup user nobody-here: No such file or directory (the image's /etc/passwd doesn't have it)" "$(status_of -u nobody-here "$mark" true) $(cat out)"
equal "exec: a folder that is not there too" "125 luabox: exec: cwd: open /nowhere: No such file or directory" "$(status_of -w /nowhere "$mark" true) $(cat out)"
equal "exec: no way to a descriptor of luabox's by the working directory" 125 "$(for n in 3 4 5 6 7 8 9; do for p in self thread-self 1; do status_of -w /proc/$p/fd/$n "$mark" ls; done; done | sort -u)"
equal "exec: an unknown name names the nearest" "125 luabox: there is no container 'walk-exce-$$' (did you mean '$mark'?)" "$(status_of walk-exce-$$ true) $(cat out)"
equal "exec: a name that leads elsewhere is none" "125 luabox: '../$mark' can't be a container's name" "$(status_of "../$mark" true) $(cat out)"
equal "exec: no command" "125 luabox: expected a command behind the name; see 'luabox help exec'" "$(status_of "$mark") $(cat out)"
equal "exec: what is piped in comes out" "one two" "$(printf 'one\ntwo\n' | "$LUABOX" exec "$mark" cat | xargs)"
equal "exec: errors are apart" "error" "$("$LUABOX" exec "$mark" sh -c 'echo output; echo error >&2' 2>&1 > /dev/null < /dev/null)"
"$LUABOX" exec "$mark" sh -c 'trap "echo got TERM; exit 9" TERM; echo ready; while :; do sleep 0.05; done' < /dev/null > signal.out 2>&1 & runner=$!
within 3 grep -q ready signal.out; kill -TERM $runner; wait $runner
equal "exec: a signal reaches the command" "9 got TERM" "$? $(tail -1 signal.out)"
equal "exec: a daemon that it leaves behind is not waited for" 0 "$(begin=$SECONDS; inside sh -c "sleep 7474.$$ > /dev/null 2>&1 < /dev/null &"; echo $((SECONDS - begin > 3)))"
succeeds "exec: and goes on" pgrep -fx "sleep 7474.$$"
holds "list: the first process and the command" "$(awk '{print $4}' /proc/"$first"/stat) " "$("$LUABOX" list | tr -s ' ')"
holds "list: the command" "sleep 7171" "$("$LUABOX" list)"
holds "stats: the processes are counted" "pids.current" "$("$LUABOX" stats "$mark")"
holds "stats: as JSON" '"current": ' "$("$LUABOX" stats --json "$mark")"
holds "help: exec" "Usage: luabox exec [OPTIONS] NAME COMMAND..." "$("$LUABOX" help exec)"

# ---- another's, and one that is no more
holds "exec: another user's container, seen by an ordinary user" "125 luabox: the container '$mark' belongs to another user (uid 0)" \
  "$(setpriv --reuid 1000 --regid 1000 --clear-groups "$LUABOX" exec "$mark" true > out 2>&1; echo $?) $(cat out)"
chown 1000 "$LUABOX_STATE/$mark"
equal "exec: nor does root join what another user may have written" "125 luabox: the container '$mark' belongs to another user (uid 1000)" "$(status_of "$mark" true) $(cat out)"
chown 0 "$LUABOX_STATE/$mark"
cp "$LUABOX_STATE/$mark" saved.json
sed -E 's/"started":"[0-9]+"/"started":"1"/' saved.json > "$LUABOX_STATE/$mark"
equal "exec: a pid that is another process's now is not joined" "125 luabox: the container '$mark' has ended" "$(status_of "$mark" true) $(cat out)"
equal "kill: nor signalled" "125 luabox: the container '$mark' has ended" "$("$LUABOX" kill "$mark" KILL > out 2>&1; echo $?) $(cat out)"
sed -E 's/"process":\{[^}]*\},//' saved.json > "$LUABOX_STATE/$mark"
equal "exec: one that is not closed yet is not joined" "125 luabox: the container '$mark' is still being started" "$(status_of "$mark" true) $(cat out)"
cp saved.json "$LUABOX_STATE/$mark"
kill -9 $runtime; wait $runtime 2>/dev/null
holds "exec: a container whose luabox was killed" "125 luabox: the container '$mark' has ended" "$(status_of "$mark" true) $(cat out)"
"$LUABOX" gc > /dev/null

# Its first process ends only when all others have: here one whose parent, on the host, stands still.
start
id=$("$LUABOX" exec --detach "$mark" sleep 7271.$$)
kill -STOP "$id"; kill -KILL "$("$LUABOX" list | awk -v name="$mark" '$1 == name { print $3 }')"
holds "exec: a container that is just ending" "the container '$mark' has ended" "$(status_of "$mark" true; cat out)"
kill -CONT "$id"; wait $runtime 2>/dev/null

# ---- what is captured
cat > capture.lua <<L
local process = require("luabox.running").find("$mark"):exec { "sh", "-c", "head -c 300000 /dev/zero; sleep 100 & echo end", capture = true }
local text, status = process:output()
print(#text, text:sub(-4, -2), status)
L
start
equal "exec/capture: what the command leaves behind holds nobody up" "300004 end 0 " "$(timeout 10 "$LUABOX" run capture.lua 2> errors | xargs) $(cat errors)"
stop

# ---- one that goes on in the background
start
id=$("$LUABOX" exec --detach --output "$work/detached.out" "$mark" sh -c 'trap "echo got TERM; exit 3" TERM; echo ready; cat; while :; do sleep 0.05; done')
within 3 grep -q ready detached.out
succeeds "exec/detach: it goes on when luabox exec has ended, and what it writes is in the file" kill -0 "$id"
kill -TERM "$id"; within 3 grep -q 'got TERM' detached.out
detached_over() { ! kill -0 "$id" 2> /dev/null; }
succeeds "exec/detach: a signal to the number reaches the command, and it ends with it" within 3 detached_over
id=$("$LUABOX" exec -d -o detached.out "$mark" sh -c 'head -c 3000000 /dev/zero; (sleep 1; echo left behind; sleep 7273.'$$') & exit 4')
succeeds "exec/detach: what it left behind has the file, too" within 5 grep -qa 'left behind' detached.out
equal "exec/detach: and all that came before" 3000012 "$(tail -c +$(($(grep -abo -m1 -P '\x00' detached.out | head -1 | cut -d: -f1) + 1)) detached.out | wc -c)"
kill -TERM "$id"
succeeds "exec/detach: a signal to the number ends that" within 3 detached_over
mkdir full; mount -t tmpfs -o size=64k tmpfs full 2> /dev/null && {
  id=$("$LUABOX" exec -d -o full/out "$mark" sh -c 'head -c 1000000 /dev/zero; while :; do echo again; sleep 0.1; done')
  filled() { [ "$(stat -c %s full/out)" = 65536 ]; }; within 5 filled
  has_room() { : > full/out; sleep 0.5; grep -qa again full/out; }  # what was still to be written may fill it again
  succeeds "exec/detach: a full disk ends nothing, and what comes later is there when it has room" within 10 has_room
  kill -TERM "$id"; within 3 detached_over; umount full
}
id=$("$LUABOX" exec -d -o flood.out "$mark" sh -c 'echo $$ > /tmp/flood; while :; do echo flood; done')
within 3 grep -qs flood flood.out; "$LUABOX" exec "$mark" sh -c 'kill -9 $(cat /tmp/flood)'
succeeds "exec/detach: one that floods its file ends as any other" within 3 detached_over
equal "exec/detach: a command that can't be started is told" 127 "$(status_of -d "$mark" nosuch)"
holds "exec/detach: with a terminal it is refused" "can't both be meant" "$(status_of -d -t "$mark" true; cat out)"
id=$("$LUABOX" exec -d "$mark" sleep 7272.$$)
stop
succeeds "exec/detach: it ends with the container" within 3 detached_over
start "namespaces = { pid = 'host' }" "cgroup = { pids = 'max' }"
id=$("$LUABOX" exec -d "$mark" sleep 7272.$$)
stop
succeeds "exec/detach: and with one in the host's pid namespace" within 3 detached_over

# ---- the container's end
start
"$LUABOX" exec "$mark" sleep 7575.$$ < /dev/null > /dev/null 2>&1 & runner=$!; jobs+=($runner)
within 5 pgrep -fx "sleep 7575.$$" > /dev/null
kill -STOP $runner; "$LUABOX" kill "$mark" KILL
over() { ! kill -0 "$runtime" 2>/dev/null; }
succeeds "exec: the container's end doesn't wait for a luabox exec that stands still" within 3 over
kill -CONT $runner; wait $runner
equal "exec: and is told as what it was" 137 $?
none() { ! pgrep -fx "sleep 7[1-5]7[1-5].$$" > /dev/null; }
succeeds "exec: no process is left" within 3 none

# ---- an ordinary user's: with the own id alone, and with ids that were granted
as=rootless
luabox=("${user[@]}" "$work/luabox")
mv rootfs roots; cp -a roots rootfs; chown -hR $user_id:$user_id rootfs; chmod 755 rootfs
LUABOX_STATE=$work/run/luabox
start "network = 'none'" "env = { COLOUR = 'green' }"; compare "a user's, with the own id alone"
equal "exec/join: root inside is the user outside" $user_id "$(owner)"
equal "exec/join: another id is none" "125 luabox: exec: user: 1000:1000 is not among the ids" "$(status_of -u 1000 "$mark" true) $(grep -o '.*among the ids' out)"
equal "exec/join: a terminal, a folder, a variable" "/dev/pts/0 /tmp b" "$("${luabox[@]}" exec -t -w /tmp -e A=b "$mark" sh -c 'echo $(tty; pwd) $A' < /dev/null | tr -d '\r')"
equal "exec/join: its exit status" 7 "$(status_of "$mark" sh -c 'exit 7')"
equal "exec/join: the init has nothing of luabox's left" "/memfd:init (deleted)" "$(readlink "/proc/$(awk '{ print $4 }' "/proc/$first/stat")/exe")"
stop
start "network = 'none'" "user = 'root'" "rlimits = { nofile = 64 }" "oom_score_adj = 300" "nice = 3" "init = false" "cwd = '/tmp'"; compare "a user's, limits, no init"; stop
output=$("${luabox[@]}" run "$top/examples/exec/join.lua" "$work/rootfs" 2>&1)
holds "exec/join: the container's hostname and environment, and more of its own" $'name: joined (status 0)\nthe environment: green round (status 0)' "$output"
holds "exec/join: one root file system" "note: from the first (status 0)" "$output"
holds "exec/join: one pid namespace" "processes: 3 (status 0)" "$output"
holds "exec/join: it may not mount" "permission denied" "$output"
holds "exec/join: it ends with the container" "status 137, after the container's 137" "$output"
if command -v newuidmap > /dev/null; then
  grant
  start "network = 'none'" "user = 'user'" "cwd = '/tmp'"; compare "a user's, with granted ids"
  equal "exec/join: a granted id" $((first_id + 999)) "$(owner -u user)"
  equal "exec/join: groups of the image" "uid=1000(user) gid=1000(user) groups=50(staff),1000(user)" "$(inside id)"
  stop
  revoke
else
  skipped "exec/join: a user's, with granted ids" "newuidmap is not installed (package uidmap)"
fi
start "network = 'none'"
holds "exec: another user's container, seen by root" "125 luabox: the container '$mark' belongs to another user (uid $user_id)" "$("$LUABOX" exec "$mark" true > out 2>&1; echo $?) $(cat out)"
stop
user_remains() { ls -A "$work/run/luabox" 2>/dev/null | grep -vE '^\.(lock|failure\.json)$'; pgrep -u $user_id -a; }
nobody_remains() { [ -z "$(user_remains)" ]; }
if within 5 nobody_remains; then ok "exec: nothing of the user's is left behind"; else failed "exec: nothing of the user's is left behind" "$(user_remains)"; fi
as=root luabox=("$LUABOX") LUABOX_STATE=$work/state
rm -rf rootfs; mv roots rootfs

# ---- from a script
cat > script.lua <<L
local c = container { rootfs = "$work/rootfs", command = { "sleep", "100" }, name = "$mark" }
local function told(f) local ok, problem = pcall(f); return tostring(problem) end
print(told(function() c:exec { "true" } end))
c:start()
local p = c:exec { "sh", "-c", "sleep 0.2; exit 5" }
print(p:wait(0.01), p:wait())
p = c:exec { "sleep", "100" }
print(p:kill "INT", p:wait(), p:kill "INT")
print(c:exec({ "sh", "-c", "cat; echo error >&2", stdin = ("x"):rep(200000) .. "\n", capture = "all" }):output():sub(-8))
print(told(function() c:exec {} end))
print(told(function() c:exec { "true", usr = "a" } end))
print(told(function() c:exec { "nosuch" } end))
print(told(function() c:exec { "true", env = { ["A="] = "b" } } end))
for i = 1, 20 do c:exec { "sleep", "100" } end
local many = require("luabox.running").find "$mark"
print(many:alive(), many:stats().pids.current)
c:stop(0.1)
print(told(function() c:exec { "true" } end))
c:destroy()
L
output=$(timeout -s KILL $((30 * slow)) "$LUABOX" run script.lua 2>&1)
equal "c:exec: a script starts, waits for, signals and reads processes" "script.lua:3: the container is not running
nil	5
true	130	false
x
error

script.lua:10: exec: expected a command, such as { \"ps\" }
script.lua:11: exec has no field 'usr' (did you mean 'user'?)
script.lua:12: exec nosuch: No such file or directory (not found in PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
script.lua:13: exec.env: expected names without '='; 'A=' can't be one
true	42
script.lua:18: the container '$mark' has ended" "$output"
leaves_nothing "exec: nothing is left behind"
finish
