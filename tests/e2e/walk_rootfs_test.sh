#!/bin/bash
# The walks of examples/rootfs, and what the options that they show refuse.
. "$(dirname "$0")/common.sh"
chmod 755 "$work"
runner=()
make_rootfs rootfs
mark=-$$-  # in the names of all containers: a walk's is its script's
walk() { local name=$1; shift; cp "$top/examples/rootfs/$name.lua" "$name-$$.lua"; timeout $((60 * slow)) "${runner[@]}" "$LUABOX" run "$name-$$.lua" rootfs "$@" 2>&1; }

layers() {
  local seen
  seen=$(walk layers)
  holds "rootfs/layers: $1the topmost layer that has a file gives it, lower ones the rest" "first: name is top, doomed is still here" "$seen"
  holds "rootfs/layers: $1changes are kept, what was deleted stays gone" "second: added:new name:changed" "$seen"
  holds "rootfs/layers: $1the layers are as they were" $'top/srv/name:top\nmiddle/srv/doomed:still here\nmiddle/srv/name:middle' "$seen"
  holds "rootfs/layers: $1a deletion leaves a whiteout in the upper folder" $'changes/upper: added file doomed character special file name file\nwhiteout: device 0:0' "$seen"
  equal "rootfs/layers: $1the folder at the bottom is as it was" "$before" "$(find rootfs | sort)"
}

readonly_() {
  local seen folder
  seen=$(walk readonly)
  for folder in / /etc /bin /root; do holds "rootfs/readonly: $1$folder can't be written" "$folder: refused" "$seen"; done
  for folder in /tmp /var/lib/app; do holds "rootfs/readonly: $1$folder can, on its tmpfs" "$folder: written" "$seen"; done
  holds "rootfs/readonly: $1up to its size" "No space left on device" "$seen"
  equal "rootfs/readonly: $1nothing of it is in the folder" "$before" "$(find rootfs | sort)"
}

masked() {
  local seen
  seen=$(walk masked)
  if [ -n "$(head -c 1 /proc/keys)" ]; then holds "rootfs/masked: $1a file is empty by default" "default: /proc/keys 0" "$seen"; else skipped "rootfs/masked: $1a file is empty by default" "/proc/keys has nothing to hide here"; fi
  if [ -n "$(ls /sys/firmware)" ]; then
    holds "rootfs/masked: $1so is a folder" "default: /sys/firmware 0" "$seen"
    lacks "rootfs/masked: $1with no mask it has the host's" "none: /sys/firmware 0" "$seen"
  fi
  holds "rootfs/masked: $1other paths are read-only" "default: /proc/sys Read-only file system" "$seen"
  holds "rootfs/masked: $1the script's own list takes the place of the default" "own: /etc/passwd 0" "$seen"
  lacks "rootfs/masked: $1/etc/passwd is there without it" "default: /etc/passwd 0" "$seen"
}

# follows EFFECT [FIELD]: a container with the volume as a slave, and a mount that the host makes in it when it runs.
follows() {
  local child
  script "mounts = { bind { '$volume', '/v', propagation = 'slave' } }" "${2:-name = 'slave-$$-'}" \
    "command = { 'sh', '-c', 'touch /v/started; until [ -e /v/go ]; do sleep 0.05; done; ls /v/by-host' }"
  mkdir -p "$volume/by-host"
  "${runner[@]}" "$LUABOX" run box.lua > slave.out 2>&1 & child=$!
  within 60 test -e "$volume/started"
  mount -t tmpfs walk "$volume/by-host"
  touch "$volume/by-host/word" "$volume/go"
  wait $child
  equal "rootfs/propagation: $1" word "$(cat slave.out)"
  umount -R "$volume"
}

