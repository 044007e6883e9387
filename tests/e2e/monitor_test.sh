#!/bin/bash
# What stands by a container for long is a program of a page, and luabox again at the end: nothing that luabox does for a container is lost by it.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-monitor-$$

# The files of a process that another user could not read.
is_monitor() { [ "$(readlink "/proc/$1/exe")" = "/memfd:luabox (deleted)" ]; }
private() { awk '/^Private_Dirty/ { print $2 }' "/proc/$1/smaps_rollup"; }
# start WORD...: `luabox run box.lua` as $child, until a monitor stands by; its output is in out, what luabox says in errors.
start() {
  "$LUABOX" run "$@" box.lua < /dev/null > out 2> errors & child=$!
  within 5 is_monitor $child || failed "a monitor stands by" "$(readlink "/proc/$child/exe"): $(cat errors)"
}
ends() { wait $child; got=$?; }

script "name = '$mark'" "command = { 'sh', '-c', 'echo begun; sleep 1; echo ended; exit 7' }"
start
size=$(private $child)
if [ "$size" -le 64 ]; then ok "it keeps 64 kB at most"; else failed "it keeps 64 kB at most" "$size kB"; fi
equal "its command line is luabox's" "$LUABOX run box.lua" "$(tr '\0' ' ' < /proc/$child/cmdline | sed 's/ $//')"
equal "its name too" luabox "$(cat /proc/$child/comm)"
equal "it has no thread and no memory of luabox's" "1 0" "$(ls /proc/$child/task | wc -l) $(grep -c heap /proc/$child/maps)"
holds "the container is there to be joined" joined "$("$LUABOX" exec "$mark" echo joined 2>&1)"
holds "and its name is taken" "already in use" "$("$LUABOX" run box.lua 2>&1)"
ends
equal "the status is the command's" 7 "$got"
equal "its output is whole" "begun ended" "$(xargs < out)"
equal "there is nothing to say" "" "$(cat errors)"
leaves_nothing "nothing is left"

script "name = '$mark'" "command = { 'sh', '-c', 'trap \"echo got TERM; exit 3\" TERM; trap \"echo got HUP\" HUP; echo begun; while :; do sleep 0.05; done' }"
start
kill -HUP $child; within 5 grep -qs HUP out
kill -TERM $child; ends
equal "signals are passed on" "3 begun got HUP got TERM" "$got $(xargs < out)"
start; kill -9 $child; ends 2> /dev/null
equal "gc knows what is left when it is killed" "$mark" "$("$LUABOX" gc)"
leaves_nothing "and takes it away"

script "name = '$mark'" "command = { 'sh', '-c', 'sleep 1; kill -9 \$\$' }"
start; ends
equal "a signal's status" 137 "$got"
script "name = '$mark'" "cgroup = { memory = '40MB', swappiness = 0 }" "command = { 'sh', '-c', 'sleep 1; dd if=/dev/zero of=/dev/null bs=200M count=1' }"
start; ends
equal "the memory limit is told" "137 luabox: killed: memory limit 40 MB reached" "$got $(cat errors)"
script "name = '$mark'" "seccomp = { rules = { { name = 'chdir', action = 'kill' } } }" "command = { 'sh', '-c', 'sleep 1; cd /tmp' }"
start; ends
holds "so is a filter that has killed" "159 luabox: killed: its system call filter refused" "$got $(cat errors)"
holds "and why knows it" "luabox run box.lua" "$("$LUABOX" why)"
leaves_nothing "nothing is left of these"

# what it writes
script "name = '$mark'" "command = { 'sh', '-c', 'sleep 0.3; cat; sleep 1; cat /usr/bin/random; echo err >&2' }"
head -c 3000000 /dev/urandom > random; cp random rootfs/usr/bin/random
cat random random > twice; echo err >> twice
(sleep 0.8; cat random) | "$LUABOX" run box.lua > out 2>&1
equal "what is written meanwhile is there, in its order" "$(sha256sum < twice)" "$(sha256sum < out)"
{ echo before; "$LUABOX" run box.lua < random; } >> appended 2> /dev/null
equal "also behind what is there" "$(cat <(echo before) random random | sha256sum)" "$(sha256sum < appended)"
mkdir small; mount -t tmpfs -o size=64k none small
script "name = '$mark'" "command = { 'sh', '-c', 'sleep 1; cat /usr/bin/random' }"
"$LUABOX" run box.lua > small/out 2> errors; got=$?
equal "a disk that is full is told" "125 luabox: write standard output: No space left on device" "$got $(cat errors)"
"$LUABOX" run -v --log-file log box.lua > /dev/null 2> errors
holds "its log goes on where it was" "process:wait" "$(cat log)"
equal "and nowhere else" "" "$(cat errors)"
umount small
sed '1i require("luabox.sys").chdir "/"' box.lua > elsewhere.lua
"$LUABOX" run -v --log-file relative.log elsewhere.lua > /dev/null
holds "also when the script goes elsewhere" "process:wait" "$(cat relative.log)"
leaves_nothing "nothing is left of these either"

