#!/bin/bash
# Attacks of our own: hostile images, commands that turn on the runtime, archives that want out. Each must be contained, and each says how.
. "$(dirname "$0")/../e2e/common.sh"
make_rootfs rootfs
mark=own-attack-$$
jobs=()
trap 'if [ $BASHPID = $$ ]; then kill -9 "${jobs[@]}" 2>/dev/null; cd /; rm -rf --one-file-system "$work"; fi' EXIT

run() { timeout -s KILL 20 "$LUABOX" run "$@" < /dev/null; }
# with FIELD... SHELL-TEXT: what the text prints in a container with these fields
with() { script "name = '$mark'" "command = { 'sh' }" "${@:1:$#-1}"; run box.lua -- sh -c "${!#}" 2>&1; }
seconds() { local begin=$SECONDS; "$@" > /dev/null 2>&1; echo $((SECONDS - begin)); }
less() { if [ "$2" -lt "$3" ]; then ok "$1"; else failed "$1" "$2"; fi; }
host=$work/host; mkdir "$host"; echo classified > "$host/secret"
untouched() { equal "$1" "secret classified" "$(ls -A "$host" | xargs) $(cat "$host/secret")"; }

# ---- an image whose own files are traps

hostile() { # NAME PATH: PATH in the image is, in turn, each kind of trap
  local name=$1 path=$2 kind took output
  for kind in "link to a file of the host" "link to a folder of the host" "fifo" "folder" "device" "loop"; do
    mv "rootfs$path" saved 2>/dev/null
    case $kind in
      *file*) ln -s "$host/secret" "rootfs$path" ;;
      *host) ln -s "$host" "rootfs$path" ;;
      fifo) mkfifo "rootfs$path" ;;
      folder) mkdir "rootfs$path" ;;
      device) mknod "rootfs$path" c 1 5 ;;
      loop) ln -s "${path##*/}" "rootfs$path" ;;
    esac
    took=$SECONDS; output=$(with 'echo started; grep -o "^Uid:.0" /proc/self/status; for f in /etc/*; do [ -f $f ] && head -c 1000 $f; done'); took=$((SECONDS - took))
    less "$name being a $kind doesn't hold up the start" $took 5
    lacks "$name being a $kind shows nothing of the host" classified "$output"
    if [[ $output == started* ]]; then holds "$name being a $kind: the command is root, as asked" Uid "$output"
    else equal "$name being a $kind is told in one sentence" 1 "$(wc -l <<< "$output")"; fi
    rm -rf "rootfs$path"; mv saved "rootfs$path" 2>/dev/null
  done
}
for path in /etc/hosts /etc/resolv.conf /etc/hostname /etc/passwd /etc/group; do hostile "$path" $path; done
for path in /proc /sys /dev /etc; do
  mv rootfs$path saved; ln -s "$host" rootfs$path
  output=$(with 'echo started; cat /etc/* 2>/dev/null')
  lacks "$path being a link to the host shows nothing of it" classified "$output"
  rm rootfs$path; mv saved rootfs$path
