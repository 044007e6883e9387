#!/bin/bash
# Attacks from the host's side: who may write to a container's folder, names the wrong folder, or calls luabox with more rights than his own. What a container
# or another user left lying around must not be obeyed, removed or executed by anybody else.
. "$(dirname "$0")/../e2e/rootless.sh"
make_rootfs rootfs
mark=host-attack-$$
jobs=()
trap 'if [ $BASHPID = $$ ]; then kill -9 "${jobs[@]}" 2>/dev/null; cd /; umount /etc/passwd /etc/group /etc/subuid /etc/subgid; rm -rf --one-file-system "$work"; fi' EXIT
run() { timeout -s KILL 30 "$LUABOX" run "$@" < /dev/null; }
# other COMMAND...: as another user, who is nobody here; by a shell, whose exec leaves no capability behind.
other() { setpriv --reuid 1234 --regid 1234 --clear-groups sh -c 'exec "$@"' - "$@"; }

# ---- the mount point of /proc is renamed while the container is closed: by who owns the folder, and is no root

# The script stands still where the container is open, as a race would have it.
cat > race.lua <<L
return container {
  name = "$mark", rootfs = "$work/rootfs",
  sysctl = { ["net.ipv4.ip_default_ttl"] = 77 },
  command = { "sh", "-c", "for d in /proc /p; do [ -e \$d/1/stat ] || continue; echo seen \$d; (: >> \$d/sys/kernel/core_pattern) 2>/dev/null && echo ESCAPED: core_pattern;"
    .. " (: >> \$d/sysrq-trigger) 2>/dev/null && echo ESCAPED: sysrq; [ \$(head -c 4 \$d/kcore 2>/dev/null | wc -c) = 0 ] || echo ESCAPED: kcore; done" },
  function()
    assert(io.open("$work/open", "w")):close()
    while not io.open "$work/renamed" do end
  end,
}
L
mkdir rootfs/p; chown -R 1234:1234 rootfs
run race.lua > race.out 2>&1 & jobs+=($!)
within 10 test -e open || failed "(the container is open)" "$(cat race.out)"
mv rootfs/proc rootfs/q; mv rootfs/p rootfs/proc; mv rootfs/q rootfs/p; touch renamed; wait "${jobs[-1]}"
holds "a renamed /proc: (the race is won)" "seen /p" "$(cat race.out)"
lacks "a renamed /proc is closed all the same" ESCAPED "$(cat race.out)"
rm -rf open renamed; rmdir rootfs/proc rootfs/p; mkdir rootfs/proc; chown -R 0:0 rootfs

# A sysctl of a namespace that is shared is the host's.
ttl=$(cat /proc/sys/net/ipv4/ip_default_ttl) most=$(cat /proc/sys/kernel/msgmax)
for fields in "sysctl = { ['net.ipv4.ip_default_ttl'] = $((ttl + 1)) } network = 'host'" "sysctl = { ['net.ipv4.ip_default_ttl'] = $((ttl + 1)) } namespaces = { net = '/proc/1/ns/net' }" \
  "sysctl = { ['kernel.msgmax'] = $most } namespaces = { ipc = 'host' }"; do
  script "${fields%% \}*} }" "${fields#* \} }" "command = { 'true' }"
  holds "a sysctl of the host's is refused: ${fields#* \} }" "not the container's own" "$(run box.lua 2>&1)"
done
equal "and left alone" $ttl "$(cat /proc/sys/net/ipv4/ip_default_ttl)"

# ---- the host's /dev/null as input and output, in a container that has none

