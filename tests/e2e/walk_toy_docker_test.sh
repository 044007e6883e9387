#!/bin/bash
# examples/toy_docker.lua: a root made of the host's own programs, entered by chroot and by pivot_root; what each lets through.
. "$(dirname "$0")/common.sh"
chmod 755 "$work"
runner=()
# toy WAY DEV SHELL-TEXT: what the text prints in there.
toy() { timeout $((30 * slow)) "${runner[@]}" "$LUABOX" run "$top/examples/toy_docker.lua" "$folder" "$1" "$2" /bin/bash -c "$3" 2>&1 < /dev/null; }
kind() { awk -v at="$1" '$2 == at { print $3 }' <<< "$seen"; }
root_of() { stat -c %d:%i "$1"; }
before=$(cat /proc/self/mountinfo)

# walk NAME WAY
walk() {
  local name="toy_docker: $1$2" way=$2 mount
  seen=$(toy "$way" tmpfs 'cat /proc/mounts')
  for mount in "/proc proc" "/sys sysfs" "/tmp tmpfs" "/run tmpfs" "/dev tmpfs" "/dev/pts devpts" "/dev/shm tmpfs"; do
    equal "$name: ${mount% *} is a ${mount#* }" "${mount#* }" "$(kind "${mount% *}")"
  done
  equal "$name: /dev holds what has no power" "full null pts random shm tty urandom zero" "$(toy "$way" tmpfs 'ls /dev' | xargs)"
  equal "$name: /dev/null takes all, /dev/full nothing" works "$(toy "$way" tmpfs 'echo x > /dev/null && (echo x > /dev/full) 2>/dev/null || echo works' )"
  equal "$name: the host name and /etc/hostname are of conf" "toy toy" "$(toy "$way" tmpfs 'hostname; cat /etc/hostname' | xargs)"
  equal "$name: /etc/hosts and /etc/resolv.conf are those of conf" "$(cat "$top"/examples/toy_docker/conf/{hosts,resolv.conf})" "$(toy "$way" tmpfs 'cat /etc/hosts /etc/resolv.conf')"
  equal "$name: and can't be written through" refused "$(toy "$way" tmpfs 'echo x >> /etc/hosts || echo refused' | tail -1)"
  equal "$name: as they are mounted read-only" 3 "$(grep -c ' /etc/[a-z.]* [a-z0-9]* ro,' <<< "$seen")"
  toy "$way" tmpfs 'echo from inside > /mnt/word' > /dev/null
  equal "$name: what is written to the volume is on the host" "from inside" "$(cat "$folder/volume/word")"
  toy "$way" tmpfs 'touch /tmp/gone /run/gone /dev/shm/gone' > /dev/null
  equal "$name: what is written to a tmpfs is not" "" "$(find "$folder" -name gone)"
  equal "$name: it is process 1, and ps sees only its own" "1 bash 2 ps" "$(toy "$way" tmpfs 'ps -e -o pid=,comm=; true' | xargs)"
  equal "$name: its programs are the host's, byte by byte" "$(cmp "$(command -v bash)" "$folder/rootfs/bin/bash" && echo same)" same
  equal "$name: / is the folder" "$(root_of "$folder/rootfs")" "$(toy "$way" tmpfs 'stat -c %d:%i /')"
  equal "$name: the status of the command comes back" 7 "$(toy "$way" tmpfs 'exit 7'; echo $?)"
}
# way_back NAME WAY WANTED: where `nsenter` into the very mount namespace that one is in leads.
way_back() { equal "$1" "$3" "$(toy "$2" tmpfs 'nsenter --mount=/proc/self/ns/mnt stat -c %d:%i /')"; }
both() {
  walk "$1" chroot
  walk "$1" pivot_root
  way_back "toy_docker: $1chroot: lets the host's root through: its namespace still has it" chroot "$(root_of /)"
  way_back "toy_docker: $1pivot_root: lets nothing through: the old root is gone" pivot_root "$(root_of "$folder/rootfs")"
  holds "toy_docker: $1chroot: so the host's files can be read" "$(id -un 0):" "$(toy chroot tmpfs 'nsenter --mount=/proc/self/ns/mnt cat /etc/passwd')"
  lacks "toy_docker: $1pivot_root: and here they can't" "root:" "$(toy pivot_root tmpfs 'nsenter --mount=/proc/self/ns/mnt cat /etc/passwd')"
}

as_root() {
  folder=$work/toy
  mkdir "$folder"
  both ""
  seen=$(toy pivot_root devtmpfs 'cat /proc/mounts; ls /dev')
  if [[ $seen == *": Operation not permitted"* ]]; then
    skipped "toy_docker: pivot_root: a devtmpfs is the host's" "this host doesn't let root mount one"
  else
    equal "toy_docker: pivot_root: a devtmpfs is mounted where that is asked for" devtmpfs "$(kind /dev)"
    equal "toy_docker: pivot_root: and lets all devices of the host through" "$(find /sys/class/mem/*/dev | wc -l)" \
      "$(for each in /sys/class/mem/*/; do grep -cx "$(basename "$each")" <<< "$seen"; done | grep -c 1)"
  fi
  equal "toy_docker: the host's mounts are what they were" "$before" "$(cat /proc/self/mountinfo)"
}

if [ "$(id -u)" = 0 ]; then
  as_root
  runner=(setpriv --reuid 1000 --regid 1000 --clear-groups)
  install -d -o 1000 "$work/run" "$work/user"
  export LUABOX_STATE=$work/run/state
fi
as=rootless
if "${runner[@]}" unshare --user true 2>/dev/null; then
  folder=$work/user
  mkdir -p "$folder"
  both "rootless: "
  holds "toy_docker: rootless: pivot_root: a devtmpfs is refused" "devtmpfs create: Operation not permitted" "$(toy pivot_root devtmpfs true)"
else
  skipped "toy_docker: rootless: both ways" "this kernel lets no ordinary user make a user namespace"
fi
finish