# several
for i in 1 2 3; do
  cat <<L
local box$i = container { name = "$mark-$i", rootfs = "$work/rootfs", hostname = "h$i", command = { "sh", "-c", "sleep 1.$i; echo $i; exit $((i - 1))" } }
L
done > list.lua
echo "return { box1, box2, box3 }" >> list.lua
"$LUABOX" run list.lua > out & child=$!
within 5 is_monitor $child && ok "one monitor stands by several" || failed "one monitor stands by several"
wait $child; got=$?
equal "the first status that is not 0" "1 1 2 3" "$got $(xargs < out)"

"$LUABOX" run list.lua > out 2> errors & child=$!
within 5 is_monitor $child; rm "$LUABOX_STATE/$mark-2"; wait $child; got=$?
equal "where the record of one was taken away the others go" "125 luabox: the record of the container '$mark-2' was taken away" "$got $(cat errors)"
find /sys/fs/cgroup -path "*/luabox/$mark-2" -type d -exec rmdir {} + 2> /dev/null
leaves_nothing "with what they had"

for i in 1 2; do
  cat <<L
local box$i = container { name = "$mark-$i", rootfs = directory { "$work/rootfs", overlay = true }, hostname = "h$i", cgroup = { memory = "50MB" },
  network = veth { host = "172.16.9$i.1/24", guest = "172.16.9$i.2/24", nat = true }, command = { "sh", "-c", arg[$i] } }
L
done > early.lua
echo "return { box1, box2 }" >> early.lua
ip link set lo up
"$LUABOX" run early.lua true "sleep 2; exit 3" > out 2> errors & child=$!
within 5 is_monitor $child && ok "a monitor stands by those that are left" || failed "a monitor stands by those that are left" "$(cat errors)"
wait $child; equal "one that has ended before is ended with them" "3 " "$? $(cat errors)"
leaves_nothing "with all that it had"
"$LUABOX" run early.lua "exit 4" "sleep 0.7; exit 3" > out 2> errors; equal "and its status counts" "4 " "$? $(cat errors)"
"$LUABOX" run early.lua "dd if=/dev/zero of=/dev/null bs=200M count=1" "sleep 0.7" > out 2> errors
equal "so does what ended it" "137 luabox: killed: memory limit 50 MB reached" "$? $(cat errors)"
leaves_nothing "nothing is left of that"

# what a container has on the host
script "name = '$mark'" "network = veth { host = '172.16.99.1/24', guest = '172.16.99.100/24', nat = true, publish = { '8080:80' } }" \
  "cgroup = { memory = '64MiB', cpu = 0.5, pids = 20 }" "command = { 'sleep', '1' }"
sed -i 's/rootfs = "\(.*\)"/rootfs = directory { "\1", overlay = true }/' box.lua
start
holds "its network is there" 172.16.99.1 "$(ip -4 addr)"
holds "its port is held" :8080 "$(ss -ltn 2> /dev/null || cat /proc/net/tcp | sed 's/:1F90/:8080/')"
ends
leaves_nothing "a network, cgroups and a layer go"
lacks "the port is free" :8080 "$(ss -ltn 2> /dev/null || cat /proc/net/tcp | sed 's/:1F90/:8080/')"
script "name = '$mark'" "network = bridge { 'br-$$', subnet = '10.9.0.0/24' }" "command = { 'sleep', '1' }"
start; ends
leaves_nothing "a bridge goes with its last container"

# what only luabox itself can do at the end
stays() { sleep 1; if is_monitor $child; then failed "$1"; else ok "$1"; fi; }
undone() { "$LUABOX" run "$2" > out 2> errors & child=$!; stays "$1"; wait $child; }
printf 'kept = require("luabox.sys").cgroup.create("%s")\nkept:write { pids = 10 }\nreturn container { name = "%s", rootfs = "%s/rootfs", command = { "sleep", "2" } }\n' \
  "$mark-own" "$mark" "$work" > own.lua
