#!/bin/bash
# tools/test-vm itself, with a stand-in for the virtual machine: machines that end too early, resuming, what is told at the end.
. "$(dirname "$0")/common.sh"
# A machine in which one test ends, then its time is up; lsm is the end of it at once. What the test `defaults` prints is in a file.
cat > machine <<'M'
#!/bin/bash
while [ "$1" != -- ]; do shift; done
logs=$4
set -- "${@:5}"
echo "boot: $*"
log=$logs,$1.log
[ "$1" != lsm ] || { echo 'ok - begun' > "$log"; exit 137; }
[ "$1" != defaults ] || { cat "${0%/*}/defaults.out" > "$log"; exit 124; }
printf 'ok - %s\nskipped - more: why\nstatus 0 after 3 s\n' "$1" > "$log"
exit 124
M
printf 'ok - one\nFAILED - two: wanted a\nstatus 1 after 3 s\n' > defaults.out
chmod +x machine
vm() { LUABOX_VM_RUN=$work/machine LUABOX_VM_LOGS=$work/logs LUABOX_RESULTS=$work/results "$top/tools/test-vm" --engine uml7 "$@" > out 2>&1; echo $?; }

equal "a failed check is a failure" 1 "$(vm run defaults lsm walk_exec)"
equal "a machine that ends early is followed by another, behind the test that ended it" \
  "boot: run defaults lsm walk_exec;boot: defaults lsm walk_exec;boot: lsm walk_exec;boot: walk_exec;" "$(grep ^boot out | tr '\n' ';')"
holds "each failed check is told, by layout, user, test and name" "v2-uml7,root,defaults: FAILED - two: wanted a" "$(cat out)"
holds "so is the test that ended the machine" "v2-uml7,root,lsm: FAILED - the virtual machine ended with status 137 before the test did" "$(cat out)"
equal "and how many" "2 skipped;4 passed, 2 failed;" "$(tail -2 out | tr '\n' ';')"
printf 'ok - one\nok - two\nstatus 0 after 3 s\n' > defaults.out
equal "resumed, only what has not passed is run" "1 boot: defaults lsm;boot: lsm;" "$(vm --resume run defaults lsm walk_exec) $(grep ^boot out | tr '\n' ';')"
equal "and all of it is counted" "2 skipped;5 passed, 1 failed;" "$(tail -2 out | tr '\n' ';')"
equal "all passed" "0 2 passed, 0 failed" "$(vm defaults) $(tail -1 out)"
printf '#!/bin/sh\nexit 125\n' > machine
equal "a machine that can't be had is a failure" "1 v2-uml7,root,run: FAILED - not run: the virtual machine ended with status 125" "$(vm run) $(grep ^v2 out)"
equal "an unknown test is told" "1 test-vm: there is no test 'rum': tests/e2e/rum_test.sh" "$(vm rum) $(cat out)"
equal "without a machine it is skipped" 77 "$(rm machine; vm run)"
plan=$("$top/tools/test-vm" --all --list)
for layout in v2 v1split hybrid; do holds "--all: $layout as root" "$layout root cgroup_test.lua cgroup_keys_test.lua" "$plan"; done
for layout in v2 v1split; do holds "--all: $layout as a user" "$layout vmuser:2000 cgroup_keys_test.lua" "$plan"; done
lacks "every walk is in it" "missing" "$(for file in "$top"/tests/e2e/walk_*_test.sh; do name=$(basename "$file" _test.sh); grep -qw "$name" <<< "$plan" || echo "missing $name"; done)"
finish
