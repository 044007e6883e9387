#!/bin/bash
# Ways around a site's policies, each of which must fail, and fail closed within two seconds.
. "$(dirname "$0")/../e2e/common.sh"
make_rootfs rootfs
mkdir policies modules bin
export LUABOX_POLICY=$work/policies MARK=$work/escaped
count=0

site='rule "net" { on = "run", check = function(c) if c.namespaces.net == "host" then return deny "no host network" end end }
rule "caps" { on = "run", check = function(c) if has(c.capabilities, "sys_admin") then return deny "no sys_admin" end end }
rule "etc" { on = "mount", check = function(m) for _, s in ipairs(m.sources or {}) do if under(s, "/etc") then return deny "not /etc" end end end }'
policy() { rm -f policies/*; cat > policies/10-site.lua; }

# timed COMMAND...: its output in $output, its status in $got; fails when it takes two seconds.
timed() {
  local begin=${EPOCHREALTIME/./}
  output=$(timeout -s KILL 10 "$@" 2>&1 < /dev/null); got=$?
  took=$(( (${EPOCHREALTIME/./} - begin) / 1000 ))
  count=$((count + 1))
}
judge() { # NAME
  if [ -e escaped ] || [[ $output == *ESCAPED* ]]; then failed "$1" "escaped: $output"; rm -f escaped
  elif [ $took -ge 2000 ]; then failed "$1" "took $took ms: $output"
  elif [ $got -gt 128 ]; then failed "$1" "status $got: $output"
  else ok "$1"; fi
}
# attempt NAME [VARIABLE=VALUE...]: the script on standard input
attempt() {
  local name=$1; shift
  { printf 'local MARK, ROOT = "%s", "%s"\nlocal function escaped() print "ESCAPED" end\n' "$MARK" "$work/rootfs"; cat; } > attempt.lua
  timed env "$@" "$LUABOX" run attempt.lua
  judge "$name"
}
policy <<< "$site"

# ---- out of the scope
attempt "debug.getregistry" <<< 'debug.getregistry(); escaped()'
attempt "debug.getupvalue of a constructor" <<< 'debug.getupvalue(container, 1); escaped()'
attempt "debug.setmetatable of strings" <<< 'debug.setmetatable("", {}); escaped()'
attempt "debug.getinfo" <<< 'debug.getinfo(1); escaped()'
attempt "debug.sethook" <<< 'debug.sethook(function() end, "l"); escaped()'
attempt "the metatable of strings" <<< 'if type(getmetatable "") == "table" then escaped() end'
attempt "the metatable of files" <<< 'if type(getmetatable(io.stdout)) == "table" then escaped() end'
attempt "the metatable of errors" <<< 'local _, e = pcall(container, 5); if type(getmetatable(e)) == "table" then escaped() end'
attempt "the metatable of containers" <<< 'local c = container { rootfs = ROOT, command = { "true" } }; if type(getmetatable(c)) == "table" then escaped() end'
attempt "getfenv of the library" <<< 'getfenv(container).os.execute("touch " .. MARK)'
attempt "getfenv of the stack, from a metamethod" <<< 'container(setmetatable({}, { __index = function() getfenv(2).os.execute("touch " .. MARK) end }))'
attempt "setfenv" <<< 'setfenv(1, {}); escaped()'
attempt "loadstring's globals" <<< 'local g = loadstring "return _G" (); g.os.execute("touch " .. MARK)'
attempt "load's globals" <<< 'local n = 0; load(function() n = n + 1; return n == 1 and "os.execute(\"touch " .. MARK .. "\")" or nil end)()'
attempt "a chunk with the library's name" <<< 'loadstring("os.execute(\"touch " .. MARK .. "\")", "@luabox:library/state.lua")()'
attempt "string.dump" <<< 'string.dump(function() end); escaped()'
attempt "dump as a method" <<< '("x").dump(function() end); escaped()'
attempt "bytecode" <<< 'if loadstring "\27LJ\2\2\0" then escaped() end'
attempt "bytecode in a file" <<< 'local f = io.open(MARK .. ".lua", "w"); f:write "\27LJ\2"; f:close()'
attempt "coroutines" <<< 'coroutine.wrap(function() getfenv(0).os.execute("touch " .. MARK) end)()'
attempt "an error handler above the library" <<< 'xpcall(function() container(5) end, function() getfenv(3).os.execute("touch " .. MARK) end)'
attempt "newproxy and finalizers" <<< 'local p = newproxy(true); getmetatable(p).__gc = function() os.execute("touch " .. MARK) end; p = nil; collectgarbage()'
attempt "jit.util" <<< 'require("jit.util").funcbc(container, 1); escaped()'
attempt "module" <<< 'module("luabox.state"); escaped()'

# ---- modules
attempt "ffi" <<< 'require("ffi").cdef "int system(const char *);"; escaped()'
attempt "package.loaded" <<< 'package.loaded["luabox.sys"].exec { "/bin/touch", MARK }'
attempt "package.loaded has nothing of the library" <<< 'for name in pairs(package.loaded) do if name:find "luabox" then escaped() end end'
attempt "package.preload" <<< 'package.preload["luabox.policy"] = function() return { ask = function() return {} end } end
return container { rootfs = ROOT, network = "host", command = { "echo", "ESCAPED" } }'
attempt "package.loaders" <<< 'package.loaders[2]("luabox.sys"); escaped()'
attempt "package.loadlib" <<< 'package.loadlib("libc.so.6", "system"); escaped()'
attempt "the library itself" <<< 'require("luabox.lifecycle").start = nil; escaped()'
attempt "the primitives" <<< 'require("luabox.sys").exec { "/bin/touch", MARK }'
attempt "the gate" <<< 'require("luabox.sys").gate.pretend(nil); escaped()'
attempt "a replaced vocabulary" <<< 'require("luabox.stdlib").container = nil; container = function(t) return t end
return container { rootfs = ROOT, network = "host", command = { "echo", "ESCAPED" } }'
attempt "replaced string functions" <<< 'string.format = function() return "x" end; table.concat = function() return "" end; pairs = function() return function() end end
return container { rootfs = ROOT, network = "host", command = { "echo", "ESCAPED" } }'

# ---- files and programs
attempt "io.popen" <<< 'io.popen("touch " .. MARK):close()'
attempt "os.execute" <<< 'os.execute("touch " .. MARK)'
attempt "io.open for writing" <<< 'io.open(MARK, "w"):close()'
attempt "io.open for appending, reading and writing" <<< 'for _, m in ipairs { "a", "r+", "w+", "a+b", "r+b" } do local ok, f = pcall(io.open, MARK, m); if ok and f then escaped() end end'
attempt "/proc/self/mem" <<< 'io.open("/proc/self/mem", "r+"); escaped()'
attempt "every descriptor of /proc/self/fd" <<< 'for n = 0, 20 do for _, m in ipairs { "r", "w" } do local ok, f = pcall(io.open, "/proc/self/fd/" .. n, m); if ok and f and n > 2 then f:write "{\"allow\":true}" end end end
return container { rootfs = ROOT, network = "host", command = { "echo", "ESCAPED" } }'
attempt "io.output" <<< 'io.output(MARK); io.write "x"'
attempt "os.rename" <<< 'os.rename(ROOT .. "/../policies/10-site.lua", MARK)'
attempt "os.remove" <<< 'os.remove(ROOT .. "/../policies/10-site.lua"); escaped()'

# ---- a container that is another one after the check
attempt "a table behind a metatable" <<< 'return container(setmetatable({ rootfs = ROOT, command = { "echo", "ESCAPED" } , network = "host" }, { __index = {} }))'
attempt "its config is changed" <<< 'local c = container { rootfs = ROOT, command = { "echo", "ESCAPED" } }; c.config.network = "host"; c.namespaces.net = "host"; return c'
attempt "its namespaces are changed" <<< 'local c = container { rootfs = ROOT, command = { "sh", "-c", "[ $(ls /sys/class/net | wc -l) -gt 1 ] && echo ESCAPED" } }; c.namespaces = { net = "host" }; return c'
caps='[ $((0x$(sed -n "s/CapBnd:.//p" /proc/self/status) >> 21 & 1)) = 1 ] && echo ESCAPED; true'
attempt "its capabilities are changed" <<< "local c = container { rootfs = ROOT, command = { 'sh', '-c', [[$caps]] } }; c.granted = { 'sys_admin' }; return c"
attempt "a step gives capabilities" <<< "return container { rootfs = ROOT, command = { 'sh', '-c', [[$caps]] }, function(this) this.granted = { 'sys_admin' }; this.config.capabilities = 'all' end }"
attempt "a step on the host gives capabilities" <<< "return container { rootfs = ROOT, command = { 'sh', '-c', [[$caps]] }, { prepare = function(this) this.granted = { 'sys_admin' }; this.config.capabilities = 'all' end } }"
attempt "a step is added after the check" <<< "local c = container { rootfs = ROOT, command = { 'true' } }; c.own_steps[1] = { enter = function(this) escaped(this.steps[1].enter) end }; c.steps = {}; return c"
attempt "a method is replaced" <<< 'local c = container { rootfs = ROOT, command = { "true" } }; c.start_governed = function() escaped() end; c.start = nil; c:start()'
attempt "a container of the script's own making" <<< 'local c = container { rootfs = ROOT, command = { "echo", "ESCAPED" } }; c.start { config = { rootfs = { kind = "directory", path = ROOT }, command = { "echo", "ESCAPED" }, network = "host" }, where = "x:1", own_steps = {} }'
attempt "it is restarted with another config" <<< 'local c = container { rootfs = ROOT, command = { "true" } }; c:run(); c.config.network = "host"; c.config.command = { "echo", "ESCAPED" }; c:run()'
attempt "a cycle in the config" <<< 'local c = container { rootfs = ROOT, command = { "echo", "ESCAPED" } }; c.config.env = {}; c.config.env.x = c.config.env; c:run()'
attempt "a request that is too long" <<< 'return container { rootfs = ROOT, command = { "echo", "ESCAPED" }, env = { X = ("x"):rep(400000) } }'
attempt "finalizers in the child" <<< 'return container { rootfs = ROOT, command = { "true" }, function() newproxy(true); collectgarbage "restart"; escaped() end }'

# ---- what a step reaches by the container's root, and by the channel
attempt "a step makes a device node" <<< 'return container { rootfs = ROOT, command = { "sh", "-c", "exec 3<>/dev/node && echo ESCAPED" },
  function(this) this.root:mknod("/dev/node", { type = "char", major = 1, minor = 5, mode = "0666" }) end }'
pattern=$(cat /proc/sys/kernel/core_pattern)
for path in /proc/sys/kernel/core_pattern /link/sys/kernel/core_pattern; do
  attempt "a step writes $path" <<< "return container { rootfs = ROOT, command = { 'true' }, function(this)
    pcall(this.root.symlink, this.root, '/proc', '/link'); this.root:write('$path', [[$pattern]]); io.stderr:write 'ESCAPED' end }"
done
rm -f rootfs/link
attempt "a step pins another folder as /proc" <<< 'return container { rootfs = ROOT, command = { "sh", "-c", "(: >> /proc/sys/kernel/core_pattern) && echo ESCAPED" },
  function(this) this.root:make_directory "/fake"; this.root:pin("/proc", this.root) end }'
rmdir rootfs/fake 2>/dev/null
attempt "the container's process is let go" <<< 'return container { rootfs = ROOT, command = { "true" }, { attach = function(this) this.process:detach(); escaped() end } }'
# What luabox holds becomes the container's terminal, to which the caller writes: the policies' own socket, its log, netlink.
question='Q{"op":"decide","kind":"run","request":{"namespaces":{"net":"new"}},"dry":false}'
for number in 3 4 5 6 7 8 9 10; do
  printf 'local c = container { rootfs = "%s/rootfs", command = { "sleep", "0.3" }, function(this) this.parent:send("terminal", %d) end }\nc:start() c:wait()\n' "$work" $number > attempt.lua
  output=$( (sleep 0.1; printf '%s' "$question"; sleep 0.4) | timeout -s KILL 10 "$LUABOX" run attempt.lua 2>&1)
  count=$((count + 1)); lacks "a step passes the descriptor $number as a terminal" '"allow"' "$output"
done

for number in 3 4 5 6 7 8; do
  printf 'local first = container { rootfs = "%s/rootfs", command = { "sleep", "0.3" } }
    return { first, container { rootfs = "%s/rootfs", command = { "true" }, { attach = function() first.master = { number = function() return %d end } end } } }\n' \
    "$work" "$work" $number > attempt.lua
  output=$( (sleep 0.1; printf '%s' "$question"; sleep 0.4) | timeout -s KILL 10 "$LUABOX" run attempt.lua 2>&1)
  count=$((count + 1)); lacks "a hook says that the terminal is the descriptor $number" '"allow"' "$output"
done
attempt "the process of a container that runs is let go" <<< 'local c = container { rootfs = ROOT, command = { "true" } }; c:start(); c.process:detach(); escaped()'

# ---- paths
show="'sh', '-c', 'grep -q daemon: /mnt/passwd && echo ESCAPED'"
attempt "a bind through /proc/self/root" <<< "return container { rootfs = ROOT, mounts = { bind { '/proc/self/root/etc', '/mnt' } }, command = { $show } }"
attempt "a bind through .." <<< "return container { rootfs = ROOT, mounts = { bind { '/usr/../etc', '/mnt' } }, command = { $show } }"
ln -s /etc link
attempt "a bind through a symlink" <<< "return container { rootfs = ROOT, mounts = { bind { ROOT .. '/../link', '/mnt' } }, command = { $show } }"
attempt "an overlay of it" <<< "return container { rootfs = ROOT, mounts = { overlay { '/mnt', lower = { '/etc', '/usr' } } }, command = { $show } }"
mkdir alias; mount --bind /etc alias
attempt "a bind of another mount of it" <<< "return container { rootfs = ROOT, mounts = { bind { ROOT .. '/../alias', '/mnt' } }, command = { $show } }"
umount alias
mkdir "an alias"; mount --bind /etc "an alias"  # mountinfo has another name for a blank
attempt "a bind of one whose name has a blank in it" <<< "return container { rootfs = ROOT, mounts = { bind { ROOT .. '/../an alias', '/mnt' } }, command = { $show } }"
umount "an alias"

# The source is swapped all the time; whatever wins, it is never /etc.
mkdir safe; printf 'nothing' > safe/passwd; ln -sfn safe race
( while :; do ln -sfn /etc race.new; mv -T race.new race; ln -sfn safe race.new; mv -T race.new race; done ) 2>/dev/null & racer=$!
printf 'return container { rootfs = "%s/rootfs", mounts = { bind { "%s/race", "/mnt" } }, command = { %s } }\n' "$work" "$work" "$show" > race.lua
for round in $(seq 25); do timed "$LUABOX" run race.lua; [[ $output != *ESCAPED* ]] || break; done
judge "a source that is swapped between check and use, for one rule about mounts"
policy <<< 'rule "etc" { on = "run", check = function(c) for _, m in ipairs(c.mounts) do if m.source and under(m.source, "/etc") then return deny "not /etc" end end end }'
for round in $(seq 25); do timed "$LUABOX" run race.lua; [[ $output != *ESCAPED* ]] || break; done
judge "the same for a rule about containers"
ln -sfn safe race.new
printf 'return container { rootfs = "%s/race", command = { "/bin/sh", "-c", "echo ESCAPED" } }\n' "$work" > race.lua
policy <<< "rule 'roots' { on = 'run', check = function(c) if c.rootfs.path ~= '$work/safe' then return deny 'another root' end end }"
( while :; do ln -sfn "$work/rootfs" race2.new; mv -T race2.new race; ln -sfn "$work/safe" race2.new; mv -T race2.new race; done ) 2>/dev/null & second=$!
for round in $(seq 25); do timed "$LUABOX" run race.lua; [[ $output != *ESCAPED* ]] || break; done
got=0; judge "a root that is swapped between check and use"
kill $racer $second; wait $racer $second 2>/dev/null

# ---- the environment
policy <<< "$site"
host='return container { rootfs = ROOT, network = "host", command = { "echo", "ESCAPED" } }'
printf 'os.execute("touch %s")\nreturn { ask = function() return {} end, needs = function() end }\n' "$MARK" > modules/policy.lua
mkdir -p modules/luabox; cp modules/policy.lua modules/luabox/policy.lua
attempt "LUA_PATH" "LUA_PATH=$work/modules/?.lua" <<< "$host"
attempt "LUA_CPATH" "LUA_CPATH=$work/modules/?.so" <<< "$host"
attempt "LUA_INIT" "LUA_INIT=os.execute('touch $MARK')" <<< "$host"
mkdir -p scripts/library scripts/commands; cp modules/policy.lua scripts/library/policy.lua; cp modules/policy.lua scripts/library/main.lua
attempt "LUABOX_SCRIPTS" "LUABOX_SCRIPTS=$work/scripts" <<< "$host"
printf 'return { run = function() os.execute("touch %s") end }\n' "$MARK" > scripts/commands/evil.lua
timed env "LUABOX_PATH=$work/scripts/commands" "$LUABOX" evil; judge "LUABOX_PATH"
timed env "XDG_CONFIG_HOME=$work" "$LUABOX" evil; judge "a command in the user's configuration"
timed "$LUABOX" repl -e "os.execute('touch $MARK')"; judge "the prompt"
attempt "another folder of policies" "LUABOX_POLICY=/no/such/folder" <<< "$host"

# ---- the policies themselves: whatever a rule does, no container runs
box='return container { rootfs = ROOT, command = { "echo", "ESCAPED" } }'
hostile() { policy <<< "rule 'x' { on = 'run', check = function(c) $2 end }"; attempt "in a rule: $1" <<< "$box"; [ $got = 125 ] || failed "in a rule: $1" "status $got"; }
hostile "an endless loop" 'while true do end'
hostile "an endless loop of pcalls" 'while true do pcall(function() while true do end end) end'
hostile "a pcall in a loop in a pcall" 'pcall(function() while true do pcall(pcall, error, 1) end end) while true do pcall(error) end'
hostile "a pattern that never ends" 'return string.find(("a"):rep(40), ("a-"):rep(40) .. "b")'
hostile "a pattern of gsub" 'return (("a"):rep(30000)):gsub((".-"):rep(30) .. "b", "")'
hostile "string.rep" 'local s = ("x"):rep(2 ^ 30)'
hostile "string.rep, again and again" 'local t = {} for i = 1, 1e6 do t[i] = ("x"):rep(2 ^ 20 + i) end'
hostile "a table that grows" 'local t = {} while true do t[#t + 1] = {} end'
hostile "recursion" 'local function f() return 1 + f() end return f()'
hostile "recursion by a metamethod of strings" 'return ("x").x.y'
hostile "a request that refers to itself" 'c.self = c error(c)'
hostile "io" 'io.open("/etc/passwd")'
hostile "os" 'os.exit(0)'
hostile "ffi" 'require "ffi"'
hostile "load" 'load "return 1" ()'
hostile "coroutines" 'coroutine.wrap(function() end)()'
hostile "metatables" 'setmetatable({}, {})'
hostile "_G" '_G.deny = nil'
hostile "collectgarbage" 'collectgarbage "stop"'
hostile "an error that is no text" 'error({})'
hostile "unpack" 'return unpack({}, 1, 1e7)'
hostile "sort" 'local t = {} for i = 1, 1e6 do t[i] = i end table.sort(t, function() return true end)'
policy <<< 'while true do end'; attempt "a policy that never loads" <<< "$box"
policy <<< 'string.find(("a"):rep(40), ("a-"):rep(40) .. "b")'; attempt "a policy that loads a pattern without end" <<< "$box"
policy <<< 'rule "x" { on = "run", change = function(c) c.self = c end }'; attempt "a change that can't be told" <<< "$box"
policy <<< 'rule "x" { on = "run", change = function(c) return 5 end }'; attempt "a change that returns a number" <<< "$box"

# ---- the process that holds them
policy <<< "$site"
printf 'print "ready"; io.stdout:flush(); io.read(); return container { rootfs = "%s/rootfs", command = { "echo", "ESCAPED" } }\n' "$work" > wait.lua
rm -f in; mkfifo in; "$LUABOX" run wait.lua < in > out 2>&1 & child=$!
exec 9> in; within 5 grep -qs ready out
helper=$(ps -o pid= --ppid $child | head -1); kill -9 $helper; exec 9>&-; wait $child; got=$?; output=$(cat out); took=0
judge "it is killed"; equal "then nothing starts" 125 $got
rm -f in out; mkfifo in; "$LUABOX" run wait.lua < in > out 2>&1 & child=$!
exec 9> in; within 5 grep -qs ready out
helper=$(ps -o pid= --ppid $child | head -1); kill -STOP $helper; begin=${EPOCHREALTIME/./}; exec 9>&-; wait $child; got=$?
took=$(( (${EPOCHREALTIME/./} - begin) / 1000 )); output=$(cat out); judge "it is stopped"; equal "then nothing starts either" 125 $got

# ---- with primitives
policy <<< "$site
allow { 'primitives' }"
attempt "the policies' own module" <<< 'local sys = require "luabox.sys"; if sys.policy or sys.gate then escaped() end'
attempt "replaced primitives" <<< "local sys = require 'luabox.sys'; sys.mount.copy_of = function() escaped() end; sys.clone = nil
return container { rootfs = ROOT, command = { 'true' } }"
attempt "a bind in the child of a child" <<< 'local sys = require "luabox.sys"
local c = sys.clone({ namespaces = "mount" }, function()
  local d = sys.clone({ namespaces = "mount pid" }, function() sys.mount.propagation("/", "private"); sys.mount.bind("/etc", "/mnt"); sys.exec { "/bin/echo", "ESCAPED" } end)
  d:release(); sys.exit(d:wait())
end)
c:release(); c:wait()'
attempt "a copy of a tree inside a root" <<< 'local sys = require "luabox.sys"; sys.mount.copy_in(sys.mount.root "/", "/etc", {}); escaped()'
attempt "a move" <<< 'local sys = require "luabox.sys"; sys.mount.move("/etc", "/mnt"); escaped()'

policy <<'P'
allow { "primitives" }
rule "capabilities" { on = "capability", check = function(r) if has(r.capabilities, "sys_admin") then return deny "no sys_admin" end end }
rule "namespaces" { on = { "clone", "setns" }, check = function(r) if has(r.namespaces, "user") then return deny "no user" end end }
P
inside() { echo "local sys = require 'luabox.sys' local c = sys.clone({}, function() $1 sys.exec { '/bin/echo', 'ESCAPED' } end) c:release() c:wait()"; }
for names in '{ "CAP_SYS_ADMIN" }' '{ "all" }' '{ "Sys_Admin" }'; do
  attempt "$names is what it stands for: apply" <<< "$(inside "sys.security.apply(0, $names)")"
  attempt "$names: limit_bounding" <<< "$(inside "sys.security.limit_bounding($names)")"
  attempt "$names: set_capabilities" <<< "$(inside "sys.security.set_capabilities { effective = $names, permitted = $names }")"
done
for words in '{ "user" }' '{ "mount user" }' '"net,user"'; do
  attempt "the namespaces $words: clone" <<< "$(inside "local d = sys.clone({ namespaces = $words }, function() sys.exec { '/bin/echo', 'ESCAPED' } end) d:release() d:wait()")"
  attempt "the namespaces $words: unshare" <<< "$(inside "sys.unshare($words)")"
  attempt "the namespaces $words: setns" <<< "$(inside "sys.setns(sys.pid(), { namespaces = $words })")"
done
attempt "a network that is there, by clone" <<< "local sys = require 'luabox.sys' local d = sys.clone({ namespaces = 'net', released = true, network = sys.namespace(sys.pid(), 'net') },
  function() sys.exec { '/bin/echo', 'ESCAPED' } end) d:settle() d:wait()"

echo "$count attempts"
[ $count -ge 40 ] || failed "there are forty attempts" "$count"
unset LUABOX_POLICY
leaves_nothing "nothing is left behind"
finish
