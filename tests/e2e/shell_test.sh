#!/bin/bash
# `luabox explain --shell`: the script is run, and what the container sees is compared with luabox's own.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
ip link set lo up  # as a host has it
mkdir data
tar -C rootfs -c . | "$LUABOX" image import - golang >/dev/null
tar -C rootfs -c . | "$LUABOX" image import - box >/dev/null
for tool in unshare ip tc nft setpriv dash; do command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }; done

# What can be seen from inside; "end" when all is told, and a moment for who looks at the host.
cat > probe <<'END'
cut -d' ' -f4- /proc/self/mountinfo | sort
for kind in mnt uts ipc pid net cgroup user; do
  case " $HOST " in *" $(readlink /proc/self/ns/$kind) "*) echo "$kind: the host's";; *) echo "$kind: its own";; esac
done
cat /proc/self/cgroup /proc/sys/kernel/hostname /etc/hosts /etc/hostname /etc/resolv.conf
for file in $(find /sys/fs/cgroup -name '*.limit_in_bytes' -o -name '*.max' -o -name 'cpu.*_us' -o -name 'cpuset.cpus' -o -name memory.swappiness -o -name devices.list -o -name 'cpu.shares' | sort); do
  echo "$file: $(tr '\n' ' ' < $file)"
done
ip address | grep -vE 'link/ether|fe80|valid_lft'; ip route; ip -6 route | grep -vE 'fe80|multicast'
grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|SigBlk|SigIgn)' /proc/self/status; cat /proc/self/uid_map /proc/self/gid_map
env | grep -v -E '^(HOST|SHLVL|_|OLDPWD)=' | sort
pwd; umask; ulimit -n; cut -d' ' -f19 /proc/self/stat; cat /proc/self/oom_score_adj
ls -l /dev | sed -E 's/[A-Z][a-z]{2} +[0-9]+ +[0-9]{2}:[0-9]{2}//'
echo end; read seen
END
mkfifo hold; exec 7<> hold  # the container stays until it was looked at
HOST=$(for kind in mnt uts ipc pid net cgroup user; do readlink /proc/self/ns/$kind; done | tr '\n' ' ')

# seen COMMAND...: what the container says, and the host's rules and interfaces while it runs; names that differ from run to run are made the same.
seen() {
  : > said  # the last one's end is not this one's
  "$@" > said 2>&1 < hold & local pid=$!
  within 20 grep -qx end said
  { nft list ruleset; ip -o address show | grep -v ' lo '; tc qdisc show | grep tbf; } >> said
  echo >&7
  wait $pid; echo "status $?" >> said
  sed -E "s/lb[0-9a-f]{8}/INTERFACE/g; s/eth0@[a-z0-9]+/eth0/; s/^([0-9]+: [a-z0-9]+:) <[^>]*>/\1/; s,(lower|upper|work)dir=[^ \,]*,\1dir=X,g; s/link-netnsid [0-9]+//; s/HOST='[^']*'//; s/^[0-9]+: (INTERFACE|lbr)/\1/; s/\\\\ .*//; s/qdisc tbf [0-9a-f]+:/qdisc tbf/; /^lbr-.*inet6 fe80/d" said
}
# missing: what it.sh has no form for, beside what no shell has.
missing() { sed -nE 's/^ *# no shell form: //p' it.sh | grep -vE '^(filter:load|security.seccomp|security.session_keyring|an init)' | sort -u | tr '\n' ';'; }
# same NAME OWN SHELLS
same() {
  compared=$((compared + 1))
  if [ "$2" = "$3" ]; then ok "$1"; else failed "$1" "$(diff <(echo "$2") <(echo "$3") | head -20)"; fi
}
# compare NAME SCRIPT ARG...: the container that the script returns.
compare() {
  local name=$1; shift
  local command=(/bin/sh -c "HOST='$HOST'; $(cat probe)")
  if ! "${as[@]}" "$LUABOX" explain --shell --name shell-$$ "$@" -- "${command[@]}" > it.sh 2> said; then skipped "$name" "$(head -1 said)"; return; fi
  if [ -n "$(missing)" ]; then skipped "$name" "$(missing)"; return; fi
  local own; own=$(seen "${as[@]}" "$LUABOX" run --name shell-$$ "$@" -- "${command[@]}")
  within 3 clean
  local shells; shells=$(seen "${as[@]}" dash it.sh)
  holds "$name: luabox's own has run" "status 0" "$own"
  same "$name: the shell script makes the same container" "$own" "$shells"
  if within 3 clean; then ok "$name: it takes all away"; else failed "$name: it takes all away" "$(leftovers)"; fi
}
compared=0 as=(env)

