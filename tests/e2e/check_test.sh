#!/bin/bash
# luabox check and luabox init: what is told of a script without running it, and the first script.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-check-$$

# told SCRIPT: what check says of it
told() { printf '%s\n' "$1" > s.lua; "$LUABOX" check s.lua 2>&1; }
# finds NAME SCRIPT LINE...: exactly these
finds() { local name=$1 script=$2; shift 2; equal "$name" "$(printf '%s\n' "$@")" "$(told "$script")"; }

finds "what is no Lua" $'local x =\nreturn x y' "s.lua:2:1: unexpected symbol near 'return'"
finds "a global that is not there" 'print(imgae "box", os.getenv "HOME")' "s.lua:1:7: there is no global 'imgae' (did you mean 'image'?)"
finds "one that the script sets is there" $'x = 1\nprint(x)' "s.lua:1:1: warning: 'x' is set as a global; 'local' keeps it here"
succeeds "warnings alone are no failure" "$LUABOX" check s.lua
finds "what a library of Lua's has not" $'print(string.fromat("%d", 1), os.exucute, luabox.versoin)\nlocal unpack = table.unpack or unpack\nprint(unpack)' \
  "s.lua:1:14: warning: there is no 'string.fromat' (did you mean 'format'?)" "s.lua:1:34: warning: there is no 'os.exucute' (did you mean 'execute'?)" \
  "s.lua:1:50: warning: there is no 'luabox.versoin' (did you mean 'version'?)" "s.lua:2:22: warning: there is no 'table.unpack'"
finds "but what the script gives it" $'function string.trim(text) return (text:match "^%s*(.-)%s*$") end\nmath.tau = 2 * math.pi\nprint(string.trim " a ", math.tau)'
finds "nor what is a local's" $'local os = { name = "linux" }\nprint(os.name)'
finds "an unknown field, at its place, and its neighbours" $'return container {\n  hostnmae = "a", rootfs = "rootfs",\n  nice = "low", command = { "sh" },\n}' \
  "s.lua:2:3: container has no field 'hostnmae' (did you mean 'hostname'?)" "s.lua:3:10: container.nice: expected a whole number from -20 to 19, got 'low'"
finds "also beside what is computed, and nested" \
  $'local function f() return 1 end\nreturn container { rootfs = f(), command = { f() },\n  namespaces = { nett = "new" }, mounts = { bind { f(), "/x", redonly = true } } }' \
  "s.lua:3:18: container.namespaces has no field 'nett' (did you mean 'net'?)" "s.lua:3:63: bind has no field 'redonly' (did you mean 'readonly'?)"
finds "a unit" $'return container { rootfs = "rootfs", command = { "x" },\n  cgroup = { memory = "100Zorg" } }' \
  "s.lua:2:23: cgroup key memory: '100Zorg' is no size; write 100MB, 64MiB or a number of bytes"
finds "what can't be meant together" $'return container { rootfs = "rootfs", command = { "x" }, network = "host",\n  namespaces = { net = "new" } }' \
  "s.lua:1:58: network = \"host\" and namespaces.net = 'new' can't both be meant"
finds "what is missing" $'require "nowhere"\nreturn container { rootfs = directory "./none", command = { "x" },\n  mounts = { bind { "./data", "/data" } } }' \
  "s.lua:1:9: there is no module 'nowhere'" "s.lua:2:39: directory: there is no folder ./none" "s.lua:3:21: bind: there is no ./data"
ln -s loop loop
finds "what can't be looked at hides nothing else" $'return container { rootfs = directory "./loop", command = { "x" }, nice = 99,\n  mounts = { tmpfs { "/x", szie = 1 } } }' \
  "s.lua:1:29: directory: stat ./loop/.: Too many levels of symbolic links" "s.lua:1:68: container.nice: expected a whole number from -20 to 19, got 99" \
  "s.lua:2:28: tmpfs has no field 'szie' (did you mean 'size'?)"
finds "nor does a volume" 'print(bind { "./loop/a", "/x" }, imgae)' "s.lua:1:7: bind: stat ./loop/a: Too many levels of symbolic links" \
  "s.lua:1:34: there is no global 'imgae' (did you mean 'image'?)"
