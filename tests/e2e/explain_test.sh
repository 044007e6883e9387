#!/bin/bash
# `luabox explain`: the plan of a script, and that making it touches nothing.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
chmod 755 "$work"
mkdir data

cat > box.lua <<END
os.execute "touch $work/made-by-os"
io.open("$work/made-by-io", "w")
return container {
  rootfs = "$work/rootfs",
  hostname = "explained",
  mounts = { bind { "$work/data", "/data", readonly = true },
    tmpfs { "/tmp", size = "1MiB" } },
  cgroup = { memory = "64MiB" },
  network = veth { host = "10.97.0.1/24", guest = "10.97.0.2/24", nat = true },
  capabilities = { add = { "net_raw" } },
  seccomp = { extend = { deny = { "chmod" } }, rules = { { name = "socket", action = "errno:EAFNOSUPPORT", args = { { index = 0, op = "==", value = 16 } } } } },
  user = "user",
  function(this) this.root:write("/etc/motd", "hello") end,
  command = { "/bin/true" },
}
END
before=$(find "$work" | sort)

plan=$("$LUABOX" explain box.lua 2>&1); equal "a plan is made" 0 $?
line() { grep -n "$1" box.lua | head -1 | cut -d: -f1; }
step() { grep -F -- "$1" <<<"$plan"; }
holds "each step has the line that asks: a mount" "box.lua:$(line tmpfs)" "$(step 'size = "1048576"')"
holds "a field of the container" "box.lua:$(line hostname)" "$(step 'sethostname("explained")')"
holds "another field" "box.lua:$(line rootfs)" "$(step 'mount.propagation')"
holds "a limit" "box.lua:$(line cgroup)" "$(step ':write { memory')"
holds "the network" "box.lua:$(line veth)" "$(step 'net.veth')"
holds "a step of the script's own" "box.lua:$(line motd)" "$(step '/etc/motd')"
holds "the command" "box.lua:$(line command)" "$(step 'init({ "/bin/true" }')"
holds "what a script does by Lua's own means" "box.lua:1" "$(step 'os.execute(')"
holds "the user is the image's" "uid = 1000" "$(step user.set_ids)"
holds "what is written to which file of the cgroup" "<- 67108864" "$plan"
equal "parent, child, parent" "host inside host" "$(grep -oE '^(On the host|Inside)' <<<"$plan" | sed 's/On the host/host/; s/Inside/inside/' | tr '\n' ' ' | sed 's/ $//')"
holds "what is taken away at the end" "cgroup.remove_path" "$plan"
equal "nothing was made" "$before" "$(find "$work" | sort)"
equal "two plans of one script are the same" "$(sort <<<"$plan")" "$("$LUABOX" explain box.lua | sort)"

# calls FILE: the system calls that change something, of what luabox did after it had entered itself (engine/self.cpp).
calls() {
  awk '/execve(at)?\(|PR_SET_MM_MAP/ { n = NR } { line[NR] = $0 } END { for (i = n + 1; i <= NR; i++) print line[i] }' "$1" |
    grep -E '^([0-9]+ +)?(mount|umount2?|open_tree|move_mount|fsopen|fsconfig|fsmount|fspick|mount_setattr|pivot_root|chroot|clone3?|fork|vfork|execve|execveat|mkdir|mkdirat|rmdir|unlink|unlinkat|rename|renameat2?|link|linkat|symlink|symlinkat|mknod|mknodat|chown|fchown|lchown|fchownat|chmod|fchmod|fchmodat|truncate|ftruncate|sethostname|setdomainname|unshare|setns|seccomp|capset|setuid|setgid|setresuid|setresgid|setgroups|keyctl|setsid|setrlimit|prlimit64|umask|personality|bpf|kill|pidfd_send_signal|pidfd_open|sendfile|setxattr)\(|open(at|at2)?\(.*(O_WRONLY|O_RDWR|O_CREAT|O_TRUNC)|sendmsg\(.*(NEW|DEL|SET)' |
    grep -vE 'prlimit64\(0, RLIMIT_[A-Z]+, NULL|open_tree\(AT_FDCWD, "/proc/self/exe"'
}
if command -v strace >/dev/null; then
  for who in 0 65534; do
    name=$([ $who = 0 ] && echo root || echo nobody)
    run=(strace -f -o "$work/strace.$who" "$LUABOX")
    if [ $who != 0 ]; then
      touch "$work/strace.$who"; chmod 666 "$work/strace.$who"
      run=(setpriv --reuid $who --regid $who --clear-groups env -u XDG_RUNTIME_DIR LUABOX_STATE= LUABOX_IMAGES= "${run[@]}")
    fi
    "${run[@]}" explain --root box.lua > "plan.$who" 2>&1; equal "as $name: a plan is made" 0 $?
    holds "as $name: up to the command" 'init({ "/bin/true" }' "$(cat "plan.$who")"
    succeeds "as $name: strace saw it" test -s "strace.$who"
    equal "as $name: no system call that changes anything" "" "$(calls "strace.$who")"
  done
  rm -f plan.* strace.*
  strace -f -o strace.0 "$LUABOX" run --name explain-strace-$$ box.lua >/dev/null 2>&1
  holds "the same look at a real run sees plenty" "rmdir" "$(calls strace.0)"
  rm -f strace.0 made-by-*
