# users = "auto": each container has ids of the host's that no other has, and sees its files with the owners that they have on the disk.
. "$(dirname "$0")/rootless.sh"
make_rootfs rootfs
mkdir rootfs/home; echo mine > rootfs/home/file; chown -R 1000:1000 rootfs/home
owners=$(find rootfs -printf '%U:%G %m %p\n' | sort)
tar -C rootfs -cf box.tar .
"$LUABOX" image import -q box.tar box
auto() { printf 'return container {\n  users = "auto",\n  rootfs = %s,\n  mounts = { bind { "%s/secret", "/secret" } },\n  command = { "sh" },\n}\n' "$1" "$work" > box.lua; }
inside() { timeout -s KILL $((30 * slow)) "$LUABOX" run "${@:2}" box.lua -- sh -c "$1" < /dev/null 2>&1; }
first() { awk '{ print $2 }'; }
echo classified > secret; chmod 600 secret
ranges() { ls -A "$LUABOX_STATE/.ids" 2>/dev/null; }

auto 'image "box"'
map=$(inside 'cat /proc/self/uid_map /proc/self/gid_map')
equal "users/auto: 65536 ids, for users and groups alike" "0 0 65536 65536" "$(awk '{ print $1 }' <<< "$map" | xargs) $(awk '{ print $3 }' <<< "$map" | xargs)"
if [ "$(first <<< "$map" | head -1)" -gt 65536 ]; then ok "users/auto: 0 inside is not the host's 0"; else failed "users/auto: 0 inside is not the host's 0" "$map"; fi
equal "users/auto: an image's files have their owners inside" "0:0 1000:1000" "$(inside 'stat -c %u:%g /bin/busybox /home/file' | xargs)"
equal "users/auto: root writes, and gives files away" "mine 0:0 1000:5" "$(inside 'cat /home/file; touch /new /its; chown 1000:5 /its; stat -c %u:%g /new /its' | xargs)"
lacks "users/auto: a file of the host's root is out of reach" classified "$(inside 'cat /secret')"

"$LUABOX" run --name one-$$ box.lua -- sleep 7780.$$ < /dev/null & jobs=$!
"$LUABOX" run --name two-$$ box.lua -- sleep 7781.$$ < /dev/null & jobs+=" $!"
within 10 pgrep -fx "sleep 7780.$$" > /dev/null; within 10 pgrep -fx "sleep 7781.$$" > /dev/null
a=$(stat -c %u /proc/$(pgrep -fx "sleep 7780.$$")) b=$(stat -c %u /proc/$(pgrep -fx "sleep 7781.$$"))
if [ $((a > b ? a - b : b - a)) -ge 65536 ]; then ok "users/auto: two that run have no id in common"; else failed "users/auto: two that run have no id in common" "$a $b"; fi
equal "users/auto: both ranges are noted" "$(printf '%s\n' $a $b | sort)" "$(ranges | sort)"
equal "users/auto: nothing that is mounted inside comes to the host" "" "$(grep -E ' (proc|overlay|mqueue|devpts) ' /proc/self/mountinfo | grep -F "$work")"
{ kill -9 $jobs; wait; } 2>/dev/null
"$LUABOX" gc > /dev/null
equal "users/auto: gc gives back what killed ones had" "" "$(ranges)"

auto "directory '$work/rootfs'"
equal "users/auto: a folder's files too" "0:0 1000:1000" "$(inside 'stat -c %u:%g /bin/busybox /home/file' | xargs)"
equal "users/auto: what it makes in a folder has the same owners on the disk" "0:0 1000:1000" "$(inside 'touch /home/a /home/b; chown 1000:1000 /home/b'; stat -c %u:%g rootfs/home/a rootfs/home/b | xargs)"
rm -f rootfs/home/[ab]
auto "image { 'box', persist = '$work/kept' }"
inside 'touch /mine; chown 1000 /mine' > /dev/null
equal "users/auto: a layer that is kept is right with the next range" "1000" "$(inside 'stat -c %u /mine')"
equal "users/auto: no owner or mode on the disk was changed" "$owners" "$(find rootfs -printf '%U:%G %m %p\n' | sort)"

output=$("$LUABOX" explain box.lua 2>&1)
holds "users/auto: explain tells it" "idmap(descriptor" "$output"
equal "users/auto: and takes no range" "" "$(ranges)"

