# Sourced after common.sh by tests that load a profile of AppArmor's.
[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || { echo "skipped: this kernel has no AppArmor (tools/test-vm has one)"; exit 77; }
command -v apparmor_parser > /dev/null || { echo "skipped: no apparmor_parser to load a profile (package apparmor)"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: only root loads profiles"; exit 77; }
mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security

# load_profile NAME RULES: until the test's end.
load_profile() {
  printf 'profile %s flags=(attach_disconnected,mediate_deleted) {\n%s\n}\n' "$1" "$2" > "$work/profile"
  apparmor_parser -K -r "$work/profile" || { failed "the profile loads"; finish; }
  trap 'if [ $BASHPID = $$ ]; then cd /; apparmor_parser -R "$work/profile" 2>/dev/null; rm -rf --one-file-system "$work"; fi' EXIT
}
