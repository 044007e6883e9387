local harness = require "harness"; local test, check = harness.test, harness.check
local sys = require "luabox.sys"
local user = sys.user

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function in_child(body)
  local child = sys.clone({}, function()
    body()
    os.exit(0)
  end)
  pcall(child.release, child)
  check.equal(child:wait(), 0, "the child's exit status")
end

test("a child's ids are those that its maps tell", function()
  local child = sys.clone({ namespaces = "user" }, function()
    user.set_ids { uid = 5, gid = 6, groups = {} }
    local text = read "/proc/self/status"
    check.truthy(text:find "Uid:\t5\t5\t5\t5", "uid 5")
    check.truthy(text:find "Gid:\t6\t6\t6\t6", "gid 6")
    os.exit(0)
  end)
  user.write_id_maps(child, { uid = { "0 100000 10" }, gid = { { inside = 0, outside = 200000, count = 10 } } })
  check.equal((read("/proc/" .. child:pid() .. "/uid_map"):gsub("%s+", " ")), " 0 100000 10 ")
  check.raises("written once", user.write_id_maps, child, { uid = { "0 0 1" } })
  pcall(child.release, child)
  check.equal(child:wait(), 0)
end)

test("a wrong map is refused with the reason", function()
  local pid = 1
  check.raises("three whole numbers", user.write_id_maps, pid, { uid = { "0 1" } })
  check.raises("ids end at 4294967294", user.write_id_maps, pid, { uid = { "1 0 4294967295" } })
  check.raises("overlaps", user.write_id_maps, pid, { uid = { "0 0 10", "5 100 1" } })
  check.raises("the count is 0", user.write_id_maps, pid, { uid = { "0 0 0" } })
  check.raises("unknown option 'outsied' (did you mean 'outside'?)", user.write_id_maps, pid, { uid = { { outsied = 5 } } })
  check.raises("expected one of 'allow', 'deny'", user.write_id_maps, pid, { setgroups = true })
  check.raises("unknown option 'uids'", user.write_id_maps, pid, { uids = {} })
end)

test("ids are checked before they are set", function()
  check.raises("option 'uid': expected a whole number in range", user.set_ids, { uid = -1 })
  check.raises("it is no id", user.set_ids, { uid = 4294967295 })
  check.raises("option 'groups': expected a list", user.set_ids, { uid = 0, groups = 5 })
  check.raises("groups and keep_groups can't both be meant", user.set_ids, { uid = 0, groups = { 5 }, keep_groups = true })
  check.raises("unknown option 'groupz' (did you mean 'groups'?)", user.set_ids, { groupz = {} })
end)

test("a user is looked up in the image's own texts", function()
  local found = user.lookup("app:x:1000:100::/srv:/bin/sh\n", "audio:x:29:app\n", "app")
  check.equal(found.uid, 1000)
  check.equal(found.gid, 100)
  check.equal(found.groups[1], 29)
  check.equal(found.home, "/srv")
  check.equal(user.lookup("", "", "7:8").gid, 8)
  check.equal(user.lookup("a\0b:x:0:0::/:\n", "", "7").uid, 7)
  check.equal(check.raises("the image's /etc/passwd doesn't have it", user.lookup, "", "", "app").code, "ENOENT")
end)

test("a limit is set, and its old value returned", function()
  in_child(function()
    user.rlimit("nofile", { soft = 64, hard = 128 })
    local old = user.rlimit("nofile", { soft = 32 })
    check.equal(old.soft, 64)
    check.equal(old.hard, 128)
    check.truthy(read("/proc/self/limits"):find "Max open files%s+32%s+128", "the kernel's own view")
    user.rlimit("core", { soft = "0" })
    check.equal(user.rlimit("core").soft, 0)
  end)
  check.raises("did you mean 'nofile'?", user.rlimit, "nofiles")
  check.raises("expected 'unlimited' or a whole number", user.rlimit, "nofile", { soft = "infinite" })
  check.raises("exceeds the hard one", user.rlimit, "nofile", { soft = 10, hard = 5 })
  check.raises("unknown option 'sotf' (did you mean 'soft'?)", user.rlimit, "nofile", { sotf = 1 })
end)

test("the umask is octal text or a number, and the old one comes back", function()
  in_child(function()
    user.umask "027"
    check.equal(user.umask(18), 23)
    check.equal(user.umask "022", 18)
  end)
  check.raises("expected octal digits", user.umask, "rwx")
  check.raises("expected at most 0777", user.umask, 4096)
end)

test("niceness, the out-of-memory score and the rest are what was set", function()
  in_child(function()
    user.nice(3)
    user.oom_score_adj(77)
    check.equal(read "/proc/self/oom_score_adj", "77\n")
    check.equal(read("/proc/self/stat"):match "%) (.*)":match(("%S+ "):rep(16) .. "(%S+)"), "3")
    user.scheduling { policy = "batch" }
    user.affinity { 0 }
    user.io_priority { class = "best_effort", level = 7 }
    user.personality "linux no_randomize"
    check.equal(read("/proc/self/personality"), "00040000\n")
  end)
  check.raises("expected -20 to 19", user.nice, 20)
  check.raises("did you mean 'no_randomize'?", user.personality, "norandomize")
  check.raises("unknown word 'normall' (did you mean 'normal'?)", user.scheduling, { policy = "normall" })
end)

test("subordinate ids of an unknown user are none", function()
  local ranges = user.subids "no-such-user-here"
  check.equal(#ranges.uid, 0)
  check.equal(#ranges.gid, 0)
end)

harness.finish()
