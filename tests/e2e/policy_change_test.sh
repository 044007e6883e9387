#!/bin/bash
# What a rule writes in a request: the short forms of a script, in a container, an update, an exec; what comes out is checked as a script is, and the
# checks of the rules see it written out.
. "$(dirname "$0")/common.sh"
ip link set lo up  # as a host has it
make_rootfs rootfs
mark=e2e-change-$$
mkdir policies data other
chmod 755 "$work" policies
echo data > data/file; echo other > other/file
export LUABOX_POLICY=$work/policies
run() { "$LUABOX" run "$@" 2>&1 < /dev/null; }
policy() { cat > policies/10-site.lua; }
# changed NAME RULE WANTED COMMAND: what a container prints whose request the rule changed.
changed() { policy <<< "rule 'site' { on = 'run', change = function(c) $2 end }"; equal "$1" "$3" "$(run box.lua -- sh -c "$4" | tr '\n' ' ' | sed 's/ $//')"; }
# wrong NAME RULE PART: such a change is refused, at the container's line, in one line that names the rule and has PART.
wrong() {
  local output
  policy <<< "rule 'site' { on = 'run', change = function(c) $2 end }"
  output=$(run box.lua)
  holds "$1" "$3" "$output"
  holds "$1: with the rule" "(with what the policy 'site' (10-site.lua:1) made of it)" "$output"
  equal "$1: in one line, at the container's" "1 box.lua:1" "$(wc -l <<< "$output") $(grep -o 'box.lua:1' <<< "$output")"
}
# fixed NAME RULE FIELD: what can't be changed is refused.
fixed() { policy <<< "rule 'site' { on = 'run', change = function(c) $2 end }"; holds "$1" "refused by the policy 'site' (10-site.lua:1): it changed '$3', which no rule can change here" "$(run box.lua)"; }

script "network = veth { host = '172.16.93.1/24', guest = '172.16.93.2/24' }" "cgroup = { memory = '256MiB' }" "command = { 'true' }" "mounts = { bind { '$work/data', '/data' } }"
equal "without rules it runs" "" "$(rm -f policies/*; run box.lua)"

# short forms
policy <<'P'
rule "limits" { on = "run", change = function(c) c.cgroup = { memory = "64MiB", cpu = "50%", pids = 20 } end,
  check = function(c) if c.cgroup.memory ~= MiB(64) or c.cgroup.cpu ~= 0.5 then return deny("not written out: " .. tostring(c.cgroup.memory)) end end }
P
succeeds "limits with units, which the checks see as numbers" run box.lua
sed "s/cgroup = /name = '$mark', cgroup = /; s/'true'/'sh', '-c', 'echo ready; read x'/" box.lua > held.lua
mkfifo in; "$LUABOX" run held.lua < in > out 2>&1 & child=$!
exec 9> in; within 10 grep -qs ready out
limit() { cat $(find /sys/fs/cgroup \( -path "*luabox/$mark/memory.limit_in_bytes" -o -path "*luabox/$mark/memory.max" \) | head -1); }
equal "they are in force" 67108864 "$(limit)"
policy <<< 'rule "ceiling" { on = "update", change = function(u) u.cgroup.memory = "32MiB" end, check = function(u) if u.cgroup.memory ~= MiB(32) then return deny "not a number" end end }'
"$LUABOX" update $mark memory=128MiB > update 2>&1 || "$LUABOX" update --memory 128MiB $mark > update 2>&1
equal "an update with units" 33554432 "$(limit)"
policy <<< 'rule "odd" { on = "update", change = function(u) u.cgroup.memory = "much" end }'
holds "an update that is none names the rule" "the policy 'odd' (10-site.lua:1)" "$("$LUABOX" update $mark memory=128MiB 2>&1)"
equal "and changes nothing" 33554432 "$(limit)"
policy <<< 'rule "exec" { on = "exec", change = function(e) e.env = { N = 5 } e.user = 1000 end }'
equal "an exec as another user, by number" "5 1000" "$("$LUABOX" exec $mark sh -c 'echo $N $(id -u)' 2>&1)"
policy <<< 'rule "exec" { on = "exec", change = function(e) e.command = "ls" end }'
holds "an exec that can't be is told with the rule" "exec.command: expected a list, got 'ls' (with what the policy 'exec' (10-site.lua:1) made of it)" "$("$LUABOX" exec $mark true 2>&1)"
policy <<< 'rule "exec" { on = "exec", change = function(e) e.name = "other" end }'
holds "an exec in another container is none" "it changed 'name'" "$("$LUABOX" exec $mark true 2>&1)"
exec 9>&-; wait $child