# A range that the script says: an image is seen through it, a folder has the owners that it has.
by_hand() { printf 'return container {\n  users = { uid = "0 100000 65536" },\n  rootfs = %s,\n  command = { "sh" },\n}\n' "$1" > box.lua; }
by_hand 'image "box"'
equal "users/map: an image of root's works, with its owners" "0:0 1000:1000 100000" "$(inside 'stat -c %u:%g /bin/busybox /home/file; cut -c11-22 /proc/self/uid_map' | xargs)"
equal "users/map: root writes, and gives files away" "mine 0:0 1000:5" "$(inside 'cat /home/file; touch /new /its; chown 1000:5 /its; stat -c %u:%g /new /its' | xargs)"
equal "users/map: the images folder is closed to others" 700 "$(stat -c %a "$LUABOX_IMAGES")"
"$LUABOX" run --name mapped-$$ box.lua -- sleep 7783.$$ < /dev/null & jobs=$!
within 10 pgrep -fx "sleep 7783.$$" > /dev/null
equal "users/map: its root is the host's 100000" 100000 "$(stat -c %u "/proc/$(pgrep -fx "sleep 7783.$$")")"
equal "users/map: luabox exec joins it" "0 1000:1000" "$("$LUABOX" exec mapped-$$ sh -c 'id -u; stat -c %u:%g /home/file' < /dev/null 2>&1 | xargs)"
"$LUABOX" exec mapped-$$ sh -c 'yes | head -c 17000000 > /etc/group' < /dev/null
equal "users/map: a container that made its /etc/group huge is told, with the way in" \
  "luabox: read /etc/group: File too large (a user in two numbers, such as 0:0, is not looked up in it)" "$("$LUABOX" exec mapped-$$ true < /dev/null 2>&1)"
equal "users/map: two numbers are not looked up" 0:5 "$("$LUABOX" exec -u 0:5 mapped-$$ sh -c 'echo $(id -u):$(id -g)' < /dev/null 2> /dev/null)"
"$LUABOX" kill mapped-$$ KILL; wait $jobs 2> /dev/null
by_hand "image { 'box', persist = '$work/kept2', layers = { '$work/app' } }"; mkdir -p app/opt; echo layer > app/opt/text; chown -R 1000:1000 app/opt
inside 'touch /mine; chown 1000 /mine' > /dev/null
equal "users/map: layers, and a layer that is kept" "layer 1000 1000:1000" "$(inside 'cat /opt/text; stat -c %u /mine; stat -c %u:%g /opt/text' | xargs)"
cp -a rootfs shifted; chown -hR 100000:100000 shifted
by_hand "directory { '$work/shifted', overlay = true }"
equal "users/map: a folder's owners are as they are, below an overlay too" "0:0 0 100000" "$(inside 'stat -c %u:%g /home/file; touch /home/new; stat -c %u /home/new' | xargs) $(stat -c %u shifted/home/file)"
equal "users/map: no owner or mode on the disk was changed" "$owners" "$(find rootfs -printf '%U:%G %m %p\n' | sort)"

# Of what /etc/subuid grants to luabox there are two ranges.
auto 'image "box"'
echo "luabox:3000000000:131072" | tee "$work/etc/subuid" > "$work/etc/subgid"
holds "users/auto: the ranges of luabox in /etc/subuid are used" "30000" "$(inside 'cat /proc/self/uid_map')"
"$LUABOX" run box.lua -- sleep 7782.$$ < /dev/null & jobs=$!
"$LUABOX" run box.lua -- sleep 7782.$$ < /dev/null & jobs+=" $!"
both() { [ "$(pgrep -fxc "sleep 7782.$$")" = 2 ]; }
within 10 both
holds "users/auto: when all are taken the start is refused, at its line" "box.lua:2: users = \"auto\": no range of 65536 ids is free" "$(inside true)"
kill $jobs; wait
equal "users/auto: they are given back at the end" "" "$(ranges)"
leaves_nothing() { if within 3 eval '[ -z "$(ls -A "$LUABOX_STATE" | grep -vE "^\.(lock|ids|failure\.json)$"; ls -A "$LUABOX_IMAGES/.layers")" ]'; then ok "$1"; else failed "$1" "$(ls -A "$LUABOX_STATE" "$LUABOX_IMAGES/.layers")"; fi; }
leaves_nothing "users/auto: nothing is left behind"
finish
