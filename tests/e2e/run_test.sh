#!/bin/bash
# `luabox run` as a user types it: exit statuses, arguments, signals, streams, names, and wrong input.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-run-$$

run() { "$LUABOX" run "$@"; }
status_of() { "$@" >/dev/null 2>&1; echo $?; }

script "name = '$mark'" "command = { '/bin/sh', '-c', 'exit 7' }"
equal "the exit status is the command's" 7 "$(status_of run box.lua)"
equal "128 + N when a signal ended it" 137 "$(status_of run box.lua -- sh -c 'kill -9 $$')"
equal "COMMAND replaces the container's command" "other words" "$(run box.lua -- echo other words)"
equal "127 for a command that isn't there" 127 "$(status_of run box.lua -- nosuch)"
equal "127 for a path that isn't there" 127 "$(status_of run box.lua -- /bin/nosuch)"
equal "126 for a folder" 126 "$(status_of run box.lua -- /etc)"
touch rootfs/etc/plain; equal "126 for a file that is not executable" 126 "$(status_of run box.lua -- /etc/plain)"
for command in /etc /etc/plain; do holds "why $command can't be executed is told" "Permission denied (it is " "$(run box.lua -- $command 2>&1)"; done
equal "126 for arguments that are too long" 126 "$(printf 'local l = { "true", ("x"):rep(131072) }\nreturn container { rootfs = "%s/rootfs", command = l }\n' "$work" > long.lua; status_of run long.lua)"
equal "125 when luabox itself fails" 125 "$(status_of run nosuch.lua)"

printf '#!/no/such/interpreter\n' > rootfs/bin/script; chmod 755 rootfs/bin/script
holds "a missing interpreter is named" "/no/such/interpreter" "$(run box.lua -- /bin/script 2>&1)"
cp /bin/true rootfs/bin/dynamic
holds "a missing loader is named" "ld-linux" "$(run box.lua -- /bin/dynamic 2>&1)"
printf '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0' > rootfs/bin/foreign; head -c 100 /dev/zero >> rootfs/bin/foreign; chmod 755 rootfs/bin/foreign
holds "a foreign architecture is named" "aarch64" "$(run box.lua -- /bin/foreign 2>&1)"
equal "126 for a foreign architecture" 126 "$(status_of run box.lua -- /bin/foreign)"
printf 'echo no shebang\n' > rootfs/bin/bare; chmod 755 rootfs/bin/bare
holds "a script without #! is told" "neither an ELF program nor a script" "$(run box.lua -- bare 2>&1)"

printf 'return container { rootfs = "%s/rootfs", command = { "echo", arg[0], arg[1], ... } }\n' "$work" > args.lua
equal "arguments reach the script" "args.lua a a b" "$(run args.lua a b)"
mkdir -p modules; printf 'return { word = "beside" }\n' > modules/helper.lua
printf 'local h = require "helper"\nreturn container { rootfs = "%s/rootfs", command = { "echo", h.word } }\n' "$work" > modules/main.lua
equal "require finds modules beside the script" beside "$(run modules/main.lua)"
equal "a script from standard input" "piped" "$(sed 's/exit 7/echo piped/' box.lua | run -)"

head -c 300000 /dev/urandom > random
equal "pipes are binary-clean" "$(sha256sum < random)" "$(run box.lua -- cat < random | sha256sum)"
equal "standard error is its own" "err" "$(run box.lua -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)"

equal "pid 1 is an init, the command another" "2" "$(run box.lua -- sh -c 'echo $$')"
script "init = false" "command = { 'sh', '-c', 'echo \$\$' }"
equal "without an init the command is pid 1" "1" "$(run box.lua)"
script "name = '$mark'" "command = { 'sh', '-c', 'trap \"echo got \$0; exit 3\" TERM INT HUP USR1 USR2 QUIT; echo ready; while :; do sleep 0.05; done' }"
for signal in TERM INT HUP QUIT USR1 USR2; do
  rm -f out; "$LUABOX" run box.lua > out & child=$!
  within 5 grep -qs ready out; kill -$signal $child; wait $child; got=$?
  equal "SIG$signal reaches the command" "3 got" "$got $(grep -o got out)"
done
equal "orphans are reaped by the init" 0 \
  "$(run box.lua -- sh -c '(sh -c "sleep 0.05 & exit" &); sleep 0.4; ps -o stat | grep -c Z')"