# whatever a script calls a limit, a rule reads it by its short name
policy <<< 'rule "tell" { on = "run", check = function(c) local list = {} for key, value in pairs(c.cgroup) do if key ~= "pids" then list[#list + 1] = key .. "=" .. tostring(value) end end
  table.sort(list) return deny(#list > 0 and table.concat(list, " ") or "no limit") end }'
while IFS='|' read -r keys seen; do
  script "cgroup = { $keys }" "command = { 'true' }"; equal "$keys is $seen" "$seen" "$("$LUABOX" explain box.lua 2>&1 > /dev/null | sed 's/.*10-site.lua:1): //')"
done <<'END'
cpu_quota = 200000|cpu=2
cpu_quota = "50000", cpu_period = 25000|cpu=2
['cpu.cfs_quota_us'] = 50000, cpu_period = 25000|cpu=2
['cpu.max'] = '50000 25000'|cpu=2
cpu_quota = -1|no limit
cpu_period = 50000|no limit
['cpu.shares'] = 1024|cpu_weight=100
['blkio.weight'] = 500|io_weight=4950
['cpu.cfs_burst_us'] = 100|cpu_burst=100
['hugetlb.2MB.max'] = '4MiB'|hugetlb.2MB=4194304
['blkio.throttle.read_bps_device'] = '8:0 1000'|io_read_bps=8:0 1000
io_write_bps = '8:0 10MB'|io_write_bps=8:0 10000000
['freezer.state'] = 'THAWED'|freezer=false
['memory.memsw.limit_in_bytes'] = '12MiB', memory = '8MiB'|memory=8388608 swap=4194304
END
script "command = { 'true' }" "cgroup = { memory = '1MiB',
  ['memory.max'] = '1GiB' }"
holds "a limit that is said twice is told at its line" "box.lua:4: cgroup: 'memory" "$(run box.lua)"
script "cgroup = { cpu_quota = 200000, ['cpu.shares'] = 1024 }" "command = { 'true' }"
policy <<< 'rule "one" { on = "run", change = function(c) c.cgroup.cpu = math.min(c.cgroup.cpu or 1, 1) end }'
holds "a ceiling holds for a quota" "cpu = 1" "$("$LUABOX" explain box.lua | grep ':write {')"
script "cgroup = { memory = '8MiB' }" "command = { 'true' }"
for number in "0 / 0" "1 / 0" "-1 / 0"; do
  policy <<< "rule 'odd' { on = 'run', change = function(c) c.cgroup.memory = $number end }"
  holds "a limit of $number is not none" "refused by the policy 'odd' (10-site.lua:1): it changed 'cgroup.memory' to no number" "$(run box.lua)"
done
policy <<< 'rule "two" { on = "run", check = function(c) return nil, "not this" end }'
holds "a rule that returns a reason as Lua's own functions do refuses" "the rule returned string" "$(run box.lua)"
script "network = veth { host = '172.16.93.1/24', guest = '172.16.93.2/24' }" "cgroup = { memory = '256MiB' }" "command = { 'true' }" "mounts = { bind { '$work/data', '/data' } }"

changed "egress as texts" "c.network.egress = { '192.0.2.0/24:443', 'any:53/udp' }" "ran" "echo ran"
policy <<'P'
rule "egress" { on = "run", change = function(c) c.network.egress = { "192.0.2.0/24:443/tcp", { to = "192.0.2.9", first_port = 53 } } end,
  check = function(c)
    local one, two = c.network.egress[1], c.network.egress[2]
    if one.to ~= "192.0.2.0/24" or one.first_port ~= 443 or one.last_port ~= 443 or one.protocol ~= "tcp" then return deny "not written out" end
    if two.to ~= "192.0.2.9/32" or two.last_port ~= 53 then return deny "the table form" end
  end }