else
  skipped "no system call that changes anything" "there is no strace"
fi

json() { "$LUABOX" explain --json box.lua | python3 -c "import json, sys; d = json.load(sys.stdin); s = d['steps']; print($1)"; }
equal "JSON has the same steps" "$("$LUABOX" explain box.lua | grep -cE '^ +[0-9]+  ')" "$(json 'len(s)')"
if ip link add lb00000001 type veth peer name other 2> /dev/null; then
  steps=$(json 'len(s)'); ip address add 10.97.0.1/24 dev lb00000001; ip link set lb00000001 up
  equal "a container that has its address at this moment is no part of a plan" "$steps" "$(json 'len(s)')"
  ip link delete lb00000001
fi
equal "with arguments as values" "explained" "$(json '[x for x in s if x["primitive"] == "sethostname"][0]["arguments"][0]')"
equal "and the side" "inside" "$(json '[x for x in s if x["primitive"] == "sethostname"][0]["side"]')"
cp box.lua kept.lua
script "command = { 'true' }" "cgroup = { memory = math.huge }"
equal "a number that JSON has not is a text in it" inf "$(json 'next(x["arguments"] for x in s if "cgroup" in x["primitive"] and "memory" in str(x))[-1]["memory"]')"
mv kept.lua box.lua
equal "--all has the bookkeeping" True "$("$LUABOX" explain --all --json box.lua | python3 -c 'import json, sys; print("file.lock" in {x["primitive"] for x in json.load(sys.stdin)["steps"]})')"

printf 'return container { rootfs = "%s/rootfs", command = { "true" }, cgroup = { pids = 5 },\n  function() error "wrong" end }\n' "$work" > wrong.lua
equal "what a step raises is told as it is" "luabox: wrong.lua:2: wrong" "$("$LUABOX" explain wrong.lua 2>&1 > /dev/null)"

rules=$("$LUABOX" explain --seccomp box.lua)
holds "--seccomp has the rules by name" "errno:ENOSYS" "$(grep clone3 <<<"$rules"; grep -A1 ENOSYS <<<"$rules")"
holds "--seccomp has the rule for an argument" "EAFNOSUPPORT" "$(grep socket <<<"$rules")"
holds "--seccomp has what is allowed" "read" "$(sed -n '/allow/,$p' <<<"$rules")"

cp box.lua other.lua
equal "--diff of the same finds nothing" 0 "$("$LUABOX" explain --diff box.lua other.lua >/dev/null; echo $?)"
sed -i 's/64MiB/65MiB/; s/"net_raw"/"net_raw", "mknod"/' other.lua
changes=$("$LUABOX" explain --diff box.lua other.lua); equal "--diff of others says so" 1 $?
holds "--diff has the new value" "<- 68157440" "$(grep '^+' <<<"$changes")"
holds "--diff has the old one" "<- 67108864" "$(grep '^-' <<<"$changes")"
holds "--diff has the line of it" "other.lua:$(line 'cgroup =')" "$(grep 68157440 <<<"$changes")"
lacks "--diff has nothing else" "pivot_root" "$changes"