# The host's is one of the test's own.
mkdir devices
cat > null.sh <<'S'
mount -t tmpfs devices "$work/devices" && mknod -m 666 "$work/devices/null" c 1 3 && mount --bind "$work/devices/null" /dev/null || exit
"$@" < /dev/null > /dev/null
sleep "${settle:-0}"
stat -c '%a %u' /dev/null
S
on_null() { work=$work timeout -s KILL 30 unshare --mount --propagation private sh "$work/null.sh" "$@"; }
turn='for fd in 0 1; do chmod 600 /proc/self/fd/$fd && echo ESCAPED: chmod >&2; chown 1 /proc/self/fd/$fd && echo ESCAPED: chown >&2; done; echo x && echo written >&2; read line || echo read >&2'
for users in "" "users = { uid = '0 0 65536', gid = '0 0 65536' }"; do
  script "name = '$mark'" "default_mounts = false" "mounts = { proc '/proc' }" "command = { 'sh', '-c', [[$turn]] }" ${users:+"$users"}
  also=${users:+", with the host's ids"}
  output=$(on_null "$LUABOX" run box.lua 2>&1)
  equal "no mode or owner of the host's /dev/null is changed$also" "666 0" "${output##*$'\n'}"
  lacks "and it says so$also" ESCAPED "$output"
  equal "it is read and written$also" "written read" "$(grep -xE 'written|read' <<< "$output" | xargs)"
done
script "name = '$mark'" "default_mounts = false" "mounts = { proc '/proc' }" "command = { 'sleep', '7781' }"
"$LUABOX" run box.lua < /dev/null & jobs+=($!)
inside() { "$LUABOX" list | grep -q "^$mark .*running"; }; within 10 inside
output=$(on_null "$LUABOX" exec "$mark" sh -c "$turn" 2>&1)
equal "nor by exec" "666 0" "${output##*$'\n'}"; lacks "which says so" ESCAPED "$output"; holds "(it ran)" written "$output"
output=$(settle=0.5 on_null "$LUABOX" exec --detach "$mark" sh -c "$turn" 2>&1)
equal "nor by exec --detach" "666 0" "$output"

# ---- a file of the host's as input and as output, and a folder

echo precious > input; chmod 400 input
turn='cat; echo evil > /proc/self/fd/0; chmod 777 /proc/self/fd/0; chown 1 /proc/self/fd/0; ln /proc/self/fd/0 /tmp/input'
for command in "run stay.lua -- sh -c" "exec $mark sh -c"; do
  [ "${command%% *}" = run ] && sed 's/name = .*/name = "'$mark-2'",/' box.lua > stay.lua
  output=$(timeout -s KILL 20 "$LUABOX" $command "$turn" < input 2>&1)
  holds "${command%% *}: an input is read" precious "$output"
  equal "${command%% *}: and not written" "precious 400 0 1" "$(cat input) $(stat -c '%a %u %h' input)"
  (umask 077; echo old > log)
  timeout -s KILL 20 "$LUABOX" $command 'echo new; chmod 4777 /proc/self/fd/1; chown 1 /proc/self/fd/2; : > /proc/self/fd/1; ls -l /proc/self/fd/1 >&2' >> log 2>> log
  equal "${command%% *}: an output is added to, and neither cut off nor set-uid" "old new 600 0" "$(head -2 log | xargs) $(stat -c '%a %u' log)"
  holds "${command%% *}: it is a pipe" "pipe:" "$(cat log)"
  if mknod -m 640 zero c 1 5 2> /dev/null && head -c 1 zero > /dev/null 2>&1; then
    equal "${command%% *}: a device as input is read, and stays as it is" "4 640 0" \
      "$(timeout -s KILL 20 "$LUABOX" $command 'head -c 4 | wc -c; chmod 777 /proc/self/fd/0; chown 1 /proc/self/fd/0' < zero 2> /dev/null) $(stat -c '%a %u' zero)"
  fi
  rm -f zero
  holds "${command%% *}: a folder as input is refused" "use standard input: Is a directory (a container would have all of the host's files beneath it)" \
    "$(timeout -s KILL 20 "$LUABOX" $command 'ls /proc/self/fd/0/' < / 2>&1)"
