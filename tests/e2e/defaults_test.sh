#!/bin/bash
# What container { rootfs, command } is like, seen from inside and from outside; then each default opened by its name, and volumes.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-defaults-$$

run() { timeout $((20 * slow)) "$LUABOX" run "$@" < /dev/null; }
# with FIELD... SHELL-TEXT: what the text prints in a container with these fields
with() { script "name = '$mark'" "command = { 'sh' }" "${@:1:$#-1}"; run box.lua -- sh -c "${!#}" 2>&1; }
# differs NAME A B
differs() { if [ -n "$2" ] && [ -n "$3" ] && [ "$2" != "$3" ]; then ok "$1"; else failed "$1" "both are '$2'"; fi; }
field() { with "${@:1:$#-1}" "sed -n 's/^${!#}:[[:space:]]*//p' /proc/self/status"; }
namespace() { with "${@:2}" "readlink /proc/self/ns/$1"; }
started() { # starts a container that stays, in the background; the cgroup named $mark stands then
  script "name = '$mark'" "command = { 'sleep', '20' }" "$@"
  timeout $((20 * slow)) "$LUABOX" run box.lua < /dev/null & child=$!
  within 5 is_sleeping
}
is_sleeping() { "$LUABOX" list | grep -q "$mark" && [ -n "$(cgroup_file pids.max)" ]; }
cgroup_file() { find /sys/fs/cgroup -path "*/luabox/$mark/$1" -exec cat {} + 2>/dev/null; }

# ---- the defaults

for kind in mnt uts ipc pid net cgroup; do
  differs "the $kind namespace is the container's own" "$(readlink /proc/self/ns/$kind)" "$(namespace $kind)"
done
equal "there is no interface but a loopback that is up" "lo UP" \
  "$(with 'ip -o link | sed -E "s/^[0-9]+: ([^:@]*).*<([^>]*)>.*/\1 \2/; s/ .*,UP.*/ UP/"')"
equal "127.0.0.1 answers" answer "$(with 'echo answer | nc -l -p 5000 & sleep 0.3; nc -w 5 127.0.0.1 5000 < /dev/null')"
granted=$(field CapBnd)
equal "no capability but docker's fourteen is in the bounding set" 0 $((0x$granted & ~0xa80425fb))
equal "effective and permitted are the bounding set" "$granted $granted" "$(field CapEff) $(field CapPrm)"
equal "nothing is inheritable or ambient" "0000000000000000 0000000000000000" "$(field CapInh) $(field CapAmb)"
equal "no_new_privs is set" 1 "$(field NoNewPrivs)"
equal "a seccomp filter is in force" 2 "$(field Seccomp)"
equal "the init has no more than its command" "$granted 1 2" "$(with 'sed -nE "s/^(CapEff|NoNewPrivs|Seccomp):\t//p" /proc/1/status' | xargs)"
# An init is in the container's sight for as long as it runs.
cat > found.py <<'P'
import re, sys
found = 0
for line in open(f"/proc/{sys.argv[1]}/maps"):
    begin, end, rights, name = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+ *(.*)", line).groups()
    if not rights.startswith("rw") or name.startswith("[v"): continue
    with open(f"/proc/{sys.argv[1]}/mem", "rb", 0) as memory:
        memory.seek(int(begin, 16))
        found += memory.read(int(end, 16) - int(begin, 16)).count(sys.argv[2].encode())
