#!/bin/bash
# What a user gets wrong at the command line, and what an environment withholds: one sentence, the right status, nothing left behind.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-wrong-$$
script "name = '$mark'" "command = { '/bin/echo', 'hi' }"

# tells NAME STATUS TEXT COMMAND...: all that it says, and its exit status.
tells() {
  local name=$1 wanted=$2 text=$3 got output; shift 3
  output=$("$@" 2>&1 < /dev/null); got=$?
  equal "$name" "$text" "$output"
  equal "$name: the exit status" "$wanted" $got
}
# shell COMMAND: with redirections of its own.
shell() { LUABOX_TOLD=1 bash -c "$1"; }

# ---- what a container is to have, and can't
for key in deny allow; do
  script "command = { 'true' }" "seccomp = { $key = { 'mkdir' } }"
  holds "a filter's '$key' names where it goes" "box.lua:4: container.seccomp: unknown option '$key'" "$("$LUABOX" run box.lua 2>&1)"
  holds "and how" "(write extend = { $key = { ... } })" "$("$LUABOX" run box.lua 2>&1)"
done
test="container.seccomp: option 'rules': item 1: option 'args': item 1: expected the option"
for argument in "{ index = 1 }|'value', what the argument is compared with" "{ value = 9 }|'index', which of a call's arguments is meant: 0 to 5"; do
  script "command = { 'true' }" "seccomp = { rules = { { name = 'kill', action = 'errno:EPERM', args = { ${argument%|*} } } } }"
  equal "a filter's test ${argument%|*} is refused" "luabox: box.lua:4: $test ${argument#*|}" "$("$LUABOX" run box.lua 2>&1)"
  holds "and by check" ": $test" "$("$LUABOX" check box.lua 2>&1)"
done
if [ "$(id -u)" = 0 ]; then
  without() { unshare --mount sh -c 'umount -R /sys/fs/cgroup; "$0" run box.lua; "$0" run free.lua' "$LUABOX" 2>&1; }
  script "command = { 'echo', 'free' }" "cgroup = { pids = 'max' }"; mv box.lua free.lua
  script "command = { 'true' }"
  equal "without cgroups the default limit is named, and what goes without" "luabox: box.lua:1: cgroup key pids: Operation not supported (no cgroup file system is mounted here); it is the default limit of 4096 processes that takes it: cgroup = { pids = \"max\" } goes without
free" "$(without)"
fi
script "name = '$mark'" "command = { '/bin/echo', 'hi' }"

# ---- the command line
tells "an unknown command" 125 "luabox: there is no command 'rnu' (did you mean 'run'?); see 'luabox help'" "$LUABOX" rnu
tells "a name that is like none" 125 "luabox: there is no command '-x'; see 'luabox help'" "$LUABOX" -x
tells "another tool's command" 125 "luabox: there is no command 'ps' (did you mean 'list'?); see 'luabox help'" "$LUABOX" ps
tells "a name with a newline in it" 125 "luabox: 'a\\10b' can't be a container's name" "$LUABOX" kill $'a\nb'
tells "nothing behind --" 125 "luabox: expected a command after --; see 'luabox help run'" "$LUABOX" run box.lua --
tells "no name" 125 "luabox: there is no command ''; see 'luabox help'" "$LUABOX" ""
tells "an unknown option" 125 "luabox: unknown option '--nmae' (did you mean '--name'?); see 'luabox help run'" "$LUABOX" run --nmae x box.lua
tells "an argument too many" 125 "luabox: too many arguments; see 'luabox help version'" "$LUABOX" version x
tells "help of what is not there" 125 "luabox: there is no command 'nosuch'; see 'luabox help'" "$LUABOX" help nosuch
tells "and below a command" 125 "luabox: 'image' has no command 'ipmort' (did you mean 'import'?); see 'luabox help image'" "$LUABOX" help image ipmort
for name in "" "a b" x/y ../../x "$(printf 'a%.0s' {1..65})"; do
  tells "the name '$name'" 125 "luabox: --name: expected letters, digits, '_', '.' and '-', at most 64, got '$name'" "$LUABOX" run --name "$name" box.lua
