#!/bin/bash
# Root of a user namespace in which luabox itself was started: what unshare -r, and a container of a rootless docker or podman, make of one.
. "$(dirname "$0")/common.sh"
unshare --user --map-root-user true 2> /dev/null || { echo "skipped: no user namespaces here"; exit 77; }
make_rootfs rootfs
mkdir mapped

# mapped SHELL-WORDS: with a state of its own, which goes with the mount namespace.
mapped() {
  unshare --user --map-root-user --mount --net bash -c 'mount -t tmpfs -o mode=700 tmpfs "$1" && export LUABOX_STATE=$1 && eval "$2"' _ "$work/mapped" "$1" < /dev/null 2>&1
}
run='timeout -s KILL $((30 * '$slow')) "$LUABOX"'

script "command = { 'sh' }"
seen=$(mapped "$run run box.lua -- sh -c 'id -u; echo x > /dev/null; head -c 2 /dev/zero | wc -c; stat -c %t:%T /dev/urandom; cat /proc/1/comm'; echo \$?")
equal "a default container starts, and has its devices" "0 2 1:9 init 0" "$(xargs <<< "$seen" | sed 's/luabox/init/')"
equal "it can make none" "refused" "$(mapped "$run run box.lua -- sh -c 'mknod /tmp/disk b 8 0 2> /dev/null || echo refused'")"
equal "a terminal of its own" "0 /dev/pts/0" "$(script "terminal = true" "command = { 'sh' }"; mapped "$run run box.lua -- sh -c 'stat -c %g /dev/console; tty'" | tr -d '\r' | xargs)"
script "rootfs = directory { '$work/rootfs', overlay = true }" "command = { 'sh' }"
equal "an overlay" "new" "$(mapped "$run run box.lua -- sh -c 'rm /bin/sh; echo new > /new; cat /new'")"
equal "that leaves the folder as it is" "sh" "$(ls rootfs/bin | grep -x sh)$(ls rootfs | grep -x new)"
script "name = 'mapped'" "command = { 'sleep', '5' }"
equal "a process beside it" "0 0" "$(mapped "$run run box.lua & while ! $run list | grep -q mapped.*running; do sleep 0.1; done; $run exec mapped sh -c 'id -u'; echo \$?; $run kill mapped KILL; wait" | grep -v killed | xargs)"
script "users = 'auto'" "command = { 'true' }"
holds "ids that it does not have are refused, at the line" "box.lua:" "$(mapped "$run run box.lua")"
leaves_nothing "nothing is left behind"
finish
