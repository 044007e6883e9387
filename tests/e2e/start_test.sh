#!/bin/bash
# The program's start before main (engine/start.cpp): the processor is asked for next to nothing, and all is there that the C library's own start makes.
. "$(dirname "$0")/common.sh"
[ "$(uname -m)" = x86_64 ] || { echo "skipped: only on x86_64"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
command -v python3 > /dev/null || { echo "skipped: python3 is not installed"; exit 77; }

# asked: "CPUIDS CANARY", from single steps (ptrace(2)) through a whole `luabox version`.
asked() {
  python3 - "$LUABOX" << 'END'
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.ptrace.argtypes, libc.ptrace.restype = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2, ctypes.c_long
TRACEME, PEEK, GETREGS, STEP, RIP, FS = 0, 1, 12, 9, 16, 21
pid = os.fork()
if pid == 0:
    libc.ptrace(TRACEME, 0, None, None)
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    os.execv(sys.argv[1], [sys.argv[1], "version"])
registers, count, canary = (ctypes.c_ulong * 27)(), 0, 0
while os.WIFSTOPPED(os.waitpid(pid, 0)[1]):
    libc.ptrace(GETREGS, pid, None, registers)
    if libc.ptrace(PEEK, pid, registers[RIP], None) & 0xffff == 0xa20f:
        count += 1
    if registers[FS]:
        canary = libc.ptrace(PEEK, pid, registers[FS] + 0x28, None) & (2**64 - 1) or canary
    libc.ptrace(STEP, pid, None, None)
print(count, f"{canary:016x}")
END
}
read -r count first <<< "$(asked)"
read -r _ second <<< "$(asked)"
# liblzma asks twice. LuaJIT would three times, and glibc's own start more than sixty.
[ "${count:-99}" -le 2 ] && ok "the processor is asked $count times" || failed "the processor is asked at most twice" "${count:-no answer}"
[[ "$first" =~ ^[0-9a-f]{14}00$ && "$first" != 0000* ]] && ok "the canary of the stack ends strings" || failed "the canary of the stack ends strings" "$first"
[ "$first" != "$second" ] && ok "and is another in each process" || failed "the canary is another in each process" "$first"

"$LUABOX" version > whole
equal "what stdio holds is written at the end" "$(head -c 6 whole)" luabox
equal "without an environment" "$(cat whole)" "$(env -i "$LUABOX" version)"
equal "arguments and environment are the script's" "d e|a|b c" \
  "$(WORD='d e' "$LUABOX" run <(echo 'print(table.concat({ os.getenv "WORD", ... }, "|"))') a 'b c')"
equal "a tunable of the C library changes nothing" "$(cat whole)" "$(GLIBC_TUNABLES=glibc.malloc.check=3:glibc.cpu.hwcaps=-AVX2 "$LUABOX" version)"
echo 'local ffi = require "ffi"; ffi.cdef "double cos(double);"; print(ffi.load("libm.so.6").cos(0))' > load.lua
equal "a script loads a library" 1 "$("$LUABOX" run load.lua)"
echo 'local text = ("0123456789abcdef"):rep(4 * 1024 * 1024); local twice = text .. text; print(#twice, twice:sub(-16), twice:sub(9, 24))' > large.lua
equal "large pieces of memory are copied whole" "134217728	0123456789abcdef	89abcdef01234567" "$("$LUABOX" run large.lua)"

# With privileges that were gained it is the C library's own start.
install -m 4755 "$LUABOX" set-uid
chmod 755 .
equal "set-uid" "$(cat whole)" "$(setpriv --reuid 65534 --regid 65534 --clear-groups ./set-uid version)"
equal "set-uid, and no standard output" 125 "$(setpriv --reuid 65534 --regid 65534 --clear-groups ./set-uid version >&- 2> /dev/null; echo $?)"
leaves_nothing "nothing is left"
finish