done
tells "a log where no folder is" 125 "luabox: open none/log: No such file or directory" "$LUABOX" run --log-file none/log box.lua
tells "a folder as the log" 125 "luabox: open rootfs: Is a directory" "$LUABOX" run --log-file rootfs box.lua
tells "what is no trace" 125 "luabox: box.lua is no trace, which 'luabox run --trace' writes: it is no JSON" "$LUABOX" trace box.lua
printf '{"traceEvents":[{"ph":"M","name":"thread_name"},{"ph":"M","name":"thread_name","pid":1,"args":{"name":"\\u001b]0;x\\u0007"}},
  {"ph":"X","ts":1,"dur":5,"pid":1,"name":"a\\u001b[2J","args":{"arguments":{},"failure":"\\u009b2J","where":"\\u001b[8m"}},{"ph":"X","ts":2,"dur":1,"name":7,"args":5}]}' > evil.json
equal "a trace of somebody else's is shown without a terminal's codes" "0 0" "$("$LUABOX" trace evil.json > shown 2>&1; echo "$? $(tr -d '\11\12\40-\176' < shown | wc -c)")"
for command in run exec explain check repl image "image import" "image rm" policy kill stats trace init gc list help version check-host; do
  wide=$("$LUABOX" help $command | awk 'length > 80')
  equal "the help of $command fits 80 columns" "" "$wide"
  holds "and begins with its usage" "Usage: luabox $command " "$("$LUABOX" help $command) "
done
holds "with examples" "luabox run box.lua -- /bin/sh" "$("$LUABOX" run --help)"

# ---- scripts
: > empty.lua
printf '\177ELF\0\0' > binary
head -c 100000000 /dev/zero > huge.lua
printf 'return container {\n  rootfs = \n' > cut.lua
cp box.lua secret.lua; chmod 000 secret.lua
for command in run check explain; do
  tells "$command: no such script" 125 "luabox: open nosuch.lua: No such file or directory" "$LUABOX" $command nosuch.lua
  tells "$command: a folder" 125 "luabox: rootfs is a folder, not a script" "$LUABOX" $command rootfs
  tells "$command: no name" 125 "luabox: expected the name of a script, got ''" "$LUABOX" $command ""
  tells "$command: an empty script" 125 "luabox: empty.lua is empty, expected a script" "$LUABOX" $command empty.lua
  tells "$command: a binary file" 125 "luabox: binary is a binary file, expected a script in text" "$LUABOX" $command binary
  tells "$command: a huge file" 125 "luabox: read huge.lua: File too large" "$LUABOX" $command huge.lua
done
tells "run: unfinished Lua" 125 "luabox: cut.lua:3: unexpected symbol near '<eof>'" "$LUABOX" run cut.lua
tells "check: unfinished Lua" 1 "cut.lua:3:1: unexpected symbol near '<eof>'" "$LUABOX" check cut.lua
chmod 755 .
if [ "$(id -u)" = 0 ]; then
  tells "run: a script that may not be read" 125 "luabox: open secret.lua: Permission denied" setpriv --reuid 65534 --clear-groups "$LUABOX" run secret.lua
else
  skipped "run: a script that may not be read" "nobody to be but this user"
fi
for how in '\357\273\277return' '#!/usr/bin/env -S luabox run\nreturn' '\357\273\277#!/usr/bin/env -S luabox run\nreturn'; do
  printf "$how container { rootfs = '%s/rootfs', command = { '/bin/echo', 'hi' } }" "$work" > marked.lua
  tells "a script that begins with ${how%return}" 0 hi "$LUABOX" run marked.lua
  tells "checked too" 0 "" "$LUABOX" check marked.lua
done
sed 's/$/\r/' box.lua > crlf.lua
tells "a script with CR LF" 0 hi "$LUABOX" run crlf.lua
printf -- '-- a container\n--\nreturn container {\n  command = { "x" },\n}\n' > late.lua
tells "a comment is no call" 125 "luabox: late.lua:3: container: expected the field 'rootfs', a folder or image \"name\"" "$LUABOX" run late.lua
printf 'local box = container { rootfs = "%s/rootfs", command = { "x" } }\n\nbox.stats()\n' "$work" > dot.lua
tells "a method called with a dot" 125 "luabox: dot.lua:3: a method is called with ':', as in c:stats()" "$LUABOX" run dot.lua

