#!/bin/bash
# Site policies: what a rule refuses, changes and logs; what luabox does with policies that it can't trust; what a script has under them.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-policy-$$
mkdir policies
export LUABOX_POLICY=$work/policies

run() { "$LUABOX" run "$@" 2>&1 < /dev/null; }
policy() { rm -f policies/*; cat > policies/10-site.lua; }
# refuses NAME WANTED [FILE]: 125, one line that holds WANTED.
refuses() {
  local output got; output=$(run "${3:-box.lua}"); got=$?
  [ $got = 125 ] || failed "$1" "status $got: $output"
  [ "$(wc -l <<< "$output")" = 1 ] || failed "$1" "not one line: $output"
  holds "$1" "$2" "$output"
}
refused() { policy <<< "$2"; refuses "$1" "$3"; }

script "command = { 'echo', 'ran' }"
equal "without a policy a container runs" ran "$(run box.lua)"

# whole containers
policy <<'P'
rule "no host network" { on = "run", check = function(c) if c.namespaces.net == "host" then return deny "use a bridge" end end }
rule "memory ceiling" { on = { "run", "update" }, change = function(c) c.cgroup.memory = math.min(c.cgroup.memory or MiB(64), MiB(64)) end }
rule "labels" { on = "run", mode = "shadow", check = function(c) if not c.labels.team then return deny "say whose it is" end end }
P
printf 'audit "%s/audit.log"\n' "$work" >> policies/10-site.lua
equal "what no rule is against runs" ran "$(run box.lua)"
equal "a shadow rule only logs" '"would refuse"' "$(grep -o '"would refuse"' audit.log)"
script "network = 'host'" "command = { 'echo', 'ran' }"
refuses "a rule refuses with its reason, at the container's line" "box.lua:1: refused by the policy 'no host network' (10-site.lua:1): use a bridge"
holds "the audit log has the reason" '"reason":"use a bridge"' "$(tail -1 audit.log)"
succeeds "the audit log is JSON lines" python3 -c 'import json; [json.loads(line) for line in open("audit.log")]'
equal "the audit log is its owner's" 600 "$(stat -c %a audit.log)"
limit='cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null'
# Read from outside, through the cgroup of the running container.
for memory in "memory = '1GiB'" "['memory.limit_in_bytes'] = '1GiB'" "pids = 50"; do
  script "name = '$mark'" "cgroup = { $memory }" "command = { 'sh', '-c', 'echo ready; read x' }"
  mkfifo in 2>/dev/null; "$LUABOX" run box.lua < in > out 2>&1 & child=$!
  exec 9> in; within 5 grep -qs ready out
  found=$(find /sys/fs/cgroup -path "*luabox/$mark/memory.limit_in_bytes" -o -path "*luabox/$mark/memory.max" 2>/dev/null | head -1)
  equal "a rule lowers a limit: $memory" 67108864 "$(cat "$found" 2>/dev/null)"
  exec 9>&-; wait $child; rm -f out
done

policy <<'P'
rule "read-only root" { on = "run", change = function(c) c.rootfs.readonly = true; c.env.SITE = "here"; c.capabilities = { "chown" } end }
P
script "command = { 'sh', '-c', 'echo \$SITE; touch /x 2>&1; grep CapBnd /proc/self/status' }" "mounts = { tmpfs '/tmp' }"
holds "a rule makes the root read-only" "Read-only file system" "$(run box.lua)"
holds "a rule sets the environment" "here" "$(run box.lua)"
holds "a rule takes capabilities away" "0000000000000001" "$(run box.lua)"
refused "a change that no container could be is told" 'rule "odd" { on = "run", change = function(c) c.hostname = 5 end }' "container.hostname: expected"

# By handles every file of a host's file system opens to dac_read_search; the other end of a pair, by its namespace's number, to net_admin.
policy <<< 'rule "unprivileged" { on = "run", check = function(c) if c.privileged then return deny "it is root on the host" end end }'
veth="network = veth { host = '10.77.1.1/24', guest = '10.77.1.2/24' }"
for fields in "capabilities = { add = { 'sys_ptrace' } }" "capabilities = { add = { 'bpf' } }" "capabilities = { add = { 'perfmon' } }" "capabilities = { add = { 'dac_read_search' } }" "capabilities = { add = { 'net_admin' } }, $veth" \
    "capabilities = { add = { 'net_admin' } }, network = 'host'"; do
  script "command = { 'echo', 'ran' }" "$fields"; refuses "$fields is privileged" "it is root on the host"
done
for fields in "$veth" "capabilities = { add = { 'net_admin' } }" "capabilities = { add = { 'dac_read_search', 'net_admin' } }, users = 'auto', $veth"; do
  script "command = { 'echo', 'ran' }" "$fields"
  lacks "$fields is not" "it is root" "$(run box.lua)"
done

script "init = false" "etc = false" "command = { 'sh', '-c', 'echo \$\$; cat /etc/hostname 2>&1' }"
policy <<< 'rule "any" { on = "run", change = function(c) c.env.X = "1" end }'
lacks "what a script switched off stays off" "box-" "$(run box.lua)"
equal "so does its init" 1 "$(run box.lua | head -1)"

# what a request says is what it comes to, however it is written
policy <<'P'
rule "told" { on = "run", check = function(c)
  return deny(("network %s, ambient %s, privileged %s"):format(c.network, table.concat(c.ambient, " "), tostring(c.privileged)))
end }
P
while IFS='|' read -r fields wanted; do script "command = { 'true' }" "$fields"; refuses "$fields" "$wanted"; done <<'END'
namespaces = { net = '/proc/self/ns/net' }|network host
namespaces = { net = 'host' }|network host
env = {}|network none, ambient , privileged false
capabilities = { only = { 'CAP_NET_RAW' }, ambient = { 'CAP_NET_RAW' } }|ambient net_raw,
seccomp = { default = 'allow' }|privileged true
seccomp = { base = 'none', default = 'log' }|privileged true
seccomp = { default = 'errno:EPERM' }|privileged false
readonly_paths = {}|privileged true
readonly_paths = {}, users = { uid = '0 100000 65536' }|privileged false
mounts = { bind { '/proc', '/mnt' } }|privileged true
mounts = { bind { '/sys', '/mnt', readonly = true } }|privileged false
mounts = { sysfs { '/sys', readonly = false } }|privileged true
mounts = { proc '/mnt' }|privileged false
mounts = { proc '/mnt' }, readonly_paths = { '/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger' }|privileged true
END

# single primitives
policy <<P
rule "mounts" { on = "mount", check = function(m) if m.type == "bind" and under(m.source, "/etc") then return deny("no " .. m.source) end end }
P
script "command = { 'echo', 'ran' }" "mounts = { bind { '/etc', '/mnt' } }"
refuses "a rule about mounts sees a container's binds" "box.lua:4: bind /mnt: refused by the policy 'mounts' (10-site.lua:1): no /etc"
ln -s /etc link; sed -i "s#'/etc'#'$work/link'#" box.lua
refuses "a symlink hides nothing" "no /etc"
script "command = { 'echo', 'ran' }" "mounts = { bind { '$work', '/mnt' } }"
equal "other binds pass" ran "$(run box.lua)"
policy <<P
audit "$work/asked.log"
rule "mounts" { on = "mount", with = "sources", check = function(m) log(m.primitive, m.sources[1]); for _, s in ipairs(m.sources) do if under(s, "/etc") then return deny("no " .. s) end end end }
P
script "command = { 'echo', 'ran' }" "mounts = { bind { '$work', '/mnt' } }"
equal "a rule about what is mounted passes the rest" ran "$(run box.lua)"
equal "it is about what has a source" "$(grep -c '"log"' asked.log)" "$(grep -cE 'mount\.(copy_of|copy_in|bind|move) /' asked.log)"
holds "and about a bind" "mount.copy_of $work" "$(cat asked.log)"
echo 'rule "all" { on = "mount", check = function(m) if m.primitive == "mount.make_proc" then return deny "no proc" end end }' > policies/20-all.lua
refuses "one beside it is about the others" "no proc"
sed -i 's/"mount.make_proc"/"none"/' policies/20-all.lua; rm asked.log
equal "and asks for both" ran "$(run box.lua)"
equal "each about its own" "$(grep -c '"log"' asked.log)" "$(grep -cE 'mount\.(copy_of|copy_in|bind|move) /' asked.log)"
rm policies/20-all.lua
script "command = { 'echo', 'ran' }" "mounts = { bind { '$work/link', '/mnt' } }"
refuses "and refuses as any other" "no /etc"
script "command = { 'echo', 'ran' }" "mounts = { overlay { '/mnt', lower = { '$work', '/etc' } } }"
refuses "the layers of an overlay, too" "no /etc"
rm -f asked.log; script "command = { 'echo', 'ran' }" "mounts = { bind { '$work', '/mnt' } }"
policy <<< 'local name = "nee" .. "ds"; rule "quota" { on = "run", [name] = "running", check = function(c) return #c.running > 1 and deny "x" or nil end }'
refuses "a word that decides what is asked must be spelled out" "'needs' stands in no policy"
policy <<P
rule "mounts" { on = "mount", check = function(m) if m.type == "bind" and under(m.source, "/etc") then return deny("no " .. m.source) end end }
P
cat > direct.lua <<'S'
local sys = require "luabox.sys"
local child = sys.clone({ namespaces = "mount pid" }, function()
  sys.mount.propagation("/", "private")
  sys.mount.bind("/etc", "/mnt")
  sys.exec { "/bin/echo", "mounted" }
end)
child:release()
os.exit(child:wait())
S
refuses "a script has no primitives of its own" "allow { \"primitives\" }" direct.lua
echo 'allow { "primitives" }' >> policies/10-site.lua
refuses "a script that uses primitives is governed, in the child too" "no /etc" direct.lua
for fact in caller script pid time; do
  refused "a rule about requests that have '$fact' is about all" "rule 'all' { on = 'mount', with = '$fact', check = function(r) return deny(type(r.$fact)) end }" "refused by the policy 'all'"
done
script "command = { 'echo', 'ran' }" "user = '1000:1000'"
refused "who asks is told as it is then" 'rule "mounts" { on = "mount", check = function() end } rule "who" { on = "program", check = function(r) return deny(r.caller.uid .. ":" .. r.caller.gid .. " in " .. r.pid .. " of " .. r.script.path) end }' "1000:1000 in 1 of $work/box.lua"
script "command = { 'echo', 'ran' }"
refused "capabilities are seen when they are set" 'rule "caps" { on = "capability", check = function(r) if has(r.capabilities, "kill") then return deny "no kill" end end }' "no kill"
refused "devices" 'rule "nodes" { on = "device", check = function(r) return deny(r.path) end }' "refused by the policy 'nodes'"
refused "filters" 'rule "filters" { on = "seccomp", check = function(r) return deny(r.primitive) end }' "refused by the policy 'filters'"
refused "cgroups" 'rule "groups" { on = "cgroup", check = function(r) return deny(r.primitive) end }' "cgroup.create"
refused "new namespaces" 'rule "clones" { on = "clone", check = function(r) return deny(r.options.namespaces) end }' "mount"
refused "programs" 'rule "programs" { on = "program", check = function(r) return deny(r.command[1]) end }' "echo"
script "command = { 'echo', 'ran' }" "network = veth { host = '172.16.98.1/24', guest = '172.16.98.2/24', nat = true }"
refused "interfaces" 'rule "links" { on = "interface", check = function(r) return deny(r.primitive) end }' "net.veth"
refused "firewalls" 'rule "tables" { on = "nftables", check = function(r) return deny(r.options.name) end }' "luabox-"
script "command = { 'echo', 'ran' }" "namespaces = { ipc = '/proc/self/ns/ipc' }"
refused "namespaces that are joined" 'rule "joins" { on = "setns", check = function(r) return deny(r.source) end }' "ipc:["
policy <<'P'
rule "sealed" { on = "mount", change = function(m) if m.primitive == "mount:restrict_to" then m.options.noexec = true end end }
P
script "command = { 'sh', '-c', 'cp /bin/busybox /data/b; /data/b true' }" "mounts = { bind { '$work', '/data' } }"
holds "a rule changes a primitive's options" "Permission denied" "$(run box.lua)"
rm -f "$work/b"

# policies that are wrong, and policies that somebody else could have written
script "command = { 'echo', 'ran' }"
refused "a syntax error" 'rule "x" { on = "run" check = 5 }' "10-site.lua:1:"
refused "an unknown field" 'rule "x" { on = "run", chekc = function() end }' "(did you mean 'check'?)"
refused "an unknown kind" 'rule "x" { on = "runn", check = function() end }' "(did you mean 'run'?)"
refused "an unknown name while it loads" 'rul "x" { }' "(did you mean 'rule'?)"
refused "a global" 'x = 5' "write local"
refused "a rule that fails" 'rule "x" { on = "run", check = function(c) return c.no.such end }' "the rule failed"
refused "an unknown name in a rule" 'rule "x" { on = "run", check = function(c) return dney "no" end }' "there is no 'dney'"
refused "a rule that returns what it may not" 'rule "x" { on = "run", check = function(c) return true end }' "returned boolean"
refused "a deny without return" 'rule "x" { on = "run", check = function(c) deny "all the same" end }' "all the same"
refused "a deny inside a pcall" 'rule "x" { on = "run", check = function(c) pcall(deny, "caught") end }' "caught"
refused "an audit log that can't be written" "audit '/no/such/file'
rule 'x' { on = 'run', check = function() end }" "/no/such/file"
refused "two rules of one name" 'rule "x" { on = "run", check = function() end }
rule "x" { on = "run", check = function() end }' "there is a rule 'x' already"
printf '\033LJ\2' > policies/10-site.lua; refuses "bytecode" "bytecode"
policy <<< 'rule "x" { on = "run", check = function() end }'
chmod o+w policies/10-site.lua; refuses "a file that others can write" "others can write to it"; chmod o-w policies/10-site.lua
chown 1000 policies/10-site.lua; refuses "a file of somebody else's" "does not belong to root"; chown 0 policies/10-site.lua
chmod g+w policies; refuses "a folder that others can write" "others can write to it"; chmod g-w policies
mkdir outer; chown 1000 outer; cp -r policies outer/p; LUABOX_POLICY=$work/outer/p refuses "a parent of somebody else's" "does not belong to root"
mv policies/10-site.lua elsewhere; ln -s ../elsewhere policies/10-site.lua; refuses "a symlink in the place of a file" "policies/10-site.lua: Too many levels of symbolic links (it is a symlink)"
LUABOX_POLICY=/no/such/folder refuses "a folder that isn't there" "/no/such/folder"
rm -f policies/*; equal "an empty folder is none" ran "$(run box.lua)"

# /etc/luabox/policy.d, on a copy of /etc that only this test sees
mkdir upper etc-work; mount -t overlay overlay -o "lowerdir=/etc,upperdir=$work/upper,workdir=$work/etc-work" /etc
mkdir -p /etc/luabox/policy.d
echo 'rule "site" { on = "run", check = function() return deny "closed" end }' > /etc/luabox/policy.d/50.lua
unset LUABOX_POLICY
for variable in LUABOX_STATE LUABOX_IMAGES LUABOX_SCRIPTS; do
  holds "$variable can't get around a site's policies" "$variable" "$(env -u LUABOX_STATE -u LUABOX_IMAGES $variable="$work" "$LUABOX" run box.lua 2>&1)"
done
holds "a site's policies are in force" "closed" "$(env -u LUABOX_STATE -u LUABOX_IMAGES "$LUABOX" run box.lua 2>&1)"
holds "LUABOX_POLICY does not switch them off" "closed" "$(env -u LUABOX_STATE -u LUABOX_IMAGES LUABOX_POLICY="$work/policies" "$LUABOX" run box.lua 2>&1)"
umount -l /etc; export LUABOX_STATE LUABOX_IMAGES

# the commands, and the policies in examples/
for folder in "$top"/examples/policies/*; do
  name=examples/policies/${folder##*/}
  succeeds "$name passes its cases" "$LUABOX" policy test "$folder"
  lacks "$name has a case for each of its rules" "no case" "$("$LUABOX" policy test "$folder")"
  succeeds "$name has nothing wrong" "$LUABOX" policy check "$folder"
