#!/bin/bash
# `luabox policy check` and `policy test` as who writes policies uses them: on what is wrong, and on what is right.
. "$(dirname "$0")/common.sh"
mkdir -p policies/tests; chmod 755 "$work" policies
# tells NAME PART POLICY: one line that has PART, and status 1.
tells() {
  local output got
  echo "$3" > policies/10.lua
  output=$("$LUABOX" policy check policies 2>&1); got=$?
  holds "$1" "$2" "$output"
  equal "$1: its status" 1 $got
  equal "$1: once" 1 "$(grep -cF "$2" <<< "$output")"
}
# notes NAME PART POLICY: nothing is wrong, and a line has PART.
notes() {
  local output got
  echo "$3" > policies/10.lua
  output=$("$LUABOX" policy check policies 2>&1); got=$?
  holds "$1" "$2" "$output"
  equal "$1: its status" 0 $got
}
on_run() { echo "rule 'a' { on = 'run', $1 }"; }

tells "a syntax error has its line" "10.lua:2: " $'\nrule "x" { on = "run" check = 5 }'
tells "an unknown name" "10.lua:1: there is no 'dney' in a policy (did you mean 'deny'?)" "$(on_run 'check = function(c) return dney "x" end')"
tells "an unknown field of a rule" "10.lua:1: rule has no field 'chekc' (did you mean 'check'?)" "$(on_run 'chekc = 5')"
tells "an unknown field of allow" "10.lua:2: allow has no field 'usres' (did you mean 'users'?)" $'\nallow { "files", usres = {} }'
tells "a field that no request has" "10.lua:1: a request of the kind 'run' has no field 'netwrok' (did you mean 'network'?)" "$(on_run 'check = function(c) if c.netwrok == "host" then return deny "x" end end')"
tells "one of the caller's" "has no field 'nmae' (did you mean 'name'?)" "$(on_run 'check = function(c) if c.caller.nmae == "x" then return deny "x" end end')"
tells "one of a primitive's" "a request of the kind 'mount' has no field 'soruce' (did you mean 'source'?)" "rule 'a' { on = 'mount', check = function(m) if m.soruce then return deny 'x' end end }"
tells "one of a mount" "has no field 'sorce' (did you mean 'source'?)" "$(on_run 'check = function(c) for _, m in ipairs(c.mounts) do if m.sorce then return deny "x" end end end')"
tells "a limit's" "has no field 'memroy' (did you mean 'memory'?)" "$(on_run 'check = function(c) if c.cgroup.memroy then return deny "x" end end')"
tells "a limit by a name that no request has" "has no field 'memory.max': it is 'memory' there" "$(on_run 'check = function(c) if c.cgroup["memory.max"] then return deny "x" end end')"
notes "a limit that has no other name" "1 rule about run" "$(on_run 'check = function(c) if c.cgroup["memory.kmem.limit_in_bytes"] then return deny "x" end end')"
tells "a name of a list's" "has no field 'capabilities.kill': 'capabilities' is a list, for has(list, \"kill\")" "$(on_run 'check = function(c) if c.capabilities.kill then return deny "x" end end')"
tells "the other containers, which no rule needs" "has no field 'running' without needs = \"running\"" "$(on_run 'check = function(c) if c.running then return deny "x" end end')"
notes "those that a rule needs" "1 rule about run" "$(on_run 'needs = "running", check = function(c) if #c.running > 3 then return deny "x" end end')"
tells "a field that a rule is about" "10.lua:1: rule.with: a request has no field 'soruces' (did you mean 'sources'?)" "rule 'a' { on = 'mount', with = 'soruces', check = function() end }"
tells "one of a container" "10.lua:1: rule.with: only a rule about single primitives has it, and this one is about 'run'" "$(on_run 'with = "mounts", check = function() end')"
tells "what a rule makes of the requests that have it" "rule 'a': the rule failed" "rule 'a' { on = 'mount', with = 'sources', check = function(m) return m.sources < 1 end }"
tells "a primitive in the place of a kind" "10.lua:1: there is no kind of request 'mount.bind'; a primitive is of a kind: on = \"mount\", and a check of its \`primitive\`" "rule 'a' { on = 'mount.bind', check = function() end }"
tells "a primitive that is not there" "10.lua:2: there is no primitive 'mount.bnid' (did you mean 'mount.bind'?)" $'rule "a" { on = "mount",\ncheck = function(m) if m.primitive == "mount.bnid" then return deny "x" end end }'
tells "one that stands first" "10.lua:1: there is no primitive 'root:mknodd' (did you mean 'root:mknod'?)" "rule 'a' { on = 'device', check = function(m) if 'root:mknodd' ~= m.primitive then return end end }"
notes "primitives that are there" "1 rule about device, mount" "rule 'a' { on = { 'mount', 'device' }, check = function(m) if m.primitive == 'mount.bind' or m.primitive == 'root:mknod' then return end end }"
tells "a rule that fails" "10.lua:1: rule 'a': the rule failed: 10.lua:1: attempt to compare" "$(on_run 'check = function(c) if c.cgroup.memory > 5 then return deny "x" end end')"
tells "a rule that returns what it may not" "rule 'a': the rule returned boolean" "$(on_run 'check = function(c) return true end')"
tells "a change that no container could have" "'much' is no size" "$(on_run 'change = function(c) c.cgroup.memory = "much" end')"
tells "a change of what can't be changed" "10.lua:1: rule 'a': it changed 'name'" "$(on_run 'change = function(c) c.name = "x" end')"
tells "a rule that does not end" "a: it takes too long" "$(on_run 'check = function() while true do end end')"
tells "a pattern that does not end" "a rule about 'run' does not end" "$(on_run 'check = function() return string.find(("a"):rep(40), ("a-"):rep(40) .. "b") end')"
tells "an audit log that can't be" "there is no folder /no/such" "audit '/no/such/audit.log' $(on_run 'check = function() end')"
notes "a rule that nothing gets to" "rule 'b' is dead for a plain 'run': 'a' before it refuses that" "$(on_run 'check = function() return deny "all" end') rule 'b' { on = 'run', check = function() end }"
notes "how many there are" "1 rule about mount, run" "rule 'a' { on = { 'run', 'mount' }, check = function() end }"
touch policies/20.conf; notes "a file that is not read" "20.conf is not read" "$(on_run 'check = function() end')"; rm policies/20.conf
notes "nothing" "there are no rules in policies" ""
chmod o+w policies; notes "a folder that others can write" "as a site's own it would be refused" "$(on_run 'check = function() end')"; chmod o-w policies
holds "a folder that is not there" "there is no folder nowhere" "$("$LUABOX" policy check nowhere 2>&1)"
holds "nor for its cases" "there is no folder nowhere" "$("$LUABOX" policy test nowhere 2>&1)"

