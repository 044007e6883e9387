#!/bin/bash
# `luabox run --detach`: the containers go on when luabox has returned, and go with everything at their end.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-detach-$$

run() { timeout $((20 * slow)) "$LUABOX" run "$@"; }
gone() { [ -z "$("$LUABOX" list | grep -F "$mark")" ]; }
monitors() { pgrep -f "^$LUABOX run .*-d"; }

script "name = '$mark'" "command = { 'sh', '-c', 'echo begun; echo err >&2; cat; echo \"read \$?\"; sleep 2; echo ended; exit 3' }"
# Who waits for the end of what luabox writes must not wait for the container.
got=$(echo input | run --detach -o out.log box.lua 2> errors); status_of=$?
equal "it prints the name, and returns" "0 $mark" "$status_of $got"
equal "there is nothing to say" "" "$(cat errors)"
holds "it runs" "$mark" "$("$LUABOX" list)"
monitor=$(monitors)
equal "a monitor stands by, without the caller's terminal, session and streams" "$monitor $monitor 0 out.log out.log" \
  "$(ps -o sid=,pgid= -p $monitor | xargs) $(wc -c < /proc/$monitor/fd/0) $(basename "$(readlink /proc/$monitor/fd/1)") $(basename "$(readlink /proc/$monitor/fd/2)")"
size=$(awk '/^Private_Dirty/ { print $2 }' "/proc/$monitor/smaps_rollup")
if [ "$size" -le 64 ]; then ok "it keeps 64 kB at most"; else failed "it keeps 64 kB at most" "$size kB"; fi
equal "it can be joined" joined "$("$LUABOX" exec "$mark" echo joined)"
within 10 gone || failed "it ends" "$("$LUABOX" list)"
equal "what it wrote is in the file: it had nothing to read" "begun err read 0 ended" "$(xargs < out.log)"
equal "which is its user's alone" 600 "$(stat -c %a out.log)"
leaves_nothing "nothing is left"

script "name = '$mark'" "command = { 'sleep', '100' }"
run -d box.lua > /dev/null
holds "its name is taken" "already in use" "$(run -d box.lua 2>&1)"
equal "with status 125" 125 "$(run -d box.lua > /dev/null 2>&1; echo $?)"
"$LUABOX" kill "$mark"; within 5 gone && ok "kill ends it" || failed "kill ends it"
run -d box.lua > /dev/null; kill -TERM "$(monitors)"; within 5 gone && ok "so does a signal to luabox" || failed "so does a signal to luabox"
run -d box.lua > /dev/null; kill -KILL "$(monitors)"; sleep 0.1
equal "gc knows what is left when it is killed" "$mark" "$("$LUABOX" gc)"
leaves_nothing "nothing is left of these"

script "name = '$mark'" "cgroup = { memory = '40MB', swappiness = 0 }" "command = { 'dd', 'if=/dev/zero', 'of=/dev/null', 'bs=200M', 'count=1' }"
run -d -o end.log box.lua > /dev/null; within 10 gone
equal "the memory limit is told where the output goes" "luabox: killed: memory limit 40 MB reached" "$(cat end.log)"
script "name = '$mark'" "command = { 'sh', '-c', 'echo nobody reads this; cat; echo \$? > /tmp/done' }"
run -d box.lua > /dev/null; within 10 gone
equal "without a file it writes to nowhere" 0 "$(cat rootfs/tmp/done)"

cat > list.lua <<L
local list = {}
for i = 1, 3 do
  list[i] = container { name = "$mark-" .. i, rootfs = "$work/rootfs", hostname = "h", command = { "sh", "-c", "sleep 0." .. i .. "; echo " .. i } }
end
return list
L
equal "a list of containers" "$mark-1 $mark-2 $mark-3" "$(run -d -o list.log list.lua | xargs)"
within 10 gone
equal "writes to one file" "1 2 3" "$(xargs < list.log)"
printf 'print "the script says"\nreturn container { name = "%s", rootfs = "%s/rootfs", command = { "true" } }\n' "$mark" "$work" > says.lua
equal "what the script itself says is its caller's" "the script says $mark" "$(run -d says.lua | xargs)"; within 10 gone
sed "s/, command/, terminal = true, command/" says.lua > terminal.lua
equal "there is no terminal for it" "the script says $mark" "$(run -d terminal.lua | xargs)"; within 10 gone
equal "a script from standard input" "the script says $mark" "$(run -d - < says.lua | xargs)"
within 10 gone
printf 'return nil\n' > none.lua
equal "a script that returns none" "0 " "$(run -d none.lua > got; echo $?) $(cat got)"

# A disk that is full is no end of a service.
mkdir full; mount -t tmpfs -o size=64k tmpfs full 2> /dev/null && {
  script "name = '$mark'" "command = { 'sh', '-c', 'head -c 1000000 /dev/zero; while :; do echo again; sleep 0.1; done' }"
  for moment in first later; do
    run -d -o full/log box.lua > /dev/null
    filled() { [ "$(stat -c %s full/log)" = 65536 ]; }; within 5 filled
    has_room() { : > full/log; sleep 0.5; grep -qa again full/log; }  # what was still to be written may fill it again
    within 10 has_room && ok "a disk that is full ends nothing, and what comes later is there when it has room ($moment)" || failed "a disk that is full ends nothing" "$("$LUABOX" list)"
    sed -i 's/head -c 1000000/sleep 1; head -c 1000000/' box.lua  # once the monitor is there
    "$LUABOX" kill "$mark" KILL; within 10 gone
    holds "that something was lost is told" "No space left on device" "$("$LUABOX" why 2>&1)"
    rm full/log
  done
  umount full
}