done
mkdir wrong wrong/tests
echo 'rule "x" { on = "run", check = function(c) if c.hostname == "x" then return dney "no" end end }' > wrong/1.lua
holds "check finds a misspelt name where it stands" "1.lua:1: there is no 'dney' in a policy (did you mean 'deny'?)" "$("$LUABOX" policy check wrong 2>&1)"
echo 'rule "x" { on = "run", check = function(c) return c.no.such end }' > wrong/1.lua
holds "check finds a rule that fails" "the rule failed" "$("$LUABOX" policy check wrong 2>&1)"
echo 'rule "x" { on = "run", check = function(c) if c.network == "host" then return deny "no" end end }' > wrong/1.lua
echo 'case "wrong" { container = { rootfs = "/", command = { "sh" } }, refused_by = "x" }' > wrong/tests/cases.lua
holds "test tells what was expected" "nothing refused it, expected 'x'" "$("$LUABOX" policy test wrong)"
equal "and fails" 1 "$("$LUABOX" policy test wrong > /dev/null; echo $?)"
script "network = 'host'" "command = { 'touch', '$work/started' }"
holds "explain tells which rule did what" "refused        x" "$(LUABOX_POLICY=$work/wrong "$LUABOX" policy explain box.lua)"
printf 'local c = container { rootfs = "%s/rootfs", command = { "touch", "/started" } }\nc:run()\nio.open("%s/started", "w")\n' "$work" "$work" > self.lua
holds "explain starts nothing" "it is allowed" "$(LUABOX_POLICY=$work/wrong "$LUABOX" policy explain self.lua)"
equal "and the script stops there" "" "$(ls started rootfs/started 2>/dev/null)"