rm -f out; "$LUABOX" run box.lua > out 2>&1 & child=$!
within 5 grep -qs ready out
holds "a name in use is told" "already in use" "$(run box.lua 2>&1)"
holds "list shows it" "$mark" "$("$LUABOX" list)"
kill -TERM $child; wait $child
rm -f out; "$LUABOX" run --name other-$$ box.lua > out 2>&1 & child=$!
within 5 grep -qs ready out; holds "--name calls it so" "other-$$" "$("$LUABOX" list)"; kill -TERM $child; wait $child

printf 'local c = {}\nfor i = 1, 3 do c[i] = container { rootfs = "%s/rootfs", command = { "sh", "-c", "sleep 0." .. i .. "; echo " .. i } } end\nreturn c\n' "$work" > several.lua
equal "a list of containers runs side by side" "1 2 3" "$(run several.lua | xargs)"

chmod 755 "$work"  # the mapped root is nobody outside
script "users = { uid = '0 100000 65536' }" "command = { 'sh', '-c', 'echo \$(id -u) \$(cat /proc/self/uid_map); echo x > /dev/null && cat /etc/hostname' }" "hostname = 'mapped'"
equal "a user namespace: root inside, an ordinary id outside" "0 0 100000 65536 mapped" "$(run box.lua | xargs)"

script "command = { 'env' }" "env = { FOO = 'bar' }"
equal "the environment comes from nothing" "FOO HOME HOSTNAME PATH PWD SHLVL" "$(SECRET=1 run box.lua -- sh -c env | cut -d= -f1 | sort | xargs)"
equal "only descriptors 0 to 2 are inherited" "0 1 2" "$(run box.lua -- sh -c 'for f in /proc/self/fd/*; do [ -e $f ] && echo ${f##*/}; done' 7< /etc/passwd | xargs)"

script "command = { 'echo', 'command' }" "function() print 'step' end"
equal "what a step prints comes before what its command does" "step command" "$(run box.lua | xargs)"
script "command = { 'echo', 'command' }" "function() print 'step' end" "init = false"
equal "without an init too" "step command" "$(run box.lua | xargs)"

# wrong input: one sentence, the file and the line where there is one, status 125, nothing left
refuse() { # NAME WANTED SCRIPT-TEXT
  printf '%s' "$3" > bad.lua
  local output; output=$(run bad.lua 2>&1 < /dev/null); local got=$?
  [ $got = 125 ] || failed "$1" "status $got: $output"
  [ "$(wc -l <<< "$output")" = 1 ] || failed "$1" "not one line: $output"
  holds "$1" "$2" "$output"
}
R="rootfs = '$work/rootfs', command = { 'true' }"
refuse "an unknown field" "bad.lua:3: container has no field 'hostnmae' (did you mean 'hostname'?)" $'return container {\n  rootfs = "/",\n  hostnmae = "x",\n}'
refuse "a wrong type" "bad.lua:2: container.hostname: expected letters" $'return container {\n  hostname = 5, '"$R }"
refuse "no rootfs" "bad.lua:1: container: expected the field 'rootfs'" "return container { command = { 'true' } }"
refuse "no command" "bad.lua:1: container: expected the field 'command'" "return container { rootfs = '/' }"
refuse "a rootfs that isn't there" "bad.lua:1: no folder /no/such" "return container { rootfs = '/no/such', command = { 'true' } }"
ln -s rootfs/tmp kept-link
for kept in rootfs rootfs/tmp/new/deep kept-link/new; do
  refuse "changes kept in what they are of ($kept)" "bad.lua:1: persist = './$kept' and $work/rootfs lie in one another" "return container { rootfs = directory { '$work/rootfs', persist = './$kept' }, command = { 'true' } }"
done
rm kept-link; equal "(and nothing is made there)" "" "$(ls rootfs/tmp)"
mkdir -p beside/upper; cp -a rootfs beside/rootfs; cp -a rootfs beside/upper/rootfs
for kept in rootfs upper/rootfs; do
  printf 'return container { rootfs = directory { "%s", persist = "%s" }, command = { "echo", "started" } }' "$work/beside/$kept" "$work/beside" > beside.lua
  run beside.lua < /dev/null
