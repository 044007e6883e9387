# apparmor = "PROFILE": the container's command is confined by it from its first instruction on, beside everything else.
. "$(dirname "$0")/common.sh"
mark=aa-$$
. "$here/apparmor.sh"
make_rootfs rootfs
echo hidden > rootfs/secret; echo plain > rootfs/open
ip link set lo up

profile=luabox-e2e-$$
load_profile $profile "  file,
  capability,
  signal,
  network unix,
  deny /secret rwklx,
  deny /open w,
  deny /tmp/** x,"

script "name = '$mark'" "mounts = { tmpfs { '/tmp', mode = '1777' } }" "apparmor = '$profile'" "command = { '/bin/sh' }"
sed "/apparmor/d" box.lua > free.lua
with() { "$LUABOX" run "$1.lua" -- /bin/sh -c "$2" 2>&1; }

equal "its label is the profile, in force" "$profile (enforce)" "$(with box 'cat /proc/self/attr/current')"
lacks "without the field it has none" "$profile" "$(with free 'cat /proc/self/attr/current')"
equal "what the profile denies fails, for root too" "cat: can't open '/secret': Permission denied" "$(with box 'cat /secret')"
equal "and works without the profile" hidden "$(with free 'cat /secret')"
holds "a file may be read that may not be written" "plain"$'\n'"/bin/sh: can't create /open: Permission denied" "$(with box 'cat /open; echo more > /open')"
holds "no program of the forbidden folder runs" "Permission denied" "$(with box 'cp /bin/busybox /tmp/true; /tmp/true')"
equal "which runs without the profile" "ran" "$(with free 'cp /bin/busybox /tmp/true; /tmp/true && echo ran')"
holds "no socket of a family that is not allowed" "Permission denied" "$(with box 'nc 127.0.0.1 1')"
equal "its children are confined as well" "$profile (enforce)" "$(with box "sh -c 'sh -c \"cat /proc/self/attr/current\"; :'; :")"
equal "no_new_privs stays" "1" "$(with box "sed -n 's/^NoNewPrivs:.//p' /proc/self/status")"
equal "so do the default's capabilities and filter" "$(with free "grep -E '^(CapBnd|Seccomp):' /proc/self/status")" "$(with box "grep -E '^(CapBnd|Seccomp):' /proc/self/status")"
equal "it can't leave the profile" "$profile (enforce)" "$(with box 'echo changeprofile unconfined > /proc/self/attr/current 2>/dev/null; cat /proc/self/attr/current')"

script "apparmor = 'no-such-profile'" "command = { '/bin/echo', 'it ran' }"
seen=$("$LUABOX" run box.lua 2>&1); equal "a profile that is not loaded: luabox's own status" 125 $?
lacks "nothing is run" "it ran" "$seen"
holds "and the error names it, at its line" "box.lua:3: " "$seen"
holds "with the reason" "no AppArmor profile of that name is loaded" "$seen"
leaves_nothing "nothing is left behind"
finish
