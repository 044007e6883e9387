#!/bin/bash
# A real terminal: a shell in a container in a tmux pane, driven by keys, judged by what the pane shows.
. "$(dirname "$0")/common.sh"
. "$here/pane.sh"
make_rootfs rootfs
mark=e2e-terminal-$$
host_shell

script "name = '$mark'" "hostname = 'web'" "env = { PS1 = 'in> ' }" "command = { '/bin/sh', '-i' }"
appears "(the terminal is there)" '^host>'
type "stty -a > before; cd $work"; type "stty -a > before"
cp box.lua box-$$.lua
enter() { fresh; type "$LUABOX run box-$$.lua${1:+ $1}"; }

enter
appears "a shell in the container prompts" '^in>'
type 'test -t 0 && test -t 1 && test -t 2 && echo "on $(hostname) tty=$(tty) all three"'
appears "standard input, output and error are one terminal" 'on web tty=/dev/(pts/0|console) all three'
lacks "job control is not refused" "can't access tty" "$(screen)"
type 'echo "it is $(readlink /proc/self/fd/0)."'; appears "which has its name by its descriptor, too" '^it is /dev/(pts/0|console)\.'
type 'stty size'; appears "the window has the pane's size" '^30 90$'
fresh; pane resize-window -x 71 -y 23; sleep 0.3; type 'stty size'
appears "a new size arrives" '^23 71$'
type 'echo TERM=$TERM.'; appears "TERM is the caller's" '^TERM=(tmux|screen)'

fresh; type 'sleep 100'; sleep 0.3; keys C-z
appears "Ctrl-Z stops the foreground command" 'Stopped.*sleep 100'
type 'jobs'; appears "the shell knows the job" '\[1\]\+.*Stopped'
fresh; type 'fg'; appears "fg continues it" '^sleep 100'
keys C-c; sleep 0.2; type 'echo status=$?'
appears "Ctrl-C interrupts it, and the shell lives" '^status=130'
fresh; type 'sleep 50 & sleep 60'; sleep 0.3; keys C-c; sleep 0.2; type 'ps -o args | grep -c "^sleep [56]0"'
appears "Ctrl-C interrupts only the foreground" '^1$'
type 'kill %1; wait'
fresh; type 'cat > /tmp/typed'; type 'one line'; keys C-d; type 'echo "typed: $(cat /tmp/typed)"'
appears "Ctrl-D is end of file" '^typed: one line$'
fresh; type 'trap "echo got winch" WINCH; echo set'; within 3 shows '^set'; pane resize-window -x 90 -y 30; sleep 0.2; keys Enter
appears "the command hears of a new size" 'got winch'
fresh; type 'stty -echo raw; exit 7'
appears "the caller's shell is back" '^host>'
fresh; type 'echo status=$?'; appears "with the command's exit status" '^status=7$'
type 'stty -a > after'; sleep 0.3
succeeds "the terminal is as it was, whatever the command did to it" cmp before after

fresh; type "$LUABOX run box.lua -- sh -c 'echo to-error >&2; echo to-output; test -t 2 || echo error is no terminal' 2> errors"
appears "output is the terminal's" '^to-output'
appears "a redirected standard error is no terminal inside" '^error is no terminal'
equal "and goes to its file, as it was written" to-error "$(cat errors)"
fresh; type "$LUABOX run box.lua -- sh -c 'test -t 1 || echo output is no terminal' | cat; echo done"
appears "in a pipe the output is no terminal" '^output is no terminal'
fresh; type "$LUABOX run box.lua -- sh -c 'printf \"a\\r\\nb\\n\"' < /dev/null > plain; echo done"
appears "(without a terminal)" '^done'
equal "output to a file is binary-clean" "a\r\nb\n" "$(sed 's/\r/\\r/; s/$/\\n/' plain | tr -d '\n')"
fresh; type "$LUABOX run box.lua -- sh -c 'kill -9 \$\$'; echo status=\$?"
appears "128 + the signal that ended it" '^status=137$'
fresh; type "$LUABOX run box.lua -- nosuch; echo status=\$?"
appears "no such command is told on the terminal" 'nosuch'
appears "with 127" '^status=127$'
type 'stty -a > after'; sleep 0.3; succeeds "a start that failed leaves the terminal as it was" cmp before after
fresh; type "$LUABOX run box.lua -- sh -c 'head -c 300000 /dev/zero | tr \"\\000\" x | fold -w 80 | tail -1; echo; echo end of it'"
appears "much output arrives to its end" '^end of it'

# a background job of the shell's
fresh; type "$LUABOX run box.lua -- sh -c 'sleep 1; echo in the background' &"
appears "a background job is not stopped" '^in the background|> in the background'
fresh; type "$LUABOX run box.lua -- sh -c 'echo asks; read x; echo got \$x' &"; within 3 shows 'asks$'
type 'echo mine'; appears "what is typed is the shell's meanwhile" '^mine'
type 'fg'; sleep 0.5; type 'word'
appears "in the foreground it is the container's" '^got word'
type 'stty -a > after'; sleep 0.3; succeeds "the terminal is as it was" cmp before after

# luabox killed while the container is in the foreground
enter; appears "(once more)" '^in>'
type "sleep 4321.$$"; sleep 0.3
running() { pgrep -fx "sleep 4321.$$" > /dev/null; }
within 2 running || failed "(the command runs)"
runtime=$(pgrep -f "^$LUABOX run box-$$.lua" | head -1)
kill -9 "$runtime"
gone() { ! running; }
succeeds "luabox killed: the container ends" within 2 gone
pane send-keys -l "stty sane"; pane send-keys C-j; fresh; type 'stty sane; echo back'
appears "and the caller's shell can go on" 'back'
# the terminal itself goes away: SIGHUP
enter; within 5 shows '^in>'; type "sleep 4321.$$"; within 2 running
pane kill-server; sleep 0.2
succeeds "the terminal is closed: the container ends" within 5 gone
"$LUABOX" gc > /dev/null
# ---- without one
script "name = '$mark'" "terminal = false" "command = { 'sh', '-c', 'test -e /dev/console && echo a console || echo no console' }"
equal "terminal = false is heard at a terminal" "no console" "$(command script -qec "'$LUABOX' run box.lua" /dev/null < /dev/null | tr -d '\r\0' | grep -o '[an]o* console')"
leaves_nothing "nothing is left behind"
finish
