-- The container that an attack or fault case asks for, through the adapter beside it: everything is luabox's default but what SEC_* says.
-- Arguments: the root file system, the command.
local arguments = { ... }
local root = table.remove(arguments, 1)

local function wanted(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local list = {}
for source, target, option in (wanted "SEC_BIND" or ""):gmatch "([^:,]+):([^:,]+):?([^,]*)" do
  list[#list + 1] = bind { source, target, readonly = option == "ro" }
end
if wanted "SEC_DEVBIND" then list[#list + 1] = bind { wanted "SEC_DEVBIND", "/dev" } end

local env = {}
for pair in ((wanted "SEC_ENV" or "") .. "\31"):gmatch "(.-)\31" do
  local name, value = pair:match "^([^=]+)=(.*)$"
  if name then env[name] = value end
end

local id = wanted "SEC_ID"
return container {
  name = id and id:gsub("[^%w_.-]", "_"),
  hostname = "sec",
  rootfs = root,
  users = os.getenv "SEC_MODE" == "userns" and "auto" or nil,
  mounts = list,
  cgroup = { pids = tonumber(wanted "SEC_PIDS"), memory = tonumber(wanted "SEC_MEM"), swap = wanted "SEC_MEM" and 0 },
  rlimits = wanted "SEC_NOFILE" and { nofile = tonumber(wanted "SEC_NOFILE") } or nil,
  user = wanted "SEC_UID", cwd = wanted "SEC_CWD", env = env,
  terminal = wanted "SEC_TTY" and true or nil,
  command = arguments,
}