finds "a name that the script made its own is no constructor" $'local function bind(t) return t end\nprint(bind { anything = 1 })'
told 'os.execute "touch ran"; io.open("ran", "w"); return container { rootfs = "rootfs", command = { os.execute "touch ran" } }' > /dev/null
lacks "nothing is run" ran "$(ls)"
told 'nosuch()' > /dev/null; equal "an error is the exit status 1" 1 $?
"$LUABOX" check --json s.lua > found.json; equal "--json too" 1 $?
equal "--json is for programs" "s.lua 1 1 7 global error" \
  "$(python3 -c 'import json; e = json.load(open("found.json"))[0]; print(e["file"], e["line"], e["column"], e["end_column"], e["kind"], e["severity"])')"
for script in "$top"/examples/*.lua "$top"/examples/*/*.lua; do
  equal "nothing but images is wrong with $(basename "$script")" "" "$("$LUABOX" check "$script" | grep -v "there is no image")"
done

# Each line of check_cases.txt as a field of a container; below it what is told of it, "LINE: MESSAGE", and nothing else is.
mkdir cases cases/data cases/rootfs; (cd cases; number=0
while IFS= read -r field && IFS= read -r told; do
  number=$((number + 1))
  { echo 'return container {'
    [[ $field == rootfs* ]] || echo '  rootfs = "./rootfs",'
    [[ $field == command* ]] || echo '  command = { "/bin/sh" },'
    printf '  %s,\n}\n' "$field"
  } > c$number.lua
  echo "c$number.lua:${told#    }" >> ../wanted
done < "$here/check_cases.txt"
nice "$LUABOX" check $(ls -v c*.lua) 2>&1 | tee ../columns | sed -E 's/^(c[0-9]+\.lua:[0-9]+):[0-9]+:/\1:/' > ../told)
equal "$(wc -l < wanted) wrong fields are told, each at its line" "" "$(diff <(sed -E 's/^(c[0-9]+\.lua:[0-9]+):[0-9]+:/\1:/' wanted) told)"
equal "each of them at its column" "" "$(grep -vE '^c[0-9]+\.lua:[0-9]+:[0-9]+: ' columns)"

# Scripts as people write them: each "--@" line begins one.
mkdir right right/rootfs right/data
(cd right; awk '/^--@ /{n++} {print > (n ".lua")}' "$here/check_right.txt"
"$LUABOX" check $(ls -v [0-9]*.lua) > ../told 2>&1)
equal "of $(ls right/*.lua | wc -l) scripts as people write them, one has a global" "2:1: warning: 'greeting' is set as a global; 'local' keeps it here" \
  "$(sed -E 's/^[0-9]+\.lua://' told)"
