#!/bin/bash
# `luabox why`: what is kept of a start that failed, who may read and write it, and the table that it is looked up in.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
chmod 755 "$work"
record=$LUABOX_STATE/.failure.json
fails() { "$LUABOX" run "$@" > /dev/null 2> told < /dev/null; }

said=$("$LUABOX" why 2>&1); equal "nothing has failed: 1" 1 $?
holds "and it is said" "No start" "$said"
equal "--json says null" null "$("$LUABOX" why --json)"

script "mounts = { bind { '/no/such', '/data' } }" "command = { '/bin/true' }"
fails box.lua
equal "a program reads one line" 1 "$(wc -l < told)"
said=$("$LUABOX" why); equal "the last failure is known" 0 $?
first=$(head -1 <<< "$said")
equal "it begins with what was told" "$(sed 's/^luabox: //' told)" "$first"
for row in "step    open_tree" "object  /no/such" "errno   ENOENT (2): No such file or directory" "line    box.lua:3" "cause   what is to be bound is not there" "to do   make it before" \
  "command luabox run box.lua" "mounts = { bind"; do
  holds "it has: $row" "  $row" "$(sed 's/^          \(mounts\)/  \1/' <<< "$said")"
done
json() { "$LUABOX" why --json "$@" | python3 -c "import json, sys; d = json.load(sys.stdin); print($json)"; }
json='d["op"], d["path"], d["code"], d["errno"], d["where"], d["command"], "bound is not there" in d["cause"]'
equal "--json has the fields" "open_tree /no/such ENOENT 2 box.lua:3 run True" "$(json)"
equal "it is its owner's alone" "600 $(id -u)" "$(stat -c '%a %u' "$record")"

script "command = { '/bin/true' }"; succeeds "a start that succeeds" "$LUABOX" run box.lua
holds "changes nothing of it" "/no/such" "$("$LUABOX" why)"
script "command = { '/bin/nosuch' }"; fails box.lua
holds "the next failure replaces it" "/bin/nosuch" "$("$LUABOX" why)"
"$LUABOX" run --nosuchoption > /dev/null 2>&1; "$LUABOX" nosuch > /dev/null 2>&1; "$LUABOX" trace /no/such > /dev/null 2>&1
holds "what is no start does not" "/bin/nosuch" "$("$LUABOX" why)"
"$LUABOX" exec no-such-container secret-argument > /dev/null 2>&1
holds "an exec is one" "no-such-container" "$("$LUABOX" why)"
lacks "no argument is kept" secret-argument "$(cat "$record")"
printf 'return container {\n hostnmae = "x" }\n' > wrong.lua; fails wrong.lua
holds "a script that is wrong" "did you mean 'hostname'" "$("$LUABOX" why)"

# what can't be trusted is not read, and nothing hides the error itself
evil=$(printf 'return function() end, error(("x"):rep(100000) .. "\\27[31m")'); echo "$evil" > long.lua; fails long.lua
if [ "$(stat -c %s "$record")" -lt 10000 ]; then ok "it is bounded in size"; else failed "it is bounded in size" "$(stat -c %s "$record")"; fi
printf 'error "red \\27[31m"' > red.lua; fails red.lua
lacks "nothing that a terminal obeys is shown" $'\e' "$("$LUABOX" why)"
chmod 666 "$record"; holds "a record that others can write is refused" "others can write to it" "$("$LUABOX" why 2>&1)"
rm -f "$record"; ln -s /etc/passwd "$record"; holds "a symlink in its place leads to no record" "no record" "$("$LUABOX" why 2>&1)"
fails red.lua; equal "and is replaced, not followed" "regular file" "$(stat -c %F "$record")"
for text in '' '{' '[]' '{"time":1,"message":{},"command":"run"}' '{"time":"x","message":"m","command":"run"}' 'null'; do
  echo "$text" > "$record"; chmod 600 "$record"
  said=$("$LUABOX" why 2>&1); equal "no record: $text: 125" 125 $?; holds "no record: $text: told" "no record" "$said"
done
if [ "$(id -u)" = 0 ]; then
  chown 1000 "$record"; holds "one of another user's is refused" "does not belong" "$("$LUABOX" why 2>&1)"
  mkdir -m 755 other; chown 1000 other
  user() { setpriv --reuid 1000 --regid 1000 --clear-groups env -u XDG_RUNTIME_DIR HOME="$work/other" "$@"; }
  user "$LUABOX" run red.lua > told 2>&1; equal "a state that can't be written changes nothing: status" 125 $?
  holds "a state that can't be written changes nothing: the error" "red" "$(cat told)"; equal "and no more is said" 1 "$(wc -l < told)"
