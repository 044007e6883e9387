#!/bin/bash
# New limits of a container that runs: `luabox update`, c:update in a script, the prompt; and rules about them.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mkdir policies
policy() { rm -f policies/*; cat > policies/10-site.lua; export LUABOX_POLICY=$work/policies; }
limit() { cat "$(find /sys/fs/cgroup -path "*luabox/$1/memory.limit_in_bytes" -o -path "*luabox/$1/memory.max" 2>/dev/null | head -1)"; }
update() { "$LUABOX" update "$@" 2>&1; }
name=e2e-update
start() {
  script "name = '$name'" "labels = { team = 'web' }" "cgroup = { memory = '32MiB', pids = 50 }" "command = { 'sh', '-c', 'echo ready; read x' }"
  mkfifo in 2>/dev/null; "$LUABOX" run box.lua < in > out 2>&1 & child=$!
  exec 9> in; within 5 grep -qs ready out
}
stop() { exec 9>&-; wait $child; rm -f out; }

start
succeeds "luabox update sets a limit" "$LUABOX" update $name memory=48MiB pids=60
equal "which the kernel has" 50331648 "$(limit $name)"
holds "a key of docker's is refused, with ours" "unknown key 'memory_swap' (write swap = " "$(update $name memory_swap=1)"
holds "an unknown key is refused, with the nearest" "unknown key 'memry' (did you mean 'memory'?)" "$(update $name memry=1)"
holds "a value that is none" "memory" "$(update $name memory=much)"
holds "no value" "expected KEY=VALUE, such as memory=1GiB, got 'memory'" "$(update $name memory)"
holds "a key given twice" "'memory' is given twice" "$(update $name memory=1MiB memory=2MiB)"
holds "no such container" "there is no container 'e2e-updat' (did you mean '$name'?)" "$(update e2e-updat memory=1MiB)"
equal "one that is refused changes nothing" 50331648 "$(update $name memory=40MiB nosuch=1 > /dev/null; limit $name)"
equal "status 125" 125 "$(update $name memry=1 > /dev/null; echo $?)"
stop

policy <<< 'rule "others" { on = { "run", "update" }, needs = "running", check = function(c) if #c.running > 0 then return deny(c.running[1].name) end end }'
start
equal "a container is not among the others that run" "" "$(update $name memory=40MiB)"
stop
policy <<'P'
audit "/dev/null"
rule "memory ceiling" { on = { "run", "update" }, change = function(c) c.cgroup.memory = math.min(c.cgroup.memory or MiB(64), MiB(64)) end }
rule "few" { on = "update", check = function(c)
  if c.cgroup.pids > 100 then return deny(c.name .. " of " .. c.labels.team .. " asks for " .. c.cgroup.pids) end
end }
P
sed -i "s#/dev/null#$work/audit.log#" policies/10-site.lua
start
update $name memory=1GiB > /dev/null
equal "a rule changes an update" 67108864 "$(limit $name)"
update $name memory=20MiB > /dev/null
equal "one that no rule is against is as asked" 20971520 "$(limit $name)"
update $name pids=70 > /dev/null
equal "a limit that was not asked for stays as it is" 20971520 "$(limit $name)"
update $name memory=max > /dev/null
equal "to take a limit off is an update" 67108864 "$(limit $name)"
holds "a rule refuses one" "refused by the policy 'few' (10-site.lua:3): $name of web asks for 200" "$(update $name memory=10MiB pids=200)"
equal "and then nothing of it is done" 67108864 "$(limit $name)"
holds "the audit log has it" '"kind":"update"' "$(tail -1 audit.log)"
stop

cat > own.lua <<S
local c = container { rootfs = "$work/rootfs", name = "$name", labels = { team = "web" }, cgroup = { memory = "32MiB", pids = 50 },
  command = { "sleep", "20" },
  { attach = function(this) this.cgroup:write { memory = "2GiB" } end } }
c:start()
print("step", c.cgroup:read "memory")
c:update { memory = "40MiB" }
print("lower", c.cgroup:read "memory")
c:update { memory = "1GiB" }
print("update", c.cgroup:read "memory")
c.cgroup:write { ["memory.limit_in_bytes"] = "3GiB" }
print("write", c.cgroup:read "memory")
print(pcall(c.update, c, { pids = 200 }))
print(getmetatable(c.cgroup))
c:destroy()
S
output=$("$LUABOX" run own.lua 2>&1)
holds "a step of the script's own can't raise a limit" $'step\t67108864' "$output"
holds "c:update in a script" $'lower\t41943040' "$output"
holds "is changed by the rule" $'update\t67108864' "$output"
holds "so is what it writes to its cgroup" $'write\t67108864' "$output"
holds "and refused, at the script's line" "own.lua:12: refused by the policy 'few'" "$output"
holds "a script has no cgroup object of the library's" $'\ncgroup' "$output"
holds "explain tells of updates" "policy 'memory ceiling' (10-site.lua:2) changes update: cgroup.memory: 1073741824 -> 67108864    -- own.lua:8" "$("$LUABOX" explain own.lua 2>/dev/null)"

# a quota counts what a container was given later
policy < "$top/examples/policies/quota/quota.lua"
sed -i 's/GiB(8)/MiB(100)/' policies/10-site.lua
start
second() { script "name = 'second-$$'" "cgroup = { memory = '30MiB' }" "command = { 'echo', 'ran' }"; "$LUABOX" run box.lua 2>&1; }
equal "a quota lets a second container start beside a small one" ran "$(second)"
update $name memory=80MiB
holds "and counts what that was given later" "refused by the policy 'quota'" "$(second)"
stop
unset LUABOX_POLICY

leaves_nothing "nothing is left behind"
finish
