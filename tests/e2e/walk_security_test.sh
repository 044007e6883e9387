#!/bin/bash
# The walks of examples/security; AppArmor only where the kernel has it (tools/test-vm).
. "$(dirname "$0")/common.sh"
chmod 755 "$work"
mark=-$$-  # in the names of all containers: a walk's is its script's
runner=()
walk() { cp "$top/examples/security/$1.lua" "$1-$$.lua"; timeout $((60 * slow)) "${runner[@]}" "$LUABOX" run "$1-$$.lua" "${@:2}" 2>&1; }
folders() { find /tmp -maxdepth 1 -name "$1" | sort; }

# ---- limits
limits() {
  local seen
  seen=$(walk rlimits rootfs)
  holds "security/rlimits: $1ten descriptors and no more" "nofile: 10 files, then: Too many open files" "$seen"
  holds "security/rlimits: $1a file ends at its largest size" "fsize: 1000000 bytes" "$seen"
  holds "security/rlimits: $1memory is refused" "as: memory exhausted" "$seen"
  holds "security/rlimits: $1a second of CPU time, and it is over" "cpu: ended by signal 9" "$seen"
}

seccomp() {
  local seen
  seen=$(walk seccomp rootfs)
  holds "security/seccomp: $1a call by its name, with an errno of the script's own" "mkdir: can't create directory '/tmp/folder': Read-only file system" "$seen"
  holds "security/seccomp: $1a call by its argument: KILL is refused" $'Operation not permitted\nit lives' "$seen"
  holds "security/seccomp: $1and TERM is not" "TERM: 143" "$seen"
  holds "security/seccomp: $1a call that kills its caller" "sync: 159" "$seen"
}

strict() {
  local seen
  seen=$(walk strict rootfs)
  holds "security/strict: $1what writes and exits goes on" $'behind the filter\nwrites: exit status 0' "$seen"
  holds "security/strict: $1what opens a file is killed" "opens: killed by SIGSYS" "$seen"
}

no_new_privs() {
  if [ "$(findmnt -no OPTIONS --target /tmp | grep -c nosuid)" = 0 ]; then
    holds "security/no_new_privs: $1without it a set-uid program runs as its owner" "without: 0" "$2"
  else
    skipped "security/no_new_privs: $1without it a set-uid program runs as its owner" "/tmp is mounted nosuid here"
  fi
  holds "security/no_new_privs: $1with it as who started it" "with: 1000" "$2"
  holds "security/no_new_privs: $1an exec doesn't take it away" "with, later: 1000 NoNewPrivs: 1" "$2"
}

apparmor() {
  if [ -d /sys/kernel/security/apparmor ] && command -v apparmor_parser > /dev/null; then
    holds "security/apparmor: $1the command runs under its profile" "profile: label luabox-walk (enforce)" "$2"
    holds "security/apparmor: $1which denies a file to root" "profile: /etc/shadow denied" "$2"
    holds "security/apparmor: $1and writing to a folder" "profile: /root/file denied" "$2"
    holds "security/apparmor: $1and nothing else" $'profile: /etc/passwd read\nprofile: /etc/shadow denied\nprofile: /tmp/file written' "$2"
    holds "security/apparmor: $1all of it works without" $'no profile: /etc/shadow read\nno profile: /tmp/file written\nno profile: /root/file written' "$2"
    lacks "security/apparmor: $1with a profile that isn't loaded nothing runs" "unknown profile: label" "$2"
    holds "security/apparmor: $1and the error names it" "exec_label no-such-profile: No such file or directory (no AppArmor profile of that name is loaded)" "$2"
  else
    lacks "security/apparmor: $1a container that asks for a profile isn't started without" "profile: label" "$2"
    holds "security/apparmor: $1and the error says so with its line" "this kernel has no AppArmor" "$2"
    skipped "security/apparmor: $1a profile confines a container" "this kernel has no AppArmor, or there is no apparmor_parser"
  fi
}