# wrong TEXT FIELDS: what a container of these fields is refused with.
wrong() {
  printf 'return container { rootfs = "%s/rootfs", command = { "/bin/echo", "hi" }, %s }\n' "$work" "$2" > wrong.lua
  tells "refused: $2" 125 "luabox: wrong.lua:1: $1" "$LUABOX" run wrong.lua
}
wrong "container has no field 'memory' (write cgroup = { memory = \"100MB\" })" 'memory = "1GB"'
wrong "container has no field 'net' (write network = \"host\", or veth { ... })" 'net = "host"'
wrong "container has no field 'volumes' (write mounts = { bind { \"./data\", \"/data\" } })" 'volumes = { "./a:/a" }'
wrong "container has no field 'cap_add' (write capabilities = { add = { ... } })" 'cap_add = { "NET_ADMIN" }'
wrong "bind has no field 'ro' (write readonly = true)" 'mounts = { bind { "./a", "/a", ro = true } }'
wrong "container has no field 'shm_size' (write mounts = { tmpfs { \"/dev/shm\", size = \"64MiB\" } })" 'shm_size = "64m"'
wrong "container has no field 'time_limit' (write c:start(), c:wait(5) and c:destroy())" 'time_limit = 5'
wrong "container has no field 'rlimit_as' (write rlimits = { as = ... })" 'rlimit_as = 512'
wrong "container has no field 'rm' (not needed: what a container wrote to its overlay goes with it)" 'rm = true'
wrong "cgroup: unknown key 'memory_swap' (write swap = \"100MB\", the bytes beside the memory)" 'cgroup = { memory_swap = "1GiB" }'
wrong "cgroup key cpus: '0.5' is no list; write '0-3' or '0,2' (how much of them: cpu = 0.5)" 'cgroup = { cpus = 0.5 }'
ln -s loop loop
wrong "stat $work/loop/.: Too many levels of symbolic links" "mounts = { bind { '$work/loop', '/x' } }"
wrong "container has no field 'oomScoreAdj' (did you mean 'oom_score_adj'?)" 'oomScoreAdj = 5'
wrong "container has no field 'workingDir' (write cwd = \"/\")" 'workingDir = "/"'
mkdir -p "$LUABOX_IMAGES/alpine/rootfs"
tells "an image is no script" 125 "luabox: open alpine: No such file or directory (there is an image 'alpine': a script says rootfs = image \"alpine\")" "$LUABOX" run alpine sh
rmdir "$LUABOX_IMAGES/alpine/rootfs" "$LUABOX_IMAGES/alpine"
# option OPTION HINT: an option of docker run's is no option of luabox run's.
option() { tells "no option: $1" 125 "luabox: unknown option '${1:0:${3:-99}}' $2; see 'luabox help run'" "$LUABOX" run $1 box.lua; }
option --rm "(not needed: what a container wrote to its overlay goes with it)"
option -it "(not needed: in a terminal the container gets one of its own)" 2
option -e "(in the script: env = { NAME = \"value\" })"
option --hostname "(in the script: hostname = ...)"
option --cap-add "(in the script: capabilities = { add = { ... } })"
tells "a script is no command" 125 "luabox: there is no command 'box.lua' (did you mean 'run box.lua'?); see 'luabox help'" "$LUABOX" box.lua
wrong "bind: expected one table: bind { \"./data\", \"/data\", readonly = true }" 'mounts = { bind("./a", "/a") }'
wrong "tmpfs: expected one table: tmpfs { \"/tmp\", size = \"64MiB\" }" 'mounts = { tmpfs("/tmp", { size = "1MB" }) }'
wrong "image: expected one table: image { \"golang\", readonly = true }" 'rootfs = image("box", { readonly = true })'
wrong "container.masked: expected a list without holes; item 2 is nil" 'masked = { "/a", nil, "/b" }'
wrong "container.masked: expected a list; it has the key a table" 'masked = { [{}] = "/a" }'
wrong "container: expected a function or a step as item 1 of its list, got 'a\\10b'" '"a\nb"'
wrong "tmpfs: expected a path without newlines, got '/x\\10y'" 'mounts = { tmpfs "/x\ny" }'
wrong "no folder /no\\10such" 'rootfs = "/no\nsuch"'
wrong "container.masked: expected a list; it has the key '0'" 'masked = { [0] = "/a" }'
wrong "container.cgroup: expected a number, a string, true or false, or a list of these for 'memory', not a table" 'cgroup = { memory = { limit = 1 } }'
wrong "container.hostname: expected letters, digits, '.' and '-', at most 64, got 'a\\0b\\10c'" 'hostname = "a\0b\nc"'
wrong "container.rootfs: expected a folder, directory { ... } or image \"name\", got ''" 'rootfs = ""'
wrong "container.command: expected a program as item 1, not ''" 'command = { "", "x" }'
wrong "container.umask: expected an octal mode up to \"777\", such as \"022\", got '1777'" 'umask = "1777"'
wrong "container.sysctl: expected a string or a whole number for 'kernel.shmmax', not 1.5" 'sysctl = { ["kernel.shmmax"] = 1.5 }'
wrong "tmpfs.size: expected a size such as 64MiB, 100MB or a number of bytes, got 1.5" 'mounts = { tmpfs { "/x", size = 1.5 } }'
printf 'local function box(options)\n  local made = container { rootfs = "%s/rootfs", command = { "/bin/echo", "hi" },\n    terminal = options.terminal }\n  return made\nend\nreturn { box {}, box { terminal = true } }\n' \
  "$work" > several.lua