script "command = { '/bin/sh' }"; cp box.lua plain.lua
compare "a plain container" plain.lua
script "hostname = 'shelly'" "domainname = 'example.org'" "cgroup = { memory = '64MiB', cpu = 0.5, pids = 100, cpuset = '0' }" "user = 'user'" "env = { WORD = \"it's\" }" \
  "mounts = { tmpfs { '/tmp', size = '1MiB' }, bind { '$work/data', '/mnt/data', readonly = true }, bind { '/etc/passwd', '/etc/shells' } }" \
  "rlimits = { nofile = 123 }" "umask = '027'" "cwd = '/tmp'" "oom_score_adj = 100" "nice = 3" "sysctl = { ['net.core.somaxconn'] = 77 }" \
  "function(this) this.root:write('/etc/motd', 'hello\\n') end" "capabilities = { add = { 'net_raw' }, drop = { 'kill' } }" "command = { '/bin/sh' }"
compare "one with most that a container can have" box.lua
script "mounts = { bind { '/sys', '/mnt/all', readonly = true, noexec = true } }" "readonly_paths = { '/proc/sys', '/etc', '/nosuch' }" "accounting = true" \
  "user = '1000:50'" "capabilities = { only = { 'net_bind_service', 'chown' }, ambient = { 'net_bind_service' } }" "command = { '/bin/sh' }"
compare "one with mounts below its mounts, read-only paths, all that is counted, and ambient capabilities" box.lua
holds "(a mount below one is read-only)" "/mnt/all/fs/cgroup ro,nosuid,nodev,noexec" "$(cat said)"
script "network = veth { host = { '10.96.1.1/24', 'fd00:96::1/64' }, guest = { '10.96.1.2/24', 'fd00:96::2/64' }, nat = true, bandwidth = '10mbit',
  publish = { '8080:80', '127.0.0.1:8081:81/udp' }, egress = { '192.0.2.0/24:443', '198.51.100.7:53/udp', '10.0.0.0/8' } }" "command = { '/bin/sh' }"
compare "one with a network, NAT, published ports, egress and a limit of its rate" box.lua
script "network = bridge { 'shelly', subnet = '10.96.2.0/24', subnet6 = 'fd00:96:2::/64', nat = true, publish = { '8080:80', '127.0.0.1:8081:81/udp' },
  egress = { '192.0.2.0/24:443', '10.0.0.0/8' }, bandwidth = '10mbit', aliases = { 'other' } }" "command = { '/bin/sh' }"
compare "one on a bridge, with published ports, egress and a limit of its rate" box.lua
script "network = bridge { 'shelly', subnet = '10.96.2.0/24' }" "command = { '/bin/sh' }"
compare "one on a bridge and no more" box.lua
script "network = 'host'" "namespaces = { ipc = 'host', uts = 'host' }" "etc = false" "command = { '/bin/sh' }"
compare "one that shares namespaces" box.lua
chmod 755 "$work"; cp -a rootfs mapped; chown -R 100000:100000 mapped
script "users = { uid = { '0 100000 500', '500 200000 1000' }, gid = '0 100000 65536' }" "user = 'user'" "network = veth { host = '10.96.1.1/24', guest = '10.96.1.2/24' }" \
  "cgroup = { memory = '64MiB' }" "command = { '/bin/sh' }"