done
# The files that exec itself opens, which its command has no name for.
turn='echo new; chmod 4777 /proc/self/fd/1; chown 1 /proc/self/fd/2; : > /proc/self/fd/1; ls -l /proc/self/fd/1 >&2; ls -l /proc/self/fd | wc -l'
into_script="require('luabox.running').find('$mark'):exec { 'sh', '-c', [[$turn]], output = 'log' }:wait()"
for way in detached script; do
  (umask 077; echo old > log)
  if [ $way = detached ]; then "$LUABOX" exec --detach --output "$work/log" "$mark" sh -c "$turn" > /dev/null; else "$LUABOX" -e "$into_script"; fi
  within 5 grep -qx '[0-9]*' log
  equal "exec, $way: its file is added to, and neither cut off nor set-uid" "old new 600 0" "$(head -2 log | xargs) $(stat -c '%a %u' log)"
  holds "exec, $way: it is a pipe" "pipe:" "$(cat log)"
done
equal "what the shell had read of it is not read again" "second" "$({ read -r first; timeout -s KILL 20 "$LUABOX" run stay.lua -- cat; } <<< $'first\nsecond')"
# What has another name, and none by which it was given.
echo precious > input; ln input second; exec 8< input; rm input
holds "an input by a name that is gone is refused while it has another" "use standard input" "$(timeout -s KILL 20 "$LUABOX" run stay.lua -- cat <&8 2>&1)"
exec 8<&-; rm second
echo precious > input; chmod 600 input
turn='cat; echo evil > /proc/self/fd/0; chmod 777 /proc/self/fd/0'
for command in "run stay.lua -- sh -c" "exec $mark sh -c"; do
  holds "${command%% *}: an input that is open for both is read" precious "$(timeout -s KILL 20 "$LUABOX" $command "$turn" 0<> input 2>&1)"
  equal "${command%% *}: and not written either" "precious 600" "$(cat input) $(stat -c %a input)"
done
mkfifo -m 600 pipe; timeout -s KILL 20 "$LUABOX" exec "$mark" sh -c 'chmod 666 /proc/self/fd/0; cat' < pipe > out 2>&1 & echo through > pipe; wait $!
equal "a fifo is read, and its mode stays" "through 600" "$(tail -1 out) $(stat -c %a pipe)"
rm -f input log stay.lua pipe
kill "${jobs[-1]}"; wait "${jobs[-1]}" 2>/dev/null

# ---- the wrong folder as the state

script "command = { 'true' }"
mkdir -p home/me/{letters,photos/2020,empty}; echo thesis > home/me/letters/thesis; echo a > home/me/photos/2020/a; echo b > home/me/file; printf x > home/me/short; echo '{"name":"x"}' > home/me/package.json; printf '\n{"name":"x"}\n' > home/me/near; mkfifo home/me/pipe; ln -s letters home/me/link
before=$(find home/me ! -name empty | sort)
for _ in 1 2 3 4 5; do LUABOX_STATE=$work/home/me run box.lua > /dev/null 2>&1; done
LUABOX_STATE=$work/home/me timeout -s KILL 10 "$LUABOX" gc > gc.out 2>&1; got=$?
equal "a state folder with other things in it: they stay" "$before" "$(find home/me ! -name empty ! -name .lock | sort)"
equal "and gc says so" "1 1" "$got $(grep -c 'letters is no container' gc.out)"
holds "a container can't have the name of such a file" "is no container's" "$(LUABOX_STATE=$work/home/me run --name near box.lua 2>&1)"
holds "nor of such a folder" "is no container's" "$(LUABOX_STATE=$work/home/me run --name letters box.lua 2>&1)"
rm -rf home/me

# A record that another user wrote lists what he may not remove himself.
mkdir -m 777 shared; mkdir victim; touch victim/file
record() { printf '\n{"name":"evil","pid":1,"resources":[{"kind":"folder","path":"%s/victim"}]}\n' "$work"; }
record > evil; chmod 644 evil; other cp evil shared/evil
for mode in 777 711; do
  chmod $mode shared
  LUABOX_STATE=$work/shared "$LUABOX" gc > gc.out 2>&1; LUABOX_STATE=$work/shared run box.lua >> gc.out 2>&1
  equal "a record of another user's is not obeyed ($mode)" file "$(ls victim)"
  holds "but told ($mode)" "a folder of one's own" "$(cat gc.out)"
