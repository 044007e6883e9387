#!/bin/bash
# adapter: luabox with its defaults. Verbs: supports | bin | name | run ROOTFS CMD.. | prep | runprep | delete ID | state ID
# SEC_MODE: root; userns (root with users = "auto"); rootless (the user SEC_USER, who must have ids in /etc/subuid).
here=$(dirname "$(readlink -f "$0")")
RT=${SEC_RT_BIN:-${LUABOX:-$here/../../build/luabox}}; RT=$(readlink -f "$RT")
SEC=${SEC:-/tmp/luabox-attacks}; mode=${SEC_MODE:-root}; export LUABOX_STATE=${SEC_STATE:-$SEC/work/state-luabox-$mode}
id=$(echo "${SEC_ID:-}" | tr -c 'A-Za-z0-9_.\n-' _)
verb=$1; shift
# as_caller COMMAND...: as the user of the mode, with what the case left open and set.
as_caller() {
  if [ $mode = rootless ]; then exec setpriv --reuid "$SEC_USER" --regid "$SEC_USER" --clear-groups "$@"; else exec "$@"; fi
}
# The root file system of a case is root's; the user's own is what he would have imported. chown takes set-uid bits away: they are set again.
give() {
  [ $mode = rootless ] || return 0
  local special
  special=$(find "$1" -xdev -perm /6000 -type f -printf '%m %p\n')
  find "$1" -xdev -uid 0 -exec chown -h "$SEC_USER:$SEC_USER" {} +
  while read -r bits file; do [ -n "$file" ] && chmod "$bits" "$file"; done <<< "$special"
  mkdir -p "$LUABOX_STATE"; chown "$SEC_USER:$SEC_USER" "$LUABOX_STATE"
}
case $verb in
supports) if [ $mode = rootless ]; then echo "run cwd bind uid tty env id delete devbind"; else echo "run cwd bind uid tty limits env id delete devbind"; fi ;;
bin) echo "$RT" ;;
name) "$RT" version ;;
run) give "$1"; as_caller $SEC_WRAP "$RT" run "$here/container.lua" "$@" ;;
prep) mkdir -p "$SEC/work"; printf '%s\0' "$@" > "$SEC/work/prepared" ;;
runprep) mapfile -d '' -t words < "$SEC/work/prepared"; give "${words[0]}"; as_caller $SEC_WRAP "$RT" run "$here/container.lua" "${words[@]}" ;;
delete) as_caller "$RT" gc >/dev/null ;;
state) [ -e "$LUABOX_STATE/$1" ] && echo "$LUABOX_STATE/$1" ;;
esac
exit 0
