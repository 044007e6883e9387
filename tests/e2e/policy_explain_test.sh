#!/bin/bash
# `luabox explain` and `luabox policy explain` under a site's policies: what the rules would change and refuse, without doing anything.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mkdir policies
chmod 755 "$work" policies
export LUABOX_POLICY=$work/policies
cat > policies/10-site.lua <<P
audit "$work/audit.log"
rule "no host network" { on = "run", check = function(c) if c.namespaces.net == "host" then return deny "use a bridge" end end }
rule "site" { on = "run", change = function(c) c.env.SITE = "here" end }
rule "labels" { on = "run", mode = "shadow",
  check = function(c) if not c.labels.team then return deny "say whose it is" end end }
rule "read-only proc" { on = "mount", change = function(m) if m.primitive == "mount.make_proc" then m.options.read_only = true end end }
rule "no etc" { on = "mount", check = function(m) if m.source and under(m.source, "/etc") then return deny("no " .. m.source) end end }
P
script "command = { 'touch', '/started' }" "mounts = { bind { '$work/policies', '/data' } }"
sed 's/rootfs =/network = "host", rootfs =/' box.lua > host.lua
sed "s#$work/policies#/etc#" box.lua > etc.lua

explained=$("$LUABOX" explain box.lua 2>&1)
holds "a change is a step, with the rule, its line and what it changes" "policy 'site' (10-site.lua:3) changes run: env.SITE: nothing -> \"here\"    -- box.lua:1" "$explained"
holds "the steps are those of the changed container" '"SITE=here"' "$explained"
holds "a shadow rule is told" "policy 'labels' (10-site.lua:4) would refuse run: say whose it is" "$explained"
holds "a change of a primitive is told" "policy 'read-only proc' (10-site.lua:6) changes mount: options.read_only: false -> true" "$explained"
holds "and the step has it" "mount.make_proc { nodev = true, noexec = true, nosuid = true, read_only = true }" "$explained"
holds "a refusal of a container is a step" "policy 'no host network' (10-site.lua:2) refuses run: use a bridge" "$("$LUABOX" explain host.lua 2>/dev/null)"
holds "and the error that 'run' would tell" "host.lua:1: refused by the policy 'no host network' (10-site.lua:2): use a bridge" "$("$LUABOX" explain host.lua 2>&1 >/dev/null)"
equal "with its status" 125 "$("$LUABOX" explain host.lua > /dev/null 2>&1; echo $?)"
equal "the same as run's" "$("$LUABOX" run host.lua 2>&1)" "$("$LUABOX" explain host.lua 2>&1 >/dev/null)"
holds "a refusal of a primitive is told at the mount's line" "policy 'no etc' (10-site.lua:7) refuses mount: no /etc    -- etc.lua:4" "$("$LUABOX" explain etc.lua 2>/dev/null)"
equal "--json has rule, place, verdict and change" "site 10-site.lua:3 changed env.SITE here box.lua:1" "$("$LUABOX" explain --json box.lua | python3 -c '
import json, sys
for step in json.load(sys.stdin)["steps"]:
    if step["primitive"] == "policy" and step["policy"]["rule"] == "site":
        policy = step["policy"]; change = policy["changes"][0]
        print(policy["rule"], policy["file"], policy["verdict"], change["field"], change["to"], step["where"])')"
holds "--diff shows what the rules make of the difference" "+ host    policy 'no host network' (10-site.lua:2) refuses run: use a bridge" "$("$LUABOX" explain --diff box.lua host.lua 2>&1)"
holds "--shell has the changes as comments" "# policy 'site' (10-site.lua:3) changes run" "$("$LUABOX" explain --shell box.lua 2>&1)"
succeeds "--seccomp is of the changed container" "$LUABOX" explain --seccomp box.lua

# no privilege; the log is root's
chmod 600 audit.log 2>/dev/null
cp "$LUABOX" as-user
holds "an ordinary user is told too" "policy 'site' (10-site.lua:3) changes run" \
  "$(setpriv --reuid 12345 --regid 12345 --clear-groups env LUABOX_STATE="$work/user" ./as-user explain box.lua 2>&1)"
equal "nothing is written to the audit log" "" "$(cat audit.log 2>/dev/null | grep -v host.lua)"

# scripts that do it themselves, with primitives, and those that may not
printf 'local c = container { rootfs = "%s/rootfs", network = "host", command = { "true" } }\nc:start()\n' "$work" > self.lua
holds "a container that the script starts" "policy 'no host network' (10-site.lua:2) refuses run: use a bridge    -- self.lua:2" "$("$LUABOX" explain self.lua 2>/dev/null)"
cat > direct.lua <<'S'
local sys = require "luabox.sys"
local child = sys.clone({ namespaces = "mount pid" }, function()
  sys.mount.bind("/etc", "/mnt")
  sys.exec { "/bin/echo", "mounted" }
end)
child:release()
S
holds "a script has no more words than in a run" 'allow { "primitives" }' "$("$LUABOX" explain direct.lua 2>&1)"
echo 'allow { "primitives" }' >> policies/10-site.lua
holds "primitives of a script's own are asked about" "policy 'no etc' (10-site.lua:7) refuses mount: no /etc    -- direct.lua:3" "$("$LUABOX" explain direct.lua 2>/dev/null)"
sed -i '$d' policies/10-site.lua

told=$("$LUABOX" policy explain box.lua 2>&1)
holds "policy explain tells of rules that let it pass, too" "passed         no host network" "$told"
holds "what they change" "-> env.SITE: nothing -> \"here\"" "$told"
holds "and of single primitives" "read-only proc                 10-site.lua:6" "$told"
equal "its status is 0 for what may run" 0 "$("$LUABOX" policy explain box.lua > /dev/null 2>&1; echo $?)"
equal "and 1 for what is refused" 1 "$("$LUABOX" policy explain etc.lua > /dev/null 2>&1; echo $?)"
equal "nothing was started" "" "$(ls rootfs/started started rootfs/data 2>/dev/null)"
unset LUABOX_POLICY
holds "without policies there is no such step" "0" "$("$LUABOX" explain box.lua | grep -c "policy '")"

leaves_nothing "nothing is left behind"
finish