done
chmod 777 shared; holds "a state folder that everybody can write to is refused" "everybody can write" "$(LUABOX_STATE=$work/shared run box.lua 2>&1)"
mkdir -m 1777 fresh; LUABOX_STATE=$work/fresh run box.lua > fresh.out 2>&1
equal "an empty one, as a tmpfs just mounted is, is closed first" "711 " "$(stat -c %a fresh) $(grep 'write to' fresh.out)"

# Whoever is in the group of such a folder can put links into it.
group_id=$((user_id + 30000))
member() { setpriv --reuid $user_id --regid $user_id --groups $group_id "$@"; }
open_folder() { rm -rf team victim; mkdir team victim victim/keep; touch victim/keep/file; chgrp $group_id team; chmod 2770 team; }
open_folder; member ln -s "$work/victim" team/.layers
LUABOX_IMAGES=$work/team "$LUABOX" gc > gc.out 2>&1
equal "an images folder that a group can write to: nothing of another's is removed" keep/file "$(cd victim; echo */*)"
holds "and it is told" "the group $group_id can write to $work/team: luabox keeps its images in a folder of one's own" "$(cat gc.out)"
tar -C rootfs -cf box.tar .
member ln -s "$work/made" team/.lock; LUABOX_IMAGES=$work/team "$LUABOX" image import box.tar box > import.out 2>&1
equal "nor is a file made where a link leads" no "$([ -e made ] && echo yes || echo no)"
open_folder; member mkdir -p team/.bridges/web/members; member chmod -R a+rwX team/.bridges
member sh -c 'echo "{\"address\":\"10.9.0.9\",\"names\":[\"x\"],\"hosts\":\"pwned\"}" > team/.bridges/web/members/x.json; ln -s "$0" team/.bridges/web/members/x.hosts' "$work/victim/keep/file"
script "command = { 'true' }" 'network = bridge { "web", subnet = "10.9.0.0/24" }'
LUABOX_STATE=$work/team run box.lua > team.out 2>&1
equal "a state folder that a group can write to: nothing is written where a link leads" "" "$(cat victim/keep/file)"
holds "and it is told, too" "the group $group_id can write to" "$(cat team.out)"
open_folder; rm -rf team/*; LUABOX_STATE=$work/team run box.lua > team.out 2>&1
equal "an empty one is closed first" 711 "$(stat -c %a team)"
script "command = { 'true' }"; rm -rf team victim; mkdir victim; touch victim/file
mkdir -p own/odd/rootfs; echo '{"bytes":"many","source":1}' > own/odd/image.json
equal "what is known of an image is passed over where it is nothing of the kind" 0 "$(LUABOX_IMAGES=$work/own "$LUABOX" image ls > ls.out 2>&1; echo $?)"
other ln -s "$user_home" "/tmp/luabox-$user_id"; mkdir "$user_home/letters"; touch "$user_home/letters/thesis"; chown -R $user_id:$user_id "$user_home"
setpriv --reuid $user_id --regid $user_id --clear-groups --reset-env env -C "$user_home" HOME="$user_home" PATH="$PATH" "$work/luabox" gc > /dev/null 2>&1
equal "another user's symlink in /tmp is not taken for one's own state" thesis "$(ls "$user_home/letters")"
rm -rf "/tmp/luabox-$user_id" "${user_home:?}/letters"

# ---- whoever may read a container's folder can lock it

script "command = { 'echo', 'started' }"
chmod 755 . rootfs; setpriv --reuid 1234 --regid 1234 --clear-groups sh -c 'exec 9< rootfs; flock 9; exec sleep 60' & jobs+=($!); locked() { ! flock -n -s rootfs true; }; within 5 locked || failed "(it is locked)"
took=$SECONDS; output=$(run box.lua 2>&1); took=$((SECONDS - took))
holds "a start gives up, and says why" "box.lua:2: another program has had the folder $work/rootfs locked for 10 seconds (flock)" "$output"
holds "and what to do" "chmod 711" "$("$LUABOX" why)"
if [ $took -lt 15 ]; then ok "after ten seconds"; else failed "after ten seconds" $took; fi
kill "${jobs[-1]}"; wait "${jobs[-1]}" 2>/dev/null; within 5 flock -n -s rootfs true
equal "one that is given back is waited for" started "$(flock rootfs sleep 1 & sleep 0.3; run box.lua 2>&1)"

# ---- layers

# After a power failure /run is empty, and the disk is not.
printf 'return container { name = "%s", rootfs = directory { "%s/rootfs", overlay = true }, command = { "sh", "-c", "cat /secret; echo classified > /secret; sleep $STAY" },
  env = { STAY = os.getenv "STAY" } }\n' "$mark" "$work" > layer.lua
STAY=7779.$$ "$LUABOX" run layer.lua < /dev/null > layer.out 2>&1 & jobs+=($!)
secrets() { find "$LUABOX_IMAGES/.layers" -name secret -size +0 2>/dev/null | grep .; }
within 10 secrets > /dev/null || failed "(the first writes)" "$(cat layer.out)"
alive=$(STAY=0 LUABOX_STATE=$work/state2 run --name "$mark-2" layer.lua 2>&1; "$LUABOX" gc; secrets | wc -l)
holds "gc leaves the layer of a container that runs" 1 "${alive##*$'\n'}"
kill -9 "${jobs[-1]}"; wait "${jobs[-1]}" 2>/dev/null; gone() { ! pgrep -fx "sleep 7779.$$" > /dev/null; }; within 5 gone
rm -rf "$LUABOX_STATE"; find /sys/fs/cgroup -depth -path "*/luabox/$mark" -type d -exec rmdir {} \; 2>/dev/null
lacks "a container doesn't find what a dead one of its name wrote" classified "$(STAY=0 run layer.lua 2>&1)"
"$LUABOX" gc > /dev/null
equal "gc removes layers of which no record is left" "" "$(ls -A "$LUABOX_IMAGES/.layers")"