print("some" if found else "none")
P
# With a function of the script's inside the init is a copy of luabox's process, without one it has become a program of its own.
copied="function() end"
if command -v python3 > /dev/null; then
  for how in "" "$copied"; do
    script "name = '$mark'" "hostname = 'secret' .. 'script.$$'" "command = { 'sleep', '4141.$$' }" ${how:+"$how"}
    # A trace is luabox's own to write: no monitor takes its place.
    env TOKEN="secretenviron.$$" "$LUABOX" run --trace trace.json box.lua < /dev/null & runtime=$!
    within 5 eval "inside=\$(pgrep -fx 'sleep 4141.$$')"
    init=$(awk '{ print $4 }' "/proc/$inside/stat")
    little() { memory=$(awk '/^Anonymous/ { print $2 }' "/proc/$init/smaps_rollup"); [ "$memory" -le 32 ]; }
    within 5 little; equal "the init${how:+, a copy,} has little memory: $memory kB" 0 $?
    forgotten() { memory=$(python3 found.py "$init" "secret$of.$$"); [ "$memory" = none ]; }
    for of in script environ; do
      holds "what luabox knows of its $of" some "$(python3 found.py $runtime "secret$of.$$")"
      within 5 forgotten; equal "is not in the memory of the init${how:+, a copy}" none "$memory"
    done
    equal "the init has no environment" "" "$(tr -d '\0' < "/proc/$init/environ")"
    holds "luabox's own command line stands there again" "run --trace trace.json box.lua" "$(tr '\0' ' ' < /proc/$runtime/cmdline)"
    kill $runtime; wait $runtime
  done
fi
if command -v strace > /dev/null; then
  script "name = '$mark'" "command = { 'sleep', '5' }" "$copied"
  for call in madvise munmap; do
    strace -f -qq -o /dev/null -e trace=$call -e inject=$call:error=EINVAL "$LUABOX" run box.lua < /dev/null 2>&1 | cat > out
    equal "an init that can't give its memory back ends its container ($call)" 125 ${PIPESTATUS[0]}
  done
  script "name = '$mark'" "command = { 'sleep', '5' }"
  strace -f -qq -o /dev/null -e trace=execveat -e inject=execveat:error=EACCES "$LUABOX" run box.lua < /dev/null > out 2>&1
  equal "so does one that can't become a program of its own" 125 $?
  holds "and it is told" "execveat the container's init: Permission denied" "$(cat out)"
  strace -f -qq -o /dev/null -e trace=memfd_create -e inject=memfd_create:error=EACCES "$LUABOX" run box.lua -- true < /dev/null > out 2>&1
  equal "where there can be none the init is a copy" 0 $?
fi
equal "also for a command that may trace it" "and that is all" \
  "$(TOKEN=secret with "capabilities = { add = { 'sys_ptrace' } }" 'tr -d "\0" < /proc/1/environ && echo and that is all')"
# It is closed before its command begins, however long that takes.
if command -v strace > /dev/null; then
  script "name = '$mark'" "capabilities = { add = { 'sys_ptrace' } }" "command = { 'sh', '-c', 'ls /proc/1/fd | wc -l' }"
  equal "nor does it hold a descriptor at its command's first moment" 0 \
    "$(strace -f -qq -o /dev/null -e trace=close_range -e inject=close_range:delay_enter=300000 "$LUABOX" run box.lua 2>&1 < /dev/null)"
fi
# Nor is it a way around a filter of the script's, which it is not behind: what may trace it can have it make any call.
cat > made.py <<'P'
import os, re, signal, struct, sys
init = int(sys.argv[1])
# mkdir("/made", 0755); exit_group
code = b"\xbe\xed\x01\0\0" b"\xb8\x53\0\0\0" b"\x0f\x05" b"\xb8\xe7\0\0\0" b"\x0f\x05"
with open(f"/proc/{init}/mem", "r+b", 0) as memory:
    memory.seek(int(open(f"/proc/{init}/syscall").read().split()[-1], 16))
    memory.write(b"\x48\x8d\x3d" + struct.pack("i", len(code)) + code + b"/made\0")
