#!/bin/bash
# The prompt: without a terminal, and in a real one, a tmux pane driven by keys and judged by what it shows.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-repl-$$
export HOME=$work XDG_STATE_HOME=$work/xdg

# ---- -e and piped input
equal "-e prints what an expression gives" "2" "$("$LUABOX" -e '1 + 1')"
equal "repl -e is the same" '{ 1, "a\nb", x = true }' "$("$LUABOX" repl -e '{ 1, "a\nb", x = true }')"
equal "a table inside itself ends" "{ <cycle> }" "$("$LUABOX" -e 'local t = {}; t[1] = t; return t')"
equal "a script comes by a pipe" "3" "$(printf 'local function f(a)\n  return a + 1\nend\nprint(f(2))\n' | "$LUABOX" repl)"
equal "so do lines as one would type them" $'2\n9' "$(printf '1 + 1\nx = 3\nx * x\n' | "$LUABOX" repl)"
error=$("$LUABOX" -e 'local a = 1
  error "no"' 2>&1); got=$?
equal "an error is told with its line, which is marked" $'-e:2: no\n  2 |   error "no"\n    |   ^^^^^^^^^^' "$error"
equal "and the exit status is 1" 1 $got
error=$(printf 'print "first"\nfirst.second = 1\nprint "never"\n' | "$LUABOX" repl 2>&1); got=$?
holds "an error ends piped input" $'first\ninput:2: ' "$error"
lacks "and nothing after it runs" never "$error"
equal "with the exit status 1" 1 $got
error=$("$LUABOX" -e $'container {\n  hostnmae = "a",\n}' 2>&1)
holds "an unknown field is marked" $'(did you mean \'hostname\'?)\n  2 |   hostnmae = "a",\n    |   ^^^^^^^^' "$error"
"$LUABOX" -e 'for i =' > /dev/null 2>&1; equal "unfinished input is an error" 1 $?
equal "an expression may go over lines" 42 "$(printf '40 +\n2\n' | "$LUABOX" repl 2>&1)"
holds "help(x) is the reference of a function" 'the container reaches the outside' "$("$LUABOX" -e 'help(veth)')"
holds "of a primitive" 'sys.mount.bind(source, target, options)' "$("$LUABOX" -e 'help(sys.mount.bind)')"
holds "doc finds a field" 'container.cgroup: luabox.CgroupLimits' "$("$LUABOX" -e 'doc "container.cgroup"')"
holds "and one whose class nobody said" 'luabox.CgroupLimits.swappiness: integer' "$("$LUABOX" -e 'doc "swappiness"')"
holds "help of help is what is at hand" 'the primitives: sys.clone' "$("$LUABOX" -e 'help(help)')"
equal "a large whole number has all its digits" "9007199254740992" "$("$LUABOX" -e '2 ^ 53')"
holds "objects are told by their kind" '<process ' "$("$LUABOX" -e 'p = sys.clone({}, function() sys.exec { "/bin/true" } end) p:release() return p')"
equal "a long list takes few lines" "{ 1, 2, 3 } 12 ... 800 more" \
  "$("$LUABOX" -e '{ 1, 2, 3 }') $("$LUABOX" -e 'local t = {} for i = 1, 1000 do t[i] = i end return t' | wc -l) $("$LUABOX" -e 'local t = {} for i = 1, 1000 do t[i] = i end return t' | grep -o '\.\.\..*')"
equal "a long string is cut" "4019 bytes more" "$("$LUABOX" -e '("x"):rep(8019)' | grep -o '[0-9]* bytes more')"
equal "what is no UTF-8 is escaped" '"é\255\194\133"' "$("$LUABOX" -e '"é\255\194\133"')"
equal "functions are told by name" "<function print> <function string.find> <function sys.clone>" "$("$LUABOX" -e 'print, string.find, sys.clone' | tr '\t' ' ')"
equal "a __tostring that fails ends nothing" $'<table, __tostring failed: -e:1: x>' "$("$LUABOX" -e 'setmetatable({}, { __tostring = function() error "x" end })')"
equal "a table that was raised is shown" '{ a = 1 }' "$("$LUABOX" -e 'error { a = 1 }' 2>&1)"
holds "an expression's line is its own" '-e:1: luabox.sys nosuch' "$("$LUABOX" -e 'sys.nosuch' 2>&1)"
holds "help of Lua's own is the manual" 'manual.html#pdf-string.find' "$("$LUABOX" -e 'help(string.find)')"
holds "help(sys) lists the primitives" 'clone(options, body)' "$("$LUABOX" -e 'help(sys)')"
holds "doc of no name is told" 'doc: expected a name such as "veth", got 5' "$("$LUABOX" -e 'doc(5)' 2>&1)"
holds "doc of a name that is near" "(did you mean 'veth'?)" "$("$LUABOX" -e 'doc "vet"' 2>&1)"
cat > box.lua <<END
return container { name = "$mark", rootfs = "$work/rootfs", command = { "/bin/sleep", "4321" } }
END
output=$("$LUABOX" repl -e 'c:start() print(c:kill(0)) return c' box.lua)
holds "the script's container is c" $"true
<container $mark, process " "$output"
equal "the cgroup of one that was started here is asked and told, and has its methods" "$mark 67108864 40 67108864 2" \
  "$("$LUABOX" repl -e 'c.config.cgroup = { memory = "128MiB" } c = container { name = c.config.name, rootfs = c.config.rootfs.path, command = c.config.command,
    cgroup = { memory = "128MiB" } }:start() c.cgroup.memory = "64MiB" c.cgroup:write { pids = 40 }
    print(c.name, c.cgroup.memory, c.cgroup.pids, c.cgroup:read "memory", #c.cgroup:processes())' box.lua 2>&1 | tr '\t' ' ')"
equal "its mounts are the kernel's" "/ true" "$("$LUABOX" repl -e 'c:start() local n = #c.mounts return print(c.mounts[1].target, n > 5)' box.lua 2>&1 | tr '\t' ' ')"
holds "a key that is nowhere is told" "unknown key 'memroy' (did you mean 'memory'?)" "$("$LUABOX" repl -e 'c:start() c.cgroup.memroy = 5' box.lua 2>&1)"
holds "before it is started it has none" "the container has no cgroup: it was not started" "$("$LUABOX" repl -e 'c.cgroup.memory = 5' box.lua 2>&1)"
if [ -d /sys/fs/cgroup/memory ]; then
  holds "a limit that would hold nothing is refused here too" "has no part in memory" "$("$LUABOX" repl -e 'c:start() c.cgroup.memory = "1GiB"' box.lua 2>&1)"
  equal "and leaves no cgroup" "" "$(find /sys/fs/cgroup -path "*luabox/$mark")"
else
  skipped "a limit that would hold nothing is refused here too" "cgroup v2 has one hierarchy"
fi
leaves_nothing "what was started ends with it"

"$LUABOX" run box.lua & runtime=$!
listed() { "$LUABOX" list | grep -q "^$mark .*running"; }
within 5 listed || failed "(a container runs)"
equal "a container of another luabox is c" "in it 99" \
  "$("$LUABOX" repl --container $mark -e 'local text = c:exec { "/bin/sh", "-c", "echo in it", capture = true }:output() c.cgroup.pids = 99
    return print((text:gsub("\n", "")) .. " " .. c.cgroup.pids)' 2>&1)"
equal "its limit is the kernel's" 99 "$(cat /sys/fs/cgroup/{pids/,}luabox/$mark/pids.max 2>/dev/null)"
if [ -d /sys/fs/cgroup/memory ]; then
  holds "a limit that would hold nothing is refused" "has no part in memory" "$("$LUABOX" repl --container $mark -e 'c.cgroup.memory = "1GiB"' 2>&1)"
else
  skipped "a limit that would hold nothing is refused" "cgroup v2 has one hierarchy"
fi
holds "what is no limit can't be set" 'c.limit can'"'"'t be set; limits are: c.cgroup' "$("$LUABOX" repl --container $mark -e 'c.limit = 1' 2>&1)"
equal "a further process of it is as one of a container that was started here: without a prompt nobody's has its streams" "in it 5 true" \
  "$("$LUABOX" repl --container $mark -e 'c:exec { "/bin/sh", "-c", "echo in it; exit 5" }' 2>&1 | xargs) $(
    "$LUABOX" repl --container $mark -e 'local x = c:exec { "/bin/sleep", "9" } print(x:wait(0.01) == nil and x:kill())' 2>&1)"
