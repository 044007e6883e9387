#!/bin/bash
# Runs the attack collection that LUABOX_ATTACKS names (its README tells its form) against luabox with its defaults, as root, as root with a user
# namespace and as an ordinary user: none may escape.
[ -n "${LUABOX_ATTACKS:-}" ] || { echo "skipped: LUABOX_ATTACKS names no attack collection"; exit 77; }
. "$(dirname "$0")/../e2e/rootless.sh"
"$LUABOX_ATTACKS/setup.sh" || exit 1
grant
export SEC=${SEC:-/tmp/luabox-attacks} SEC_USER=$user_id LUABOX=$work/luabox
cp "$top"/tests/attacks/{luabox.sh,container.lua} "$work"; chmod 755 "$work"/luabox.sh  # an ordinary user need not reach the source tree
for mode in ${SEC_MODE:-root userns rootless}; do
  command -v newuidmap > /dev/null || [ $mode != rootless ] || { skipped "attacks as an ordinary user" "newuidmap is not installed (package uidmap)"; continue; }
  cp "$work/luabox.sh" "$work/luabox-$mode.sh"
  output=$(SEC_MODE=$mode "$SEC/run-attacks.sh" "$work/luabox-$mode.sh")
  echo "$output"
  holds "attacks, $mode: none escaped" "escaped 0 " "$(tail -1 <<< "$output")"
  equal "attacks, $mode: the outcome of each is known" "" "$(grep '^UNKNOWN' <<< "$output")"
  # A mode in which no container starts would contain all of them.
  ran=$(grep -c '^CONTAINED' <<< "$output") refused=$(grep -c '^REFUSED' <<< "$output")
  if [ "$refused" -lt 5 ] || [ "$ran" -gt $((refused * 4)) ]; then ok "attacks, $mode: most of them ran"; else failed "attacks, $mode: most of them ran" "$refused were refused before"; fi
  rm -rf "$SEC/work/state-luabox-$mode"
done
finish