fi
rm -rf "$record"; mkdir "$record"; fails red.lua; equal "a folder in its place: one line still" 1 "$(wc -l < told)"; rmdir "$record"
fails red.lua; touch "$record.new12345"; "$LUABOX" gc > gc.out; equal "gc takes it away, and says nothing" "" "$(cat gc.out; ls -A "$LUABOX_STATE" | grep failure)"

# a system call that is refused
rule() { script "seccomp = { default = 'allow', rules = { { name = 'mkdir', action = '$1' } } }" "command = { '/bin/sh', '-c', 'mkdir /tmp/a; mkdir /tmp/b; true' }"; }
rule kill; sed -i "s/; mkdir .tmp.b; true/; exit \$?/" box.lua; "$LUABOX" run box.lua > told 2>&1; equal "a program that its filter kills: SIGSYS" 159 $?
if dmesg > /dev/null 2>&1; then
  holds "the call is named" "refused mkdir, called by 'mkdir'" "$(cat told)"
  said=$("$LUABOX" why); holds "why: the call" "  object  mkdir" "$said"; holds "why: the step" "  step    seccomp" "$said"; holds "why: what to do" "allow = { \"mkdir\" }" "$said"
  rule errno:EACCES; "$LUABOX" run --seccomp box.lua > told 2>&1; equal "--seccomp: the status is the command's" 0 $?
  holds "--seccomp: what a filter of its own refuses" "refused mkdir: errno:EACCES, 2 times, by mkdir" "$(cat told)"
  script "command = { '/bin/sh', '-c', 'unshare -m true; true' }"; "$LUABOX" run --seccomp box.lua > told 2>&1
  holds "--seccomp: what the default filter refuses" "refused unshare: errno:EPERM, once, by unshare" "$(cat told)"
  mkdir -p policies; echo 'rule "all" { on = "run", check = function() end }' > policies/10-site.lua
  LUABOX_POLICY=$work/policies "$LUABOX" run --seccomp box.lua > told 2>&1
  holds "--seccomp: under policies, too" "refused unshare: errno:EPERM, once, by unshare" "$(cat told)"
  script "seccomp = { extend = { deny = { 'mkdir' } }, rules = { { name = 'rmdir', action = 'errno:EBUSY', args = { { index = 0, op = '==', value = 0 } } }, { name = 'rmdir', action = 'errno:ENOSPC' } } }" \
    "command = { '/bin/sh', '-c', 'mkdir /tmp/a; rmdir /tmp/a; true' }"; "$LUABOX" run --seccomp box.lua > told 2>&1
  holds "--seccomp: the errno of a rule that stands before the profile's" "refused mkdir: errno:EPERM, once" "$(cat told)"
  holds "--seccomp: each that it may have been, where arguments decide" "refused rmdir: errno:EBUSY or errno:ENOSPC, once" "$(cat told)"
  script "command = { '/bin/sh', '-c', 'unshare -m true; true' }"
  "$LUABOX" run box.lua > told 2>&1; lacks "without it nothing is told" "refused unshare" "$(cat told)"
else
  skipped "the call is named" "the kernel's log is not for this user"
fi
if [ "$(id -u)" = 0 ] && [ "$(cat /proc/sys/kernel/dmesg_restrict)" = 1 ]; then
  mkdir nobody; cp -a rootfs nobody/; chown -R 65534:65534 nobody; sed "s,$work/rootfs,$work/nobody/rootfs," box.lua > nobody/box.lua
  said=$(setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR LUABOX_STATE="$work/nobody/state" LUABOX_IMAGES= "$LUABOX" run --seccomp nobody/box.lua 2>&1)
  holds "who may not read the log is told so" "only root may read" "$said"
fi

# hints
script "mounts = { bind { '/no/such', '/data' } }" "command = { '/bin/true' }"
LUABOX_HINTS=1 fails box.lua; equal "LUABOX_HINTS=1: three lines" 3 "$(wc -l < told)"; holds "LUABOX_HINTS=1: the cause" "  cause: what is to be bound" "$(cat told)"
"$LUABOX" run --debug box.lua > told 2>&1; holds "--debug: the cause" "  cause: what is to be bound" "$(cat told)"
terminal() { script -qec "$1" /dev/null < /dev/null; }
if unset -f script && command -v script > /dev/null; then
  holds "a terminal: the cause" "  cause: what is to be bound" "$(terminal "$LUABOX run box.lua")"
  lacks "a terminal with LUABOX_HINTS=0: none" "cause:" "$(terminal "env LUABOX_HINTS=0 $LUABOX run box.lua")"