done > beside.out 2>&1
equal "they may lie beside it, not above" "started 1" "$(head -1 beside.out) $(grep -c "lie in one another" beside.out)"; rm -rf beside
refuse "an image that isn't there" "bad.lua:1: no image 'nosuch'" "return container { rootfs = image 'nosuch', command = { 'true' } }"
refuse "a bind of nothing" "bad.lua:2: bind /x: " $'return container { '"$R"$',\n  mounts = { bind { "/no/such", "/x" } } }'
refuse "a size without sense" "bad.lua:1: tmpfs.size: expected a size such as 64MiB, 100MB or a number of bytes, got '12 apples'" "return container { $R, mounts = { tmpfs { '/x', size = '12 apples' } } }"
refuse "a size of 0, which the kernel takes as none" "bad.lua:1: tmpfs.size: expected a size above 0" "return container { $R, mounts = { tmpfs { '/x', size = 0 } } }"
refuse "inodes likewise" "bad.lua:1: tmpfs.inodes: expected a whole number above 0" "return container { $R, mounts = { tmpfs { '/x', inodes = 0 } } }"
for target in / /. //.. ; do refuse "a mount on '$target'" "bad.lua:1: bind: '$target' is the root file system itself" "return container { $R, mounts = { bind { '/etc', '$target' } } }"; done
refuse "a word with a NUL byte" "bad.lua:2: container.command: expected a string without NUL bytes as item 1, not 'a\\0b'" $'return container { rootfs = "/x",\n  command = { "a\\0b" } }'
refuse "a line of hosts without an address" "bad.lua:1: container.hosts: expected an address and names" "return container { $R, hosts = { 'db 192.0.2.1' } }"
refuse "two lines of hosts in one" "as item 1, not '192.0.2.1 a\\10192.0.2.2 b'" "return container { $R, hosts = { '192.0.2.1 a\\n192.0.2.2 b' } }"
for name in ../x /dev/x a//b . ''; do refuse "a device called '$name'" "bad.lua:1: device.name: expected a name in /dev" "return container { $R, devices = { { path = '/dev/zero', name = '$name' } } }"; done
refuse "a device beside /dev" "bad.lua:1: container.devices: expected a device of the host" "return container { $R, devices = { '/dev/../dev/zero' } }"
refuse "one address for both ends" "bad.lua:1: veth: 10.1.1.1 is the host's end already" "return container { $R, network = veth { host = '10.1.1.1/24', guest = '10.1.1.1/24' } }"
refuse "an mtu that no interface has" "bad.lua:1: veth.mtu: expected a whole number from 68 to 65535" "return container { $R, network = veth { host = '10.1.1.1/24', guest = '10.1.1.2/24', mtu = 10 } }"
refuse "a group's mac" "bad.lua:1: veth.mac: expected an address of one interface" "return container { $R, network = veth { host = '10.1.1.1/24', guest = '10.1.1.2/24', mac = '01:00:00:00:00:01' } }"
refuse "an ambient capability that is not granted" "bad.lua:2: capabilities.ambient: 'sys_admin' must be granted as well" $'return container { '"$R"$',\n  capabilities = { ambient = { "sys_admin" } } }'
refuse "a sysctl that takes no such value" "bad.lua:2: sysctl net.core.somaxconn: write" $'return container { '"$R"$', sysctl = {\n  ["net.core.somaxconn"] = "many" } }'
refuse "a user namespace without 0" "bad.lua:1: container.users: expected the id 0 inside among those of 'uid'" "return container { $R, users = { uid = '1 100000 10' } }"
refuse "a misspelt cgroup key" "(did you mean 'memory.limit_in_bytes'?)" "return container { $R, cgroup = { ['memory.limt_in_bytes'] = 5 } }"
refuse "a pids limit too small to start" "bad.lua:1: clone the command's process: Resource temporarily unavailable (its cgroup's pids, or ulimit -u, are used up)" "return container { $R, cgroup = { pids = 1 } }"
refuse "a limit that is no number" "bad.lua:1: cgroup: 'memory': expected a number" "return container { $R, cgroup = { memory = 0/0 } }"
refuse "a mode in decimal" "bad.lua:1: tmpfs.mode: expected an octal mode such as '1777', got 777" "return container { $R, mounts = { tmpfs { '/x', mode = 777 } } }"
for key in 1.5 0 -1; do refuse "a field called $key" "bad.lua:1: container: expected names as keys, got $key" "return container { $R, [$key] = 'x' }"; done
refuse "a namespace that is always its own" "has no field 'mount' (write nothing: it is always its own)" "return container { $R, namespaces = { mount = 'host' } }"
refuse "a filter that lets nothing begin" "bad.lua:2: container.seccomp: no rule allows 'execve'" $'return container { '"$R"$',\n  seccomp = { default = "errno" } }'
refuse "a module that is not there" "bad.lua:1: module 'nosuch' not found: neither beside the script, nor in luabox, nor in package.path" "require 'nosuch'"
echo 'x = = 5' > wrong.lua; refuse "a module that is no Lua" "luabox: ./wrong.lua:1: unexpected symbol near '='" "require 'wrong'"
refuse "an error without a message" "bad.lua:1: an error was raised without a message" "local function f() error() end f()"
refuse "two results" "the script returned more than one container; expected a list" "return container { $R }, container { $R }"
refuse "an exit status that is none" "bad.lua:1: os.exit: expected a number, true or false, got 'x'" "os.exit 'x'"
refuse "a memory limit too small to start" "too small to start" "return container { $R, cgroup = { memory = '64k' } }"
refuse "a malformed address" "172.16.99.300" "return container { $R, network = veth { host = '172.16.99.300/24', guest = '172.16.99.2/24' } }"
refuse "an unknown capability" "bad.lua:1: " "return container { $R, capabilities = { add = { 'CAP_MKNDO' } } }"
refuse "an unknown system call" "bad.lua:1: " "return container { $R, seccomp = { default = 'allow', rules = { { names = { 'mounnt' }, action = 'errno' } } } }"
refuse "a user that the image doesn't know" "bad.lua:1: " "return container { $R, user = 'nobdy' }"
refuse "a working directory that isn't there" "bad.lua:1: cwd: " "return container { $R, cwd = '/no/such' }"
refuse "a working directory through a magic link" "bad.lua:1: cwd: " "return container { $R, cwd = '/proc/self/fd/3' }"
refuse "a sysctl of the host's" "kernel.panic" "return container { $R, sysctl = { ['kernel.panic'] = '1' } }"
refuse "a syntax error" "bad.lua:2: " $'return container {\n  = 5 }'
refuse "an error in the script" "bad.lua:1: attempt to index" "local x = nil; x.y = 1"
refuse "an error inside" "bad.lua:1: boom" "return container { $R, function() error 'boom' end }"
refuse "an undefined global" "bad.lua:1: there is no global 'contaner' (did you mean 'container'?)" "return contaner { }"
refuse "an empty script" "empty" ""
refuse "bytecode" "bytecode" "$(printf '\033LJ')"
refuse "a result that is no container" "returned number" "return 5"
refuse "veth in the host's network" "network namespace of the container's own" "return container { $R, namespaces = { net = 'host' }, network = veth { host = '10.1.1.1/24', guest = '10.1.1.2/24' } }"
holds "an unknown command" "did you mean 'run'?" "$("$LUABOX" rnu 2>&1)"
holds "an unknown option" "luabox help run" "$("$LUABOX" run --nmae x box.lua 2>&1)"
equal "125 for an unknown option" 125 "$(status_of run --nmae x box.lua)"
holds "-v tells each primitive" "mount.pivot_root" "$(run -v box.lua 2>&1)"
run -v --log-file log --log-format json box.lua >/dev/null
succeeds "--log-format json is JSON" python3 -c 'import json,sys; [json.loads(line) for line in open("log")]'
holds "help has every command" "image" "$("$LUABOX" help)"
holds "help run has its options" "--log-format" "$("$LUABOX" help run)"