tells "a terminal for one of several" 125 "luabox: several.lua:3: container.terminal: of a list of several containers none has a terminal; one that is returned alone may" \
  "$LUABOX" run several.lua
sed -i 's/terminal = true/terminal = false/' several.lua
tells "none for any" 0 $'hi\nhi' "$LUABOX" run several.lua
printf 'local c = container { rootfs = "%s/rootfs", command = { "sleep", "100" } }\nc:start()\nc:exec { "/bin/echo", "a", nil, "b" }\n' "$work" > hole.lua
tells "a command with a hole" 125 "luabox: hole.lua:3: exec: expected a list without holes; item 3 is nil" "$LUABOX" run hole.lua
ln -s / everything
for root in / /proc/self/root /proc/self/root/. "$work/everything" /proc/self/cwd/../../../../../.. /tmp/../; do
  wrong "the host's own \"/\" can't be a container's; bind what it needs of it below a folder" "rootfs = '$root'"
done
for path in / // /. /..; do
  wrong "container.masked: expected paths below '/'; '$path' is the root file system itself" "masked = { '/proc/kcore', '$path' }"
  wrong "container.readonly_paths: expected paths below '/'; '$path' is the root file system itself (write readonly = true of the rootfs, as in directory { \"./root\", readonly = true })" "readonly_paths = { '$path' }"
done
ln -s / rootfs/all
for path in /tmp/.. /all; do
  for field in masked readonly_paths; do
    printf 'return container { rootfs = "%s/rootfs", command = { "/bin/echo", "hi" },\n  %s = { "%s" } }\n' "$work" $field $path > wrong.lua
    output=$("$LUABOX" run wrong.lua 2>&1)
    holds "$field = { '$path' } is told at its line" "luabox: wrong.lua:2: container.$field: " "$output"
    holds "and why" "is the root itself, which nothing can be mounted over" "$output"
    [ $field = masked ] || holds "and what would do it" "(write readonly = true of the rootfs, as in directory { \"./root\", readonly = true })" "$output"
  done
done
rm rootfs/all
[ "$(id -u)" != 0 ] || wrong "namespaces.net: open /no/such: No such file or directory" 'namespaces = { net = "/no/such" }'
wrong "{ code = 1 }" 'function() error { code = 1 } end'
printf 'return container { rootfs = ".", command = { "/bin/echo", "hi" } }\n' > rootfs/here.lua
tells "the folder that one stands in" 0 hi bash -c 'cd rootfs && exec "$LUABOX" run here.lua'
rm rootfs/here.lua
long=$(printf 'l%.0s' {1..200}).lua
grep -v 'name =' box.lua > "$long"
tells "a script with a long name" 0 hi "$LUABOX" run "$long"
tells "a command of many words" 0 20000 "$LUABOX" run box.lua -- sh -c 'echo $#' sh {1..20000}
tells "a script of too many words" 125 "luabox: a script takes at most 7000 arguments, got 20000; see 'luabox help run'" "$LUABOX" run box.lua {1..20000}

