#!/bin/bash
# The documents: links and anchors that lead somewhere, and the table of examples as the examples have it.
. "$(dirname "$0")/common.sh"
cd "$top"
succeeds "examples/README.md is made of the examples" tools/examples check

# What GitHub makes of a heading: lower case, blanks to "-", other signs left out.
anchors() { sed -n 's/^#\+ //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'; }
count=0
for file in README.md CONTRIBUTING.md CHANGELOG.md docs/*.md examples/README.md; do
  [ -e "$file" ] || continue
  while IFS= read -r link; do
    case $link in http://*|https://*|mailto:*) continue ;; esac
    count=$((count + 1))
    path=${link%%#*} anchor=
    [[ $link == *'#'* ]] && anchor=${link#*#}
    target=${path:+$(dirname "$file")/$path}
    target=${target:-$file}
    if [ ! -e "$target" ]; then failed "$file: a link" "there is no $target"
    elif [ -n "$anchor" ] && ! anchors "$target" | grep -qxF -- "$anchor"; then failed "$file: a link" "$target has no heading for #$anchor"
    fi
  done < <(awk '/^```/ { code = !code } !code' "$file" | sed 's/`[^`]*`//g' | grep -oP '\]\(\K[^)\s]+')
  # Documents that the prose names without a link.
  for path in $(grep -oE '\bdocs/[a-z-]+\.md\b' "$file" | sort -u); do [ -e "$path" ] || failed "$file: $path" "there is none"; done
done
[ $count -gt 50 ] && ok "$count links lead somewhere" || failed "links were found" "$count"
for path in $(grep -ohE 'docs/[a-z-]+\.md|examples/[a-z_/]+\.lua' -r scripts stdlib.lua examples --include=*.lua | sort -u); do
  [ -e "$path" ] || failed "a script names $path" "there is none"
done
ok "what scripts name is there"
finish