# A limit of the size of files is an error, no end without a word; the command has the signal's default, and the limit, again.
script "name = '$mark'" "command = { 'sh', '-c', 'grep SigIgn /proc/self/status; ulimit -f' }"
output=$( (ulimit -f 0; LUABOX_HINTS=1 run box.lua 2>&1; echo "status $?") < /dev/null | cat)
holds "ulimit -f 0: what can't be written is told" "luabox: box.lua:1: write $LUABOX_STATE/$mark: File too large" "$output"
holds "and why" "look with ulimit -f" "$output"
holds "and ends as any failure of luabox's" "status 125" "$output"
equal "and leaves nothing" "" "$(leftovers)"
output=$( (ulimit -f 0; run --log-file lost box.lua 2>&1; echo "status $?") < /dev/null | cat)
equal "a log that can't be written is told" "luabox: the log is not whole: Failed flush to file lost: File too large status 125" "$(xargs <<< "$output")"
equal "a command has the limit, and the signal at its default" "SigIgn: 0000000000000000 40" "$( (ulimit -f 20; run box.lua) < /dev/null | xargs)"

script "name = '$mark'" "rlimits = { as = 1000 }" "command = { 'true' }"
equal "a limit that leaves a program no room is named" \
  "139 luabox: killed: SIGSEGV, perhaps because rlimits = { as = 1000 } is too little memory for it" "$(run box.lua > out 2>&1; echo "$? $(cat out)")"

