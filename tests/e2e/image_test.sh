#!/bin/bash
# luabox image as users type it: real archives compared with tar, hostile ones, interruptions, a full disk.
set -u
LUABOX=${LUABOX:-luabox}
work=$(mktemp -d "${TMPDIR:-/tmp}/luabox-image.XXXXXX")
trap 'if [ $BASHPID = $$ ]; then umount "$work/full" 2>/dev/null; rm -rf "$work"; fi' EXIT
export LUABOX_IMAGES=$work/images
status=0

ok() { echo "ok - $1"; }
failed() { echo "FAILED - $1${2:+: $2}"; status=1; }
check() { local name=$1; shift; if "$@"; then ok "$name"; else failed "$name"; fi; }
skipped() { echo "skipped - $1: $2"; }

# Nothing but the lock is left in the images' folder.
is_clean() { [ -z "$(find "$LUABOX_IMAGES" -mindepth 1 ! -name .lock -print -quit 2>/dev/null)" ]; }

# refuses NAME TEXT COMMAND...: it fails with one line that holds TEXT, and leaves nothing.
refuses() {
  local name=$1 text=$2 output; shift 2
  output=$("$@" 2>&1 >/dev/null) && { failed "$name" "it succeeded"; return; }
  [[ $output == *"$text"* ]] || { failed "$name" "$output"; return; }
  [ "$(wc -l <<<"$output")" = 1 ] || { failed "$name" "more than a line: $output"; return; }
  is_clean || { failed "$name" "left $(ls -A "$LUABOX_IMAGES")"; return; }
  ok "$name"
}

describe() {  # every fact of a tree that tar keeps
  (cd "$1" && find . -printf '%P|%y|%m|%U|%G|%T@|%n|%l|' \( -type f -printf '%s\n' -o -printf '\n' \) | sort
   find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

make_tree() {
  mkdir -p "$1"/{bin,etc/deep/er,usr/lib,empty,tmp}
  cp /bin/true "$1/bin/true"; chmod 4755 "$1/bin/true"
  ln "$1/bin/true" "$1/bin/same"; ln -s usr/lib "$1/lib"; ln -s /nowhere "$1/dangling"
  head -c 3000000 /dev/urandom >"$1/usr/lib/random"
  truncate -s 20M "$1/usr/lib/sparse"; echo end >>"$1/usr/lib/sparse"
  mkfifo "$1/tmp/fifo"; chmod 1777 "$1/tmp"; chmod 0500 "$1/etc/deep"
  echo x >"$1/etc/$(printf 'n%.0s' {1..200})"; echo 'ünï' >"$1/etc/ünï"
  touch -d '1969-06-01 12:00:00.25 UTC' "$1/etc/ünï"; touch -d '2001-02-03 04:05:06.789 UTC' "$1/usr" "$1/empty"
  if [ "$(id -u)" = 0 ]; then chown 1000:50 "$1/empty"; mknod -m 666 "$1/null" c 1 3; chown -h 7:8 "$1/lib"; fi
}

make_tree "$work/tree"
unpack() { rm -rf "$work/reference"; mkdir "$work/reference"; tar --numeric-owner --warning=no-timestamp -pxf "$1" -C "$work/reference"; }
for format in gnu pax ustar v7; do
  case $format in gnu|pax) sparse=--sparse ;; *) sparse= ;; esac  # and no names over 100 characters, no fifos in v7
  tar --numeric-owner --format=$format $sparse -C "$work/tree" -cf "$work/$format.tar" . 2>"$work/errors"
  unpack "$work/$format.tar"
  "$LUABOX" image import -q "$work/$format.tar" tree
  if diff <(describe "$work/reference") <(describe "$LUABOX_IMAGES/tree/rootfs") >"$work/difference"; then
    ok "a $format archive becomes what tar makes of it"
  else
    failed "a $format archive becomes what tar makes of it" "$(head -4 "$work/difference")"
  fi
  "$LUABOX" image rm tree
done
unpack "$work/gnu.tar"; describe "$work/reference" >"$work/wanted"