holds "help knows its methods" 'Attachment:exec(options)' "$("$LUABOX" repl --container $mark -e 'help(c.exec)' 2>&1)"
holds "a method that is near" "there is no method 'exek' (did you mean 'exec'?)" "$("$LUABOX" repl --container $mark -e 'c:exek {}' 2>&1)"
holds "one that is not there is told" "no container 'nosuch'" "$("$LUABOX" repl --container nosuch -e 1 2>&1)"
equal "it is waited for, and stopped" "false true" "$("$LUABOX" repl --container $mark -e 'local before = c:wait(0.01) c:stop(1) return print(before, not c:alive())' 2>&1 | tr '\t' ' ')"
wait $runtime; equal "its luabox hears how it ended" 143 $?
leaves_nothing "and nothing is left of it"

# stopped SIGNAL CODE: -e CODE, hit by the signal once it runs
stopped() { "$LUABOX" -e "print 'runs' io.stdout:flush() $2" > out 2> err & local pid=$!; within 5 grep -q runs out; sleep 0.1; kill -"$1" $pid; wait $pid; }
made="c = container { name = '$mark', rootfs = '$work/rootfs', command = { '/bin/sleep', '4321' } } c:start()"
stopped TERM "$made while true do end"; equal "SIGTERM ends what -e runs" 143 $?
holds "with its line" '-e:1: interrupted' "$(cat err)"
leaves_nothing "and what was started ends with it"
stopped HUP "$made c:wait()"; equal "so does SIGHUP" 129 $?
leaves_nothing "(nothing is left then)"
stopped TERM 'return ("a"):rep(40000):find(("a*"):rep(20) .. "b")'; equal "also within string.find" 143 $?