os.kill(init, signal.SIGUSR1)
P
if command -v python3 > /dev/null && [ "$(uname -m)" = x86_64 ]; then
  for filter in "" "rules = { { name = 'mkdir', action = 'errno' } }"; do
    script "name = '$mark'" "command = { 'sleep', '4242.$$' }" "$copied" ${filter:+"seccomp = { $filter }"}
    "$LUABOX" run box.lua < /dev/null & runtime=$!
    within 5 eval "inside=\$(pgrep -fx 'sleep 4242.$$')"; sleep 0.2
    python3 made.py "$(awk '{ print $4 }' "/proc/$inside/stat")"; wait $runtime
    made=$(rmdir rootfs/made 2> /dev/null && echo made)
    if [ -z "$filter" ]; then equal "an init that is written to makes a folder" made "$made"
    else equal "where the script's filter refuses it, it makes none" "" "$made"; fi
  done
fi
equal "there is no group but its own" "0" "$(field Groups | xargs)"
equal "its cgroup is the root of what it sees" "/" "$(with "sed -n 's/^[0-9]*:pids://p; s/^0:://p' /proc/self/cgroup | sort -u")"

masks='for f in /proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
  if [ -d $f ]; then ls -A $f; elif [ -e $f ]; then head -c 1 $f; fi; done'
equal "masked paths of /proc and /sys are empty" "" "$(with "$masks")"
stat -c '%a %u %Y' /dev/null > null.before
with 'chmod 600 /proc/keys /proc/interrupts; chown 7 /proc/keys; touch -d "2001-01-01 00:00" /proc/keys' >/dev/null
stat -c '%a %u %Y' /dev/null > null.after; [ "$(stat -c '%a %u' /dev/null)" = "666 0" ] || { chmod 666 /dev/null; chown 0:0 /dev/null; }
equal "what covers a masked file can't be changed: it is the host's /dev/null" "$(cat null.before)" "$(cat null.after)"
for path in /proc/sys/kernel/domainname /proc/sysrq-trigger /proc/irq/default_smp_affinity /sys/kernel/uevent_seqnum; do
  [ -e $path ] && holds "$path can't be written" "Read-only file system" "$(with "echo h > $path")"
done
holds "/proc/bus and /proc/fs are read-only" "2" "$(with "grep -cE ' /proc/(bus|fs) ro,' /proc/self/mountinfo")"
holds "a cgroup can't be made from inside" "Read-only file system" "$(with 'for d in /sys/fs/cgroup/pids /sys/fs/cgroup; do [ -d $d ] && exec mkdir $d/escape; done')"
holds "its own limit can't be raised" "Read-only file system" "$(with 'echo max > $(find /sys/fs/cgroup -name pids.max)')"
equal "/dev holds these and nothing else" "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero" "$(with 'ls /dev' | xargs)"
equal "the devices are what they are called" "full:1:7 null:1:3 random:1:8 tty:5:0 urandom:1:9 zero:1:5" \
  "$(with 'cd /dev; stat -c %n:%t:%T full null random tty urandom zero' | xargs)"
equal "/dev/null and /dev/zero work, /dev/full is full" "0 4 1" \
  "$(with 'cat /dev/null | wc -c; head -c 4 /dev/zero | wc -c; echo x 2>&- > /dev/full; echo $?' | grep -v 'write error' | xargs)"
equal "/dev/fd leads to its own descriptors" word "$(with 'echo word | cat /dev/fd/0')"
equal "/dev/shm is a tmpfs of its own" "tmpfs 65536" "$(with "df -k /dev/shm | awk 'NR == 2 { print \$1, \$2 }'")"
equal "/dev/mqueue and /dev/pts are mounts of their kind" "devpts mqueue" "$(with "awk '\$2 == \"/dev/mqueue\" || \$2 == \"/dev/pts\" { print \$3 }' /proc/mounts" | sort | xargs)"
equal "no terminal of the host's is in /dev/pts" "ptmx" "$(with 'ls /dev/pts')"
holds "a device can't be made" "Operation not permitted" "$(with 'mknod /tmp/disk b 254 0')"
equal "the environment is PATH, HOME and HOSTNAME" "HOME=/root HOSTNAME=web PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
  "$(script "hostname = 'web'" "command = { 'env' }"; SECRET=1 LD_PRELOAD= run box.lua | sort | xargs)"