# What logs to /dev/stdout is seldom root.
script "name = '$mark'" "user = '1000:1000'" "command = { 'sh', '-c', 'echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin' }"
equal "/dev/stdin, stdout and stderr are pipes that the container's user may open" "in out err" "$(echo in | "$LUABOX" run box.lua 2>&1 | sort -r | xargs | sed 's/out in err/in out err/')"
echo in | "$LUABOX" run box.lua > file.out 2>&1
equal "where they lead to files, too" "out err in" "$(xargs < file.out)"
script "name = '$mark'" "users = 'auto'" "command = { 'sh', '-c', 'echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin' }"
equal "and root of a user namespace" "out err in" "$(echo in | "$LUABOX" run box.lua 2>&1 | xargs)"

script "command = { 'true' }"; sed -i 's/^return //' box.lua
equal "a script that forgets to return its container is told" "0 luabox: box.lua:1: this container was made, and nothing started it: return container { ... } has it run" \
  "$(run box.lua > out 2>&1; echo "$? $(cat out)")"
printf 'local unused = %s\ncontainer { rootfs = "rootfs", command = { "true" } }:run()\n' "$(tr '\n' ' ' < box.lua)" > box.lua
equal "but not one that has started another" "0 " "$(run box.lua > out 2>&1; echo "$? $(cat out)")"

# The mode of "/" is the image's, and not the caller's umask.
mkdir -m 755 layer
for rootfs in "directory { '$work/rootfs', overlay = true }" "directory { '$work/rootfs', persist = '$work/kept' }" "directory { '$work/rootfs', layers = { '$work/layer' } }"; do
  printf 'return container { name = "%s", rootfs = %s, user = "1000:1000", command = { "stat", "-c", "%%a", "/" } }\n' "$mark" "$rootfs" > box.lua
  equal "under umask 077: ${rootfs%%,*}, ${rootfs##*, }" 755 "$(umask 077; run box.lua 2>&1)"
done
rm -rf kept layer

