#!/bin/bash
# README.md as a new user reads it, and the reference pages: that they leave nothing out.
. "$(dirname "$0")/document.sh"
mark=$'hello-\ngolang-\nmany-\nwrong-\nprimitives'  # what its scripts call their cgroups

make_image
run_document "$top/README.md"
equal "the README shows examples/golang.lua as it is" yes $golang
holds "it has blocks of both kinds" "lua sh" "$(ls blocks | sed 's/.*\.//' | sort -u | xargs)"

# What the reference pages have to list: functions and methods of the bindings, fields of a container.
listed_in() { # FILE NAME...: prints the names that it lacks
  local file=$1 name; shift
  for name in "$@"; do grep -qw "$name" "$file" || echo "$name"; done
}
primitives=$(grep -ozP '\{"\K[a-z_0-9]+(?=",\s*(lua::)?fn)' "$top"/bindings/*.cpp | tr '\0' '\n' | sed 's/.*://' | sort -u)
fields=$(sed -n '/^local FIELDS/,/^}/p' "$top/scripts/library/container.lua" | grep -oP '\b[a-z_]+(?= = )' | sort -u)
holds "the bindings were read" pivot_root "$primitives"
holds "the fields were read" hostname "$fields"
equal "docs/primitives.md has every primitive" "" "$(listed_in "$top/docs/primitives.md" $primitives)"
equal "docs/scripts.md has every field of a container" "" "$(listed_in "$top/docs/scripts.md" $fields)"

leaves_nothing "nothing is left behind"
finish
