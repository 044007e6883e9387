#!/bin/bash
# luabox exec in a real terminal: a second shell in a container that runs, in a tmux pane, driven by keys, judged by what the pane shows.
. "$(dirname "$0")/common.sh"
. "$here/pane.sh"
make_rootfs rootfs
mark=e2e-exec-terminal-$$

script "name = '$mark'" "hostname = 'web'" "env = { PS1 = 'in> ' }" "command = { 'sleep', '3131.$$' }"
"$LUABOX" run box.lua < /dev/null > run.out 2>&1 & runtime=$!
up() { "$LUABOX" list | grep -q "^$mark .*running"; }
within 5 up || failed "(the container runs)" "$(cat run.out)"

host_shell
appears "(the terminal is there)" '^host>'
type "cd $work"; type "stty -a > before"
enter() { fresh; type "$LUABOX exec $mark sh -i"; }

enter
appears "a shell in the container prompts" '^in>'
type 'test -t 0 && test -t 1 && test -t 2 && echo "on $(hostname) tty=$(tty) all three"'
appears "standard input, output and error are one terminal, of the container's own" 'on web tty=/dev/pts/0 all three'
lacks "job control is not refused" "can't access tty" "$(screen)"
type 'stty size'; appears "the window has the pane's size" '^30 90$'
fresh; pane resize-window -x 71 -y 23; sleep 0.3; type 'stty size'
appears "a new size arrives" '^23 71$'
fresh; type 'sleep 100'; sleep 0.3; keys C-z
appears "Ctrl-Z stops the foreground command" 'Stopped.*sleep 100'
type 'fg'; sleep 0.2; keys C-c; sleep 0.2; type 'echo status=$?'
appears "Ctrl-C interrupts it, and the shell lives" '^status=130'
fresh; type 'cat > /tmp/typed'; type 'one line'; keys C-d; type 'echo "typed: $(cat /tmp/typed)"'
appears "Ctrl-D is end of file" '^typed: one line$'
pane resize-window -x 90 -y 30
fresh; type 'stty -echo raw; exit 7'
appears "the caller's shell is back" '^host>'
fresh; type 'echo status=$?'; appears "with the command's exit status" '^status=7$'
type 'stty -a > after'; sleep 0.3
succeeds "the terminal is as it was, whatever the command did to it" cmp before after
equal "the container's own command is as it was" 1 "$(pgrep -cfx "sleep 3131.$$")"

fresh; type "$LUABOX exec -u user $mark sh -c 'ls -l \$(tty); echo > /dev/tty && echo it may write'"
appears "another user owns the terminal" '^crw--w---- +1 user'
appears "and may use it" '^it may write'
fresh; type "$LUABOX exec -T $mark sh -c 'test -t 0 && tty; echo no terminal of its own'"
appears "--no-terminal passes the streams as they are" '^no terminal of its own'
fresh; type "$LUABOX exec $mark sh -c 'test -t 1 || echo output is no terminal' | cat; echo done"
appears "in a pipe the output is no terminal" '^output is no terminal'
holds "--terminal makes one where there is none" "on /dev/pts/" "$("$LUABOX" exec -t "$mark" sh -c 'echo on $(tty)' < /dev/null 2>&1)"
fresh; type "$LUABOX exec $mark nosuch; echo status=\$?"
appears "no such command is told on the terminal, with 127" '^status=127$'
type 'stty -a > after'; sleep 0.3; succeeds "a start that failed leaves the terminal as it was" cmp before after
fresh; type "$LUABOX exec $mark sh -c 'head -c 300000 /dev/zero | tr \"\\000\" x | fold -w 60 | tail -1; echo; echo end of it'"
appears "much output arrives to its end" '^end of it'

# luabox exec killed, or its terminal closed: its command ends, the container stays
joined() { pgrep -fx "sleep 3232.$$" > /dev/null; }
gone() { ! joined; }
enter; appears "(once more)" '^in>'; type "exec sleep 3232.$$"
within 3 joined || failed "(the command runs)"
kill -9 "$(pgrep -f "^$LUABOX exec $mark" | head -1)"
succeeds "luabox exec killed: its command ends" within 3 gone
pane send-keys -l "stty sane"; pane send-keys C-j; fresh; type 'stty sane; echo back'
appears "and the caller's shell can go on" 'back'
enter; within 5 shows '^in>'; type "exec sleep 3232.$$"; within 3 joined
pane kill-server; sleep 0.2
succeeds "the terminal is closed: its command ends" within 5 gone
equal "the container is still there" 1 "$(pgrep -cfx "sleep 3131.$$")"
# the container ends below a shell that is in it
"$LUABOX" kill "$mark" KILL; wait $runtime; equal "(the container ends)" 137 $?
leaves_nothing "nothing is left behind"
finish
