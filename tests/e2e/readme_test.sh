#!/bin/bash
# README.md as a new user reads it: every code block is run, in order, in one folder; a block that no rule covers is a failure. And the
# reference pages: that they leave nothing out.
#
#   lua   begins with "-- NAME.lua": written to NAME.lua and run by `luabox run`. One that is examples/golang.lua to the byte is run with a
#         stand-in for its image; golang_test.sh runs it on the real one.
#   sh    each line is run, with luabox in the PATH, and succeeds. tools/demo and tools/test are only looked at: they run this test.
#   text  is what the block before it prints, exactly; where it begins with "luabox: " it is an error, and the exit status 125.
[ "$(readlink /proc/self/ns/net)" != "$(readlink /proc/1/ns/net)" ] || exec unshare --net --mount --propagation private bash "$0" "$@"
. "$(dirname "$0")/common.sh"
mark=$'hello-\ngolang-\nmany-\nwrong-\nprimitives'  # what its scripts call their cgroups
mkdir bin blocks place
ln -s "$LUABOX" bin/luabox
export PATH=$work/bin:$PATH

# blocks/01.lua, 02.sh, ...; fails on a fence that never ends.
awk '/^```/ && !inside { inside = 1; kind = substr($0, 4); file = sprintf("blocks/%02d.%s", ++n, kind == "" ? "plain" : kind); printf "" > file; next }
     /^```$/ { inside = 0; close(file); next }
     inside { print > file }
     END { exit inside }' "$top/README.md" || failed "every block of the README ends"

make_image() {
  make_rootfs golang
  tar -C golang -cf golang.tar .
  luabox image import --quiet golang.tar golang
  cp -r "$top/examples/." place/
}

run_lua() { # FILE: leaves what it printed in $output, the exit status in $got
  local name
  name=$(sed -n '1s/^-- \([a-z]*\.lua\)$/\1/p' "$1")
  if cmp -s "$1" "$top/examples/golang.lua"; then
    golang=yes output=$(cd place && luabox run golang.lua -- /bin/sh -c 'hostname; ls /var/readonlyfiles' 2>&1) got=$?
    equal "examples/golang.lua has its hostname and its volume" "golang README" "$(xargs <<< "$output")"
  elif [ -n "$name" ]; then
    cp "$1" "place/$name"
    output=$(cd place && luabox run "$name" 2>&1 < /dev/null) got=$?
  else
    failed "a lua block is examples/golang.lua, or begins with its name" "$(head -1 "$1")"
  fi
}

run_sh() { # FILE
  local line
  while IFS= read -r line; do
    case $line in
    tools/*)
      succeeds "$line is there, executable and bash" bash -c 'test -x "$1" && head -1 "$1" | grep -q bash && bash -n "$1"' _ "$top/$line" ;;
    *)
      output=$(cd place && bash -c "$line" 2>&1 < /dev/null) got=$?
      if [ $got = 0 ]; then ok "$line"; else failed "$line" "status $got: $output"; fi ;;
    esac
  done < "$1"
}

wanted_status() { if [ "$(head -c 8 "$1" 2>/dev/null)" = "luabox: " ]; then echo 125; else echo 0; fi; }

make_image
golang=no pending=
for block in blocks/*; do
  next=$(printf 'blocks/%02d.text' $((10#$(basename "${block%.*}") + 1)))
  case $block in
  *.lua)
    output='' got=''
    run_lua "$block"
    equal "the block '$(head -1 "$block" | cut -c1-40)': its exit status" "$(wanted_status "$next")" "$got"
    pending=$block ;;
  *.sh) run_sh "$block"; pending=$block ;;
  *.text)
    [ -n "$pending" ] || failed "a text block follows what prints it" "$block"
    equal "the block '$(head -1 "$pending" | cut -c1-40)': what it prints" "$(cat "$block")" "$output"
    pending= ;;
  *) failed "a rule runs each block" "$block: $(head -1 "$block")" ;;
  esac
done
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
