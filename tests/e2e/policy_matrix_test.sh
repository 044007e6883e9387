#!/bin/bash
# Every primitive that a policy can be asked about, as luabox registers them, under a rule that refuses it, one that changes it, one that only logs:
# directly through luabox.sys, and from what a container's description says.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mkdir policies scratch image
"$LUABOX" run "$here/policy_matrix_names.lua" | sort > kinds
cut -f 2 kinds > names
[ "$(wc -l < names)" -ge 130 ] || failed "the primitives are found" "$(wc -l < names)"
equal "what sets capabilities is of that kind" "security.apply security.limit_bounding security.set_capabilities" "$(sed -n 's/^capability\t//p' kinds | xargs)"
echo packed > packed; chown 5:6 packed; tar cf packed.tar packed

kinds=$(cut -f 1 kinds | sort -u | sed 's/.*/"&"/' | paste -sd,)
export LUABOX_POLICY=$work/policies
cat > policies/10-matrix.lua <<P
audit "$work/audit.log"
allow { "primitives" }
local now, ALL = {}, { $kinds }
local function meant(r, mode) return now.mode == mode and now.primitive == r.primitive end
rule "control" { on = "process", check = function(r)
  if r.primitive ~= "sethostname" or r.arguments[1] ~= "control" then return end
  now = r.options
  return deny "control"
end }
rule "deny" { on = ALL, check = function(r) if meant(r, "deny") then return deny "by the matrix" end end }
rule "illegal" { on = ALL, change = function(r) if meant(r, "illegal") then r.arguments[#r.arguments + 1] = "more" end end }
rule "shadow" { on = ALL, mode = "shadow", check = function(r) if meant(r, "shadow") then return deny("shadow " .. r.primitive) end end }
rule "change" { on = ALL, change = function(r)
  if not meant(r, "change") then return end
  if now.field then r[now.field] = now.value return end
  for key, value in pairs(now.set) do r.options[key] = value end
end }
P
timeout 250 "$LUABOX" run "$here/policy_matrix.lua" "$work/scratch" "$work/names" "$work/packed.tar" "$@" > out 2>&1; got=$?
grep -vE "checks," out
equal "every primitive, refused, changed, and logged" 0 $got
tail -1 out
[ $# = 0 ] || finish
[ $got != 0 ] || while read -r name; do
  grep -qF "\"reason\":\"shadow $name\"" audit.log || grep -qE "^skipped - $name:" out || case $name in
    end_helpers|security.kernel_log|security.session_keyring|security.exec_label|security.dumpable|security.parent_death_signal|security.child_subreaper) ;;
    user.io_priority|cgroup:freeze|cgroup:thaw) ;;
    *) failed "the audit log has what a shadow rule says of $name" "nothing" ;;
  esac
done < names
cat > policies/20.lua <<'P'
rule "late" { on = "mount", change = function(r) if r.primitive == "mount.bind" then r.options.zzz = true end end }
P
printf 'local sys = require "luabox.sys"\nsys.mount.bind("/usr", "/mnt", {})\n' > bad.lua
holds "a change that the primitive can't have is told with its rule" "unknown option 'zzz'" "$("$LUABOX" run bad.lua 2>&1)"
holds "and its file and line" "(with what the policy 'late' (20.lua:1) made of it)" "$("$LUABOX" run bad.lua 2>&1)"
rm -f policies/*

# from the container's description: whatever primitives its start takes, each can be refused by its name
cat > box.lua <<S
return container {
  name = "e2e-matrix-$$", rootfs = directory { "$work/rootfs", overlay = true },
  mounts = { bind { "$work/image", "/data", readonly = true }, tmpfs { "/tmp", size = "1MiB" }, mqueue "/dev/mqueue",
    overlay { "/mnt", lower = { "$work/image", "$work/scratch" } } },
  network = veth { host = "172.16.95.1/24", guest = "172.16.95.2/24", nat = true, publish = { "18095:80" } },
  cgroup = { memory = "64MiB", pids = 50 }, capabilities = { drop = { "kill" } }, rlimits = { nofile = 100 }, umask = "027", nice = 1,
  namespaces = { ipc = "/proc/self/ns/ipc" }, user = "user", cwd = "/tmp", devices = { { path = "/dev/null", name = "own" } }, sysctl = { ["net.ipv4.ip_unprivileged_port_start"] = 80 },
  command = { "sh", "-c", "echo ran" },
}
S
cat > policies/10.lua <<P
audit "$work/whole.log"
rule "seen" { on = { $kinds }, mode = "shadow", check = function(r) return deny("saw " .. r.primitive) end }
P
mark=e2e-matrix-$$
echo 0 > /proc/sys/net/ipv4/ip_forward  # of this test's own network: a start sets it where it must
equal "a container runs under rules that only log" ran "$("$LUABOX" run box.lua 2>&1)"
grep -o '"reason":"saw [^"]*"' whole.log | sed 's/.*saw //; s/"$//' | sort -u > taken
[ "$(wc -l < taken)" -ge 35 ] || failed "its primitives are seen" "$(wc -l < taken): $(paste -sd' ' taken)"
# What the record is told once the command runs (file.append) comes behind its start.
while read -r name; do
  cat > policies/10.lua <<P
rule "one" { on = { $kinds }, check = function(r) if r.primitive == "$name" then return deny "not this" end end }
P
  echo 0 > /proc/sys/net/ipv4/ip_forward
  output=$("$LUABOX" run box.lua 2>&1); got=$?
  [ $got = 125 ] && [[ $output == *"refused by the policy 'one' (10.lua:1): not this"* ]] && { [[ $output != *ran* ]] || [ "$name" = file.append ]; } ||
    failed "a container whose start takes $name is refused" "status $got: $output"
  clean || within 3 clean || failed "a start that is refused at $name leaves nothing" "$(leftovers)"
done < taken
ok "a container is refused at each of the $(wc -l < taken) primitives of its start"

unset LUABOX_POLICY
leaves_nothing "nothing is left behind"
finish