else
  skipped "a terminal: the cause" "there is no script(1)"
fi

# the table
holds "an errno and a step" "what is to be bound is not there" "$("$LUABOX" why ENOENT open_tree)"
holds "an errno by its number" "what is to be bound is not there" "$("$LUABOX" why 2 open_tree)"
equal "a step has its causes alone" 1 "$("$LUABOX" why open_tree | grep -c cause:)"
holds "a word" "dynamic loader" "$("$LUABOX" why LOADER)"
holds "a message as luabox tells it" "cause: what is to be bound is not there" "$("$LUABOX" why "$(grep luabox: told | tr -d '\r')")"
json='len(d) > 70 and all(x["cause"] and x["remedy"] for x in d)'; equal "--all as JSON" True "$(json --all)"
said=$("$LUABOX" why nothinglikethis 2>&1); equal "nothing is known: 125" 125 $?; holds "nothing is known: told" "nothing is known of 'nothinglikethis'" "$said"
equal "nothing is known of what spreads over lines" 1 "$("$LUABOX" why $'nothing\nlikethis' 2>&1 | wc -l)"
holds "a wrong option is told" "luabox help why" "$("$LUABOX" why --nosuch 2>&1)"

# a site's own, on a copy of /etc that only this test sees
if [ "$(id -u)" = 0 ]; then
  mkdir upper etc-work; mount -t overlay overlay -o "lowerdir=/etc,upperdir=$work/upper,workdir=$work/etc-work" /etc && mkdir -p /etc/luabox
  echo '(...).add { op = "open_tree", path = "^/no/", cause = "the share is not mounted", remedy = "systemctl start srv.mount" }' > /etc/luabox/causes.lua
  fails box.lua; holds "a site's cause comes first" "the share is not mounted" "$("$LUABOX" why)"
  holds "it is in the table, with its place" "/etc/luabox/causes.lua:1" "$("$LUABOX" why open_tree)"
  refused() { holds "$1: passed over, and told" "$2" "$("$LUABOX" why open_tree 2>&1)"; lacks "$1: not used" "the share" "$("$LUABOX" why open_tree 2>/dev/null)"
    fails box.lua; equal "$1: a failing start says one line" 1 "$(wc -l < told)"; }
  chmod 646 /etc/luabox/causes.lua; refused "a file that others can write" "others can write to it"
  chmod 644 /etc/luabox/causes.lua; chown 1000 /etc/luabox/causes.lua; refused "a file of another user's" "does not belong to root"
  chown 0 /etc/luabox/causes.lua; chmod 777 /etc/luabox; refused "a folder that others can write" "others can write to it"; chmod 755 /etc/luabox
  echo "this is no Lua" > /etc/luabox/causes.lua; refused "a file that is no Lua" "causes.lua:1:"
  rm /etc/luabox/causes.lua
  mkdir -p home/.config/luabox; echo "io.open('$work/was-run', 'w')" > home/.config/luabox/causes.lua; chown -R 1000 home
  HOME=$work/home "$LUABOX" why open_tree > /dev/null 2>&1; equal "root does not run a file of a user's" "" "$(ls was-run 2>/dev/null)"
  chown -R 0 home; mkdir /etc/luabox/policy.d; echo 'rule "none" { on = "run", check = function() end }' > /etc/luabox/policy.d/1.lua
  env -u LUABOX_STATE -u LUABOX_IMAGES HOME="$work/home" "$LUABOX" run --debug red.lua > told 2>&1
  holds "under policies an error is told" red "$(cat told)"; equal "under policies a user's file is not run" "" "$(ls was-run 2>/dev/null)"
  env -u LUABOX_STATE -u LUABOX_IMAGES "$LUABOX" gc > /dev/null; rm -r /etc/luabox/policy.d
  HOME=$work/home "$LUABOX" why open_tree > /dev/null 2>&1; equal "without, it is" was-run "$(ls was-run 2>/dev/null)"
  umount -l /etc
fi
leaves_nothing "nothing is left behind"
finish