for tool in cat gzip bzip2 xz zstd; do
  command -v $tool >/dev/null || { skipped "$tool" "not installed"; continue; }
  if [ $tool = cat ]; then cp "$work/gnu.tar" "$work/packed"; else $tool -c <"$work/gnu.tar" >"$work/packed"; fi
  "$LUABOX" image import -q - tree <"$work/packed"
  check "an archive through $tool is imported from standard input" \
    diff -q "$work/wanted" <(describe "$LUABOX_IMAGES/tree/rootfs")
  "$LUABOX" image rm tree
  if [ $tool != cat ]; then
    head -c "$(($(stat -c %s "$work/packed") - 3))" "$work/packed" >"$work/cut"
    refuses "an archive through $tool that lacks its last bytes is refused" "cut off" "$LUABOX" image import "$work/cut" cut
  fi
done

# ---- hostile archives; each holds a member that would be written to $work/outside
mkdir "$work/outside"; echo precious >"$work/outside/file"; before=$(describe "$work/outside")
python3 - "$work" <<'EOF'
import io, sys, tarfile
work = sys.argv[1]
def member(name, kind=tarfile.REGTYPE, link="", data=b"", **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    for key, value in more.items(): setattr(info, key, value)
    return info, data
SYM, LNK, DIR, CHR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE
out, evil = work + "/outside", b"evil"
archives = {
    "symlink": [member("s", SYM, out), member("s/file", data=evil)],
    "symlink-up": [member("a", DIR, mode=0o755), member("a/s", SYM, "../../../../../../../../.." + out), member("a/s/file", data=evil)],
    "symlink-chain": [member("a", SYM, "b"), member("b", SYM, out), member("a/file", data=evil)],
    "symlink-file": [member("s", SYM, out + "/file"), member("s", data=evil)],
    "symlink-directory": [member("s", SYM, out), member("s", DIR, mode=0o777), member("s/file", data=evil)],
    "hardlink": [member("h", LNK, out + "/file"), member("h", data=evil)],
    "hardlink-up": [member("h", LNK, "../../../../../../../../.." + out + "/file"), member("h", data=evil)],
    "hardlink-through": [member("s", SYM, out), member("h", LNK, "s/file"), member("h", data=evil)],
    "hardlink-symlink": [member("s", SYM, out + "/file"), member("h", LNK, "s"), member("h", mode=0o777, data=evil)],
    "absolute": [member(out + "/file", data=evil)],
    "dotdot": [member("../../../../../../../../.." + out + "/file", data=evil)],
    "dotdot-inside": [member("a", DIR, mode=0o755), member("a/../../../../../../../../../.." + out + "/file", data=evil)],
    "chmod": [member("s", SYM, out + "/file", mode=0o777), member("s", SYM, out, mode=0o777)],
    "loop": [member("s", SYM, "s"), member("s/file", data=evil)],
    "proc": [member("s", SYM, "/proc/self/cwd"), member("s/file", data=evil)],
}
for name, members in archives.items():
    with tarfile.open(f"{work}/evil-{name}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members: tar.addfile(info, io.BytesIO(data))
with tarfile.open(f"{work}/many.tar", "w") as tar:
    for i in range(3000): tar.addfile(*[(m[0], io.BytesIO(m[1])) for m in [member(f"f{i}", data=b"x" * 2000)]][0])
EOF
for archive in "$work"/evil-*.tar; do
  name=${archive##*/evil-}; name=${name%.tar}
  "$LUABOX" image import -q "$archive" evil >/dev/null 2>&1; code=$?
  if [ "$(describe "$work/outside")" != "$before" ] || [ "$(ls "$work/outside")" != file ]; then
    failed "$name writes nothing outside"
  elif [ $code -ne 0 ] && ! is_clean; then
    failed "$name leaves nothing when refused"
  else
    ok "$name stays inside (exit status $code)"
  fi
  [ $code = 0 ] && "$LUABOX" image rm evil
done

# ---- failures
echo "no tar" >"$work/text"; : >"$work/empty"
refuses "a text is refused" "it is not a tar archive" "$LUABOX" image import "$work/text" bad
refuses "an empty file is refused" "it is empty" "$LUABOX" image import "$work/empty" bad
refuses "a missing file is refused" "No such file" "$LUABOX" image import "$work/none" bad
refuses "a folder is refused" "Is a directory" "$LUABOX" image import "$work" bad
refuses "a bad name is refused" "is no name for an image" "$LUABOX" image import "$work/gnu.tar" ../bad
refuses "--max-size is kept" "when unpacked" "$LUABOX" image import --max-size 1MB "$work/gnu.tar" bad
[ "$(id -u)" = 0 ] && refuses "--devices refuse is kept" "it is a device node" \
  "$LUABOX" image import --devices refuse "$work/gnu.tar" bad
refuses "a missing image can't be removed" "no image 'none'" "$LUABOX" image rm none
check "nor is an import advised" test "$("$LUABOX" image rm none 2>&1)" = "luabox: no image 'none'"
refuses "a missing argument is told in one line" "missing argument 'name'" "$LUABOX" image import "$work/gnu.tar"

for signal in INT TERM KILL; do
  # A script's background jobs ignore SIGINT; env resets that.
  { head -c 2000000 "$work/gnu.tar"; sleep 5; } |
    env --default-signal=INT "$LUABOX" image import - slow >/dev/null 2>"$work/errors" &
  job=$!
  for _ in {1..100}; do compgen -G "$LUABOX_IMAGES/.import-*/rootfs/*" >/dev/null && break; sleep 0.05; done
  kill -$signal $job; wait $job 2>/dev/null; code=$?
  if [ $signal = KILL ]; then
    "$LUABOX" image import -q "$work/gnu.tar" next && "$LUABOX" image rm next
    check "what a killed import left is gone with the next one" is_clean
  else
    check "SIG$signal ends an import that waits, with status 130" [ $code = 130 ]
    check "SIG$signal leaves nothing" is_clean
  fi
done

if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
  output=$(unshare -m bash -c "mkdir -p '$work/full' && mount -t tmpfs -o size=2m none '$work/full' &&
    LUABOX_IMAGES='$work/full/images' '$LUABOX' image import '$work/gnu.tar' big 2>&1 >/dev/null
    find '$work/full/images' -mindepth 1 ! -name .lock")
  check "a full disk is told" grep -q "No space left on device" <<<"$output"
  check "a full disk leaves nothing" [ "$(wc -l <<<"$output")" = 1 ]
fi

# ---- ls, rm, replace
"$LUABOX" image import "$work/many.tar" many >"$work/output"
check "an import tells what it made" grep -q '^many: 3000 members, 6.0 MB in ' "$work/output"
check "ls shows it" grep -qE "^many +6\.0 MB +[0-9T:Z-]+ +$work/many.tar$" <("$LUABOX" image ls)
check "ls --json is JSON" python3 -c 'import json,sys; [i] = json.load(sys.stdin); assert i["name"] == "many" and i["members"] == 3000' \
  < <("$LUABOX" image ls --json)
"$LUABOX" image import "$work/gnu.tar" many 2>"$work/errors"
check "an existing image is not replaced" grep -q "image 'many' exists already" "$work/errors"
"$LUABOX" image import -q --replace "$work/gnu.tar" many
check "--replace replaces it" [ -e "$LUABOX_IMAGES/many/rootfs/bin/true" -a ! -e "$LUABOX_IMAGES/many/rootfs/f1" ]
flock -s "$LUABOX_IMAGES/many" -c "'$LUABOX' image rm many" 2>"$work/errors"
check "an image in use is not removed" grep -q "in use by a container" "$work/errors"
"$LUABOX" image rm many && check "rm removes it" is_clean

# ---- on a terminal
if command -v script >/dev/null; then
  TERM=xterm script -qec "'$LUABOX' image import '$work/gnu.tar' shown" /dev/null >"$work/output" </dev/null
  check "an import on a terminal ends with its summary" grep -q 'shown: .* members' "$work/output"
  "$LUABOX" image rm shown
fi
exit $status