printf 'return container { name = "%s", rootfs = directory { "%s/rootfs", persist = "%s/kept" }, command = { "sh", "-c", "cp /bin/busybox /busybox; chmod 4755 /busybox" } }\n' "$mark" "$work" "$work" > kept.lua
run kept.lua
holds "(a set-uid file lies in the layer that is kept)" s "$(stat -c %A kept/upper/busybox)"
if other "$work/kept/upper/busybox" true 2>/dev/null; then failed "another user can't execute it" "he could"; else ok "another user can't execute it"; fi
rm -rf kept; mkdir kept host; ln -s "$work/host" kept/upper; mkdir kept/work
run kept.lua > kept.out 2>&1; equal "a layer that is a symlink to the host's is not written to" "" "$(ls -A host)"
rm kept/upper; mkdir kept/upper; rmdir kept/work; ln -s "$work/host" kept/work
run kept.lua > kept.out 2>&1; equal "nor is its work folder" "" "$(ls -A host)"
rm -rf kept

# ---- what a terminal obeys

tty_safe() { if [ -z "$(tr -d '\11\12\40-\176' <<< "$2")" ]; then ok "$1"; else failed "$1" "$(cat -v <<< "$2")"; fi; }
for bytes in '\033]0;pwned\007\033[2J' '\302\2332J' '\2332J' '\r' '\010\010' '\303('; do
  printf "#!/nosuch${bytes}\necho\n" > rootfs/bin/tool; chmod 755 rootfs/bin/tool
  script "command = { '/bin/tool' }"
  output=$(run box.lua 2>&1); tty_safe "an interpreter called $bytes is told without a terminal's codes" "$output"
  holds "(it is told)" "exec /bin/tool" "$output"
  tty_safe "also by why" "$("$LUABOX" why)"
  name=$(printf "x${bytes}x"); touch "rootfs/$name"; ln -sfn "$name/y" rootfs/link; mkdir -p volume
  script "mounts = { bind { './volume', '/link/z' } }" "command = { 'true' }"
  tty_safe "so is a file that a link leads to" "$(run box.lua 2>&1; run -v box.lua 2>&1)"
  rm -f "rootfs/$name" rootfs/link
