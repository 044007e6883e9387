#!/bin/bash
# What root keeps of many rules for the next start: that it is used, and when it is not. The rules hold in any case.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mkdir policies; chmod 755 policies "$work"
export LUABOX_POLICY=$work/policies
kept=$LUABOX_STATE/.policies
script "command = { 'true' }"
run() { "$LUABOX" run box.lua 2>&1 < /dev/null; }
# rules REASON: a hundred that say nothing, and one that refuses at line 101.
rules() {
  { for n in $(seq 100); do echo "rule 'rule $n' { on = 'run', check = function(c) if c.hostname == 'forbidden-$n' then return deny 'no' end end }"; done
    echo "rule 'last' { on = 'run', check = function(c) return deny '$1' end }"; } > policies/10-site.lua
}
# Another word in the state, of the same length: who reads it was told so by what is kept. The text stands last and is not touched.
forge() { sed -i '0,/one way/s//another/' "$kept"; }
mkdir -m 711 "$LUABOX_STATE"

rules "one way"
holds "the rules hold when nothing is kept" "refused by the policy 'last' (10-site.lua:101): one way" "$(run)"
equal "what they were loaded to is root's alone" "0 600" "$(stat -c '%u %a' "$kept")"
rm "$kept"; holds "they hold where no file may be written" "one way" "$(ulimit -f 1; run)"
succeeds "and none is" test ! -e "$kept"; equal "nor a part of one" "" "$(ls -A "$LUABOX_STATE" | grep policies)"
run > /dev/null; before=$(stat -c %i "$kept")
holds "they hold when it is kept" "refused by the policy 'last' (10-site.lua:101): one way" "$(run)"
equal "it is written once" "$before" "$(stat -c %i "$kept")"
forge; cp -a "$kept" forged
holds "it is what the next start uses" "(10-site.lua:101): another" "$(run)"

chown 1000 "$kept"; holds "a file of another user's is not used" "one way" "$(run)"; cp -a forged "$kept"
chmod 620 "$kept"; holds "nor one that others can write" "one way" "$(run)"; rm "$kept"; cp -a forged "$kept"
chmod 777 "$LUABOX_STATE"; holds "nor one in a folder that others can write" "one way" "$(run)"
rm "$kept"; run > /dev/null; succeeds "where none is written" test ! -e "$kept"
chmod 711 "$LUABOX_STATE"; cp -a forged "$kept"; chown 1000 "$LUABOX_STATE"
holds "nor in a folder of another user's" "one way" "$(run)"; chown 0 "$LUABOX_STATE"
cp -a forged "$kept"; truncate -s -1 "$kept"; holds "nor one that was cut short" "one way" "$(run)"
equal "which is made anew" "$(stat -c %s forged)" "$(stat -c %s "$kept")"
cp -a forged "$kept"; printf '\377' | dd of="$kept" bs=1 seek=20 conv=notrunc status=none
holds "nor another build's" "one way" "$(run)"
cp -a forged "$kept"; holds "(this is the one)" another "$(run)"

touch -r policies/10-site.lua time; rules "new way"; touch -r time policies/10-site.lua
holds "a policy that was changed holds at once, whatever its size and time" "(10-site.lua:101): new way" "$(run)"
holds "and is kept" "new way" "$(grep -ao "new way" "$kept")"
echo "rule 'other' { on = 'run', check = function() end }" > policies/20-other.lua
holds "another file beside it is another set" "new way" "$(run)"; rm policies/20-other.lua
echo 'rule "broken' >> policies/10-site.lua
holds "a policy that is wrong is told of, and refuses" "10-site.lua:102" "$(run)"
printf '\033LJ' > policies/10-site.lua; seq 5000 >> policies/10-site.lua
holds "bytecode is no policy" "10-site.lua is bytecode, expected a policy in text" "$(run)"

# more TEXT: a hundred rules and TEXT. twice: what the start from the texts says, and the one from what was kept.
more() { rules "one way"; sed -i '$d' policies/10-site.lua; echo "$1" >> policies/10-site.lua; rm -f "$kept"; }
twice() { run | tail -1; run | tail -1; }
more "local n = 0 rule 'count' { on = 'run', check = function() n = n + 1 return deny('start ' .. n) end }"
equal "what a rule did in one start is not in the next" 2 "$(twice | grep -c 'start 1$')"
more "rule 'loop' { on = 'run', check = function() while true do pcall(function() while true do end end) end end }"
equal "what is kept has no more instructions" 2 "$(twice | grep -c 'it takes too long')"
more "rule 'hunger' { on = 'run', check = function() local t = {} while true do t[#t + 1] = ('x'):rep(1e6 + #t) end end }"
equal "and no more memory" 2 "$(twice | grep -c 'not enough memory')"
more "rule 'who' { on = 'run', check = function(c) return deny('asked by ' .. c.caller.name .. ' in ' .. c.time.year) end }"
run > /dev/null; sed 's/^root:/chef:/' /etc/passwd > passwd; mount --bind passwd /etc/passwd
holds "who a user is was not kept" "asked by chef in 2" "$(run)"; umount /etc/passwd
succeeds "(the rest was)" test -e "$kept"
ln -s "$PWD/policies" link
more "local there = under('$PWD/link', '$PWD/policies') rule 'place' { on = 'run', check = function() return deny(tostring(there)) end }"
holds "what a policy looks at when it is loaded" "true" "$(run)"
succeeds "is not kept" test ! -e "$kept"; ln -sfn / link
holds "but looked at again" "false" "$(run)"
more "local large = ('x'):rep(18e6) rule 'large' { on = 'run', check = function() return deny('large ' .. #large) end }"
equal "a policy of some megabytes" 2 "$(twice | grep -c 'large 18000000$')"
succeeds "is loaded each time" test ! -e "$kept"
rm -f "$kept"; echo "rule 'few' { on = 'run', check = function() return deny 'few' end }" > policies/10-site.lua
holds "few rules" few "$(run)"
succeeds "are loaded as quickly as they are mapped" test ! -e "$kept"
touch "$kept.new4711"; "$LUABOX" gc > /dev/null; succeeds "gc removes what was not written whole" test ! -e "$kept.new4711"
leaves_nothing "nothing is left behind"
finish