# Killed at each of the five names that it makes in the folder: what it made is noted before, and taken away; what another put there is not.
script "name = '$mark'" "mounts = { tmpfs '/deep/in/here', bind { '$work/random', '/one/file' } }" "default_mounts = false" "command = { 'true' }" "etc = false"
for kill in mkdirat:1 mkdirat:2 mkdirat:3 mkdirat:4 mknodat:1; do
  strace -f -qq -o /dev/null -e trace=mkdirat,mknodat -e inject=${kill%:*}:signal=KILL:when=${kill#*:} "$LUABOX" run box.lua > /dev/null 2>&1
  [ $kill = mkdirat:1 ] || [ -d rootfs/deep ] || failed "killed at $kill: the first was made"
  mkdir -p rootfs/deep; echo mine > rootfs/deep/own
  "$LUABOX" gc > /dev/null
  equal "killed at $kill of a mount target: only the user's own file stays" "rootfs/deep/own" "$(find rootfs/deep rootfs/one -not -type d 2> /dev/null)$(ls rootfs/deep | grep -v own)"
  rm -rf rootfs/deep
done

# What is mounted last hides what was mounted before, whose target was made in the folder.
script "name = '$mark'" "mounts = { tmpfs '/x/y', tmpfs '/x' }" "command = { 'ls', '/x' }"
equal "a mount that a later one hides leaves no target" "0 " "$(run box.lua > out 2>&1; echo "$? $(cat out; ls -d rootfs/x 2> /dev/null)")"

# Interrupted at each of its locks: one that it had just taken, or the record that it had just made, is in nobody's way.
script "name = '$mark'" "command = { 'true' }"
sed 's/^return /local box = /' box.lua > driven.lua; echo 'box:start(); box:wait(); box:destroy()' >> driven.lua
for at in {1..9}; do
  timeout -s KILL $((10 * slow)) strace -qq -o /dev/null -e trace=flock -e inject=flock:signal=TERM:when=$at "$LUABOX" run driven.lua > /dev/null 2>&1 < /dev/null
  code=$?; if [ $code != 137 ]; then ok "interrupted at lock $at: it ends"; else failed "interrupted at lock $at: it ends"; fi
  equal "interrupted at lock $at: nothing is left" "" "$(leftovers)"
done

# Killed before it noted which cgroups it made: they are taken away, but not with the processes of another that made them anew.
if [ "$(id -u)" = 0 ]; then
  killed_at_clone() { strace -f -qq -o /dev/null -e trace=clone3 -e inject=clone3:signal=KILL:when=1 "$LUABOX" run box.lua > /dev/null 2>&1 < /dev/null; }
  cgroups() { find /sys/fs/cgroup -path "*/luabox/$mark" -type d; }
  script "name = '$mark'" "cgroup = { pids = 10 }" "network = 'host'" "command = { 'sleep', '100' }"
  killed_at_clone
  holds "killed between the cgroup and the clone: it is there" "/luabox/$mark" "$(cgroups)"
  lacks "and not yet known" '"made"' "$(cat "$LUABOX_STATE/$mark")"
  "$LUABOX" gc > /dev/null
  equal "gc takes it away" "" "$(cgroups; leftovers)"
  killed_at_clone
  rmdir $(cgroups)
  LUABOX_STATE=$work/second "$LUABOX" run box.lua < /dev/null & driver=$!
  there() { LUABOX_STATE=$work/second "$LUABOX" list | grep -q "^$mark .*running"; }; within 5 there
  holds "another's that took its place is told of" "was not known to be this container's, and has processes" "$("$LUABOX" gc 2>&1)"
  succeeds "and lives on" there
  LUABOX_STATE=$work/second "$LUABOX" kill "$mark" KILL; wait $driver
  equal "once it has ended the record goes" "$mark" "$("$LUABOX" gc 2>&1)"
  equal "and nothing is left" "" "$(cgroups; leftovers)"
fi

# ---- a name that was somebody's a moment ago
script "name = '$mark'" "command = { 'sleep', '100' }"
for i in 1 2 3 4 5; do
  "$LUABOX" run box.lua < /dev/null > out 2>&1 & driver=$!
  runs() { "$LUABOX" list | grep -q "^$mark .*running"; }; within 5 runs
  "$LUABOX" kill "$mark" KILL; taken=$("$LUABOX" run box.lua -- true < /dev/null 2>&1; echo $?); wait $driver
  [ "$taken" = 0 ] || break
done
equal "who has killed a container may start another by its name" 0 "$taken"

# ---- a script that drives, and signals
script "name = '$mark'" "command = { 'sleep', '100' }"
sed 's/^return/local c =/; $a c:start(); print "started"; io.stdout:flush(); c:wait()' box.lua > drive.lua
printf 'while true do pcall(require("luabox.sys").sleep, 1) end\n' >> drive.lua
for signal in INT:130 TERM:143 HUP:129; do
  rm -f out  # of the last: its signal would come before this one has begun
  "$LUABOX" run drive.lua > out 2> err < /dev/null & driver=$!
  within 5 grep -q started out
  kill -"${signal%:*}" $driver
  wait $driver
  equal "a script that drives ends of ${signal%:*}" "${signal#*:}" $?
  equal "and says where" "luabox: drive.lua:6: interrupted by SIG${signal%:*}" "$(cat err)"
  equal "what it had started is gone" "" "$(leftovers)"
done
sed -i 's/c:wait()/pcall(c.wait, c)/' drive.lua
rm -f out
"$LUABOX" run drive.lua > out 2> err < /dev/null & driver=$!
within 5 grep -q started out
kill -TERM $driver; wait $driver
equal "one that swallows it is asked again" 143 $?
equal "and leaves nothing either" "" "$(leftovers)"
printf 'while true do end\n' > loop.lua
"$LUABOX" run loop.lua < /dev/null & driver=$!
sleep 0.3; kill -TERM $driver; wait $driver 2> /dev/null
equal "a loop that hears nothing ends all the same" 143 $?
script "name = '$mark'" "function() require('luabox.sys').sleep(100) end" "command = { 'true' }"
"$LUABOX" run box.lua < /dev/null 2> err & driver=$!
starting() { "$LUABOX" list | grep -q starting; }; within 5 starting
kill -TERM $driver; wait $driver
equal "a start that goes on and on ends of TERM" "143 luabox: box.lua:1: interrupted by SIGTERM while it was being started" "$? $(cat err)"
equal "and leaves nothing" "" "$(leftovers)"
for hook in prepare attach; do
  script "name = '$mark'" "{ $hook = function() while true do pcall(require('luabox.sys').sleep, 0.1) end end }" "command = { 'true' }"
  "$LUABOX" run box.lua < /dev/null 2> err & driver=$!
  within 5 starting
  kill -TERM $driver; wait $driver
  equal "so does one whose $hook waits for ever" "143 luabox: box.lua:1: interrupted by SIGTERM while it was being started" "$? $(cat err)"
  equal "and leaves nothing" "" "$(leftovers)"
done
script "name = '$mark'" "{ prepare = function() os.execute 'kill -TERM \$PPID; sleep 0.2' end }" "command = { 'true' }"
equal "a signal that comes meanwhile is not lost" 143 "$(run box.lua > /dev/null 2>&1; echo $?)"
script "name = '$mark'" "command = { 'sh', '-c', 'echo started; sleep 1; exit 6' }"
(trap '' HUP; exec "$LUABOX" run box.lua < /dev/null > out) & driver=$!
within 5 grep -q started out; kill -HUP $driver; wait $driver
equal "under nohup a hangup is nobody's" 6 $?

# A supervisor may hold back signals, as luabox itself does while it starts what they are for.
script "name = '$mark'" "command = { 'sleep', '100' }"
"$LUABOX" run box.lua < /dev/null & driver=$!
running() { "$LUABOX" list | grep -q "^$mark .*running"; }; within 5 running
python3 -c 'import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); os.execvp(sys.argv[1], sys.argv[1:])' \
  strace -f -qq -o /dev/null -e trace=setns -e inject=setns:delay_enter=3000000 "$LUABOX" exec "$mark" true < /dev/null > out 2>&1 & strace=$!
within 5 pgrep -P $strace luabox > /dev/null; sleep 0.5; pkill -TERM -P $strace; wait $strace
equal "an exec that is being started ends of TERM, held back or not" "143 luabox: interrupted by SIGTERM" "$? $(grep -v ^strace: out)"
"$LUABOX" kill "$mark" KILL; wait $driver
equal "and leaves nothing" "" "$(leftovers)"

# ---- frozen: version 1 of cgroups holds back even SIGKILL
if [ "$(id -u)" = 0 ]; then
  refuse "a start in a frozen cgroup" "bad.lua:2: cgroup.freezer: nothing starts in a frozen cgroup" $'return container { '"$R"$', cgroup = {\n  freezer = true } }'
  equal "and leaves nothing" "" "$(leftovers)"
  script "name = '$mark'" "cgroup = { freezer = false }" "command = { 'sleep', '100' }"
  sed 's/^return/local c =/; $a c:start(); c:update { freezer = true }; print(pcall(c.exec, c, { "true" })); print(c:stop(0.1)); c:destroy(); c:start(); c:update { freezer = true }; c:destroy(); print "destroyed"' box.lua > freeze.lua
  output=$(timeout -s KILL 20 "$LUABOX" run freeze.lua 2>&1 < /dev/null)
  holds "nothing joins a frozen container, and that is told" "the container '$mark' is frozen: nothing can join it" "$output"
  holds "it is stopped" $'\n137' "$output"
  holds "and destroyed" "destroyed" "$output"
  "$LUABOX" run box.lua < /dev/null & driver=$!
  within 5 running
  "$LUABOX" update "$mark" freezer=true; "$LUABOX" kill "$mark" KILL
  gone() { ! kill -0 $driver 2> /dev/null; }; within 5 gone; kill -9 $driver 2> /dev/null; wait $driver
  equal "luabox kill ends a frozen one" 137 $?
  equal "and leaves nothing of it" "" "$(leftovers)"

  # With sys_admin it freezes itself where luabox has not looked.
  if grep -q ' cgroup .*[ ,]freezer' /proc/mounts; then
    script "name = '$mark'" "cgroup = { freezer = false }" "capabilities = { add = { 'sys_admin' } }" "command = { 'sh', '-c', [[
      mount -t cgroup -o freezer none /tmp; mkdir /tmp/below; echo 1 > /tmp/below/cgroup.procs; echo FROZEN > /tmp/below/freezer.state; sleep 100 ]] }"
    mv box.lua deep.lua; script "name = '$mark'" "cgroup = { freezer = false }" "command = { 'sleep', '100' }"
    for end in kill gc; do
      "$LUABOX" run deep.lua < /dev/null > /dev/null 2>&1 & driver=$!
      within 5 grep -qsx FROZEN "/sys/fs/cgroup/freezer/luabox/$mark/below/freezer.state" || failed "(it is frozen below its cgroup)"
      if [ $end = kill ]; then timeout 20 "$LUABOX" kill "$mark" KILL; within 5 gone; kill -9 $driver 2> /dev/null; wait $driver; else kill -9 $driver; wait $driver; fi 2> /dev/null
      [ $end = kill ] || timeout 20 "$LUABOX" gc > /dev/null
      equal "luabox $end ends one that is frozen below its cgroup" "" "$(leftovers)"
      echo THAWED 2> /dev/null > "/sys/fs/cgroup/freezer/luabox/$mark/below/freezer.state"; "$LUABOX" gc > /dev/null 2>&1
    done
  fi

  cat > below.lua << EOF