P
sed "s/'true'/'sh', '-c', 'echo ready; read x'/" box.lua > held.lua
rm -f in out; mkfifo in; "$LUABOX" run held.lua < in > out 2>&1 & child=$!
exec 9> in; within 10 grep -qs ready out
holds "egress is in the firewall" "192.0.2.0/24" "$(nft list ruleset 2>&1)"
exec 9>&-; wait $child; lacks "the checks see it written out" "not written out" "$(cat out)"
changed "ports as texts" "c.network.publish = { '18093:80', '127.0.0.1:18094:81/udp' }" ran "echo ran"
changed "another network, in a script's words" "c.network = veth { host = '172.16.92.1/24', guest = '172.16.92.2/24' }" "172.16.92.2/24" "ip -o -4 addr show eth0 | grep -o '172[^ ]*'"
changed "no network" "c.network = 'none'" "lo" "ls /sys/class/net"
changed "a mount in a script's words" "c.mounts[#c.mounts + 1] = tmpfs { '/fresh', size = '1MiB' }" "1024" "df -k /fresh | awk 'NR == 2 { print \$2 }'"
changed "a volume in a script's words" "c.mounts[#c.mounts + 1] = bind { '$work/other', '/more', readonly = true }" "other" "cat /more/file; touch /more/x 2>/dev/null"
changed "a mount as a table" "c.mounts[#c.mounts + 1] = { type = 'tmpfs', target = '/fresh', size = 2097152 }" "2048" "df -k /fresh | awk 'NR == 2 { print \$2 }'"
changed "a source" "for _, m in ipairs(c.mounts) do if m.target == '/data' then m.source = '$work/other' end end" other "cat /data/file"
changed "a root in a script's words" "c.rootfs = directory { '$work/rootfs', readonly = true }" "no" "touch /x 2>/dev/null || echo no"
changed "a root as a text" "c.rootfs = '$work/rootfs'" "ran" "echo ran"
changed "capabilities in a script's words" "c.capabilities = 'none'" "0000000000000000" "sed -n 's/CapBnd:.//p' /proc/self/status"
changed "capabilities that are added" "c.capabilities = { only = { 'chown' } }" "0000000000000001" "sed -n 's/CapBnd:.//p' /proc/self/status"
changed "a user by number" "c.user = 1000" "1000" "id -u"
changed "ids" "c.users = { uid = '0 200000 65536' }" "0 200000 65536" "cat /proc/self/uid_map | xargs"
changed "limits of processes" "c.rlimits = { nofile = 77 }" "77" "ulimit -n"
changed "a device as a text" "c.devices = { '/dev/full' }; c.mounts = { proc '/proc' }" "ran" "echo ran"
sed "s/command/users = 'auto', command/" box.lua > auto.lua
policy <<< 'rule "site" { on = "run", change = function(c) c.env.SITE = "here" end, check = function(c) if c.users ~= "auto" then return deny "users" end end }'
equal "users = 'auto' stays what it is" here "$(run auto.lua -- sh -c 'echo $SITE')"

# what is wrong
wrong "an egress that is none" "c.network.egress = { '192.0.2.0/99' }" "veth.egress: expected a destination such as"
wrong "an egress table with another field" "c.network.egress = { { to = '192.0.2.1', port = 5 } }" "has no field 'port'"
wrong "a port that is none" "c.network.publish = { '80' }" "expected a port such as"
wrong "a kind of network that is none" "c.network = { kind = 'veht' }" "network: expected the kind 'veth', 'bridge' or 'pasta', got 'veht'"
wrong "a size that is none" "c.cgroup.memory = 'much'" "much"
wrong "a mount that is none" "c.mounts[1] = 'tmpfs'" "mounts: expected a table, got string"
wrong "a relative source" "c.mounts[1] = bind { './x', '/x' }" "'./x' is no absolute path"
wrong "a size of a mount's that is none" "c.mounts[1] = tmpfs { '/tmp', size = '64mb' }" "tmpfs.size: expected a size such as 64MiB"
wrong "a field that a container has not" "c.hostnmae = 'x'" "container has no field 'hostnmae' (did you mean 'hostname'?)"
wrong "a capability that is none" "c.capabilities = { 'chwon' }" "chwon"
fixed "the image's name alone" "c.image = 'other'" image
fixed "who calls" "c.caller.uid = 5" caller.uid
fixed "the name" "c.name = 'other'" name
fixed "whether it is privileged" "c.privileged = not c.privileged" privileged
fixed "what was found at the root" "c.rootfs.inode = '1'" rootfs.inode
fixed "the user namespace's place" "c.namespaces.user = 'new'" namespaces.user

# a check sees where a change leads, not what it was called
ln -s other/file link
policy <<< "rule 'a' { on = 'run', change = function(c) for _, m in ipairs(c.mounts) do if m.target == '/data' then m.source = '$work/link' end end end }
rule 'b' { on = 'run', check = function(c) for _, m in ipairs(c.mounts) do if m.target == '/data' and m.source ~= '$work/other/file' then return deny(m.source) end end end }"
lacks "a changed source is resolved for the checks" "refused" "$(run box.lua)"
rm -f policies/*

leaves_nothing "nothing is left behind"
finish
