#!/bin/bash
# `luabox run --trace FILE`: parent and child on one timeline, and `luabox trace FILE` that shows it.
. "$(dirname "$0")/common.sh"
make_rootfs rootfs
mkdir data

script "hostname = 'traced'" $'mounts = { bind { "'$work$'/data", "/data" },\n    tmpfs { "/tmp", size = "1MiB" } }' \
  "function(this) this.root:write('/etc/motd', 'hello') end" "command = { '/bin/true' }"
mount_line=$(grep -n tmpfs box.lua | cut -d: -f1); step_line=$(grep -n motd box.lua | cut -d: -f1); host_line=$(grep -n hostname box.lua | cut -d: -f1)
succeeds "a traced container runs" "$LUABOX" run --trace trace.json box.lua

# ask EXPRESSION: of the events, as e; names are their names, inside and outside those of the child and the parent.
ask() {
  python3 - "$@" <<'END'
import json, sys
data = json.load(open("trace.json"))
e = [x for x in data["traceEvents"] if x["ph"] == "X"]
who = {x["pid"]: x["args"]["name"] for x in data["traceEvents"] if x["ph"] == "M" and x["name"] == "thread_name"}
inside = [x for x in e if who[x["pid"]] == "child"]
outside = [x for x in e if who[x["pid"]] == "parent"]
def first(events, name): return next(x for x in events if x["name"] == name)
print(eval(sys.argv[1]))
END
}
equal "each event has what the format asks for" True "$(ask 'all(isinstance(x["ts"], (int, float)) and x["dur"] >= 0 and x["pid"] > 0 and x["tid"] > 0 for x in e)')"
equal "the clone is the parent's" True "$(ask 'first(outside, "clone")["args"]["result"] == "process %d" % inside[0]["pid"]')"
equal "what the child did is there, up to its exec" True "$(ask '{"mount.pivot_root", "security.apply", "init"} <= {x["name"] for x in inside}')"
equal "the child's mounts are not the parent's" False "$(ask '"mount.pivot_root" in {x["name"] for x in outside}')"
equal "both share one clock" True "$(ask 'first(outside, "clone")["ts"] <= first(inside, "mount.pivot_root")["ts"] <= first(outside, "process:settle")["ts"] + first(outside, "process:settle")["dur"]')"
equal "the exec lasts until the parent knows" True "$(ask 'first(inside, "init")["dur"] > 0')"
equal "a mount has the line that wrote it" "box.lua:$mount_line" "$(ask '[x for x in inside if "1048576" in x["args"].get("arguments", "")][0]["args"]["where"]')"
equal "a step of the script's own has its line" "box.lua:$step_line" "$(ask '[x for x in inside if x["name"] == "root:write"][-1]["args"]["where"]')"
equal "a field of the container has its line" "box.lua:$host_line" "$(ask 'first(inside, "sethostname")["args"]["where"]')"
holds "arguments are told" '"traced"' "$(ask 'first(inside, "sethostname")["args"]["arguments"]')"
equal "results are told" True "$(ask '"mount" in first(inside, "mount.make_tmpfs")["args"]["result"]')"
equal "nothing was left out" 0 "$(ask 'data["otherData"]["dropped"]')"

shown=$("$LUABOX" trace trace.json)
holds "the slowest are listed" "Slowest:" "$shown"
equal "ten of them" 10 "$(sed -n '/Slowest/,/^$/p' <<<"$shown" | grep -cE '^ +[0-9.]+ (us|ms)')"
holds "the picture has the child's bars" "=" "$(grep pivot_root <<<"$shown" | tail -1)"
holds "and the parent's" "#" "$(grep ' clone$' <<<"$shown")"

script "mounts = { bind { '/no/such', '/x' } }" "command = { '/bin/true' }"
"$LUABOX" run --trace trace.json box.lua >/dev/null 2>&1
holds "a start that fails is traced up to its failure" "/no/such" "$(ask '[x["args"]["failure"] for x in inside if "failure" in x["args"]]')"

script "users = { uid = '0 100000 65536' }" "{ namespaces = 'time' }" "command = { '/bin/true' }"
"$LUABOX" run --trace trace.json box.lua >/dev/null 2>&1
equal "a time namespace does not tear the line of time" True "$(ask 'max(x["ts"] + x["dur"] for x in e) - min(x["ts"] for x in e) < 10e6')"