done
rm -rf rootfs/bin/tool volume

# ---- under a site's policies, as a user whom sudo lets run luabox

mkdir -m 755 policies; printf 'rule "x" { on = "run", check = function(c) end }\n' > policies/10.lua
export LUABOX_POLICY=$work/policies
printf 'error "\\n* * * * * root touch /pwned"\n' > evil.lua
refused_file() { equal "under policies $1 writes no file" "125 none" "$2 $([ -e "$3" ] && cat "$3" || echo none)"; rm -rf "$3"; }
run --log-file "$work/target" evil.lua > /dev/null 2>&1; refused_file "--log-file" $? target
run --trace "$work/target" box.lua > /dev/null 2>&1; refused_file "--trace" $? target
timeout 10 "$LUABOX" init "$work/target" > /dev/null 2>&1; refused_file "init" $? target
printf 'return container { name = "%s", rootfs = "%s/rootfs", command = { "sleep", "7780.'$$'" } }\n' "$mark" "$work" > stay.lua
"$LUABOX" run stay.lua < /dev/null > stay.out 2>&1 & jobs+=($!)
up() { "$LUABOX" list | grep -q "^$mark .*running"; }; within 10 up || failed "(it runs)" "$(cat stay.out)"
timeout 10 "$LUABOX" exec --detach --output "$work/target" "$mark" echo pwned > /dev/null 2>&1; refused_file "exec --output" $? target
printf 'local c = container { rootfs = "%s/rootfs", command = { "sleep", "5" } }\nc:start()\nc:exec { "echo", "pwned", output = "%s/target" }:wait()\n' "$work" "$work" > output.lua
run output.lua > /dev/null 2>&1; refused_file "exec { output = } in a script" $? target
printf 'allow { "files" }\n' >> policies/10.lua
run output.lua > output.out 2>&1; equal "unless the policies allow it" pwned "$(cat target output.out)"
kill "${jobs[-1]}"; wait "${jobs[-1]}" 2>/dev/null
unset LUABOX_POLICY

# ---- gc

touch "$LUABOX_STATE/.targets-1-2.new3"; "$LUABOX" gc
equal "a list of targets that was never finished is removed" "" "$(ls -A "$LUABOX_STATE" | grep targets)"

# ---- set-uid

install -m 4755 "$LUABOX" suid-luabox
mkdir -p "$user_home/state" "$user_home/.config/luabox/commands"; record > "$user_home/state/evil"
echo "return { run = function() os.execute 'touch $work/pwned' end }" > "$user_home/.config/luabox/commands/evil.lua"
chown -R $user_id:$user_id "$user_home"; chown -R 0:0 "$user_home/state"; chmod 755 "$user_home"
as_user env LUABOX_STATE="$user_home/state" LUABOX_IMAGES="$user_home/state" "$work/suid-luabox" gc > /dev/null 2>&1
equal "set-uid, the caller's LUABOX_STATE says nothing" file "$(ls victim)"
as_user "$work/suid-luabox" evil > /dev/null 2>&1; as_user env LUABOX_PATH="$user_home/.config/luabox/commands" XDG_CONFIG_HOME="$user_home/.config" "$work/suid-luabox" evil > /dev/null 2>&1
equal "nor do his HOME and LUABOX_PATH" no "$([ -e pwned ] && echo yes || echo no)"

for file in rootfs/etc/{hosts,hostname,resolv.conf}; do [ ! -e $file ] || failed "(cleared away)" "$file"; done
"$LUABOX" gc > /dev/null
leaves_nothing "nothing is left behind"
finish
