#!/bin/bash
# The documents that teach, as their readers follow them.
. "$(dirname "$0")/document.sh"
mark=$'throw-\ncookbook-'

for document in tutorial cookbook coming-from; do
  rm -rf place "$LUABOX_IMAGES" && mkdir place
  run_document "$top/docs/$document.md"
done

leaves_nothing "nothing is left behind"
finish
