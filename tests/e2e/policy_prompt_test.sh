#!/bin/bash
# Under a site's policies everything that runs code or starts something is governed: the prompt, -e, piped input, run -, exec, update, image import,
# and the commands that only look.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-prompt-$$
mkdir policies home; chmod 755 "$work" policies
export LUABOX_POLICY=$work/policies HOME=$work/home
unset XDG_CONFIG_HOME XDG_STATE_HOME
policy() { cat > policies/10-site.lua; }
box="container { rootfs = '$work/rootfs', command = { 'echo', 'ran' }"
policy <<'P'
rule "no host network" { on = "run", check = function(c) if c.network == "host" then return deny "use a bridge" end end }
rule "who" { on = "run", check = function(c) if c.script.trusted or c.script.path ~= "" then return deny("a script: " .. c.script.path) end end }
rule "ceiling" { on = "update", check = function(u) if (u.cgroup.memory or 2 ^ 60) > MiB(64) then return deny "too much" end end }
rule "no ls" { on = "exec", check = function(e) if e.command[1] == "ls" then return deny "no ls" end end }
rule "images" { on = "import", check = function(i) return deny("no image " .. i.name) end }
allow { "primitives", scripts = { "/opt/*.lua" } }
P

# each way to a container
equal "-e runs what the rules let pass" "ran 0 nil" "$("$LUABOX" -e "$box }:run()" 2>&1 | xargs)"
holds "-e is governed" "refused by the policy 'no host network' (10-site.lua:1): use a bridge" "$("$LUABOX" -e "$box, network = 'host' }:run()" 2>&1)"
holds "piped input is governed" "use a bridge" "$(echo "$box, network = 'host' }:run()" | "$LUABOX" repl 2>&1)"
equal "and runs" "ran 0 nil" "$(echo "$box }:run()" | "$LUABOX" repl 2>&1 | xargs)"
holds "run - is governed" "use a bridge" "$(echo "return $box, network = 'host' }" | "$LUABOX" run - 2>&1)"
equal "and runs" ran "$(echo "return $box }" | "$LUABOX" run - 2>&1)"
echo "return $box, network = 'host' }" > host.lua
holds "the prompt's script is governed" "use a bridge" "$("$LUABOX" repl host.lua -e 'c:run()' 2>&1 || "$LUABOX" repl -e 'c:run()' host.lua 2>&1)"
holds "an import is" "no image box" "$(tar cf box.tar rootfs; "$LUABOX" image import box.tar box 2>&1)"
holds "a terminal's prompt is" "use a bridge" "$(printf '%s\n' "$box, network = 'host' }:run()" | timeout 20 script -qec "$LUABOX repl" /dev/null 2>&1)"

mkfifo in; echo "return container { name = '$mark', rootfs = '$work/rootfs', cgroup = { memory = '32MiB' }, command = { 'sh', '-c', 'echo ready; read x' } }" > held.lua
sed -i 's/^rule "who".*//' policies/10-site.lua
"$LUABOX" run held.lua < in > out 2>&1 & child=$!
exec 9> in; within 10 grep -qs ready out
at() { "$LUABOX" repl --container $mark -e "$1" 2>&1; }
equal "a running container at the prompt" hello "$(at 'print((c:exec { "echo", "hello", capture = true }:output()))' | xargs)"
holds "its further processes are governed" "no ls" "$(at 'c:exec { "ls" }')"
holds "its limits are" "too much" "$(at 'c.cgroup.memory = "128MiB"')"
holds "and c:update" "too much" "$(at 'c:update { memory = "128MiB" }')"
equal "what joins it leads to nothing of the host's" "33554432 nil nil" "$(at 'local x = c:exec { "true" }
  pcall(function() x.container:cgroup():write { memory = "128MiB" } end) print(c.cgroup.memory, x.container, x.process)' | xargs)"
