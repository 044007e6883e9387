#!/bin/bash
# The tables of docs/coming-from.md: the field that stands for an option is put into a container, and its effect looked at from inside.
# coming_from_cases.txt has for each option what is run inside, and what that prints (a regular expression).
. "$(dirname "$0")/common.sh"
mark=coming-$$
make_rootfs rootfs
echo 'nobody:x:65534:65534::/:/bin/sh' >> rootfs/etc/passwd
mkdir volume data upper scratch; echo "in the volume" > volume/here; touch data/from_data
chmod 755 "$work"  # a root that is mapped to others passes through

declare -A command wanted
while IFS= read -r option && IFS= read -r first && IFS= read -r second; do
  command[$option]=${first#    } wanted[$option]=${second#    }
done < "$here/coming_from_cases.txt"

# What stands for a thing of the host's in an expectation.
place() {
  local kind
  for kind in net pid ipc uts cgroup; do [ "$1" != "HOST${kind^^}" ] || { readlink "/proc/self/ns/$kind" | sed 's/[][]/\\&/g'; return; }; done
  echo "$1"
}

# A published port is asked from outside while the container listens.
published() {
  "$LUABOX" run row.lua > out 2>&1 & local pid=$!
  within 5 grep -q 172 out && within 5 eval 'busybox nc -w 2 172.16.99.1 8080 < /dev/null > answer 2>/dev/null'
  equal "$1: the published port leads inside" "172.16.99.2/24 from inside" "$(echo $(cat out answer))"
  kill $pid 2>/dev/null; wait $pid
}

# row OPTION CELL
rows=0
row() {
  local option=$1 field=$2 rootfs="rootfs = './rootfs'," inner
  rows=$((rows + 1))
  [ -n "${command[$option]+there}" ] || { failed "$option: a case looks at its effect"; return; }
  [[ $field == rootfs* ]] && rootfs=
  # ps and the like need no terminal; -t has one of its own
  inner="terminal = false,"; [[ $field == terminal* ]] && inner=
  { echo "return container { $rootfs $inner"
    echo "command = { '/bin/sh', '-c', [=[${command[$option]}]=] },"
    echo "${field//PID/$$} }"; } > row.lua
  if [ "${wanted[$option]}" = PUBLISHED ]; then published "$option"; return; fi
  local output
  output=$(echo $(SECRET=no timeout 20 "$LUABOX" run row.lua 2>&1 < /dev/null | tr -d '\r'))
  if [[ $output =~ ^($(place "${wanted[$option]}"))$ ]]; then ok "$option: $field"; else failed "$option: $field" "wanted '${wanted[$option]}', got '$output'"; fi
}

# Rows whose second cell begins with a field, or a step, in code.
table=$(sed -nE 's/^\| (.*) \| `((([a-z_]+) = |function).*)$/\1\t\2/p' "$top/docs/coming-from.md")
while IFS=$'\t' read -r options rest; do
  field=${rest%%\`*}
  while [[ $options =~ \`([^\`]*)\` ]]; do
    option=${BASH_REMATCH[1]} options=${options#*"${BASH_REMATCH[0]}"}
    [[ $option == --volatile=overlay ]] || row "$option" "$field"
  done
done <<< "$table"
[ $rows -ge 80 ] || failed "the tables have rows" "$rows"
equal "no case is for an option that the tables have not" "" \
  "$(for option in "${!command[@]}"; do grep -qF -- "\`$option\`" "$top/docs/coming-from.md" || echo "$option"; done)"

# The commands of the last columns.
cat > box.lua <<END
return container { name = "$mark", rootfs = "$work/rootfs", terminal = false, cgroup = { memory = "64MiB" }, command = { "/bin/sleep", "4326" } }
END
equal "docker run IMAGE CMD" hi "$("$LUABOX" run box.lua -- echo hi)"
tar -C rootfs -cf box.tar .
succeeds "docker import" "$LUABOX" image import --quiet box.tar box
holds "docker images" box "$("$LUABOX" image ls)"
succeeds "docker rmi" "$LUABOX" image rm box
"$LUABOX" run box.lua & pid=$!
listed() { "$LUABOX" list | grep -q "^$mark .*running"; }
within 5 listed; equal "docker ps, machinectl list" 0 $?
holds "docker stats" "67108864" "$("$LUABOX" stats $mark)"
equal "docker exec" in "$("$LUABOX" exec $mark echo in)"
succeeds "docker update" "$LUABOX" update $mark memory=32MiB
succeeds "docker kill, machinectl terminate" "$LUABOX" kill $mark KILL
wait $pid; equal "ends it" 137 $?
cat > drive.lua <<END
local c = container { rootfs = "$work/rootfs", terminal = false, command = { "/bin/sleep", "4327" } }
c:start()
print(c:wait(0.1), c:stop(1), c:wait())
END
equal "docker run -d, stop, wait: c:start(), c:stop(), c:wait()" "nil 143 143 nil" "$("$LUABOX" run drive.lua 2>&1 | tr '\t' ' ')"
leaves_nothing "nothing is left behind"
finish