# ---- a terminal
. "$here/pane.sh"
host_shell HOME="$HOME" XDG_STATE_HOME="$XDG_STATE_HOME"
fresh() { keys C-c; sleep 0.1; keys C-l; sleep 0.1; pane clear-history; }

mkfifo fifo
exec 8< "$work"; flock 8  # what sys.file.lock(".") waits for
within 5 shows '^host>' || finish
type "cd $work; stty -a > before; $LUABOX repl"
appears "it prompts" '^luabox> *$'
type 'sys.version()'; appears "a value is shown" '^"[0-9.]+"$'
type 'x = { 1,'; appears "an incomplete line goes on" '^ +> *$'
type '  2 } '; type '#x + 40'; appears "until it is complete" '^42$'
type '30 +'; appears "so does an expression" '^ +> *$'; type '  1'; appears "until it is one" '^31$'
type 'local kept = 7'; type 'kept * 2'; appears "a local is the prompt's own" '^14$'
type 'nosuch.thing'; appears "an error marks its line" '^    \| \^\^\^\^\^\^$'
fresh; put 'sys.mount.make_t'; keys Tab; appears "Tab completes a primitive" '^luabox> sys.mount.make_tmpfs$'
fresh; put 'container { hostn'; keys Tab; appears "an option of container" '^luabox> container \{ hostname ='
fresh; put 'container { cgroup = { swapp'; keys Tab; appears "an option inside an option" 'cgroup = \{ swappiness ='
fresh; put 'conta'; keys Tab; appears "a word of the vocabulary" '^luabox> container$'
fresh; put 'sys.terminal.'; keys Tab; appears "several are listed" 'forward_signals .*interrupts'
fresh; type "c = container { name = '$mark', rootfs = '$work/rootfs', command = { '/bin/sleep', '4321' }, terminal = false, cgroup = { memory = '128MiB' } }"
type 'c:start()'; appears "a container is shown by its name" "^<container $mark, process [0-9]+, running>"
fresh; type 'c.cgroup.memory = "96MiB"'; type 'c.cgroup.memory'; appears "a limit of one that was started here is set and read" '^100663296$'
fresh; put 'c.cgroup.swapp'; keys Tab; appears "its names are completed" '^luabox> c.cgroup.swappiness$'
fresh; put 'c.cgroup:proc'; keys Tab; appears "and its methods" '^luabox> c.cgroup:processes$'
fresh; put 'c.mou'; keys Tab; appears "and what a container has" '^luabox> c.mounts$'
fresh; put 'c:sto'; keys Tab; appears "a method of an object" '^luabox> c:stop$'
fresh; put 'running "e2e'; keys Tab; appears "a container's name" "^luabox> running \"$mark"
fresh; type "r = running '$mark'"; put 'r.cgroup.swapp'; keys Tab; appears "a limit's name" '^luabox> r.cgroup.swappiness$'
fresh; put 'r.'; keys Tab; appears "what an attached one has is listed" 'cgroup +config'
fresh; type "r = running '$mark'"; type 'r.cgroup.memory = "64MiB"'; type 'r.cgroup.memory'; appears "a limit of a container that runs is set and read" '67108864'
fresh; type 'r:exec { "/bin/sh", "-c", "echo in $(tty); cat /proc/self/status | head -1" }'; appears "a process joins it, in the terminal" '^in /dev/'
type 'kept_two = r:exec { "/bin/sleep", "4326" }'; type 'kept_two'; appears "or runs beside the prompt" '<execution /bin/sleep, process [0-9]+, running>'
type 'kept_two:kill() return kept_two:wait()'; appears "until it is killed" '^143$'
fresh; type 'r.mounts[1].target'; appears "its mounts are listed" '^"/"$'
fresh; type 'while true do end'; sleep 0.3; keys C-c; appears "Ctrl-C stops an endless loop" '\[[0-9]+\]:1: interrupted'
fresh; type 'while true do pcall(function() while true do end end) end'; sleep 0.3; keys C-c; sleep 0.2; keys C-c
appears "a second one a loop around pcall" 'interrupted'
for line in 'return ("a"):rep(40000):find(("a*"):rep(20) .. "b")' 'return ("a"):rep(40000):gsub(("a-"):rep(20) .. "b", "")' \
  'for _ in ("a"):rep(40000):gmatch(("a*"):rep(20) .. "b") do end' 'return io.read()' 'return io.popen("sleep 4322"):read()' \
  'while true do os.execute "sleep 4323" end' 'return load(function() return " " end)' 'return sys.file.lock(".", { wait = true })' \
  'return c:exec({ "/bin/sleep", "4324", capture = true }):output()' 'return io.open "fifo"' 'return sys.file.read "fifo"'; do
  fresh; type "print '=runs' $line"; within 5 shows '^=runs'; sleep 0.3; keys C-c; appears "Ctrl-C stops $line" 'interrupted|Interrupted'
  type '"and " .. "lives"'; appears "(the prompt lives)" '^"and lives"$'
