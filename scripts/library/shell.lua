-- shell.lua: a plan (plan.lua) as a shell script of unshare, mount, ip, nft, setpriv and echo that does the same.
--
-- Where the shell has no form of a step a comment says so. The script follows paths by their strings, as the tools do.
local shell = {}

local Script = {}
Script.__index = Script

-- ---- words

local function quote(value)
  local text = tostring(value)
  if text:find "^[%w_./:=,@%%+-]+$" then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

function Script:line(text, ...)
  local list = self.lines
  list[#list + 1] = select("#", ...) > 0 and text:format(...) or text
end

function Script:none(step, why)
  self.missing[#self.missing + 1] = step.primitive
  self:line("# no shell form: %s: %s", step.primitive, why)
end

local function object_of(value) return type(value) == "table" and value.object or nil end

--- The tree or the folder that a name of the plan stands for, as a path; nil for a tree that is attached nowhere yet.
function Script:base(name)
  local path = name:match '^root%("(.*)"%)$'
  if path then return path, nil end
  local tree = self.trees[name:match "^(.*):root%(%)$" or name]
  return tree and tree.path, tree
end

local function below(base, path) return (base .. "/" .. path):gsub("/+", "/") end

-- ---- mounts

local FLAGS = { { "read_only", "ro" }, { "nosuid", "nosuid" }, { "nodev", "nodev" }, { "noexec", "noexec" }, { "noatime", "noatime" } }
local DATA = { inodes = "nr_inodes" }
for word in ("size mode uid gid ptmxmode hidepid subset"):gmatch "%a+" do DATA[word] = word end

local function flags_of(options, defaults)
  local words = {}
  for _, flag in ipairs(FLAGS) do
    local value = options[flag[1]]
    if value == nil then value = defaults[flag[1]] end
    if value then words[#words + 1] = flag[2] end
  end
  return words
end

local SEALED = { nosuid = true, nodev = true, noexec = true }

local function data_of(options)
  local names, words = {}, {}
  for name in pairs(options) do
    if DATA[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do words[#words + 1] = DATA[name] .. "=" .. tostring(options[name]) end
  return words
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

local function joined(a, b)
  local all = {}
  for _, list in ipairs { a, b } do
    for _, word in ipairs(list) do all[#all + 1] = word end
  end
  return table.concat(all, ",")
end

function Script:mount(tree, path)
  if tree.source then
    self:line("mount --%s %s %s", tree.recursive and "rbind" or "bind", quote(tree.source), quote(path))
  else
    local kind, source, flags, data = makes[tree.make](tree.options)
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
  for _, filled in ipairs(tree.filled) do filled() end
  local words = flags_of(tree.restricted or {}, tree.flags or {})
  if tree.restricted and #words > 0 then self:line("mount -o remount,bind,%s %s", table.concat(words, ","), quote(path)) end
  if tree.propagation then self:line("mount --make-r%s %s", tree.propagation, quote(path)) end
end

--- What is done to a tree before it is attached is done after, by its path.
function Script:in_tree(step, act)
  local base, tree = self:base(step.arguments[1].object)
  if base then return act(base) end
  if not tree then return self:none(step, "the tree is not known") end
  tree.filled[#tree.filled + 1] = function() act(tree.path) end
end

local steps = {}

for make in pairs(makes) do
  steps["mount." .. make] = function(self, step)
    self.trees[step.result.object] = { make = make, options = step.arguments[1] or {}, filled = {} }
  end
end

steps["mount.copy_of"] = function(self, step)
  local options = step.arguments[2] or {}
  self.trees[step.result.object] = { source = step.arguments[1], recursive = options.recursive ~= false, filled = {} }
end

steps["mount.copy_in"] = function(self, step)
  local options = step.arguments[3] or {}
  local source = below(self:base(step.arguments[1].object), step.arguments[2])
  self.trees[step.result.object] = { source = source, recursive = options.recursive ~= false, filled = {} }
end

steps["mount:restrict_to"] = function(self, step)
  local tree = self.trees[step.arguments[1].object]
  tree.restricted = tree.restricted or {}
  for name, value in pairs(step.arguments[2] or {}) do tree.restricted[name] = tree.restricted[name] or value end
end

steps["mount:propagation"] = function(self, step) self.trees[step.arguments[1].object].propagation = step.arguments[2] end

local function target(self, path, kind)
  if kind == "file" then
    self:line("[ -e %s ] || { mkdir -p %s && touch %s; }", quote(path), quote(path:match "^(.*)/[^/]*$" or "/"), quote(path))
  elseif kind then
    self:line("mkdir -p %s", quote(path))
  end
end

steps["mount:attach"] = function(self, step)
  local options = step.arguments[4] or {}
  local path = below(self:base(step.arguments[2].object), step.arguments[3])
  target(self, path, options.create)
  self:mount(self.trees[step.arguments[1].object], path)
end

steps["mount:attach_at"] = function(self, step)
  local path = step.arguments[2]
  if self.folder and path:sub(1, #self.folder) == self.folder then  -- luabox's state
    target(self, path, "directory")
    self.records[#self.records + 1] = path
  end
  self:mount(self.trees[step.arguments[1].object], path)
end

steps["mount.propagation"] = function(self, step) self:line("mount --make-r%s %s", step.arguments[2], quote(step.arguments[1])) end
steps["mount.private"] = function(self, step) self:line("mount --make-rprivate %s", quote(step.arguments[1])) end
steps["mount.verify_procfs"] = function() end

steps["mount.bind"] = function(self, step)
  local options = step.arguments[3] or {}
  self:mount({ source = step.arguments[1], recursive = options.recursive ~= false, filled = {}, restricted = options }, step.arguments[2])
end

for name in pairs { proc = 1, sysfs = 1, mqueue = 1, tmpfs = 1, devpts = 1, cgroup = 1, overlay = 1 } do
  steps["mount." .. name] = function(self, step)
    self:mount({ make = "make_" .. name, options = step.arguments[2] or {}, filled = {} }, step.arguments[1])
  end
end

steps["mount.mask"] = function(self, step)
  local base = self:base(step.arguments[1].object)
  for _, path in ipairs(step.arguments[2]) do
    local at = quote(below(base, path))
    self:line("if [ -d %s ]; then mount -t tmpfs -o ro,nosuid,nodev,noexec,mode=555 tmpfs %s", at, at)
    self:line("elif [ -e %s ]; then mount --bind /dev/null %s; mount -o remount,bind,ro,nosuid,noexec %s; fi", at, at, at)
  end
end

steps["mount.make_read_only"] = function(self, step)
  local base = self:base(step.arguments[1].object)
  for _, path in ipairs(step.arguments[2]) do
    local at = quote(below(base, path))
    self:line("if [ -e %s ]; then mount --rbind %s %s; mount -o remount,bind,ro,nosuid,nodev,noexec %s; fi", at, at, at, at)
  end
end

steps["mount.remount"] = function(self, step)
  local at = self.inside_root and step.arguments[1] or quote(step.arguments[1])
  self:line("%smount -o remount,bind,%s %s", self.inside_root and "host " or "", table.concat(flags_of(step.arguments[2] or {}, {}), ","), at)
end

--- The tools are the host's: they stay within reach through a descriptor, though no path leads there any more.
steps["mount.pivot_root"] = function(self, step)
  local root = object_of(step.arguments[1]) and self:base(step.arguments[1].object) or step.arguments[1]
  self:line "exec 8</"
  self:line("cd %s", quote(root))
  self:line "pivot_root . ."
  self:line "cd /proc/self/fd/8"
  self:line "host umount --no-canonicalize -l ."
  self:line "cd /"
  self.inside_root = true
end

-- ---- files in a root

steps["root:ensure_target"] = function(self, step)
  local options = step.arguments[3] or {}
  target(self, below(self:base(step.arguments[1].object), step.arguments[2]), options.kind or "directory")
end
steps["root:make_directory"] = function(self, step)
  self:in_tree(step, function(base) self:line("mkdir -p %s", quote(below(base, step.arguments[2]))) end)
end
steps["root:symlink"] = function(self, step)
  self:in_tree(step, function(base) self:line("ln -s %s %s", quote(step.arguments[2]), quote(below(base, step.arguments[3]))) end)
end
steps["root:mknod"] = function(self, step)
  local options = step.arguments[3]
  self:in_tree(step, function(base)
    local letter = options.type == "block" and "b" or options.type == "fifo" and "p" or "c"
    local path = quote(below(base, step.arguments[2]))
    self:line("mknod -m %s %s %s %d %d", options.mode or "0666", path, letter, options.major or 0, options.minor or 0)
  end)
end
steps["root:write"] = function(self, step)
  self:in_tree(step, function(base)
    local append = step.arguments[4] and step.arguments[4].append
    self:line("printf %%s %s %s %s", quote(step.arguments[3]), append and ">>" or ">", quote(below(base, step.arguments[2])))
  end)
end
steps["root:enter"] = function(self, step) self:line("cd %s", quote(step.arguments[2])) end
steps["file.make_directories"] = function(self, step) self:line("mkdir -p %s", quote(step.arguments[1])) end
steps["file.make_directory"] = function(self, step) self:line("mkdir %s", quote(step.arguments[1])) end
steps["file.set"] = function(self, step) self:line("printf %%s %s > %s", quote(step.arguments[2]), quote(step.arguments[1])) end
steps["file.write"] = steps["file.set"]
steps["mount.remove_tree"] = function(self, step) self:line("rm -rf --one-file-system %s", quote(step.arguments[1])) end
steps["file.remove"] = function(self, step) self:line("rm -f %s", quote(step.arguments[1])) end
steps["os.execute"] = function(self, step) self:line(tostring(step.arguments[1])) end

-- ---- cgroups

steps["cgroup.create"] = function() end

steps["cgroup:write"] = function(self, step)
  local made = {}
  for _, write in ipairs(step.writes or {}) do
    local folder = write.path:match "^(.*)/[^/]*$"
    if not made[folder] then
      made[folder] = true
      self.cgroups[#self.cgroups + 1] = folder
      self:line("mkdir -p %s", quote(folder))
      if write.controller == "cpuset" then
        self:line("for file in cpuset.cpus cpuset.mems; do cat %s/../$file > %s/$file; done", quote(folder), quote(folder))
      end
    end
    for value in tostring(write.value):gmatch "[^\n]+" do self:line("echo %s > %s", quote(value), quote(write.path)) end
  end
end

steps["cgroup.remove_path"] = function(self, step) self:line("rmdir %s || true", quote(step.arguments[1])) end

-- ---- the network

local function family_of(address) return address:find(":", 1, true) and "ip6" or "ip" end

steps["net.configure"] = function(self, step)
  local setup = step.arguments[1]
  if setup.loopback then self:line "ip link set lo up" end
  for _, link in ipairs(setup.links or {}) do
    local name = link.name
    if link.rename then self:line("ip link set %s name %s", quote(name), quote(link.rename)) end
    name = link.rename or name
    if link.mtu then self:line("ip link set %s mtu %d", quote(name), link.mtu) end
    if link.mac then self:line("ip link set %s address %s", quote(name), link.mac) end
    for _, address in ipairs(link.addresses or {}) do
      self:line("ip address add %s dev %s%s", address, quote(name), family_of(address) == "ip6" and " nodad" or "")
    end
    if link.up then self:line("ip link set %s up", quote(name)) end
  end
  for _, route in ipairs(setup.routes or {}) do
    local family = family_of(route.via or route.to)
    local via, dev = route.via and " via " .. route.via or "", route.dev and " dev " .. route.dev or ""
    self:line("ip %sroute add %s%s%s", family == "ip6" and "-6 " or "", route.to, via, dev)
  end
end

steps["net.veth"] = function(self, step)
  local veth = step.arguments[1]
  self:line("ip link add %s%s type veth peer name %s%s%s netns \"$child\"", veth.host, veth.mtu and " mtu " .. veth.mtu or "", veth.guest or "eth0",
    veth.guest_mac and " address " .. veth.guest_mac or "", veth.mtu and " mtu " .. veth.mtu or "")
  for _, address in ipairs(veth.addresses or {}) do
    self:line("ip address add %s dev %s%s", address, veth.host, family_of(address) == "ip6" and " nodad" or "")
  end
  self:line("ip link set %s up", veth.host)
end

steps["net.set_forwarding"] = function(self, step)
  local family = step.arguments[2] and step.arguments[2].family
  self:line("echo %d > /proc/sys/net/%s", step.arguments[1] and 1 or 0, family == "ip6" and "ipv6/conf/all/forwarding" or "ipv4/ip_forward")
end

local function publish_rules(firewall, rule)
  for _, entry in ipairs(firewall.publish or {}) do
    local family = family_of(entry.guest_address)
    local nfproto = family == "ip6" and "ipv6" or "ipv4"
    local guest = family == "ip6" and "[" .. entry.guest_address .. "]" or entry.guest_address
    local match = entry.host_address and ("%s daddr %s %s dport %d"):format(family, entry.host_address, entry.protocol, entry.host_port)
      or ("meta nfproto %s %s dport %d fib daddr type local"):format(nfproto, entry.protocol, entry.host_port)
    rule("publish", "%s dnat %s to %s:%d", match, family, guest, entry.guest_port)
  end
end

local function egress_rules(firewall, rule)
  rule("egress-allowed", "ct state established,related accept")
  for _, kind in ipairs { "nd-neighbor-solicit", "nd-neighbor-advert" } do rule("egress-allowed", "icmpv6 type %s jump discovery", kind) end
  for _, allowed in ipairs(firewall.egress) do
    local words = {}
    if allowed.to then words[1] = family_of(allowed.to) .. " daddr " .. allowed.to end
    if allowed.first_port then
      words[#words + 1] = ("%s dport %d-%d"):format(allowed.protocol, allowed.first_port, allowed.last_port)
    elseif allowed.protocol then
      words[#words + 1] = "meta l4proto " .. allowed.protocol
    end
    words[#words + 1] = "accept"
    rule("egress-allowed", "%s", table.concat(words, " "))
  end
  rule("egress-allowed", "drop")
end

--- The same table as engine/nftables.cpp makes.
steps["net.firewall"] = function(self, step)
  local firewall = step.arguments[1]
  if firewall.shared or firewall.networks or firewall.inbound == "routed" then return self:none(step, "a table that containers share") end
  local chains, order, interface = {}, {}, firewall.interface
  local function chain(name, base)
    chains[name], order[#order + 1] = { base }, name
  end
  local function rule(name, text, ...) table.insert(chains[name], text:format(...)) end
  chain("guard", "type filter hook prerouting priority raw; policy accept;")
  rule("guard", "iifname != \"%s\" accept", interface)
  rule("guard", "ip daddr 127.0.0.0/8 drop")
  for _, kind in ipairs { "nd-router-advert", "nd-redirect" } do rule("guard", "icmpv6 type %s drop", kind) end
  for _, address in ipairs(firewall.addresses) do rule("guard", "%s saddr %s accept", family_of(address), address) end
  for _, address in ipairs { "fe80::/10", "::" } do rule("guard", "ip6 saddr %s accept", address) end
  rule("guard", "drop")
  chain("isolate", "type filter hook forward priority filter; policy accept;")
  local on_bridge = ("iifname \"%s\" accept"):format(interface)
  for _, text in ipairs { ("oifname != \"%s\" accept"):format(interface), on_bridge,
    "ct state established,related accept", "ct status dnat accept", "drop" } do
    rule("isolate", "%s", text)
  end
  if firewall.egress then
    chain "discovery"
    for _, there in ipairs { "ip6 daddr fe80::/10", "ip6 daddr ff02::/16", "fib daddr type local" } do rule("discovery", "%s accept", there) end
    chain "egress-allowed"
    egress_rules(firewall, rule)
    chain("egress", "type filter hook prerouting priority mangle; policy accept;")
    rule("egress", "iifname \"%s\" jump egress-allowed", interface)
  end
  local published = firewall.publish and #firewall.publish > 0
  if published then
    chain "publish"
    publish_rules(firewall, rule)
    chain("publish-forwarded", "type nat hook prerouting priority dstnat; policy accept;")
    rule("publish-forwarded", "jump publish")
    chain("publish-local", "type nat hook output priority -100; policy accept;")
    if not firewall.loopback then rule("publish-local", "ip daddr 127.0.0.0/8 accept") end
    rule("publish-local", "ip6 daddr ::1 accept")
    rule("publish-local", "jump publish")
  end
  if firewall.masquerade or published then chain("translate", "type nat hook postrouting priority srcnat; policy accept;") end
  for _, address in ipairs(chains.translate and firewall.addresses or {}) do
    local family = family_of(address)
    if firewall.masquerade then rule("translate", "oifname != \"%s\" %s saddr %s masquerade", interface, family, address) end
    rule("translate", "oifname \"%s\" %s saddr %s ct status dnat masquerade", interface, family, address)
  end
  if firewall.loopback then rule("translate", "oifname \"%s\" ip saddr 127.0.0.0/8 masquerade", interface) end
  self:line "nft -f - <<'END'"
  self:line("table inet %s {", firewall.name)
  for _, name in ipairs(order) do
    self:line("  chain %s {", name)
    for i = 1, table.maxn(chains[name]) do
      if chains[name][i] then self:line("    " .. chains[name][i]) end
    end
    self:line "  }"
  end
  self:line "}\nEND"
  if firewall.loopback then self:line("echo 1 > /proc/sys/net/ipv4/conf/%s/route_localnet", interface) end
end

steps["net.hold_port"] = function(self, step)
  local port = step.arguments[1]
  self:line("# luabox holds %s:%d/%s meanwhile, so that no program takes it", port.address, port.port, port.protocol)
end
steps["port:release"] = function() end
steps["net.remove_firewall"] = function(self, step) self:line("nft delete table inet %s", step.arguments[1]) end
steps["net.remove"] = function(self, step) self:line("ip link delete %s", step.arguments[1]) end

-- ---- processes

local UNSHARE = { mount = "mount", uts = "uts", ipc = "ipc", pid = "pid", net = "net", user = "user", cgroup = "cgroup", time = "time" }

steps.clone = function(self, step)
  local options, words = step.arguments[1], {}
  local namespaces = type(options.namespaces) == "table" and table.concat(options.namespaces, " ") or options.namespaces or ""
  for word in namespaces:gmatch "%a+" do words[#words + 1] = "--" .. (UNSHARE[word] or word) end
  self.namespaces = namespaces
  self:line "exec {gate}<> <(:)  # the child waits at it"
  self:line "export gate"
  self:line "("
  for _, folder in ipairs(self.cgroups) do self:line("  echo \"$BASHPID\" > %s", quote(folder .. "/cgroup.procs")) end
  self:line("  exec unshare %s --propagation unchanged --fork bash -euc inside", table.concat(words, " "))
  self:line ") <&0 &"
  self:line "child=$!"
  if namespaces:find "net" then
    self:line "until [ \"$(readlink \"/proc/$child/ns/net\")\" != \"$(readlink /proc/self/ns/net)\" ]; do sleep 0.01; done"
  end
end

steps["process:go"] = function(self)
  if not self.released then self:line "echo >&\"$gate\"" end
  self.released = true
end
steps["process:release"] = steps["process:go"]
steps["process:wait"] = function(self)
  self.steps["process:go"](self)
  self:line "status=0"
  self:line "wait \"$child\" || status=$?"
end
steps["process:kill"] = function(self, step) self:line("kill -%s \"$child\"", tostring(step.arguments[2] or "TERM")) end

steps.sethostname = function(self, step) self:line("printf %%s %s > /proc/sys/kernel/hostname", quote(step.arguments[1])) end
steps.setdomainname = function(self, step) self:line("printf %%s %s > /proc/sys/kernel/domainname", quote(step.arguments[1])) end
steps.chdir = function(self, step) self:line("cd %s", quote(step.arguments[1])) end
steps.setsid = function() end

steps["user.umask"] = function(self, step) self:line("umask %s", tostring(step.arguments[1])) end
steps["user.nice"] = function(self, step) self:line("host renice -n %s $$ > /dev/null", tostring(step.arguments[1])) end
steps["user.oom_score_adj"] = function(self, step) self:line("echo %s > /proc/self/oom_score_adj", tostring(step.arguments[1])) end
steps["user.rlimit"] = function(self, step)
  local limit = step.arguments[2] or {}
  local function text(value) return value == nil and "" or tostring(value) end
  self:line("host prlimit --pid $$ --%s=%s:%s", step.arguments[1], text(limit.soft), text(limit.hard))
end

-- These three become words of one setpriv: each exec between them would change what the others left.
steps["security.no_new_privs"] = function(self) self.privileges.no_new_privs = true end
steps["user.set_ids"] = function(self, step) self.privileges.ids = step.arguments[1] end
steps["security.apply"] = function(self, step) self.privileges.granted, self.privileges.ambient = step.arguments[2], step.arguments[3] end

steps["security.session_keyring"] = function(self, step) self:none(step, "keyctl session starts a program, and is not everywhere") end
steps["filter:load"] = function(self, step) self:none(step, "the filter is a program of the kernel's; see luabox explain --seccomp") end
steps["security.filter"] = function() end
steps["security.profile_for"] = function() end

local function list_of(names, sign)
  local words = { "-all" }
  for _, name in ipairs(names or {}) do words[#words + 1] = sign .. name end
  return table.concat(words, ",")
end

local function setpriv(privileges)
  local words = {}
  local ids = privileges.ids
  if ids then
    words[#words + 1] = ("--reuid %s --regid %s"):format(tostring(ids.uid), tostring(ids.gid))
    words[#words + 1] = #(ids.groups or {}) > 0 and "--groups " .. table.concat(ids.groups, ",") or "--clear-groups"
  end
  if privileges.granted then words[#words + 1] = "--inh-caps=-all --bounding-set=" .. list_of(privileges.granted, "+") end
  if privileges.ambient and #privileges.ambient > 0 then
    words[#words + 1] = "--inh-caps=" .. list_of(privileges.ambient, "+") .. " --ambient-caps=" .. list_of(privileges.ambient, "+")
  end
  if privileges.no_new_privs then words[#words + 1] = "--no-new-privs" end
  return words
end

local function run_command(self, step)
  local options, words = step.arguments[2] or {}, {}
  for i, word in ipairs(step.arguments[1]) do words[i] = quote(word) end
  local environment = {}
  for i, variable in ipairs(options.environment or {}) do environment[i] = quote(variable) end
  local command = table.concat(words, " ")
  local tools = ("exec_host env -i %s"):format(table.concat(environment, " "))
  local privileges = setpriv(self.privileges)
  if #privileges > 0 then tools = tools .. " \"${setpriv[@]}\" " .. table.concat(privileges, " ") .. " --" end
  self:line("%s %s", tools, command)
end

steps.init = function(self, step)
  self:line "# no shell form: an init that passes signals on and reaps: here the command is process 1"
  run_command(self, step)
end
steps.exec = run_command
steps.exit = function(self, step) self:line("exit %s", tostring(step.arguments[1] or 0)) end

steps.policy = function(self, step) self:line("# %s", require("luabox.plan").line(step)) end

-- ---- the script as a whole

local HEADER = [==[
#!/bin/bash
# What 'luabox run %s' does, as shell commands. It needs root, util-linux, iproute2 and nftables.
#
# Paths are followed by their strings: an image that puts a symlink in their way leads them astray, which luabox does not allow.
# Descriptor 8, the host's root, stays open in the command: the tools below are run through it.
set -eu

loader=$(readlink -f /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.* 2> /dev/null | head -1)
tool() { readlink -f "$(command -v "$1")"; }
old=/proc/self/fd/8
libraries=$old$(dirname "$loader"):$old/usr/lib:$old/lib
declare -A path
for name in env setpriv umount mount prlimit renice; do path[$name]=$(tool "$name"); done
]==]

-- Where the tools are once "/" is the container's: each a function, since bash hands down functions, not arrays.
local INSIDE = [==[
inside() {
  setpriv=("${loader_words[@]}" "$old$setpriv_path")
  host() { local name=$1_path; shift; "${loader_words[@]}" "$old${!name}" "$@"; }
  exec_host() { local name=$1_path; shift; exec "${loader_words[@]}" "$old${!name}" "$@"; }
  read -r -u "$gate"
  exec {gate}>&-
]==]

local function translate(self, step)
  local act = self.steps[step.primitive]
  if step.where then self:line("# %s", step.where) end
  if act then act(self, step) else self:none(step, "nothing that a tool does") end
end

--- The whole of one side, its comments of lines not repeated.
local function block(self, list)
  local lines, last = {}, nil
  self.lines = {}
  for _, step in ipairs(list) do translate(self, step) end
  for i, line in ipairs(self.lines) do
    local place = line:match "^# (%S+:%d+)$"
    local idle = place and (self.lines[i + 1] == nil or self.lines[i + 1]:match "^# %S+:%d+$")
    if not idle and not (place and place == last) then lines[#lines + 1] = line end
    if place and not idle then last = place end
  end
  return lines
end

--- The script of `steps` (plan.of), and the primitives for which there was no shell form. One process at most: each other has no form here.
---@return string text, string[] missing
function shell.script(name, plan_steps, folder)
  local self = setmetatable({ trees = {}, cgroups = {}, privileges = {}, missing = {}, records = {}, steps = steps, folder = folder }, Script)
  local host, inside, process = {}, {}, nil
  for _, step in ipairs(plan_steps) do
    if step.side == "host" then
      host[#host + 1] = step
    else
      process = process or step.process
      if step.process == process then inside[#inside + 1] = step else self.missing[#self.missing + 1] = "clone" end
    end
  end
  local before = block(self, host)
  local text = { (HEADER:format(name)) }
  if #inside > 0 then
    local within = block(self, inside)
    text[#text + 1] = "loader_path=$old$loader\nexport old loader_path libraries"
    for _, tool in ipairs { "env", "setpriv", "umount", "mount", "prlimit", "renice" } do
      text[#text + 1] = ("export %s_path=${path[%s]}"):format(tool, tool)
    end
    text[#text + 1] = "\n" .. INSIDE:gsub("inside%(%) {\n", 'inside() {\n  loader_words=("$loader_path" --library-path "$libraries")\n', 1)
    for _, line in ipairs(within) do text[#text + 1] = line:find "\n" and line or "  " .. line end
    text[#text + 1] = "}\nexport -f inside\n"
  end
  for _, line in ipairs(before) do text[#text + 1] = line end
  for _, record in ipairs(self.records) do text[#text + 1] = "rmdir --ignore-fail-on-non-empty " .. quote(record) end
  text[#text + 1] = "exit \"${status:-0}\""
  return table.concat(text, "\n") .. "\n", self.missing
end

return shell
