-- luabox.sys.mount in a mount namespace of its own; the effects are looked at through io and os.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"
local mount, file = sys.mount, sys.file

if sys.uid() ~= 0 then
  test("mount, in a namespace of its own", function() harness.skip "needs root" end)
  harness.finish()
end
sys.unshare "mount"
mount.private "/"

local function read(path)
  local stream = io.open(path, "rb")
  if not stream then return nil end
  local text = stream:read "*a"
  stream:close()
  return text
end

--- Why `path` can't be opened for writing; nil when it can.
local function write_problem(path)
  local stream, problem = io.open(path, "w")
  if stream then stream:close() end
  return problem
end

local function output(command)
  local pipe = io.popen(command .. " 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  return text
end

--- `body` gets a folder on a tmpfs of its own; afterwards both are gone.
local function in_folder(body)
  local path = file.temporary "/tmp/luabox-test-"
  mount.tmpfs(path)
  local ok, problem = pcall(body, path)
  mount.umount(path, { detach = true })
  if not ok then error(problem, 0) end
  mount.remove_tree(path)
end

-- ---- roots

test("a root writes, reads and lists inside itself", function()
  in_folder(function(path)
    local root = mount.root(path)
    root:write("/etc/motd", "hello\0\n", { mode = "600" })
    root:write("/etc/motd", "more", { append = true })
    check.equal(read(path .. "/etc/motd"), "hello\0\nmore")
    check.equal(root:read "etc/motd", "hello\0\nmore")
    check.contains(output("stat -c %a " .. path .. "/etc/motd"), "600")
    root:symlink("/etc", "link")
    root:make_directory("/a/b", { mode = "1777" })
    check.equal(table.concat(root:list "/", " "), "a etc link")
    check.contains(output("stat -c %a " .. path .. "/a/b"), "1777")
    check.equal(root:kind "link", "directory")
    check.equal(root:kind("link", { follow = false }), "symlink")
    check.equal(root:kind "/none", nil)
    root:remove "link"
    check.equal(root:kind("link", { follow = false }), nil)
    check.equal(check.raises("File too large", root.read, root, "etc/motd", { limit = 3 }).code, "EFBIG")
  end)
end)

test("a root does not follow the image's symlinks out", function()
  in_folder(function(path)
    file.make_directories(path .. "/root")
    os.execute(("ln -s %s %s/root/out; echo host > %s/secret"):format(path, path, path))
    local root = mount.root(path .. "/root")
    check.equal(check.raises("No such file", root.read, root, "/out/secret").path, path .. "/root/out/secret")
    root:write("/out/made", "x")
    check.equal(read(path .. "/made"), nil)
    check.equal(read(path .. "/root" .. path .. "/made"), "x")
  end)
end)

test("nodes, owners and modes are as given", function()
  in_folder(function(path)
    local root = mount.root(path)
    root:mknod("dev/null", { type = "char", major = 1, minor = 3, mode = "620", uid = 3, gid = 4 })
    check.contains(output("stat -c '%F %t:%T %a %u:%g' " .. path .. "/dev/null"), "character special file 1:3 620 3:4")
    root:mknod("fifo", { type = "fifo" })
    check.equal(root:kind "fifo", "fifo")
    check.raises("is a fifo, expected a regular file", root.write, root, "fifo", "text")
    root:chown("dev", { gid = 9 })
    root:chmod("dev", "0701")
    check.contains(output("stat -c '%a %u:%g' " .. path .. "/dev"), "701 0:9")
  end)
end)

test("ensure_target returns what it made, parents first", function()
  in_folder(function(path)
    local root = mount.root(path)
    check.equal(table.concat(root:ensure_target("/a/b/c", { kind = "file" }), " "), "/a /a/b /a/b/c")
    check.equal(#root:ensure_target "/a/b", 0)
    check.raises("is a file, expected a directory", root.ensure_target, root, "/a/b/c")
  end)
end)

test("a root says what is wrong with its arguments", function()
  local root = mount.root "/"
  check.raises("argument 2: expected a string, got the number 1", root.kind, root, 1)
  check.raises("unknown option 'folow' (did you mean 'follow'?)", root.kind, root, "x", { folow = true })
  check.raises("option 'mode': expected an octal mode such as '755', got the number 493", root.make_directory, root, "x", { mode = 493 })
  check.raises("expected an octal mode such as '755', got '789'", root.chmod, root, "x", "789")
  check.raises("expected an octal mode", root.chmod, root, "x", "17777")
  check.raises("option 'type': unknown word 'chr' (did you mean 'char'?)", root.mknod, root, "x", { type = "chr" })
  check.raises("argument 1: expected a root, got table", root.read, {}, "x")
  check.raises("expected a path that ends in a name", root.remove, root, "/")
  check.equal(check.raises("No such file", mount.root, "/no/such").code, "ENOENT")
end)

-- ---- trees

test("a tree is filled and closed before it is attached", function()
  in_folder(function(path)
    local tree = mount.make_tmpfs { size = 65536, mode = "700", nodev = false }
    tree:root():mknod("null", { major = 1, minor = 3 })
    tree:root():write("file", "text")
    tree:restrict_to { read_only = true }
    check.raises("Read-only file system", tree:root().write, tree:root(), "file", "")
    check.equal(tree:is_directory(), true)
    check.equal(table.concat(tree:attach(mount.root(path), "/x/dev", { create = "directory" }), " "), "/x /x/dev")
    check.contains(write_problem(path .. "/x/dev/file"), "Read-only file system")
    check.equal(write_problem(path .. "/x/dev/null"), nil)
    check.raises("the mount was already used up by attach", tree.restrict_to, tree, {})
    check.raises("the mount was already used up by attach", tree.attach_at, tree, path)
  end)
end)

test("a tree copied from inside a root goes where it is attached", function()
  in_folder(function(path)
    local root = mount.root(path)
    root:write("/etc/hosts", "one")
    mount.copy_in(root, "/etc/hosts"):attach(root, "/b/hosts", { create = "file" })
    check.equal(read(path .. "/b/hosts"), "one")
    check.raises("a file can't be mounted on a directory", function() mount.copy_in(root, "/etc/hosts"):attach(root, "/etc") end)
    root:symlink("/etc", "/link")
    check.raises("Too many levels of symbolic links", function()
      mount.copy_of(path .. "/etc"):attach(root, "/link", { no_symlinks = true })
    end)
  end)
end)

test("an id map shows other owners", function()
  in_folder(function(path)
    local pipe = io.popen "exec unshare -U sh -c 'echo $$; exec sleep 5'"
    local pid = tonumber(pipe:read "*l")
    file.set("/proc/" .. pid .. "/uid_map", "0 70000 10\n")
    file.set("/proc/" .. pid .. "/gid_map", "0 70000 10\n")
    local tree = mount.make_tmpfs()
    tree:root():write("file", "")
    tree:idmap(sys.namespace(pid, "user"))
    check.raises("has no id-mapped mounts here", function() mount.make_sysfs():idmap(sys.namespace(pid, "user")) end)
    os.execute(("kill %d; mkdir %s/target"):format(pid, path))
    pipe:close()
    tree:attach_at(path .. "/target")
    check.contains(output("stat -c %u " .. path .. "/target/file"), "70000")
    check.raises("argument 2: expected a descriptor, got the number 3", tree.idmap, mount.make_tmpfs(), 3)
  end)
end)

test("trees say what is wrong with their arguments", function()
  check.raises("unknown option 'readonly' (did you mean 'read_only'?)", mount.make_tmpfs, { readonly = true })
  check.raises("option 'size': expected a text, a whole number or true, got table", mount.make_tmpfs, { size = {} })
  check.raises("tmpfs: Bad value for 'size'", mount.make, "tmpfs", { options = { size = "many" } })
  check.raises("tmpfs: Unknown parameter 'sise'", mount.make, "tmpfs", { options = { sise = true } })
  check.raises("only one of noatime, relatime and strictatime", mount.make_tmpfs, { noatime = true, relatime = true })
  check.raises("at least one lower directory", mount.make_overlay, {})
  check.raises("option 'lower': item 1: expected a string", mount.make_overlay, { lower = { 1 } })
  check.raises("either v2, or a v1 hierarchy", mount.make_cgroup, {})
  local tree = mount.make_tmpfs()
  check.raises("unknown word 'privat' (did you mean 'private'?)", tree.propagation, tree, "privat")
  check.raises("option 'clear': unknown option 'nosuit'", tree.set_flags, tree, { clear = { nosuit = true } })
  check.raises("argument 2: expected a root, got '/'", tree.attach, tree, "/", "/x")
  check.raises("option 'create': unknown word 'folder'", tree.attach, tree, mount.root "/", "/x", { create = "folder" })
end)

-- ---- paths

test("a read-only bind is so below its submounts", function()
  in_folder(function(path)
    os.execute(("mkdir -p %s/source/sub %s/target"):format(path, path))
    mount.tmpfs(path .. "/source/sub")
    mount.bind(path .. "/source", path .. "/target", { read_only = true })
    check.contains(write_problem(path .. "/target/file"), "Read-only")
    check.contains(write_problem(path .. "/target/sub/file"), "Read-only")
    check.equal(write_problem(path .. "/source/sub/file"), nil)
    mount.remount(path .. "/target", { clear = { read_only = true } })
    check.equal(write_problem(path .. "/target/sub/file"), nil)
    mount.remount(path .. "/target", { read_only = true, recursive = false })
    check.equal(write_problem(path .. "/target/sub/file"), nil)
    check.contains(write_problem(path .. "/target/file"), "Read-only")
  end)
end)

test("each file system comes with its content and safe flags", function()
  in_folder(function(path)
    os.execute(("cd %s && mkdir proc sys pts mq over moved lower"):format(path))
    mount.proc(path .. "/proc", { hidepid = 2 })
    mount.sysfs(path .. "/sys", { read_only = true })
    mount.devpts(path .. "/pts", { mode = "600" })
    mount.mqueue(path .. "/mq")
    mount.overlay(path .. "/over", { lower = { path .. "/lower", "/etc" } })
    local table_of_mounts = read "/proc/self/mounts"
    for name, options in pairs { proc = "rw,nosuid,nodev,noexec", sys = "ro,nosuid,nodev,noexec", pts = "rw,nosuid,noexec" } do
      check.contains(table_of_mounts:match("\n[^\n]*" .. path:gsub("%p", "%%%0") .. "/" .. name .. " [^\n]*"), options)
    end
    check.contains(table_of_mounts, "hidepid=invisible")
    check.contains(table_of_mounts, "mode=600,ptmxmode=666")
    check.contains(output("ls " .. path .. "/over"), "passwd")
    check.equal(mount.is_procfs(path .. "/proc"), true)
    check.equal(mount.is_procfs(mount.root(path .. "/sys")), false)
    check.raises("is not the root of a procfs", mount.verify_procfs, mount.root(path), "/sys")
    mount.move(path .. "/over", path .. "/moved")
    check.contains(output("ls " .. path .. "/moved"), "passwd")
    mount.umount(path .. "/moved")
    check.raises("nothing is mounted there", mount.umount, path .. "/moved")
    check.raises("argument 1: expected a root or a path, got nil", mount.is_procfs, nil)
  end)
end)

test("masks hide, read-only paths refuse, and missing ones are passed over", function()
  in_folder(function(path)
    local root = mount.root(path)
    root:write("/proc/kcore", "secret")
    root:write("/proc/acpi/event", "secret")
    root:write("/proc/sys/value", "1")
    mount.mask(root, { "/proc/kcore", "/proc/acpi", "/proc/none" })
    mount.make_read_only(root, { "/proc/sys", "/proc/none" })
    check.equal(read(path .. "/proc/kcore"), "")
    check.equal(#root:list "/proc/acpi", 0)
    check.contains(write_problem(path .. "/proc/sys/value"), "Read-only")
    check.equal(read(path .. "/proc/sys/value"), "1")
    check.raises("argument 2: item 1: expected a string", mount.mask, root, { 1 })
    check.raises("is the root itself, which nothing can be mounted over", mount.mask, root, { "/" })
    check.raises("is the root itself, which nothing can be mounted over", mount.make_read_only, root, { "/proc/.." })
  end)
end)

test("pivot_root and chroot end in the new root alone", function()
  in_folder(function(path)
    mount.root(path):write("/here", "")
    for _, change in ipairs { "pivot_root", "chroot" } do
      local child = sys.clone({ namespaces = "mount" }, function()
        mount.private "/"
        mount[change](change == "chroot" and path or mount.root(path))
        local root = mount.root "."
        sys.exit(root:kind "here" == "file" and #mount.root("/"):list "/" == 1 and 0 or 1)
      end)
      pcall(child.release, child)
      check.equal(child:wait(), 0, change)
    end
  end)
end)

test("a tree is measured and removed, and its symlinks' targets stay", function()
  in_folder(function(path)
    os.execute(("mkdir -p %s/t/a/b %s/kept && cd %s && head -c 50000 /dev/zero > t/a/b/f && ln -s ../kept t/l && touch kept/f")
      :format(path, path, path))
    check.truthy(mount.tree_size(path .. "/t") >= 50000)
    mount.remove_tree(path .. "/t")
    check.equal(file.kind(path .. "/t"), nil)
    check.equal(read(path .. "/kept/f"), "")
    mount.remove_tree(path .. "/t")
    os.execute("mkdir " .. path .. "/m")
    mount.tmpfs(path .. "/m")
    check.raises("something is mounted there", mount.remove_tree, path .. "/m")
    check.raises("expected a path that ends in a name", mount.remove_tree, "/")
  end)
end)

harness.finish()
