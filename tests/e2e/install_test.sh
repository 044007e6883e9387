#!/bin/bash
# What is installed: by cmake --install, and as a Debian package; and a program on the installed engine.
. "$(dirname "$0")/common.sh"
build=$(dirname "$LUABOX")
[ -e "$build/CMakeCache.txt" ] || { echo "skipped: $LUABOX lies in no build folder"; exit 77; }
for program in man groff cmake; do command -v $program > /dev/null || { echo "skipped: there is no $program"; exit 77; }; done
make_rootfs rootfs
mark=e2e-install-$$
script "name = '$mark'" "command = { '/bin/echo', 'hi' }"

succeeds "cmake --install" cmake --install "$build" --prefix "$work/usr"
luabox=$work/usr/bin/luabox
equal "the installed luabox runs a container" hi "$("$luabox" run box.lua 2>&1)"
for command in luabox luabox-run luabox-repl luabox-image luabox-help; do
  holds "man $command" "$command" "$(MANWIDTH=80 man -l "usr/share/man/man1/$command.1" 2>&1)"
done
equal "no page has an error" "" "$(for page in usr/share/man/man1/*; do groff -man -Tutf8 -ww "$page" 2>&1 >/dev/null; done)"
if command -v mandoc > /dev/null; then
  # Pages have no date: what is built twice is the same.
  equal "no page has a flaw of style" "" "$(for page in usr/share/man/man1/*; do mandoc -T lint "$page"; done 2>&1 | grep -v "missing date")"
else
  skipped "no page has a flaw of style" "there is no mandoc"
fi
for command in $("$luabox" help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
  succeeds "$command has a page" test -s "usr/share/man/man1/luabox-$command.1"
done
holds "a page has what --help has" "Call the container NAME" "$(MANWIDTH=200 man -l usr/share/man/man1/luabox-run.1)"
manual() { MANWIDTH=200 man -l "usr/share/man/man1/luabox-$1.1" 2>/dev/null | col -b; }
lacks "what starts nothing has no command's exit status" "signal N" "$(for page in check why gc list update; do manual $page; done)"
holds "a check's is its own" "0; 1 when there is an error" "$(manual check)"
equal "each way to call it has a line" 2 "$(manual explain | grep -c '^  *luabox explain \(\[OPTIONS\] SCRIPT\|--diff A B\)')"
equal "each argument is said" "" "$(awk '/^\.TP/ { getline label; getline; if ($0 == "" || label ~ /<|^.fBwords/) print FILENAME ": " label }' usr/share/man/man1/*)"
holds "and sections for the commands below it" "max-size SIZE" "$(MANWIDTH=200 man -l usr/share/man/man1/luabox-image.1)"
complete_words() { # WORD...: what bash offers for the last word
  PATH="$work/usr/bin:$PATH" bash -c '. usr/share/bash-completion/completions/luabox; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _luabox; echo "${COMPREPLY[*]}"' _ "$@"
}
equal "bash completes a command" "repl" "$(complete_words luabox rep)"
equal "its options" "--name" "$(complete_words luabox run --na)"
equal "commands below it" "import" "$(complete_words luabox image im)"
equal "and what an option takes" "json" "$(complete_words luabox run --log-format js)"
holds "zsh" "#compdef luabox" "$(head -1 usr/share/zsh/vendor-completions/_luabox)"
holds "fish" "complete -c luabox" "$(cat usr/share/fish/vendor_completions.d/luabox.fish)"
equal "a manual page has no comma behind a comma" "" "$(grep -l ',,' usr/share/man/man1/* | xargs)"
succeeds "editors find the definitions" cmp usr/share/luabox/meta/sys.lua "$top/scripts/meta/sys.lua"
succeeds "a folder for policies" test -d usr/etc/luabox/policy.d

succeeds "a program finds the package" cmake -S "$top/tests/installed" -B program -DCMAKE_PREFIX_PATH="$work/usr" -DCMAKE_BUILD_TYPE=Release
succeeds "and builds with nothing but the installed headers and library" cmake --build program
lacks "none of them is the checkout's" "$top/engine" "$(cat program/CMakeFiles/installed.dir/main.cpp.o.d program/CMakeFiles/installed.dir/*.make 2>/dev/null)"
before=$(hostname)
equal "its process has a namespace of its own" installed "$(program/installed "$(command -v hostname)")"
equal "which is not the host's" "$before" "$(hostname)"
program/installed /no/such 2> error; equal "an error of the engine is an exception" 125 $?
holds "that says what failed" "exec /no/such" "$(cat error)"

if command -v dpkg-deb > /dev/null; then
  succeeds "cpack" cpack --config "$build/CPackConfig.cmake" -B "$work/package"
  deb=$(echo package/luabox_*.deb)
  holds "the package has a name" "Package: luabox" "$(dpkg-deb -f "$deb" 2>&1 | grep Package)"
  succeeds "it unpacks" dpkg-deb -x "$deb" unpacked
  succeeds "it has its copyright where Debian looks for it" cmp "$top/LICENSE" unpacked/usr/share/doc/luabox/copyright
  equal "its luabox runs a container" hi "$(unpacked/usr/bin/luabox run box.lua 2>&1)"
  for file in etc/luabox/policy.d usr/share/man/man1/luabox-run.1 usr/share/bash-completion/completions/luabox usr/share/luabox/meta/luabox.lua; do
    succeeds "it has /$file" test -e "unpacked/$file"
  done
  equal "and nothing outside /usr and /etc" "etc usr" "$(ls unpacked | xargs)"
else
  skipped "the Debian package" "there is no dpkg-deb"
fi
leaves_nothing "nothing is left behind"
finish
