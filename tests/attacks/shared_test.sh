#!/bin/bash
# Runs the attack collection that LUABOX_ATTACKS names (its README tells its form) against luabox with its defaults: none may escape.
[ -n "${LUABOX_ATTACKS:-}" ] || { echo "skipped: LUABOX_ATTACKS names no attack collection"; exit 77; }
here=$(dirname "$(readlink -f "$0")")
"$LUABOX_ATTACKS/setup.sh" || exit 1
output=$("${SEC:-/tmp/luabox-attacks}/run-attacks.sh" "$here/luabox.sh")
echo "$output"
[[ $output == *"escaped 0 "* ]] && ! grep -q '^UNKNOWN' <<<"$output"