local above = require("luabox.sys").cgroup.create("$mark-above", { controllers = { "freezer" } })
above:freeze()
local c = container { name = "$mark", rootfs = "$work/rootfs", command = { "true" },
  cgroup_parent = "$mark-above" }
print(pcall(c.start, c))
above:thaw()
print(c:run())
above:remove()
EOF
  equal "what is to be below a frozen cgroup is refused, until that is thawed" $'false\tbelow.lua:4: the cgroup luabox/'"$mark"$'-above is frozen: nothing starts in it until it is thawed\n0\tnil' \
    "$(timeout -s KILL 20 "$LUABOX" run below.lua 2>&1 < /dev/null)"
  equal "and leaves nothing" "" "$(leftovers)"

  # A child that is born while its cgroup is being frozen makes no step, and hears nothing: the clone is held up until it is.
  slowly() { exec strace -f -qq -o /dev/null -e trace=clone3 -e inject=clone3:delay_enter=$((slow * 1000000)) "$LUABOX" "$@"; }
  frozen_born() { # COMMAND WORD...: status and output of one that is ended by SIGTERM while its child stands still
    slowly "$@" < /dev/null > out 2>&1 & local strace=$!
    within 5 made && sleep "$(awk "BEGIN { print $slow * 0.2 }")" && "$LUABOX" -e "require('luabox.sys').cgroup.open({ '$cgroup' }):freeze()"
    sleep "$(awk "BEGIN { print $slow * 1.5 }")"; pkill -TERM -P $strace
    ended() { ! pgrep -P $strace > /dev/null; }; within 5 ended || echo "still there"
    "$LUABOX" -e "require('luabox.sys').cgroup.open({ '$cgroup' }):thaw()" 2> /dev/null
    wait $strace; echo "$? $(cat out)"
  }
  made() { cgroup=$(find /sys/fs/cgroup -path "*/luabox/$mark/*" \( -name freezer.state -o -name cgroup.freeze \) -printf '%h\n' | head -1); [ -n "$cgroup" ]; }
  equal "a start whose child is born frozen ends of TERM" "143 luabox: box.lua:1: interrupted by SIGTERM while it was being started" "$(frozen_born run box.lua)"
  equal "and leaves nothing" "" "$(leftovers)"
  "$LUABOX" run box.lua < /dev/null & driver=$!
  within 5 running
  equal "an exec whose child is born frozen does" "143 " "$(frozen_born exec "$mark" sleep 77)"
  equal "one at a prompt too" "143 -e:1: interrupted" "$(frozen_born -e "running '$mark':exec { 'sleep', '77' }" | head -1)"
  alone_again() { made && [ "$(wc -l < "$cgroup/cgroup.procs")" = 2 ]; }
  succeeds "and their children are gone once it is thawed: it has its init and its command" within 3 alone_again
  "$LUABOX" kill "$mark" KILL; wait $driver
  equal "and leaves nothing" "" "$(leftovers)"
