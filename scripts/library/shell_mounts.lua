-- shell_mounts.lua: mounts and files as a shell has them, for shell_script.lua.
local words = require "luabox.shell_words"

local quote, below = words.quote, words.below

local steps = {}

-- ---- mounts

local FLAGS = { { "read_only", "ro" }, { "nosuid", "nosuid" }, { "nodev", "nodev" }, { "noexec", "noexec" }, { "noatime", "noatime" } }
local DATA = { inodes = "nr_inodes" }
for word in ("size mode uid gid ptmxmode hidepid subset"):gmatch "%a+" do DATA[word] = word end

local function flags_of(options, defaults)
  local list = {}
  for _, flag in ipairs(FLAGS) do
    local value = options[flag[1]]
    if value == nil then value = defaults[flag[1]] end
    if value then list[#list + 1] = flag[2] end
  end
  return list
end

local SEALED = { nosuid = true, nodev = true, noexec = true }

local function data_of(options)
  local names, list = {}, {}
  for name in pairs(options) do
    if DATA[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do list[#list + 1] = DATA[name] .. "=" .. tostring(options[name]) end
  return list
end

--- How each kind of tree is mounted: type, source, flags, data.
local makes = {}

function makes.make_proc(options) return "proc", "proc", flags_of(options, SEALED), data_of(options) end
function makes.make_sysfs(options) return "sysfs", "sysfs", flags_of(options, SEALED), {} end
function makes.make_mqueue(options) return "mqueue", "mqueue", flags_of(options, SEALED), {} end
function makes.make_tmpfs(options) return "tmpfs", "tmpfs", flags_of(options, { nosuid = true, nodev = true }), data_of(options) end

function makes.make_devpts(options)
  local data = data_of(options)
  if not options.ptmxmode then data[#data + 1] = "ptmxmode=666" end
  return "devpts", "devpts", flags_of(options, { nosuid = true, noexec = true }), data
end

function makes.make_cgroup(options)
  local data = {}
  for _, controller in ipairs(options.controllers or {}) do data[#data + 1] = controller end
  if options.name then data = { "none", "name=" .. options.name } end
  return options.v2 and "cgroup2" or "cgroup", "cgroup", flags_of(options, SEALED), data
end

function makes.make_overlay(options)
  local data = { "lowerdir=" .. table.concat(options.lower or {}, ":") }
  if options.upper then data[#data + 1] = "upperdir=" .. options.upper end
  if options.work then data[#data + 1] = "workdir=" .. options.work end
  for _, word in ipairs { "userxattr", "volatile" } do
    if options[word] then data[#data + 1] = word end
  end
  return "overlay", "overlay", flags_of(options, {}), data
end

local function object_of(value) return type(value) == "table" and value.object or nil end

--- mount.make(type, { source =, options =, flags = })
local function make_any(options) return options.type, options.source or options.type, flags_of(options.flags or {}, {}), { options.options } end

local function joined(a, b)
  local all = {}
  for _, list in ipairs { a, b } do
    for _, word in ipairs(list) do all[#all + 1] = word end
  end
  return table.concat(all, ",")
end

local function mount(self, tree, path)
  if tree.source then
    self:line("mount --%s %s %s", tree.recursive and "rbind" or "bind", quote(tree.source), quote(path))
  else
    local kind, source, flags, data = (makes[tree.make] or make_any)(tree.options)
    -- "ro" here would hold for the file system, which others may have mounted too; below it holds for this mount.
    if flags[1] == "ro" then tree.restricted = tree.restricted or { read_only = true } end
    local options = joined(flags[1] == "ro" and { unpack(flags, 2) } or flags, data)
    tree.flags = {}
    for _, flag in ipairs(FLAGS) do
      for _, word in ipairs(flags) do tree.flags[flag[1]] = tree.flags[flag[1]] or word == flag[2] end
    end
    self:line("mount -t %s %s%s %s", kind, options ~= "" and "-o " .. quote(options) .. " " or "", source, quote(path))
  end
  tree.path = path
  for _, filled in ipairs(tree.filled) do filled(self) end
  local flags = flags_of(tree.restricted or {}, tree.flags or {})
  if tree.restricted and #flags > 0 then
    local form = tree.recursive and "sh -c \"$restrict\" sh %s %s" or "mount -o remount,bind,%s %s"
    self:line(form, table.concat(flags, ","), quote(path))
  end
  if tree.propagation then self:line("mount --make-r%s %s", tree.propagation, quote(path)) end
end

--- What is done to a tree before it is attached is done after, by its path.
local function in_tree(self, step, act)
  local base, tree = self:base(step.arguments[1])
  if base then return act(self, base) end
  if not tree then return self:none(step, "the tree is not known") end
  tree.filled[#tree.filled + 1] = function(script) act(script, tree.path) end
end

for make in pairs(makes) do
  steps["mount." .. make] = function(self, step)
    self.trees[step.result.object] = { make = make, options = step.arguments[1] or {}, filled = {} }
  end
end

steps["mount.make"] = function(self, step)
  local options = { type = step.arguments[1] }
  for name, value in pairs(step.arguments[2] or {}) do options[name] = value end
  if type(options.options) == "table" then
    local list = {}
    for name, value in pairs(options.options) do list[#list + 1] = type(name) == "number" and value or name .. "=" .. tostring(value) end
    table.sort(list)
    options.options = table.concat(list, ",")
  end
  self.trees[step.result.object] = { make = "any", options = options, filled = {} }
end

steps["mount.copy_of"] = function(self, step)
  local options = step.arguments[2] or {}
  self.trees[step.result.object] = { source = step.arguments[1], recursive = options.recursive ~= false, filled = {} }
end

steps["mount.copy_in"] = function(self, step)
  local options = step.arguments[3] or {}
  local source = below(self:base(step.arguments[1]), step.arguments[2])
  self.trees[step.result.object] = { source = source, recursive = options.recursive ~= false, filled = {} }
end

steps["mount:restrict_to"] = function(self, step)
  local tree = self.trees[step.arguments[1].object] or {}
  tree.restricted = tree.restricted or {}
  for name, value in pairs(step.arguments[2] or {}) do tree.restricted[name] = tree.restricted[name] or value end
end

steps["mount:propagation"] = function(self, step)
  local tree = self.trees[step.arguments[1].object]
  if tree then tree.propagation = step.arguments[2] end
end

local function target(self, path, kind)
  if kind == "file" then
    self:line("[ -e %s ] || { mkdir -p %s && touch %s; }", quote(path), quote(path:match "^(.+)/[^/]*$" or "/"), quote(path))
  elseif kind then
    self:line("mkdir -p %s", quote(path))
  end
end

--- The tree that is to be attached; nil where it was made by a step that has no form.
local function tree_of(self, step)
  local tree = self.trees[step.arguments[1].object]
  if not tree then self:none(step, "the tree is not known") end
  return tree
end

steps["mount:attach"] = function(self, step)
  local tree, options = tree_of(self, step), step.arguments[4] or {}
  local base = self:base(step.arguments[2])
  if not tree or not base then return end
  local path = below(base, step.arguments[3])
  target(self, path, options.create)
  if options.create == "file" then tree.recursive = false end  -- nothing is mounted below one
  mount(self, tree, path)
end

steps["mount:attach_at"] = function(self, step)
  local tree, path = tree_of(self, step), self:moved(step.arguments[2])
  if not tree then return end
  if path == self.folder .. "/.shell" then self.covered[path] = true end
  mount(self, tree, path)
end

steps["mount.propagation"] = function(self, step) self:line("mount --make-r%s %s", step.arguments[2], quote(step.arguments[1])) end
steps["mount.umount"] = function(self, step)
  local detach = step.arguments[2] and step.arguments[2].detach
  self:line("%s %s%s", self:tool "umount", detach and "-l " or "", quote(step.arguments[1]))
end
steps["mount.move"] = function(self, step) self:line("mount --move %s %s", quote(step.arguments[1]), quote(step.arguments[2])) end
steps["mount:idmap"] = function(self, step)
  self:none(step, "mount(8) has it since util-linux 2.39 (-o X-mount.idmap=), and Debian 12 has 2.38")
end
steps["mount.private"] = function(self, step) self:line("mount --make-rprivate %s", quote(step.arguments[1])) end
steps["mount.verify_procfs"] = function() end

steps["mount.bind"] = function(self, step)
  local options = step.arguments[3] or {}
  mount(self, { source = step.arguments[1], recursive = options.recursive ~= false, filled = {}, restricted = options }, step.arguments[2])
end

for name in pairs { proc = 1, sysfs = 1, mqueue = 1, tmpfs = 1, devpts = 1, cgroup = 1, overlay = 1 } do
  steps["mount." .. name] = function(self, step)
    mount(self, { make = "make_" .. name, options = step.arguments[2] or {}, filled = {} }, step.arguments[1])
  end
end

--- A loop over those of the paths that are there, as $path.
local function for_paths(self, step, lines)
  local base, list = self:base(step.arguments[1]), {}
  if not base then return self:none(step, "the tree is not known") end
  for i, path in ipairs(step.arguments[2]) do list[i] = quote(below(base, path)) end
  if #list == 0 then return end
  self:line("for path in %s; do", table.concat(list, " "))
  for _, line in ipairs(lines) do self:line("  " .. line) end
  self:line "done"
end

steps["mount.mask"] = function(self, step)
  for_paths(self, step, { 'if [ -d "$path" ]; then', '  mount -t tmpfs -o ro,nosuid,nodev,noexec,mode=555 tmpfs "$path"',
    'elif [ -e "$path" ]; then', '  mount --bind /dev/null "$path"', '  mount -o remount,bind,ro,nosuid,noexec "$path"', "fi" })
end

steps["mount.make_read_only"] = function(self, step)
  for_paths(self, step, { 'if [ -e "$path" ]; then', '  mount --rbind "$path" "$path"', '  sh -c "$restrict" sh ro "$path"', "fi" })
end

steps["mount.remount"] = function(self, step)
  local flags = table.concat(flags_of(step.arguments[2] or {}, {}), ",")
  self:line("%s -o remount,bind,%s %s", self:tool "mount", flags, quote(step.arguments[1]))
end

--- The tools are the host's: they stay within reach through a descriptor, though no path leads there any more.
steps["mount.pivot_root"] = function(self, step)
  local root = object_of(step.arguments[1]) and self:base(step.arguments[1]) or step.arguments[1]
  self:line "exec 8</"
  self:line("cd %s", quote(root))
  self:line "pivot_root . ."
  self:line "cd /proc/self/fd/8"
  self.inside_root = true
  self:line("%s --no-canonicalize -l .", self:tool "umount")
  self:line "cd /"
end

--- As pivot_root leaves it, but for the old root, which stays mounted.
steps["mount.chroot"] = function(self, step)
  self:none(step, "chroot(8) runs a program in it at once, and what comes before that one takes the tools of the host")
end

-- ---- files in a root

steps["root:ensure_target"] = function(self, step)
  local options = step.arguments[3] or {}
  target(self, below(self:base(step.arguments[1]), step.arguments[2]), options.kind or "directory")
end
steps["root:make_directory"] = function(self, step)
  in_tree(self, step, function(script, base) script:line("mkdir -p %s", quote(below(base, step.arguments[2]))) end)
end
steps["root:symlink"] = function(self, step)
  in_tree(self, step, function(script, base) script:line("ln -s %s %s", quote(step.arguments[2]), quote(below(base, step.arguments[3]))) end)
end
steps["root:mknod"] = function(self, step)
  local options = step.arguments[3]
  in_tree(self, step, function(script, base)
    local letter = options.type == "block" and "b" or options.type == "fifo" and "p" or "c"
    local path = quote(below(base, step.arguments[2]))
    script:line("mknod -m %s %s %s %d %d", options.mode or "0666", path, letter, options.major or 0, options.minor or 0)
  end)
end
steps["root:write"] = function(self, step)
  in_tree(self, step, function(script, base)
    local append = step.arguments[4] and step.arguments[4].append
    if step.arguments[2]:find "[^/]/" then script:line("mkdir -p %s", quote((below(base, step.arguments[2]):match "^(.+)/[^/]*$"))) end
    script:line("%s %s %s", words.print(step.arguments[3]), append and ">>" or ">", quote(below(base, step.arguments[2])))
  end)
end
steps["root:chmod"] = function(self, step)
  in_tree(self, step, function(script, base) script:line("chmod %s %s", quote(step.arguments[3]), quote(below(base, step.arguments[2]))) end)
end
steps["root:chown"] = function(self, step)
  local owner = step.arguments[3] or {}
  in_tree(self, step, function(script, base)
    script:line("chown -h %s:%s %s", tostring(owner.uid or ""), tostring(owner.gid or ""), quote(below(base, step.arguments[2])))
  end)
end
steps["root:remove"] = function(self, step)
  local path = quote(below(self:base(step.arguments[1]) or "", step.arguments[2]))
  self:line("if [ -d %s ]; then rmdir %s; else rm %s; fi", path, path, path)
end
steps["root:enter"] = function(self, step) self:line("cd %s", quote(step.arguments[2])) end

-- ---- files by their paths

steps["file.make_directories"] = function(self, step) self:line("mkdir -p %s", quote(step.arguments[1])) end
steps["file.make_directory"] = function(self, step) self:line("mkdir %s", quote(step.arguments[1])) end
steps["file.temporary"] = function(self, step)
  local path = quote(step.result)
  self:line("mkdir -m 700 %s", path)
  self:made("rm -rf --one-file-system %s", path)
end
steps["file.set"] = function(self, step) self:line("%s > %s", words.print(step.arguments[2]), quote(step.arguments[1])) end
steps["file.append"] = function(self, step) self:line("%s >> %s", words.print(step.arguments[2]), quote(step.arguments[1])) end

--- A file that is luabox's own, and that the container sees, goes with the script.
steps["file.write"] = function(self, step)
  local path = step.arguments[1]
  if step.noise then
    self:line("mkdir -p %s", quote(path:match "^(.+)/[^/]*$" or "/"))
    self:made("rm -f %s; rmdir -p --ignore-fail-on-non-empty %s", quote(path), quote(path:match "^(.+)/[^/]*$" or "/"))
  end
  steps["file.set"](self, step)
end
steps["file.rename"] = function(self, step) self:line("mv -T %s %s", quote(step.arguments[1]), quote(step.arguments[2])) end
steps["file.remove"] = function(self, step) self:line("rm -f %s", quote(step.arguments[1])) end
steps["mount.remove_tree"] = function(self, step) self:line("rm -rf --one-file-system %s", quote(step.arguments[1])) end

return steps
