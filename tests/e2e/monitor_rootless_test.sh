#!/bin/bash
# What stands by an ordinary user's container for long, and what his other processes can see of it.
. "$(dirname "$0")/rootless.sh"
make_rootfs rootfs
tar -C rootfs -cf "$user_home/box.tar" .; chmod 644 "$user_home/box.tar"
as_user "$work/luabox" image import -q box.tar box 2>/dev/null
mark=e2e-monitor-rootless-$$
state=$work/run/luabox

is_monitor() { [ "$(readlink "/proc/$1/exe")" = "/memfd:luabox (deleted)" ] && [ "$(awk '/^Rss/ { print $2 }' "/proc/$1/smaps_rollup")" -le 64 ]; }
left() { ls -A "$state" 2>/dev/null | grep -vE '^\.(lock|ids|pasta|failure\.json)$'; pgrep -u "$user_id"; }
clean() { [ -z "$(left)" ]; }

for ids in granted revoked; do
  if [ $ids = granted ]; then grant; else revoke; fi
  box "name = '$mark'" "command = { 'sh', '-c', 'trap \"echo got TERM; exit 3\" TERM; echo begun; while :; do sleep 0.05; done' }"
  "${user[@]}" "$work/luabox" run box.lua < /dev/null > out 2> errors & child=$!
  within 5 is_monitor $child && ok "ids $ids: a monitor stands by" || failed "ids $ids: a monitor stands by" "$(cat errors)"
  equal "ids $ids: the user's other processes can't look into it" "" "$(as_user cat "/proc/$child/environ" 2> /dev/null | tr '\0' ' ')$(as_user ls "/proc/$child/fd" 2> /dev/null)"
  equal "ids $ids: the container can be joined" joined "$(as_user "$work/luabox" exec "$mark" echo joined 2>&1)"
  kill -TERM $child; wait $child; got=$?
  equal "ids $ids: its signals and its status" "3 begun got TERM" "$got $(xargs < out)"
  equal "ids $ids: there is nothing to say" "" "$(cat errors)"
  within 5 clean && ok "ids $ids: nothing is left" || failed "ids $ids: nothing is left" "$(left)"
done

name=$(as_user "$work/luabox" run -d -o box.log box.lua 2> errors)
equal "it goes on in the background" "$mark " "$name $(cat errors)"
as_user "$work/luabox" kill "$mark"
within 5 clean && ok "and ends there" || failed "and ends there" "$(left)"
equal "what it wrote is the user's" "begun got TERM $user_id" "$(xargs < "$user_home/box.log") $(stat -c %u "$user_home/box.log")"

# A user's luabox runs from a copy of its file, which is open then: by no number that an argument names.
cp "$LUABOX" "$user_home/own"; chown $user_id "$user_home/own"; sum=$(sha256sum < "$user_home/own")
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-  # what runs the tests may have left them open
for number in 3 4 5 6 7 8 9; do
  for words in "-d -o /dev/fd/$number box.lua" "-v --log-file /dev/fd/$number box.lua" "-v --log-file=/dev/fd/$number box.lua" "/dev/fd/$number"; do
    as_user timeout 20 ./own run $words -- true > out 2>&1; got=$?
    equal "$words: 125" "125 No such device or address" "$got $(grep -o 'No such device or address' out | head -1)"
  done
done
equal "nothing was written to it" "$sum" "$(sha256sum < "$user_home/own")"
within 5 clean && ok "nothing is left of that" || failed "nothing is left of that" "$(left)"
finish