# every field of container { ... }, as it is documented, is one that a rule may read
fields=$(sed -n '/^---@class luabox.ContainerOptions/,/^function\|^$/s/^---@field \([a-z_]*\).*/\1/p' "$top/scripts/meta/luabox.lua" | sort -u)
[ "$(wc -w <<< "$fields")" -ge 35 ] || failed "the fields are found" "$fields"
notes "every field of a container" "1 rule about run" "rule 'a' { on = 'run', check = function(c) local _; $(for field in $fields; do printf '_ = c.%s; ' $field; done) end }"

# cases
cat > policies/10.lua <<'P'
rule "ceiling" { on = "run", change = function(c) c.cgroup.memory = "1GiB" end, check = function(c) if c.cgroup.memory ~= GiB(1) then return deny "not written out" end end }
rule "hosts" { on = "run", check = function(c) if c.network == "host" then return deny "no host" end end }
P
cat > policies/tests/cases.lua <<'P'
case "a change is written out" { container = { rootfs = "/", command = { "true" } }, changed = function(c) return c.cgroup.memory == 2 ^ 30 end }
case "a refusal" { container = { rootfs = "/", command = { "true" }, network = "host" }, refused_by = "hosts", reason = "host" }
case "wrong" { container = { rootfs = "/", command = { "true" } }, refused_by = "hosts" }
case "odd" { containr = {}, allowed = true }
P
output=$("$LUABOX" policy test policies 2>&1); got=$?
holds "cases that hold" "2 passed, 2 failed" "$output"
holds "one that does not" "FAILED: wrong: nothing refused it, expected 'hosts'" "$output"
holds "one with a wrong field" "a case has no field 'containr' (did you mean 'container'?)" "$output"
equal "its status" 1 $got
cat > policies/10.lua <<'P'
rule "env" { on = "exec", change = function(e) e.env.A = "1" end, check = function(e) if has(e.capabilities, "sys_admin") then return deny "no" end end }
rule "ceiling" { on = "update", change = function(u) u.cgroup.memory = math.min(u.cgroup.memory or MiB(5), MiB(5)) end }
P
cat > policies/tests/cases.lua <<'P'
case "an exec has what every exec has" { on = "exec", request = { command = { "ls" } }, changed = function(e) return e.env.A == "1" and e.user == "root" end }
case "an update's limits are numbers" { on = "update", request = { cgroup = { ["memory.max"] = "1GiB" } }, changed = function(u) return u.cgroup.memory == 5 * 2 ^ 20 end }
case "both" { on = "update", request = {}, allowed = true, refused_by = "ceiling" }
P
output=$("$LUABOX" policy test policies 2>&1)
holds "cases of an exec and an update need not say what all of them have" "2 passed, 1 failed" "$output"
holds "a case that can't be is told" "FAILED: both: what is refused is neither allowed nor changed" "$output"
for folder in "$top"/examples/policies/*/; do
  succeeds "policy check $(basename "$folder")" "$LUABOX" policy check "$folder"
  succeeds "policy test $(basename "$folder")" "$LUABOX" policy test "$folder"
done
finish