sed -i "s,$work/rootfs,$work/mapped," box.lua
compare "one with a user namespace" box.lua

mkdir mine; cp -a rootfs mine/; chown -R 1000:1000 mine; sed "s,$work/rootfs,$work/mine/rootfs," plain.lua > mine/box.lua
as=(setpriv --reuid 1000 --regid 1000 --clear-groups env -u XDG_RUNTIME_DIR HOME="$work/mine" LUABOX_STATE="$work/mine/state" LUABOX_IMAGES=)
compare "one of an ordinary user's" mine/box.lua
as=(env)

# As on a host with nothing but version 2 of cgroups: the controllers that version 1 has here stay there.
on_v2() { unshare --mount --propagation private sh -c 'umount -R -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' - "$@"; }
if [ "$(id -u)" = 0 ] && on_v2 true 2> /dev/null; then
  as=(on_v2)
  script "cgroup = { pids = 'max', freezer = false }" "command = { '/bin/sh' }"
  compare "one on version 2, with a key that no controller has" box.lua
  if on_v2 cat /sys/fs/cgroup/cgroup.controllers | grep -qw hugetlb && [ -d /sys/kernel/mm/hugepages/hugepages-2048kB ]; then
    script "cgroup = { pids = 'max', freezer = false, ['hugetlb.2MB'] = '4MiB' }" "command = { '/bin/sh' }"
    compare "one on version 2, with a controller's limit" box.lua
    holds "(the limit is seen inside)" "hugetlb.2MB.max: 4194304" "$(cat said)"
  else
    skipped "one on version 2, with a controller's limit" "no controller of version 2 is free here"
  fi
  as=(env)
else
  skipped "one on version 2" "only root mounts cgroup2"
fi

# What the plan can't be a script of is said, each by its name.
told() { "$LUABOX" explain --shell "$2" > it.sh; holds "$1 has no shell form, and it is said" "# no shell form: $3" "$(cat it.sh)"; }
script "mounts = { bind { '$work/data', '/data', idmap = { uid = '1000 0 1' } } }" "command = { '/bin/sh' }"
told "an idmap" box.lua "mount:idmap: mount(8) has it since util-linux 2.39"
script "users = 'auto'" "command = { '/bin/sh' }"; told "users = auto" box.lua "mount:idmap: "
told "a system call filter" plain.lua "filter:load: "

# Whatever a name holds is one word.
odd=$'it\'s "a" $(touch marked) `touch marked`\nnew line; touch marked #'
mkdir "$odd"; cp -a rootfs "$odd/root fs"; mkdir "$odd/data"
cat > "$odd/box'.lua" <<'END'
local folder = arg[0]:match "^(.*)/"
return container {
  rootfs = directory "root fs", command = { "/bin/sh", "-c", 'printf "[%s]" "$@" "$WORD"; cat /etc/motd; cat "$3"', "sh", "", "-n", "/mnt/it's", folder },
  mounts = { bind { "data", "/mnt/a 'b' $(touch marked)" } }, env = { WORD = "two\nlines \\n 'quoted' $(touch marked)" },
  function(this)
    this.root:write("/etc/motd", "\\n \0 %s 'x' \nEND_INSIDE_1\n")
    this.root:write("/mnt/it's", "\n$(touch marked)\n")
  end,
}
END
own=$("$LUABOX" run --name odd-$$ "$odd/box'.lua" 2>&1 | od -c); within 3 clean
"$LUABOX" explain --shell --name odd-$$ "$odd/box'.lua" > it.sh
succeeds "names with quotes, spaces and lines: dash reads it" dash -n it.sh
same "names with quotes, spaces and lines: the same words arrive" "$own" "$(dash it.sh 2>&1 | od -c)"
equal "and none of them is run" "" "$(find "$work" -name marked)"

