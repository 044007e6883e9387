#!/bin/bash
# A security module that refuses what luabox itself does, under a profile as a service may have one, is told as the cause.
. "$(dirname "$0")/common.sh"
[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || { echo "skipped: this kernel has no AppArmor (tools/test-vm has one)"; exit 77; }
command -v apparmor_parser > /dev/null || { echo "skipped: no apparmor_parser to load a profile (package apparmor)"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: only root loads profiles"; exit 77; }
mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security
make_rootfs rootfs
outside=luabox-lsm-$$
cat > profile <<RULES
profile $outside flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  signal,
  network,
  ptrace,
  unix,
}
RULES
apparmor_parser -K -r profile || { failed "the profile loads"; finish; }
trap 'cd /; apparmor_parser -R "$work/profile" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT

# The profile has no mount rule.
script "command = { '/bin/true' }"
succeeds "without a profile it runs" "$LUABOX" run box.lua
confined() { bash -c "echo 'exec $outside' > /proc/self/attr/apparmor/exec 2>/dev/null || echo 'exec $outside' > /proc/self/attr/exec; exec \"\$@\"" - "$@"; }
holds "it can be put under the profile" "$outside (enforce)" "$(confined cat /proc/self/attr/current)"
said=$(LUABOX_HINTS=1 confined "$LUABOX" run box.lua 2>&1); equal "luabox under a profile that forbids mounts: refused" 125 $?
holds "its own profile is told" "cause: luabox runs under the security module's profile '$outside'" "$said"
holds "and in the record" "$outside" "$("$LUABOX" why)"
leaves_nothing "nothing is left behind"
finish