make_rootfs rootfs
echo secret > rootfs/etc/shadow
as_root() {
  local seen before bounding
  before=$(folders 'walk-*')

  # ---- capabilities
  seen=$(walk capabilities rootfs)
  for name in mknod ping; do holds "security/capabilities: $name is refused by default" "$name: no" "$seen"; done
  holds "security/capabilities: mknod makes a device" "mknod with mknod: yes" "$seen"
  holds "security/capabilities: net_raw sends a ping" "ping with net_raw: yes" "$seen"
  holds "security/capabilities: for user 1000 the bounding set alone does not" "ping of user 1000, net_raw in the bounding set: no" "$seen"
  if [ "$(findmnt -no OPTIONS --target /tmp | grep -c nosuid)" = 0 ]; then
    holds "security/capabilities: a file capability does" "file capability: yes" "$seen"
  else
    skipped "security/capabilities: a file capability does" "/tmp is mounted nosuid here"
  fi
  holds "security/capabilities: not with no_new_privs, which is the default" "file capability, no_new_privs: no" "$seen"
  holds "security/capabilities: not beyond the bounding set" "file capability, net_raw not in the bounding set: no" "$seen"
  # The same from outside: what the kernel says of the process, and the device that was made.
  script "capabilities = { add = { 'mknod' } }" "command = { 'sh', '-c', 'mknod /tmp/null c 1 3; sed -n s/CapBnd:.//p /proc/self/status' }"
  bounding=$("$LUABOX" run box.lua 2>&1)
  equal "security/capabilities: the device is one outside too" "character special file 1:3" "$(stat -c '%F %t:%T' rootfs/tmp/null)"
  rm -f rootfs/tmp/null
  equal "security/capabilities: mknod is in the bounding set, net_raw isn't" "1 0" "$((0x$bounding >> 27 & 1)) $((0x$bounding >> 13 & 1))"

  seccomp ""
  strict ""

  seen=$(walk no_new_privs)
  no_new_privs "" "$seen"

  limits ""
  script "rlimits = { nofile = 64, core = { soft = 0, hard = 1000 } }" "command = { 'sh', '-c', 'grep -E \"open files|core\" /proc/self/limits' }"
  equal "security/rlimits: a container's are in the kernel" "Max core file size 0 1000 bytes Max open files 64 64 files" "$("$LUABOX" run box.lua 2>&1 | xargs)"

  apparmor "" "$(walk apparmor rootfs)"
  [ ! -d /sys/kernel/security/apparmor ] || equal "security/apparmor: the walk takes its profile away" 0 "$(grep -c luabox-walk /sys/kernel/security/apparmor/profiles)"
  equal "security: the walks leave nothing in /tmp" "$before" "$(folders 'walk-*')"
  leaves_nothing "security: nothing is left"
}
[ "$(id -u)" != 0 ] || as_root

# ---- an ordinary user
as=rootless
if [ "$(id -u)" = 0 ]; then
  confined=$([ ! -d /sys/kernel/security/apparmor ] || echo yes)
  [ -z "$confined" ] || walk apparmor rootfs load  # by the site, for all its users
  install -d -o 1000 "$work/user"
  install -m 4755 "$(command -v id)" "$work/id"
  chown -R 1000:1000 rootfs
  runner=(setpriv --reuid 1000 --regid 1000 --clear-groups)
  export LUABOX_STATE=$work/user/state LUABOX_IMAGES=$work/user/images
fi
limits "rootless: "
holds "security/rlimits: rootless: a hard limit can't be raised again" "core: can't be raised again" "$(walk rlimits rootfs)"
strict "rootless: "
if [ -e "$work/id" ]; then no_new_privs "rootless: " "$(walk no_new_privs "$work/id")"; else holds "security/no_new_privs: rootless: what it takes is told" "set-uid copy of id" "$(walk no_new_privs)"; fi
if "${runner[@]}" unshare --user true 2>/dev/null; then
  seccomp "rootless: "
  seen=$(walk capabilities rootfs)
  holds "security/capabilities: rootless: net_raw sends a ping in the container's own network" $'ping: no\nping with net_raw: yes' "$seen"
  refused "security/capabilities: rootless: a user namespace makes no devices, whatever the capability" "mknod with mknod: no" "$seen"
  if [ "$(id -u)" != 0 ]; then skipped "security/apparmor: rootless: the command runs under its profile" "only root loads profiles"
  else apparmor "rootless: " "$(walk apparmor rootfs)"; fi
  leaves_nothing "security: rootless: nothing is left"
else
  for each in seccomp capabilities apparmor; do skipped "security/$each: rootless" "this kernel lets no ordinary user make a user namespace"; done
fi
[ -z "${confined:-}" ] || { runner=(); walk apparmor rootfs remove; }
finish