undone "luabox stays where a script has made a cgroup" own.lua
printf 'return container { name = "%s", rootfs = "%s/rootfs", command = { "sleep", "2" }, { undo = function() io.stderr:write("undone\\n") end } }\n' "$mark" "$work" > undo.lua
undone "and where a step of its own is to be undone" undo.lua
equal "which it is" undone "$(cat errors)"
printf 'other = container { name = "%s-b", rootfs = "%s/rootfs", command = { "sleep", "100" } }\nother:start()\nreturn container { name = "%s", rootfs = "%s/rootfs", command = { "sleep", "2" } }\n' \
  "$mark" "$work" "$mark" "$work" > other.lua
undone "and where it has started another container" other.lua
script "name = '$mark'" "command = { 'sleep', '2' }"
"$LUABOX" run --trace trace.json box.lua & child=$!; stays "and where a trace is written"; wait $child
printf 'require "ffi"\nreturn container { name = "%s", rootfs = "%s/rootfs", command = { "sleep", "2" } }\n' "$mark" "$work" > ffi.lua
undone "and where a script has used ffi" ffi.lua
printf 'do local made = require("luabox.sys").cgroup.create("%s") made:write { pids = 20 } end\nreturn container { name = "%s", rootfs = "%s/rootfs", cgroup_parent = "%s", command = { "sleep", "1.5" } }\n' \
  "$mark-own" "$mark" "$work" "$mark-own" > parent.lua
undone "and where a cgroup of its own is out of the script's sight" parent.lua
leaves_nothing "all of that is undone"
printf 'do local pipe = io.popen("sleep 4", "r") end\ndo local raises = newproxy(true); getmetatable(raises).__gc = function() error "boom" end end\nreturn container { name = "%s", rootfs = "%s/rootfs", command = { "sh", "-c", "sleep 0.6; exit 7" } }\n' \
  "$mark" "$work" > garbage.lua
SECONDS=0; "$LUABOX" run garbage.lua > out 2> errors; got=$?
equal "what a script has dropped is not collected for it" "7  yes" "$got $(cat errors) $([ $SECONDS -lt 3 ] && echo yes)"
mkdir commands; cat > commands/around.lua <<'C'
return { summary = "around run", run = function(arguments)
  local status = require("luabox.commands.run").run(arguments)
  print("behind run", status)
  return status + 1
end }
C
script "name = '$mark'" "command = { 'sh', '-c', 'sleep 0.6; exit 5' }"
equal "what calls run goes on behind it" "behind run 5 6" "$(xargs <<< "$(LUABOX_PATH=$work/commands "$LUABOX" around box.lua; echo $?)")"
sed 's/function(arguments)/function(...)/; s/run(arguments)/run(...)/' commands/around.lua > commands/passing.lua
equal "also where it passes on all that it is given" "behind run 5 6" "$(xargs <<< "$(LUABOX_PATH=$work/commands "$LUABOX" passing box.lua; echo $?)")"
holds "and can't leave its caller" "--detach is for the command line" "$(LUABOX_PATH=$work/commands "$LUABOX" around -d box.lua 2>&1)"
printf 'file = io.open("written", "w")\nfile:write "what the script wrote"\nreturn container { name = "%s", rootfs = "%s/rootfs", command = { "sleep", "1" } }\n' "$mark" "$work" > file.lua
"$LUABOX" run file.lua
equal "what a script has written is not lost" "what the script wrote" "$(cat written)"