cat > primitive.lua <<'END'
local sys = require "luabox.sys"
local child = sys.clone({ namespaces = "uts" }, function()
  pcall(sys.sethostname, "plain")
  pcall(function() sys.exec { "/bin/true" } end)
  sys.sethostname "never"
end)
child:release()
os.exit(child:wait())
END
plan=$("$LUABOX" explain primitive.lua 2>&1); equal "a script of primitives is explained" 0 $?
holds "with the lines inside" 'sethostname("plain")    -- primitive.lua:3' "$plan"
lacks "an exec ends the child, in pcall too" "never" "$plan"
equal "the host's name is as it was" "$(cat /proc/sys/kernel/hostname)" "$(hostname)"

cat > talk.lua <<'END'
print("said", 1)
io.write "written"
io.stdout:write("out", "\n"):flush()
require("luabox.sys").sleep(100)
print(io.read "*l")
END
plan=$(echo asked | "$LUABOX" explain talk.lua a b 2>&1); equal "what a script prints is a step, and it waits for nothing" 0 $?
for step in 'print("said\t1\n")' 'print("written")' 'print("out\n")' 'sleep(100)' 'print("asked\n")'; do holds "a step: $step" "$step    -- talk.lua" "$plan"; done
succeeds "with --json what it prints is in the JSON" python3 -c 'import json, sys; json.load(sys.stdin)' < <("$LUABOX" explain --json talk.lua < /dev/null)
printf 'local sys = require "luabox.sys"\nwhile true do sys.sleep(1) end\n' > loop.lua
holds "a script that waits for ever is told" "loop.lua:2: the script goes on and on" "$("$LUABOX" explain --shell loop.lua 2>&1)"
printf 'local c = container { rootfs = "%s/rootfs", command = { "true" } }:start()\nprint(c:stats().memory.current)\n' "$work" > look.lua
holds "what only a real run knows is told" "is known only in a real run" "$("$LUABOX" explain look.lua 2>&1)"
if [ "$(id -u)" = 0 ]; then
  begin=$(microseconds)
  setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR LUABOX_STATE= LUABOX_IMAGES= "$LUABOX" explain --root box.lua > /dev/null 2>&1
  took=$((($(microseconds) - begin) / 1000000))
  succeeds "an ordinary user waits for no answer of the firewall's, which he may not ask" test $took -lt $((5 * slow))
fi
for what in "" --json --shell; do holds "a full disk is told: $what" "No space left" "$("$LUABOX" explain $what box.lua 2>&1 > /dev/full)"; done
cat > bridges.lua <<END
for _, name in ipairs { "one", "two" } do
  container { name = "explain-" .. name, rootfs = "$work/rootfs", network = bridge { "plan", subnet = "10.97.9.0/24" }, command = { "true" } }:start()
end
END
plan=$("$LUABOX" explain bridges.lua)
equal "the second on a bridge finds it made" 1 "$(grep -c 'net.add {' <<<"$plan")"
holds "and has the next address" '"10.97.9.3"' "$plan"
equal "the last one takes it away" 1 "$(grep -c 'net.remove("lbr-plan")' <<<"$plan")"

refuse() {
  printf '%s\n' "$3" > bad.lua
  local said; said=$("$LUABOX" explain bad.lua 2>&1 >/dev/null); local got=$?
  equal "$1: 125" 125 $got; holds "$1: told" "$2" "$said"
}
refuse "an image that isn't there" "bad.lua:1: no image 'nosuch'" 'return container { rootfs = image "nosuch", command = { "true" } }'
refuse "a wrong field" "bad.lua:1: container has no field 'hostnmae'" 'return container { hostnmae = "x" }'
refuse "an error inside" "bad.lua:1: boom" "return container { rootfs = '$work/rootfs', command = { 'true' }, function() error 'boom' end }"
refuse "ffi" "ffi" 'require "ffi"'
refuse "a child that returns" "must end in exec" 'require("luabox.sys").clone({}, function() end)'
holds "a script is needed" "luabox help explain" "$("$LUABOX" explain 2>&1)"

unexplained=
while read -r example; do
  said=$(cd "$top" && "$LUABOX" explain "$example" 2>&1 >/dev/null) || case $said in *"no image"* | *"resolve rootfs"* | *"no folder"*) ;; *) unexplained+="$example: $said"$'\n';; esac
done < <(cd "$top" && grep -lE '^return (container|\{)' -r examples --include='*.lua')
equal "every example that returns a container is explained, or lacks its image" "" "$unexplained"
leaves_nothing "nothing is left behind"
finish
