#!/bin/bash
# Completion as a user has it: Tab in bash, zsh and fish, each in a terminal of its own (a tmux pane), judged by what the screen shows.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mark=e2e-completion-$$
script "name = '$mark'" "command = { '/bin/sleep', '4321' }"
mkdir bin && cp "$LUABOX" bin/luabox && mkdir folder
tar -C rootfs -cf box.tar . && "$LUABOX" image import --quiet box.tar busybox-image
mkdir commands && echo 'return { summary = "Ours.", run = function() end }' > commands/sitecommand.lua

# ---- what is offered, whatever the shell
offered() { "$LUABOX" help --suggest -- "$@" | cut -f1 | xargs; }
"$LUABOX" run box.lua & runtime=$!
listed() { "$LUABOX" list | grep -q "^$mark .*running"; }
within 5 listed || failed "(a container runs)"
equal "commands" "kill" "$(offered ki)"
equal "all of them, and the site's" "$("$LUABOX" help | sed -n 's/^  \([a-z-]*\) .*/\1/p' | wc -l) sitecommand" \
  "$(($(offered "" | wc -w))) $(LUABOX_PATH=$work/commands offered site)"
equal "options, long and short" "--log-file --log-format" "$(offered run --log)"
equal "what an option may be" "json text" "$(offered run --log-format "")"
equal "files where an option takes one" ": files" "$("$LUABOX" help --suggest -- run --trace "" | xargs)"
equal "scripts to run" ": scripts" "$("$LUABOX" help --suggest -- run --name x "" | xargs)"
equal "no options behind the script, which has its own" ":" "$(offered run box.lua -)"
equal "containers" $mark "$(offered exec "")"
equal "behind an option too" $mark "$(offered exec --user root e2e)"
equal "and as an option's value" $mark "$(offered repl --container "")"
equal "signals" "KILL" "$(offered kill $mark K)"
equal "commands below a command" "import ls rm" "$(offered image "")"
equal "and their options" "--owner" "$(offered image import --ow)"
equal "images" busybox-image "$(offered image rm "")"
equal "help's are commands" image "$(offered help im)"
equal "nothing behind what is not there" "" "$(offered nosuch "")"
equal "folders" ": folders" "$("$LUABOX" help --suggest -- init "" | xargs)"

# ---- in terminals
. "$here/pane.sh"
patience=8
press_tab() { keys C-u; sleep 0.1; keys C-l; sleep 0.1; put "$1"; sleep "$2"; keys Tab; }
# tab NAME TYPED SHOWN: what is typed, a Tab, and what the screen shows then. A shell on a busy machine drops keys: it is given them again, slowly.
tab() {
  press_tab "$2" 0.1
  within 4 shows "$3" || press_tab "$2" 1
  appears "$1" "$3"
}

try_in() { # SHELL COMMAND...
  local shell=$1; shift
  pane kill-server 2>/dev/null
  socket=luabox-completion-$$-$shell  # a server of its own: one that is ending would still take the session, and end with it
  pane new-session -d -x 100 -y 30 "cd $work; env -u LUABOX HOME=$work XDG_CONFIG_HOME=$work/.config XDG_DATA_HOME=$work/.data PATH=$work/bin:$PATH \
    LUABOX_STATE=$LUABOX_STATE LUABOX_IMAGES=$LUABOX_IMAGES LUABOX_PATH=$work/commands $*"
  within 40 shows '> *$' || failed "($shell has a prompt)" "$(screen | grep .)"
  tab "$shell: a command" 'luabox ki' 'luabox kill *$'
  tab "$shell: the site's own" 'luabox sitec' 'luabox sitecommand *$'
  tab "$shell: an option" 'luabox run --log-fo' 'luabox run --log-format *$'
  tab "$shell: its value" 'luabox run --log-format j' 'luabox run --log-format json *$'
  tab "$shell: a container" 'luabox exec e2' "luabox exec $mark *$"
  tab "$shell: an image" 'luabox image rm bu' 'luabox image rm busybox-image *$'
  tab "$shell: a script, not another file" 'luabox run bo' 'luabox run box.lua *$'
  tab "$shell: any file for an import" 'luabox image import box.t' 'luabox image import box.tar *$'
  tab "$shell: a folder" 'luabox init fol' 'luabox init folder/? *$'
  keys C-u; put 'luabox image '; keys Tab; sleep 0.3; keys Tab; appears "$shell: several are shown" '(^| )ls( |$)'
  keys C-c; sleep 0.1
}

printf 'PS1="> "\nsource <(luabox help --completion bash)\n' > .bashrc
try_in bash bash --noprofile
if command -v zsh > /dev/null; then
  printf 'PROMPT="> "\nautoload -Uz compinit; compinit -u\nsource <(luabox help --completion zsh)\nbindkey -e\n' > .zshrc
  try_in zsh ZDOTDIR="$work" zsh -d -i
  mkdir functions && "$LUABOX" help --completion zsh > functions/_luabox
  printf 'PROMPT="> "\nfpath=(%s/functions $fpath)\nautoload -Uz compinit; compinit -u\nbindkey -e\n' "$work" > .zshrc
  try_in "zsh, installed" ZDOTDIR="$work" zsh -d -i
else
  skipped "zsh" "it is not installed"
fi
if command -v fish > /dev/null; then
  mkdir -p .config/fish/completions && "$LUABOX" help --completion fish > .config/fish/completions/luabox.fish
  echo 'function fish_prompt; echo -n "> "; end; set -g fish_greeting' > .config/fish/config.fish
  try_in fish fish
else
  skipped "fish" "it is not installed"
fi
pane kill-server 2>/dev/null
kill $runtime; wait $runtime
leaves_nothing "nothing is left behind"
finish