exec 8< /etc/passwd 9> /dev/null
equal "no descriptor of the caller's is inherited but 0 to 2" "0 1 2" "$(with 'for f in /proc/self/fd/*; do [ -e $f ] && echo ${f##*/}; done' | xargs)"
exec 8<&- 9>&-
equal "the umask is 022" 0022 "$(with umask)"
equal "hostname, /etc/hostname and /etc/hosts agree" "web web 127.0.1.1" "$(with "hostname = 'web'" "hostname; cat /etc/hostname; awk '\$2 == \"web\" { print \$1 }' /etc/hosts" | xargs)"
equal "/etc/resolv.conf has the host's servers, not its loopback" "$(grep -E '^nameserver' /etc/resolv.conf | grep -v ' 127\.' | xargs)" "$(with 'grep ^nameserver /etc/resolv.conf' | xargs)"
equal "the generated files are not in the rootfs folder" "group passwd" "$(ls rootfs/etc | xargs)"
equal "no mount but the root itself has a path of the host's" "" "$(with 'cat /proc/self/mountinfo' | awk '$5 != "/" && $4 ~ /luabox|state|tmp/')"
equal "nothing of the host is mounted" "0" "$(with 'cat /proc/self/mountinfo' | grep -cE ' /(home|var|oldroot|\.old|put_old|mnt)')"
equal "core files are off where they are off for the caller, limits are inherited" "$(ulimit -n)" "$(with 'ulimit -n')"
started
equal "at most 4096 processes" 4096 "$(cgroup_file pids.max)"
kill -TERM $child; wait $child

# ---- system calls, from a program that tries them

cat > probe.c <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifndef __NR_clone3
#define __NR_clone3 435
#endif
static char space[256];
static void report(const char *name, long result) {
  printf("%s=%s\n", name, result >= 0 ? "done" : errno == EPERM ? "EPERM" : errno == ENOSYS ? "ENOSYS" : strerror(errno));
}
#define TRY(name, ...) errno = 0, report(#name, syscall(__NR_##name, __VA_ARGS__))
int main(int argc, char **argv) {
  setvbuf(stdout, 0, _IONBF, 0);
  if (argc > 1 && !strcmp(argv[1], "keyring")) return printf("%ld\n", syscall(__NR_keyctl, 0, -3, 0)), 0;
#ifdef __x86_64__
  if (fork() == 0) {  /* some virtual machines have no such gate: a fault */
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(39), "b"("/tmp/by32"), "c"(0755) : "memory");  /* mkdir in i386 */
    result = 0;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(288), "b"(0), "c"(-3), "d"(0), "S"(0), "D"(0) : "memory");  /* keyctl in i386 */
    printf("i386_keyctl=%s\n", result >= 0 ? "done" : "refused");
    return 0;
  }
  wait(0);
  errno = 0, report("x32_keyctl", syscall(0x40000000 + __NR_keyctl, 0, -3, 0));