# A script that is stopped, or fails on its way, takes away what it made.
script "network = bridge { 'shelly', subnet = '10.96.2.0/24', publish = { '8080:80' } }" "cgroup = { memory = '64MiB' }" "command = { '/bin/sleep', '60.$$' }"
"$LUABOX" explain --shell --name shell-$$ box.lua > it.sh
remains() { leftovers; ip -o link show | grep -E 'lbr?-?'; pgrep -xf "/bin/sleep 60.$$"; ls -d "$work"/tmp.* 2> /dev/null; }
nothing_remains() { [ -z "$(remains)" ]; }
for signal in TERM INT; do
  TMPDIR=$work setsid -w env --default-signal=INT dash it.sh & runs=$!
  succeeds "before SIG$signal it runs" within 10 pgrep -xf "/bin/sleep 60.$$"
  kill -$signal $(pgrep -f "^dash it.sh" -s $runs || echo $runs); wait $runs
  # The kernel takes the pair away a moment after the namespace.
  if within 3 nothing_remains; then ok "after SIG$signal nothing is left"; else failed "after SIG$signal nothing is left" "$(remains)"; fi
done
ip link add lbr-shelly type bridge
TMPDIR=$work dash it.sh > said 2>&1; equal "one that finds an interface in its way fails" 2 $?
equal "and leaves that one alone, and no more" "lbr-shelly" "$(leftovers; ip -o link show | grep -oE 'lbr-shelly|lb0[0-9]*'; ls -d "$work"/tmp.* 2> /dev/null)"
ip link delete lbr-shelly

# Every example: a container's inside is compared, a walk's by what it prints; or why not.
walk() {
  local name=$1; shift
  if ! "$LUABOX" explain --shell "$@" > it.sh 2> said; then skipped "$name" "$(head -1 said)"; return; fi
  if [ -n "$(missing)" ]; then skipped "$name" "$(missing)"; return; fi
  local own shells
  own=$(timeout 60 "$LUABOX" run "$@" 2>&1 < /dev/null | sed -E "$SAME"); within 3 clean
  shells=$(timeout 60 dash it.sh 2>&1 < /dev/null | sed -E "$SAME")  # that of util-linux 2.38 is told when what it waits for is killed
  same "$name: the shell script prints the same" "$own" "$shells"
}
declare -A known=(
  [examples/cgroups/memory.lua]="it prints how its commands ended, which only a real run knows"
  [examples/namespaces/net.lua]="it prints what its own Lua sees inside"
  [examples/namespaces/unshare.lua]="it prints what its own Lua sees inside"
  [examples/namespaces/join.lua]="it names a process in the text of a path"
  [examples/security/rlimits.lua]="descriptor 8 counts, too"
  [examples/security/strict.lua]="its filter has no shell form"
  [examples/network/published.lua]="it prints why a start fails"
  [examples/network/names.lua]="it is about what is there at a moment"
  [examples/network/bandwidth.lua]="it prints how long its Lua has waited"
)
SAME='s/[0-9a-f]{8}$/ID/; /^unshare: sigprocmask unblock failed/d'
while read -r example <&9; do
  if [ -n "${known[$example]:-}" ]; then skipped "$example" "${known[$example]}"
  elif grep -qE '^return (container|\{)' "$top/$example"; then compare "$example" "$top/$example" "$work/rootfs"
  else walk "$example" "$top/$example" "$work/rootfs"; fi
done 9< <(cd "$top" && find examples -name '*.lua' ! -path '*/policies/*' ! -name anyone.lua ! -name skeleton.lua ! -name toy_docker.lua | sort)
succeeds "at least sixteen were compared" test $compared -ge 16

"$LUABOX" explain --shell plain.lua > it.sh
holds "each part has the line that asks" "# plain.lua:" "$(cat it.sh)"
leaves_nothing "nothing is left behind"
finish