# a quota, with real containers; exec; imports
export LUABOX_POLICY=$work/policies
policy < "$top/examples/policies/quota/quota.lua"
sed -i 's/CONTAINERS, MEMORY = 4/CONTAINERS, MEMORY = 2/' policies/10-site.lua
script "command = { 'sh', '-c', 'echo ready; exec sleep 20' }"
for n in 1 2; do "$LUABOX" run box.lua > out$n 2>&1 & eval "child$n=$!"; within 5 grep -qs ready out$n; done
refuses "a quota counts what runs" "2 containers run already"
kill $child1; wait $child1; script "command = { 'echo', 'ran' }"
equal "and what has ended no more" ran "$(run box.lua)"
policy <<'P'
rule "no shells" { on = "exec", check = function(e) if e.command[1] == "sh" then return deny "no shell" end end }
rule "imports" { on = "import", check = function(i) if not i.source:find "%.tar$" then return deny("not " .. i.source) end end }
P
name=$("$LUABOX" list | awk 'NR == 2 { print $1 }')
holds "a rule about exec" "no shell" "$("$LUABOX" exec "$name" sh -c true 2>&1)"
equal "other commands run" hi "$("$LUABOX" exec "$name" echo hi 2>&1)"
kill $child2; wait $child2
touch image.zip; holds "a rule about imports" "not $work/image.zip" "$("$LUABOX" image import image.zip x 2>&1)"
tar -cf image.tar -C rootfs bin; succeeds "other images are imported" "$LUABOX" image import image.tar x
holds "the prompt has no more than a script" 'allow { "execute" }' "$("$LUABOX" -e 'os.execute "true"' 2>&1)"
unset LUABOX_POLICY

leaves_nothing "nothing is left behind"
finish