#endif
  TRY(clone3, space, 88);
  TRY(keyctl, 0, -3, 0);
  TRY(add_key, "user", "k", "v", 1, -3);
  TRY(io_uring_setup, 1, space);
  TRY(userfaultfd, 1);
  TRY(bpf, 0, space, 48);
  TRY(perf_event_open, space, 0, -1, -1, 0);
  TRY(mount, "none", "/tmp", "tmpfs", 0, 0);
  TRY(umount2, "/proc", 2);
  TRY(pivot_root, ".", ".");
  TRY(setns, 0, 0);
  TRY(fsopen, "tmpfs", 0);
  TRY(open_tree, -100, "/", 1);
  TRY(move_mount, -1, "", -100, "/tmp", 4);
  TRY(init_module, space, 1, "");
  TRY(finit_module, 0, "", 0);
  TRY(delete_module, "nosuch", 0);
  TRY(kexec_load, 0, 0, 0, 0);
  TRY(open_by_handle_at, -100, space, 0);
  TRY(swapon, "/nosuch", 0);
  TRY(reboot, 0, 0, 0, 0);
  TRY(syslog, 3, space, 1);
  TRY(quotactl, 0, 0, 0, 0);
  TRY(acct, "/nosuch");
  TRY(clone, CLONE_NEWUSER | 17, 0, 0, 0, 0);
  TRY(unshare, CLONE_NEWUSER);
  return 0;
}
C
if gcc -static -O1 -o rootfs/bin/probe probe.c 2> errors; then
  calls=$(with probe); open=$(with "seccomp = 'unconfined'" probe | sort -u)
  call() { grep -m1 "^$1=" <<< "$calls" | cut -d= -f2; }
  equal "clone3 answers ENOSYS, so that libraries fall back to clone" ENOSYS "$(call clone3)"
  for name in keyctl add_key io_uring_setup userfaultfd bpf perf_event_open mount umount2 pivot_root setns fsopen open_tree move_mount init_module \
      finit_module delete_module kexec_load open_by_handle_at swapon reboot syslog quotactl acct clone unshare; do
    if [[ $(call $name) == EPERM || $(call $name) == ENOSYS ]]; then ok "$name is refused"; else failed "$name is refused" "$(call $name)"; fi
  done
  if [ "$(uname -m)" = x86_64 ]; then
    lacks "the i386 calls are filtered too" "i386_keyctl=done" "$calls"
    lacks "the x32 calls are filtered too" "x32_keyctl=done" "$calls"
  fi
  holds "seccomp = 'unconfined' opens keyctl" "keyctl=done" "$open"
  holds "seccomp = 'unconfined' opens new user namespaces" "unshare=done" "$open"
  equal "a filter of the script's own is the one in force" "EPERM done" "$(with "seccomp = { default = 'allow', rules = { { names = { 'unshare' }, action = 'errno' } } }" probe | sed -nE 's/^(keyctl|unshare)=//p' | sort -u | xargs)"
  differs "the session keyring is its own" "$(rootfs/bin/probe keyring)" "$(with "seccomp = 'unconfined'" 'probe keyring')"
  equal "keyring = false keeps the caller's" "$(rootfs/bin/probe keyring)" "$(with "seccomp = 'unconfined'" "keyring = false" 'probe keyring')"
else
  echo "skipped - system calls one by one: no C compiler that links statically ($(head -1 errors))"
fi

# ---- each opened by its name

for kind in uts ipc pid net cgroup; do
  equal "namespaces = { $kind = 'host' } shares the host's" "$(readlink /proc/self/ns/$kind)" "$(namespace $kind "namespaces = { $kind = 'host' }")"