done
fresh; type 'print "=runs" return pcall(function() while true do end end)'; within 5 shows '^=runs'; sleep 0.2; keys C-c; appears "Ctrl-C is heard after an interrupt in what load reads" 'false +.*interrupted'
fresh; type 'io.read()'; type 'typed text'; appears "io.read at the prompt reads a line" '^"typed text"$'
fresh; type 'n = 0 for _ in io.lines() do n = n + 1 end'; type 'one'; type 'two'; keys C-d; type '"read " .. n'; appears "io.lines reads up to Ctrl-D" '^"read 2"$'
type 'io.read()'; type 'again'; appears "which is not the end for the next" '^"again"$'
fresh; type '= 20 + 3'; appears "= EXPRESSION is one" '^23$'
fresh; type 'mount'; appears "a primitive's full name is told" "did you mean 'sys.mount'"
fresh; put 'directory "./root'; keys Tab; appears "Tab completes a path" '^luabox> directory "./rootfs/$'
fresh; put 'container { seccomp = "unc'; keys Tab; appears "and a word that a field takes" 'seccomp = "unconfined$'
fresh; put 'c:'; keys Tab; appears "a container's methods are listed" 'destroy +exec +kill'
fresh; type 'help(c.exec)'; appears "help of a method" 'Container:exec\(options\)'
printf 'function twice(a)\n\n  -- a comment\n  return a * 2 -- twice\nend\n\nfor i = 4, 5 do\n  print(twice(i) + 100)\nend\n' > block
fresh; pane load-buffer block; pane paste-buffer; appears "a pasted block runs as it stands" '^108$'; appears "up to its end" '^110$'
fresh; type 'c:exec { "/bin/sh", "-c", "echo on $(tty); read a; echo got $a; exit 5" }'; appears "a process that nobody keeps has the terminal" '^on /dev/'
type 'some'; appears "until its end" '^got some'; appears "with its exit status" '^5$'
fresh; type 'kept_one = c:exec { "/bin/sleep", "4325" }'; type 'kept_one'; appears "one that is kept runs beside the prompt" '<execution /bin/sleep, process [0-9]+, running>'
type 'kept_one:kill() return kept_one:wait()'; appears "until it is killed" '^143$'
fresh; type 'c:wait()'; sleep 0.3; keys C-c; appears "and what waits" 'interrupted|Interrupted'
fresh; type 'c.process:status() == nil'; appears "its container does not hear of it" '^true$'; type '"still " .. "here"'; appears "the prompt lives" '^"still here"$'
fresh; type 'setmetatable({}, { __tostring = function() while true do end end })'; sleep 0.3; keys C-c; appears "and what a value says of itself" 'interrupted'
fresh; type 'sys.sleep(100)'; sleep 0.2; keys C-c; type '6 * 7'; appears "and lives" '^42$'
fresh; put 'half a line'; keys C-c; type '1 + 2'; appears "Ctrl-C gives a line up" '^3$'
fresh; put 'error'; keys C-a; put '"'; keys C-e; put '" .. "日本"'; keys Enter; appears "a line is edited, in UTF-8 too" '^"error日本"$'
fresh; type 'container { rootfs = "'"$work"'/rootfs", command = { "/bin/sh", "-c", "echo on $(tty); read x; echo got $x" } }:run()'
appears "run() gives a container the terminal" '^on /dev/'
type 'typed'; appears "until its end" '^got typed'; appears "and takes it back" '^0 +nil$'
fresh; keys Up Up; keys C-c
keys C-d; appears "Ctrl-D ends it" '^host>'
type 'stty -a > after'; sleep 0.3; succeeds "the terminal is as it was" cmp before after
leaves_nothing "what was started in it has ended"
fresh; type "$LUABOX repl"; within 5 shows '^luabox>'
put ''; keys C-r; put 'kept \*'; sleep 0.2; keys Enter Enter; appears "the history is searched, and has been kept" 'kept \* 2'
equal "for its owner alone" 600 "$(stat -c %a "$XDG_STATE_HOME/luabox/history")"
keys C-c; fresh; type 'exit'; appears "exit is the end without brackets too" '^host>'
type "$LUABOX repl"; within 5 shows '^luabox>'; type "c = container { name = '$mark', rootfs = '$work/rootfs', command = { '/bin/sleep', '4321' } } return c:start()"
appears "(one runs)" '<container'
pane kill-server; leaves_nothing "a terminal that goes away ends what was started"
finish