cat > right.lua <<'L'
local address = os.getenv "ADDRESS" or "172.16.99.1/24"
return container {
  rootfs = directory { "./rootfs", readonly = true, devices = true }, name = "a.b-c_d", hostname = "a.b", domainname = "example.org",
  mounts = { tmpfs { "/tmp", size = "64M", mode = "1777", inodes = 100 }, bind { "./rootfs", "/data", readonly = true, propagation = "slave" },
    proc { "/proc", hidepid = 2, subset = "pid" }, overlay { "/o", lower = { "./rootfs", "./data" } }, devpts { "/dev/pts", gid = 5, mode = "0620" } },
  cgroup = { memory = "64MiB", swap = 0, cpu = "20%", pids = 100, cpuset = "0", ["hugetlb.2MB"] = "4MiB", devices = { "c 1:3 rwm" } },
  network = veth { host = { address, "fd00::1/64" }, guest = { "172.16.99.2/24", "fd00::2/64" }, nat = true, mac = "02:00:00:00:00:01", mtu = 1400,
    publish = { "8080:80", "[::1]:8081:81/udp", { host_port = 1, guest_port = 2, protocol = "tcp" } }, bandwidth = "10mbit" },
  env = { A = "b", N = 1 }, cwd = "/tmp", user = "1000:50", users = { uid = { "0 100000 1000", "1000 200000 1" } },
  namespaces = { ipc = "host", uts = "new", cgroup = "new" }, init = false, terminal = false, hosts = { "1.2.3.4 a" }, dns = { "9.9.9.9", "2620:fe::fe" },
  capabilities = { only = { "chown", "CAP_KILL" }, ambient = { "chown" } },
  seccomp = { base = "default", extend = { allow = { "ptrace" } }, rules = { { name = "mkdir", action = "errno:ENOSPC" } } },
  keyring = false, masked = {}, readonly_paths = { "/proc/sys" }, devices = { "/dev/null", { path = "/dev/zero", name = "z", access = "r" } },
  rlimits = { nofile = 1024, core = { soft = 0, hard = "unlimited" }, cpu = "unlimited" }, sysctl = { ["net.core.somaxconn"] = 1024 },
  labels = { team = "web" }, umask = "027", nice = -5, oom_score_adj = 500, personality = "linux32 no_randomize", accounting = true,
  command = { "/bin/sh" },
  function(this) this.root:write("/etc/motd", "hello") end,
  { namespaces = "time", prepare = function() end, undo = function() end },
}
L
equal "nothing is wrong with a script that has all fields" "" "$("$LUABOX" check right.lua 2>&1)"
finds "a local that nothing uses" $'local a, _b = 1, 2\nlocal function f() return 3 end\nprint(a)' "s.lua:2:16: warning: the local 'f' is never used"
finds "a local that is only set" $'local n = 1\nn = 2' "s.lua:1:7: warning: the local 'n' is set, and never read"
finds "each local by itself" $'local a = 1\nif a then\n  local a, b = 2, a\n  print(b)\nend' "s.lua:3:9: warning: the local 'a' is never used"
finds "one that hides another" $'local a = 1\nfor i = 1, a do\n  local a = i\n  print(a)\nend' "s.lua:3:9: warning: the local 'a' hides the one of line 1"
box='local c = container { rootfs = "/usr", command = { "/bin/sh" } }'
finds "a method that a container has not" "$box"$'\nc:strat()' "s.lua:2:3: a container has no method 'strat' (did you mean 'start'?)"
finds "an option of a method, and a method of what it gives" "$box"$'\nlocal x = c:exec { "ls", cpature = true }\nx:wiat()' \
  "s.lua:2:26: exec has no field 'cpature' (did you mean 'capture'?)" "s.lua:3:3: a process in a container has no method 'wiat' (did you mean 'wait'?)"
finds "a limit for update" "$box"$'\nc:update { memroy = "1GiB" }' "s.lua:2:12: cgroup: unknown key 'memroy' (did you mean 'memory'?)"
finds "a primitive that is not there, and an option of one" $'local sys = require "luabox.sys"\nsys.mount.bnd("a", "b")\nsys.clone({ namespace = "pid" }, function() end)' \
  "s.lua:2:11: there is no primitive 'sys.mount.bnd' (did you mean 'sys.mount.bind'?)" \
  "s.lua:3:13: sys.clone has no field 'namespace' (did you mean 'namespaces'?)"
finds "a function of a module, an option of one, and a method of what it gives" \
  $'local images, running = require "luabox.images", require "luabox.running"\nimages.lst()\nimages.import { source = "-", nmae = "a" }\nlocal web = running.find "web"\nweb:updte {}\nweb:exec { "ls", cwdd = "/" }' \
  "s.lua:2:8: there is no function 'images.lst' (did you mean 'images.list'?)" "s.lua:3:31: images.import has no field 'nmae' (did you mean 'name'?)" \
  "s.lua:5:5: a container that runs has no method 'updte' (did you mean 'update'?)" "s.lua:6:18: exec has no field 'cwdd' (did you mean 'cwd'?)"
box='rootfs = "/usr", command = { "/bin/sh" }'
finds "a comma that is missing" $'return container {\n  rootfs = "/usr"\n  command = { "sh" },\n}' \
  "s.lua:3:3: '}' expected (to close '{' at line 1) near 'command'; is a ',' missing before it?"