done
unshare --net --uts sleep 20 & other=$!
within 2 test "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" || sleep 0.2
equal "a namespace is joined by its path" "$(readlink /proc/$other/ns/net)" "$(namespace net "namespaces = { net = '/proc/$other/ns/net' }")"
kill $other; wait $other 2>/dev/null
equal "network = 'host' is the host's network" "$(readlink /proc/self/ns/net)" "$(namespace net "network = 'host'")"
capabilities() { field "capabilities = $1" CapEff; }
equal "capabilities.add adds" $((0x$granted | 1 << 12)) $((0x$(capabilities "{ add = { 'CAP_NET_ADMIN' } }")))
equal "capabilities.drop takes away" $((0x$granted & ~1)) $((0x$(capabilities "{ drop = { 'chown' } }")))
equal "capabilities.only is all there is" 0000000000000020 "$(capabilities "{ only = { 'KILL' } }")"
equal "capabilities = 'none' leaves none, not even in the bounding set" "0000000000000000 0000000000000000" "$(capabilities "'none'") $(field "capabilities = 'none'" CapBnd)"
equal "capabilities = 'all' is what the kernel has" "$(sed -n 's/^CapBnd:\t//p' /proc/self/status)" "$(capabilities "'all'")"
equal "an ambient capability survives a user's exec" 0000000000000400 "$(field "user = 'user'" "capabilities = { ambient = { 'net_bind_service' } }" CapEff)"
equal "no_new_privs = false leaves it off, the filter on" "0 2" "$(field "no_new_privs = false" NoNewPrivs) $(field "no_new_privs = false" Seccomp)"
equal "masked = {} shows the paths" 1 "$(with "masked = {}" 'head -c 1 /proc/interrupts | wc -c')"
equal "masked = { ... } are these and no others" "0 1" "$(with "masked = { '/proc/version' }" 'head -c 1 /proc/version | wc -c; head -c 1 /proc/interrupts | wc -c' | xargs)"
equal "readonly_paths = {} leaves /proc/sys writable" "site" "$(with "readonly_paths = {}" 'echo site > /proc/sys/kernel/domainname; cat /proc/sys/kernel/domainname')"
equal "init = false makes the command pid 1" 1 "$(with "init = false" 'echo $$')"
equal "user by name: its ids, its groups, its home" "1000 1000 50 1000 /home" "$(with "user = 'user'" 'echo $(id -u) $(id -g) $(sed -n "s/^Groups://p" /proc/self/status) $HOME')"
equal "user by number and group" "7 50" "$(with "user = '7:50'" 'echo $(id -u) $(id -g)')"
equal "a user has no capability, effective or permitted" "0000000000000000 0000000000000000" "$(field "user = 'user'" CapEff) $(field "user = 'user'" CapPrm)"
equal "cwd is where the command starts" /usr/bin "$(with "cwd = '/usr/bin'" pwd)"
equal "rlimits in bytes, as sizes" "2048 4096" "$(with "rlimits = { fsize = { soft = '1MiB', hard = '2M' } }" 'ulimit -Sf; ulimit -Hf' | xargs)"
equal "rlimits, soft and hard" "100 200" "$(with "rlimits = { nofile = { soft = 100, hard = 200 } }" 'ulimit -Sn; ulimit -Hn' | xargs)"
echo 0 > /proc/sys/net/ipv4/ip_forward
equal "sysctls of its own namespaces" 1 "$(with "sysctl = { ['net.ipv4.ip_forward'] = 1 }" 'cat /proc/sys/net/ipv4/ip_forward')"
equal "of the ipc namespace too, large numbers whole" "17 1152921504606846976" \
  "$(with "sysctl = { ['fs.mqueue.msg_max'] = 17, ['kernel.shmmax'] = 2 ^ 60 }" 'cat /proc/sys/fs/mqueue/msg_max /proc/sys/kernel/shmmax' | xargs)"
equal "/proc/ is /proc: mounted once" 1 "$(with "mounts = { proc '/proc/' }" 'grep -c " /proc proc " /proc/mounts')"
equal "the host's sysctl of that name is as it was" 0 "$(cat /proc/sys/net/ipv4/ip_forward)"
for node in /dev/fuse /dev/net/tun /dev/kmsg; do
  [ -c $node ] || continue
  equal "devices = { '$node' } gives the device" "$(stat -c %t:%T $node)" "$(with "devices = { '$node' }" "stat -c %t:%T $node")"
  break
done
equal "umask = '077'" 0077 "$(with "umask = '077'" umask)"
equal "nice and oom_score_adj" "5 500" "$(with "nice = 5" "oom_score_adj = 500" 'cut -d" " -f19 /proc/self/stat; cat /proc/self/oom_score_adj' | xargs)"
equal "a number in env has all its digits" "123456789012345 9007199254740992 -5 0.1 0.12345678901234566 1e-300" \
  "$(with "env = { A = 123456789012345, B = 2^53, C = -5, D = 0.1, E = 0.12345678901234566, F = 1e-300 }" 'echo $A $B $C $D $E $F')"
equal "so has a tmpfs's size" "size=120563270524k" \
  "$(with "mounts = { tmpfs { '/tmp', size = 123456789016576 } }" "sed -n 's,.* /tmp .*\\(size=[0-9]*k\\).*,\\1,p' /proc/mounts")"