# what can't be started is told to the caller
refuses() { run "${@:2}" > got 2>&1; got=$?; equal "$1" "125 luabox: ${wanted}" "$got $(cat got)"; }
wanted="open nosuch.lua: No such file or directory" refuses "a script that is missing" -d nosuch.lua
wanted="--output is for --detach; a shell's '> FILE' does it else; see 'luabox help run'" refuses "a file without --detach" -o file box.lua
wanted="--detach and --trace can't both be meant; see 'luabox help run'" refuses "a trace" -d --trace t.json box.lua
wanted="--detach and --seccomp can't both be meant; see 'luabox help run'" refuses "refused calls" --seccomp -d box.lua
wanted="--output: expected the name of a file; see 'luabox help run'" refuses "an empty name" -d -o "" box.lua
wanted="box.lua:1: open /nosuch/file: No such file or directory" refuses "a file that can't be made" -d -o /nosuch/file box.lua
run -d box.lua -- nosuch > got 2>&1; equal "a command that is missing" 127 $?
run -d box.lua > /dev/full 2> got; got=$?
equal "a caller who can't be told" "125 luabox: write standard output: No space left on device" "$got $(cat got)"
mkfifo nobody
wanted="box.lua:1: open nobody: No such device or address (nobody reads from it)" refuses "a fifo that nobody reads" -d -o nobody box.lua
exec 3>&- 4>&- 7>&-  # what runs the tests may have left them open
for number in 3 4 7; do
  wanted="box.lua:1: open /dev/fd/$number: No such device or address" refuses "the descriptor $number, which is not open" -d -o /dev/fd/$number box.lua
done
run -d box.lua 2> got | (exec 0<&-; sleep 0.5); got=${PIPESTATUS[0]}
equal "a caller who doesn't read it" "125 luabox: write standard output: Broken pipe" "$got $(cat got)"
leaves_nothing "nothing is left of these either"
script "name = '$mark'" "command = { 'sh', '-c', 'echo written' }"
equal "a script by a descriptor" "$mark" "$(run -d <(cat box.lua))"; within 10 gone
exec 7>> by-number; run -d -o /dev/fd/7 box.lua > /dev/null; exec 7>&-; within 10 gone
equal "an output by a descriptor" written "$(cat by-number)"
run -d -o >(cat > by-pipe) <(cat box.lua) > /dev/null; within 10 grep -qs written by-pipe && ok "and both" || failed "and both" "$(cat by-pipe)"
within 10 gone

# policies
mkdir policies; export LUABOX_POLICY=$work/policies
echo 'rule "labels" { on = "run", check = function(c) if not c.labels.team then return deny "say whose it is" end end }' > policies/10-site.lua
script "name = '$mark'" "labels = { team = 'tests' }" "command = { 'sleep', '1' }"
equal "what policies agree to" "$mark" "$(run -d box.lua)"
within 10 gone
wanted="this site's policies don't allow --output: a rule would have to say allow { \"files\" }" refuses "a file that they don't allow" -d -o policy.log box.lua
script "name = '$mark'" "command = { 'sleep', '1' }"
wanted="box.lua:1: refused by the policy 'labels' (10-site.lua:1): say whose it is" refuses "what they refuse" -d box.lua
unset LUABOX_POLICY
leaves_nothing "nothing is left of that"

# a start that takes long, and its caller
printf 'local now = os.time()\nwhile os.time() < now + 60 do end\n' > long.lua
for signal in INT TERM HUP; do
  "$LUABOX" run -d long.lua > /dev/null 2> got & child=$!
  sleep 0.5; kill -$signal $child; wait $child; got=$?
  equal "SIG$signal ends a start" "$((128 + $(kill -l $signal))) 0" "$got $(pgrep -fc "^$LUABOX run -d")"
done
"$LUABOX" run -d long.lua > /dev/null 2>&1 & child=$!
sleep 0.5; kill -KILL $child; wait $child 2> /dev/null
pkill -KILL -f "^$LUABOX run -d"
cat > slow.lua <<L
return container { name = "$mark", rootfs = "$work/rootfs", command = { "sleep", "100" }, { prepare = function() local now = os.time(); while os.time() < now + 2 do end end } }
L
"$LUABOX" run -d slow.lua > /dev/null 2>&1 & child=$!
sleep 0.5; kill -KILL $child; wait $child 2> /dev/null
within 10 gone; within 10 eval '! pgrep -f "^$LUABOX run -d"' && ok "a start whose caller is gone ends" || failed "a start whose caller is gone ends"
"$LUABOX" gc > /dev/null
leaves_nothing "nor is anything left of it"
finish
