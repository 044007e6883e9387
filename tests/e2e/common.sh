# Sourced by tests/e2e/*_test.sh: a place of the test's own, a busybox root file system, and checks that say what they checked.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
LUABOX=$(readlink -f "${LUABOX:-$top/build/luabox}")
work=$(mktemp -d "${TMPDIR:-/tmp}/luabox-e2e.XXXXXX")
export LUABOX LUABOX_STATE=$work/state LUABOX_IMAGES=$work/images
# A process that is killed between fork and exec is still a bash with this trap.
trap 'if [ $BASHPID = $$ ]; then cd /; rm -rf --one-file-system "$work"; fi' EXIT
cd "$work"
status=0
slow=${LUABOX_SLOW:-1}  # how much slower processes start here than on a real machine: what waits, waits so much longer

# Where LUABOX_RESULTS names a folder (absolute), each check leaves a line in a file there: outcome, user, version of cgroups, name, why; tools/walkthroughs
# makes docs/walkthroughs.md of those whose name is "group/walk: effect". A test that runs a walk as an ordinary user sets as=rootless meanwhile.
as=$([ "$(id -u)" = 0 ] && echo root || echo rootless)
cgroup_version=$(grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts && echo v2 || echo v1)
results=
if [ -n "${LUABOX_RESULTS:-}" ] && mkdir -p "$LUABOX_RESULTS"; then
  results=$LUABOX_RESULTS/$(basename "$0" .sh).$cgroup_version.$as.tsv
  : > "$results"
fi
result() { [ -z "$results" ] || printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$as" "$cgroup_version" "$2" "$(tr '\t\n' '  ' <<< "${3:-}")" >> "$results"; }
result kernel "$(uname -r | grep -o '^[0-9.]*[0-9]')"

ok() { echo "ok - $1"; result ok "$1"; }
failed() { echo "FAILED - $1${2:+: $2}"; status=1; result FAILED "$1" "${2:-}"; }

# skipped NAME WHY: a check that this host can't have.
skipped() { echo "skipped - $1: $2"; result skipped "$1" "$2"; }
# refused NAME PART TEXT [REASON]: the kernel can't do it here, and the error in TEXT says so, with PART in it: that is what the walk shows.
refused() { if [[ $3 == *"$2"* ]]; then echo "ok - $1"; result refused "$1" "${4:-$2}"; else failed "$1" "no '$2' in '$3'"; fi; }
# equal NAME WANTED GOT
equal() { if [ "$2" = "$3" ]; then ok "$1"; else failed "$1" "wanted '$2', got '$3'"; fi; }
# holds NAME PART TEXT
holds() { if [[ $3 == *"$2"* ]]; then ok "$1"; else failed "$1" "no '$2' in '$3'"; fi; }
lacks() { if [[ $3 != *"$2"* ]]; then ok "$1"; else failed "$1" "'$2' is in '$3'"; fi; }
# succeeds NAME COMMAND...
succeeds() { local name=$1 output; shift; if output=$("$@" 2>&1); then ok "$name"; else failed "$name" "status $?: $output"; fi; }

# within SECONDS CONDITION...: waits until it holds.
microseconds() { echo "${EPOCHREALTIME//[!0-9]/}"; }
within() {
  local deadline=$(($(microseconds) + $1 * 1000000 * slow))
  shift
  until "$@"; do [ "$(microseconds)" -lt $deadline ] || return 1; sleep 0.05; done
}

# Waits until no other test runs that calls this. What containers have goes by LUABOX_STATE and the network namespace, and is in nobody's way; what
# primitives make may be the machine's: a cgroup with the name that a walk gives it, a queue of messages.
alone() { exec 9< /sys/fs/cgroup; flock 9; }

# A root file system of busybox in $1.
make_rootfs() {
  mkdir -p "$1"/{bin,etc,tmp,root,proc,sys,dev,run,usr/bin}
  cp "$(command -v busybox)" "$1/bin/busybox"
  if [ "$(id -u)" = 0 ]; then chroot "$1" /bin/busybox --install -s /bin; else unshare --map-root-user chroot "$1" /bin/busybox --install -s /bin; fi
  printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n' > "$1/etc/passwd"
  printf 'root:x:0:\nuser:x:1000:\nstaff:x:50:user\n' > "$1/etc/group"
}

# script FIELDS...: writes box.lua, a container on $work/rootfs with these fields.
script() { printf 'return container {\n  rootfs = "%s/rootfs",\n%s\n}\n' "$work" "$(printf '  %s,\n' "$@")" > "$work/box.lua"; }

# leftovers: what luabox has outside its containers now: state, cgroups, mounts, firewall tables, processes, layers.
leftovers() {
  ls -A "$LUABOX_STATE" 2>/dev/null | grep -vE '^\.(lock|bridges|ids|pasta|failure\.json|policies)$'
  ls -A "$LUABOX_STATE/.ids" 2>/dev/null
  find "$LUABOX_STATE/.bridges" -mindepth 1 ! -name .lock 2>/dev/null
  find /sys/fs/cgroup -path '*/luabox/*' -type d 2>/dev/null | grep -F "${mark:-no-name}"
  grep -F "$work" /proc/self/mountinfo | grep -vF "$work/etc/"  # rootless.sh's
  nft list tables 2>/dev/null | grep luabox
  ls -A "$LUABOX_IMAGES/.layers" 2>/dev/null
}
clean() { [ -z "$(leftovers)" ]; }
leaves_nothing() { if within 3 clean; then ok "$1"; else failed "$1" "$(leftovers)"; fi; }

finish() { exit $status; }