finds "a field that is there twice" "return container { $box,"$'\n  name = "a", name = "b" }' "s.lua:2:15: container has the field 'name' twice, here and in line 2"
finds "a bind for a list of them" "return container { $box,"$'\n  mounts = bind { "/etc", "/e" } }' \
  "s.lua:2:3: container.mounts: expected a list, { bind { ... } }, not a bind by itself"
finds "a device that is not there, at its place" "return container { $box,"$'\n  devices = { "/dev/fues" } }' "s.lua:2:15: /dev/fues is no device of this host"
finds "a method that is called with a dot" "local c = container { $box }"$'\nc.start()' "s.lua:2:3: 'start' is a method: it is called with ':', c:start"
finds "a key of a container's cgroup" "local c = container { $box }:start()"$'\nlocal d = container {'" $box }"$'\nd.cgroup.memroy = "1GiB"\nd.cgroup.memory = "1GiB"\nd.cgroup:feeze()\nprint(c, d.cgroup.pids, d.cgroup.mem)' \
  "s.lua:3:10: cgroup: unknown key 'memroy' (did you mean 'memory'?)" "s.lua:5:10: a cgroup has no method 'feeze' (did you mean 'freeze'?)" \
  "s.lua:6:34: cgroup: unknown key 'mem' (write memory = \"100MB\")"
finds "the host's own root" 'return container { rootfs = directory { "/usr/..", readonly = true }, command = { "sh" } }' \
  "s.lua:1:1: the host's own \"/\" can't be a container's; bind what it needs of it below a folder"
finds "a constructor with more than its table" 'print(tmpfs("/tmp", { size = "1MB" }), tmpfs({ "/run" }))' "s.lua:1:7: tmpfs: expected one table, tmpfs { ... }"
finds "a method behind a constructor" "container { $box }:strat()" "s.lua:1:56: a container has no method 'strat' (did you mean 'start'?)"
finds "a method of what a step is given, however it is called, an option of one, and a dot" \
  "local step = { enter = function(this) this.root:wrote('a', 'b') end }"$'\n'"return container { $box, step,"$'
  function(it) it.root:mkdri("/a"); it.root:write("/a", "b", { mod = "600" }) end,
  { attach = function(this) this.process.pid() end },
  function(it) local f = function(this) this.root:anything() end; f(it); it:stat(); it.root:write("/a", "b") end }' \
  "s.lua:1:49: a container's root has no method 'wrote' (did you mean 'write'?)" "s.lua:3:24: a container's root has no method 'mkdri'" \
  "s.lua:3:64: write has no field 'mod' (did you mean 'mode'?)" "s.lua:4:42: 'pid' is a method: it is called with ':', process:pid" \
  "s.lua:5:77: a container has no method 'stat' (did you mean 'start'?)"
finds "a text where a table belongs" "local c = container { $box }"$'\nc:exec "ls"' 's.lua:2:8: exec: expected a table as its options, got "ls"'
finds "a version that this is not" 'require_version "99"' "s.lua:1:17: this script was written for luabox 99, this is $("$LUABOX" -e 'print(sys.version())')"
finds "a table that is no container" $'local function f() return { rootfs = "/usr" } end\nprint(f())\nreturn { rootfs = "/", command = { "/bin/sh" } }' \
  "s.lua:3:8: the script returns a plain table: write return container { ... }"
finds "a name that is a parameter's" "local function make(name) return container { $box, name = nmae } end"$'\nreturn { make "a" }' \
  "s.lua:1:95: there is no global 'nmae' (did you mean 'name'?)"
finds "a container that nobody has" 'container { rootfs = "/usr", command = { "/bin/sh" } }' "s.lua:1:1: warning: the container is neither kept, started nor returned"
finds "mounts that hide each other" \
  $'return container { rootfs = "/usr", command = { "x" }, mounts = {\n  tmpfs "/a/b",\n  bind { "/etc", "/c" },\n  tmpfs "/a",\n  tmpfs "/c/" } }' \
  "s.lua:4:9: warning: the mount on '/a' hides the one on '/a/b', which comes before it" \
  "s.lua:5:3: warning: two mounts on '/c': this one hides the one of line 3"