holds "luabox exec is" "no ls" "$("$LUABOX" exec $mark ls 2>&1)"
holds "luabox update is" "too much" "$("$LUABOX" update $mark memory=128MiB 2>&1)"
equal "a limit below the ceiling is set" 16777216 "$(at 'c.cgroup.memory = "16MiB"'; cat $(find /sys/fs/cgroup \( -path "*luabox/$mark/memory.limit_in_bytes" -o -path "*luabox/$mark/memory.max" \) | head -1))"
here="c = $box, cgroup = { memory = '32MiB' } }:start()"
here=${here/\'echo\', \'ran\'/\'sleep\', \'50\'}
holds "so are the limits of one that was started here" "too much" "$("$LUABOX" -e "$here c.cgroup.memory = '128MiB'" 2>&1)"
equal "which are set below the ceiling, and read as numbers" "16777216 number" \
  "$("$LUABOX" -e "$here c.cgroup.memory = '16MiB' print(c.cgroup.memory, type(c.cgroup.pids))" 2>&1 | tr '\t' ' ')"
lacks "and lead to no way around" ESCAPED "$("$LUABOX" -e "$here c.cgroup:add(1) print('ESC' .. 'APED')" 2>&1)"
lacks "nothing leads to the cgroup itself" ESCAPED "$(at 'do local r = c.running; if r then r:cgroup():write { memory = "1GiB" } print("ESC" .. "APED") end end')"
exec 9>&-; wait $child

# what is typed has no more than a script
count=0
attempt() {
  count=$((count + 1)); rm -f marked
  local output; output=$(timeout 10 "$LUABOX" -e "$2" 2>&1)
  [[ $output != *ESCAPED* ]] && [ ! -e marked ] || failed "at the prompt: $1" "$output"
}
attempt "os.execute" "os.execute('touch $work/marked')"
attempt "io.popen" "io.popen('touch $work/marked'):read()"
attempt "io.open" "io.open('$work/marked', 'w'):write 'x'"
attempt "ffi" "require 'ffi'.C.getpid(); print('ESC' .. 'APED')"
attempt "sys" "sys.file.write('$work/marked', '', { create = true })"
attempt "require luabox.sys" "require('luabox.sys').mount.bind('/etc', '/mnt'); print('ESC' .. 'APED')"
attempt "the library" "require('luabox.policy').ask = nil; print('ESC' .. 'APED')"
attempt "debug" "debug.getregistry(); print('ESC' .. 'APED')"
attempt "getfenv" "getfenv(0).os.execute('touch $work/marked')"
attempt "setfenv" "setfenv(1, {}); print('ESC' .. 'APED')"
attempt "getmetatable" "getmetatable('').__index.dump(print); print('ESC' .. 'APED')"
attempt "the tables of a container's class" "getmetatable(container { rootfs = '/', command = { 'true' } }).start = function() end; print('ESC' .. 'APED')"
attempt "what makes a container's views" "local c = container { rootfs = '/', command = { 'true' } } c.views.cgroup = function() end; print('ESC' .. 'APED')"
attempt "a container's class by its own metamethod" "local c = container { rootfs = '/', command = { 'true' } } c.__index.start = function() end; print('ESC' .. 'APED')"
attempt "_G" "_G._G = nil; _G.os.execute('touch $work/marked')"
attempt "help's function" "debug.setupvalue(help, 1, nil); print('ESC' .. 'APED')"
attempt "load" "load(string.dump(function() end))(); print('ESC' .. 'APED')"
attempt "bytecode" "$(printf '\033LJ\002')"
attempt "jit" "jit.off(); print('ESC' .. 'APED')"
attempt "package" "package.loaded['luabox.sys'].exit(0); print('ESC' .. 'APED')"
attempt "coroutines" "coroutine.wrap(function() os.execute('touch $work/marked') end)()"
attempt "the value of _" "_ = os; _.execute('touch $work/marked')"
attempt "a tostring that is shown" "return setmetatable({}, { __tostring = function() os.execute('touch $work/marked') return '' end })"
mkdir -p home/.config/luabox
printf 'os.execute("touch %s/marked")\nrequire("luabox.sys").file.write("%s/marked", "", { create = true })\n' "$work" "$work" | tee home/.config/luabox/causes.lua > /dev/null
mkdir -p home/.config/luabox/commands; cp home/.config/luabox/causes.lua home/.config/luabox/commands/evil.lua
attempt "a user's file of causes" "container { rootfs = '/no/such/folder', command = { 'true' } }:run()"
timeout 10 env LUABOX_HINTS=1 "$LUABOX" run host.lua > /dev/null 2>&1; [ ! -e marked ] || failed "a user's file of causes, for a start that fails" "it ran"
timeout 10 "$LUABOX" why > /dev/null 2>&1; [ ! -e marked ] || failed "a user's file of causes, for why" "it ran"
"$LUABOX" evil > /dev/null 2>&1; [ ! -e marked ] || failed "a user's command" "it ran"
ok "$count ways around at the prompt"
holds "what is left out says what would allow it" 'a rule would have to say allow { "primitives" }' "$("$LUABOX" -e 'sys.mount' 2>&1)"
holds "so does ffi" 'allow { "ffi" }' "$("$LUABOX" -e 'require "ffi"' 2>&1)"
holds "a name that is nowhere is told as ever" "did you mean 'container'" "$("$LUABOX" -e 'contaner {}' 2>&1)"
equal "Lua itself is there" "3" "$("$LUABOX" -e '1 + 2' 2>&1)"
echo 'allow { "primitives" }' >> policies/10-site.lua
holds "with primitives allowed, sys is there" "table" "$("$LUABOX" -e 'type(sys.mount)' 2>&1)"
lacks "without what the policies are asked by" "table" "$("$LUABOX" -e 'type(sys.policy)' 2>&1)"
echo 'allow { "execute", scripts = { "'"$work"'/*.lua" } }' >> policies/10-site.lua
rm -f marked; "$LUABOX" repl host.lua -e "os.execute('touch $work/marked')" > /dev/null 2>&1
[ ! -e marked ] && ok "what a script may, the prompt behind it may not" || failed "what a script may, the prompt behind it may not" "marked"

# what only looks
echo "return container { rootfs = '$work/rootfs', hostnmae = 'x', command = { 'true' } }" > wrong.lua
holds "check works" "hostnmae" "$("$LUABOX" check wrong.lua 2>&1)"
succeeds "check-host works" "$LUABOX" check-host
for command in list "gc" "version" "help"; do succeeds "$command works" "$LUABOX" $command; done

unset LUABOX_POLICY
leaves_nothing "nothing is left behind"
finish