equal "env adds and replaces" "/x y" "$(with "env = { PATH = '/x:/bin', FOO = 'y' }" 'echo ${PATH%%:*} $FOO')"
equal "hosts and dns" "10.1.2.3 9.9.9.9" "$(with "hosts = { '10.1.2.3 db' }" "dns = { '9.9.9.9' }" "awk '\$2 == \"db\" { print \$1 }' /etc/hosts; cut -d' ' -f2 /etc/resolv.conf" | xargs)"
holds "etc = false leaves the image's files alone" "No such file" "$(with "etc = false" 'cat /etc/hostname')"
equal "a tmpfs has the size that was said" 2048 "$(with "mounts = { tmpfs { '/tmp', size = '2MiB', mode = '700' } }" "df -k /tmp | awk 'NR == 2 { print \$2 }'")"
holds "and no more fits" "No space left" "$(with "mounts = { tmpfs { '/tmp', size = '1MiB' } }" 'dd if=/dev/zero of=/tmp/big bs=100k count=20')"
equal "proc { subset = 'pid' } hides the rest" "" "$(with "masked = {}" "readonly_paths = {}" "mounts = { proc { '/proc', subset = 'pid' } }" 'ls /proc | grep -E "^(sys|meminfo|cpuinfo)$"')"
started "cgroup = { pids = 7, memory = '50MB' }"
equal "cgroup keys are what the kernel has" 7 "$(cgroup_file pids.max)"
kill -TERM $child; wait $child
holds "the pids limit holds" "fork" "$(with "cgroup = { pids = 5 }" 'for i in 1 2 3 4 5 6 7 8; do sleep 0.3 & done; wait')"

# ---- the root file system

root() { printf 'return container { rootfs = %s, command = { "true" } }\n' "$1" > root.lua; run root.lua -- sh -c "$2" 2>&1; }
holds "readonly = true" "Read-only file system" "$(root "directory { '$work/rootfs', readonly = true }" 'touch /file')"
equal "a read-only root still has its /dev and /proc" "0 ok" "$(root "directory { '$work/rootfs', readonly = true }" 'wc -c < /dev/null; [ -d /proc/1 ] && echo ok' | xargs)"
equal "overlay = true: what is written is read" text "$(root "directory { '$work/rootfs', overlay = true }" 'echo text > /file; rm /etc/group; cat /file')"
equal "and the folder is as it was" "group passwd" "$(ls rootfs rootfs/etc | grep -xE 'file|group|passwd' | xargs)"
mknod rootfs/null c 1 3; chmod 666 rootfs/null
holds "a device node in the root file system doesn't open" "Permission denied" "$(root "'$work/rootfs'" 'cat /null')"
equal "a device that /dev has already is no mistake" "1:9 0" "$(with "devices = { '/dev/urandom', '/dev/urandom' }" 'stat -c %t:%T /dev/urandom; head -c 1 /dev/urandom > /dev/null; echo $?' | xargs)"
equal "one may take a default node's place" 1:5 "$(with "devices = { { path = '/dev/zero', name = 'null' } }" 'stat -c %t:%T /dev/null')"
equal "with users too" 1:5 "$(with "users = { uid = '0 0 65536' }" "devices = { { path = '/dev/zero', name = 'null' }, '/dev/tty' }" 'stat -c %t:%T /dev/null')"
holds "two of one name are refused" "box.lua:5: two devices are called /dev/x: /dev/zero and /dev/full" "$(with "devices = { { path = '/dev/zero', name = 'x' }, { path = '/dev/full', name = 'x' } }" true)"
for name in pts/9 shm ptmx; do holds "a device called $name is refused" "/dev/${name%/*} is the container's own, no place for /dev/zero" "$(with "devices = { { path = '/dev/zero', name = '$name' } }" true)"; done
equal "devices = true lets it" "" "$(root "directory { '$work/rootfs', devices = true }" 'cat /null')"
rm rootfs/null
ln -s rootfs link
equal "a rootfs may be named by a symlink" ok "$(root "'$work/link'" 'echo ok')"