# policies
mkdir policies; export LUABOX_POLICY=$work/policies
cat > policies/10-site.lua <<'P'
allow { "primitives" }
rule "labels" { on = "run", check = function(c) if not c.labels.team then return deny "say whose it is" end end }
rule "cgroups" { on = "cgroup", check = function() end }
P
script "name = '$mark'" "labels = { team = 'tests' }" "cgroup = { memory = '64MiB' }" "command = { 'sh', '-c', 'sleep 1; exit 5' }"
start
equal "under policies their helper goes, too" 1 "$(wc -w < /proc/$child/task/$child/children)"
echo 'this is no policy (' > policies/10-site.lua
ends
equal "and what they agreed to is ended, whatever they say by then" "5 " "$got $(cat errors)"
rm policies/*; echo 'allow { "primitives" }' > policies/10-site.lua
sed '1i io.stderr:write(tostring(require("luabox.sys").monitor), "\\n")' box.lua > primitives.lua
equal "a script has no monitor" nil "$("$LUABOX" run primitives.lua -- true 2>&1)"
unset LUABOX_POLICY
leaves_nothing "nothing is left of that"

# where the kernel refuses it
if command -v strace > /dev/null; then
  script "name = '$mark'" "command = { 'sh', '-c', 'echo begun; sleep 1; echo ended; exit 4' }"
  refusing() { strace -qq -o /dev/null -e trace=$1 -e "inject=$1:error=ENOMEM:when=$2" "$LUABOX" run box.lua > out 2> errors < /dev/null; got=$?; }
  refusing execveat 1
  equal "luabox stays where it can't be replaced, and carries on" "4 begun ended " "$got $(xargs < out) $(cat errors)"
  leaves_nothing "and ends all itself"
  refusing memfd_create 2+  # the first is the init's
  equal "and where it can have no file for it" "4 begun ended " "$got $(xargs < out) $(cat errors)"
  refusing execveat 2..12
  equal "a monitor that can't be luabox again at once tries on" "4 begun ended " "$got $(xargs < out) $(cat errors)"
  leaves_nothing "and then does all"
  refusing execveat 2+
  equal "a monitor that can't be luabox again says so" "125 begun ended luabox: the program could not be executed again: 'luabox gc' removes what is left" "$got $(xargs < out) $(cat errors)"
  equal "and gc does" "$mark" "$("$LUABOX" gc)"
else
  skipped "a kernel that refuses it" "strace is not installed"
fi

cp "$LUABOX" other; script "name = '$mark'" "command = { 'sh', '-c', 'sleep 2; exit 8' }"
./other run box.lua > out 2> errors & child=$!
within 5 is_monitor $child; mv other moved; cp /bin/true other; wait $child
equal "where its file has another name, or none, luabox is the same" "8 " "$? $(cat errors)"
mv moved other; ./other run box.lua > out 2> errors & child=$!
within 5 is_monitor $child; cp /bin/true other; wait $child
equal "where it was written to, that is told" "125 luabox: its own file was written to meanwhile" "$? $(head -1 errors)"
equal "and gc knows what is left" "$mark" "$("$LUABOX" gc)"

# a container that reads what it has written itself
script "name = '$mark'" "command = { 'sh', '-c', 'exec 5< /proc/self/fd/1; for k in 1 2 3 4; do cat <&5 > /dev/null & done; sleep 0.5; for i in \$(seq 3000); do echo x; done; echo done >&2; sleep 60' }"
for i in 1 2 3; do
  start; within 20 grep -qs done errors; kill -TERM $child
  within 5 eval '! kill -0 $child 2> /dev/null' && ok "makes nobody deaf" || { failed "makes nobody deaf"; kill -KILL $child; }
  wait $child 2> /dev/null
done
"$LUABOX" run --trace trace.json box.lua > out 2> errors & child=$!
within 20 grep -qs done errors; kill -TERM $child
within 5 eval '! kill -0 $child 2> /dev/null' && ok "nor luabox itself" || { failed "nor luabox itself"; kill -KILL $child; }
wait $child 2> /dev/null; "$LUABOX" gc > /dev/null

# somebody else who has an end of its output, and writes on and on
script "name = '$mark'" "command = { 'sleep', '60' }"
for who in monitor luabox; do
  if [ $who = monitor ]; then start; else "$LUABOX" run --trace trace.json box.lua > out 2> errors & child=$!; within 5 eval '"$LUABOX" list | grep -q "^$mark .*running"'; fi
  pid=$("$LUABOX" list | awk -v name="$mark" '$1 == name { print $3 }')
  # Its file lies on a slow disk.
  strace -f -qq -o /dev/null -e trace=write -e inject=write:delay_enter=20000 -p $child & slowly=$!
  yes 2> /dev/null > "/proc/$(pgrep -P "$pid")/fd/1" & flood=$!
  within 5 test -s out; kill -KILL "$pid"
  within 8 eval '! kill -0 $child 2> /dev/null' && ok "holds nobody up: $who" || failed "holds nobody up: $who"
  kill $flood 2> /dev/null; wait $child $flood $slowly 2> /dev/null; "$LUABOX" gc > /dev/null
done

# what may be said
script "name = '$mark'" "command = { 'sleep', '1' }"
for text in "monitor" "monitor " "monitor 5" "monitor 3 4 1 1 1 000 0 0 {}" "monitor 0 0 0 0 000 0 0 {}" "monitor 3 0 0 0 4 0 99999999999 000 0 0 {}" "monitor 3 0 0 0 4 -1 0 000 0 0 {}" "monitor 3 0 0 0 4 0 0 005 7 0 {}" "monitor 3 0 0 0 4 0 0 000 0 0 {}" "background 9" "background 1" "else"; do
  LUABOX_HANDOVER=$text timeout 20 "$LUABOX" run box.lua > out 2> errors; got=$?
  case $got in 0|125) ok "LUABOX_HANDOVER='$text' does no harm" ;; *) failed "LUABOX_HANDOVER='$text' does no harm" "$got: $(cat errors)" ;; esac
done
leaves_nothing "nor is anything left by that"
finish