folders() { find /tmp -maxdepth 1 -name 'walk-*' | sort; }
folders=$(folders)
before=$(find rootfs | sort)
as_root() {
  local seen name data mounts volume=$work/volume
  mounts=$(cut -d' ' -f3- /proc/self/mountinfo)

  layers ""
  mkdir -p a/opt b/opt
  echo a > a/opt/word; echo b > b/opt/word; echo b > b/opt/other
  layered() { printf 'return container { rootfs = %s, command = { "sh", "-c", %s } }\n' "$1" "'$2'" > box.lua; "$LUABOX" run box.lua 2>&1; }
  equal "rootfs/layers: without persist the changes go with the container" "a b;a b;" \
    "$(for _ in 1 2; do layered "directory { '$work/rootfs', layers = { './a', './b' } }" 'cat /opt/*; rm /opt/word' | sort | xargs | tr '\n' ';'; done)"
  tar -C rootfs -cf image.tar . && "$LUABOX" image import image.tar walk-layers > /dev/null
  equal "rootfs/layers: an image takes layers too" "b a" "$(layered "image { 'walk-layers', layers = { './a', './b' } }" 'cat /opt/other /opt/word' | xargs)"
  equal "rootfs/layers: persist alone puts a folder below an overlay" $'kept\nchanges/upper/kept' \
    "$(layered "directory { '$work/rootfs', persist = './changes' }" 'echo kept > /kept; cat /kept'; find rootfs changes -name kept | xargs)"
  holds "rootfs/layers: one that isn't there is told with its line" "box.lua:1: no folder ./c" "$(layered "directory { '$work/rootfs', layers = { './c' } }" true)"

  readonly_ ""

  # ---- id maps
  # On whichever file system has them: a tmpfs hasn't before Linux 6.3.
  for data in "$work/data" /scratch/luabox-walk; do
    mkdir "$data" 2> /dev/null || continue
    seen=$(walk idmap "$data")
    [[ $seen == *"has no id-mapped mounts"* ]] || break
    rm -r "$data"
  done
  if [[ $seen == *"has no id-mapped mounts"* ]]; then
    skipped "rootfs/idmap: a file of 1000 is root's inside" "the file system of $work has no id maps here"
  else
    holds "rootfs/idmap: a file of 1000 is root's inside" "inside: /data/given is of 0:0" "$seen"
    for name in by-root by-users; do equal "rootfs/idmap: what root writes inside is of 1000 on the disk ($name)" "1000:1000" "$(stat -c %u:%g "$data/$name")"; done
    equal "rootfs/idmap: the range of the container's users: 0 inside is 0 on the disk" "0:0" "$(stat -c %u:%g "$data/by-range")"
    equal "rootfs/idmap: the file itself was not chowned" "1000:1000" "$(stat -c %u:%g "$data/given")"
    holds "rootfs/idmap: and 1000 is 1000 there" "inside: /data/given is of 1000:1000" "$seen"
    mapped() { script "mounts = { bind { '$data', '/data', idmap = $1 } }" "command = { 'sh', '-c', '$2' }" "${@:3}"; "$LUABOX" run box.lua 2>&1; }
    equal "rootfs/idmap: whom no line names owns nothing, and can't make a file" "65534 refused" "$(touch "$data/strange"; mapped '{ uid = "1000 0 1" }' 'stat -c %u /data/strange; chown 5 /data/by-root 2>/dev/null || echo refused' | xargs)"
    holds "rootfs/idmap: true without a user namespace is refused with its line" "box.lua:3: bind /data: idmap = true means the ids of the container's user namespace, and it has none" \
      "$(mapped true true)"
    holds "rootfs/idmap: ids beyond the container's are refused" "'1000 70000 1' are not in one line of the container's users" "$(mapped '{ uid = "1000 70000 1" }' true 'users = { uid = "0 100000 65536" }')"
    holds "rootfs/idmap: a line is checked" "lines such as '1000 0 1'" "$(mapped '{ uid = "1000 0" }' true)"
    rm -r "$data"
  fi

  # ---- propagation
  mkdir volume
  mount -t tmpfs walk volume
  holds "rootfs/propagation: a volume on a private mount is refused with its line" "propagation-$$.lua:$(grep -n 'bind { volume' "$top/examples/rootfs/propagation.lua" | cut -d: -f1): bind /volume: $work/volume lies on a mount that is private" \
    "$(walk propagation "$work/volume")"
  umount -R volume
  mount -t tmpfs walk volume
  mount --make-shared volume
  # The real host of the test, looked at while the walk runs in it.
  seen=$(walk propagation "$work/volume")
  holds "rootfs/propagation: private: neither sees the other's mount" $'private: the container doesn\'t\nprivate: the host doesn\'t' "$seen"
  holds "rootfs/propagation: slave: the container sees the host's" $'slave: the container sees the host\'s mount\nslave: the host doesn\'t' "$seen"
  holds "rootfs/propagation: shared: both see both" $'shared: the container sees the host\'s mount\nshared: the host sees the container\'s mount' "$seen"
  equal "rootfs/propagation: in a host of the walk's own it is the same" "$seen" "$(walk propagation)"
  script "mounts = { bind { '$work/volume', '/v', propagation = 'shared' } }" "users = { uid = '0 100000 65536' }" "command = { 'true' }"
  holds "rootfs/propagation: shared with a user namespace is refused" "box.lua:3: bind /v: a container with a user namespace can't have a shared mount" "$("$LUABOX" run box.lua 2>&1)"
  chmod 1777 volume
  follows "slave with a user namespace sees what the host mounts" "users = { uid = '0 100000 65536' }"

  masked ""

  equal "rootfs: the host's mounts are what they were" "$mounts" "$(cut -d' ' -f3- /proc/self/mountinfo)"
  leaves_nothing "rootfs: nothing is left"
}

[ "$(id -u)" != 0 ] || as_root

# ---- an ordinary user
as=rootless
volume=$work/user/volume
mkdir -p user/volume
if [ "$(id -u)" = 0 ]; then
  chown -R 1000:1000 rootfs user
  runner=(setpriv --reuid 1000 --regid 1000 --clear-groups)
fi
export LUABOX_STATE=$work/user/state LUABOX_IMAGES=$work/user/images
if ! "${runner[@]}" unshare --user true 2>/dev/null; then
  for each in layers readonly masked; do skipped "rootfs/$each: rootless" "this kernel lets no ordinary user make a user namespace"; done
  finish
fi
for each in layers readonly_ masked; do $each "rootless: "; done
refused "rootfs/idmap: rootless: refused, with the reason" "an idmap takes root's power over the file system" "$(walk idmap)"
script "mounts = { bind { '$volume', '/v', propagation = 'shared' } }" "command = { 'true' }"
refused "rootfs/propagation: rootless: shared is refused, with the reason" "can't have a shared mount" "$("${runner[@]}" "$LUABOX" run box.lua 2>&1)"
if [ "$(id -u)" = 0 ]; then
  mount -t tmpfs -o mode=1777 walk user/volume
  mount --make-shared user/volume
  follows "rootless: slave: the user's container sees what the host mounts"
fi
leaves_nothing "rootfs: rootless: nothing is left"
equal "rootfs: the walks leave nothing in /tmp" "$folders" "$(folders)"
finish