# ---- streams
tells "a script that a shell's <(...) makes" 0 hi shell '"$LUABOX" run <(cat box.lua)'
tells "/dev/stdin" 0 hi shell 'cat box.lua | "$LUABOX" run /dev/stdin'
tells "other descriptors of the caller's are closed" 0 "0 1 2 3" shell 'exec 9< box.lua; "$LUABOX" run <(cat box.lua) -- sh -c "echo \$(ls /proc/self/fd)"'
tells "standard input closed: an import" 125 "luabox: read standard input: Bad file descriptor" timeout 10 bash -c '"$LUABOX" image import - x <&-'
tells "all three closed" 4 "" shell '"$LUABOX" run box.lua -- sh -c "exit 4" <&- >&- 2>&-'
tells "standard input closed: run" 125 "luabox: - is empty, expected a script" shell '"$LUABOX" run - <&-'
tells "standard input closed: repl" 0 "" shell '"$LUABOX" repl <&-'
tells "standard input closed: a container" 0 hi shell '"$LUABOX" run box.lua <&-'
for command in version help "explain box.lua" "list --json" "-e 1" "check empty.lua box.lua" "help --man run" "help --completion zsh"; do
  [ "$command" = "check empty.lua box.lua" ] && printf 'x = 1\n' > empty.lua
  tells "a full output: $command" 125 "luabox: standard output: No space left on device" shell "\"\$LUABOX\" $command > /dev/full"
done
script "name = '$mark'" "terminal = true" "command = { 'seq', '200000' }"
tells "a full output: a container's terminal" 125 "luabox: write standard output: No space left on device" shell 'timeout 20 "$LUABOX" run box.lua > /dev/full'
tells "a reader that has gone, of whom no signal tells" 125 "luabox: write standard output: Broken pipe" \
  shell 'set -o pipefail; timeout 20 env --ignore-signal=PIPE "$LUABOX" run box.lua | head -c 0'
script "name = '$mark'" "command = { '/bin/echo', 'hi' }"
tells "standard output closed" 125 "luabox: standard output: Bad file descriptor" shell '"$LUABOX" version >&-'
tells "standard error full" 125 "" shell '"$LUABOX" nosuch 2> /dev/full'
tells "a reader that has gone" 141 "" shell 'set -o pipefail; "$LUABOX" -e "for i = 1, 1e5 do print(i) end" | head -c 0'

# ---- the environment
tells "no environment at all" 0 hi env -i LUABOX_STATE="$LUABOX_STATE" "$LUABOX" run box.lua
tells "a caller who ignores the end of his children" 7 hi env --ignore-signal=CHLD "$LUABOX" run box.lua -- /bin/sh -c 'echo hi; exit 7'
tells "LC_ALL=C" 0 '"日本"' env LC_ALL=C "$LUABOX" -e '"日本"'
tells "a state where no folder can be" 125 "luabox: mkdir /proc/none: No such file or directory" env LUABOX_STATE=/proc/none "$LUABOX" run box.lua
tells "a state that is no folder" 125 "luabox: open /dev/null/.lock: Not a directory" env LUABOX_STATE=/dev/null "$LUABOX" run box.lua
if [ "$(id -u)" = 0 ]; then
  mkdir ro && mount -t tmpfs -o ro,mode=755 none ro
  tells "a state that can't be written" 125 "luabox: open $work/ro/.lock: Read-only file system" env LUABOX_STATE="$work/ro" "$LUABOX" run box.lua
  tells "images that can't be written" 125 "luabox: mkdir $work/ro/x: Read-only file system" env LUABOX_IMAGES="$work/ro/x" "$LUABOX" image import - x
  umount ro
  script "rootfs = directory { '$work/rootfs', persist = '$work/ro/kept' }" "command = { '/bin/echo', 'hi' }"
  sed -i 2d box.lua
  mount -t tmpfs -o mode=755 none ro && mkdir ro/lower ro/upper ro/work && mount -t overlay -o lowerdir=ro/lower,upperdir=ro/upper,workdir=ro/work none ro
  tells "changes that can't be kept on an overlay" 125 \
    "luabox: box.lua:1: the file system of $work/ro/kept can't hold an overlay's changes: set persist elsewhere, on ext4, xfs, btrfs or tmpfs" "$LUABOX" run box.lua
  umount ro; umount ro
  script "name = '$mark'" "command = { '/bin/echo', 'hi' }"
  tells "no /proc" 125 "luabox: /proc is not mounted here, and luabox can't work without it" \
    unshare --mount sh -c 'umount -l /proc; exec "$LUABOX" run box.lua'
else
  skipped "what root can take away" "not root"
fi
leaves_nothing "nothing is left behind"
finish