# ---- volumes

mkdir -p volume/sub other; mount -t tmpfs -o mode=755 none volume/sub; echo text > volume/file; echo text > volume/sub/file
bound() { with "mounts = { $1 }" "$2"; }
equal "a bind shows the folder, with what is mounted in it" "text text" "$(bound "bind { './volume', '/data' }" 'cat /data/file /data/sub/file' | xargs)"
equal "and can be written to" written "$(bound "bind { './volume', '/data' }" 'echo written > /data/new'; cat volume/new)"
equal "readonly reaches a mount below: neither can be written to" 2 \
  "$(bound "bind { './volume', '/data', readonly = true }" 'touch /data/no; touch /data/sub/no' | grep -c 'Read-only file system')"
equal "recursive = false leaves what is mounted below out" "" "$(bound "bind { './volume', '/data', recursive = false }" 'ls /data/sub')"
equal "a single file" "text" "$(bound "bind { './volume/file', '/etc/one', readonly = true }" 'cat /etc/one')"
holds "a single file, read-only" "Read-only file system" "$(bound "bind { './volume/file', '/etc/one', readonly = true }" 'echo x > /etc/one')"
equal "over a generated file: the script's own is shown" text "$(bound "bind { './volume/file', '/etc/hosts' }" 'cat /etc/hosts')"
ln -s "$work/other" rootfs/outside; ln -s usr rootfs/inside
equal "a target through an image's symlink stays in the image" "text ok" "$(bound "bind { './volume', '/inside/data' }" 'cat /usr/data/file; echo ok' | xargs)"
bound "bind { './volume', '/outside/data' }" true > output
equal "a target through a symlink to the host makes nothing on the host" "" "$(ls -A other)"
equal "an image's symlinks are still there afterwards" "inside outside" "$(cd rootfs; ls -d inside outside 2>/dev/null | xargs)"
rm -f rootfs/outside rootfs/inside
ln -s ../run/systemd/resolve/stub-resolv.conf rootfs/etc/resolv.conf
equal "a dangling /etc/resolv.conf is what it should be inside" "$(grep -c ^nameserver /etc/resolv.conf)" "$(with 'grep -c ^nameserver /etc/resolv.conf')"
equal "and still dangles afterwards, with nothing made for it" "../run/systemd/resolve/stub-resolv.conf " "$(readlink rootfs/etc/resolv.conf) $(ls rootfs/run)"
rm -rf rootfs/etc/resolv.conf rootfs/run/systemd
mknod volume/null c 1 3; cp rootfs/bin/busybox volume/busybox; chmod 4755 volume/busybox; chmod 666 volume/null
holds "devices in a volume don't open" "Permission denied" "$(bound "bind { './volume', '/data' }" 'cat /data/null')"
equal "unless nodev = false" "" "$(bound "bind { './volume', '/data', nodev = false }" 'cat /data/null')"
holds "noexec" "Permission denied" "$(bound "bind { './volume', '/data', noexec = true }" '/data/busybox true')"
equal "set-uid in a volume is off also without no_new_privs" 1000 "$(with "user = 'user'" "no_new_privs = false" "mounts = { bind { './volume', '/data' } }" '/data/busybox id -u')"
equal "an overlay of several folders" "a b" "$(mkdir -p a b up wk; echo a > a/one; echo b > b/two
  bound "overlay { '/data', lower = { './a', './b' }, upper = './up', work = './wk' }" 'cat /data/one /data/two; echo new > /data/new' | xargs)"
equal "whose changes are in its upper folder" new "$(cat up/new)"
umount volume/sub

leaves_nothing "nothing is left behind"
equal "the rootfs folder is as it was" "bin dev etc proc root run sys tmp usr" "$(ls rootfs | xargs)"
finish
