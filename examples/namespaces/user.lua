-- A user namespace: one's own root. Until somebody outside has written which ids mean which, all ids in it are 65534.
-- Prints the ids of one process before and after its maps were written, with what it may do; then a range of ids, and setgroups.
-- Needs nothing; for the range root, or lines in /etc/subuid and /etc/subgid and uidmap (newuidmap).
local sys = require "luabox.sys"

local uid, gid = sys.uid(), sys.gid()
local own = { uid = { ("0 %d 1"):format(uid) }, gid = { ("0 %d 1"):format(gid) }, setgroups = "deny" }
local SHOW = 'echo "$0: uid $(id -u) gid $(id -g), capabilities $(sed -n s/CapEff:.//p /proc/$$/status)"; '

-- Written too late: the exec found no root, and took the capabilities away.
local late = sys.clone({ namespaces = "user" }, function()
  sys.exec { "/bin/sh", "-c", ('set "$0"; %s kill -STOP $$; %s'):format(SHOW, SHOW:gsub("%$0", "maps too late")), "no maps" }
end)
late:release()
while not sys.file.read(("/proc/%d/stat"):format(late:pid())):find ") T " do sys.sleep(0.01) end
sys.user.write_id_maps(late, own)
late:kill "CONT"
late:wait()

--- A process that waits at its birth, by the pipe between both, until its maps are written.
local function run(who, write, command)
  local process = sys.clone({ namespaces = "user" }, function()
    sys.user.set_ids { uid = 0, gid = 0, keep_capabilities = true }  -- one's old id need not be among those that are mapped
    sys.exec { "/bin/sh", "-c", command, who }
  end)
  write(process)
  process:release()
  process:wait()
end

local GROUPS = 'setpriv --groups 1,2 true 2>&1 && echo "$0: setgroups is allowed"'
run("one id", function(process) sys.user.write_id_maps(process, own) end, SHOW .. GROUPS)

-- A range. Root writes it itself; for others the set-uid programs newuidmap and newgidmap do, as far as /etc/subuid and /etc/subgid say.
local subids = sys.user.subids(os.getenv "USER" or "")
local range = subids.uid[1] and subids.gid[1]
if uid ~= 0 and not range then return print "a range: /etc/subuid and /etc/subgid have none for this user" end
run("a range", function(process)
  if uid == 0 then
    sys.user.write_id_maps(process, { uid = { "0 100000 65536" }, gid = { "0 100000 65536" } })
    return
  end
  for program, map in pairs { newuidmap = { uid, subids.uid[1] }, newgidmap = { gid, subids.gid[1] } } do
    os.execute(("%s %d 0 %d 1 1 %.0f %.0f"):format(program, process:pid(), map[1], map[2].first, map[2].count))
  end
end, SHOW .. [[echo "$0: $(tail -n 1 /proc/self/uid_map | xargs)"; setpriv --reuid 7 --regid 7 --clear-groups id -u; ]] .. GROUPS)
