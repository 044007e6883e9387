# Sourced by the tests of README.md and docs/: a document as a new user reads it. Every code block is run, in order, in one folder; a block that no rule
# covers is a failure.
#
#   lua   begins with "-- NAME.lua": written to NAME.lua and run by `luabox run`. One that is examples/golang.lua to the byte is run with a
#         stand-in for its image; golang_test.sh runs it on the real one. In "-- lib/NAME.lua" it is only written.
#   sh    each line is run, with luabox in the PATH, and succeeds. tools/demo and tools/test are only looked at: they run this test.
#   text  is what the block before it prints, exactly; where it begins with "luabox: " it is an error, and the exit status 125.
# One at a time: what the documents' scripts call their containers is the same in each run, and all have their cgroups in one place.
# Never in the network that it was started in: whether that is the host's can't be told where /proc/1/ns is closed.
[ -n "${OWN_NAMESPACES:-}" ] || OWN_NAMESPACES=yes exec flock -o /sys/fs/cgroup unshare --net --mount --propagation private bash "$0" "$@"
unset OWN_NAMESPACES
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
chmod 711 "$work"  # a container root that is mapped to nobody passes through
mkdir bin blocks place
ln -s "$LUABOX" bin/luabox
export PATH=$work/bin:$PATH

make_image() {
  make_rootfs golang
  tar -C golang -cf golang.tar .
  luabox image import --quiet golang.tar golang
  cp -r "$top/examples/." place/
}

run_lua() { # FILE: leaves what it printed in $output, the exit status in $got
  local name
  name=$(sed -n '1s/^-- \([a-z_/]*\.lua\)$/\1/p' "$1")
  if cmp -s "$1" "$top/examples/golang.lua"; then
    golang=yes output=$(cd place && luabox run golang.lua -- /bin/sh -c 'hostname; ls /var/readonlyfiles' 2>&1) got=$?
    equal "examples/golang.lua has its hostname and its volume" "golang README" "$(xargs <<< "$output")"
  elif [[ $name == lib/* ]]; then
    mkdir -p place/lib; cp "$1" "place/$name"; output='' got=0
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

golang=no
# run_document FILE
run_document() {
  local block next pending= output got
  # blocks/01.lua, 02.sh, ...; fails on a fence that never ends.
  rm -rf blocks; mkdir blocks
  awk '/^```/ && !inside { inside = 1; kind = substr($0, 4); file = sprintf("blocks/%02d.%s", ++n, kind == "" ? "plain" : kind); printf "" > file; next }
       /^```$/ { inside = 0; close(file); next }
       inside { print > file }
       END { exit inside }' "$1" || failed "every block of $1 ends"
  for block in blocks/*; do
    next=$(printf 'blocks/%02d.text' $((10#$(basename "${block%.*}") + 1)))
    case $block in
    *.lua)
      output='' got=''
      run_lua "$block"
      equal "the block '$(head -1 "$block" | cut -c1-40)': its exit status" "$(wanted_status "$next")" "$got"
      [ "$got" = "$(wanted_status "$next")" ] || echo "$output"
      pending=$block ;;
    *.sh) run_sh "$block"; pending=$block ;;
    *.text)
      [ -n "$pending" ] || failed "a text block follows what prints it" "$block"
      equal "the block '$(head -1 "$pending" | cut -c1-40)': what it prints" "$(cat "$block")" "$output"
      pending= ;;
    *) failed "a rule runs each block" "$block: $(head -1 "$block")" ;;
    esac
  done
}
