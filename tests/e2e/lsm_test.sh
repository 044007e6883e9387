#!/bin/bash
# A security module that refuses what luabox itself does, under a profile as a service may have one, is told as the cause.
. "$(dirname "$0")/common.sh"
. "$here/apparmor.sh"
make_rootfs rootfs
outside=luabox-lsm-$$
load_profile $outside "  file,
  capability,
  signal,
  network,
  ptrace,
  unix,"

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
