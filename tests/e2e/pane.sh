# Sourced after common.sh by tests that need a real terminal: a tmux pane of their own, driven by keys and judged by what it shows.
socket=luabox-$(basename "$0" .sh)-$$
unset TMUX
pane() { timeout 10 tmux -L "$socket" -f /dev/null "$@"; }
trap 'if [ $BASHPID = $$ ]; then pane kill-server 2>/dev/null; kill ${runtime:-} 2>/dev/null; cd /; rm -rf --one-file-system "$work"; fi' EXIT
command -v tmux > /dev/null || { echo "skipped: no tmux to be the terminal"; [ $status = 0 ] && exit 77; finish; }

# host_shell [VARIABLE=VALUE...]: a shell in the pane, as somebody at this host has one.
host_shell() {
  pane new-session -d -x 90 -y 30 "env HISTFILE= PS1='host> ' $* LUABOX=$LUABOX LUABOX_STATE=$LUABOX_STATE LUABOX_IMAGES=$LUABOX_IMAGES bash --norc --noprofile"
}
screen() { pane capture-pane -p; }
shows() { screen | grep -qE -- "$1"; }
# type TEXT: a line; put TEXT: no more than that; keys KEY...: as tmux calls them
type() { pane send-keys -l "$1"; pane send-keys Enter; }
put() { pane send-keys -l "$1"; }
keys() { pane send-keys "$@"; }
fresh() { keys C-l; sleep 0.1; pane clear-history; }
# appears NAME PATTERN: the screen comes to show it
appears() { if within ${patience:-5} shows "$2"; then ok "$1"; else failed "$1" "the screen shows: $(screen | grep .)"; fi; }
