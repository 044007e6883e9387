# Sourced by tests that need an ordinary user: one that is only in this mount namespace's /etc/passwd. The host's files are not touched.
[ "$(id -u)" = 0 ] || { echo "skipped: needs root, to make an ordinary user"; exit 77; }
[ -n "${OWN_NAMESPACES:-}" ] || OWN_NAMESPACES=yes exec unshare --net --mount --propagation private bash "$0" "$@"
unset OWN_NAMESPACES
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
mount --make-rshared /  # as on a host with systemd; within this mount namespace
user_id=$((20000 + $$ % 20000)) first_id=$((1000000000 + ($$ % 10000) * 65536))
user_home=$work/home
mkdir "$work/etc" "$user_home" "$work/run"
chmod 755 "$work"; chown $user_id:$user_id "$user_home" "$work/run"; chmod 700 "$work/run"
install -m 755 "$LUABOX" "$work/luabox"
{ cat /etc/passwd; echo "boxer:x:$user_id:$user_id::$user_home:/bin/sh"; } > "$work/etc/passwd"
{ cat /etc/group; echo "boxer:x:$user_id:"; } > "$work/etc/group"
touch /etc/subuid /etc/subgid
: > "$work/etc/subuid"; : > "$work/etc/subgid"
for file in passwd group subuid subgid; do mount --bind "$work/etc/$file" /etc/$file; done
trap 'if [ $BASHPID = $$ ]; then cd /; umount /etc/passwd /etc/group /etc/subuid /etc/subgid; rm -rf --one-file-system "$work" "/tmp/luabox-$user_id"; fi' EXIT
ip link set lo up

# The user gets 65536 further ids, or none.
grant() { echo "boxer:$first_id:65536" | tee "$work/etc/subuid" > "$work/etc/subgid"; }
revoke() { : > "$work/etc/subuid"; : > "$work/etc/subgid"; }
# as_user COMMAND...: with nothing but PATH, HOME and a runtime folder. "${user[@]}" COMMAND... & is the same, of which $! is the command's.
user=(setpriv --reuid $user_id --regid $user_id --clear-groups --reset-env env -C "$user_home" "HOME=$user_home" "PATH=$PATH"
  "XDG_RUNTIME_DIR=$work/run" ${LUABOX_SCRIPTS:+"LUABOX_SCRIPTS=$LUABOX_SCRIPTS"})
as_user() { "${user[@]}" "$@"; }
# box FIELDS...: writes box.lua in the user's home, a container of the image "box" with these fields.
box() { printf 'return container {\n  rootfs = image "box",\n%s\n}\n' "$(printf '  %s,\n' "$@")" > "$user_home/box.lua"; }
# inside TEXT: what the shell TEXT prints in box.lua's container, errors too. One that has to be killed fails the test at its end, whatever it printed.
inside() {
  as_user timeout -s KILL $((60 * slow)) "$work/luabox" run box.lua -- sh -c "$1" < /dev/null 2>&1
  local result=$?
  [ $result != 137 ] || echo "$1" >> "$work/hung"
  return $result
}
finish() {
  [ ! -e "$work/hung" ] || failed "no container hangs" "killed after 60 seconds: $(cat "$work/hung")"
  exit $status
}
