#!/bin/bash
# adapter: luabox with its defaults. Verbs: supports | bin | name | run ROOTFS CMD.. | exec ID CMD.. | prep | runprep | delete ID | state ID
here=$(dirname "$(readlink -f "$0")")
RT=${SEC_RT_BIN:-${LUABOX:-$here/../../build/luabox}}; RT=$(readlink -f "$RT")
SEC=${SEC:-/tmp/luabox-attacks}; export LUABOX_STATE=${SEC_STATE:-$SEC/work/state-luabox}
id=$(echo "${SEC_ID:-}" | tr -c 'A-Za-z0-9_.\n-' _)
verb=$1; shift
case $verb in
supports) echo "run exec cwd bind uid tty limits env id delete devbind" ;;
bin) echo "$RT" ;;
name) "$RT" version ;;
run) exec $SEC_WRAP "$RT" run "$here/container.lua" "$@" ;;
exec) name=$(echo "$1" | tr -c 'A-Za-z0-9_.\n-' _); shift
  exec $SEC_WRAP "$RT" exec ${SEC_UID:+--user "$SEC_UID"} ${SEC_CWD:+--cwd "$SEC_CWD"} ${SEC_TTY:+--terminal} "$name" "$@" ;;
prep) mkdir -p "$SEC/work"; printf '%s\0' "$@" > "$SEC/work/prepared" ;;
runprep) mapfile -d '' -t words < "$SEC/work/prepared"; exec $SEC_WRAP "$RT" run "$here/container.lua" "${words[@]}" ;;
delete) "$RT" gc >/dev/null ;;
state) [ -e "$LUABOX_STATE/$1" ] && echo "$LUABOX_STATE/$1" ;;
esac
exit 0