cat > many.lua <<END
for _ = 1, 3 do container { rootfs = "$work/rootfs", command = { "/bin/true" } }:run() end
os.exit(4)
END
"$LUABOX" run --trace trace.json many.lua; equal "os.exit ends a trace as it should" 4 $?
sed 's/os.exit(4)//' many.lua > many-ok.lua
equal "each child has a track of its own" 3 "$(ask 'len({x["pid"] for x in inside})')"

cat > lines.lua <<END
local sys = require "luabox.sys"
local wrong = container { rootfs = "$work/no-folder", command = { "/bin/true" } }
pcall(wrong.start, wrong)
sys.mount.root "/"
local right = container { rootfs = "$work/rootfs", command = { "/bin/true" } }
right:start()
sys.mount.root "/"
right:wait()
END
"$LUABOX" run --trace trace.json lines.lua
equal "what a script asks for itself has its line, also after a start that failed" "['lines.lua:4', 'lines.lua:7']" \
  "$(ask '[x["args"]["where"] for x in outside if x["name"] == "mount.root" and x["args"]["arguments"] == "\"/\""]')"
equal "what a start makes is its line's" "{'lines.lua:6'}" "$(ask '{x["args"]["where"] for x in inside}')"

holds "a file that can't be written is told before anything runs" "/no/such/dir" "$("$LUABOX" run --trace /no/such/dir/x many.lua 2>&1)"
equal "a trace is its owner's alone" 600 "$(stat -c %a trace.json)"
mknod null c 1 3; ln -s /nowhere link; cp many.lua mine.lua; mkfifo fifo
for file in null link mine.lua fifo; do
  before=$(stat -c '%F %s' $file)
  holds "a trace does not replace $file" "--trace $file: " "$("$LUABOX" run --trace $file many.lua 2>&1)"
  equal "$file stays" "$before" "$(stat -c '%F %s' $file)"
done
echo '{"a": 1}' > other.json
holds "a file that is no trace is told" "no trace" "$("$LUABOX" trace other.json 2>&1)"
equal "a name that spreads over lines is told in one" 'luabox: a\10b: No such file or directory' "$("$LUABOX" trace $'a\nb' 2>&1)"
holds "a file that is no JSON is told" "other.txt" "$(echo nonsense > other.txt; "$LUABOX" trace other.txt 2>&1)"
holds "trace without a file is told" "luabox help trace" "$("$LUABOX" trace 2>&1)"

# every file is one that Perfetto takes, whatever became of the start
equal "the parent is the first track, and each has its names" True "$(ask '{x["name"] for x in data["traceEvents"] if x["ph"] == "M"} == {"process_name", "thread_name", "process_sort_index"} and all(x["pid"] in who for x in e)')"
equal "the events are in the order of their time" True "$(ask '[x["ts"] for x in e] == sorted(x["ts"] for x in e)')"
script "mounts = { bind { '$work/data', '/it is \"quoted\" \\\\ \\1 \\200' } }" "command = { '/bin/true' }"
"$LUABOX" run --trace trace.json box.lua; holds "arguments with quotes and odd bytes" 'it is "quoted"' "$(ask '[x["args"]["arguments"] for x in inside if "quoted" in x["args"].get("arguments", "")][0]')"
script "command = { '/bin/sleep', '60' }"; rm trace.json; "$LUABOX" run --name traced-$$ --trace trace.json box.lua & run=$!
within 5 test -s trace.json; equal "while it runs it is a trace without events" 0 "$(ask 'len(e)')"
within 10 "$LUABOX" exec traced-$$ /bin/true; kill -9 $run; wait $run 2> /dev/null; "$LUABOX" gc > /dev/null
equal "so it is after SIGKILL" 0 "$(ask 'len(e)')"; holds "and luabox trace says so" "holds no events" "$("$LUABOX" trace trace.json 2>&1)"
python3 -c 'print("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[" + " " * 20000000 + "]}")' > trace.json
succeeds "a large trace is replaced as any" "$LUABOX" run --trace trace.json many-ok.lua

leaves_nothing "nothing is left behind"
finish