equal "a file that is not there is for editors a mistake as any other" "none.lua 1 1 file open none.lua: No such file or directory" \
  "$("$LUABOX" check --json none.lua | python3 -c 'import json, sys; e = json.load(sys.stdin)[0]; print(e["file"], e["line"], e["column"], e["kind"], e["message"])')"
finds "one mistake is no second" $'return container { rootfs = "rootfs", command = { "x" },\n  network = veth { hots = "10.9.9.1/24", guest = "10.9.9.2/24" } }' \
  "s.lua:2:20: veth has no field 'hots' (did you mean 'host'?)"

# What is checked is never run, wherever in a table it stands.
cat > sly.lua <<L
return container {
  rootfs = directory { "$work/rootfs", [os.execute "touch $work/ran"] = 1 },
  mounts = { tmpfs { "/tmp", [(function() io.open("$work/ran", "w"):close() return "size" end)()] = "1MiB" } },
  tmpfs { "/a", [container { rootfs = "$work/rootfs", terminal = false, mounts = { bind { "$work", "/mnt" } }, command = { "touch", "/mnt/ran" } }:run()] = 1 },
}
L
timeout 5 "$LUABOX" check sly.lua > /dev/null 2>&1
equal "a computed key is not run" absent "$([ -e ran ] && echo present || echo absent)"

# The examples in the definitions, each as a script of its own.
cat > examples.lua <<'L'
local reference, count = require "luabox.reference", 0
local BEFORE = 'local sys = require "luabox.sys" local c = container { rootfs = "/usr", command = { "/" } } local child, x, group = nil, nil, nil\n'
for _, entry in ipairs((reference.all())) do
  local lines = {}
  for _, line in ipairs(entry.doc) do lines[#lines + 1] = line:match "^    (.*)$" end
  local text = table.concat(lines, "\n")
  if entry.kind == "function" and text ~= "" then
    count = count + 1
    -- a field stands in a container
    local name = ("example-%03d-%s.lua"):format(count, entry.name:gsub("[.:]", "-"))
    if not loadstring(text) then text = "return { " .. text .. " }" end
    local file = assert(io.open(name, "w"))
    file:write(BEFORE, text, "\n")
    file:close()
  end
end
print(count)
L
mkdir examples; (cd examples; echo "$("$LUABOX" run ../examples.lua) examples" > ../count; "$LUABOX" check example-*.lua 2>&1 | grep -v ': warning: ' | grep -vE 'there is no (folder|image|module|\.?/)' > ../told)
equal "nothing is wrong with the $(cat count) of the definitions" "" "$(cat told)"
[ "$(grep -o '^[0-9]*' count)" -ge 40 ] || failed "the definitions have examples" "$(cat count)"

mkdir linked victim; echo keep > victim/sys.lua; ln -s ../victim linked/.luabox
holds "init writes through no symlink" ".luabox is no folder" "$("$LUABOX" init linked 2>&1)"
equal "and leaves what it leads to" keep "$(cat victim/sys.lua)"

succeeds "init makes a folder" "$LUABOX" init first
mkdir here; (cd here; "$LUABOX" init > /dev/null 2>&1); equal "or takes this one" ".luabox .luarc.json box.lua" "$(ls -A here | xargs)"
tar -C rootfs -cf box.tar . && "$LUABOX" image import --quiet box.tar box
equal "with which nothing is wrong" "" "$("$LUABOX" check first/box.lua)"
equal "the first script runs" hi "$("$LUABOX" run --name $mark first/box.lua -- echo hi 2>&1)"
equal "editors find the definitions" ".luabox" "$(python3 -c 'import json; print(json.load(open("first/.luarc.json"))["workspace.library"][0])')"
succeeds "which are those of scripts/meta" cmp first/.luabox/sys.lua "$top/scripts/meta/sys.lua"
echo mine > first/box.lua; "$LUABOX" init first > /dev/null
equal "a script that is there stays" mine "$(cat first/box.lua)"
leaves_nothing "nothing is left behind"
finish