fi

# ---- /dev/null is the container's own
if [ "$(id -u)" = 0 ] && mknod null c 1 3 2> /dev/null && (: > null) 2> /dev/null; then
  script "name = '$mark'" "command = { 'sh', '-c', 'chmod 600 /proc/self/fd/0 /proc/self/fd/2; echo gone >&2; cat' }"
  equal "it can be read and written" 0 "$("$LUABOX" run box.lua < null 2> null; echo $?)"
  equal "and the host's is not the container's to change" 666 "$(chmod 666 null; "$LUABOX" run box.lua < null 2> null; stat -c %a null)"
else
  skipped "the host's /dev/null" "no device of its own can be made here"
fi

# ---- many at once
cat > many.lua << EOF
local all = {}
for i = 1, 120 do
  all[i] = container { name = "$mark-many" .. i, rootfs = "$work/rootfs", command = { "sleep", "1000" }, cgroup = { pids = "max" } }:start()
end
container { name = "$mark", rootfs = "$work/rootfs", command = { "sh", "-c", "ulimit -Sn" }, cgroup = { pids = "max" } }:run()
for _, each in ipairs(all) do each:destroy() end
EOF
equal "more containers than a process has descriptors for, each with the limit that luabox was given" 256 "$(ulimit -Sn 256; run many.lua 2>&1)"

leaves_nothing "nothing is left behind"
equal "the rootfs folder is as it was" "" "$(ls rootfs/etc | grep -vE '^(passwd|group|plain)$')"
finish