done
untouched "no trap in an image let the host be written"
truncate -s 3G rootfs/etc/passwd.big; mv rootfs/etc/passwd saved; mv rootfs/etc/passwd.big rootfs/etc/passwd
less "a passwd of 3 GB doesn't hold up the start" "$(seconds with "user = 'user'" 'true')" 8
rm rootfs/etc/passwd; mv saved rootfs/etc/passwd
mv rootfs/etc/passwd saved; printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:4294967295:-1::/:/bin/sh\nover:x:18446744073709551616:0::/:/bin/sh\nshort\n::::::\n' > rootfs/etc/passwd
for user in user over short; do lacks "a passwd line without sense doesn't make '$user' root" "uid=0" "$(with "user = '$user'" 'echo uid=$(id -u)')"; done
printf 'user:x:1000:1000::/ho\0me:/bin/sh\nuser:x:1001:1001::/second:/bin/sh\n' > rootfs/etc/passwd
equal "one with a NUL byte is none" "1001 /second" "$(with "user = 'user'" 'echo $(id -u 2>/dev/null) $HOME')"
rm rootfs/etc/passwd; mv saved rootfs/etc/passwd
mknod rootfs/disk b 254 0; mknod rootfs/memory c 1 1; mknod rootfs/message c 1 11; chmod 666 rootfs/{disk,memory,message}
equal "devices that an image brings don't open" 3 "$(with 'for f in /disk /memory /message; do head -c 1 $f; done' | grep -c 'Permission denied')"
rm rootfs/{disk,memory,message}
mkdir -p rootfs/dev/pts; mknod rootfs/dev/ptmx c 5 2; ln -s "$host/secret" rootfs/dev/console; ln -s "$host" rootfs/dev/shm
equal "the image's own /dev is covered" "" "$(with 'ls /dev/console; ls -A /dev/shm; cat /dev/console' 2>&1 | grep -v 'No such file')"
rm -rf rootfs/dev/*
# A script whose interpreter is the program that executes it: what runs then must not be a way to the binary itself, also when it has ended.
printf '#!/proc/self/exe run\nlocal begin = os.time() while os.time() - begin < 2 do end\n' > rootfs/bin/self; chmod 755 rootfs/bin/self
sum=$(sha256sum < "$LUABOX")
with '/bin/self & victim=$!; sleep 0.5; exec 5< /proc/$victim/exe
  for i in 1 2 3; do (echo overwritten > /proc/$victim/exe) 2>/dev/null; (echo overwritten > /proc/self/fd/5) 2>/dev/null; done
  kill -9 $victim; wait; for i in 1 2 3; do (echo overwritten > /proc/self/fd/5) 2>/dev/null; done' > /dev/null
equal "#!/proc/self/exe is no way to write the binary" "$sum" "$(sha256sum < "$LUABOX")"
for command in /proc/1/exe /proc/self/fd/0; do
  run box.lua -- $command > /dev/null 2>&1; got=$?
  if [ $got -ge 1 ]; then ok "the command $command fails"; else failed "the command $command fails" "it succeeded"; fi
done
equal "the binary can't be written through pid 1" refused "$(with 'for n in 1 self; do (echo overwritten > /proc/$n/exe) 2>/dev/null && echo written; done; sleep 0.1; echo refused')"
equal "the binary is as it was" "$sum" "$(sha256sum < "$LUABOX")"
# Whichever way luabox enters its read-only view, what it runs from can't be written, not even by root of the host through /proc.
writable() { # of the processes of luabox that run the container $1: the program and its mappings; and whether one is in its view
  local process file
  for process in $(pgrep -f "luabox.* --name $1 " | xargs); do
    [ "$(readlink "/proc/$process/exe")" = / ] && echo entered
    for file in "/proc/$process/exe" "/proc/$process"/map_files/*; do
      [ "$(stat -Lc %d:%i "$file" 2> /dev/null)" = "$(stat -c %d:%i "$LUABOX")" ] && [ -w "$file" ] && echo "$file can be written"
    done
  done | sort -u
}
for fault in getpid:error=EPERM:when=9999 prctl:error=EPERM:when=1 mmap:error=ENOMEM:when=1 mmap:error=ENOMEM:when=3 open:error=EMFILE:when=2; do
  name=own-view-$$
  # A trace is luabox's own to write: no monitor takes its place meanwhile.
  strace -qq -o /dev/null -e inject="$fault" "$LUABOX" run --trace view.json --name $name box.lua -- /bin/sh -c 'echo > /tmp/up; exec sleep 60' < /dev/null > /dev/null 2>&1 & tracer=$!
  within 10 eval "\"$LUABOX\" list | grep -q $name.*running"
  equal "luabox runs from its view, where $fault" entered "$(writable $name)"
  "$LUABOX" kill $name KILL; wait $tracer
done
"$LUABOX" run --name own-monitor-$$ box.lua -- sleep 60 < /dev/null > /dev/null 2>&1 & monitor=$!
within 5 eval '[ "$(readlink /proc/$monitor/exe)" = "/memfd:luabox (deleted)" ]' || failed "a monitor stands by"
exec 5< /proc/$monitor/exe
"$LUABOX" kill own-monitor-$$ KILL; wait $monitor  # what nobody executes is not busy
equal "nor what stands by in its place" refused "$( (echo overwritten > /proc/self/fd/5) 2> /dev/null && echo written || echo refused)"
exec 5<&-
equal "an ordinary user's copy is sealed when its pages are no longer busy" "$("$LUABOX" version)" \
  "$(setpriv --reuid 65534 --regid 65534 --clear-groups strace -qq -o /dev/null -e inject=fcntl:error=EBUSY:when=2..4 "$LUABOX" version 2>&1)"
lacks "an image's interpreter isn't given luabox to hold" "$LUABOX" "$(with 'ls -l /proc/1/exe /proc/*/exe /proc/*/fd 2>&1')"

# ---- its command against its init, and the runtime

output=$(with 'cat /proc/1/environ; cat /proc/1/maps | head -3; head -c 1 /proc/1/mem; ls -l /proc/1/fd /proc/1/exe; ls /proc/1/root/ /proc/1/cwd/; cat /proc/1/stack')
lacks "/proc/1 tells no environment of the caller's" LUABOX_ "$output"
lacks "/proc/1 leads to no folder of the host's" "$work" "$output"
equal "pid 1 survives what a container can send it" alive "$(with 'trap "" 1 2 3 15; for s in 1 2 3 9 15 19; do kill -$s 1; done; sleep 0.2; grep -q "State:.T" /proc/1/status && echo stopped; echo alive')"
equal "killing everything ends the container, not more" 137 "$(run box.lua -- sh -c 'kill -9 -1; kill -9 $$' >/dev/null 2>&1; echo $?)"
less "a fork bomb is contained, and ends" "$(seconds with "cgroup = { pids = 50 }" 'b() { b | b & }; b 2>/dev/null; sleep 2; exit')" 12
less "a container that ignores every signal is ended by its luabox's end" "$(
  script "name = '$mark'" "command = { 'sh', '-c', 'trap \"\" 1 2 3 15; while :; do sleep 7777.$$; done' }"
  "$LUABOX" run box.lua < /dev/null > /dev/null 2>&1 & child=$!
  within 3 pgrep -fx "sleep 7777.$$" > /dev/null; kill -9 $child; begin=$SECONDS
  dead() { ! pgrep -fx "sleep 7777.$$" > /dev/null; }; within 8 dead; echo $((SECONDS - begin)))" 3
"$LUABOX" gc > /dev/null
equal "a daemon that the command leaves ends with it" "" "$(with "(setsid sleep 7778.$$ > /dev/null 2>&1 &); sleep 0.1"; sleep 0.2; pgrep -fx "sleep 7778.$$")"
less "a closed standard input, output and error are no trap" "$(seconds bash -c "timeout -s KILL 10 '$LUABOX' run box.lua -- true <&- >&- 2>&-")" 5
equal "nor are they filled with something of luabox's" "" "$(script "command = { 'sh' }"; timeout -s KILL 10 "$LUABOX" run box.lua -- sh -c 'for f in /proc/self/fd/*; do readlink $f; done > /tmp/list' <&- >&- 2>&-
  grep -E 'socket|memfd|state|luabox' rootfs/tmp/list)"
rm -f rootfs/tmp/list
less "a reader that goes away ends much output" "$(seconds bash -c "timeout -s KILL 15 '$LUABOX' run box.lua -- yes 2>/dev/null | head -1")" 8

# ---- privilege

cp rootfs/bin/busybox rootfs/bin/suid-id; chmod 4755 rootfs/bin/suid-id; mv rootfs/bin/suid-id rootfs/usr/bin/busybox
equal "set-uid root in an image gives a user nothing" 1000 "$(with "user = 'user'" '/usr/bin/busybox id -u')"
rm rootfs/usr/bin/busybox
holds "a user namespace can't be made" "not permitted" "$(with 'unshare -U true')"
holds "a mount namespace neither" "not permitted" "$(with 'unshare -m true')"
holds "/proc/sys can't be written" "Read-only" "$(with 'echo 1 > /proc/sys/kernel/core_pattern')"
script "mounts = { proc '/mnt/proc', sysfs '/mnt/sys', bind { '$work', '/data' } }" "command = { 'sh', '-c', 'echo 1 > /mnt/proc/sys/kernel/core_pattern; cat /mnt/proc/keys; ls /mnt/sys/firmware' }"
equal "nor below a second /proc, where what is hidden is hidden, too" "Read-only file system" "$("$LUABOX" run box.lua 2>&1 < /dev/null | sed 's/.*: //')"
equal "core_pattern on the host is as it was" "$(cat /proc/sys/kernel/core_pattern)" "$(with 'cat /proc/sys/kernel/core_pattern')"
holds "a cgroup can't be made" "Read-only" "$(with 'mkdir $(ls -d /sys/fs/cgroup/pids /sys/fs/cgroup | head -1)/x')"
holds "/ can't be remounted" "ermi" "$(with 'mount -o remount,rw /sys; mount -o remount,dev /')"
holds "a chroot doesn't lead out" "contained" "$(with 'mkdir /tmp/c; cat > /tmp/esc.sh; cd /; for i in 1 2 3 4 5 6 7 8 9; do cd ..; done; grep -qs classified '"$host"'/secret || echo contained; rm -r /tmp/c /tmp/esc.sh')"
equal "what a container hard-links stays in it" "" "$(with 'ln /proc/1/root/etc/hosts /tmp/h; ln /dev/null /tmp/n; ls /tmp' | grep -xE '[hn]')"

# ---- environment and working directory

for variable in LD_PRELOAD=/nosuch.so LUA_INIT='os.exit(99)' LUA_PATH='/nosuch/?.lua' GCONV_PATH=/nosuch MALLOC_CHECK_=3; do
  output=$(env "$variable" timeout -s KILL 10 "$LUABOX" run box.lua -- sh -c 'env' < /dev/null 2>&1)
  lacks "the caller's ${variable%%=*} doesn't reach the container" "${variable%%=*}" "$(grep -v 'cannot be preloaded' <<< "$output")"
done
for folder in /proc/self/fd/3 /proc/self/fd/9 /proc/self/cwd /proc/1/cwd ../../.. //..//.. ; do
  output=$(with "cwd = '/$folder'" 'pwd; ls -a ../../../../.. 2>&1')
  lacks "cwd = '/$folder' leads nowhere else" luabox-e2e "$(grep -v '^luabox:' <<< "$output")"
done
ln -s "$host" rootfs/work
lacks "a cwd that an image links to the host's isn't there" classified "$(with "cwd = '/work'" 'cat *')"
rm rootfs/work

# ---- volumes

mkdir -p volume
for target in /trap /trap/below /trap/a/b; do
  ln -sfn "$host" rootfs/trap; with "mounts = { bind { './volume', '$target' } }" 'echo x > /proc/self/comm' > /dev/null; rm -f rootfs/trap
  ln -sfn ../../../../../../..$host rootfs/trap; with "mounts = { tmpfs '$target' }" true > /dev/null; rm -f rootfs/trap
done
untouched "a volume's target through a symlink makes nothing on the host"
holds "a target with .. stays inside" contained "$(with "mounts = { bind { './volume', '/../../../../..$host/new' } }" 'echo contained'; ls "$host" | grep new)"
rm -rf rootfs/tmp/*; untouched "and makes nothing outside"
# the target is exchanged with a link to the host, again and again, while containers start
mkdir -p rootfs/swap; ln -sfn "$host" rootfs/swap2
python3 - rootfs/swap rootfs/swap2 <<'P' & jobs+=($!); racer=$!
import ctypes, sys, time
libc, end = ctypes.CDLL(None), time.time() + 6
a, b = (p.encode() for p in sys.argv[1:])
while time.time() < end: libc.renameat2(-100, a, -100, b, 2)
P
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do with "mounts = { bind { './volume', '/swap/inner' }, tmpfs '/swap/other' }" true > /dev/null; done
kill $racer 2>/dev/null; wait $racer 2>/dev/null
untouched "a race for a mount's target never reaches the host"
rm -rf rootfs/swap rootfs/swap2
# what is mounted below /proc is no place for a sysctl
mkdir -p fake/sys/net/core; echo 1 > fake/sys/net/core/somaxconn
for target in /proc /proc/sys /proc/sys/net /proc/sys/net/core /proc/sys/net/core/somaxconn; do
  output=$(with "mounts = { bind { './fake${target#/proc}', '$target' } }" "sysctl = { ['net.core.somaxconn'] = 777 }" 'echo started')
  holds "a volume on $target is given no sysctl" "sysctl net.core.somaxconn: " "$output"
  equal "(nothing was written to it)" 1 "$(cat fake/sys/net/core/somaxconn)"
done
echo file > volume/file; ln -s "$host/secret" volume/link
lacks "a link in a volume doesn't lead to the host" classified "$(with "mounts = { bind { './volume', '/data' } }" 'cat /data/link')"

# ---- names

for name in ../escape .. a/b '$(id)' "$(printf 'a\nb')" .lock; do
  output=$(printf 'return container { rootfs = "%s/rootfs", name = [==[%s]==], command = { "true" } }' "$work" "$name" | "$LUABOX" run - 2>&1); got=$?
  equal "a container can't be called '${name//$'\n'/\\n}'" 125 $got
done

# ---- archives

archive() { # NAME PYTHON: a tar made by PYTHON (t: the tar, add(name, type, target, data)) brings nothing outside
  python3 - "$host" <<P
import io, sys, tarfile
host = sys.argv[1]
t = tarfile.open("evil.tar", "w")
def add(name, type=tarfile.REGTYPE, target="", data=b""):
    m = tarfile.TarInfo(name); m.type = type; m.linkname = target; m.size = len(data); m.mode = 0o777
    t.addfile(m, io.BytesIO(data))
$2
t.close()
P
  timeout -s KILL 20 "$LUABOX" image import -q evil.tar evil > /dev/null 2>&1
  untouched "an archive with $1 writes nothing outside"
  [ -d "$LUABOX_IMAGES/evil" ] && lacks "an archive with $1 holds nothing of the host's" classified "$(find "$LUABOX_IMAGES/evil/rootfs" -type f -exec cat {} + 2>/dev/null)"
  "$LUABOX" image rm evil > /dev/null 2>&1
}
archive "a link, and a file through it" 'add("l", tarfile.SYMTYPE, host); add("l/new", data=b"x"); add("l/secret", data=b"x")'
archive "a hard link to the host's file" 'add("h", tarfile.LNKTYPE, host + "/secret"); add("h", data=b"x")'
archive "a hard link through a symlink" 'add("l", tarfile.SYMTYPE, host); add("h", tarfile.LNKTYPE, "l/secret"); add("h", data=b"x")'
archive "a hard link to a symlink that is then written" 'add("l", tarfile.SYMTYPE, host + "/secret"); add("h", tarfile.LNKTYPE, "l"); add("h", data=b"x")'
archive "a folder replaced by a link" 'add("d", tarfile.DIRTYPE); add("d", tarfile.SYMTYPE, host); add("d/new", data=b"x")'
archive "dots" 'add("../../../../../../../.." + host + "/new", data=b"x"); add("a/../../../" + host + "/new2", data=b"x")'
archive "absolute names" 'add(host + "/new", data=b"x")'
archive "its root as a link" 'add(".", tarfile.SYMTYPE, host); add("./new", data=b"x")'
archive "links in a circle" 'add("a", tarfile.SYMTYPE, "b"); add("b", tarfile.SYMTYPE, "a"); add("a/new", data=b"x")'
archive "a folder's mode set through a link" 'add("d", tarfile.SYMTYPE, host); add("d/", tarfile.DIRTYPE)'
equal "the host's folder has its mode" 755 "$(stat -c %a "$host")"

for f in rootfs/etc/{hosts,hostname,resolv.conf}; do [ ! -e $f ] || failed "(cleared away)" "$f"; done
"$LUABOX" gc > /dev/null
leaves_nothing "nothing is left behind"
finish
